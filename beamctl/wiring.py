"""The only place that builds objects and puts them together."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from beamctl.agent.base import Agent
from beamctl.agent.registry import Registry, load_agent
from beamctl.engine.base import Engine
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import SectionLayout, section_layout
from beamctl.errors import NotSimulatedError, UnknownNameError, WriteFailedError
from beamctl.machine.description import IonDescription, MachineDescription, OrbitTask, description_hash
from beamctl.machine.loader import find_task, load_ion, load_linac
from beamctl.settings import Settings, ensure_channel_access_environment
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import OrbitProblem

if TYPE_CHECKING:
    from beamctl.env.tuning_env import TuningEnv
    from beamctl.run.events import Listener
    from beamctl.run.session import OrbitRun
    from beamctl.training.machines import Site
    from beamctl.training.presets import Preset

ALGORITHMS = ("tbsac", "bls", "svd")
DEFAULT_AGENT = "cafe2-orbit"
REDRAW_TIMEOUT_S = 30.0
SIMULATED_SETTLE_S = 0.05
"""a simulated field follows at once; readings that were on their way when the ramp ended must not count"""


@dataclass(frozen=True)
class Deployment:
    """A machine, the ion that runs on it, and how it is reached."""

    settings: Settings

    @cached_property
    def machine(self) -> MachineDescription:
        """The machine description."""
        return load_linac(self.settings.machine)

    @cached_property
    def design(self) -> IonDescription:
        """The ion that the description is written for."""
        return load_ion(self.machine.ion)

    @cached_property
    def ion(self) -> IonDescription:
        """The ion that runs."""
        return self.design if self.settings.ion is None else load_ion(self.settings.ion)

    @property
    def registry(self) -> Registry:
        """Agents that come with beamctl and those of this site."""
        return Registry([self.settings.agents])

    def task(self, name: str) -> OrbitTask:
        """A task by name."""
        return find_task(self.machine, name)

    def problem(self, task: str, target_mm: float | None = None, max_steps: int | None = None) -> OrbitProblem:
        """A task as a concrete problem."""
        return orbit_problem(self.machine, self.design, self.ion, task, target_mm, max_steps)

    def layout(self, task: str) -> SectionLayout:
        """PVs and conditions of a task."""
        return section_layout(self.machine, self.task(task), self.settings.prefix)

    def section_hash(self, task: str) -> str:
        """Hash of what tuning the task's section depends on."""
        return description_hash(self.machine, self.ion, self.task(task).section)

    def agent(self, algorithm: str, agent_id: str, task: str) -> Agent:
        """An algorithm by name; ``tbsac`` loads and verifies an exported agent.

        Raises:
            UnknownNameError: lists what there is.
            IncompatibleAgentError: the agent does not belong here.
        """
        from beamctl.agent.least_squares import BoxLeastSquaresAgent, SvdAgent

        if algorithm not in ALGORITHMS:
            raise UnknownNameError("algorithm", algorithm, ALGORITHMS)
        if algorithm == "bls":
            return BoxLeastSquaresAgent()
        if algorithm == "svd":
            return SvdAgent()
        kind = self.machine.types.corrector
        share = kind.unit_a.value / kind.step_limit.value
        return load_agent(self.registry.find(agent_id), self.section_hash(task), share)

    def run(self, engine: Engine, problem: OrbitProblem, agent: Agent, listener: "Listener") -> "OrbitRun":
        """One attempt at a task, guarded."""
        from beamctl.run.session import OrbitRun

        return OrbitRun(engine, self.layout(problem.task), problem, agent, listener, self.settings.connect_timeout_s)

    def site(self) -> "Site":
        """What training and evaluation need to know."""
        from beamctl.training.machines import Site

        return Site(self.machine, self.design, self.ion)


def epics_engine() -> Engine:
    """Channel Access, on loopback unless the environment names a machine."""
    ensure_channel_access_environment()
    from beamctl.engine.epics.engine import EpicsEngine

    return EpicsEngine()


def simulated_environment(deployment: Deployment, engine: Engine, task: str, preset: "Preset") -> "TuningEnv":
    """A training environment over an engine whose machine says that it is simulated.

    Raises:
        NotSimulatedError: it says anything else. Nothing has been written.
    """
    from beamctl.env.tuning_env import TuningEnv
    from beamctl.training.machines import preset_problem

    machine, prefix = deployment.machine, deployment.settings.prefix
    identity, seed_pv = prefix + machine.identity.pv, prefix + machine.simulation.seed
    engine.start([identity], deployment.settings.connect_timeout_s)
    answer = engine.read([identity])[identity].value
    if answer != machine.identity.simulated:
        raise NotSimulatedError(
            f"{identity} says {answer!r}, not {machine.identity.simulated!r}: training explores, "
            "and never on a machine that is not simulated"
        )
    engine.start([seed_pv], deployment.settings.connect_timeout_s)

    def redraw(seed: int) -> None:
        result = engine.write({seed_pv: float(seed)}, REDRAW_TIMEOUT_S)[seed_pv]
        if result.outcome != "ok":
            raise WriteFailedError(f"{seed_pv}: {result.outcome.value} {result.message}")

    layout = replace(deployment.layout(task), settle_s=SIMULATED_SETTLE_S)
    if preset.readings is not None:
        layout = replace(layout, readings=preset.readings)
    problem = preset_problem(deployment.site(), task, preset)
    return TuningEnv(
        lambda: GuardedSection(engine, layout),
        problem,
        preset.normalisation,
        preset.observation,
        redraw,
        largest_mm=max(map(abs, layout.valid_mm)),
    )


def default_output(kind: str, name: str) -> Path:
    """Where commands write unless told otherwise."""
    return Path("var") / kind / name
