"""The guard against everything that can be wrong with a machine; the judge is the machine's log of puts."""

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamctl.errors import (
    ChannelConnectionError,
    EngineError,
    PermitLostError,
    ReadbackMismatchError,
    RunAbortedError,
    SetpointLimitError,
    StaleReadingError,
)
from tests.safety.scenes import BREAK, heal

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.just(float("1e400")) | st.floats(-100, 100)
"""machine units, A: anything at all"""


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
