"""The machines of a deployment, their tasks, and runs of them."""

from dataclasses import dataclass
from functools import cached_property

from beamctl.agent.registry import Registry
from beamctl.errors import MachineDescriptionError, UnknownNameError
from beamctl.machine.description import MachineDescription
from beamctl.machine.injector import InjectorDescription
from beamctl.machine.loader import AnyMachine, load_ion, load_machine
from beamctl.settings import Settings
from beamctl.wiring.kit import TaskKit
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.transmission import TransmissionKit


@dataclass(frozen=True)
class Deployment:
    """Machines, the ion that runs on them, and how they are reached."""

    settings: Settings

    @cached_property
    def machines(self) -> tuple[AnyMachine, ...]:
        """The machine descriptions, in the order of the settings.

        Raises:
            MachineDescriptionError: two of them have a task of the same name.
        """
        machines = tuple(load_machine(name) for name in self.settings.machine)
        owner: dict[str, str] = {}
        for machine in machines:
            for task in machine.tasks:
                if task in owner:
                    raise MachineDescriptionError([f"{machine.name}: task {task!r} is one of {owner[task]} already"])
                owner[task] = machine.name
        return machines

    @property
    def registry(self) -> Registry:
        """Agents that come with beamctl and those of this site."""
        return Registry([self.settings.agents])

    @property
    def tasks(self) -> list[str]:
        """Every task of every machine."""
        return [task for machine in self.machines for task in machine.tasks]

    @property
    def orbit_tasks(self) -> list[str]:
        """Every orbit task."""
        return [task for m in self.machines if isinstance(m, MachineDescription) for task in m.tasks]

    @property
    def demonstrated(self) -> list[str]:
        """One task per section: every orbit, and the first task of every injector."""
        firsts = [next(iter(m.tasks)) for m in self.machines if isinstance(m, InjectorDescription)]
        return [*self.orbit_tasks, *firsts]

    @property
    def sections(self) -> dict[str, list[TaskKit]]:
        """The tasks of every section by its key, injectors first."""
        injectors = [task for m in self.machines if isinstance(m, InjectorDescription) for task in m.tasks]
        kits: dict[str, list[TaskKit]] = {}
        for task in [*injectors, *self.orbit_tasks]:
            kit = self.kit(task)
            kits.setdefault(kit.key, []).append(kit)
        return kits

    def kit(self, task: str) -> TaskKit:
        """A task by name; its files are read once.

        Raises:
            UnknownNameError: lists those that there are.
        """
        if task not in self._kits:
            self._kits[task] = self._kit(task)
        return self._kits[task]

    def orbit(self, task: str) -> OrbitKit:
        """An orbit task by name; errors as :meth:`kit`."""
        kit = self.kit(task)
        if not isinstance(kit, OrbitKit):
            raise UnknownNameError("orbit task", task, self.orbit_tasks)
        return kit

    def orbit_section(self, name: str) -> OrbitKit:
        """The orbit task of a section, by the name of either; errors as :meth:`kit`."""
        for task in self.orbit_tasks:
            kit = self.orbit(task)
            if name in (task, kit.task.section, kit.key):
                return kit
        raise UnknownNameError("section", name, [self.orbit(task).task.section for task in self.orbit_tasks])

    @cached_property
    def _kits(self) -> dict[str, TaskKit]:
        return {}

    def _kit(self, task: str) -> TaskKit:
        for machine in self.machines:
            if task in machine.tasks:
                if isinstance(machine, InjectorDescription):
                    return TransmissionKit(task, machine, self.registry, self.settings.prefix)
                return self._orbit_kit(machine, task)
        raise UnknownNameError("task", task, self.tasks)

    def _orbit_kit(self, machine: MachineDescription, task: str) -> OrbitKit:
        design = load_ion(machine.ion)
        ion = design if self.settings.ion is None else load_ion(self.settings.ion)
        return OrbitKit(task, machine, design, ion, self.registry, self.settings.prefix)
