"""Runs that reach their target, run out of steps, or are ended by people."""

import signal

import pytest

from beamctl.wiring.orbit import DEFAULT_AGENT
from tests.system.tune.conftest import PATIENCE_S, UNREACHABLE, Machine, end_of, outcomes, result_of

pytestmark = pytest.mark.system


class TestReached:
    @pytest.mark.parametrize(
        ("task", "algorithm"),
        [
            ("cm1-orbit", "tbsac"),
            ("cm2-orbit", "tbsac"),
            ("cm3-orbit", "tbsac"),
            ("cm1-orbit", "bls"),
            ("cm2-orbit", "svd"),
        ],
    )
    def test_target(self, shared_ioc, task, algorithm):
        machine = Machine(shared_ioc, task)
        try:
            machine.redraw(3)
            code, result = result_of(machine.begin("--algorithm", algorithm, "--json", task=task))
            assert code == 0, result
            assert (result["task"], result["algorithm"], result["outcome"]) == (task, algorithm, "reached")
            assert result["agent"] == (DEFAULT_AGENT if algorithm == "tbsac" else None)
            assert result["final"]["rms_mm"] < 0.5 < result["initial"]["rms_mm"]
            assert result["restored"] is False
            assert result["writes"] == sum(len(machine.puts(pv)) for pv in machine.setpoints) > 0
            assert machine.breaches() == []
            assert machine.off() != set()
        finally:
            machine.close()

    def test_for_people(self, machine):
        code, out, _ = end_of(machine.begin("--algorithm", "bls"))
        assert code == 0
        assert "first trend move" in out
        assert "reached" in out

    def test_already_there(self, machine):
        assert result_of(machine.begin("--algorithm", "bls", "--json"))[0] == 0
        marks = machine._seq()
        code, result = result_of(machine.begin("--algorithm", "bls", "--json"))
        assert (code, result["steps"], result["writes"]) == (0, 0, 0)
        assert machine._seq() == marks

    def test_budget(self, machine):
        code, result = result_of(
            machine.begin("--algorithm", "svd", "--target-mm", "0.01", "--max-steps", "2", "--json")
        )
        assert (code, result["outcome"], result["steps"]) == (1, "not reached", 2)
        assert machine.breaches() == []

    def test_advise_writes_nothing(self, machine):
        code, result = result_of(machine.begin("--advise", "--json"))
        assert (code, result["outcome"], result["writes"]) == (3, "advised", 0)
        assert len(result["advice"]["proposed_a"]) == len(machine.setpoints)
        assert machine.held() == machine.found
        assert machine._seq() == machine.marks
        assert end_of(machine.begin("--advise"))[0] == 3
        assert machine._seq() == machine.marks


class TestEndedByPeople:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_restores_and_says_so_per_pv(self, machine, number):
        process = machine.begin(*UNREACHABLE, "--json")
        machine.wait_for_puts(2)
        process.send_signal(number)
        code, result = result_of(process)
        assert (code, result["outcome"], result["restored"]) == (1, "aborted", True)
        assert outcomes(result) == dict.fromkeys(machine.setpoints, "restored")
        assert machine.off() == set()
        assert machine.breaches() == []
        assert abs(result["final"]["rms_mm"] - result["initial"]["rms_mm"]) < 0.3

    def test_for_people(self, machine):
        process = machine.begin(*UNREACHABLE)
        machine.wait_for_puts(2)
        process.send_signal(signal.SIGTERM)
        code, out, _ = end_of(process)
        assert code == 1
        for pv in machine.setpoints:
            assert any(pv in line and "│ restored │" in line for line in out.splitlines()), out
        assert machine.off() == set()

    def test_again_and_again(self, machine):
        """Whoever hits Ctrl-C in the restore does not stop it."""
        process = machine.begin(*UNREACHABLE, "--json")
        machine.wait_for_puts(2)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            machine.beats(2)
        code, result = result_of(process)
        assert (code, result["restored"]) == (1, True)
        assert machine.off() == set()

    def test_before_anything_was_written(self, machine):
        """At any instant of the start: nothing is written, or all is restored."""
        process = machine.begin(*UNREACHABLE, "--json")
        machine.wait_for_puts(1)
        process.send_signal(signal.SIGTERM)
        assert result_of(process)[0] == 1
        assert machine.off() == set()

    def test_nobody_reads_the_result(self, machine):
        process = machine.begin("--algorithm", "bls", "--json")
        process.stdout.close()
        assert process.wait(PATIENCE_S) != 0
        process.stdout = None
        assert machine.breaches() == []
