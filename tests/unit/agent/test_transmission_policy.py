"""The transmission agent around its network: units, knobs that take no part, and the registry. Seeds are fixed."""

import numpy as np
import pytest

from beamctl.agent.registry import load_agent, load_transmission_agent
from beamctl.agent.transmission_policy import TransmissionPolicyAgent
from beamctl.errors import IncompatibleAgentError
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

STEP = np.array([13.2, 14.4, 6.0, 6.0, 6.0, 6.0])


def problem(slots) -> TransmissionProblem:
    k = len(slots)
    return TransmissionProblem(
        task="rfq-transmission", knobs=tuple("abcdef"[:k]), slots=np.array(slots), lo_a=np.full(k, -400.0),
        hi_a=np.full(k, 400.0), step_a=STEP[:k], optimum_a=np.zeros(k), floor_ma=0.05, noise_ma=0.007, source_ma=1.5,
        max_steps=30, target_transmission=0.85,
    )  # fmt: skip


def view(k, batch=3, length=4) -> TransmissionView:
    rng = np.random.default_rng(k)
    readback = rng.uniform(-10, 10, (batch, length, k))
    return TransmissionView(readback, rng.uniform(0.1, 1.5, (batch, length, 2)), readback[:, -1], 10)


@pytest.mark.parametrize("slots", [(0, 1, 2, 3, 4, 5), (0, 1)])
def test_an_action_of_one_is_a_full_step(slots):
    agent = TransmissionPolicyAgent("x", lambda o: np.tile(np.float32([1, -1, 0.5, 0, -0.5, 1]), (len(o), 1)))
    agent.start(problem(slots))
    change = agent.propose(view(len(slots)))
    np.testing.assert_allclose(change, [(np.array([1, -1, 0.5, 0, -0.5, 1]) * STEP)[list(slots)]] * 3)


def test_the_network_sees_single_precision_pictures():
    shapes = []

    def infer(observation):
        shapes.append((observation.shape, observation.dtype))
        return np.zeros((len(observation), 6), np.float32)

    agent = TransmissionPolicyAgent("x", infer)
    agent.start(problem((0, 1)))
    agent.propose(view(2))
    assert shapes == [((3, 5, 9), np.float32)]


def test_a_seventh_knob_is_refused():
    with pytest.raises(IncompatibleAgentError, match="moves 6 knobs"):
        TransmissionPolicyAgent("x", lambda o: o).start(problem((0, 6)))


def as_transmission(manifest):
    manifest.update(task_kind="transmission", observation={"kind": "transmission", "rows": 5, "columns": 9})


class TestRegistry:
    @pytest.fixture
    def agent(self, make_agent, make_network):
        import hashlib

        content, weights = make_network(columns=9, actions=6, rows=5)
        observations = np.random.default_rng(0).normal(size=(4, 5, 9)).round(3)
        golden = {
            "observations": observations.tolist(),
            "actions": np.tanh(observations.reshape(4, -1) @ weights).tolist(),
        }

        def change(manifest):
            as_transmission(manifest)
            manifest.update(actions=6, golden=golden, policy_sha256=hashlib.sha256(content).hexdigest())

        return make_agent(policy=content, change=change)

    def test_loads_and_proposes(self, agent):
        loaded = load_transmission_agent(agent)
        loaded.start(problem((0, 1)))
        assert loaded.identity.startswith("by-hand@")
        assert loaded.propose(view(2)).shape == (3, 2)

    def test_is_no_orbit_agent(self, agent):
        with pytest.raises(IncompatibleAgentError, match=r"for transmission .* not for orbit"):
            load_agent(agent)

    def test_an_orbit_agent_is_none(self, make_agent):
        with pytest.raises(IncompatibleAgentError, match=r"for orbit .* not for transmission"):
            load_transmission_agent(make_agent())

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: m.update(task_kind="transmission"),
            lambda m: m.update(observation={"kind": "transmission", "rows": 5, "columns": 9}),
            lambda m: (as_transmission(m), m["observation"].pop("rows")),
            lambda m: (as_transmission(m), m["observation"].update(gain=1.0)),
        ],
    )
    def test_a_layout_of_another_kind_is_no_manifest(self, make_agent, change):
        with pytest.raises(IncompatibleAgentError, match="not a valid manifest"):
            load_transmission_agent(make_agent(change=change))
