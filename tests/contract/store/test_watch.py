"""Waiting for what others commit, on every database."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from beamctl.errors import StoreConflictError
from beamctl.store.states import Verb
from tests.contract.store.conftest import new_request


def test_what_was_committed_before_a_wait_ends_it(store, other):
    with store.watch() as watch:
        assert not watch.wait(0.05)
        other.requests.submit(new_request())
        assert watch.wait(5.0)
        store.requests.submit(new_request("own"))
        assert watch.wait(5.0)


def test_waiting_is_prompt_and_cheap(store, other, run):
    delays = []
    with store.watch() as watch:
        for _ in range(5):
            while watch.wait(0.05):
                pass
            sent: list[float] = []

            def send(sent=sent):
                other.commands.send(run.id, Verb.PAUSE, "operator")
                sent.append(time.monotonic())

            timer = threading.Timer(0.1, send)
            timer.start()
            assert watch.wait(30.0)
            woken = time.monotonic()
            timer.join()
            delays.append(woken - sent[0])
            assert store.commands.take(run.id)
        while watch.wait(0.05):
            pass
        used = time.thread_time()
        assert not watch.wait(2.0)
        used = time.thread_time() - used
    assert sorted(delays)[2] < 0.1
    assert used < 0.1, f"{used:.3f} CPU s in two seconds of waiting"


def test_reads_within_a_moment_belong_together(store, other):
    with store.moment():
        before = store.events.end()
        other.events.append("tick")
        assert not store.database.is_sqlite or store.events.end() == before
        with ThreadPoolExecutor(1) as elsewhere:
            assert elsewhere.submit(store.events.end).result().seq == before.seq + 1
        with store.moment():
            assert store.requests.list() == []
    assert store.events.end().seq == before.seq + 1


def test_a_moment_that_fails_is_over(store):
    with pytest.raises(StoreConflictError), store.moment():
        store.runs.get(999)
    assert store.runs.list() == []
