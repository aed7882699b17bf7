"""Figures of a rollout, by hand: three machines, four steps."""

from dataclasses import replace

import numpy as np
import pytest

from beamctl.machine.loader import load_injector
from beamctl.task.transmission_from_description import transmission_problem
from beamctl.training.transmission_figures import steps_to_target, transmission_figures
from beamctl.training.transmission_rollout import TransmissionRollout

PROBLEM = transmission_problem(load_injector("lpi"), "rfq-transmission", target=0.85, max_steps=4)
MFC1 = np.array([[0.1, 0.5, 0.9, 0.8, 0.98], [0.3, 0.2, 0.2, 0.2, 0.2], [0.0, 0.0, 0.4, 0.86, 0.9]])
ACCT = np.array([[0.2, 0.6, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5, 0.5], [0.0, 0.01, 0.5, 1.0, 1.0]])
RAN = TransmissionRollout(
    np.stack([ACCT, MFC1], axis=-1), np.zeros((3, 5, 2)), np.zeros((3, 5, 6)), np.array([1.0, 1.0, 1.0])
)


def test_steps_until_the_goal():
    np.testing.assert_array_equal(steps_to_target(RAN, PROBLEM), [2, 4, 3])


def test_figures():
    f = transmission_figures(RAN, np.array([0.99, 0.4, 0.94]), PROBLEM)
    assert f.eta == pytest.approx((0.98 + 0.2 + 0.9) / 3)
    assert f.of_best == pytest.approx((0.98 / 0.99 + 0.5 + 0.9 / 0.94) / 3)
    assert f.early_of_best == f.of_best  # the budget is shorter than eight steps
    assert (f.within_2, f.within_5, f.reached, f.worse) == pytest.approx((1 / 3, 2 / 3, 2 / 3, 1 / 3))
    assert f.steps == 3


def test_currents_are_relative_to_each_source():
    f = transmission_figures(replace(RAN, source_ma=np.array([2.0, 1.0, 1.0])), np.ones(3), PROBLEM)
    assert f.eta == pytest.approx((0.49 + 0.2 + 0.9) / 3)
