"""What the service knows of machines, agents and tasks; see :class:`beamctl.api.ports.Machines`."""

from functools import cached_property

from beamctl.api.schemas.advice import Advice, AskAdvice
from beamctl.api.schemas.agents import Agent, AgentSummary
from beamctl.api.schemas.machine import BeamlineElement, SectionDetail, Task
from beamctl.api.schemas.preflight import PreflightResult
from beamctl.api.schemas.runs import NewRequest, RestoreSnapshot, StartPreflight
from beamctl.store.live import LiveRow
from beamctl.store.open import Store
from beamctl.store.requests import NewRequest as StoreRequest
from beamctl.store.runs import Run
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.serve.advice import advise
from beamctl.wiring.serve.agents import AgentBook
from beamctl.wiring.serve.preflights import PreflightBook
from beamctl.wiring.serve.requests import Requests
from beamctl.wiring.serve.sections import beamline, section_detail
from beamctl.wiring.serve.tasks import default_target, task_info


class DescribedMachines:
    """See :class:`beamctl.api.ports.Machines`.

    Args:
        deployment: machine descriptions and settings.
        store: knows what was done, and what is switched off.
    """

    def __init__(self, deployment: Deployment, store: Store) -> None:
        self._deployment = deployment
        self._store = store
        self._agents = AgentBook(deployment, store)
        self._preflights = PreflightBook(deployment, store)
        self._requests = Requests(deployment, store)

    @property
    def titles(self) -> list[str]:
        """Of the machines."""
        return [machine.title for machine in self._deployment.machines]

    @cached_property
    def beamline(self) -> list[BeamlineElement]:
        """Stations, upstream first."""
        return beamline(self._deployment)

    @property
    def tasks(self) -> dict[str, Task]:
        """By name."""
        d = self._deployment
        kits = [kit for of_section in d.sections.values() for kit in of_section]
        return {kit.facts.name: task_info(d, self._store, kit) for kit in kits}

    @cached_property
    def sections(self) -> dict[str, SectionDetail]:
        """By key, upstream first."""
        return {key: section_detail(kits) for key, kits in self._deployment.sections.items()}

    def goal(self, task: str, target: float | None) -> str:
        """In words."""
        kit = self._deployment.kit(task)
        goal = default_target(kit) if target is None else target
        return f"RMS below {goal:g} mm" if isinstance(kit, OrbitKit) else f"transmission of {goal:g}"

    def request(self, asked: NewRequest, principal: str, key: str) -> StoreRequest:
        """What is asked of the control process."""
        return self._requests.tune(asked, principal, key)

    def preflight_request(self, section: str, asked: StartPreflight, principal: str, key: str) -> StoreRequest:
        """The same for a preflight."""
        return self._requests.preflight(self._preflights.kit(section), asked, principal, key)

    def snapshot_request(self, run: Run, asked: RestoreSnapshot, principal: str, key: str) -> StoreRequest:
        """The same for going back to a setting of a run."""
        return self._requests.snapshot(run, asked, principal, key)

    def advise(self, asked: AskAdvice, live: LiveRow) -> Advice:
        """What several would do from a reading."""
        return advise(self._deployment, self._store, asked, live)

    def preflight(self, section: str) -> PreflightResult | None:
        """The newest complete preflight."""
        return self._preflights.newest(section)

    @property
    def checked_sections(self) -> dict[str, str]:
        """Sections that can have a preflight, and their task."""
        return self._preflights.sections

    def agents(self) -> list[AgentSummary]:
        """Every trained agent."""
        return self._agents.list()

    def agent(self, name: str) -> Agent:
        """Its passport."""
        return self._agents.get(name)
