"""``beamctl --server``: commands of a host that has neither the store nor the machine description."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest

from beamctl.store.states import RequestState, RunState
from tests.system.client.conftest import PASSWORD
from tests.system.conftest import PATIENCE_S, ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]

WAITS = ["--algorithm", "svd", "--target-mm", "0.01", "--approval"]
"""a run that goes on until something ends it"""


class Elsewhere:
    """Another host: it knows the address of the service and nothing else.

    Args:
        plant: with the service.
        home: where logins are kept.
    """

    def __init__(self, plant, home) -> None:
        self.home = home
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("EPICS_", "BEAMCTL_"))} | {
            "BEAMCTL_SERVER": plant.serve.url, "BEAMCTL_API_KEY": plant.operator, "XDG_CONFIG_HOME": str(home),
            "BEAMCTL_MACHINE": "nowhere.yaml", "BEAMCTL_STORE": "sqlite:////nowhere/beamctl.db", "COLUMNS": "200",
        }  # fmt: skip
        self._begun: list[subprocess.Popen] = []

    def begin(self, *words: str, **environment: str | None) -> subprocess.Popen:
        """Start a command; variables that are None are not there."""
        changed = {k: v for k, v in (self.environment | environment).items() if v is not None}
        process = subprocess.Popen(
            [sys.executable, "-m", "beamctl", *words],
            cwd=ROOT, env=changed, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._begun.append(process)
        return process

    def say(self, *words: str, told: str = "", **environment: str | None) -> tuple[int, str, str]:
        """Run a command: exit code, standard output, standard error in one line."""
        process = self.begin(*words, **environment)
        out, err = process.communicate(told, timeout=3 * PATIENCE_S)
        assert "Traceback" not in err, err
        return process.returncode, out, " ".join(err.split())

    def close(self) -> None:
        for process in self._begun:
            process.kill()
            process.communicate()


@pytest.fixture
def elsewhere(plant, tmp_path) -> Iterator[Elsewhere]:
    one = Elsewhere(plant, tmp_path)
    yield one
    one.close()


def end_of(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=3 * PATIENCE_S)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def proposed(client) -> int:
    """The run that a command has just asked for, as soon as it waits for approval."""
    for _ in client.events(after=0):
        run = next(iter(client.runs.list(limit=1).runs), None)
        if run is not None and client.runs.get(run.id).proposal is not None:
            return run.id
    raise AssertionError("it does not begin")


class TestTune:
    def test_for_people(self, elsewhere):
        code, out, _ = elsewhere.say("tune", "cm1-orbit", "--algorithm", "bls", "--note", "by hand")
        assert code == 0
        assert re.search(r"request \d+: ", out)
        assert re.search(r"run \d+, Correct the orbit .*: bls, goal: RMS below 0.5 mm", out)
        assert "reached" in out
        code, out, _ = elsewhere.say("runs", "list")
        assert "operator-1" in out

    def test_for_programs(self, elsewhere, tmp_path):
        picture = tmp_path / "run.png"
        code, out, _ = elsewhere.say(
            "tune", "cm1-orbit", "--algorithm", "svd", "--target-mm", "0.01", "--max-steps", "1", "--json",
            "--plot", str(picture),
        )  # fmt: skip
        result = json.loads(out)
        assert (code, result["outcome"], result["steps"], result["agent"]) == (1, "not reached", 1, None)
        assert picture.stat().st_size > 1000

    def test_a_dry_run_shows_what_it_would_do(self, elsewhere, plant):
        code, out, _ = elsewhere.say("tune", "cm1-orbit", "--algorithm", "svd", "--dry-run")
        assert code == 3
        assert "proposed for step 1" in out
        assert "nothing was written" in out
        run = plant.store.runs.list(limit=1)[0]
        assert plant.store.journal.of_run(run.id) == []

    def test_ctrl_c_leaves_it_going(self, elsewhere, plant, client):
        process = elsewhere.begin("tune", "cm1-orbit", *WAITS)
        run = proposed(client)
        process.send_signal(signal.SIGINT)
        code, _, err = end_of(process)
        assert code == 130
        assert f"beamctl abort {run}" in " ".join(err.split())
        assert client.runs.get(run).has_owner
        code, out, _ = elsewhere.say("abort", str(run))
        assert (code, "abort written down" in out) == (0, True)
        code, out, _ = elsewhere.say("runs", "watch", str(run))
        assert code == 0
        assert "aborted" in out
        assert "snapshot restored" in out

    def test_ctrl_c_takes_back_what_has_not_begun(self, elsewhere, plant, client):
        plant.control.process.send_signal(signal.SIGSTOP)
        try:
            process = elsewhere.begin("tune", "cm1-orbit")
            plant.control.wait_for(lambda: plant.store.requests.list(RequestState.WAITING))
            assert "request" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            code, _, err = end_of(process)
        finally:
            plant.control.process.send_signal(signal.SIGCONT)
        assert (code, "is taken back" in err) == (2, True)
        assert client.requests.list(limit=1).requests[0].state is RequestState.CANCELLED

    def test_only_asked_for(self, elsewhere, client):
        code, out, _ = elsewhere.say("tune", "cm1-orbit", *WAITS, "--no-watch", "--json")
        assert code == 0
        request = client.requests.settled(json.loads(out)["request"])
        code, out, _ = elsewhere.say("halt", str(request.run))
        assert code == 0
        assert client.runs.wait(request.run).state is RunState.HALTED
        code, out, _ = elsewhere.say("runs", "list", "--state", "halted")
        assert f"beamctl runs restore {request.run}" in " ".join(out.split())
        assert elsewhere.say("runs", "clear", str(request.run))[0] == 0
        assert client.runs.wait(request.run).is_over

    def test_approval(self, elsewhere, client):
        process = elsewhere.begin("tune", "cm1-orbit", *WAITS)
        run = proposed(client)
        assert elsewhere.say("runs", "approve", str(run))[0] == 0
        for event in client.runs.follow(run):
            if event.kind == "visited" and event.payload["note"]:
                break
        assert elsewhere.say("runs", "abort", str(run))[0] == 0
        code, out, _ = end_of(process)
        assert code == 1
        assert "proposed for step" in out
        assert "first trend move" in out
        assert "aborted by operator-1" in out

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["tune", "cm9-orbit"], "unknown task 'cm9-orbit'; known: cm1-orbit"),
            (["tune", "cm1-orbit", "--target-transmission", "0.5"], "--target-mm, not"),
            (["tune", "cm1-orbit", "--algorithm", "luck"], "luck"),
            (["runs", "show", "987654"], "no run 987654"),
            (["runs", "replay", "1"], "--store instead of --server"),
            (["runs", "takeover", "1"], "run 1"),
        ],
    )
    def test_mistakes(self, elsewhere, words, said):
        code, out, err = elsewhere.say(*words)
        assert (code, out) == (2, "")
        assert said in err


class TestLooking:
    def test_one_run_with_every_put(self, elsewhere, client):
        run = client.requests.settled(client.runs.start("cm1-orbit", algorithm="bls").id).run
        client.runs.wait(run)
        code, out, _ = elsewhere.say("runs", "show", str(run))
        assert code == 0
        assert f"{len(client.runs.puts(run).puts)} puts" in out
        assert "state: accepted reached" in out

    def test_status_and_tasks(self, elsewhere, plant):
        code, out, _ = elsewhere.say("status")
        assert code == 0
        assert plant.section in out
        assert "control process: at work" in out
        code, out, _ = elsewhere.say("tasks")
        assert code == 0
        assert "--algorithm for cm1-orbit" in out

    def test_advice(self, elsewhere):
        code, out, _ = elsewhere.say("advice", "cm1-orbit", "--algorithm", "svd", "--algorithm", "bls")
        assert code in (0, 3)
        assert "nothing was written" in out
        assert re.search(r"^ svd +\d+\.\d{3}", out, re.MULTILINE)
        code, out, _ = elsewhere.say("tune", "cm1-orbit", "--advise", "--algorithm", "svd")
        assert code in (0, 3)
        assert "svd" in out

    def test_preflight(self, elsewhere, tmp_path):
        code, out, _ = elsewhere.say("preflight", "cm1", "--json")
        checked = json.loads(out)
        assert (code, checked["task"], checked["faults"]) == (0, "cm1-orbit", [])
        assert {line["verdict"] for line in checked["table"]} == {"good"}


class TestWhoOneIs:
    def test_nobody(self, elsewhere):
        code, _, err = elsewhere.say("status", BEAMCTL_API_KEY=None)
        assert code == 2
        assert "Log in first" in err
        assert "beamctl login" in err

    def test_a_viewer(self, elsewhere, plant):
        code, _, err = elsewhere.say("tune", "cm1-orbit", BEAMCTL_API_KEY=plant.viewer)
        assert code == 2
        assert "this needs operator" in err

    def test_a_key_from_a_file(self, elsewhere, plant, tmp_path):
        file = tmp_path / "key"
        file.write_text(plant.operator + "\n")
        assert elsewhere.say("--key-file", str(file), "tasks", BEAMCTL_API_KEY=None)[0] == 0
        assert elsewhere.say("--key-file", str(tmp_path / "none"), "tasks", BEAMCTL_API_KEY=None)[0] == 2

    def test_login_and_logout(self, elsewhere, plant):
        nobody = {"BEAMCTL_API_KEY": None}
        with plant.session("night", "operator"):
            code, _, err = elsewhere.say("login", "--name", "night", told="no such word\n", **nobody)
            assert (code, "do not belong together" in err) == (2, True)
            code, out, _ = elsewhere.say("login", told=f"night\n{PASSWORD}!\n", **nobody)
            assert (code, "as night (operator)" in out) == (0, True)
            file = elsewhere.home / "beamctl" / "credentials.json"
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert PASSWORD not in file.read_text()
            assert elsewhere.say("status", **nobody)[0] == 0
            code, out, _ = elsewhere.say("logout", **nobody)
            assert (code, "logged out" in out) == (0, True)
            token = json.loads(file.read_text())
            assert token == {}
            assert elsewhere.say("status", **nobody)[0] == 2
            assert "nobody was logged in" in elsewhere.say("logout", **nobody)[1]

    def test_a_password_of_somebody_else_is_changed_at_the_login(self, elsewhere, plant):
        with plant.client(plant.admin) as admin:
            admin.users.create("fresh", "viewer", PASSWORD)
        code, _, err = elsewhere.say("login", told=f"fresh\n{PASSWORD}\n{PASSWORD}?\n", BEAMCTL_API_KEY=None)
        assert code == 0, err
        assert elsewhere.say("status", BEAMCTL_API_KEY=None)[0] == 0

    def test_without_a_service(self, elsewhere):
        code, _, err = elsewhere.say("login", BEAMCTL_SERVER=None)
        assert (code, "--server URL" in err) == (2, True)
        code, _, err = elsewhere.say("--server", "http://127.0.0.1:1", "status")
        assert (code, "is beamctl serve running" in err) == (2, True)


class TestOverTheStore:
    """The same words where the store is at hand."""

    def test_asked_for_and_aborted(self, plant, client):
        code, out, _ = plant.control.say("tune", "cm1-orbit", *WAITS, "--no-watch", "--note", "x")
        assert code == 0
        request = client.requests.settled(int(re.search(r"request (\d+)", out)[1]))
        assert (request.approval, request.note) == (True, "x")
        run = proposed(client)
        assert run == request.run
        assert plant.control.say("runs", "approve", str(run))[0] == 0
        assert plant.control.say("abort", str(run))[0] == 0
        assert client.runs.wait(run).state is RunState.RESTORED

    def test_a_dry_run(self, plant):
        code, out, _ = plant.control.say("tune", "cm1-orbit", "--algorithm", "svd", "--dry-run", "--json")
        result = json.loads(out)
        assert (code, result["outcome"], result["writes"]) == (3, "advised", 0)
        assert len(result["advice"]["proposed_a"]) == 10

    def test_advice_and_status(self, plant):
        code, out, _ = plant.control.say("advice", "cm1-orbit", "--algorithm", "svd")
        assert code in (0, 3)
        assert "nothing written" in out
        code, out, _ = plant.control.say("status")
        assert code == 0
        assert "control process: at work" in out
