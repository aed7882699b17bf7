"""An agent with the machine that it was trained for, to measure its envelope."""

from beamctl.agent.envelope import Envelope
from beamctl.agent.registry import AgentFolder, load_manifest
from beamctl.errors import IncompatibleAgentError
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.transmission import TransmissionKit


def measure_envelope(deployment: Deployment, agent: AgentFolder, seed: int, machines: int | None) -> Envelope:
    """Run an agent on simulated machines; see :mod:`beamctl.training.envelope`.

    Args:
        deployment: one of its machines is the agent's.
        agent: whose envelope it is.
        seed: of the machines.
        machines: of each task and scenario; None: the usual number.

    Raises:
        IncompatibleAgentError: no task here is one that the agent was trained for.
    """
    from beamctl.training.envelope import INJECTORS, MACHINES, STEP_SHARES, orbit_envelope, transmission_envelope

    manifest = load_manifest(agent)
    bound = manifest.machine_hash
    kits = [deployment.kit(task) for task in deployment.tasks]
    kits = [k for k in kits if k.facts.machine == manifest.machine and bound in (None, k.section_hash)]
    orbits = [k for k in kits if isinstance(k, OrbitKit)]
    injectors = [k for k in kits if isinstance(k, TransmissionKit)]
    if manifest.task_kind == "orbit" and orbits:
        problems = [k.problem() for k in orbits]
        return orbit_envelope(
            orbits[0].site(), problems, orbits[0].policy(agent), seed=seed, machines=machines or MACHINES
        )
    if manifest.task_kind == "transmission" and injectors:
        lo, hi = manifest.training.configuration.get("step_share", STEP_SHARES)
        return transmission_envelope(
            injectors[0].machine, injectors[0].policy(agent), step_shares=(lo, hi), seed=seed,
            machines=machines or INJECTORS,
        )  # fmt: skip
    raise IncompatibleAgentError(
        f"agent {manifest.id} was trained for {manifest.task_kind} tasks of {manifest.machine}; none of them is here "
        f"(--machine)"
    )
