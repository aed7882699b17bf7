"""What lists and pages show, on every database."""

import math

import pytest

from beamctl.engine.base import Reading
from beamctl.errors import StaleVersionError
from beamctl.store.export import ExportFormat, exported, exported_samples
from beamctl.store.journal import Put
from beamctl.store.requests import NewRequest
from beamctl.store.runs import NewRun
from beamctl.store.states import RunKind, RunState, Verb


def ask(store, key: str, **more):
    asked = {"task": "cm1-orbit", "section": "cm1", "algorithm": "svd", "agent": "", "principal": "anna", **more}
    return store.requests.submit(NewRequest(**asked, idempotency_key=key))


def begin(store, lease, request=None, section: str = "cm1", principal: str = "anna"):
    new = NewRun(
        section=section, task=f"{section}-orbit", principal=principal, agent="svd", agent_hashes=None,
        configuration_hash="", request=None if request is None else request.id,
    )  # fmt: skip
    return store.runs.create(lease, new)


def finish(store, lease, run, outcome: str = "reached"):
    return store.runs.finish(lease, run.id, RunState.ACCEPTED, outcome, "")


def read(store, run, step: int, **figures: float) -> int:
    return store.events.append("visited", {"step": step, "figures": figures, "more": ["x"] * 50}, run.id).seq


def test_runs_with_their_requests(store, lease):
    by_hand = finish(store, lease, begin(store, lease))
    request = ask(store, "1", note="for the log", dry_run=True)
    advised = finish(store, lease, begin(store, lease, request), "advised")
    preflight = begin(store, lease, ask(store, "2", algorithm="preflight"), principal="ben")
    found = store.pages.runs()
    assert [one.run.id for one in found] == [preflight.id, advised.id, by_hand.id]
    assert [one.kind for one in found] == [RunKind.PREFLIGHT, RunKind.ADVICE, RunKind.TUNE]
    assert found[1].request == store.requests.get(request.id)
    assert found[1].run == store.runs.get(advised.id)
    assert found[2].request is None


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"kind": RunKind.ADVICE}, 1), ({"kind": RunKind.SNAPSHOT}, 0), ({"principal": "ben"}, 1),
        ({"section": "cm1"}, 2),
        ({"state": RunState.ACCEPTED}, 1), ({"task": "cm2-orbit"}, 1), ({"limit": 2}, 2), ({"before": 1}, 0),
        ({"run": 1}, 1), ({"request": 1}, 1), ({"section": "cm1", "kind": RunKind.TUNE}, 1),
    ],
)  # fmt: skip
def test_filters(store, lease, wanted, count):
    finish(store, lease, begin(store, lease, ask(store, "1", dry_run=True)))
    begin(store, lease)
    with store.leases.section("cm2") as other:
        begin(store, other, section="cm2", principal="ben")
        assert len(store.pages.runs(**wanted)) == count


def test_the_newest_run_of_every_section(store, lease):
    finish(store, lease, begin(store, lease))
    newest = begin(store, lease)
    with store.leases.section("cm2") as other:
        second = begin(store, other, section="cm2")
    found = store.pages.latest_runs()
    assert {section: one.run.id for section, one in found.items()} == {"cm1": newest.id, "cm2": second.id}


def test_figures(store, lease):
    first, second = finish(store, lease, begin(store, lease)), begin(store, lease)
    read(store, first, 0, rms_mm=2.0)
    store.events.append("measured again", {"step": 0}, first.id)
    last = read(store, first, 1, rms_mm=math.nan)
    read(store, second, 0, rms_mm=1.0)
    store.events.append("result", {"final": {"rms_mm": 0.5}}, first.id)
    found = store.pages.figures([first.id, second.id])
    assert [(row.run, row.step, row.figures) for row in found] == [
        (first.id, 0, {"rms_mm": 2.0}),
        (first.id, 1, {"rms_mm": "NaN"}),
        (second.id, 0, {"rms_mm": 1.0}),
        (first.id, None, {"rms_mm": 0.5}),
    ]
    assert [row.run for row in store.pages.figures([first.id], after=last)] == [first.id]
    assert store.pages.figures([]) == []


def test_who_has_written(store, lease):
    run = begin(store, lease)
    assert store.pages.touched([run.id]) == set()
    store.journal.intend(lease, run.id, [Put("a", 0.0, 1.0), Put("b", 0.0, 1.0)])
    assert store.pages.touched([run.id, 77]) == {run.id}


def test_events_of_kinds(store, lease):
    run = begin(store, lease)
    store.events.append("held", {"n": 1}, run.id)
    middle = store.events.append("state", {"n": 2}, run.id)
    store.events.append("held", {"n": 3}, run.id)
    store.events.append("held", {"n": 4})
    assert [e.payload["n"] for e in store.pages.events(run.id, ("held", "state"))] == [1, 2, 3]
    assert store.pages.latest(run.id, ("held",)).payload == {"n": 3}
    assert store.pages.latest(run.id, ("state",)) == middle
    assert store.pages.latest(run.id, ("state",), middle.seq) is None


def test_owners_counts_and_keys(store, lease):
    request = ask(store, "mine")
    run = finish(store, lease, begin(store, lease, request))
    assert store.pages.request_with("mine") == store.requests.get(request.id)
    assert store.pages.request_with("theirs") is None
    assert store.pages.runs_of([request.id, 99]) == {request.id: run.id}
    assert store.pages.owner(lease.name).owner
    assert store.pages.owner("nobody") is None
    assert store.pages.counts() == {RunState.ACCEPTED: 1}


def test_a_decision_on_what_was_seen(store, lease):
    run = begin(store, lease)
    store.runs.set_state(lease, run.id, RunState.RUNNING)
    seen = store.pages.latest(run.id, ("state",)).seq
    store.events.append("visited", {}, run.id)
    store.commands.send(run.id, Verb.APPROVE, "anna", seen)
    store.events.append("proposed", {}, run.id)
    with pytest.raises(StaleVersionError):
        store.commands.send(run.id, Verb.APPROVE, "anna", seen)
    assert len(store.commands.pending(run.id)) == 1


def test_exports_piece_by_piece(store, run, monkeypatch):
    monkeypatch.setattr("beamctl.store.export.PIECE", 500)
    monkeypatch.setattr("beamctl.store.samples.PAGE", 7)
    readings = [("pv", Reading(float(n), received=n, stamp=n, seq=n)) for n in range(30)]
    store.samples.append(run.id, 0, readings)
    pieces = list(exported(store, run.id, ExportFormat.CSV))
    assert len(pieces) > 1
    assert "".join(pieces).count("\n") == 31
    assert "".join(exported_samples(store, run.id)).count('"pv":"pv"') == 30
    assert [s.reading.value for s in store.samples.stream(run.id)] == [float(n) for n in range(30)]
