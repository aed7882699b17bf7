"""Whatever is proposed: what becomes of it stays inside every limit, or the guard refuses it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import section_layout
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.errors import SetpointLimitError
from beamctl.machine.loader import find_task, load_ion, load_machine
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import limited_step

FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=60)
"""the same examples in every run"""
MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
PROBLEM = orbit_problem(MACHINE, ION, ION, "cm1-orbit")
LAYOUT = section_layout(MACHINE, find_task(MACHINE, "cm1-orbit"))
IDEAL = SimulatedEngine(LinacPlant(MACHINE, (ION, ION), "ideal", seed=0))
K = PROBLEM.n_corrector
CHANGES = st.lists(
    st.one_of(st.floats(), st.floats(-30, 30), st.sampled_from([15.0, -15.0, 148.0, 0.0])), min_size=K, max_size=K
)
SETPOINTS = st.lists(st.one_of(st.floats(-74, 74), st.sampled_from([74.0, -74.0, 0.0])), min_size=K, max_size=K)


def simulated_guard():
    engine = SimulatedEngine(LinacPlant(MACHINE, (ION, ION), "published", seed=1))
    guard = GuardedSection(engine, LAYOUT)
    guard.arm()
    return engine, guard


@settings(FIXED)
@given(present=SETPOINTS, change=CHANGES)
def test_a_step_never_exceeds_step_limit_or_setpoint_limits(present, change):
    old, asked = np.array(present), np.array(change)
    new = limited_step(PROBLEM, old, asked)
    finite = ~np.isnan(asked)
    assert np.isfinite(new[finite]).all()
    assert np.all((PROBLEM.lo_a <= new) & (new <= PROBLEM.hi_a) | ~finite)
    assert np.all((np.abs(new - old) <= PROBLEM.step_a * (1 + 1e-9)) | ~finite)
    small = finite & (np.abs(asked) <= PROBLEM.step_a) & (old + asked >= PROBLEM.lo_a) & (old + asked <= PROBLEM.hi_a)
    np.testing.assert_array_equal(new[small], (old + asked)[small])


@settings(FIXED)
@given(present=SETPOINTS, change=CHANGES)
def test_the_guard_takes_every_finite_step_and_refuses_nan(present, change):
    guard = GuardedSection(IDEAL, LAYOUT)
    old = np.array(present)
    new = limited_step(PROBLEM, old, np.array(change))
    if np.isnan(new).any():
        with pytest.raises(SetpointLimitError, match="nothing written"):
            guard.check(new, old)
    else:
        guard.check(new, old)


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf, 80.0])
def test_what_is_not_finite_or_out_of_limits_is_never_written(rubbish):
    engine, guard = simulated_guard()
    asked = np.zeros(K)
    asked[3] = rubbish
    with pytest.raises(SetpointLimitError, match=LAYOUT.knobs[3].setpoint):
        guard.move(asked)
    assert guard.writes == 0
    assert not any(engine.plant.setpoint(k.setpoint) for k in LAYOUT.knobs)


def test_an_agent_that_proposes_nan_moves_nothing():
    engine, guard = simulated_guard()
    with pytest.raises(SetpointLimitError):
        guard.move(limited_step(PROBLEM, np.zeros(K), np.full(K, np.nan)))
    assert guard.writes == 0
    assert not any(engine.plant.setpoint(k.setpoint) for k in LAYOUT.knobs)


def test_row_i_of_a_batch_is_a_solo_run():
    rng = np.random.default_rng(0)
    old, change = rng.uniform(-74, 74, (30, K)), rng.normal(0, 20, (30, K))
    together = limited_step(PROBLEM, old, change)
    assert together.shape == (30, K)
    np.testing.assert_array_equal(together, [limited_step(PROBLEM, o, c) for o, c in zip(old, change, strict=True)])
