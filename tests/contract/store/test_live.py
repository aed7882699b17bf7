"""Live readings, on every database. Seed of the random instants: 20261125."""

import contextlib
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from beamctl.errors import StoreBusyError, StoreError
from beamctl.store.open import Store, open_store

KILLS = 8
PATIENCE_S = 30.0


def test_nothing_at_first(store, other):
    assert other.live.number() == store.live.number() == 0
    assert other.live.read() == store.live.read() == {}


def test_readings_arrive(store, other):
    store.live.publish({"cm1": {"values": [1.5, None], "is_simulated": True}, "service": {"is_halted": False}})
    rows = other.live.read()
    assert set(rows) == {"cm1", "service"}
    assert rows["cm1"].payload == {"values": [1.5, None], "is_simulated": True}
    assert rows["service"].payload == {"is_halted": False}
    assert rows["cm1"].section == "cm1"
    assert abs(datetime.now(UTC) - rows["cm1"].time) < timedelta(seconds=30)
    assert rows["cm1"].number == rows["service"].number == other.live.number() == store.live.number()
    assert store.live.read() == rows


def test_what_is_not_finite_is_null(store):
    readings = {"x": np.array([1.0, np.nan, -np.inf]), "y": float("nan"), "n": np.float32(0.5), "ok": np.bool_(True)}
    store.live.publish({"cm1": readings})
    assert store.live.read()["cm1"].payload == {"x": [1.0, None, None], "y": None, "n": 0.5, "ok": True}


def test_newer_readings_replace_older_ones_and_others_stay(store, other):
    store.live.publish({"cm1": [1], "cm2": [1]})
    first = other.live.number()
    store.live.publish({"cm2": [2]})
    rows = other.live.read()
    assert (rows["cm1"].payload, rows["cm2"].payload) == ([1], [2])
    assert first == rows["cm1"].number < rows["cm2"].number == other.live.number()
    store.live.publish({})
    assert other.live.number() == rows["cm2"].number


def test_the_number_grows(store, other):
    numbers = [0]
    for i in range(20):
        (store if i % 3 else other).live.publish({f"cm{i % 2}": i})
        numbers += [store.live.number(), other.live.number()]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 21


def test_the_number_grows_when_all_is_lost(store, other):
    store.live.publish({"cm1": 1})
    before = other.live.number()
    lose_everything(store)
    assert other.live.number() == 0
    assert other.live.read() == {}
    store.live.publish({"cm1": 2})
    assert other.live.number() > before
    assert other.live.read()["cm1"].payload == 2


def lose_everything(store: Store) -> None:
    """As a power cut or a crash of the server would."""
    if store.database.file is None:
        with store.database.write() as connection:
            connection.execute(text("TRUNCATE live"))
    else:
        for file in store.database.file.parent.glob("beamctl.db.live*"):
            file.unlink()


def test_a_store_opened_for_reading_sees_them(store, url):
    with open_store(url, read_only=True) as reader:
        assert reader.live.number() == 0
        store.live.publish({"cm1": 1})
        assert reader.live.number() == store.live.number() > 0
        store.live.publish({"cm1": 2})
        assert reader.live.read()["cm1"].payload == 2
        with pytest.raises(StoreError, match="read"):
            reader.live.publish({"cm1": 3})
    assert store.live.read()["cm1"].payload == 2


def test_nobody_who_waits_for_rows_is_woken(store, other):
    store.live.publish({"cm1": 0})
    with other.watch() as watch:
        store.live.publish({"cm1": 1})
        other.live.publish({"cm1": 2})
        assert not watch.wait(0.1)
    assert store.events.read() == []


def test_they_are_no_part_of_the_record(store):
    from beamctl.store.check import check_store

    store.live.publish({"cm1": 1})
    assert "live" not in check_store(store).counts


def test_publishing_waits_a_moment_only(store, other):
    store.live.publish({"cm1": 1})
    with publishing(other):
        started = time.monotonic()
        with pytest.raises(StoreBusyError):
            store.live.publish({"cm1": 2})
        assert time.monotonic() - started < 0.5
        assert store.live.read()["cm1"].payload == 1
    store.live.publish({"cm1": 3})
    assert other.live.read()["cm1"].payload == 3


@contextlib.contextmanager
def publishing(store: Store) -> Iterator[None]:
    """Somebody else is publishing for a long time."""
    if store.database.file is None:
        from beamctl.store.live_table import PUBLISHING_KEY

        with store.database.write() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({PUBLISHING_KEY})"))
            yield
        return
    connection = sqlite3.connect(f"{store.database.file}.live", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def test_threads_share_it(store):
    faults = []

    def work(number: int) -> None:
        try:
            for i in range(20):
                store.live.publish({f"cm{number}": i})
                assert store.live.read()[f"cm{number}"].payload == i
                assert store.live.number() > 0
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_two_processes_publish_for_a_third(store, url, start_child):
    children = [start_child("publish", url, "25") for _ in range(2)]
    assert [child.hear() for child in children] == ["ready", "ready"]
    last = 0
    for _ in range(4):
        for name, child in zip("ab", children, strict=True):
            child.say(name)
        last = follow(store, last, at_least=1)
        said = [child.hear().split() for child in children]
        assert [words[0] for words in said] == ["published"] * 2
        assert max(int(words[1]) for words in said) == store.live.number()
        assert store.live.read()["cm1"].payload["i"] == 24


def follow(store: Store, last: int, at_least: int) -> int:
    """Read what others publish, and see that each reading is whole; the last number."""
    seen = 0
    deadline = time.monotonic() + PATIENCE_S
    while seen < at_least:
        number = store.live.number()
        assert number >= last
        if number > last:
            rows = store.live.read()
            assert rows["cm1"].payload == rows["cm2"].payload
            assert len(set(rows["cm1"].payload["values"])) == 1
            assert rows["cm1"].number == rows["cm2"].number >= number
            last, seen = number, seen + 1
        assert time.monotonic() < deadline
    return last


def test_a_killed_publisher_leaves_whole_readings(store, url, start_child):
    """Publishers killed at random instants; the reader goes on, and so does the next publisher."""
    instants = random.Random(20261125)
    last = 0
    with open_store(url, read_only=True) as reader:
        for _ in range(KILLS):
            child = start_child("publish_forever", url)
            assert child.hear() == "ready"
            last = follow(reader, last, at_least=3)
            time.sleep(instants.uniform(0.0, 0.02))
            child.send_signal(signal.SIGKILL)
            rows = reader.live.read()
            assert rows["cm1"].payload == rows["cm2"].payload
            with open_store(url, read_only=True) as late:  # who comes after the death, and finds what was left behind
                assert late.live.read() == rows
    store.live.publish({"cm1": "still works"})
    assert store.live.number() > last


def test_numbers_are_cheap(store, url):
    """The median, because the host may be busy."""
    store.live.publish({f"cm{i}": {"values": [0.1] * 500} for i in range(6)})
    with open_store(url, read_only=True) as reader:
        took = []
        for _ in range(201):
            started = time.perf_counter()
            reader.live.number()
            took.append(time.perf_counter() - started)
    assert sorted(took)[100] < (0.0002 if store.database.is_sqlite else 0.005)
