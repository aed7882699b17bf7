"""Runs, and the journal of what they mean to write, on every database."""

import math

import pytest
from sqlalchemy import text

from beamctl.engine.base import Outcome, WriteResult
from beamctl.errors import (
    StoreConflictError,
)
from beamctl.store.journal import Put
from beamctl.store.states import RunState
from tests.contract.store.conftest import new_run, ok


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
        store.runs.create(lease, new_run("cm1"))
    columns = "section, task, principal, agent, configuration_hash, state, outcome, reason, started"
    with pytest.raises(StoreConflictError), store.database.write() as connection:  # whatever the code does
        connection.execute(text(f"INSERT INTO runs ({columns}) SELECT {columns} FROM runs"))
    with pytest.raises(StoreConflictError, match="not that of section cm2"):
        store.runs.create(lease, new_run("cm2"))
    store.runs.finish(lease, run.id, RunState.RESTORED, "failed", "")
    assert store.runs.create(lease, new_run("cm1")).id > run.id


def test_runs_are_listed_by_page_and_filter(store, lease):
    ids = []
    for _ in range(5):
        ids.append(store.runs.create(lease, new_run("cm1")).id)
        store.runs.finish(lease, ids[-1], RunState.RESTORED, "failed", "")
    ids.reverse()
    assert [run.id for run in store.runs.list(limit=2)] == ids[:2]
    assert [run.id for run in store.runs.list(before=ids[1], limit=2)] == ids[2:4]
    assert [run.id for run in store.runs.list(section="cm2")] == []
    assert len(store.runs.list(state=RunState.RESTORED, task="cm1-orbit")) == 5


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
