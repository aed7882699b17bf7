"""The status board: changes are whole, told once, and cost whoever makes them nothing."""

import math
import subprocess
import sys
import threading

import pytest

from beamctl.status.board import SectionStatus, ServiceStatus, StatusBoard
from beamctl.store.states import RunState


@pytest.fixture
def board():
    return StatusBoard()


@pytest.fixture
def told(board):
    calls = []
    board.listen(lambda: calls.append(board.snapshot()))
    return calls


def test_an_empty_board_is_idle(board):
    snapshot = board.snapshot()
    assert snapshot.service == ServiceStatus(ready=False, permit_to_act=False, halt=False, runs_active=0)
    status = snapshot.section("cm1")
    assert (status.state, status.run, status.progress_percent) == (RunState.IDLE, 0, 0.0)
    assert math.isnan(status.objective)


def test_an_update_leaves_everything_else(board):
    board.section("cm1").update(state=RunState.RUNNING, run=7, step=3, max_steps=12, user="anna")
    board.section("cm1").update(step=4)
    board.section("cm2").update(reason="no beam")
    status = board.section("cm1").status
    assert (status.state, status.run, status.step, status.user) == (RunState.RUNNING, 7, 4, "anna")
    assert status.progress_percent == pytest.approx(100 / 3)
    assert board.snapshot().section("cm2") == SectionStatus(
        reason="no beam", objective=status.objective, best=status.best
    )
    board.service(ready=True)
    board.service(runs_active=1)
    assert board.snapshot().service == ServiceStatus(ready=True, runs_active=1)
    assert board.ready
    assert not board.halt


def test_a_snapshot_never_changes(board):
    before = board.snapshot()
    board.section("cm1").update(step=1)
    board.service(halt=True)
    assert before.section("cm1").step == 0
    assert not before.service.halt


def test_an_unknown_field_is_a_mistake_that_changes_nothing(board, told):
    with pytest.raises(TypeError, match="steps"):
        board.section("cm1").update(step=1, steps=5)
    assert board.section("cm1").status.step == 0
    assert not told


def test_a_change_is_told_once_and_no_change_is_not(board, told):
    board.section("cm1").update(step=1, objective=0.5)
    board.section("cm1").update(step=1)
    board.service(ready=True)
    board.service(ready=True)
    assert [(s.section("cm1").step, s.service.ready) for s in told] == [(1, False), (1, True)]


def test_who_has_stopped_listening_hears_nothing(board):
    calls = []
    forget = board.listen(lambda: calls.append(1))
    forget()
    forget()
    board.service(ready=True)
    assert not calls


def test_a_listener_that_fails_harms_nobody(board, told, caplog):
    board.listen(lambda: 1 / 0)
    heard = []
    board.listen(lambda: heard.append(1))
    board.service(ready=True)
    assert len(told) == len(heard) == 1
    assert "a listener of the status board failed" in caplog.text


def test_updates_of_many_threads_all_arrive(board):
    def work(name):
        for step in range(1, 501):
            board.section(name).update(step=step, max_steps=2 * step)

    threads = [threading.Thread(target=work, args=(f"s{i}",)) for i in range(4)]
    seen = []
    board.listen(lambda: seen.append([(s.step, s.max_steps) for s in board.snapshot().sections.values()]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: s.step for name, s in board.snapshot().sections.items()} == {f"s{i}": 500 for i in range(4)}
    assert all(max_steps == 2 * step for sections in seen for step, max_steps in sections)


def test_it_is_alive_unless_whoever_beats_stops():
    seconds = [0.0]
    board = StatusBoard(beats_within_s=5.0, now=lambda: seconds[0])
    seconds[0] = 1e6
    assert board.is_alive
    board.beat()
    seconds[0] += 5.0
    assert board.is_alive
    seconds[0] += 0.1
    assert not board.is_alive
    board.beat()
    assert board.is_alive


def test_the_board_needs_no_channel_access():
    code = "import sys, beamctl.status.board, beamctl.status.pvs; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"caproto", "epics", "sqlalchemy", "torch"} & set(loaded.stdout.split())
