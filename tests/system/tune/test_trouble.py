"""Other people, and IOCs that are not there, not there any more, or stand still."""

import itertools
import os
import subprocess
import sys

import pytest

from beamctl.settings import Settings
from beamctl.wiring.deployment import Deployment
from tests.system.tune.conftest import ROOT, SPEED, UNREACHABLE, end_of, outcomes, result_of

pytestmark = pytest.mark.system


class TestOtherPeople:
    def test_a_foreign_write(self, machine):
        process = machine.begin(*UNREACHABLE, "--json")
        machine.wait_for_puts(2)
        theirs = machine.setpoints[4]
        machine.put(theirs, 33.25)
        code, result = result_of(process)
        assert (code, result["outcome"], result["restored"]) == (1, "failed", False)
        left = {pv: outcome for pv, outcome in outcomes(result).items() if outcome != "restored"}
        assert left == {theirs: "left alone: changed by someone else"}
        assert machine.off() == {theirs}
        assert machine.held()[theirs] == 33.25

    def test_the_permit_falls_and_comes_back(self, machine):
        process = machine.begin("--algorithm", "svd", "--target-mm", "0.01", "--max-steps", "4", "--json")
        machine.wait_for_puts(1)
        machine.put(machine.layout.permit, 0)
        machine.beats(100)  # what was under way has ended
        quiet = machine._seq()
        machine.beats(200)
        assert machine._seq() == quiet
        assert process.poll() is None
        machine.put(machine.layout.permit, 1)
        code, result = result_of(process)
        assert (code, result["outcome"]) == (1, "not reached")
        assert machine._seq() != quiet
        assert machine.breaches() == []

    @pytest.mark.slow
    def test_the_permit_falls_for_good(self, machine):
        process = machine.begin(*UNREACHABLE, "--json")
        machine.wait_for_puts(2)
        machine.put(machine.layout.permit, 0)
        machine.beats(100)
        quiet = machine._seq()
        code, result = result_of(process)
        assert machine._seq() == quiet
        assert (code, result["outcome"], result["restored"]) == (1, "failed", False)
        assert outcomes(result) == dict.fromkeys(machine.setpoints, "NOT restored")
        assert all(machine.layout.permit in line["message"] for line in result["restore"])


class TestNotThere:
    def test_no_ioc(self):
        prefix = "NOBODY:"
        process = subprocess.Popen(
            [sys.executable, "-m", "beamctl", "--prefix", prefix, "tune", "cm1-orbit"],
            cwd=ROOT, env=os.environ | {"BEAMCTL_CONNECT_TIMEOUT_S": "1.5"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        code, _, err = end_of(process)
        assert code == 2
        told = "".join(err.split())
        assert [
            pv for pv in Deployment(Settings(prefix=prefix)).kit("cm1-orbit").layout().all_pvs if pv not in told
        ] == []

    def test_some_pvs_are_missing(self, start_soft_ioc):
        gone = ["HCM1_PS:DCV_02:ISet", "HCM1_PS:DCH_04:IMon", "Bpm:8-X11"]
        ioc = start_soft_ioc(*(option for pv in gone for option in ("--without", pv)), "--speed", SPEED)
        layout = Deployment(Settings(prefix=ioc.prefix)).kit("cm1-orbit").layout()
        process = subprocess.Popen(
            [sys.executable, "-m", "beamctl", "--prefix", ioc.prefix, "tune", "cm1-orbit", "--json"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        code, result = result_of(process)
        ioc.process.close()
        assert code == 2
        assert result["writes"] == 0
        assert {pv for pv in layout.all_pvs if pv in result["reason"]} == {ioc.name(pv) for pv in gone}


class TestIocFails:
    @pytest.mark.slow
    def test_killed(self, own_machine):
        process = own_machine.begin(*UNREACHABLE, "--json")
        own_machine.wait_for_puts(2)
        own_machine.ioc.process.kill()
        code, result = result_of(process)
        assert code == 1
        assert (result["outcome"], result["restored"]) == ("failed", False)
        assert outcomes(result) == dict.fromkeys(own_machine.setpoints, "NOT restored")
        assert all(line["message"] for line in result["restore"])
        assert result["final"]["rms_mm"] is None

    def test_frozen_and_thawed(self, own_machine):
        """Goes on, or is restored; and between two puts the field settles, so that none was queued meanwhile."""
        process = own_machine.begin("--algorithm", "svd", "--target-mm", "0.01", "--max-steps", "4", "--json")
        own_machine.wait_for_puts(2)
        own_machine.ioc.process.freeze()
        heartbeat = own_machine.layout.heartbeat
        while own_machine.engine.clock.now() - own_machine.engine.latest([heartbeat])[heartbeat].received < 6.0:
            own_machine.engine.clock.sleep(0.2)
        own_machine.ioc.process.thaw()
        own_machine.beats(1)
        marks = own_machine._seq()
        code, result = result_of(process)
        assert code == 1
        for pv in own_machine.setpoints:
            times = [r.received for r in own_machine.puts(pv, marks[pv])]
            assert all(later - earlier >= own_machine.layout.settle_s for earlier, later in itertools.pairwise(times))
        assert own_machine.breaches() == []
        if result["outcome"] == "failed":
            assert result["restored"]
            assert own_machine.off() == set()
        else:
            assert result["outcome"] == "not reached"

    @pytest.mark.slow
    def test_frozen_for_good(self, own_machine):
        process = own_machine.begin(*UNREACHABLE, "--json")
        own_machine.wait_for_puts(2)
        own_machine.ioc.process.freeze()
        code, result = result_of(process)
        assert (code, result["outcome"], result["restored"]) == (1, "failed", False)
        assert outcomes(result) == dict.fromkeys(own_machine.setpoints, "NOT restored")
