"""The record of events and its chain, on every database."""

import math

import pytest
from sqlalchemy import text

from beamctl.errors import (
    StoreConflictError,
)
from beamctl.store.chain import ChainEnd, verify_chain
from beamctl.store.check import check_store
from beamctl.store.journal import Put
from tests.contract.store.conftest import ok, verified


def test_events_come_back_in_order(store, other):
    written = [store.events.append("tick", {"i": i}) if i % 2 else other.events.append("tick") for i in range(6)]
    assert [event.seq for event in written] == [1, 2, 3, 4, 5, 6]
    assert store.events.read() == written
    assert store.events.read(after=4) == written[4:]
    assert store.events.read(limit=2) == written[:2]
    assert store.events.end() == ChainEnd(6, written[-1].hash)
    assert verified(store).fault == ""
    assert verified(store).count == 6


def test_events_keep_what_json_cannot_say(store):
    store.events.append("reading", {"x": [math.nan, math.inf, -math.inf, -0.0, 1e-320], "µ": "ä\u0000"[:-1]})
    payload = store.events.read()[0].payload
    assert payload == {"x": ["NaN", "Infinity", "-Infinity", -0.0, 1e-320], "µ": "ä"}
    assert verified(store).fault == ""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET payload = '{}' WHERE seq = 2",
        "UPDATE events SET principal = 'nobody'",
        "DELETE FROM events WHERE seq = 2",
        "DELETE FROM events",
        "UPDATE refusals SET reason = ''",
        "DELETE FROM refusals",
        "DELETE FROM intents",
        "UPDATE intents SET new = 0",
        "UPDATE intents SET outcome = 'refused'",
    ],
)
def test_the_database_refuses_to_change_the_record(store, lease, run, statement):
    store.audit.refused("guest", "abort", "viewers may not")
    store.journal.settle({store.journal.intend(lease, run.id, [Put("pv", 1.0, 2.0)])[0]: ok(2.0)})
    before = store.events.read(), store.journal.of_run(run.id), store.audit.list()
    with pytest.raises(StoreConflictError, match=r"append-only|settled once"), store.database.write() as connection:
        connection.execute(text(statement))
    assert (store.events.read(), store.journal.of_run(run.id), store.audit.list()) == before


def test_replacing_and_truncating_are_refused_too(store):
    store.events.append("tick")
    row = "(seq, kind, payload, principal, time, previous, hash) VALUES (1, 'x', '', '', '', '', '')"
    statement = f"INSERT OR REPLACE INTO events {row}" if store.database.is_sqlite else "TRUNCATE events"
    with pytest.raises(StoreConflictError, match="append-only"), store.database.write() as connection:
        connection.execute(text(statement))
    assert verified(store).count == 1


TAMPERING = {
    "payload": "UPDATE events SET payload = '{}' WHERE seq = 5",
    "kind": "UPDATE events SET kind = 'tock' WHERE seq = 5",
    "principal": "UPDATE events SET principal = 'nobody' WHERE seq = 1",
    "time": "UPDATE events SET time = '2020-01-01T00:00:00.000000Z' WHERE seq = 10",
    "run": "UPDATE events SET run = NULL WHERE seq = 5",
    "hash": f"UPDATE events SET hash = '{'1' * 64}' WHERE seq = 5",
    "previous": f"UPDATE events SET previous = '{'1' * 64}' WHERE seq = 1",
    "removed first": "DELETE FROM events WHERE seq = 1",
    "removed": "DELETE FROM events WHERE seq = 5",
    "removed last": "DELETE FROM events WHERE seq = 10",
    "removed all": "DELETE FROM events",
    "moved": "UPDATE events SET seq = 99 WHERE seq = 5",
    "added": "INSERT INTO events SELECT 11, run, kind, payload, principal, time, hash, hash FROM events WHERE seq = 10",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
def test_the_chain_shows_tampering(store, lease, run, statement):
    """By somebody who may switch the triggers off."""
    while store.events.end().seq < 10:
        store.events.append("tick", {"x": 1}, run.id)
    assert verified(store).fault == ""
    triggers_off(store)
    with store.database.write() as connection:
        connection.execute(text(statement))
    report = check_store(store)
    assert report.chain.fault != ""
    assert report.faults


def triggers_off(store):
    with store.database.write() as connection:
        if not store.database.is_sqlite:
            connection.execute(text("ALTER TABLE events DISABLE TRIGGER USER"))
            return
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        for name in names:
            connection.execute(text(f"DROP TRIGGER {name}"))


def test_a_chain_that_was_written_anew_is_told_from_the_one_that_was_noted(store, other):
    for i in range(3):
        store.events.append("tick", {"i": i})
    noted = store.events.end()
    with store.database.read() as connection:
        assert verify_chain(connection, noted).fault == ""
        assert "noted" in verify_chain(connection, ChainEnd(2, "0" * 64)).fault
        assert "noted" in verify_chain(connection, ChainEnd(4, "0" * 64)).fault
