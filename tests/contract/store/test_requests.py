"""Requests and commands, on every database."""

from collections import Counter

import pytest

from beamctl.errors import (
    StoreConflictError,
)
from beamctl.store.states import RequestState, RunState, Verb
from tests.contract.store.conftest import new_request


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
