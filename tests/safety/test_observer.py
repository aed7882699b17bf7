"""The threads that show what the machine reads: whatever fails, the others go on, and nobody sees old news as new."""

import logging
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.errors import ChannelConnectionError, StoreBusyError
from beamctl.run import observer as module
from beamctl.run.observer import Observer
from beamctl.settings import Settings
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.observer import observed_sections

PATIENCE_S = 20.0
HERTZ = 50.0
CM1 = next(s for s in observed_sections(Deployment(Settings())) if s.key == "cafe2-cm1")
CALLS = {"start", "latest", "close", "clock"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.05)
    monkeypatch.setattr(module, "AT_LEAST_S", 0.2)


class LivelyEngine:
    """The simulated machine, whose time goes on by a tenth of a second with every look."""

    def __init__(self, rig, calls: Counter) -> None:
        self._engine = SimulatedEngine(rig.plant, rig.faults)
        self._calls = calls
        self.on_start = lambda: None
        self.on_latest = lambda: None

    def __getattr__(self, name):
        self._calls[name] += 1
        return getattr(self._engine, name)

    def start(self, pvs, timeout_s):
        self._calls["start"] += 1
        self.on_start()
        self._engine.start(pvs, timeout_s)

    def latest(self, pvs):
        self._calls["latest"] += 1
        self.on_latest()
        self._engine.clock.sleep(0.1)
        return self._engine.latest(pvs)


class Board:
    """What was published."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.published: list[dict] = []
        self.rows: dict[str, object] = {}
        self.times: dict[str, float] = {}
        self.failure: Exception | None = None
        self.failures = 0

    def publish(self, rows) -> None:
        with self._changed:
            if self.failure is not None:
                self.failures += 1
                self._changed.notify_all()
                raise self.failure
            assert rows
            self.published.append(dict(rows))
            self.rows.update(rows)
            self.times.update(dict.fromkeys(rows, time.monotonic()))
            self._changed.notify_all()

    def wait_for(self, what):
        with self._changed:
            assert self._changed.wait_for(what, PATIENCE_S), self.rows

    def wait_for_unfit(self, key, what):
        self.wait_for(lambda: key in self.rows and what(self.rows[key]["unfit"]))

    def wait_until_fit(self, key=CM1.key):
        self.wait_for_unfit(key, lambda unfit: unfit == [])


def said(caplog, count: int) -> list[str]:
    """What was logged, as soon as it is so much."""
    deadline = time.monotonic() + PATIENCE_S
    while len(caplog.records) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return [record.getMessage() for record in caplog.records]


@pytest.fixture
def board():
    return Board()


@pytest.fixture
def calls():
    return Counter()


@pytest.fixture
def observe(rig, board, calls):
    """``observe(make_engine)``: started; at the end it stops, and nothing but looking has been done."""
    started = []

    def begin(make_engine=None, sections=(CM1,)):
        one = Observer(
            sections, make_engine or (lambda: LivelyEngine(rig, calls)), board.publish,
            lambda: ("service", {"is_halted": False}), HERTZ, 1.0,
        )  # fmt: skip
        started.append(one.__enter__())
        return one

    yield begin
    for one in started:
        one.__exit__(None, None, None)
        assert not any(thread.is_alive() for thread in one._threads)
    assert set(calls) <= CALLS, "no put, no read"
    assert rig.puts == []


def test_what_is_read_is_published(observe, board):
    observe()
    board.wait_until_fit()
    board.wait_for(lambda: "service" in board.rows)
    assert board.rows["service"] == {"is_halted": False}
    assert board.rows[CM1.key]["figures"]["rms_mm"] > 0


def test_what_does_not_change_is_published_again(observe, board, rig):
    rig.faults.lost.add(CM1.layout.heartbeat)
    observe()
    board.wait_for(lambda: sum(CM1.key in rows for rows in board.published) >= 4)
    assert board.rows[CM1.key]["unfit"] != []


def test_what_cannot_be_reached_at_first(observe, board, rig, caplog):
    rig.faults.lost |= set(CM1.layout.all_pvs)
    observe()
    board.wait_for_unfit(CM1.key, lambda unfit: "no answer" in unfit[0])
    assert len(board.rows[CM1.key]["unfit"][0]) <= module.LONGEST_TEXT
    rig.faults.lost.clear()
    board.wait_until_fit()
    trouble, end = said(caplog, 2)
    assert trouble.startswith(f"{CM1.key} is not shown: no answer within 1 s from")
    assert end == f"{CM1.key} is shown again"


def test_one_pv_is_missing(observe, board, rig):
    rig.faults.lost.add(CM1.layout.channels[3])
    observe()
    board.wait_for_unfit(CM1.key, lambda unfit: CM1.layout.channels[3] in unfit[0])


def test_one_that_cannot_be_reached_keeps_nobody_waiting(observe, board, rig):
    other = replace(CM1, key="other", layout=replace(CM1.layout, heartbeat="NOBODY"))
    observe(sections=(other, CM1))
    board.wait_until_fit()
    board.wait_for_unfit("other", lambda unfit: "NOBODY" in unfit[0])


@pytest.mark.parametrize("error", [StoreBusyError("busy"), TypeError("no JSON"), OSError("disk")])
def test_what_cannot_be_published(observe, board, caplog, error):
    board.failure = error
    observe()
    board.wait_for(lambda: board.failures >= 5)
    board.failure = None
    board.wait_until_fit()
    assert said(caplog, 2) == [
        f"what the machine reads is not shown: {error}",
        "what the machine reads is shown again",
    ]


@pytest.mark.parametrize("error", [RuntimeError("boom"), ChannelConnectionError("lost"), OSError("libca")])
def test_an_engine_that_fails_unexpectedly(observe, board, rig, calls, error, caplog):
    """What it has shown last is taken back at once; the next engine goes on."""
    failing = threading.Event()

    def make():
        engine = LivelyEngine(rig, calls)

        def fail():
            if failing.is_set():
                raise error

        engine.on_latest = fail
        return engine

    observe(make)
    board.wait_until_fit()
    failing.set()
    board.wait_for_unfit(CM1.key, lambda unfit: str(error) in "".join(unfit))
    assert set(board.rows[CM1.key]["setpoint_a"]) == {None}
    failing.clear()
    board.wait_until_fit()
    assert calls["close"] >= 1
    assert said(caplog, 2)[1] == f"{CM1.key} is shown again"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_an_engine_that_cannot_even_be_made(observe, board, rig, calls):
    broken = [OSError("there is no libca")]

    def make():
        if broken:
            raise broken.pop()
        return LivelyEngine(rig, calls)

    observe(make)
    board.wait_until_fit()


def test_an_engine_that_hangs_is_not_shown_as_news(observe, board, rig, calls):
    """Its row is left to age; the other section and the process itself go on being shown."""
    hanging, end = threading.Event(), threading.Event()

    def make(key):
        engine = LivelyEngine(rig, calls)
        engine.on_latest = lambda: hanging.is_set() and threading.current_thread().name.endswith("hangs") and end.wait()
        return engine

    observe(lambda: make(CM1.key), sections=(CM1, replace(CM1, key="hangs")))
    board.wait_until_fit("hangs")
    hanging.set()
    began = time.monotonic()
    board.wait_for(lambda: time.monotonic() > began + 1.0)
    try:
        assert board.times["hangs"] < began + 0.8
        assert board.times[CM1.key] > began + 0.8
        assert board.times["service"] > began + 0.5
    finally:
        hanging.clear()
        end.set()
    board.wait_for(lambda: board.times["hangs"] > began + 1.0)


def test_it_can_be_stopped_while_it_connects(rig, board, calls):
    connecting = threading.Event()

    def make():
        engine = LivelyEngine(rig, calls)

        def wait():
            connecting.set()
            time.sleep(0.3)
            raise ChannelConnectionError("nobody")

        engine.on_start = wait
        return engine

    with Observer([CM1], make, board.publish, lambda: ("service", {}), HERTZ, 1.0) as one:
        assert connecting.wait(PATIENCE_S)
    assert not any(thread.is_alive() for thread in one._threads)
    assert calls["close"] >= 1


def test_a_lost_machine_that_comes_back(observe, board, rig):
    observe()
    board.wait_until_fit()
    rig.faults.lost |= set(CM1.layout.all_pvs)
    board.wait_for_unfit(CM1.key, lambda unfit: "not connected: " in "".join(unfit))
    rig.faults.lost.clear()
    board.wait_until_fit()
