"""Who owns a section, on every database."""

import os
import time

import pytest
from sqlalchemy import text

from beamctl.errors import (
    LeaseHeldError,
    LeaseLostError,
)
from beamctl.store.journal import Put
from beamctl.store.states import RunState
from tests.contract.store.conftest import new_run, ok


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
            lambda: store.runs.create(lease, new_run("cm1")),
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
