"""A trained agent leaves training as data: ``policy.onnx`` and ``manifest.json``."""

import hashlib
import logging
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from stable_baselines3 import SAC
from torch import Tensor, nn

from beamctl.agent.manifest import GoldenVectors, Manifest, ObservationLayout, TrainingRecord
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
        """(batch, 3, n) to (batch, k) in [-1, 1]."""
        return torch.tanh(self.mu(self.latent(self.extractor(observation))))


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
) -> Manifest:
    """Write ``policy.onnx`` and ``manifest.json``.

    Args:
        model: trained.
        preset: how it was trained.
        folder: created where needed.
        agent_id: name of the agent.
        machine: name of the machine description.
        machine_hash: description hash that the agent is bound to; None: any machine that fits the layout.
        record: how it came about.
    """
    folder.mkdir(parents=True, exist_ok=True)
    module = policy_module(model, preset)
    columns = int(model.observation_space.shape[1])
    example = torch.as_tensor(golden_observations(columns))
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
        id=agent_id,
        machine=machine,
        machine_hash=machine_hash,
        policy_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        observation=ObservationLayout(
            kind=preset.observation,
            columns=columns,
            gain=preset.normalisation.gain,
            damping_mm=preset.normalisation.damping_mm,
        ),
        actions=int(actions.shape[1]),
        step_units=preset.step_units,
        training=record,
        golden=GoldenVectors(observations=example.numpy().tolist(), actions=actions.tolist()),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
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


def golden_observations(columns: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Fixed observations of all sizes, shape (N_GOLDEN, 3, columns)."""
    rng = np.random.default_rng(2305_13869)
    sizes = np.geomspace(0.01, 10.0, N_GOLDEN)[:, None, None]
    return np.round(sizes * rng.standard_normal((N_GOLDEN, 3, columns)), 4).astype(np.float32)


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
