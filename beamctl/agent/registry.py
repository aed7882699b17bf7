"""Finds exported agents and loads only those that are what they say.

Loading checks, in this order: the manifest against its model, the policy against its SHA-256, inputs and outputs of
the network against the layout, golden vectors. Policies are ONNX, run by onnxruntime: nothing is unpickled.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from beamctl.agent.gaussian_process import GpParameters
from beamctl.agent.manifest import Manifest, ObservationLayout
from beamctl.agent.policy import Infer, TrendPolicyAgent
from beamctl.agent.transmission_policy import TransmissionPolicyAgent
from beamctl.errors import IncompatibleAgentError, UnknownNameError
from beamctl.task.encoding import Normalisation
from beamctl.task.transmission_encoding import COLUMNS, KNOBS, ROWS

SHIPPED = Path(str(resources.files("beamctl.agent") / "shipped"))
GOLDEN_TOLERANCE = 1e-4
MAX_POLICY_BYTES = 16 * 2**20
EXTERNAL_DATA = b"\n\x08location"
"""stands in an ONNX file that keeps weights in another file, which the SHA-256 would not cover"""


@dataclass(frozen=True)
class AgentFolder:
    """An agent on disk."""

    id: str
    path: Path

    @property
    def manifest(self) -> Path:
        """The passport."""
        return self.path / "manifest.json"


class Registry:
    """Agents by name.

    Args:
        folders: where agents lie, later ones win; those that come with beamctl are always there.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._roots = (SHIPPED, *folders)

    def list(self) -> list[AgentFolder]:
        """Every folder with a manifest, by name."""
        found = {p.parent.name: p.parent for root in self._roots for p in sorted(root.glob("*/manifest.json"))}
        return [AgentFolder(name, path) for name, path in sorted(found.items())]

    def find(self, name_or_path: str) -> AgentFolder:
        """An agent by name, or by the path of its folder.

        Raises:
            UnknownNameError: lists those that exist.
        """
        for agent in self.list():
            if agent.id == name_or_path:
                return agent
        path = Path(name_or_path)
        if (path / "manifest.json").is_file():
            return AgentFolder(path.name, path)
        raise UnknownNameError(
            "agent", name_or_path, [*(a.id for a in self.list()), "or the path of an agent's folder"]
        )


def load_manifest(agent: AgentFolder) -> Manifest:
    """The passport.

    Raises:
        IncompatibleAgentError: not a manifest.
    """
    try:
        return Manifest.model_validate_json(agent.manifest.read_bytes())
    except (ValidationError, OSError) as error:
        raise IncompatibleAgentError(f"{agent.manifest} is not a valid manifest: {error}") from error


def write_manifest(agent: AgentFolder, manifest: Manifest) -> None:
    """Put a passport beside the policy, in one go."""
    path = agent.manifest
    draft = path.with_suffix(".new")
    draft.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def load_agent(agent: AgentFolder, machine_hash: str | None = None, unit_share: float = 1.0) -> TrendPolicyAgent:
    """Load and verify.

    Args:
        agent: where it lies.
        machine_hash: of the section it shall run on; agents that are bound to a description refuse any other.
        unit_share: one published unit as a share of the machine's step limit.

    Raises:
        IncompatibleAgentError: anything is not as the manifest says, or the agent is bound to another machine.
    """
    manifest = load_manifest(agent)
    infer = verified_policy(agent, manifest)
    layout = manifest.observation
    if not isinstance(layout, ObservationLayout):
        raise _other_kind(manifest, "orbit")
    _check_binding(manifest, machine_hash)
    share = 1.0 if manifest.step_units is None else manifest.step_units * unit_share
    return TrendPolicyAgent(
        identity=_identity(manifest),
        infer=infer,
        kind=layout.kind,
        normalisation=Normalisation(layout.gain, layout.damping_mm),
        step_share=min(share, 1.0),
        columns=layout.columns,
    )


def load_transmission_agent(agent: AgentFolder, machine_hash: str | None = None) -> TransmissionPolicyAgent:
    """Load and verify an agent for the transmission task; arguments and errors as :func:`load_agent`."""
    manifest = load_manifest(agent)
    infer = verified_policy(agent, manifest)
    if manifest.observation.shape != (ROWS, COLUMNS) or manifest.actions != KNOBS:
        raise _other_kind(manifest, "transmission")
    _check_binding(manifest, machine_hash)
    return TransmissionPolicyAgent(_identity(manifest), infer)


def load_gp_parameters(agent: AgentFolder) -> GpParameters:
    """Prior of the Gaussian process that an agent carries.

    Raises:
        IncompatibleAgentError: not a valid manifest, or it carries none.
    """
    manifest = load_manifest(agent)
    if manifest.gp is None:
        raise IncompatibleAgentError(f"agent {manifest.id} carries no prior for a Gaussian process")
    return manifest.gp


def load_by_kind(agent: AgentFolder) -> TrendPolicyAgent | TransmissionPolicyAgent:
    """Load and verify an agent of any kind; errors as :func:`load_agent`."""
    return load_transmission_agent(agent) if load_manifest(agent).task_kind == "transmission" else load_agent(agent)


def _other_kind(manifest: Manifest, wanted: str) -> IncompatibleAgentError:
    rows, columns = manifest.observation.shape
    return IncompatibleAgentError(
        f"agent {manifest.id} is for {manifest.task_kind} ({rows} x {columns} observations, {manifest.actions} "
        f"actions), not for {wanted}"
    )


def _identity(manifest: Manifest) -> str:
    return f"{manifest.id}@{manifest.policy_sha256[:12]}"


def _check_binding(manifest: Manifest, machine_hash: str | None) -> None:
    if manifest.machine_hash is not None and machine_hash is not None and manifest.machine_hash != machine_hash:
        raise IncompatibleAgentError(
            f"agent {manifest.id} is bound to machine description {manifest.machine_hash[:12]}, "
            f"this section is {machine_hash[:12]}: train one for it (beamctl train) or use cafe2-orbit"
        )


def verified_policy(agent: AgentFolder, manifest: Manifest) -> Infer:
    """The network as a function, after all checks.

    Raises:
        IncompatibleAgentError: names the check that failed.
    """
    path = agent.path / "policy.onnx"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IncompatibleAgentError(f"agent {manifest.id}: {error}") from error
    if len(content) > MAX_POLICY_BYTES:
        raise IncompatibleAgentError(
            f"agent {manifest.id}: {path} has {len(content)} bytes, at most {MAX_POLICY_BYTES}"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.policy_sha256:
        raise IncompatibleAgentError(
            f"agent {manifest.id}: SHA-256 of {path} is {digest[:12]}..., its manifest says "
            f"{manifest.policy_sha256[:12]}...: the file was changed or damaged; install the agent anew"
        )
    if EXTERNAL_DATA in content:
        raise IncompatibleAgentError(f"agent {manifest.id}: {path} refers to other files; export it as one")
    infer = _session(content, manifest)
    _check_golden(infer, manifest)
    return infer


def _session(content: bytes, manifest: Manifest) -> Infer:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
    except Exception as error:  # onnxruntime raises its own, unrelated types
        raise IncompatibleAgentError(f"agent {manifest.id}: not a usable ONNX file: {error}") from error
    shapes = [_shape(i) for i in inputs], [_shape(o) for o in outputs]
    expected = [("batch", *manifest.observation.shape)], [("batch", manifest.actions)]
    if shapes != expected:
        raise IncompatibleAgentError(
            f"agent {manifest.id}: network has inputs {shapes[0]} and outputs {shapes[1]}, "
            f"manifest says {expected[0]} and {expected[1]}"
        )
    name = inputs[0].name

    def infer(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {name: observation})[0])

    return infer


def _shape(value: onnxruntime.NodeArg) -> tuple[int | str, ...]:
    """Shape with any symbolic first axis called ``batch``."""
    first, *rest = value.shape
    return ("batch" if isinstance(first, str) else first, *rest)


def _check_golden(infer: Infer, manifest: Manifest) -> None:
    try:
        observations = np.asarray(manifest.golden.observations, dtype=np.float32)
        expected = np.asarray(manifest.golden.actions)
    except ValueError as error:
        raise IncompatibleAgentError(f"agent {manifest.id}: ragged golden vectors: {error}") from error
    layout = manifest.observation.shape
    if len(observations) == 0 or observations.shape[1:] != layout:
        raise IncompatibleAgentError(f"agent {manifest.id}: the manifest has no golden vectors of shape {layout}")
    actions = infer(observations)
    worst = float(np.abs(actions - expected).max()) if actions.shape == expected.shape else float("inf")
    if not worst <= GOLDEN_TOLERANCE:
        raise IncompatibleAgentError(
            f"agent {manifest.id}: golden vectors differ by {worst:.2g} (allowed {GOLDEN_TOLERANCE:g})"
        )
