"""What a transmission agent sees: layout, the two ways to it, what is missing. Seeds are fixed."""

import numpy as np
import pytest

from beamctl.task.transmission import objective
from beamctl.task.transmission_encoding import (
    COLUMNS,
    KNOBS,
    ROWS,
    KnobScale,
    encode,
    episode_of,
    first_episode,
    knob_scale,
    next_episode,
)
from beamctl.task.transmission_problem import TransmissionProblem, TransmissionView

FLOOR, SOURCE = 0.05, 1.5
LO, HI = np.array([100.0, 100, -50, -50, -50, -50]), np.array([320.0, 340, 50, 50, 50, 50])


def problem(slots=tuple(range(KNOBS)), share=0.06) -> TransmissionProblem:
    k = list(slots)
    return TransmissionProblem(
        task="t", knobs=tuple(f"knob {i}" for i in k), slots=np.array(k), lo_a=LO[k], hi_a=HI[k],
        step_a=share * (HI - LO)[k], optimum_a=0.5 * (LO + HI)[k], floor_ma=FLOOR, noise_ma=0.007, source_ma=SOURCE,
        max_steps=30, target_transmission=0.85,
    )  # fmt: skip


def episode(rng, batch, length, k=KNOBS, dark=0.0):
    """Readings and readbacks of shape (batch, length, 2) and (batch, length, k)."""
    acct = rng.uniform(0.0, 1.6, (batch, length)) * (rng.random((batch, length)) >= dark)
    reading = np.stack([acct, acct * rng.random((batch, length))], axis=-1)
    return reading, rng.uniform(LO[:k], HI[:k], (batch, length, k))


def seen(p: TransmissionProblem, reading, readback):
    view = TransmissionView(readback, reading, readback[:, -1], 5)
    return encode(episode_of(view, p), knob_scale(p), p.floor_ma, p.source_ma)


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_step_by_step_and_from_the_whole_episode_are_the_same(length):
    """Seed 1; as training goes, and as an agent is asked."""
    reading, readback = episode(np.random.default_rng(1), 16, length, dark=0.2)
    known = first_episode(reading[:, 0], readback[:, 0])
    for t in range(1, length):
        known = next_episode(known, reading[:, t], readback[:, t], FLOOR)
    p = problem()
    scale = KnobScale(LO, HI, 0.06 * (HI - LO), np.ones(KNOBS, bool))
    np.testing.assert_allclose(encode(known, scale, FLOOR, SOURCE), seen(p, reading, readback), atol=1e-12)


def test_row_i_of_a_batch_is_a_solo_run():
    """Seed 2."""
    reading, readback = episode(np.random.default_rng(2), 8, 6)
    together = seen(problem(), reading, readback)
    assert together.shape == (8, ROWS, COLUMNS)
    for i in range(8):
        np.testing.assert_array_equal(seen(problem(), reading[i : i + 1], readback[i : i + 1])[0], together[i])


def test_layout():
    reading = np.array([[[0.3, 0.15], [0.6, 0.45], [0.9, 0.3]]])
    readback = np.tile(0.5 * (LO + HI), (1, 3, 1))
    readback[0, 1, 0] += 13.2
    readback[0, 2, 0] += 6.6
    o = seen(problem(), reading, readback)[0]
    np.testing.assert_allclose(o[0, :3], [1.0, 1.0, 1.25])
    np.testing.assert_allclose(o[1, :3], [1.0, -0.5, 5 * (1 / 3 - 0.75)])
    np.testing.assert_allclose(o[2, :3], [0.6, 0.2, 1 / 3])
    np.testing.assert_allclose(o[:2, 3], [1.0, -0.5])
    assert o[2, 3] == pytest.approx(0.03)
    np.testing.assert_allclose(o[3], [1.0, 1.0, 0.0, 0.06, 0, 0, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(o[4], [0.3, -0.5, 0.75, 0.5, 0, 0, 0, 0, 0], atol=1e-12)


def test_without_beam_everything_is_finite_and_t_is_zero():
    """Seed 3."""
    reading, readback = episode(np.random.default_rng(3), 4, 5)
    reading[...] = [[[0.0, 0.0]], [[-0.01, 0.02]], [[0.049, 0.049]], [[0.0, 3.0]]]
    o = seen(problem(), reading, readback)
    assert np.isfinite(o).all()
    np.testing.assert_array_equal(o[:, :3, 2], 0.0)


def test_best_is_the_highest_objective():
    """Seed 4."""
    reading, readback = episode(np.random.default_rng(4), 32, 12, dark=0.3)
    p = problem()
    known = episode_of(TransmissionView(readback, reading, readback[:, -1], 5), p)
    np.testing.assert_array_equal(objective(known.best_reading_ma, FLOOR), objective(reading, FLOOR).max(axis=1))
    assert np.abs(seen(p, reading, readback)[:, 4, 3:]).max() == 4.0


def test_solenoids_alone_show_zeros_for_the_rest():
    """Seed 5."""
    reading, readback = episode(np.random.default_rng(5), 6, 7)
    few = seen(problem((0, 1)), reading, readback[..., :2])
    every = seen(problem(), reading, readback)
    assert not few[..., 5:].any()
    np.testing.assert_allclose(few[:, [0, 1, 2, 4], :5], every[:, [0, 1, 2, 4], :5])
    np.testing.assert_allclose(few[:, 3, :5], [[1.0, 1 / 3, 0.0, *row] for row in every[:, 3, 3:5]])


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_changes_of_knobs_are_shown_in_steps(share):
    """Seed 6."""
    reading, readback = episode(np.random.default_rng(6), 6, 7)
    o, reference = seen(problem(share=share), reading, readback), seen(problem(), reading, readback)
    np.testing.assert_allclose(o[:, :2, 3:], reference[:, :2, 3:] * 0.06 / share)
    np.testing.assert_allclose(o[:, 3, 0], share / 0.06)
    np.testing.assert_allclose(o[:, 2], reference[:, 2])
