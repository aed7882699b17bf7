"""The guard against everything that can be wrong with a machine; the judge is the machine's log of puts."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamctl.engine.restore import REVERIFY_S, RestoreOutcome
from beamctl.engine.setpoints import WRITE_TIMEOUT_S
from beamctl.errors import (
    ChannelConnectionError,
    EngineError,
    ForeignWriteError,
    PermitLostError,
    ReadbackMismatchError,
    RunAbortedError,
    SetpointLimitError,
    StaleReadingError,
    WriteFailedError,
)

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.just(float("1e400")) | st.floats(-100, 100)
"""machine units, A: anything at all"""


def outcomes(report) -> dict[str, RestoreOutcome]:
    return {line.setpoint_pv: line.outcome for line in report.lines}


class TestArming:
    """Refuses a machine that is not fit, names every fault, and writes nothing whatever it finds."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, rig):
        yield
        assert rig.puts == []

    def refusal(self, rig, error: type[EngineError]) -> str:
        with pytest.raises(error) as caught:
            rig.armed()
        return str(caught.value)

    def test_a_good_machine(self, rig):
        snapshot = rig.armed().snapshot
        assert dict(zip(rig.start, snapshot.setpoint_a, strict=True)) == rig.start
        assert snapshot.identity == "CAFE2-SIMULATED"
        with pytest.raises(ValueError, match="read-only"):
            snapshot.setpoint_a[0] = 0.0

    def test_missing_pvs(self, rig):
        gone = {rig.knobs[0].readback, rig.layout.channels[3], rig.layout.permit}
        rig.faults.lost |= gone
        message = self.refusal(rig, ChannelConnectionError)
        assert {pv for pv in rig.layout.all_pvs if pv in message} == gone

    @pytest.mark.parametrize("limits", [(math.nan, math.nan), (0.0, 0.0), (5.0, -5.0), (-math.inf, math.inf)])
    def test_missing_limits(self, rig, limits):
        bad = {rig.knobs[2].setpoint, rig.knobs[7].setpoint}
        for pv in bad:
            rig.limit(pv, *limits)
        message = self.refusal(rig, SetpointLimitError)
        assert {pv for pv in rig.start if pv in message} == bad

    def test_read_only(self, rig):
        bad = {rig.knobs[1].setpoint, rig.knobs[4].setpoint}
        for pv in bad:
            rig.plant.channels[pv] = replace(rig.plant.channels[pv], writable=False)
        message = self.refusal(rig, SetpointLimitError)
        assert {pv for pv in rig.start if pv in message} == bad

    def test_limits_that_exclude_each_other(self, rig):
        rig.limit(rig.knobs[0].setpoint, 80.0, 90.0)
        assert rig.knobs[0].setpoint in self.refusal(rig, SetpointLimitError)

    def test_a_setpoint_outside_the_limits_of_the_ioc(self, rig):
        pv, value = max(rig.start.items(), key=lambda item: abs(item[1]))
        rig.limit(pv, -abs(value) / 2, abs(value) / 2)
        assert f"{pv}: {value:.4g} A is outside" in self.refusal(rig, SetpointLimitError)

    def test_supplies_that_are_elsewhere(self, rig):
        bad = {rig.knobs[0].readback, rig.knobs[9].readback}
        rig.faults.stuck |= dict.fromkeys(bad, 60.0)
        message = self.refusal(rig, ReadbackMismatchError)
        assert {k.readback for k in rig.knobs if k.readback in message} == bad

    def test_another_machine(self, rig):
        rig.layout = replace(rig.layout, accepted=("OTHER",))
        assert "says 'CAFE2-SIMULATED', expected one of 'OTHER'" in self.refusal(rig, PermitLostError)

    def test_no_permit(self, rig):
        rig.permit(False)
        message = self.refusal(rig, PermitLostError)
        assert rig.layout.permit in message
        assert rig.layout.current in message

    def test_everything_at_once(self, rig):
        rig.layout = replace(rig.layout, accepted=("OTHER",))
        rig.faults.stuck[rig.layout.current] = 0.0
        rig.faults.invalid.add(rig.knobs[5].setpoint)
        rig.faults.stuck[rig.knobs[6].readback] = 70.0
        rig.limit(rig.knobs[3].setpoint, 0.0, 0.0)
        named = self.refusal(rig, PermitLostError)
        wrong = [rig.layout.identity, rig.layout.current, rig.knobs[5].setpoint, rig.knobs[6].readback]
        assert [pv for pv in [*wrong, rig.knobs[3].setpoint] if pv not in named] == []

    @pytest.mark.parametrize("kind", ["silent", "stuck", "not_finite", "invalid", "frozen"])
    def test_a_dead_heartbeat(self, rig, kind):
        rig.engine.after = lambda n, name: BREAK[kind](rig, rig.layout.heartbeat) if name == "start" else None
        assert rig.layout.heartbeat in self.refusal(rig, StaleReadingError)

    def test_without_arming_nothing_goes(self, rig, moved):
        for action in (lambda g: g.move(moved(rig, 1.0)), lambda g: g.restore(), lambda g: g.snapshot):
            with pytest.raises(EngineError):
                action(rig.guard())


class TestLimits:
    """No setpoint outside min(description, IOC), none further than a step; 0 breaches by the log."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(proposals=st.lists(st.lists(NUMBERS, min_size=10, max_size=10), min_size=1, max_size=6))
    def test_any_proposal(self, make_rig, proposals):
        rig = make_rig()
        rig.limit(rig.knobs[0].setpoint, -30.0, 30.0)
        rig.limit(rig.knobs[1].setpoint, -200.0, 200.0)
        guard = rig.armed()
        for proposal in proposals:
            sent = len(rig.puts)
            try:
                guard.move(np.array(proposal))
            except SetpointLimitError:
                assert len(rig.puts) == sent
        report = guard.restore()
        assert rig.breaches() == []
        assert report.is_complete
        assert rig.off() == set()

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(changes=st.lists(st.lists(st.floats(-15, 15), min_size=10, max_size=10), min_size=1, max_size=8))
    def test_any_walk_is_restored_in_steps(self, make_rig, changes):
        rig = make_rig()
        guard = rig.armed()
        for change in changes:
            guard.move(np.clip(guard.present_setpoints() + change, -74.0, 74.0))
        assert guard.restore().is_complete
        assert rig.breaches() == []
        assert rig.off() == set()

    @pytest.mark.parametrize(
        "proposal",
        [np.zeros(9), np.zeros(11), np.zeros((1, 10)), 0.0, "no", None, [None] * 10, np.zeros(10, complex), ["1"] * 10],
    )
    def test_what_is_no_proposal(self, rig, proposal):
        with pytest.raises(SetpointLimitError, match="10 setpoints in A expected"):
            rig.armed().move(proposal)
        assert rig.puts == []

    def test_one_bad_knob_holds_all_others_up(self, rig, moved):
        wanted = moved(rig, 1.0)
        wanted[9] = math.nan
        with pytest.raises(SetpointLimitError, match=rig.knobs[9].setpoint):
            rig.armed().move(wanted)
        assert rig.puts == []

    def test_should_stop_is_asked_last(self, rig, moved):
        guard = rig.guard(lambda: True)
        guard.arm()
        with pytest.raises(RunAbortedError):
            guard.move(moved(rig, 1.0))
        assert rig.puts == []

    def test_a_setpoint_of_32_bits(self, rig, moved):
        """The IOC holds another number than asked; nobody else has written, and the way there ends."""
        sound = rig._sound_put
        rig._sound_put = lambda pv, value: sound(pv, float(np.float32(value)))
        guard = rig.armed()
        guard.move(moved(rig, 12.3456789))
        guard.approach(moved(rig, -20.987654321))
        assert guard.restore().is_complete
        assert len(rig.puts) < 100


def _freeze(rig, _):
    rig.faults.frozen = True


BREAK: dict[str, Callable] = {
    "silent": lambda rig, pv: rig.faults.silent.add(pv),
    "stuck": lambda rig, pv: rig.faults.stuck.update({pv: rig.engine.latest([pv])[pv].value}),
    "not_finite": lambda rig, pv: rig.faults.not_finite.add(pv),
    "invalid": lambda rig, pv: rig.faults.invalid.add(pv),
    "frozen": _freeze,
}


def heal(rig) -> None:
    """Everything is as new."""
    f = rig.faults
    for broken in (f.lost, f.silent, f.stuck, f.not_finite, f.invalid, f.refusing, f.altering, f.held):
        broken.clear()
    f.frozen = False
    rig.permit(True)


class TestBadData:
    """Nothing is written while anything is in doubt; when it is good again, all goes on."""

    CASES: ClassVar = [
        *[(kind, "heartbeat") for kind in BREAK],
        *[(kind, "current") for kind in BREAK if kind != "frozen"],
        *[(kind, "readback") for kind in ("silent", "not_finite", "invalid")],
        *[(kind, "bpm") for kind in ("silent", "not_finite", "invalid")],
        *[(kind, "permit") for kind in ("not_finite", "invalid")],
        *[(kind, "setpoint") for kind in ("not_finite", "invalid")],
    ]

    @pytest.mark.parametrize(("kind", "what"), CASES)
    def test_nothing_is_written(self, rig, moved, kind, what):
        guard = rig.armed()
        guard.measure()
        guard.move(moved(rig, 1.0))
        sent = len(rig.puts)
        pv = {
            "heartbeat": rig.layout.heartbeat,
            "current": rig.layout.current,
            "readback": rig.knobs[3].readback,
            "bpm": rig.layout.channels[4],
            "permit": rig.layout.permit,
            "setpoint": rig.knobs[3].setpoint,
        }[what]
        BREAK[kind](rig, pv)
        rig.clock.sleep(2.5)
        for _ in range(3):
            with pytest.raises((StaleReadingError, PermitLostError)):
                guard.move(moved(rig, 2.0))
            rig.clock.sleep(0.5)
        assert len(rig.puts) == sent
        heal(rig)
        rig.clock.sleep(1.0)
        guard.move(moved(rig, 2.0))
        assert len(rig.puts) == sent + len(rig.knobs)

    def test_a_permit_that_is_low(self, rig, moved):
        guard = rig.armed()
        rig.permit(False)
        with pytest.raises(PermitLostError, match=rig.layout.permit):
            guard.move(moved(rig, 1.0))
        assert rig.puts == []

    def test_a_current_that_repeats_itself_for_a_moment_is_alive(self, rig, moved):
        """A digitised reading may be the same twice; a look or two later it is not."""
        guard = rig.armed()
        guard.move(moved(rig, 1.0))
        current = rig.layout.current
        BREAK["stuck"](rig, current)
        guard.move(moved(rig, 1.5))
        rig.clock.after(0.9, lambda: rig.faults.stuck.pop(current))
        guard.move(moved(rig, 2.0))

    def test_a_readback_that_goes_silent_while_it_ramps(self, rig, moved):
        """Sent, but not verified: waits, and then verifies without another put."""
        guard = rig.armed()
        rig.on_put = lambda put: rig.faults.silent.add(rig.knobs[0].readback)
        with pytest.raises(StaleReadingError, match=rig.knobs[0].readback):
            guard.move(moved(rig, 3.0))
        sent = len(rig.puts)
        rig.faults.silent.clear()
        guard.move(moved(rig, 3.0))
        assert len(rig.puts) == sent == len(rig.knobs)

    def test_a_supply_that_trips_between_two_steps(self, rig, moved):
        guard = rig.armed()
        guard.move(moved(rig, 1.0))
        sent = len(rig.puts)
        rig.faults.stuck[rig.knobs[2].readback] = 0.0
        rig.clock.sleep(0.2)
        with pytest.raises(ReadbackMismatchError, match=rig.knobs[2].readback):
            guard.move(moved(rig, 2.0))
        assert len(rig.puts) == sent

    def test_another_machine_in_mid_run(self, rig, moved):
        guard = rig.armed()
        guard.move(moved(rig, 1.0))
        sent = len(rig.puts)
        rig.plant.machine = rig.plant.machine.model_copy(
            update={"identity": rig.plant.machine.identity.model_copy(update={"simulated": "CAFE3"})}
        )
        rig.engine._engine._history[rig.layout.identity].append(
            replace(rig.engine._engine._history[rig.layout.identity][-1], value="CAFE3")
        )
        with pytest.raises(PermitLostError, match="CAFE3"):
            guard.move(moved(rig, 2.0))
        report = guard.restore()
        assert len(rig.puts) == sent
        assert not report.is_complete
        assert all("CAFE3" in line.message for line in report.lines)


class TestFailedPuts:
    """No further put on any PV; the restore tells the truth per PV."""

    def test_refused(self, rig, moved):
        guard, bad = rig.armed(), rig.knobs[4].setpoint
        rig.faults.refusing.add(bad)
        with pytest.raises(WriteFailedError, match=f"{bad}: .*refused"):
            guard.move(moved(rig, 2.0))
        report = guard.restore()
        assert set(outcomes(report).values()) == {RestoreOutcome.RESTORED}
        assert rig.off() == set()
        assert rig.breaches() == []

    def test_refused_while_restoring(self, rig, moved):
        guard, bad = rig.armed(), rig.knobs[4].setpoint
        guard.move(moved(rig, 2.0))
        rig.faults.refusing.add(bad)
        report = guard.restore()
        assert not report.is_complete
        assert {pv for pv, o in outcomes(report).items() if o is not RestoreOutcome.RESTORED} == {bad} == rig.off()
        assert "refused by the IOC" in next(line.message for line in report.lines if line.setpoint_pv == bad)

    def test_altered(self, rig, moved):
        guard, bad = rig.armed(), rig.knobs[4].setpoint
        rig.faults.altering[bad] = 0.7
        with pytest.raises(WriteFailedError, match=f"{bad}: .*altered"):
            guard.move(moved(rig, 2.0))
        rig.faults.altering.clear()
        assert guard.restore().is_complete
        assert rig.off() == set()

    def test_altered_while_restoring(self, rig, moved):
        guard, bad = rig.armed(), rig.knobs[4].setpoint
        guard.move(moved(rig, 2.0))
        rig.faults.altering[bad] = 0.7
        report = guard.restore()
        assert {pv for pv, o in outcomes(report).items() if o is RestoreOutcome.FAILED} == {bad} == rig.off()

    def test_a_put_that_never_ends(self, rig, moved):
        """The IOC has the value, but the put stays outstanding and blocks its PV; the others go back."""
        guard, bad = rig.armed(), rig.knobs[4].setpoint
        rig.faults.held.add(bad)
        with pytest.raises(WriteFailedError, match=f"{bad}: .*unknown"):
            guard.move(moved(rig, 2.0))
        report = guard.restore()
        assert {pv for pv, o in outcomes(report).items() if o is RestoreOutcome.FAILED} == {bad} == rig.off()
        assert "outstanding" in next(line.message for line in report.lines if line.setpoint_pv == bad)

    def test_a_put_that_ends_late(self, rig, moved):
        guard, bad = rig.armed(), rig.knobs[4].setpoint
        rig.faults.held.add(bad)
        rig.clock.after(WRITE_TIMEOUT_S + 5.0, rig.faults.held.clear)
        with pytest.raises(WriteFailedError, match="unknown"):
            guard.move(moved(rig, 2.0))
        assert guard.restore().is_complete
        assert rig.off() == set()

    def test_unreadable_and_refusing_together(self, rig, moved):
        guard = rig.armed()
        guard.move(moved(rig, 2.0))
        rig.faults.lost.add(rig.knobs[0].setpoint)
        rig.faults.refusing.add(rig.knobs[1].setpoint)
        report = guard.restore()
        bad = {rig.knobs[0].setpoint, rig.knobs[1].setpoint}
        assert {pv for pv, o in outcomes(report).items() if o is RestoreOutcome.FAILED} == bad == rig.off()


class TestLatePuts:
    """A put whose outcome is unknown may be applied at any time: watched before and after the restore."""

    def frozen_in_a_put(self, rig, moved, change=10.0):
        guard = rig.armed()
        guard.move(moved(rig, 1.0))
        rig.engine.before = lambda n, name: setattr(rig.faults, "frozen", rig.faults.frozen or name == "write")
        with pytest.raises(WriteFailedError, match="unknown"):
            guard.move(moved(rig, change))
        rig.engine.before = lambda n, name: None
        return guard

    @pytest.mark.parametrize("thaw_s", [0.3, 3.0, 15.0, 25.0])
    def test_the_late_put_is_undone(self, rig, moved, thaw_s):
        guard = self.frozen_in_a_put(rig, moved)
        rig.clock.after(thaw_s, lambda: setattr(rig.faults, "frozen", False))
        report = guard.restore()
        late = [p for p in rig.puts if math.isclose(p.value, moved(rig, 10.0)[0]) and p.pv == rig.knobs[0].setpoint]
        assert len(late) == 1, "the IOC applied it when it went on"
        assert report.is_complete
        assert rig.off() == set()
        first_restore = next(p.at for p in rig.puts if p.at > late[0].at)
        assert first_restore - late[0].at >= REVERIFY_S - 1.0
        assert rig.breaches() == []

    def test_one_that_lands_after_the_restore(self, rig, moved):
        """On another circuit, say: the put of one PV comes seconds after its restore."""
        guard, pv = rig.armed(), rig.knobs[0].setpoint
        guard.move(moved(rig, 1.0))
        ghost = float(moved(rig, 10.0)[0])

        def lose(n, name):
            if name == "write":
                rig.faults.held.add(pv)

        rig.engine.before = lose
        with pytest.raises(WriteFailedError, match="unknown"):
            guard.move(moved(rig, 10.0))
        rig.engine.before = lambda n, name: None
        rig.faults.held.clear()

        def restored(put):
            if put.pv == pv and math.isclose(put.value, rig.start[pv]) and not landed:
                landed.append(put.at)
                rig.clock.after(4.0, lambda: rig.foreign(pv, ghost))

        landed: list[float] = []
        rig.on_put = restored
        report = guard.restore()
        assert landed
        assert report.is_complete
        assert rig.off() == set()

    def test_an_ioc_that_never_comes_back(self, rig, moved):
        guard = self.frozen_in_a_put(rig, moved)
        sent, began = len(rig.puts), rig.clock.now()
        report = guard.restore()
        assert len(rig.puts) == sent
        assert rig.clock.now() - began < 120
        assert set(outcomes(report).values()) == {RestoreOutcome.FAILED}
        assert all(line.message for line in report.lines)

    def test_an_ioc_that_freezes_while_restoring(self, rig, moved):
        guard = rig.armed()
        for change in (10.0, 20.0):
            guard.move(moved(rig, change))

        def freeze(put):
            rig.on_put = lambda _: None
            rig.clock.after(0.5, lambda: setattr(rig.faults, "frozen", True))
            rig.clock.after(10.0, lambda: setattr(rig.faults, "frozen", False))

        rig.on_put = freeze
        assert guard.restore().is_complete
        assert rig.off() == set()
        assert rig.breaches() == []


class TestForeignWrites:
    """A setpoint that somebody else has moved is theirs."""

    def test_between_two_steps(self, rig, moved):
        guard, pv = rig.armed(), rig.knobs[2].setpoint
        guard.move(moved(rig, 1.0))
        sent = len(rig.puts)
        rig.foreign(pv, 33.0)
        with pytest.raises(ForeignWriteError, match=f"someone else moved: {pv}"):
            guard.move(moved(rig, 2.0))
        assert len(rig.puts) == sent
        report = guard.restore()
        assert {pv for pv, o in outcomes(report).items() if o is RestoreOutcome.FOREIGN} == {pv} == rig.off()
        assert rig.plant.setpoint(pv) == 33.0
        assert not report.is_complete

    def test_back_to_a_value_of_an_earlier_step(self, rig, moved):
        """Known to us, but not by us."""
        guard, pv = rig.armed(), rig.knobs[2].setpoint
        guard.move(moved(rig, 1.0))
        guard.move(moved(rig, 2.0))
        rig.foreign(pv, float(moved(rig, 1.0)[2]))
        with pytest.raises(ForeignWriteError, match=f"someone else moved: {pv}"):
            guard.move(moved(rig, 3.0))
        assert outcomes(guard.restore())[pv] is RestoreOutcome.FOREIGN

    def test_while_the_supply_ramps(self, rig, moved):
        """Our value was taken, and another is there when the put ends: theirs, not altered by the IOC."""
        guard, pv = rig.armed(), rig.knobs[2].setpoint

        def interfere(put):
            rig.on_put = lambda _: None
            rig.clock.after(0.5, lambda: rig.foreign(pv, 33.0))

        rig.on_put = interfere
        with pytest.raises(ForeignWriteError, match=pv):
            guard.move(moved(rig, 10.0))
        report = guard.restore()
        assert {pv for pv, o in outcomes(report).items() if o is RestoreOutcome.FOREIGN} == {pv} == rig.off()

    def test_while_measuring(self, rig, moved):
        guard, pv = rig.armed(), rig.knobs[2].setpoint
        guard.move(moved(rig, 1.0))
        rig.clock.after(0.2, lambda: rig.foreign(pv, 33.0))
        with pytest.raises(ForeignWriteError, match=f"someone else moved: {pv}"):
            guard.measure()

    def test_while_restoring(self, rig, moved):
        guard, pv = rig.armed(), rig.knobs[2].setpoint
        for change in (12.0, 24.0):
            guard.move(moved(rig, change))

        def interfere(put):
            rig.on_put = lambda _: None
            rig.clock.after(0.5, lambda: rig.foreign(pv, 33.0))

        rig.on_put = interfere
        report = guard.restore()
        assert {pv for pv, o in outcomes(report).items() if o is not RestoreOutcome.RESTORED} == {pv} == rig.off()
        assert outcomes(report)[pv] in (RestoreOutcome.FOREIGN, RestoreOutcome.FAILED)
        assert rig.plant.setpoint(pv) == 33.0

    def test_somebody_else_has_restored_it(self, rig, moved):
        guard, pv = rig.armed(), rig.knobs[2].setpoint
        guard.move(moved(rig, 1.0))
        rig.foreign(pv, rig.start[pv])
        assert guard.restore().is_complete


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
