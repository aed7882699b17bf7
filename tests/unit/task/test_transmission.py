"""What is raised and what is reported of two currents; no beam, negative currents and odd calibrations included."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beamctl.task.transmission import objective, transmission

FLOOR = 0.05
CURRENTS = st.floats(-5.0, 10.0)


@pytest.mark.parametrize(
    ("acct", "mfc1", "expected"),
    [(1.6, 1.5, 0.9375), (0.05, 0.02, 0.4), (1.0, 1.02, 1.02), (1.0, -0.01, -0.01)],
)
def test_transmission_is_the_ratio_and_is_never_clipped(acct, mfc1, expected):
    assert float(transmission(np.array([acct, mfc1]), FLOOR)) == pytest.approx(expected)


@pytest.mark.parametrize("acct", [0.0, -0.02, 0.0499, -3.0])
def test_without_beam_it_is_undefined(acct):
    assert math.isnan(float(transmission(np.array([acct, 0.0]), FLOOR)))


@given(CURRENTS, CURRENTS)
def test_no_pair_of_currents_divides_by_zero(acct, mfc1):
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        reading = np.array([acct, mfc1])
        t, value = float(transmission(reading, FLOOR)), float(objective(reading, FLOOR))
    assert math.isfinite(value)
    assert math.isnan(t) == (acct < FLOOR)


def test_more_beam_at_the_acct_is_better_while_there_is_none_behind():
    dark = np.stack([np.linspace(-0.05, 0.0499, 20), np.zeros(20)], axis=-1)
    values = objective(dark, FLOOR)
    assert (np.diff(values) > 0).all()
    assert (values < 0).all()
    assert float(objective(np.array([FLOOR, 0.0]), FLOOR)) >= values[-1]


def test_batches_are_rows():
    readings = np.random.default_rng(5).uniform(-0.2, 1.8, (40, 2))
    np.testing.assert_array_equal(objective(readings, FLOOR), [float(objective(r, FLOOR)) for r in readings])
    np.testing.assert_array_equal(transmission(readings, FLOOR), [float(transmission(r, FLOOR)) for r in readings])
