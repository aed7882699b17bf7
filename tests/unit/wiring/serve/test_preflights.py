"""What preflights have found, as the service tells of it."""

import json
import math

import numpy as np
import pytest

from beamctl.errors import UnknownNameError
from beamctl.wiring.orbit import OrbitKit

PREFLIGHT = {"algorithm": "preflight"}


def test_none_yet(place):
    assert place.machines.preflight("cafe2-cm1") is None
    assert place.machines.checked_sections == {
        "cafe2-cm1": "cm1-orbit", "cafe2-cm2": "cm2-orbit", "cafe2-cm3": "cm3-orbit",
    }  # fmt: skip


@pytest.mark.parametrize("section", ["lpi-lebt", "cm1-orbit", "nowhere"])
def test_sections_without(place, section):
    with pytest.raises(UnknownNameError, match="cafe2-cm1"):
        place.machines.preflight(section)


def test_wired_as_described(place):
    run = place.run(**PREFLIGHT)
    found = place.machines.preflight("cafe2-cm1")
    assert (found.section, found.task, found.run, found.is_current) == ("cafe2-cm1", "cm1-orbit", run.id, True)
    assert (found.faults, found.summary, found.time) == (0, "wired as described", run.ended)
    assert 0.0 < found.noise_mm < 0.2
    assert len(found.table) == 20
    assert np.shape(found.expected_mm_per_a) == np.shape(found.measured_mm_per_a) == (10, 10)
    assert (len(found.correctors), len(found.channels)) == (10, 10)
    expected, measured = np.array(found.expected_mm_per_a), np.array(found.measured_mm_per_a, dtype=float)
    assert np.corrcoef(expected.ravel(), measured.ravel())[0, 1] > 0.9
    kicks = place.store.pages.events(run.id, ("visited",))[1:]
    assert run.snapshot["max_steps"] == len(kicks)


def test_a_reversed_corrector(make_place):
    place = make_place(("reversed",), machine=("cafe2",))
    place.run(**PREFLIGHT)
    found = place.machines.preflight("cafe2-cm1")
    (bad,) = [line for line in found.table if line.verdict != "good"]
    assert (bad.device, bad.verdict) == ("corrector", "reversed")
    assert bad.gain < 0
    assert found.summary == f"{bad.name} reversed"
    assert found.faults == 1


def test_dead_channels_are_null_in_json(make_place):
    place = make_place(("dead",), machine=("cafe2",))
    place.run(**PREFLIGHT)
    found = json.loads(place.machines.preflight("cafe2-cm1").model_dump_json())
    assert found["faults"] == 2
    assert all(math.isfinite(v) for row in found["measured_mm_per_a"] for v in row if v is not None)


def test_the_newest_complete_one(place):
    first = place.run(**PREFLIGHT)
    assert place.machines.preflight("cafe2-cm1").run == first.id
    place.run(algorithm="bls", max_steps=1)
    place.on_event = lambda event, orders: orders.give("abort") if getattr(event, "step", 0) == 3 else None
    assert place.run(**PREFLIGHT).outcome == "aborted"
    place.on_event = lambda event, orders: None
    assert place.machines.preflight("cafe2-cm1").run == first.id
    second = place.run(**PREFLIGHT)
    assert place.machines.preflight("cafe2-cm1").run == second.id


def test_concluded_once(place, monkeypatch):
    place.run(**PREFLIGHT)
    found = place.machines.preflight("cafe2-cm1")
    assert place.machines.preflight("cafe2-cm1") is found


class TestAnotherDescription:
    def test_it_is_not_current(self, place, monkeypatch):
        run = place.run(**PREFLIGHT)
        monkeypatch.setattr(OrbitKit, "section_hash", "another")
        found = place.machines.preflight("cafe2-cm1")
        assert (found.run, found.is_current) == (run.id, False)
        assert found.summary == "wired as described"

    def test_that_it_cannot_be_compared_with(self, place, monkeypatch):
        """The section has fewer correctors by now."""
        place.run(**PREFLIGHT)
        shorter = place.deployment.orbit("cm2-orbit")
        monkeypatch.setattr(OrbitKit, "section_hash", "another")
        book = place.machines._preflights
        monkeypatch.setitem(book._kits, "cafe2-cm1", _Renamed(shorter, "cafe2-cm1", "cm1-orbit"))
        found = book.newest("cafe2-cm1")
        assert not found.is_current
        assert found.summary.startswith("made with another description of the section, which it cannot be compared")
        assert (found.faults, found.table, found.measured_mm_per_a) == (0, [], [])


class _Renamed:
    """The kit of another section under this name, as if the description had changed."""

    def __init__(self, kit, key, name) -> None:
        self._kit, self.key, self.name = kit, key, name

    def __getattr__(self, name):
        return getattr(self._kit, name)
