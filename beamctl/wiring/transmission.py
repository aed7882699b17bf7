"""Transmission tasks of an injector, put together."""

from dataclasses import dataclass

from beamctl.agent.base import TransmissionAgent
from beamctl.agent.composed import ApproachThenGpAgent, DesignAgent
from beamctl.agent.gated import GatedAgent
from beamctl.agent.gaussian_process import GaussianProcessAgent
from beamctl.agent.optimisers.agent import optimiser_agent
from beamctl.agent.registry import AgentFolder, Registry, load_gp_parameters, load_manifest, load_transmission_agent
from beamctl.agent.transmission_policy import TransmissionPolicyAgent
from beamctl.engine.layout import SectionLayout, injector_layout
from beamctl.machine.injector import InjectorDescription, TransmissionTask, injector_hash
from beamctl.machine.loader import find_transmission_task
from beamctl.run.transmission_course import TransmissionCourse
from beamctl.task.mapping import Mapping
from beamctl.task.transmission_from_description import transmission_problem
from beamctl.task.transmission_problem import TransmissionProblem
from beamctl.wiring.kit import Choice, TaskFacts, algorithm_of

DEFAULT_AGENT = "lpi-transmission"
TRAINED = ("tbsac+gp", "tbsac")
REFERENCES = ("nelder-mead", "rcds", "es", "bo", "bo-trust", "grid")
ALGORITHMS = (*TRAINED, "design+gp", "gp", *REFERENCES)
"""the default first; ``gp`` and what is made of it take their prior from the trained agent's manifest"""


@dataclass(frozen=True)
class TransmissionKit:
    """See :class:`beamctl.wiring.kit.TaskKit`; attributes as :class:`beamctl.wiring.orbit.OrbitKit`."""

    name: str
    machine: InjectorDescription
    registry: Registry
    prefix: str

    algorithms = ALGORITHMS
    trained = TRAINED
    references = REFERENCES
    default_agent = DEFAULT_AGENT

    @property
    def task(self) -> TransmissionTask:
        """As described."""
        return find_transmission_task(self.machine, self.name)

    @property
    def facts(self) -> TaskFacts:
        """For people."""
        t = self.task
        goal = f"T >= {t.target_transmission:g}"
        return TaskFacts(self.name, t.title, self.machine.name, "lebt", len(t.knobs), "ACCT, MFC1", goal, t.max_steps)

    @property
    def key(self) -> str:
        """Name of the section, unique in the deployment."""
        return f"{self.prefix}{self.facts.machine}-{self.facts.section}"

    def layout(self) -> SectionLayout:
        """PVs and conditions."""
        return injector_layout(self.machine, self.task, self.prefix)

    @property
    def section_hash(self) -> str:
        """Hash of what tuning the injector depends on."""
        return injector_hash(self.machine)

    def problem(self, choice: Choice | None = None) -> TransmissionProblem:
        """The task as a concrete problem."""
        c = choice or Choice()
        return transmission_problem(self.machine, self.name, c.target, c.max_steps, c.step_percent)

    def agent(self, choice: Choice | None = None) -> TransmissionAgent:
        """Who proposes; the TRAINED algorithms load and verify an exported agent."""
        c = choice or Choice()
        algorithm = algorithm_of(self, c)
        if algorithm in REFERENCES:
            return optimiser_agent(algorithm, c.seed)
        folder = self.registry.find(c.agent or DEFAULT_AGENT)
        if algorithm == "tbsac":
            return self._gated(folder)
        parameters = load_gp_parameters(folder)
        if algorithm == "gp":
            return GaussianProcessAgent(parameters)
        approach = self._gated(folder) if algorithm == "tbsac+gp" else DesignAgent()
        return ApproachThenGpAgent(algorithm, approach, parameters)

    def policy(self, folder: AgentFolder) -> TransmissionPolicyAgent:
        """A trained agent, loaded and verified, that is asked about everything."""
        return load_transmission_agent(folder, self.section_hash)

    def _gated(self, folder: AgentFolder) -> TransmissionAgent:
        """A trained agent that is only asked about what it was trained for, where its manifest says what that is."""
        policy, manifest = self.policy(folder), load_manifest(folder)
        if manifest.envelope is None:
            return policy
        design = DesignAgent()
        fall_back = design if manifest.gp is None else ApproachThenGpAgent("design+gp", design, manifest.gp)
        return GatedAgent(policy, fall_back, manifest.envelope, manifest.id)

    def course(self, choice: Choice, mapping: Mapping | None = None) -> TransmissionCourse:
        """The task with the agent that proposes; there is no preflight of an injector."""
        return TransmissionCourse(self.problem(choice), self.agent(choice))

    def plain_course(self, choice: Choice, mapping: Mapping | None = None) -> TransmissionCourse:
        """The task for its figures, with the way to the design optics."""
        return TransmissionCourse(self.problem(choice), DesignAgent())
