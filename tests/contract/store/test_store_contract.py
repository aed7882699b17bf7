"""What every store does, on every database. Seed of the random instants: 20261124."""

import json
import math
import os
import random
import struct
import threading
import time
from collections import Counter
from io import StringIO

import pytest
from sqlalchemy import text

from beamctl.engine.base import Outcome, Reading, Severity, WriteResult
from beamctl.errors import (
    LeaseHeldError,
    LeaseLostError,
    StoreConflictError,
    StoreError,
    StoreUnavailableError,
)
from beamctl.store.chain import ChainEnd, verify_chain
from beamctl.store.check import check_store
from beamctl.store.export import ExportFormat, export_run
from beamctl.store.journal import Put
from beamctl.store.open import open_store
from beamctl.store.requests import NewRequest
from beamctl.store.runs import NewRun
from beamctl.store.schema import REVISIONS, VERSION_TABLE
from beamctl.store.states import RequestState, RunState, Verb

SECTION_RUN = {"task": "t", "principal": "p", "agent": "a", "agent_hashes": None, "configuration_hash": "c"}


def new_request(key: str = "k1", **changed) -> NewRequest:
    values = {
        "task": "cm1-orbit", "section": "cm1", "algorithm": "tbsac", "agent": "cafe2-orbit", "principal": "operator",
        "idempotency_key": key, "target": {"rms_mm": 0.5}, "budgets": {"steps": 30},
    }  # fmt: skip
    return NewRequest(**{**values, **changed})


def verified(store):
    with store.database.read() as connection:
        return verify_chain(connection)


def ok(value: float) -> WriteResult:
    return WriteResult(Outcome.OK, value, value)


# events


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


# requests and commands


def test_a_request_is_found_again_by_its_key(store, other):
    first = store.requests.submit(new_request())
    assert first.state is RequestState.WAITING
    assert other.requests.submit(new_request()) == first
    assert store.requests.list() == [first]
    with pytest.raises(StoreConflictError, match="another key"):
        other.requests.submit(new_request(target={"rms_mm": 0.4}))
    assert [event.kind for event in store.events.read()] == ["requested"]


def test_requests_are_claimed_in_order_where_there_is_room(store, other):
    for key, section in (("a", "cm1"), ("b", "cm1"), ("c", "cm2")):
        store.requests.submit(new_request(key, section=section))
    assert store.requests.claim().idempotency_key == "a"
    assert other.requests.claim(busy=["cm1"]).idempotency_key == "c"
    assert store.requests.claim(busy=["cm1"]) is None
    assert store.requests.claim().idempotency_key == "b"
    assert store.requests.claim() is None


def test_a_request_has_one_end(store):
    first, second, third = (store.requests.submit(new_request(key)).id for key in "abc")
    assert store.requests.cancel(second, "operator").state is RequestState.CANCELLED
    assert store.requests.claim().id == first
    assert store.requests.finish(first).state is RequestState.DONE
    assert store.requests.claim().id == third
    assert store.requests.refuse(third, "no permit").reason == "no permit"
    for change in (lambda: store.requests.cancel(first, "x"), lambda: store.requests.finish(third)):
        with pytest.raises(StoreConflictError, match=r"request \d is (done|refused), not"):
            change()
    with pytest.raises(StoreConflictError, match="no such request"):
        store.requests.finish(99)
    assert [request.id for request in store.requests.list(RequestState.DONE)] == [first]
    assert [request.id for request in store.requests.list(before=third, limit=1)] == [second]


def test_two_processes_never_claim_the_same_request(store, url, start_child):
    wanted = [store.requests.submit(new_request(f"k{i}")).id for i in range(25)]
    children = [start_child("claim", url) for _ in range(2)]
    assert [child.hear() for child in children] == ["ready", "ready"]
    for child in children:
        child.say()
    claimed = Counter(int(line) for child in children for line in child.lines())
    assert claimed == Counter(wanted)


def test_commands_are_taken_once_in_order(store, other, run):
    assert store.commands.take(run.id) == []
    for verb in (Verb.PAUSE, Verb.RESUME, Verb.HALT):
        other.commands.send(run.id, verb, "operator")
    assert [command.verb for command in store.commands.pending(run.id)] == [Verb.PAUSE, Verb.RESUME, Verb.HALT]
    taken = store.commands.take(run.id)
    assert [command.verb for command in taken] == [Verb.PAUSE, Verb.RESUME, Verb.HALT]
    assert all(command.taken is not None for command in taken)
    assert other.commands.take(run.id) == store.commands.pending(run.id) == []


def test_an_ended_run_takes_no_command(store, lease, run):
    store.runs.finish(lease, run.id, RunState.ACCEPTED, "reached", "")
    with pytest.raises(StoreConflictError, match="has ended"):
        store.commands.send(run.id, Verb.ABORT, "operator")
    with pytest.raises(StoreConflictError, match="does not exist"):
        store.commands.send(99, Verb.ABORT, "operator")


# runs


def test_a_run_from_begin_to_end(store, lease, run):
    assert run.state is RunState.IDLE
    assert store.runs.unfinished() == [run]
    assert store.runs.set_snapshot(lease, run.id, {"pv": 1.5}).snapshot == {"pv": 1.5}
    with pytest.raises(StoreConflictError, match="snapshot"):
        store.runs.set_snapshot(lease, run.id, {"pv": 2.5})
    store.runs.set_state(lease, run.id, RunState.RUNNING)
    held = store.runs.set_state(lease, run.id, RunState.HOLD, "beam trip", "operator")
    assert (held.state, held.reason, held.ended) == (RunState.HOLD, "beam trip", None)
    ended = store.runs.finish(lease, run.id, RunState.ACCEPTED, "reached", "RMS below 0.5 mm")
    assert ended.outcome == "reached"
    assert ended.ended is not None
    assert ended.snapshot == {"pv": 1.5}
    assert store.runs.unfinished() == []
    assert store.runs.get(run.id) == ended
    kinds = [event.kind for event in store.events.read(run=run.id)]
    assert kinds == ["created", "snapshot", "state", "state", "ended"]
    with pytest.raises(StoreConflictError, match="has ended"):
        store.runs.set_state(lease, run.id, RunState.RUNNING)


def test_a_section_has_one_run(store, lease, run):
    with pytest.raises(StoreConflictError, match=f"cm1 has run {run.id}, which is idle"):
        store.runs.create(lease, NewRun(section="cm1", **SECTION_RUN))
    columns = "section, task, principal, agent, configuration_hash, state, outcome, reason, started"
    with pytest.raises(StoreConflictError), store.database.write() as connection:  # whatever the code does
        connection.execute(text(f"INSERT INTO runs ({columns}) SELECT {columns} FROM runs"))
    with pytest.raises(StoreConflictError, match="not that of section cm2"):
        store.runs.create(lease, NewRun(section="cm2", **SECTION_RUN))
    store.runs.finish(lease, run.id, RunState.RESTORED, "failed", "")
    assert store.runs.create(lease, NewRun(section="cm1", **SECTION_RUN)).id > run.id


def test_runs_are_listed_by_page_and_filter(store, lease):
    ids = []
    for _ in range(5):
        ids.append(store.runs.create(lease, NewRun(section="cm1", **SECTION_RUN)).id)
        store.runs.finish(lease, ids[-1], RunState.RESTORED, "failed", "")
    ids.reverse()
    assert [run.id for run in store.runs.list(limit=2)] == ids[:2]
    assert [run.id for run in store.runs.list(before=ids[1], limit=2)] == ids[2:4]
    assert [run.id for run in store.runs.list(section="cm2")] == []
    assert len(store.runs.list(state=RunState.RESTORED, task="t")) == 5


# journal


def test_intents_are_settled_once(store, lease, run):
    first = store.journal.intend(lease, run.id, [Put("a", 0.0, 1.0), Put("b", 0.5, 1.5)])
    second = store.journal.intend(lease, run.id, [Put("a", 1.0, 2.0)])
    assert [intent.seq for intent in store.journal.of_run(run.id)] == [1, 1, 2]
    assert [intent.id for intent in store.journal.unsettled(run.id)] == first + second
    store.journal.settle({first[0]: ok(1.0), first[1]: WriteResult(Outcome.UNKNOWN, 1.5, message="no answer")})
    assert [intent.id for intent in store.journal.unsettled()] == [first[1], *second]
    unknown = store.journal.unsettled()[0]
    assert (unknown.outcome, unknown.message, math.isnan(unknown.held)) == (Outcome.UNKNOWN, "no answer", True)
    with pytest.raises(StoreConflictError, match="settled before"):
        store.journal.settle({second[0]: ok(2.0), first[0]: ok(1.0)})
    assert not store.journal.unsettled()[1].is_settled  # all or nothing
    store.journal.settle({first[1]: WriteResult(Outcome.ALTERED, 1.5, 1.25), second[0]: ok(2.0)})
    assert store.journal.unsettled() == []
    last = store.journal.last_intended(run.id)
    assert last.keys() == {"a", "b"}
    assert last["a"].new == 2.0
    assert last["b"].held == 1.25


def test_an_intent_that_may_not_be_written_leaves_nothing(store, lease, run):
    for puts in ([Put("a", 0.0, 1.0), Put("b", 0.0, math.nan)], [Put("a", 0.0, 1.0), Put("a", 0.0, 2.0)]):
        with pytest.raises(StoreConflictError):
            store.journal.intend(lease, run.id, puts)
    with pytest.raises(StoreConflictError):
        store.journal.intend(lease, run.id + 1, [Put("a", 0.0, 1.0)])
    assert store.journal.intend(lease, run.id, []) == []
    assert store.journal.of_run(run.id) == []


# samples


def bits(value):
    return value if isinstance(value, str) else struct.pack(">d", value)


def test_samples_come_back_bit_by_bit(store, run):
    random_ = random.Random(20261124)
    values = [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, "CAFE2", "", "nan"]
    values += [struct.unpack(">d", random_.randbytes(8))[0] for _ in range(200)]
    readings = [
        (
            f"pv{i % 3}",
            Reading(value, Severity(i % 4), i, -0.0 if i % 2 else 1.1, -math.inf if i % 3 else 2.2, i, i < 5),
        )
        for i, value in enumerate(values)
    ]
    store.samples.append(run.id, 7, readings)
    store.samples.append(run.id, 8, readings[:1])
    store.samples.append(run.id, 9, [])
    found = store.samples.read(run.id, 7)
    assert len(store.samples.read(run.id)) == len(readings) + 1
    for (pv, sent), got in zip(readings, found, strict=True):
        assert (got.step, got.pv, got.reading.severity) == (7, pv, sent.severity)
        for name in ("value", "stamp", "received"):
            assert bits(getattr(got.reading, name)) == bits(getattr(sent, name))
        for name in ("status", "seq", "connected"):
            assert getattr(got.reading, name) == getattr(sent, name)


def test_a_run_is_exported(store, lease, run):
    store.journal.intend(lease, run.id, [Put("a", 0.0, 0.1)])
    store.samples.append(run.id, 1, [("x", Reading(0.1)), ("y", Reading(math.nan)), ("id", Reading("CAFE2"))])
    out = StringIO()
    export_run(store, run.id, ExportFormat.JSON, out)
    whole = json.loads(out.getvalue())
    assert whole["run"]["id"] == run.id
    assert [event["kind"] for event in whole["events"]] == ["created"]
    assert whole["intents"][0]["new"] == 0.1
    assert [sample["value"] for sample in whole["samples"]] == [0.1, "NaN", None]
    out = StringIO()
    export_run(store, run.id, ExportFormat.CSV, out)
    assert out.getvalue().splitlines()[1:] == [
        "1,x,0.1,,3,0,0.0,-inf,0,False",
        "1,y,nan,,3,0,0.0,-inf,0,False",
        "1,id,,CAFE2,3,0,0.0,-inf,0,False",
    ]
    with pytest.raises(StoreConflictError):
        export_run(store, run.id + 1, ExportFormat.CSV, out)


# leases


def test_a_section_has_one_owner(store, other):
    with store.leases.section("cm1") as first:
        with pytest.raises(LeaseHeldError, match=f"pid {os.getpid()}"):
            other.leases.section("cm1")
        with other.leases.section("cm2") as neighbour, store.leases.control():
            neighbour.beat()
            assert {lease.name: lease.is_held for lease in other.leases.list()} == {
                "control": True, "section:cm1": True, "section:cm2": True,
            }  # fmt: skip
    with other.leases.section("cm1") as second:
        assert second.token == first.token + 1
    assert not store.leases.is_held("section:cm1")


def test_clocks_decide_nothing(store, other, lease):
    for heartbeat in ("1970-01-01T00:00:00.000000Z", "2100-01-01T00:00:00.000000Z"):
        with store.database.write() as connection:
            connection.execute(text("UPDATE leases SET heartbeat = :t"), {"t": heartbeat})
        with pytest.raises(LeaseHeldError):
            other.leases.section("cm1")
    lease.beat()


def test_who_has_lost_a_lease_writes_nothing(store, other, lease, run):
    """The lock is gone without its owner having noticed, as when the connection to a server breaks."""
    ids = store.journal.intend(lease, run.id, [Put("a", 0.0, 1.0)])
    lease._lock.release()
    with pytest.raises(LeaseLostError):
        lease.beat()
    with other.leases.section("cm1") as successor:
        for attempt in (
            lambda: store.journal.intend(lease, run.id, [Put("a", 1.0, 2.0)]),
            lambda: store.runs.set_state(lease, run.id, RunState.RUNNING),
            lambda: store.runs.finish(lease, run.id, RunState.ACCEPTED, "reached", ""),
            lambda: store.runs.create(lease, NewRun(section="cm1", **SECTION_RUN)),
        ):
            with pytest.raises(LeaseLostError, match="somebody else"):
                attempt()
        assert [intent.id for intent in other.journal.of_run(run.id)] == ids
        store.journal.settle({ids[0]: ok(1.0)})  # what became of a put that was sent is still welcome
        other.journal.intend(successor, run.id, [Put("a", 1.0, 0.0)])


def test_two_processes_never_get_the_same_section(store, url, start_child):
    children = [start_child("hold", url) for _ in range(2)]
    assert [child.hear() for child in children] == ["ready", "ready"]
    tokens = []
    for _ in range(8):
        for child in children:
            child.say()
        answers = sorted(child.hear().split()[0:2] for child in children)
        assert [answer[0] for answer in answers] == ["got", "refused"]
        tokens.append(int(answers[0][1]))
        for child in children:
            child.say()
        assert [child.hear() for child in children] == ["free", "free"]
    assert tokens == sorted(set(tokens))


def test_a_stopped_owner_keeps_its_section_a_dead_one_does_not(store, url, start_child):
    import signal

    child = start_child("hold", url)
    child.hear()
    child.say()
    assert child.hear() == "got 1"
    child.send_signal(signal.SIGSTOP)
    with pytest.raises(LeaseHeldError):
        store.leases.section("cm1")
    child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30.0
    while True:
        try:
            lease = store.leases.section("cm1")
        except LeaseHeldError:
            assert time.monotonic() < deadline
        else:
            break
    assert lease.token == 2
    lease.release()


# waiting


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


# opening


def test_a_store_is_found_again(store, url, run):
    with open_store(url) as again:
        assert again.runs.get(run.id) == run
        assert check_store(again).revision == REVISIONS[-1]


def test_a_newer_store_is_refused(store, url):
    with store.database.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'"))
    for read_only in (False, True):
        with pytest.raises(StoreUnavailableError, match=r"r9999.*newer beamctl"):
            open_store(url, read_only=read_only)


def test_a_store_opened_for_reading_is_not_written(store, url, run):
    with open_store(url, read_only=True) as reader:
        assert reader.runs.get(run.id) == run
        with pytest.raises(StoreError, match="read-only"):
            reader.events.append("tick")
        assert check_store(reader).faults == ()


def test_nothing_is_created_for_reading(url):
    with pytest.raises(StoreUnavailableError, match=r"no file|empty"):
        open_store(url, read_only=True)


def test_many_open_an_empty_store_at_once(url):
    faults = []

    def open_one():
        try:
            open_store(url).close()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with open_store(url) as store:
        assert verified(store).count == 0


def test_threads_share_a_store(store):
    def append():
        for i in range(10):
            store.events.append("tick", {"i": i})

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (verified(store).count, verified(store).fault) == (40, "")


def test_the_tables_are_those_of_the_schema(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from beamctl.store.schema import LIVE_TABLE, Base

    with store.database.read() as connection:
        opts = {"version_table": VERSION_TABLE, "compare_type": False, "target_metadata": Base.metadata}
        opts["include_name"] = lambda name, kind, parents: (kind, name) != ("table", LIVE_TABLE)
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Base.metadata) == []


# crashes


KILLS = 30


def test_nothing_acknowledged_is_lost_by_kill_9(store, url, start_child):
    """Writers killed at random instants, one after the other, each going on with what the last one left."""
    instants = random.Random(20261124)
    said: list[str] = []
    parent = start_child("killed", url)
    for number in range(KILLS):
        parent.say(str(number + 1))
        line = parent.hear()
        assert line.startswith("writing "), line
        time.sleep(instants.uniform(0.0, 0.12))
        os.kill(int(line.split()[1]), 9)
        while (line := parent.hear()) != "dead":
            said.append(line)
    words = [line.split() for line in said]
    assert len(said) > KILLS
    report = check_store(store)
    assert report.faults == ()
    assert check_acknowledged(store, words) > KILLS / 2


def check_acknowledged(store, words) -> int:
    """Everything that was acknowledged is there, nothing is there by half; how many rows were acknowledged."""
    [run] = store.runs.unfinished()
    hashes = {}
    after = 0
    while page := store.events.read(after):
        hashes.update({event.seq: event.hash for event in page})
        after = page[-1].seq
    intents = {intent.id: intent for intent in store.journal.of_run(run.id)}
    steps = Counter(sample.step for sample in store.samples.read(run.id))
    for kind, *rest in words:
        if kind == "event":
            assert hashes[int(rest[0])] == rest[1]
        elif kind == "intent":
            assert all(int(intent) in intents for intent in rest)
        elif kind == "settled":
            assert all(intents[int(intent)].outcome is Outcome.OK for intent in rest)
        elif kind == "samples":
            assert steps[int(rest[0])] == 5
    assert set(Counter(intent.seq for intent in intents.values()).values()) <= {5}
    assert set(steps.values()) <= {5}
    unsettled = {intent.seq for intent in store.journal.unsettled(run.id)}
    assert len(store.journal.unsettled(run.id)) == 5 * len(unsettled)
    return sum(1 for kind, *_ in words if kind in ("event", "intent", "settled", "samples"))
