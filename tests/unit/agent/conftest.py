"""Agents on disk, small enough to be made by hand: one linear layer and a tanh."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from beamctl.agent.registry import AgentFolder


def network(columns=10, actions=None, first_axis="batch", rows=3):
    """``tanh(flatten(observation) @ W)`` as ONNX, and ``W``."""
    actions = columns if actions is None else actions
    weights = np.random.default_rng(columns).normal(0, 0.1, (rows * columns, actions)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["observation"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "weights"], ["product"]),
            helper.make_node("Tanh", ["product"], ["action"]),
        ],
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [first_axis, rows, columns])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [first_axis, actions])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString(), weights


def manifest_of(policy, weights, columns=10, kind="normalised", machine_hash=None):
    observations = np.random.default_rng(0).normal(size=(4, 3, columns)).round(3).astype(np.float32)
    return {
        "format": 1,
        "id": "by-hand",
        "machine": "cafe2",
        "machine_hash": machine_hash,
        "policy_sha256": hashlib.sha256(policy).hexdigest(),
        "observation": {"kind": kind, "columns": columns, "gain": 1.0, "damping_mm": 0.1},
        "actions": weights.shape[1],
        "step_units": None,
        "training": {
            "preset": "none", "configuration": {}, "seed": 0, "updates": 0, "cpu_s": 0.0, "code_revision": "test",
            "selection": {},
        },
        "golden": {
            "observations": observations.tolist(),
            "actions": np.tanh(observations.reshape(4, -1) @ weights).tolist(),
        },
    }  # fmt: skip


@pytest.fixture
def make_agent(tmp_path):
    """``make_agent(name, change=..., policy=...)``: writes an agent, after ``change(manifest)``."""

    def make(name="by-hand", change=lambda manifest: None, policy=None, **layout) -> AgentFolder:
        sound, weights = network(layout.get("columns", 10))
        manifest = manifest_of(sound, weights, **layout)
        change(manifest)
        folder: Path = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "policy.onnx").write_bytes(sound if policy is None else policy)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return AgentFolder(name, folder)

    return make


@pytest.fixture
def make_network():
    """The network alone, with other shapes."""
    return network
