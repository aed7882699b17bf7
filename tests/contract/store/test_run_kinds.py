"""What runs are for, and notes of requests, on every database."""

import pytest

from beamctl.errors import StoreConflictError
from beamctl.store.requests import NewRequest
from beamctl.store.runs import NewRun
from beamctl.store.states import RunKind, RunState

ASKED = {
    "by hand": None,
    "tune": {},
    "advice": {"dry_run": True},
    "snapshot": {"algorithm": "snapshot"},
    "preflight": {"algorithm": "preflight"},
}


def new_request(key: str, **changed) -> NewRequest:
    values = {"task": "cm1-orbit", "section": "cm1", "algorithm": "tbsac", "agent": "cafe2-orbit", "principal": "anna"}
    return NewRequest(**{**values, **changed}, idempotency_key=key)


def add_run(store, lease, request: int | None, agent: str, outcome: str = "reached", principal: str = "anna"):
    new = NewRun(
        section="cm1", task="cm1-orbit", principal=principal, agent=agent, agent_hashes=None, configuration_hash="c",
        request=request,
    )  # fmt: skip
    run = store.runs.create(lease, new)
    return store.runs.finish(lease, run.id, RunState.ACCEPTED, outcome, "")


@pytest.fixture
def runs(store, lease) -> dict[str, int]:
    """One of every kind, asked for and by hand."""
    ids = {}
    for name, changed in ASKED.items():
        request = None if changed is None else store.requests.submit(new_request(name, **changed)).id
        agent = "preflight" if name == "preflight" else "cafe2-orbit@12ab"
        ids[name] = add_run(store, lease, request, agent, principal="bert" if name == "tune" else "anna").id
    ids["preflight by hand"] = add_run(store, lease, None, "preflight").id
    ids["advice by hand"] = add_run(store, lease, None, "svd", "advised").id
    return ids


KINDS = {
    RunKind.TUNE: {"by hand", "tune"},
    RunKind.ADVICE: {"advice", "advice by hand"},
    RunKind.SNAPSHOT: {"snapshot"},
    RunKind.PREFLIGHT: {"preflight", "preflight by hand"},
}


def test_the_kinds_are_all_there_is():
    assert set(KINDS) == set(RunKind)


@pytest.mark.parametrize("kind", RunKind)
def test_runs_are_found_by_kind(store, runs, kind):
    found = store.runs.list(kind=kind)
    assert {run.id for run in found} == {runs[name] for name in KINDS[kind]}
    assert [store.runs.kind(run) for run in found] == [kind] * len(found)
    assert [run.id for run in found] == sorted((run.id for run in found), reverse=True)


def test_filters_are_combined(store, runs):
    assert [run.id for run in store.runs.list(principal="bert")] == [runs["tune"]]
    assert [run.id for run in store.runs.list(kind=RunKind.TUNE, principal="anna")] == [runs["by hand"]]
    assert store.runs.list(kind=RunKind.SNAPSHOT, principal="bert") == []
    assert [run.id for run in store.runs.list(kind=RunKind.TUNE, limit=1)] == [runs["tune"]]
    assert [run.id for run in store.runs.list(kind=RunKind.TUNE, before=runs["tune"])] == [runs["by hand"]]
    assert len(store.runs.list()) == len(runs)


def test_a_note_is_kept(store, other):
    asked = store.requests.submit(new_request("k", note="after the quadrupole swap, µ"))
    assert other.requests.get(asked.id) == asked
    assert asked.note == "after the quadrupole swap, µ"
    assert store.events.read()[-1].payload["note"] == asked.note
    assert store.requests.submit(new_request("without")).note == ""
    with pytest.raises(StoreConflictError, match="something else"):
        store.requests.submit(new_request("k", note="another"))
