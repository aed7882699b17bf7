"""What a trained agent knows: ranges and Mahalanobis distance; outside, a fall-back proposes. Seeds are fixed."""

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from beamctl.agent.base import Seen, note_of
from beamctl.agent.envelope import Envelope, Gate
from beamctl.agent.gated import IN_A_ROW, GatedAgent

SOUND = {
    "lo": (-1.0, -1.0), "hi": (1.0, 3.0), "mean": (0.0, 1.0), "whitening": ((2.0,), (0.0, 1.0)), "threshold": 2.0,
    "samples": 10, "runs": 2,
}  # fmt: skip
ENVELOPE = Envelope.model_validate(SOUND)
GATE = Gate(ENVELOPE, ("first", "second"))


def one(*features):
    return np.array(features, dtype=float).reshape(1, 1, 2)


class TestGate:
    @pytest.mark.parametrize(
        ("features", "distance"),
        [((0, 1), 0.0), ((0.5, 1), 0.5), ((-1, 1), 1.0), ((0, 3.5), 1.25), ((0.9, 2.9), 1.309), ((1e300, 0), np.inf)],
    )
    def test_the_larger_of_range_and_distance_counts(self, features, distance):
        assert GATE.distance(one(*features))[0] == pytest.approx(distance, rel=1e-3)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_no_number_is_outside(self, bad):
        observation = np.concatenate([one(0, 1), one(bad, 1), one(0, 1)])
        assert list(GATE.distance(observation)) == [0.0, np.inf, 0.0]
        assert "first is not a number" in GATE.why(one(bad, 1)[0])

    def test_says_why(self):
        assert GATE.why(one(0, 3.5)[0]) == "second is 3.5 (known -1 to 3)"
        assert "do not go together (1.3 x" in GATE.why(one(0.9, 2.9)[0])
        assert GATE.why(one(0, 1)[0]) == ""

    def test_names_must_fit(self):
        with pytest.raises(ValueError, match="1 names for 2 features"):
            Gate(ENVELOPE, ("first",))

    @pytest.mark.parametrize(
        "change",
        [
            {"lo": (0.0,)}, {"lo": (1.0, 0.0)}, {"whitening": ((1.0,), (1.0,))}, {"threshold": 0.0},
            {"mean": (0.0, float("nan"))}, {"extra": 1},
        ],
    )  # fmt: skip
    def test_a_wrong_envelope_is_refused(self, change):
        with pytest.raises(ValidationError):
            Envelope.model_validate(SOUND | change)


class Trained:
    """Sees the view's features, proposes 1 for every knob; notes what it was given."""

    name, identity = "tbsac", "small@123"
    features = ("first", "second")

    def __init__(self):
        self.given = []

    def start(self, problem):
        self.problem = problem

    def observe(self, view):
        return Seen(view.features[:, None], np.ones(view.setpoint_a.shape, bool))

    def act(self, seen, given=None):
        self.given.append(seen.observation[given])
        return np.where(given[:, None], 1.0, 0.0) * seen.free

    def propose(self, view):
        raise AssertionError("not asked without its gate")


class Constant:
    """Proposes -1."""

    name = identity = "careful"

    def start(self, problem):
        pass

    def propose(self, view):
        return np.full(view.setpoint_a.shape, -1.0)


def view(*rows, at=0.0):
    """A row per pair of features; all knobs at one setpoint."""
    return SimpleNamespace(features=np.array(rows, dtype=float), setpoint_a=np.full((len(rows), 3), at))


INSIDE, OUTSIDE = (0.0, 1.0), (5.0, 1.0)


@pytest.fixture
def trained():
    return Trained()


@pytest.fixture
def agent(trained):
    gated = GatedAgent(trained, Constant(), ENVELOPE, "small")
    gated.start(None)
    return gated


class TestGatedAgent:
    def test_each_row_is_decided_on_its_own_and_nothing_outside_reaches_the_network(self, agent, trained):
        change = agent.propose(view(INSIDE, OUTSIDE, (np.nan, 0.0), INSIDE))
        assert list(change[:, 0]) == [1, -1, -1, 1]
        assert len(trained.given[0]) == 2
        assert np.isfinite(trained.given[0]).all()

    def test_a_step_outside_is_explained(self, agent):
        agent.propose(view(INSIDE))
        assert note_of(agent) == ""
        assert agent.propose(view(OUTSIDE, at=1.0))[0, 0] == -1
        note = "outside of what small was trained on: first is 5 (known -1 to 1); careful proposes"
        assert note_of(agent) == note
        assert agent.propose(view(INSIDE, at=2.0))[0, 0] == 1
        assert note_of(agent) == ""

    def test_three_in_a_row_are_enough(self, agent, trained):
        for step in range(IN_A_ROW):
            agent.propose(view(OUTSIDE, at=step))
        assert note_of(agent).endswith("3 times in a row: careful proposes from here on")
        for step in range(IN_A_ROW, 6):
            assert agent.propose(view(INSIDE, at=step))[0, 0] == -1
            assert note_of(agent) == "careful instead of small"
        assert trained.given == []

    def test_only_in_a_row(self, agent):
        for step in range(10):
            change = agent.propose(view(OUTSIDE if step % 3 else INSIDE, at=step))
            assert change[0, 0] == (-1 if step % 3 else 1)

    def test_a_void_step_does_not_count(self, agent):
        for _ in range(10):
            agent.propose(view(OUTSIDE, at=1.0))
        assert agent.propose(view(INSIDE, at=1.0))[0, 0] == 1
        agent.propose(view(OUTSIDE, at=2.0))
        assert "careful proposes" in note_of(agent)
        assert agent.propose(view(INSIDE, at=3.0))[0, 0] == 1

    def test_start_forgets_and_adapt_does_not(self, agent):
        for step in range(IN_A_ROW):
            agent.propose(view(OUTSIDE, at=step))
        agent.adapt(None)
        assert agent.propose(view(INSIDE, at=5.0))[0, 0] == -1
        agent.start(None)
        assert agent.propose(view(INSIDE, at=6.0))[0, 0] == 1

    def test_for_records_it_is_the_trained_agent(self, agent):
        assert (agent.name, agent.identity) == ("tbsac", "small@123")

    def test_agents_without_words_have_none(self):
        assert note_of(Constant()) == ""
