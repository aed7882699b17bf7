"""Orbit tasks of a linac, put together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from beamctl.agent.base import OrbitAgent
from beamctl.agent.gated import GatedAgent
from beamctl.agent.optimisers.agent import optimiser_agent
from beamctl.agent.policy import TrendPolicyAgent
from beamctl.agent.registry import AgentFolder, Registry, load_agent, load_manifest
from beamctl.engine.layout import SectionLayout, section_layout
from beamctl.machine.description import IonDescription, MachineDescription, OrbitTask, description_hash
from beamctl.machine.loader import find_task
from beamctl.run.mapped_course import MappedOrbitCourse
from beamctl.run.orbit_course import OrbitCourse
from beamctl.run.preflight import PreflightCourse
from beamctl.task.from_description import orbit_problem
from beamctl.task.mapping import Mapping
from beamctl.task.prior import section_prior
from beamctl.task.problem import OrbitProblem
from beamctl.wiring.kit import Choice, TaskFacts, algorithm_of

if TYPE_CHECKING:
    from beamctl.training.machines import Site

DEFAULT_AGENT = "cafe2-orbit"
PREFLIGHT = "preflight"
"""not an algorithm that tunes, but the check that comes before it"""


def _bls() -> OrbitAgent:
    from beamctl.agent.least_squares import BoxLeastSquaresAgent

    return BoxLeastSquaresAgent()


def _svd() -> OrbitAgent:
    from beamctl.agent.least_squares import SvdAgent

    return SvdAgent()


UNTRAINED: dict[str, Callable[[], OrbitAgent]] = {"bls": _bls, "svd": _svd}
TRAINED = ("tbsac",)
REFERENCES = ("nelder-mead", "rcds", "es", "bo", "bo-trust")
"""model-free optimisers, to compare with"""


@dataclass(frozen=True)
class OrbitKit:
    """See :class:`beamctl.wiring.kit.TaskKit`.

    Attributes:
        name: of the task.
        design: the ion that the description is written for.
        ion: the ion that runs.
        registry: trained agents.
        prefix: put in front of every PV name.
    """

    name: str
    machine: MachineDescription
    design: IonDescription
    ion: IonDescription
    registry: Registry
    prefix: str

    algorithms = (*TRAINED, *UNTRAINED, *REFERENCES)
    trained = TRAINED
    references = REFERENCES
    default_agent = DEFAULT_AGENT

    @property
    def task(self) -> OrbitTask:
        """As described."""
        return find_task(self.machine, self.name)

    @property
    def facts(self) -> TaskFacts:
        """For people."""
        t = self.task
        return TaskFacts(
            self.name, t.title, self.machine.name, t.section, len(t.correctors), f"{len(t.bpms)} BPMs",
            f"RMS < {t.target_mm:g} mm", t.max_steps,
        )  # fmt: skip

    @property
    def key(self) -> str:
        """Name of the section, unique in the deployment."""
        return f"{self.prefix}{self.facts.machine}-{self.facts.section}"

    def layout(self) -> SectionLayout:
        """PVs and conditions."""
        return section_layout(self.machine, self.task, self.prefix)

    def problem(self, choice: Choice | None = None) -> OrbitProblem:
        """The task as a concrete problem."""
        c = choice or Choice()
        problem = orbit_problem(self.machine, self.design, self.ion, self.name, c.target, c.max_steps)
        if c.step_percent is None:
            return problem
        asked = 0.01 * c.step_percent * (problem.hi_a - problem.lo_a)
        return replace(problem, step_a=np.minimum(problem.step_a, asked))

    def agent(self, choice: Choice | None = None) -> OrbitAgent:
        """Who proposes; ``tbsac`` loads and verifies an exported agent."""
        c = choice or Choice()
        algorithm = algorithm_of(self, c)
        if algorithm in REFERENCES:
            return optimiser_agent(algorithm, c.seed)
        if algorithm in UNTRAINED:
            return UNTRAINED[algorithm]()
        folder = self.registry.find(c.agent or DEFAULT_AGENT)
        policy = self.policy(folder)
        manifest = load_manifest(folder)
        return policy if manifest.envelope is None else GatedAgent(policy, _bls(), manifest.envelope, manifest.id)

    def policy(self, folder: AgentFolder) -> TrendPolicyAgent:
        """A trained agent, loaded and verified, that is asked about everything."""
        kind = self.machine.types.corrector
        share = kind.unit_a.value / kind.step_limit.value
        return load_agent(folder, self.section_hash, share)

    def course(self, choice: Choice, mapping: Mapping | None = None) -> OrbitCourse | PreflightCourse:
        """The task with the agent that proposes, in the coordinates that a preflight has found; or the preflight."""
        if choice.algorithm == PREFLIGHT:
            prior = section_prior(self.machine, self.design, self.ion, self.name)
            return PreflightCourse(self.problem(), prior, self.layout().valid_range)
        return self._tuning(choice, self.agent(choice), mapping)

    def plain_course(self, choice: Choice, mapping: Mapping | None = None) -> OrbitCourse:
        """The task for its figures, with least squares."""
        return self._tuning(choice, _bls(), mapping)

    def _tuning(self, choice: Choice, agent: OrbitAgent, mapping: Mapping | None) -> OrbitCourse:
        problem = self.problem(choice)
        return OrbitCourse(problem, agent) if mapping is None else MappedOrbitCourse(problem, agent, mapping)

    @property
    def section_hash(self) -> str:
        """Hash of what tuning the task's section depends on."""
        return description_hash(self.machine, self.ion, self.task.section)

    def site(self) -> "Site":
        """What training and evaluation need to know."""
        from beamctl.training.machines import Site

        return Site(self.machine, self.design, self.ion)
