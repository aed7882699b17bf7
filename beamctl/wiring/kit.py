"""What the command line and the control process need of a task, whatever its kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from beamctl.agent.registry import AgentFolder, Registry
from beamctl.engine.layout import SectionLayout
from beamctl.errors import UnknownNameError
from beamctl.run.course import Course
from beamctl.task.mapping import Mapping
from beamctl.task.problem import Limited


@dataclass(frozen=True)
class Choice:
    """How a task shall be tuned; None: as the task or the machine says.

    Attributes:
        algorithm: who proposes.
        agent: trained agent for the algorithms that have one.
        target: goal of the run, mm or transmission.
        max_steps: budget.
        step_percent: largest change in one step, per cent of a knob's interval, at most the machine's own.
        seed: of algorithms that draw numbers.
        preflight: run whose findings are relied on; 0: none; None: the newest.
        snapshot_of, of: algorithm ``snapshot``: run to whose setting to go, ``found`` or ``best``.
    """

    algorithm: str | None = None
    agent: str | None = None
    target: float | None = None
    max_steps: int | None = None
    step_percent: float | None = None
    seed: int = 0
    preflight: int | None = None
    snapshot_of: int | None = None
    of: str = "found"


@dataclass(frozen=True)
class TaskFacts:
    """A task in a line of a table."""

    name: str
    title: str
    machine: str
    section: str
    knobs: int
    instruments: str
    goal: str
    max_steps: int


class TaskKit(Protocol):
    """Everything that a run of one task is put together from."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Names that can be chosen, the default first."""

    @property
    def trained(self) -> tuple[str, ...]:
        """Those among them in which a trained agent proposes."""

    @property
    def references(self) -> tuple[str, ...]:
        """Those among them that know no model of the machine: they learn from its answers alone."""

    @property
    def default_agent(self) -> str:
        """Trained agent that is used unless told."""

    @property
    def registry(self) -> Registry:
        """Trained agents."""

    @property
    def facts(self) -> TaskFacts:
        """For people."""

    @property
    def key(self) -> str:
        """Name of the section, unique in the deployment: one run at a time has it."""

    @property
    def section_hash(self) -> str:
        """Hash of the part of the description that tuning the section depends on."""

    def layout(self) -> SectionLayout:
        """PVs and conditions."""

    def problem(self) -> Limited:
        """The task as a concrete problem, with the limits of its knobs."""

    def course(self, choice: Choice, mapping: Mapping | None = None) -> Course:
        """The task with the agent that proposes.

        Args:
            choice: who proposes, and how far.
            mapping: coordinates that a preflight has found.

        Raises:
            UnknownNameError: lists what there is.
            IncompatibleAgentError: the agent does not belong here.
        """

    def plain_course(self, choice: Choice, mapping: Mapping | None = None) -> Course:
        """The task for its figures: whoever proposes there was not trained; arguments as :meth:`course`."""


def algorithm_of(kit: TaskKit, choice: Choice) -> str:
    """Who proposes.

    Raises:
        UnknownNameError: lists who could.
    """
    algorithm = choice.algorithm or kit.algorithms[0]
    if algorithm not in kit.algorithms:
        raise UnknownNameError("algorithm", algorithm, kit.algorithms)
    return algorithm


def trained_agent(kit: TaskKit, choice: Choice) -> AgentFolder | None:
    """The trained agent that proposes; None where nobody trained does.

    Raises:
        UnknownNameError: lists the agents that there are.
    """
    is_trained = (choice.algorithm or kit.algorithms[0]) in kit.trained
    return kit.registry.find(choice.agent or kit.default_agent) if is_trained else None


def whole_layout(kits: Sequence[TaskKit]) -> SectionLayout:
    """The layout of a section with the knobs of all its tasks, which read the same instruments."""
    knobs = {knob.setpoint: knob for kit in kits for knob in kit.layout().knobs}
    return replace(kits[0].layout(), knobs=tuple(knobs.values()))


def default_output(kind: str, name: str) -> Path:
    """Where commands write unless told otherwise."""
    return Path("var") / kind / name
