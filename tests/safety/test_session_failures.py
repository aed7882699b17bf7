"""Whatever fails, at whatever moment, a run restores what it has moved."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.errors import (
    BeamControlError,
    ChannelConnectionError,
)
from beamctl.run.events import Outcome, Restored
from tests.safety.scenes import after_step, is_restored, of

WHEN = ["before", "after"]

INJECTED = [KeyboardInterrupt, OSError, ChannelConnectionError]


class TestFailures:
    def test_a_put_that_is_refused(self, rig):
        pv = rig.knobs[3].setpoint
        after_step(rig, 1, lambda: rig.faults.refusing.add(pv))
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert f"{pv}: " in result.reason
        assert "refused" in result.reason
        left = {line.setpoint_pv for line in result.restore if line.outcome is not RestoreOutcome.RESTORED}
        assert left == {pv} == rig.off()
        assert not result.restored

    def test_a_put_that_is_altered(self, rig):
        pv = rig.knobs[3].setpoint
        after_step(rig, 1, lambda: rig.faults.altering.update({pv: 0.4}))
        rig.clock.after(12.0, rig.faults.altering.clear)
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert "altered" in result.reason

    def test_an_ioc_that_freezes_in_a_put(self, rig):
        def freeze(put):
            if len(rig.puts) == 2 * len(rig.knobs):
                rig.clock.after(0.1, lambda: setattr(rig.faults, "frozen", True))
                rig.clock.after(25.0, lambda: setattr(rig.faults, "frozen", False))

        rig.on_put = freeze
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert "unknown" in result.reason
        assert is_restored(rig, result)

    def test_a_supply_that_does_not_follow(self, rig):
        knob = rig.knobs[3]
        after_step(
            rig,
            1,
            lambda: rig.faults.stuck.update({knob.readback: rig.engine.latest([knob.readback])[knob.readback].value}),
        )
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert knob.readback in result.reason
        assert rig.off() == set()
        assert {line.outcome for line in result.restore if line.setpoint_pv != knob.setpoint} == {
            RestoreOutcome.RESTORED
        }
        assert (
            next(line.outcome for line in result.restore if line.setpoint_pv == knob.setpoint) is RestoreOutcome.FAILED
        )

    @pytest.mark.parametrize("moment_s", [0.0, 0.2, 0.6, 1.0, 1.5, 2.0])
    def test_somebody_else_writes(self, rig, moment_s):
        knob, theirs = rig.knobs[3], 41.0
        after_step(
            rig,
            1,
            lambda: rig.clock.after(moment_s, lambda: (rig.foreign(knob.setpoint, theirs), sent.append(len(rig.puts)))),
        )
        sent = []
        result = rig.run(SvdAgent()).execute()
        assert rig.plant.setpoint(knob.setpoint) == theirs
        assert [p for p in rig.puts[sent[0] :] if p.pv == knob.setpoint] == []
        if result.outcome is not Outcome.REACHED:
            assert rig.off() == {knob.setpoint}
            lines = {line.setpoint_pv: line.outcome for line in result.restore}
            assert lines.pop(knob.setpoint) is RestoreOutcome.FOREIGN
            assert set(lines.values()) == {RestoreOutcome.RESTORED}
            assert not result.restored

    def test_connections_are_lost_for_good(self, rig):
        after_step(rig, 1, lambda: rig.faults.lost.update(rig.plant.channels))
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert not result.restored
        assert {line.outcome for line in result.restore} == {RestoreOutcome.FAILED}
        assert math.isnan(result.final["rms_mm"]), "nobody has measured"

    def test_a_listener_that_fails_is_told_no_more(self, rig):
        """Nothing depends on who watches."""

        def fail(event):
            raise BrokenPipeError

        rig.on_event = fail
        result = rig.run().execute()
        assert result.outcome is Outcome.REACHED
        assert len(rig.events) == 1


class TestAtAnyMoment:
    """Whatever happens at the n-th call of the engine, for each n: restored, or told otherwise.

    The quick sweeps take every seventh or ninth call, those marked slow take all.
    """

    def calls_of_a_run(self, make_rig) -> int:
        rig = make_rig()
        assert rig.run().execute().outcome is Outcome.REACHED
        return len(rig.engine.calls)

    @pytest.mark.parametrize(
        ("when", "stride"), [("before", 7), ("after", 9), *[pytest.param(w, 1, marks=pytest.mark.slow) for w in WHEN]]
    )
    def test_abort(self, make_rig, when, stride):
        aborted = 0
        calls = range(1, self.calls_of_a_run(make_rig) + 1, stride)
        for n in calls:
            rig = make_rig()
            run = rig.run()
            setattr(rig.engine, when, lambda call, name, n=n, run=run: run.abort() if call == n else None)
            result = run.execute()
            aborted += result.outcome is Outcome.ABORTED
            if result.outcome is Outcome.ABORTED:
                assert is_restored(rig, result), (n, result)
            else:
                assert result.outcome is Outcome.REACHED
            assert rig.breaches() == []
        assert aborted > 0.8 * len(calls)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(at=st.floats(0.0, 12.0))
    def test_abort_at_any_time(self, make_rig, at):
        rig = make_rig()
        run = rig.run(SvdAgent())
        rig.clock.after(at, run.abort)
        result = run.execute()
        assert result.outcome is Outcome.REACHED or is_restored(rig, result)
        assert rig.breaches() == []

    @pytest.mark.parametrize(
        ("error", "when", "stride"),
        [
            *[(error, when, 9) for error in INJECTED for when in WHEN],
            *[pytest.param(error, when, 1, marks=pytest.mark.slow) for error in INJECTED for when in WHEN],
        ],
    )
    def test_an_exception(self, make_rig, error, when, stride):
        for n in range(1, self.calls_of_a_run(make_rig) + 1, stride):
            rig = make_rig()

            def fail(call, name, n=n):
                if call == n:
                    raise error("injected")

            setattr(rig.engine, when, fail)
            try:
                result = rig.run().execute()
            except (error, BeamControlError):
                result = None
            assert rig.breaches() == []
            restored = of(rig, Restored)
            if result is not None and result.outcome is Outcome.REACHED:
                continue
            if not restored:
                assert rig.puts == [], n
                continue
            told = {line.setpoint_pv for line in restored[0].lines if line.outcome not in
                    (RestoreOutcome.RESTORED, RestoreOutcome.UNTOUCHED)}  # fmt: skip
            assert rig.off() == told == set(), (n, rig.engine.calls[n - 1])

    @pytest.mark.parametrize("gap", [1, 2, 5])
    def test_two_interrupts(self, make_rig, gap):
        """The second one, in the restore, does not stop it."""
        for n in range(20, self.calls_of_a_run(make_rig) + 1, 11):
            rig = make_rig()

            def fail(call, name, n=n):
                if call in (n, n + gap):
                    raise KeyboardInterrupt

            rig.engine.before = fail
            try:
                rig.run().execute()
            except KeyboardInterrupt:
                if rig.puts:
                    assert of(rig, Restored)
                    assert rig.off() == set(), n
                assert rig.breaches() == []
