"""The control process's loop over a real store and a simulated machine.

It outlives its store, and leaves nothing as it is.
"""

import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta

import pytest
from sqlalchemy import event as database_event

from beamctl.run.supervisor import Supervisor
from beamctl.settings import Settings
from beamctl.store import commands, events, journal, leases, runs
from beamctl.store.journal import Put
from beamctl.store.open import open_store
from beamctl.store.states import RequestState, RunState, Verb
from beamctl.wiring.control import ControlWorkshop, new_request, new_run
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice

D = Deployment(Settings())
PATIENCE_S = 30.0
TASK = "cm1-orbit"
UNREACHABLE = Choice("svd", None, 0.011, 4)


class Site:
    """A machine, a store, and control processes one after the other."""

    def __init__(self, rig, store) -> None:
        self.rig = rig
        self.store = store
        self.pragma = ""
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.stop_at = 0
        self._asked = 0
        database_event.listen(store.database._engine, "checkout", self._spoil)

    def _spoil(self, connection, *_) -> None:
        connection.execute(self.pragma or "PRAGMA query_only=OFF")

    def engine(self):
        engine = self.rig.again()

        def before(n, name):
            if name == "write" and self.stop_at and engine.calls.count("write") == self.stop_at:
                self.stop_at = 0
                self.reached.set()
                assert self.go_on.wait(PATIENCE_S)

        engine.before = before
        return engine

    def supervisor(self) -> Supervisor:
        return Supervisor(self.store, ControlWorkshop(D, self.store, self.engine))

    @contextmanager
    def at_work(self, supervisor=None):
        """A supervisor that serves until the block ends."""
        supervisor = supervisor or self.supervisor()
        stop, failed = threading.Event(), []

        def serve():
            try:
                supervisor.recover()
                supervisor.serve(stop)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield failed
        finally:
            self.go_on.set()
            stop.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def ask(self, choice=UNREACHABLE, **how):
        self._asked += 1
        return self.store.requests.submit(
            new_request(D, TASK, choice, "tester", str(self._asked), dry_run=False, review=False, **how)
        )

    def run_stopped_in_its_write(self, number: int):
        """A run that stands in front of a put until ``go_on``."""
        self.reached.clear()
        self.go_on.clear()
        self.stop_at = number
        request = self.ask()
        assert self.reached.wait(PATIENCE_S)
        return self.store.runs.list(request=request.id)[0]

    def wait_for(self, what) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def state(self, run) -> RunState:
        return self.store.runs.get(run.id).state

    def ended(self, run):
        self.wait_for(lambda: self.store.runs.get(run.id).ended)
        return self.store.runs.get(run.id)


@pytest.fixture
def site(rig, tmp_path):
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store:
        yield Site(rig, store)


def test_the_end_of_the_process_restores(site):
    with site.at_work():
        run = site.run_stopped_in_its_write(3)
    assert site.store.runs.get(run.id).state is RunState.RESTORED
    assert site.rig.off() == set()


def test_an_error_nobody_has_thought_of_restores_first(site, monkeypatch):
    with site.at_work() as failed:
        run = site.run_stopped_in_its_write(3)
        monkeypatch.setattr(site.store.requests, "claim", lambda: 1 / 0)
        site.go_on.set()
        site.wait_for(lambda: failed)
    assert isinstance(failed[0], ZeroDivisionError)
    assert site.state(run) is RunState.RESTORED
    assert site.rig.off() == set()


def test_a_store_that_takes_no_more_rows(site):
    """The run is restored, the loop goes on, and what happened is written down when that is possible again."""
    with site.at_work() as failed:
        run = site.run_stopped_in_its_write(2)
        site.pragma = "PRAGMA query_only=ON"
        site.go_on.set()
        site.wait_for(lambda: site.rig.engine.calls.count("write") >= 3)
        time.sleep(1.5)
        assert failed == []
        site.pragma = ""
        site.wait_for(lambda: site.state(run) is RunState.FAULT)
        assert site.rig.off() == set()
        refused = site.ask()
        site.wait_for(lambda: site.store.requests.get(refused.id).state is RequestState.REFUSED)
        assert f"run {run.id}" in site.store.requests.get(refused.id).reason
        site.store.commands.send(run.id, Verb.CLEAR, "tester")
        assert "cleared by tester" in site.ended(run).reason
        again = site.ask()
        site.wait_for(lambda: site.store.runs.list(request=again.id))


def test_halted_and_restored_after_a_restart(site):
    with site.at_work():
        run = site.run_stopped_in_its_write(3)
        site.store.commands.send(run.id, Verb.HALT, "tester")
        site.wait_for(lambda: site.store.commands.pending(run.id) == [])
        site.go_on.set()
        site.wait_for(lambda: site.state(run) is RunState.HALTED)
    assert site.rig.off()
    sent = len(site.rig.puts)
    with site.at_work():
        time.sleep(0.5)
        assert site.state(run) is RunState.HALTED
        assert len(site.rig.puts) == sent
        site.store.commands.send(run.id, Verb.RESTORE, "tester")
        assert site.ended(run).state is RunState.RESTORED
    assert site.rig.off() == set()


def test_the_loss_of_the_lease_halts(site):
    with site.at_work():
        run = site.run_stopped_in_its_write(3)
        with site.store.database.write() as connection:
            connection.exec_driver_sql("UPDATE leases SET token = token + 1")
        time.sleep(1.5)
        sent = len(site.rig.puts)
        site.go_on.set()
        time.sleep(0.5)
        assert len(site.rig.puts) == sent + len(site.rig.knobs), "the put that was under way, and nothing after it"
    assert site.store.runs.get(run.id).ended is None


class TestAdoption:
    """Runs of other processes."""

    def left(self, site, state, snapshot=True):
        """A run whose process has ended in a state."""
        lease = site.store.leases.section(new_run(D, site.store, TASK, UNREACHABLE, "tester", None).section)
        run = site.store.runs.create(lease, new_run(D, site.store, TASK, UNREACHABLE, "tester", None))
        if snapshot:
            knobs = [asdict(k) for k in site.rig.layout.knobs]
            values = list(site.rig.start.values())
            site.store.runs.set_snapshot(lease, run.id, {"knobs": knobs, "setpoint_a": values})
        site.store.runs.set_state(lease, run.id, state, "as it was")
        return lease, run

    @pytest.mark.parametrize("state", [RunState.ACCEPTED, RunState.RESTORED])
    def test_ended_but_for_the_last_row(self, site, state):
        """Killed after everything was done: an accepted setting is not undone."""
        lease, run = self.left(site, state)
        pv = site.rig.knobs[0].setpoint
        site.store.journal.intend(lease, run.id, [Put(pv, site.rig.start[pv], 5.0)])
        lease.release()
        site.rig.foreign(pv, 5.0)
        with site.at_work():
            ended = site.ended(run)
        assert ended.state is state
        assert site.rig.puts == []
        assert site.rig.plant.setpoint(pv) == 5.0

    def test_never_armed(self, site):
        lease, run = self.left(site, RunState.IDLE, snapshot=False)
        lease.release()
        with site.at_work():
            assert site.ended(run).outcome == "not armed"

    def test_still_alive_elsewhere(self, site):
        """Left to its process; when that is gone, it is taken over without a restart."""
        lease, run = self.left(site, RunState.RUNNING)
        with site.at_work() as failed:
            refused = site.ask()
            site.wait_for(lambda: site.store.requests.get(refused.id).state is RequestState.REFUSED)
            assert failed == []
            assert site.state(run) is RunState.RUNNING
            lease.release()
            assert site.ended(run).state is RunState.RESTORED

    def test_a_request_that_was_claimed_and_never_begun(self, site):
        request = site.ask()
        site.store.requests.claim()
        with site.at_work():
            site.wait_for(lambda: site.store.requests.get(request.id).state is RequestState.REFUSED)
        assert "nothing was written" in site.store.requests.get(request.id).reason


@pytest.mark.parametrize("jump", [timedelta(days=-3650), timedelta(days=3650)], ids=["back", "forth"])
def test_a_wall_clock_that_jumps(site, jump, monkeypatch):
    """It is for people only: nothing is judged by it."""
    now = events.now

    def jumped():
        return now() + jump

    with site.at_work():
        run = site.run_stopped_in_its_write(2)
        for module in (events, commands, journal, leases, runs):
            monkeypatch.setattr(module, "now", jumped)
        site.go_on.set()
        ended = site.ended(run)
    assert ended.outcome == "not reached"
    assert site.rig.breaches() == []
