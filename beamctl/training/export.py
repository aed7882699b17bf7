"""A trained agent leaves training as data: ``policy.onnx`` and ``manifest.json``."""

import hashlib
import logging
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC
from torch import Tensor, nn

from beamctl.agent.envelope import Envelope
from beamctl.agent.gaussian_process import GpParameters
from beamctl.agent.manifest import GoldenVectors, Manifest, ObservationLayout, TrainingRecord, TransmissionLayout
from beamctl.agent.policy import Infer
from beamctl.agent.registry import AgentFolder, write_manifest
from beamctl.training.presets import Preset
from beamctl.training.symmetry import QuarterTurnPolicy

N_GOLDEN = 8


class MeanAction(nn.Module):
    """The actor's mean action, squashed: what the agent does once it no longer explores."""

    def __init__(self, model: SAC) -> None:
        super().__init__()
        actor = model.policy.actor
        self.extractor, self.latent, self.mu = actor.features_extractor, actor.latent_pi, actor.mu

    def forward(self, observation: Tensor) -> Tensor:
        """(batch, rows, n) to (batch, k) in [-1, 1]."""
        return torch.tanh(self.mu(self.latent(self.extractor(observation))))


def inference(module: nn.Module) -> Infer:
    """A policy that is run by torch, as an agent calls it."""

    def infer(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(module(torch.as_tensor(observation)).numpy())

    return infer


def policy_module(model: SAC, preset: Preset) -> nn.Module:
    """What is exported: the mean action, symmetrised where the preset says so."""
    mean = MeanAction(model)
    return (QuarterTurnPolicy(mean) if preset.symmetric else mean).eval()


def export_agent(
    model: SAC,
    preset: Preset,
    folder: Path,
    *,
    agent_id: str,
    machine: str,
    machine_hash: str | None,
    record: TrainingRecord,
    envelope: Envelope | None = None,
) -> Manifest:
    """Write an orbit agent.

    Args:
        model: trained.
        preset: how it was trained.
        folder: created where needed.
        agent_id: name of the agent.
        machine: name of the machine description.
        machine_hash: description hash that the agent is bound to; None: any machine that fits the layout.
        record: how it came about.
        envelope: what it usually sees.
    """
    layout = ObservationLayout(
        kind=preset.observation,
        columns=int(model.observation_space.shape[1]),
        gain=preset.normalisation.gain,
        damping_mm=preset.normalisation.damping_mm,
    )
    return write_agent(
        policy_module(model, preset), layout, folder,
        id=agent_id, task_kind="orbit", machine=machine, machine_hash=machine_hash, step_units=preset.step_units,
        training=record, envelope=envelope,
    )  # fmt: skip


def export_transmission_agent(
    model: SAC,
    folder: Path,
    *,
    agent_id: str,
    machine: str,
    machine_hash: str,
    record: TrainingRecord,
    envelope: Envelope | None = None,
) -> Manifest:
    """Write a transmission agent; arguments as :func:`export_agent`. It knows one injector and is bound to it."""
    rows, columns = model.observation_space.shape
    return write_agent(
        MeanAction(model).eval(), TransmissionLayout(rows=rows, columns=columns), folder,
        id=agent_id, task_kind="transmission", machine=machine, machine_hash=machine_hash, step_units=None,
        training=record, envelope=envelope,
    )  # fmt: skip


def write_agent(
    module: nn.Module, layout: ObservationLayout | TransmissionLayout, folder: Path, **passport: Any
) -> Manifest:
    """Write ``policy.onnx`` and ``manifest.json``.

    Args:
        module: observations (batch, rows, columns) to actions.
        layout: of the observations.
        folder: created where needed.
        passport: further fields of the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    example = torch.as_tensor(golden_observations(layout.columns, layout.shape[0]))
    path = folder / "policy.onnx"
    with _quiet_exporter():
        torch.onnx.export(
            module,
            (example,),
            str(path),
            input_names=["observation"],
            output_names=["action"],
            dynamic_shapes={"observation": {0: torch.export.Dim.DYNAMIC}},
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    with torch.no_grad():
        actions = module(example).numpy()
    manifest = Manifest(
        policy_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        observation=layout,
        actions=int(actions.shape[1]),
        golden=GoldenVectors(observations=example.numpy().tolist(), actions=actions.tolist()),
        **passport,
    )
    write_manifest(AgentFolder(manifest.id, folder), manifest)
    return manifest


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns about its own internals and about optional packages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def golden_observations(columns: int, rows: int = 3) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Fixed observations of all sizes, shape (N_GOLDEN, rows, columns)."""
    rng = np.random.default_rng(2305_13869)
    sizes = np.geomspace(0.01, 10.0, N_GOLDEN)[:, None, None]
    return np.round(sizes * rng.standard_normal((N_GOLDEN, rows, columns)), 4).astype(np.float32)


def code_revision() -> str:
    """Commit of the working tree, with ``+`` where it has changes; ``unknown`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if dirty else "")


def add_gp(folder: Path, parameters: GpParameters) -> Manifest:
    """Write the prior of a Gaussian process into the manifest of an exported agent."""
    path = folder / "manifest.json"
    manifest = Manifest.model_validate_json(path.read_bytes()).model_copy(update={"gp": parameters})
    path.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest
