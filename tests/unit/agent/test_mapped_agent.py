"""An agent in found coordinates proposes what it would on a machine wired as described. The seed is fixed."""

import numpy as np
import pytest

from beamctl.agent.base import note_of
from beamctl.agent.envelope import Envelope
from beamctl.agent.gated import GatedAgent
from beamctl.agent.least_squares import BoxLeastSquaresAgent, SvdAgent
from beamctl.agent.mapped import MappedAgent
from beamctl.agent.policy import TrendPolicyAgent
from beamctl.task.belief import belief_of
from beamctl.task.identification import Wiring, as_described, mapped
from beamctl.task.mapping import Mapping
from beamctl.task.problem import OrbitProblem, OrbitView

SEED, N, K, BATCH = 11, 6, 4, 5
RNG = np.random.default_rng(SEED)
RESPONSE = RNG.normal(0, 0.05, (N, K))
PRIOR = belief_of(RNG.normal(0, 2, (500, N)), RESPONSE + RNG.normal(0, 0.004, (500, N, K)))
PAIR = np.array([1, 0, 3, 2])
PROBLEM = OrbitProblem(
    task="made up", response_mm_per_a=RESPONSE, lo_a=np.full(K, -60.0), hi_a=np.full(K, 74.0), step_a=np.full(K, 15.0),
    first_move_a=0.5, slots=np.arange(K), target_mm=0.5, max_steps=50,
)  # fmt: skip
ORDER, SIGN = np.array([2, 1, 0, 3]), np.array([1.0, -1.0, 1.0, 1.0])
CHANNEL = np.array([1.0, 1.0, -1.0, 1.0, 1.0, 1.0])


def mapping(wiring: Wiring) -> Mapping:
    shape = wiring.channel_sign.shape
    return Mapping(wiring, mapped(PRIOR, wiring), np.zeros((*shape, K)), np.full(shape, 0.05), PAIR)


def good(responds=None) -> Wiring:
    return as_described(K, np.ones((BATCH, N), bool) if responds is None else responds)


def faulty() -> Wiring:
    w = good()
    tile = lambda row: np.tile(row, (BATCH, 1))  # noqa: E731
    return Wiring(
        tile(ORDER), tile(SIGN), w.gain, tile(CHANNEL), w.responds, w.corrector_confidence, w.channel_confidence
    )


def view(rng, valid=None) -> OrbitView:
    valid = np.ones((BATCH, N), bool) if valid is None else valid
    return OrbitView(rng.normal(0, 2, (BATCH, 3, N)), valid, rng.uniform(-20, 20, (BATCH, K)))


@pytest.mark.parametrize("agent", [SvdAgent, BoxLeastSquaresAgent])
def test_wrong_wiring_makes_no_difference(agent):
    rng = np.random.default_rng(SEED)
    healthy, other = MappedAgent(agent(), mapping(good())), MappedAgent(agent(), mapping(faulty()))
    healthy.start(PROBLEM)
    other.start(PROBLEM)
    for _ in range(4):
        seen = view(rng)
        wrong = OrbitView(CHANNEL * seen.history_mm, seen.valid, SIGN * seen.setpoint_a[:, ORDER])
        expected = healthy.propose(seen)
        np.testing.assert_allclose(other.propose(wrong), SIGN * expected[:, ORDER], atol=1e-6)
        healthy.learn(seen.setpoint_a, seen.history_mm[:, 2], seen.valid)
        other.learn(wrong.setpoint_a, wrong.history_mm[:, 2], wrong.valid)


def test_rows_of_a_batch_are_solo_machines():
    rng = np.random.default_rng(SEED)
    found, seen = mapping(faulty()), view(rng)
    many = MappedAgent(SvdAgent(), found)
    many.start(PROBLEM)
    many.learn(seen.setpoint_a, seen.history_mm[:, 2], seen.valid)
    together = many.propose(seen)
    for i in range(BATCH):
        w = found.wiring.at(i)
        one = MappedAgent(
            SvdAgent(), Mapping(w, found.belief.at(i), found.measured_mm_per_a[i], found.noise_mm[i], PAIR)
        )
        one.start(PROBLEM)
        row = OrbitView(seen.history_mm[i : i + 1], seen.valid[i : i + 1], seen.setpoint_a[i : i + 1])
        one.learn(row.setpoint_a, row.history_mm[:, 2], row.valid)
        np.testing.assert_allclose(one.propose(row)[0], together[i], atol=1e-9)


def test_the_response_is_learned_on_the_way():
    """Recursive least squares: from readings of a machine that is off the model, without any preflight."""
    rng = np.random.default_rng(SEED)
    truth = RESPONSE + rng.normal(0, 0.004, (BATCH, N, K))
    agent = MappedAgent(SvdAgent(), mapping(good()))
    agent.start(PROBLEM)
    before = np.abs(agent.response_mm_per_a - truth).mean()
    for _ in range(12):
        u = rng.uniform(-20, 20, (BATCH, K))
        agent.learn(u, np.matvec(truth, u) + 0.02 * rng.normal(size=(BATCH, N)), np.ones((BATCH, N), bool))
    assert np.abs(agent.response_mm_per_a - truth).mean() < 0.3 * before
    agent.start(PROBLEM)
    assert np.abs(agent.response_mm_per_a - truth).mean() == pytest.approx(before)


def test_supplies_that_move_nothing_stay():
    w = good()
    w.gain[:, 1] = 0.0
    agent = MappedAgent(BoxLeastSquaresAgent(), mapping(w))
    agent.start(PROBLEM)
    change = agent.propose(view(np.random.default_rng(SEED)))
    assert (change[:, 1] == 0.0).all()
    assert np.abs(change[:, [0, 2, 3]]).min() > 0.0


def test_missing_channels_are_filled_and_learned_nothing_from():
    rng = np.random.default_rng(SEED)
    responds = np.ones((BATCH, N), bool)
    responds[:, 2] = False
    agent = MappedAgent(SvdAgent(), mapping(good(responds)))
    agent.start(PROBLEM)
    u, reading = rng.uniform(-20, 20, (BATCH, K)), rng.normal(0, 2, (BATCH, N))
    wild = reading.copy()
    wild[:, 2] = 1e3
    agent.learn(u, wild, responds)
    filled = agent.completed(u, wild, responds)
    np.testing.assert_array_equal(filled[:, responds[0]], reading[:, responds[0]])
    assert np.abs(filled[:, 2]).max() < 10.0


def test_a_gated_agent_keeps_its_count_while_the_response_is_learned():
    """It is not started anew with each reading, and its words are passed on."""
    n = 3 * 10
    envelope = Envelope(
        lo=(-1e-6,) * n, hi=(1e-6,) * n, mean=(0.0,) * n,
        whitening=tuple((0.0,) * i + (1.0,) for i in range(n)), threshold=1.0, samples=1, runs=1,
    )  # fmt: skip
    policy = TrendPolicyAgent("small@1", lambda seen: np.ones((len(seen), 10), np.float32))
    found = mapping(Wiring(*(np.asarray(v)[0] for v in vars(faulty()).values())))
    agent = MappedAgent(GatedAgent(policy, SvdAgent(), envelope, "small"), found)
    agent.start(PROBLEM)
    rng, notes = np.random.default_rng(SEED), []
    for step in range(4):
        seen = OrbitView(rng.normal(0, 2, (1, 3, N)), np.ones((1, N), bool), np.full((1, K), float(step)))
        agent.propose(seen)
        agent.learn(seen.setpoint_a, seen.history_mm[:, 2], seen.valid)
        notes.append(note_of(agent))
    assert "svd proposes" in notes[0]
    assert "svd proposes from here on" in notes[2]
    assert notes[3] == "svd instead of small"
