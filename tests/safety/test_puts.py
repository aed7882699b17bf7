"""Puts that fail, come late, or meet those of somebody else; the judge is the log of puts."""

import math

import pytest

from beamctl.engine.restore import REVERIFY_S, RestoreOutcome
from beamctl.engine.setpoints import WRITE_TIMEOUT_S
from beamctl.errors import (
    ForeignWriteError,
    WriteFailedError,
)
from tests.safety.scenes import outcomes


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
