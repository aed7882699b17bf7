"""The way back to the snapshot, and how far a run may go from it; the judge is the log of puts."""

from dataclasses import replace

import pytest

from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import (
    ChannelConnectionError,
    SetpointLimitError,
)
from tests.safety.scenes import BREAK, heal, outcomes


class TestRestore:
    """Never raises, writes nothing that could do harm, and tells what became of each knob."""

    def test_nothing_was_moved(self, rig):
        report = rig.armed().restore()
        assert set(outcomes(report).values()) == {RestoreOutcome.UNTOUCHED}
        assert report.is_complete
        assert rig.puts == []

    def test_nothing_was_moved_and_the_ioc_is_gone(self, rig):
        guard = rig.armed()
        rig.faults.lost |= set(rig.plant.channels)
        report = guard.restore()
        assert set(outcomes(report).values()) == {RestoreOutcome.UNVERIFIED}
        assert not report.is_complete

    def test_without_permit_nothing_is_written(self, rig, moved):
        guard = rig.armed()
        guard.move(moved(rig, 5.0))
        sent, began = len(rig.puts), rig.clock.now()
        rig.permit(False)
        report = guard.restore()
        assert len(rig.puts) == sent
        assert rig.clock.now() - began < 10.0
        assert set(outcomes(report).values()) == {RestoreOutcome.FAILED}
        assert all(f"no beam permit: {rig.layout.permit}" in line.message for line in report.lines)

    def test_the_permit_falls_on_the_way(self, rig, moved):
        guard = rig.armed()
        for change in (12.0, 24.0):
            guard.move(moved(rig, change))

        def fall(put):
            rig.on_put = lambda _: None
            rig.clock.after(0.3, lambda: rig.permit(False))

        rig.on_put = fall
        before = len(rig.puts)
        report = guard.restore()
        assert len(rig.puts) == before + len(rig.knobs), "one group was under way, no other followed"
        assert not report.is_complete

    def test_without_beam_it_restores(self, rig, moved):
        """The permit is what allows it; a beam that is off otherwise is no reason to leave the knobs."""
        guard = rig.armed()
        guard.move(moved(rig, 5.0))
        rig.faults.stuck[rig.layout.current] = 0.0
        assert guard.restore().is_complete

    @pytest.mark.parametrize("kind", ["silent", "stuck", "frozen"])
    def test_a_dead_ioc_is_waited_for(self, rig, moved, kind):
        guard = rig.armed()
        guard.move(moved(rig, 5.0))
        BREAK[kind](rig, rig.layout.heartbeat)
        rig.clock.sleep(3.0)
        sent = len(rig.puts)
        rig.clock.after(20.0, lambda: (setattr(rig, "_sent", len(rig.puts)), heal(rig)))
        assert guard.restore().is_complete
        assert rig._sent == sent
        assert rig.off() == set()

    @pytest.mark.parametrize("kind", ["silent", "stuck", "frozen"])
    def test_a_dead_ioc_that_stays_dead(self, rig, moved, kind):
        guard = rig.armed()
        guard.move(moved(rig, 5.0))
        BREAK[kind](rig, rig.layout.heartbeat)
        rig.clock.sleep(3.0)
        sent, began = len(rig.puts), rig.clock.now()
        report = guard.restore()
        assert len(rig.puts) == sent
        assert rig.clock.now() - began < 120.0
        assert set(outcomes(report).values()) == {RestoreOutcome.FAILED}
        assert all(rig.layout.heartbeat in line.message for line in report.lines)

    def test_connections_that_come_back(self, rig, moved):
        guard = rig.armed()
        guard.move(moved(rig, 5.0))
        rig.faults.lost |= set(rig.plant.channels)
        rig.clock.after(20.0, rig.faults.lost.clear)
        assert guard.restore().is_complete

    @pytest.mark.parametrize("kind", ["stuck", "invalid", "not_finite"])
    def test_a_readback_that_does_not_follow(self, rig, moved, kind):
        guard, knob = rig.armed(), rig.knobs[6]
        guard.move(moved(rig, 5.0))
        BREAK[kind](rig, knob.readback)
        report = guard.restore()
        assert {pv for pv, o in outcomes(report).items() if o is RestoreOutcome.FAILED} == {knob.setpoint}
        assert rig.off() == set(), "its setpoint was put back all the same"
        assert knob.readback in next(line.message for line in report.lines if line.setpoint_pv == knob.setpoint)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ChannelConnectionError])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_an_exception_at_any_call(self, make_rig, moved, error, when):
        """At the n-th call of the engine, for each n: restored, and interrupts handed on."""
        n, interrupts = 0, 0
        while True:
            n += 1
            rig = make_rig()
            guard = rig.armed()
            for change in (10.0, 20.0):
                guard.move(moved(rig, change))
            done = len(rig.engine.calls)

            def fail(call, name, n=n, done=done):
                if call == done + n:
                    raise error("injected")

            setattr(rig.engine, when, fail)
            report = guard.restore()
            assert report.is_complete, (n, report.lines)
            assert rig.off() == set()
            assert rig.breaches() == []
            interrupts += report.interrupt is not None
            if len(rig.engine.calls) < done + n:
                break
        assert n > 10
        assert interrupts == (0 if issubclass(error, Exception) else n - 1)

    def test_an_engine_that_always_fails(self, rig, moved):
        guard = rig.armed()
        guard.move(moved(rig, 5.0))

        def fail(call, name):
            raise RuntimeError("libca is gone")

        rig.engine.before = fail
        report = guard.restore()
        assert not report.is_complete
        assert all("libca is gone" in line.message for line in report.lines)


class TestTravel:
    """A run may be kept near where it found its knobs, whatever the limits are."""

    def test_nothing_is_written_further_away_than_that(self, make_rig, moved):
        rig = make_rig()
        rig.layout = replace(rig.layout, knobs=tuple(replace(k, travel=5.0) for k in rig.layout.knobs))
        guard = rig.armed()
        guard.move(moved(rig, 4.0))
        before = len(rig.puts)
        with pytest.raises(SetpointLimitError, match="outside"):
            guard.move(moved(rig, 6.0))
        assert len(rig.puts) == before
        assert guard.restore().is_complete
        assert rig.off() == set()

    def test_a_run_stops_at_that_distance(self, make_rig):
        rig = make_rig()
        rig.layout = replace(rig.layout, knobs=tuple(replace(k, travel=2.0) for k in rig.layout.knobs))
        rig.run(max_steps=4).execute()
        assert rig.puts
        assert all(abs(p.value - rig.start[p.pv]) <= 2.0 + 1e-6 for p in rig.puts)
