"""Which BPM readings are believed, which are left out, and which hold a run up."""

from dataclasses import replace

import numpy as np
import pytest

from beamctl.engine.conditions import Conditions
from beamctl.engine.reader import ChannelReader
from beamctl.errors import ChannelConnectionError, PermitLostError, StaleReadingError


@pytest.fixture
def reader(rig):
    return reader_of(rig)


def reader_of(rig) -> ChannelReader:
    rig.engine.start(rig.layout.all_pvs)
    rig.clock.sleep(1.0)
    return ChannelReader(rig.engine, rig.layout, Conditions(rig.engine, rig.layout))


def believed(measurement) -> set[int]:
    return set(np.flatnonzero(measurement.valid))


ALL = set(range(10))


def move(rig, reader) -> None:
    """Somebody moves a corrector at the very beginning, and the reader is told."""
    rig.foreign(rig.knobs[0].setpoint, rig.plant.setpoint(rig.knobs[0].setpoint) + 5.0)
    rig.foreign(rig.knobs[1].setpoint, rig.plant.setpoint(rig.knobs[1].setpoint) + 5.0)
    rig.clock.sleep(1.0)
    reader.note_move()


class TestHealthy:
    def test_every_channel_is_believed(self, rig, reader):
        measured = reader.measure()
        assert believed(measured) == ALL
        assert np.abs(measured.values - rig.plant.sections["cm1"].true_orbit_mm()).max() < 0.5

    def test_readings_from_before_do_not_count(self, rig, reader):
        reader.measure()
        before = {pv: r.seq for pv, r in rig.engine.latest(rig.layout.channels).items()}
        reader.measure()
        after = {pv: r.seq for pv, r in rig.engine.latest(rig.layout.channels).items()}
        assert {after[pv] - before[pv] for pv in before} == {rig.layout.readings}

    def test_isolated_glitches_do_not_move_the_orbit(self, rig, reader):
        quiet = reader.measure().values
        pv = rig.layout.channels[0]
        rig.clock.after(0.05, lambda: rig.faults.stuck.update({pv: 9.0}))
        rig.clock.after(0.15, rig.faults.stuck.clear)
        assert abs(reader.measure().values[0] - quiet[0]) < 0.3

    def test_a_machine_without_noise(self, make_rig):
        """Constant readings are all it has; nothing is frozen."""
        rig = make_rig(scenario="published")
        reader = reader_of(rig)
        assert believed(reader.measure()) == ALL
        move(rig, reader)
        assert believed(reader.measure()) == ALL
        assert believed(reader.measure()) == ALL


class TestLeftOut:
    """Channels that never worked, or stand still, are masked, and the rest goes on without them."""

    @pytest.mark.parametrize("kind", ["invalid", "not_finite", "silent"])
    def test_unusable_from_the_start(self, rig, reader, kind):
        getattr(rig.faults, kind).add(rig.layout.channels[3])
        assert believed(reader.measure()) == ALL - {3}
        getattr(rig.faults, kind).clear()
        assert believed(reader.measure()) == ALL - {3}, "what was left out stays out"

    def test_out_of_range_from_the_start(self, rig, reader):
        rig.faults.stuck[rig.layout.channels[3]] = 16.0
        assert believed(reader.measure()) == ALL - {3}

    def test_a_dead_bpm(self, make_rig):
        rig = make_rig(scenario="dead")
        dead = set(np.flatnonzero(rig.plant.sections["cm1"].errors.dead_channel[0]))
        assert dead
        reader = reader_of(rig)
        assert believed(reader.measure()) == ALL - dead
        assert believed(reader.measure()) == ALL - dead

    @pytest.mark.parametrize("value", [0.0, 1.234])
    def test_one_that_freezes_later(self, rig, reader, value):
        """Also where it froze at another value than the one before: between two measurements."""
        reader.measure()
        rig.faults.stuck[rig.layout.channels[7]] = value
        measured = reader.measure()
        assert believed(measured) == ALL - {7}
        assert measured.values[7] == 0.0

    def test_one_that_is_measured_but_sends_no_updates(self, rig, reader):
        """A constant value on an IOC that publishes changes only."""
        reader.measure()
        pv = rig.layout.channels[7]
        rig.faults.silent.add(pv)
        sound = rig.engine._engine.read

        def read(pvs, timeout_s=5.0):
            return {name: replace(r, stamp=rig.clock.now()) for name, r in sound(pvs, timeout_s).items()}

        rig.engine._engine.read = read
        assert believed(reader.measure()) == ALL - {7}

    def test_what_is_left_out_is_not_waited_for(self, rig, reader):
        rig.faults.invalid.add(rig.layout.channels[3])
        reader.measure()
        rig.faults.lost.add(rig.layout.channels[3])
        assert believed(reader.measure()) == ALL - {3}


class TestHeldUp:
    """What worked and fails is an error for as long as it lasts."""

    @pytest.mark.parametrize("kind", ["invalid", "not_finite", "silent"])
    def test_a_channel_that_fails_later(self, rig, reader, kind):
        reader.measure()
        broken = getattr(rig.faults, kind)
        broken.add(rig.layout.channels[3])
        for _ in range(2):
            began = rig.clock.now()
            with pytest.raises(StaleReadingError, match=rig.layout.channel_names[3]):
                reader.measure()
            assert rig.clock.now() - began <= 3.0
        with pytest.raises(StaleReadingError, match=rig.layout.channel_names[3]):
            reader.check_fresh()
        broken.clear()
        assert believed(reader.measure()) == ALL
        reader.check_fresh()

    def test_out_of_range_later(self, rig, reader):
        reader.measure()
        rig.faults.stuck[rig.layout.channels[3]] = -20.0
        with pytest.raises(StaleReadingError, match=rig.layout.channel_names[3]):
            reader.measure()

    def test_a_lost_channel(self, rig, reader):
        reader.measure()
        rig.faults.lost.add(rig.layout.channels[3])
        with pytest.raises(ChannelConnectionError, match=rig.layout.channels[3]):
            reader.measure()

    def test_fewer_than_half(self, rig, reader):
        rig.faults.invalid |= set(rig.layout.channels[:6])
        with pytest.raises(StaleReadingError, match="only 4 of 10"):
            reader.measure()

    def test_half_is_enough(self, rig, reader):
        rig.faults.invalid |= set(rig.layout.channels[:5])
        assert believed(reader.measure()) == {5, 6, 7, 8, 9}

    def test_a_bad_beginning_is_forgotten(self, rig, reader):
        """Channels are not left out because of a measurement that did not come about."""
        rig.faults.invalid |= set(rig.layout.channels)
        with pytest.raises(StaleReadingError, match="only 0 of 10"):
            reader.measure()
        rig.faults.invalid.clear()
        assert believed(reader.measure()) == ALL

    def test_all_silent(self, rig, reader):
        rig.faults.silent |= set(rig.layout.channels)
        with pytest.raises(StaleReadingError):
            reader.measure()

    def test_all_frozen_though_the_correctors_moved(self, rig, reader):
        """One crate of electronics that goes on publishing its last shot."""
        reader.measure()
        latest = rig.engine.latest(rig.layout.channels)
        rig.faults.stuck |= {pv: reading.value for pv, reading in latest.items()}
        believed(reader.measure())  # nothing has moved, nothing can be said
        reader.note_move()
        for _ in range(2):
            with pytest.raises(StaleReadingError, match="every channel is frozen"):
                reader.measure()
        rig.faults.stuck.clear()
        assert believed(reader.measure()) == ALL


class TestBeam:
    """A measurement without beam is void, however short the trip was."""

    def test_a_trip_that_lasts(self, rig, reader):
        rig.permit(False)
        with pytest.raises(PermitLostError):
            reader.measure()

    def test_a_dip_of_the_current_meanwhile(self, rig, reader):
        rig.clock.after(0.15, lambda: rig.faults.stuck.update({rig.layout.current: 0.0}))
        rig.clock.after(0.25, rig.faults.stuck.clear)
        with pytest.raises(PermitLostError, match="no beam"):
            reader.measure()
        assert believed(reader.measure()) == ALL

    def test_a_dip_of_the_permit_meanwhile(self, rig, reader):
        rig.clock.after(0.15, lambda: rig.permit(False))
        rig.clock.after(0.25, lambda: rig.permit(True))
        with pytest.raises(PermitLostError, match="no beam permit"):
            reader.measure()
        assert believed(reader.measure()) == ALL

    @pytest.mark.parametrize("kind", ["invalid", "not_finite"])
    def test_a_current_that_cannot_be_believed(self, rig, reader, kind):
        getattr(rig.faults, kind).add(rig.layout.current)
        with pytest.raises(PermitLostError, match=rig.layout.current):
            reader.measure()
