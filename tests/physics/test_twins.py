"""The numba kernels and the NumPy model are twins, equal to 1e-12 of the scale. Seeds stand in the ids."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from simulators import kernels, linac
from simulators.linac import Orbits

BOUND = 1e-12
CASES = [
    ("cm1", "40Ar12+", "err10", 11),
    ("cm1", "40Ar12+", "mis6", 12),
    ("cm1", "40Ca14+", "crossed", 13),
    ("cm1", "1H1+", "err10", 14),
    ("cm2", "40Ar12+", "err10", 21),
    ("cm2", "54Cr17+", "reversed", 22),
    ("cm3", "40Ar12+", "weak", 31),
    ("cm3", "40Ca14+", "dead", 32),
]


def difference(value: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest value."""
    assert value.shape == expected.shape
    return float(np.abs(value - expected).max() / np.abs(expected).max())


def assert_equal(value: Orbits, expected: Orbits, bound: float = BOUND, where: str = "") -> None:
    for field in fields(Orbits):
        gap = difference(getattr(value, field.name), getattr(expected, field.name))
        assert gap <= bound, f"{field.name} differs by {gap:.2e} {where}"


@pytest.mark.parametrize(("name", "ion", "scenario", "seed"), CASES)
def test_build_and_step(section: Callable[..., Any], name: str, ion: str, scenario: str, seed: int) -> None:
    part = section(name, ion)
    machines, current_a = part.draw(scenario, seed, 200)
    expected = linac.build(part.lattice, machines)
    orbits = kernels.build(part.lattice, machines)
    assert_equal(orbits, expected, where=f"(seed {seed})")
    assert difference(kernels.step(orbits, current_a), linac.step(expected, current_a)) <= BOUND
    assert orbits.response_m_per_a.any()


def test_cm2_has_4_bpms_and_8_correctors(section: Callable[..., Any]) -> None:
    lattice = section("cm2").lattice
    assert (lattice.n_bpm, lattice.n_corrector) == (4, 8)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 17], ids=lambda n: f"n{n}-seed5")
@pytest.mark.parametrize("twin", [linac, kernels], ids=["numpy", "numba"])
def test_row_of_a_batch_is_a_solo_run(section: Callable[..., Any], twin: Any, n: int) -> None:
    part = section("cm1")
    machines, _ = part.draw("err10", 5, n)
    batch = twin.build(part.lattice, machines)
    for i in range(n):
        solo = twin.build(part.lattice, machines.take(np.array([i])))
        row = Orbits(*(getattr(batch, f.name)[i : i + 1] for f in fields(Orbits)))
        assert_equal(solo, row, bound=1e-14, where=f"in row {i} of {n}")


def test_rows_may_repeat_and_be_strided(section: Callable[..., Any]) -> None:
    part = section("cm3")
    machines, _ = part.draw("err5", 6, 6)
    taken = machines.take(np.array([4, 4, 0]))
    assert_equal(kernels.build(part.lattice, taken), linac.build(part.lattice, taken))
    strided = replace(machines, solenoid_offset_m=np.repeat(machines.solenoid_offset_m, 2, axis=1)[:, ::2])
    assert_equal(kernels.build(part.lattice, strided), linac.build(part.lattice, machines))


def test_step_writes_into_out(section: Callable[..., Any]) -> None:
    part = section("cm2")
    machines, current_a = part.draw("err5", 7, 12)
    orbits = kernels.build(part.lattice, machines)
    out = np.full(orbits.bare_m.shape, np.nan)
    assert kernels.step(orbits, current_a, out=out) is out
    assert difference(out, linac.step(orbits, current_a)) <= BOUND


def test_step_refuses_currents_of_another_shape(section: Callable[..., Any]) -> None:
    part = section("cm1")
    machines, current_a = part.draw("ideal", 8, 3)
    orbits = kernels.build(part.lattice, machines)
    with pytest.raises(ValueError, match=r"\(3, 9\); 3 machines with 10 correctors"):
        kernels.step(orbits, current_a[:, :9])


def test_sine_and_cosine() -> None:
    angle = np.random.default_rng(9).uniform(-300.0, 300.0, 20_000)
    pairs = np.array([kernels._sine_cosine.py_func(a) for a in angle])
    np.testing.assert_allclose(pairs[:, 0], np.sin(angle), atol=3e-16, rtol=0, err_msg="seed 9")
    np.testing.assert_allclose(pairs[:, 1], np.cos(angle), atol=3e-16, rtol=0, err_msg="seed 9")
