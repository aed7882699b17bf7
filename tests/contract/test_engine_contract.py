"""What every engine promises, see beamctl/engine/base.py: one suite, run on every rig of conftest.py."""

import math
import pkgutil

import pytest

import beamctl.engine
from beamctl.engine.base import Outcome, Severity
from beamctl.errors import ChannelConnectionError, StaleReadingError

MANY = 1000
"""updates to let pass at most while something is bound to happen"""


def sequences(engine, pvs):
    return {pv: reading.seq for pv, reading in engine.latest(pvs).items()}


def pass_updates(engine, rig, count=1):
    """Let the machine live for ``count`` beats."""
    pvs = [rig.pvs.heartbeat]
    return engine.wait(pvs, sequences(engine, pvs), count, rig.patience_s)[rig.pvs.heartbeat]


def held_values(engine, rig, pvs):
    return {pv: reading.value for pv, reading in engine.read(pvs, rig.patience_s).items()}


def other_than(value):
    return 1.0 if value != 1.0 else 2.0


def write_when_free(engine, rig, pv, value):
    """Write as soon as a put that is still outstanding has ended."""
    for _ in range(MANY):
        result = engine.write({pv: value}, rig.patience_s)[pv]
        if result.outcome is not Outcome.BLOCKED:
            return result
        pass_updates(engine, rig)
    pytest.fail(f"still blocked: {result.message}")


def test_every_engine_has_a_rig(rigs):
    packages = [m.name for m in pkgutil.iter_modules(beamctl.engine.__path__) if m.ispkg]
    tested = {rig(None).implementation for rig in rigs.values()}
    assert tested == {f"beamctl.engine.{name}.engine" for name in packages}


class TestStart:
    def test_every_pv_has_a_connected_first_value(self, engine, rig):
        readings = engine.latest(rig.pvs.all)
        assert [pv for pv, r in readings.items() if not r.connected or r.seq < 1] == []

    def test_names_every_missing_pv(self, stopped_engine, rig):
        present, missing = rig.pvs.setpoints[0], ["nowhere:ONE", "nowhere:TWO"]
        with pytest.raises(ChannelConnectionError) as error:
            stopped_engine.start([present, *missing], rig.impatience_s + 1.0)
        assert all(pv in str(error.value) for pv in missing)
        assert present not in str(error.value)

    def test_can_be_tried_again_after_a_failure(self, stopped_engine, rig):
        pvs = list(rig.pvs.setpoints)
        with pytest.raises(ChannelConnectionError):
            stopped_engine.start([*pvs, "nowhere:ONE"], rig.impatience_s)
        stopped_engine.start(pvs, rig.patience_s)
        assert stopped_engine.read(pvs, rig.patience_s).keys() == set(pvs)

    def test_what_was_not_started_cannot_be_read_or_written(self, engine, rig):
        healthy = rig.pvs.setpoints[0]
        before = held_values(engine, rig, [healthy])
        with pytest.raises(ChannelConnectionError, match="nowhere:ONE"):
            engine.read(["nowhere:ONE"], rig.impatience_s)
        results = engine.write({healthy: other_than(before[healthy]), "nowhere:ONE": 1.0}, rig.impatience_s)
        assert {r.outcome for r in results.values()} == {Outcome.BLOCKED}
        assert held_values(engine, rig, [healthy]) == before


class TestReadings:
    def test_latest_grows(self, engine, rig):
        before = sequences(engine, [rig.pvs.scanned])[rig.pvs.scanned]
        readings = engine.wait([rig.pvs.scanned], {rig.pvs.scanned: before}, 3, rig.patience_s)
        latest = engine.latest([rig.pvs.scanned])[rig.pvs.scanned]
        assert latest.seq >= before + 3
        assert latest.received >= readings[rig.pvs.scanned][-1].received

    def test_wait_gives_the_first_updates_after_a_number(self, engine, rig):
        pvs = [rig.pvs.scanned, rig.pvs.heartbeat]
        since = sequences(engine, pvs)
        engine.wait(pvs, since, 5, rig.patience_s)
        readings = engine.wait(pvs, since, 3, rig.patience_s)
        for pv in pvs:
            assert [r.seq for r in readings[pv]] == [since[pv] + 1, since[pv] + 2, since[pv] + 3]
            received = [r.received for r in readings[pv]]
            assert received == sorted(received)

    def test_wait_names_the_pv_that_has_too_few_updates(self, engine, rig):
        pvs = [rig.pvs.scanned, rig.pvs.setpoints[0]]
        since = sequences(engine, pvs)
        with pytest.raises(StaleReadingError, match=rig.pvs.setpoints[0]) as error:
            engine.wait(pvs, {**since, rig.pvs.scanned: since[rig.pvs.scanned] - 1}, 1, rig.impatience_s)
        assert rig.pvs.scanned not in str(error.value)

    def test_the_heartbeat_counts(self, engine, rig):
        values = [reading.value for reading in pass_updates(engine, rig, 5)]
        assert values == sorted(set(values))

    def test_what_was_received_is_not_in_the_future(self, engine, rig):
        assert all(r.received <= engine.clock.now() for r in engine.latest(rig.pvs.all).values())

    def test_severity_invalid_passes_through(self, engine, rig):
        pv = rig.pvs.invalid
        for reading in (engine.latest([pv])[pv], engine.read([pv], rig.patience_s)[pv]):
            assert reading.severity is Severity.INVALID
            assert math.isfinite(reading.value)
            assert not reading.is_valid

    def test_healthy_readings_are_valid(self, engine, rig):
        pvs = [rig.pvs.scanned, rig.pvs.text, *rig.pvs.setpoints]
        assert all(r.is_valid for r in engine.latest(pvs).values())
        assert all(r.is_valid for r in engine.read(pvs, rig.patience_s).values())

    def test_text_is_text(self, engine, rig):
        pv = rig.pvs.text
        for reading in (engine.latest([pv])[pv], engine.read([pv], rig.patience_s)[pv]):
            assert reading.value == rig.text
            assert math.isnan(reading.number)


class TestMeta:
    def test_limits_units_precision_and_host(self, engine, rig):
        pvs = list(rig.pvs.setpoints)
        for meta in engine.meta(pvs, rig.patience_s).values():
            assert (meta.lo, meta.hi) == rig.limits
            assert meta.has_limits
            assert (meta.units, meta.precision) == (rig.units, rig.precision)
            assert meta.writable
            assert meta.host.startswith(rig.host)

    def test_limits_that_are_not_set_are_nan(self, engine, rig):
        meta = engine.meta([rig.pvs.unlimited], rig.patience_s)[rig.pvs.unlimited]
        assert math.isnan(meta.lo)
        assert math.isnan(meta.hi)
        assert not meta.has_limits

    def test_access_rights(self, engine, rig):
        assert not engine.meta([rig.pvs.readonly], rig.patience_s)[rig.pvs.readonly].writable

    def test_text_has_meta_too(self, engine, rig):
        assert not engine.meta([rig.pvs.text], rig.patience_s)[rig.pvs.text].has_limits


class TestWrite:
    def test_a_group_is_written_and_read_back(self, engine, rig):
        values = {pv: 0.5 + index for index, pv in enumerate(rig.pvs.setpoints)}
        results = engine.write(values, rig.patience_s)
        assert {pv: (r.outcome, r.asked, r.held) for pv, r in results.items()} == {
            pv: (Outcome.OK, value, value) for pv, value in values.items()
        }

    def test_a_read_after_a_write_is_never_the_value_before(self, engine, rig):
        pv = rig.pvs.setpoints[1]
        for step in range(30):
            value = 0.1 * step - 1.0
            assert engine.write({pv: value}, rig.patience_s)[pv].outcome is Outcome.OK
            assert held_values(engine, rig, [pv]) == {pv: value}

    def test_the_write_is_published(self, engine, rig):
        pv = rig.pvs.setpoints[2]
        value = other_than(held_values(engine, rig, [pv])[pv])
        since = sequences(engine, [pv])
        engine.write({pv: value}, rig.patience_s)
        engine.wait([pv], since, 1, rig.patience_s)
        assert engine.latest([pv])[pv].value == value

    def test_completion_is_waited_for(self, engine, rig):
        slow, readback = rig.pvs.slow, rig.pvs.slow_readback
        for value in (1.5, 2.5):
            assert engine.write({slow: value}, rig.patience_s)[slow].outcome is Outcome.OK
            assert held_values(engine, rig, [readback])[readback] == pytest.approx(value, abs=rig.readback_tolerance)

    def test_refused(self, engine, rig):
        pv, healthy = rig.pvs.refusing, rig.pvs.setpoints[1]
        before = held_values(engine, rig, [pv])[pv]
        results = engine.write({pv: before + 1.0, healthy: 1.25}, rig.patience_s)
        assert (results[pv].outcome, results[pv].held) == (Outcome.REFUSED, before)
        assert results[pv].message
        assert results[healthy].outcome is Outcome.OK
        assert held_values(engine, rig, [pv]) == {pv: before}

    def test_altered(self, engine, rig):
        pv = rig.pvs.altering
        result = engine.write({pv: rig.altered_value}, rig.patience_s)[pv]
        assert result.outcome is Outcome.ALTERED
        assert result.asked == rig.altered_value
        assert result.held != rig.altered_value
        assert held_values(engine, rig, [pv]) == {pv: result.held}

    def test_a_put_that_does_not_end_is_unknown_and_blocks_the_next(self, engine, rig):
        pv, healthy = rig.pvs.held, rig.pvs.setpoints[0]
        before = held_values(engine, rig, [healthy])
        rig.hold_puts()
        assert engine.write({pv: 1.0}, rig.impatience_s)[pv].outcome is Outcome.UNKNOWN
        results = engine.write({pv: 2.0, healthy: other_than(before[healthy])}, rig.impatience_s)
        assert {r.outcome for r in results.values()} == {Outcome.BLOCKED}
        assert held_values(engine, rig, [healthy]) == before
        rig.release_puts()
        assert write_when_free(engine, rig, pv, 3.0).outcome is Outcome.OK


class TestBlocked:
    """Nothing is sent, also not for the healthy members of the group."""

    def check(self, engine, rig, bad, value):
        healthy = rig.pvs.setpoints[0]
        before = held_values(engine, rig, [healthy])
        results = engine.write({healthy: other_than(before[healthy]), bad: value}, rig.patience_s)
        assert {pv: r.outcome for pv, r in results.items()} == dict.fromkeys((healthy, bad), Outcome.BLOCKED)
        assert all(math.isnan(r.held) and bad in r.message for r in results.values())
        pass_updates(engine, rig, 2)
        assert held_values(engine, rig, [healthy]) == before

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_not_finite(self, engine, rig, value):
        self.check(engine, rig, rig.pvs.setpoints[1], value)

    def test_read_only(self, engine, rig):
        self.check(engine, rig, rig.pvs.readonly, 1.0)

    def test_text(self, engine, rig):
        self.check(engine, rig, rig.pvs.text, 1.0)

    def test_disconnected(self, engine, rig):
        neighbour = rig.start_neighbour()
        engine.start([neighbour], rig.patience_s)
        assert engine.write({neighbour: 1.0}, rig.patience_s)[neighbour].outcome is Outcome.OK
        since = sequences(engine, [neighbour])
        rig.kill_neighbour()
        with pytest.raises(ChannelConnectionError, match=neighbour):
            engine.wait([neighbour], since, 200, rig.patience_s)
        self.check(engine, rig, neighbour, 2.0)


class TestFrozen:
    """The connection stays and nothing answers: what libca shows for half a minute after an IOC got stuck."""

    def test_nothing_new_is_reported_as_stale(self, engine, rig):
        rig.freeze()
        since = sequences(engine, [rig.pvs.scanned])
        with pytest.raises(StaleReadingError, match=rig.pvs.scanned):
            engine.wait([rig.pvs.scanned], since, 100, rig.impatience_s)

    def test_latest_still_answers(self, engine, rig):
        rig.freeze()
        assert engine.latest(rig.pvs.all).keys() == set(rig.pvs.all)

    def test_a_read_fails(self, engine, rig):
        rig.freeze()
        with pytest.raises(ChannelConnectionError, match=rig.pvs.scanned):
            engine.read([rig.pvs.scanned], rig.impatience_s)

    def test_a_write_is_unknown_and_may_be_applied_later(self, engine, rig):
        pv = rig.pvs.setpoints[1]
        before = held_values(engine, rig, [pv])[pv]
        asked = other_than(before)
        rig.freeze()
        result = engine.write({pv: asked}, rig.impatience_s)[pv]
        assert result.outcome is Outcome.UNKNOWN
        assert math.isnan(result.held)
        rig.thaw()
        pass_updates(engine, rig, 3)
        assert held_values(engine, rig, [pv])[pv] in (before, asked)
        assert write_when_free(engine, rig, pv, 3.0).outcome is Outcome.OK
        assert held_values(engine, rig, [pv]) == {pv: 3.0}

    def test_close_does_not_hang(self, engine, rig):
        rig.freeze()
        engine.close()


class TestKilled:
    def test_nothing_is_trusted_any_more(self, engine, rig):
        pvs, scanned = rig.pvs, rig.pvs.scanned
        since = sequences(engine, pvs.all)
        rig.kill()
        with pytest.raises((ChannelConnectionError, StaleReadingError), match=scanned):
            engine.wait([scanned], since, 200, rig.patience_s)
        assert [pv for pv, r in engine.latest([scanned]).items() if r.is_valid] == []
        results = engine.write(dict.fromkeys(pvs.setpoints, 1.0), rig.impatience_s)
        assert {r.outcome for r in results.values()} <= {Outcome.BLOCKED, Outcome.UNKNOWN}
        with pytest.raises(ChannelConnectionError):
            engine.read(list(pvs.setpoints), rig.impatience_s)
        with pytest.raises(ChannelConnectionError):
            engine.meta(list(pvs.setpoints), rig.impatience_s)

    def test_a_write_right_after_is_never_ok(self, engine, rig):
        rig.kill()
        results = engine.write(dict.fromkeys(rig.pvs.setpoints, 1.0), rig.impatience_s)
        assert {r.outcome for r in results.values()} <= {Outcome.BLOCKED, Outcome.UNKNOWN}


class TestClose:
    def test_twice(self, engine):
        engine.close()
        engine.close()

    def test_without_start(self, stopped_engine):
        stopped_engine.close()

    def test_then_nothing_can_be_written(self, engine, rig):
        engine.close()
        results = engine.write(dict.fromkeys(rig.pvs.setpoints, 1.0), rig.impatience_s)
        assert {r.outcome for r in results.values()} == {Outcome.BLOCKED}
