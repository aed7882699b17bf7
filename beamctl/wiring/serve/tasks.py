"""Tasks, as the service tells of them."""

from functools import lru_cache

from beamctl.agent.manifest import Manifest
from beamctl.agent.registry import AgentFolder, load_manifest
from beamctl.api.schemas.machine import Task
from beamctl.errors import IncompatibleAgentError
from beamctl.store.open import Store
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import TaskKit
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.transmission import TransmissionKit


def task_info(deployment: Deployment, store: Store, kit: TaskKit) -> Task:
    """One task.

    Args:
        deployment: whose it is.
        store: knows which agents are switched off.
        kit: of the task.
    """
    facts = kit.facts
    is_orbit = isinstance(kit, OrbitKit)
    return Task(
        name=facts.name,
        title=facts.title,
        machine=facts.machine,
        section=kit.key,
        kind="orbit" if is_orbit else "transmission",
        knobs=facts.knobs,
        instruments=facts.instruments,
        goal=facts.goal,
        target=default_target(kit),
        target_unit="mm" if is_orbit else "T",
        max_steps=facts.max_steps,
        algorithms=list(kit.algorithms),
        agents=_agents(deployment, store, kit),
    )


def default_target(kit: TaskKit) -> float:
    """RMS in mm, or transmission."""
    if isinstance(kit, OrbitKit):
        return kit.task.target_mm
    if isinstance(kit, TransmissionKit):
        return kit.task.target_transmission
    raise TypeError(f"no target of {type(kit).__name__}")


def suits(manifest: Manifest, kit: TaskKit) -> bool:
    """Whether an agent could serve a task."""
    kind = "orbit" if isinstance(kit, OrbitKit) else "transmission"
    is_bound = manifest.machine_hash is not None
    return manifest.task_kind == kind and (manifest.machine_hash == kit.section_hash if is_bound else True)


def manifests(deployment: Deployment) -> dict[str, tuple[AgentFolder, Manifest]]:
    """Every agent whose manifest can be read, by name."""
    found: dict[str, tuple[AgentFolder, Manifest]] = {}
    for folder in deployment.registry.list():
        try:
            found[folder.id] = folder, _manifest(folder, folder.manifest.stat().st_mtime_ns)
        except (IncompatibleAgentError, OSError):
            continue
    return found


@lru_cache(maxsize=256)
def _manifest(folder: AgentFolder, written_ns: int) -> Manifest:
    """Read again where it was written anew."""
    return load_manifest(folder)


def _agents(deployment: Deployment, store: Store, kit: TaskKit) -> list[str]:
    off = {switch.agent for switch in store.switches.list() if not switch.enabled}
    names = [name for name, (_, manifest) in manifests(deployment).items() if name not in off and suits(manifest, kit)]
    return sorted(names, key=lambda name: (name != kit.default_agent, name))
