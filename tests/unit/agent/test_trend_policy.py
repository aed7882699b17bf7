"""How the trained agent turns readings into what its network sees, and actions into currents."""

from dataclasses import replace

import numpy as np
import pytest

from beamctl.agent.policy import TrendPolicyAgent
from beamctl.machine.loader import load_ion, load_machine
from beamctl.task.encoding import Normalisation, normaliser, trend
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import OrbitView

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
CM1, CM2 = (orbit_problem(MACHINE, ION, ION, task) for task in ("cm1-orbit", "cm2-orbit"))
SCALE = Normalisation(gain=0.5, damping_mm=0.2)


class Network:
    """Answers with what it is told to, and remembers what it saw."""

    def __init__(self, action=0.0):
        self.action = action
        self.seen = None

    def __call__(self, observation):
        self.seen = observation
        return np.broadcast_to(np.float32(self.action), (len(observation), observation.shape[2]))


def started(problem, kind="normalised", network=None, step_share=1.0):
    network = network or Network()
    agent = TrendPolicyAgent("test", network, kind, SCALE, step_share, problem.n_channel if kind == "raw" else 10)
    agent.start(problem)
    return agent, network


def view_of(problem, n=3, seed=0, setpoint=None):
    rng = np.random.default_rng(seed)
    valid = np.ones((n, problem.n_channel), bool)
    setpoint = np.zeros((n, problem.n_corrector)) if setpoint is None else setpoint
    return OrbitView(rng.normal(size=(n, 3, problem.n_channel)), valid, setpoint)


def test_a_raw_network_sees_the_trend():
    agent, network = started(CM1, "raw")
    view = view_of(CM1)
    agent.propose(view)
    np.testing.assert_allclose(network.seen, trend(view.history_mm), rtol=1e-6)
    assert network.seen.dtype == np.float32


def test_a_normalised_network_sees_the_trend_through_the_models_inverse():
    agent, network = started(CM1)
    view = view_of(CM1)
    agent.propose(view)
    inverse = normaliser(CM1.response_mm_per_a * CM1.step_a, SCALE)
    np.testing.assert_allclose(network.seen, trend(view.history_mm) @ inverse.T, rtol=1e-4, atol=1e-6)


def test_missing_correctors_have_empty_columns():
    agent, network = started(CM2)
    change = agent.propose(view_of(CM2))
    assert not network.seen[:, :, [6, 7]].any()
    assert network.seen[:, :, [0, 5, 8, 9]].all()
    assert change.shape == (3, 8)


def test_a_dead_bpm_drops_out_of_the_inverse():
    agent, network = started(CM1)
    view = view_of(CM1)
    valid = view.valid.copy()
    valid[1, 4:6] = False
    agent.propose(replace(view, valid=valid))
    inverse = normaliser(CM1.response_mm_per_a * CM1.step_a, SCALE, valid[1])
    rows = trend(view.history_mm)
    np.testing.assert_allclose(network.seen[1], rows[1] @ inverse.T, rtol=1e-4, atol=1e-6)
    healthy = normaliser(CM1.response_mm_per_a * CM1.step_a, SCALE)
    np.testing.assert_allclose(network.seen[[0, 2]], rows[[0, 2]] @ healthy.T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("share", "amperes"), [(1.0, 15.0), (1.85 / 15.0, 1.85)])
def test_an_action_of_one_is_the_share_of_the_step_limit(share, amperes):
    agent, _ = started(CM1, network=Network(1.0), step_share=share)
    np.testing.assert_allclose(agent.propose(view_of(CM1)), amperes)


def test_a_corrector_that_is_held_by_its_limit_stays_and_the_others_know():
    agent, network = started(CM1, network=Network(1.0))
    view = view_of(CM1, n=1)
    wanted = -normaliser(CM1.response_mm_per_a * CM1.step_a, SCALE) @ view.history_mm[0, 2]
    setpoint = np.zeros((1, 10))
    setpoint[0, 3] = np.where(wanted[3] > 0, CM1.hi_a[3], CM1.lo_a[3])
    change = agent.propose(replace(view, setpoint_a=setpoint))
    assert change[0, 3] == 0.0
    assert np.all(np.delete(change[0], 3) == 15.0)
    free = np.arange(10) != 3
    inverse = normaliser(CM1.response_mm_per_a * CM1.step_a, SCALE, None, free)
    np.testing.assert_allclose(network.seen[0], trend(view.history_mm)[0] @ inverse.T, rtol=1e-4, atol=1e-6)


def test_a_corrector_at_its_limit_that_is_to_come_back_is_free():
    agent, _ = started(CM1, network=Network(1.0))
    view = view_of(CM1, n=1)
    wanted = -normaliser(CM1.response_mm_per_a * CM1.step_a, SCALE) @ view.history_mm[0, 2]
    inward = np.where(wanted > 0, CM1.lo_a, CM1.hi_a)[None]
    np.testing.assert_allclose(agent.propose(replace(view, setpoint_a=inward)), 15.0)


def test_nan_from_a_network_stays_nan_for_the_guard_to_refuse():
    agent, _ = started(CM1, network=Network(np.nan))
    assert np.isnan(agent.propose(view_of(CM1))).all()
