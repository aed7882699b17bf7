"""A run waits while something is bad, and goes on when it is good again."""

import re
from typing import ClassVar

import numpy as np
import pytest

from beamctl.agent.least_squares import SvdAgent
from beamctl.engine.restore import RestoreOutcome
from beamctl.run.events import Held, Outcome
from tests.safety.scenes import after_step, is_restored, of


class TestHold:
    """Bad data: nothing is written while it is bad, the run goes on when it is good again."""

    BREAK: ClassVar = {
        "permit low": lambda rig: rig.permit(False),
        "no beam": lambda rig: rig.faults.stuck.update({rig.layout.current: 0.0}),
        "current NaN": lambda rig: rig.faults.not_finite.add(rig.layout.current),
        "current INVALID": lambda rig: rig.faults.invalid.add(rig.layout.current),
        "current frozen": lambda rig: rig.faults.stuck.update({rig.layout.current: 2.4}),
        "current silent": lambda rig: rig.faults.silent.add(rig.layout.current),
        "heartbeat silent": lambda rig: rig.faults.silent.add(rig.layout.heartbeat),
        "heartbeat frozen": lambda rig: rig.faults.stuck.update({rig.layout.heartbeat: 7.0}),
        "IOC frozen": lambda rig: setattr(rig.faults, "frozen", True),
        "BPM NaN": lambda rig: rig.faults.not_finite.add(rig.layout.channels[5]),
        "BPM INVALID": lambda rig: rig.faults.invalid.add(rig.layout.channels[5]),
        "BPM silent": lambda rig: rig.faults.silent.add(rig.layout.channels[5]),
        "BPM out of range": lambda rig: rig.faults.stuck.update({rig.layout.channels[5]: 30.0}),
        "readback NaN": lambda rig: rig.faults.not_finite.add(rig.knobs[5].readback),
        "readback INVALID": lambda rig: rig.faults.invalid.add(rig.knobs[5].readback),
        "readback silent": lambda rig: rig.faults.silent.add(rig.knobs[5].readback),
        "setpoint INVALID": lambda rig: rig.faults.invalid.add(rig.knobs[5].setpoint),
    }

    @staticmethod
    def heal(rig) -> None:
        f = rig.faults
        for broken in (f.silent, f.stuck, f.not_finite, f.invalid):
            broken.clear()
        f.frozen = False
        rig.permit(True)

    @pytest.mark.parametrize("moment_s", [0.0, 0.75])
    @pytest.mark.parametrize("kind", BREAK)
    def test_goes_on_when_good_again(self, rig, kind, moment_s):
        """Broken some time after a measurement: before, while and after the next ramp."""

        def happen():
            rig.clock.after(moment_s, lambda: (self.BREAK[kind](rig), bad.append(rig.clock.now())))
            rig.clock.after(moment_s + 9.0, lambda: (bad.append(rig.clock.now()), self.heal(rig)))

        bad: list[float] = []
        after_step(rig, 1, happen)
        result = rig.run(SvdAgent()).execute()
        assert [p for p in rig.puts if bad[0] + 2.6 < p.at < bad[1]] == []
        if kind == "IOC frozen" and result.outcome is not Outcome.REACHED:
            assert is_restored(rig, result), "frozen in a put: its outcome is not known, and the run ends"
        else:
            assert result.outcome is Outcome.REACHED, result.reason
            assert of(rig, Held) or kind == "IOC frozen"
        assert rig.breaches() == []

    @pytest.mark.parametrize("kind", BREAK)
    def test_longer_than_the_limit_ends_it(self, rig, kind):
        after_step(rig, 1, lambda: (self.BREAK[kind](rig), bad.append(rig.clock.now())))
        bad = []
        result = rig.run(SvdAgent()).execute()
        assert result.outcome is Outcome.FAILED
        assert re.search(r"still bad after (3\d|30\d) s", result.reason)
        no_restore = kind in ("permit low", "heartbeat silent", "heartbeat frozen", "IOC frozen")
        if no_restore:
            assert [p for p in rig.puts if p.at > bad[0] + 2.6] == []
            assert not result.restored
            assert {line.outcome for line in result.restore} == {RestoreOutcome.FAILED}
            assert all(line.message for line in result.restore)
        else:
            self.heal(rig)
            flagged = {line.setpoint_pv for line in result.restore if line.outcome is not RestoreOutcome.RESTORED}
            assert flagged <= {rig.knobs[5].setpoint}
            assert rig.off() <= flagged
            assert result.restored == (flagged == set())

    def test_what_was_measured_before_a_hold_is_measured_again(self, rig):
        """A proposal from before is void: the agent is asked anew."""
        asked = []

        class Asked(SvdAgent):
            def propose(self, view):
                asked.append(view.history_mm[0, 2].copy())
                if len(asked) == 2:
                    rig.permit(False)
                    rig.clock.after(5.0, lambda: rig.permit(True))
                return super().propose(view)

        result = rig.run(Asked()).execute()
        assert result.outcome is Outcome.REACHED
        assert len(asked) == result.steps + 1
        assert (asked[1] != asked[2]).all()
        assert np.abs(asked[1] - asked[2]).max() < 0.5, "the same orbit, read again"

    def test_a_machine_that_comes_and_goes_for_ever(self, rig):
        def flap():
            rig.permit(False)
            rig.clock.after(1.0, lambda: rig.permit(True))
            rig.clock.after(6.7, flap)

        after_step(rig, 0, flap)
        rig.clock.after(2000.0, lambda: pytest.fail("it never ends"))
        result = rig.run(target_mm=0.011).execute()
        assert result.outcome in (Outcome.FAILED, Outcome.NOT_REACHED)
        assert rig.breaches() == []
