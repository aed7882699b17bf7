"""What only the in-process engine has: virtual time and switches that break it. The rest is the engine contract."""

import math
import time

import pytest

from beamctl.engine.base import Outcome, Severity
from beamctl.engine.simulated.engine import Faults, SimulatedEngine
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.errors import ChannelConnectionError, StaleReadingError
from beamctl.machine.loader import load_ion, load_machine

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
CM1 = MACHINE.sections["cm1"]
SETPOINT, READBACK, BPM = CM1.correctors[0].setpoint, CM1.correctors[0].readback, CM1.bpms[0].x
HEARTBEAT = MACHINE.heartbeat.pv
PVS = [SETPOINT, READBACK, BPM, HEARTBEAT, MACHINE.permit, MACHINE.simulation.seed, MACHINE.identity.pv]


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def engine(faults):
    engine = SimulatedEngine(LinacPlant(MACHINE, (ION, ION), "published", seed=1), faults)
    engine.start(PVS)
    return engine


def newest(engine, pv, count=1):
    return engine.wait([pv], {pv: engine.latest([pv])[pv].seq}, count, 10.0)[pv][-1]


class TestTime:
    def test_passes_only_while_somebody_waits(self, engine):
        before = engine.clock.now()
        engine.read(PVS)
        engine.latest(PVS)
        assert engine.clock.now() == before

    def test_a_put_takes_as_long_as_the_ramp(self, engine):
        begin, real = engine.clock.now(), time.monotonic()
        assert engine.write({SETPOINT: 15.0})[SETPOINT].outcome is Outcome.OK
        assert 1.5 <= engine.clock.now() - begin <= 1.7
        assert time.monotonic() - real < 1.5
        assert engine.read([READBACK])[READBACK].number == pytest.approx(15.0, abs=0.3)

    def test_a_put_that_takes_longer_than_allowed_is_unknown_and_goes_on(self, engine):
        result = engine.write({SETPOINT: 15.0}, timeout_s=0.5)[SETPOINT]
        assert result.outcome is Outcome.UNKNOWN
        assert engine.write({SETPOINT: 0.0})[SETPOINT].outcome is Outcome.BLOCKED
        engine.clock.sleep(2.0)
        assert engine.read([SETPOINT])[SETPOINT].number == 15.0

    @pytest.mark.parametrize("naps", [[1.0], [0.25] * 4, [0.03] * 33 + [0.01]])
    def test_the_number_of_shots_does_not_depend_on_how_time_is_cut(self, engine, naps):
        before = engine.latest([BPM])[BPM].seq
        for nap in naps:
            engine.clock.sleep(nap)
        assert engine.latest([BPM])[BPM].seq == before + 10

    def test_waiting_for_what_never_comes_ends(self, engine):
        with pytest.raises(StaleReadingError, match=MACHINE.permit):
            engine.wait([MACHINE.permit], engine_seq(engine, MACHINE.permit), 1, 3.0)

    def test_only_so_many_updates_are_kept(self, engine):
        with pytest.raises(ValueError, match="at most"):
            engine.wait([BPM], engine_seq(engine, BPM), 1000, 3.0)


def engine_seq(engine, pv):
    return {pv: engine.latest([pv])[pv].seq}


class TestFaults:
    def test_lost(self, engine, faults):
        faults.lost.add(BPM)
        assert not engine.latest([BPM])[BPM].connected
        with pytest.raises(ChannelConnectionError, match=BPM):
            engine.wait([BPM], engine_seq(engine, BPM), 1, 1.0)
        with pytest.raises(ChannelConnectionError, match=BPM):
            engine.read([BPM])
        faults.lost.clear()
        assert newest(engine, BPM).is_valid

    def test_invalid_and_not_finite(self, engine, faults):
        faults.invalid.add(BPM)
        reading = newest(engine, BPM)
        assert (reading.severity, reading.is_valid) == (Severity.INVALID, False)
        assert math.isfinite(reading.number)
        faults.invalid.clear()
        faults.not_finite.add(BPM)
        reading = newest(engine, BPM)
        assert math.isnan(reading.number)
        assert not reading.is_valid

    def test_refusing_and_altering(self, engine, faults):
        faults.refusing.add(SETPOINT)
        assert engine.write({SETPOINT: 3.0})[SETPOINT].outcome is Outcome.REFUSED
        assert engine.read([SETPOINT])[SETPOINT].number == 0.0
        faults.refusing.clear()
        faults.altering[SETPOINT] = 0.5
        result = engine.write({SETPOINT: 3.0})[SETPOINT]
        assert (result.outcome, result.held) == (Outcome.ALTERED, 3.5)

    def test_stuck(self, engine, faults):
        faults.stuck[READBACK] = 1.25
        engine.write({SETPOINT: 5.0})
        assert newest(engine, READBACK).number == 1.25

    def test_frozen_stops_everything_and_applies_the_put_afterwards(self, engine, faults):
        faults.frozen = True
        beat = engine.latest([HEARTBEAT])[HEARTBEAT].seq
        assert engine.write({SETPOINT: 2.0}, timeout_s=1.0)[SETPOINT].outcome is Outcome.UNKNOWN
        assert engine.latest([HEARTBEAT])[HEARTBEAT].seq == beat
        with pytest.raises(ChannelConnectionError):
            engine.read([BPM])
        faults.frozen = False
        engine.clock.sleep(1.0)
        assert engine.read([SETPOINT])[SETPOINT].number == 2.0


class TestPuts:
    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_what_is_not_finite_blocks_the_whole_write(self, engine, value):
        other = CM1.correctors[1].setpoint
        engine.start([other])
        results = engine.write({other: 1.0, SETPOINT: value})
        assert {r.outcome for r in results.values()} == {Outcome.BLOCKED}
        assert engine.read([other])[other].number == 0.0

    def test_beyond_the_limits_the_plant_holds_the_limit(self, engine):
        result = engine.write({SETPOINT: 99.0})[SETPOINT]
        assert (result.outcome, result.held) == (Outcome.ALTERED, 74.0)

    def test_a_seed_makes_another_machine(self, engine):
        before = newest(engine, BPM).number
        assert engine.write({MACHINE.simulation.seed: 2.0})[MACHINE.simulation.seed].outcome is Outcome.OK
        other = newest(engine, BPM).number
        engine.write({MACHINE.simulation.seed: 1.0})
        assert other != before
        assert newest(engine, BPM).number == before

    def test_the_machine_says_that_it_is_simulated(self, engine):
        assert engine.read([MACHINE.identity.pv])[MACHINE.identity.pv].value == MACHINE.identity.simulated
