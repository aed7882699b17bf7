"""What the service needs to know of machines, agents and tasks; :mod:`beamctl.wiring.serve` provides it.

Everything here may be called from several threads, takes milliseconds unless it says otherwise, touches no machine and
writes nothing.
"""

from typing import TYPE_CHECKING, Protocol

from beamctl.api.schemas.advice import Advice, AskAdvice
from beamctl.api.schemas.agents import Agent, AgentSummary
from beamctl.api.schemas.machine import BeamlineElement, SectionDetail, Task
from beamctl.api.schemas.preflight import PreflightResult
from beamctl.api.schemas.runs import NewRequest, RestoreSnapshot, StartPreflight
from beamctl.store.requests import NewRequest as StoreRequest
from beamctl.store.runs import Run

if TYPE_CHECKING:
    from beamctl.store.live import LiveRow


class Machines(Protocol):
    """Machine descriptions, what can be asked for, and what can be said without a machine."""

    @property
    def titles(self) -> list[str]:
        """Of the machines."""

    @property
    def beamline(self) -> list[BeamlineElement]:
        """Stations, upstream first."""

    @property
    def tasks(self) -> dict[str, Task]:
        """By name; without what is not enabled."""

    @property
    def sections(self) -> dict[str, SectionDetail]:
        """By key, upstream first."""

    def goal(self, task: str, target: float | None) -> str:
        """In words, for example ``RMS below 0.5 mm``."""

    def request(self, asked: NewRequest, principal: str, key: str) -> StoreRequest:
        """What is asked of the control process.

        Raises:
            UnknownNameError: task, algorithm or agent; lists those that there are.
            BeamControlError: it could never be run; says why.
        """

    def preflight_request(self, section: str, asked: StartPreflight, principal: str, key: str) -> StoreRequest:
        """The same for a preflight; errors as :meth:`request`."""

    def snapshot_request(self, run: Run, asked: RestoreSnapshot, principal: str, key: str) -> StoreRequest:
        """The same for going back to what a run has found; errors as :meth:`request`."""

    def advise(self, asked: AskAdvice, live: "LiveRow") -> Advice:
        """What several would do from a reading; up to a second; errors as :meth:`request`."""

    def preflight(self, section: str) -> PreflightResult | None:
        """The newest complete preflight; up to a second the first time.

        Raises:
            UnknownNameError: no such section, or one that cannot be checked.
        """

    @property
    def checked_sections(self) -> dict[str, str]:
        """Sections that can have a preflight, and their task."""

    def agents(self) -> list[AgentSummary]:
        """Every trained agent that is installed, ``enabled`` as the store has it."""

    def agent(self, name: str) -> Agent:
        """Its passport; errors as :meth:`request`."""
