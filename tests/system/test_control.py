"""The control process against the soft IOC, both as processes; the judge is what the IOC holds and was sent."""

import itertools
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from beamctl.engine.base import Outcome
from beamctl.engine.epics.engine import EpicsEngine
from beamctl.machine.loader import load_linac
from beamctl.run.replay import replay
from beamctl.settings import Settings
from beamctl.store.states import RequestState, RunState, Verb
from beamctl.wiring.courses import course_of
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
SEED = load_linac("cafe2").simulation.seed
PATIENCE_S = 120.0
UNREACHABLE = {"algorithm": "svd", "target": 0.01}
"""a run that goes on until something ends it"""
SEEDS = itertools.count(3)
LOADED = """
import json, sys
from beamctl.run.supervisor import Supervisor
Supervisor.serve = lambda *_: print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
from beamctl.cli.app import main
main()
"""


class Judge:
    """A client of its own, and the IOC's log of puts."""

    def __init__(self, ioc, log: Path) -> None:
        self.ioc = ioc
        self._log = log
        kits = [Deployment(Settings(prefix=ioc.prefix)).kit(task) for task in ("cm1-orbit", "cm2-orbit")]
        self.knobs = {kit.name: [k.setpoint for k in kit.layout().knobs] for kit in kits}
        self.permit = kits[0].layout().permit
        self.engine = EpicsEngine(["127.0.0.1"])
        self.engine.start([*self._all, self.permit, ioc.name(SEED)], PATIENCE_S)
        self.put(ioc.name(SEED), next(SEEDS))
        self.put(self.permit, 1)
        self.found = self.held()
        self._own: Counter = Counter()
        self._before = len(self._log.read_text())

    @property
    def _all(self) -> list[str]:
        return [pv for knobs in self.knobs.values() for pv in knobs]

    def interfere(self, pv: str, value: float) -> None:
        """Write to what is a run's."""
        self._own[pv, value] += 1
        self.put(pv, value)

    def put(self, pv: str, value: float) -> None:
        assert self.engine.write({pv: value}, PATIENCE_S)[pv].outcome is Outcome.OK

    def held(self) -> dict[str, float]:
        return {pv: r.number for pv, r in self.engine.read(self._all, PATIENCE_S).items()}

    def off(self, task: str = "cm1-orbit") -> set[str]:
        """Setpoints that are not as found."""
        return {pv for pv, v in self.held().items() if pv in self.knobs[task] and abs(v - self.found[pv]) > 1e-3}

    def puts(self) -> list[tuple[float, str, float]]:
        """Everything that the IOC was sent since the start."""
        lines = self._log.read_text()[self._before :].splitlines()
        return [(float(at), pv, float(value)) for at, pv, value in map(str.split, lines) if pv in self._all]

    def all_were_announced(self, control) -> bool:
        """Whether each put was written down before it came."""
        intents = [i for run in control.store.runs.list() for i in control.store.journal.of_run(run.id)]
        sent = Counter((pv, round(value, 6)) for _, pv, value in self.puts()) - self._own
        return not sent - Counter((i.pv, round(i.new, 6)) for i in intents)


@pytest.fixture(scope="module")
def logged_ioc(start_soft_ioc, tmp_path_factory):
    log = tmp_path_factory.mktemp("puts") / "log"
    ioc = start_soft_ioc("--scenario", "err5", "--seed", "7", "--speed", "4", "--put-log", str(log))
    yield ioc, log
    ioc.process.close()


@pytest.fixture
def judge(logged_ioc):
    one = Judge(*logged_ioc)
    yield one
    one.engine.close()


@pytest.fixture
def control(make_control, judge):
    """Started; at the end every run that was made can be replayed, and no put came without an intent."""
    one = make_control(judge.ioc)
    one.start()
    yield one
    assert judge.all_were_announced(one)
    for run in one.store.runs.list():
        if any(e.kind == "visited" for e in one.store.events.read(run=run.id, limit=100_000)):
            kit = one.deployment.kit(run.task)
            report = replay(
                one.store,
                run.id,
                kit.layout(),
                lambda c, k=kit, o=one: course_of(o.store, k, Choice(**c))[1],
            )
            assert report.is_identical, report.lines


def test_a_run_from_begin_to_end(control, judge):
    code, out, _ = control.say("tune", "cm1-orbit", "--algorithm", "bls")
    assert code == 0
    assert "first trend move" in out
    assert "reached" in out
    assert max(map(len, out.splitlines())) <= 80
    run = control.store.runs.list()[0]
    assert (run.state, run.outcome) == (RunState.ACCEPTED, "reached")
    assert run.request is not None
    assert judge.off()
    code, out, _ = control.say("runs", "list")
    assert max(map(len, out.splitlines())) <= 80
    assert "accepted, reached" in out
    code, out, _ = control.say("runs", "replay", str(run.id))
    assert (code, "identical" in out) == (0, True)


def test_exit_codes(control, judge):
    code, out, _ = control.say(
        "tune", "cm1-orbit", "--algorithm", "svd", "--target-mm", "0.01", "--max-steps", "1", "--json"
    )
    assert (code, json.loads(out)["outcome"]) == (1, "not reached")
    judge.put(judge.permit, 0)
    code, _, err = control.say("tune", "cm1-orbit")
    assert code == 2
    assert judge.permit in "".join(err.split())


def test_two_sections_at_once_and_one_owner_each(control, judge):
    asked = [control.ask(task, review=True, **UNREACHABLE) for task in ("cm1-orbit", "cm2-orbit")]
    first, second = map(control.run_of, asked)
    for run in (first, second):
        control.wait_for_puts(run, 2)
    code, _, err = control.say("tune", "cm1-orbit")
    assert control.store.runs.get(first.id).ended is None, "refused at once, not when the other has ended"
    assert code == 2
    said = " ".join(err.split())
    assert f"belongs to run {first.id}" in said
    assert "of tester" in said
    assert control.store.audit.list()[0].action == "tune cm1-orbit"
    for run, task in ((first, "cm1-orbit"), (second, "cm2-orbit")):
        code, out, _ = control.say("runs", "abort", str(run.id))
        assert (code, "abort taken" in out) == (0, True)
        ended = control.end_of(run)
        assert (ended.state, ended.outcome) == (RunState.RESTORED, "aborted")
        assert judge.off(task) == set()


def test_pause_halt_restore(control, judge):
    run = control.run_of(control.ask("cm1-orbit", **UNREACHABLE))
    control.wait_for_puts(run, 1)
    code, _, err = control.say("runs", "takeover", str(run.id))
    assert (code, "is for a run that is conflict" in " ".join(err.split())) == (2, True)
    control.say("runs", "pause", str(run.id))
    control.wait_for(lambda: control.store.runs.get(run.id).state is RunState.HOLD)
    control.say("runs", "resume", str(run.id))
    control.wait_for(lambda: control.store.runs.get(run.id).state is RunState.RUNNING)
    sent = time.time()
    control.store.commands.send(run.id, Verb.HALT, "tester")
    control.wait_for(lambda: control.store.runs.get(run.id).state is RunState.HALTED)
    time.sleep(1.0)
    assert [put for put in judge.puts() if put[0] > sent + 0.5] == []
    code, out, _ = control.say("runs", "list")
    assert f"beamctl runs restore {run.id}" in " ".join(out.split())
    code, _, err = control.say("tune", "cm1-orbit")
    assert (code, "halted" in err) == (2, True)
    control.say("runs", "restore", str(run.id))
    assert control.end_of(run).state is RunState.RESTORED
    assert judge.off() == set()


def test_a_conflict_is_taken_over(control, judge):
    run = control.run_of(control.ask("cm1-orbit", review=True, **UNREACHABLE))
    control.wait_for_puts(run, 2)
    pv = judge.knobs["cm1-orbit"][4]
    judge.interfere(pv, 33.25)
    control.wait_for(lambda: control.store.runs.get(run.id).state is RunState.CONFLICT)
    groups = len(control.store.journal.of_run(run.id))
    control.say("runs", "takeover", str(run.id))
    control.wait_for(lambda: len(control.store.journal.of_run(run.id)) > groups)
    control.say("runs", "abort", str(run.id))
    assert control.end_of(run).state is RunState.RESTORED
    assert judge.off() == {pv}
    assert judge.held()[pv] == pytest.approx(33.25)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_and_ends(control, judge, number):
    run = control.run_of(control.ask("cm1-orbit", **UNREACHABLE))
    control.wait_for_puts(run, 2)
    control.process.send_signal(number)
    assert control.process.wait(PATIENCE_S) == 0
    ended = control.store.runs.get(run.id)
    assert (ended.state, ended.outcome) == (RunState.RESTORED, "aborted")
    assert judge.off() == set()


def test_killed_and_started_again(control, judge):
    client = control.begin("tune", "cm1-orbit", "--algorithm", "svd", "--target-mm", "0.01")
    run = control.wait_for(lambda: next(iter(control.store.runs.list()), None))
    control.wait_for_puts(run, 3)
    control.kill()
    assert judge.off()
    control.start()
    ended = control.end_of(run)
    assert (ended.state, ended.outcome) == (RunState.RESTORED, "recovered")
    assert judge.off() == set()
    assert [i for i in control.store.journal.of_run(run.id) if i.outcome is None] == []
    out, err = client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 1, err
    assert "Traceback" not in err
    assert "ended in mid-run, and it was not resumed" in " ".join(out.split())
    assert "snapshot restored" in " ".join(out.split())


def far_away(judge, task="cm1-orbit", by=45.0) -> None:
    """Somebody moves everything, and that is what the next run finds."""
    held = judge.held()
    for pv in judge.knobs[task]:
        judge.interfere(pv, round(held[pv] + (by if held[pv] < 0 else -by), 3))
    judge.found = judge.held()


def test_the_way_back_to_what_a_run_had_found(control, judge):
    found = judge.held()
    tuned = control.end_of(control.run_of(control.ask("cm1-orbit", algorithm="bls")))
    far_away(judge)
    way = control.ask("cm1-orbit", algorithm="snapshot", snapshot_of=tuned.id, of="found")
    back = control.end_of(control.run_of(way))
    assert (back.state, back.outcome) == (RunState.ACCEPTED, "reached"), back.reason
    held = judge.held()
    assert {pv for pv in judge.knobs["cm1-orbit"] if abs(held[pv] - found[pv]) > 1e-3} == set()


@pytest.mark.parametrize("how", ["abort", "kill"])
def test_on_the_way_back(control, judge, how):
    """To where it had begun, whoever ends it."""
    tuned = control.end_of(control.run_of(control.ask("cm1-orbit", algorithm="bls")))
    far_away(judge)
    back = control.run_of(control.ask("cm1-orbit", algorithm="snapshot", snapshot_of=tuned.id))
    control.wait_for_puts(back, 2)
    if how == "kill":
        control.kill()
        control.start()
    else:
        control.store.commands.send(back.id, Verb.ABORT, "tester")
    ended = control.end_of(back)
    assert (ended.state, ended.outcome) == (RunState.RESTORED, "recovered" if how == "kill" else "aborted")
    assert judge.off() == set()


def test_an_agent_that_is_switched_off(control, judge):
    control.store.switches.set("cafe2-orbit", False, "odd steps", "anna", None)
    request = control.ask("cm1-orbit")
    refused = control.wait_for(lambda: next(iter(control.store.requests.list(RequestState.REFUSED)), None))
    assert refused.id == request.id
    assert re.fullmatch(r"agent cafe2-orbit was disabled by anna at .* UTC: odd steps", refused.reason)
    assert control.store.runs.list() == []
    assert judge.puts() == []
    control.store.switches.set("cafe2-orbit", True, "", "anna", None)
    assert control.end_of(control.run_of(control.ask("cm1-orbit", max_steps=1))).agent.startswith("cafe2-orbit@")


def test_one_control_process_per_store(control):
    code, _, err = control.say("operate")
    assert code == 2
    assert "control is held by" in " ".join(err.split())


def test_without_a_control_process(make_control, judge):
    """In the client's own process; not where a section is owed, until a control process has brought it back."""
    control = make_control(judge.ioc)
    code, _, _ = control.say("tune", "cm1-orbit", "--algorithm", "bls")
    assert code == 0
    assert control.store.runs.list()[0].request is None
    judge.put(judge.ioc.name(SEED), next(SEEDS))
    judge.found = judge.held()
    client = control.begin("tune", "cm1-orbit", "--algorithm", "svd", "--target-mm", "0.01")
    run = control.wait_for(lambda: next((r for r in control.store.runs.list() if r.ended is None), None))
    control.wait_for_puts(run, 2)
    client.kill()
    code, _, err = control.say("tune", "cm1-orbit")
    assert code == 2
    assert "still owes something" in " ".join(err.split())
    control.start()
    assert control.end_of(run).state is RunState.RESTORED
    assert judge.off() == set()


def test_a_request_that_nobody_takes(make_control, judge):
    """The control process is frozen: the client says so, and Ctrl-C takes the request back."""
    control = make_control(judge.ioc)
    control.start()
    control.process.send_signal(signal.SIGSTOP)
    client = control.begin("tune", "cm1-orbit")
    control.wait_for(lambda: control.store.requests.list(RequestState.WAITING))
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 2
    assert "taken back" in err
    control.process.send_signal(signal.SIGCONT)
    assert control.store.requests.list()[0].state is RequestState.CANCELLED


def test_nothing_heavy_is_loaded():
    answer = subprocess.run(
        [sys.executable, "-c", LOADED, "--prefix", "NOBODY:", "operate"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    loaded = set(json.loads(answer.stdout.splitlines()[-1]))
    heavy = {"torch", "matplotlib", "numba", "fastapi", "starlette", "stable_baselines3", "gymnasium", "onnx", "xopt"}
    assert heavy & loaded == set()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE beamctl_schema SET version_num = 'r9999'", "use the newer beamctl"),
        ("CREATE TABLE spoilt (x); DROP TABLE beamctl_schema", "holds other tables"),
    ],
)
def test_a_store_that_cannot_be_used(make_control, soft_ioc, tmp_path, spoil, said):
    control = make_control(soft_ioc)
    control.store.close()
    with sqlite3.connect(tmp_path / "beamctl.db") as database:
        database.executescript(spoil)
    database.close()
    for words in (["operate"], ["tune", "cm1-orbit"], ["runs", "list"]):
        code, out, err = control.say(*words)
        assert (code, out) == (2, "")
        assert said in " ".join(err.split())
