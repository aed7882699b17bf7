"""Runs in a few numbers, and what a person can do about them."""

import pytest

from beamctl.api.figures import RunFigures
from beamctl.api.verbs import allowed, hint, why_not
from beamctl.run.orders import PARKED
from beamctl.store.events import now
from beamctl.store.pages import FigureRow, Listed
from beamctl.store.requests import Request
from beamctl.store.runs import Run
from beamctl.store.states import RequestState, RunKind, RunState, Verb


def of(*rows: tuple[int | None, dict]) -> RunFigures:
    figures = RunFigures()
    for seq, (step, values) in enumerate(rows, 1):
        figures = figures.with_reading(FigureRow(1, seq, step, values))
    return figures


def test_an_orbit_is_best_where_it_is_small():
    found = of((0, {"rms_mm": 2.0}), (1, {"rms_mm": 0.3}), (2, {"rms_mm": 0.4}), (None, {"rms_mm": 0.35}))
    assert (found.step, found.initial, found.best, found.final) == (
        2, {"rms_mm": 2.0}, {"rms_mm": 0.3}, {"rms_mm": 0.35},
    )  # fmt: skip


def test_a_beam_is_best_where_it_is_large():
    rows = [(n, {"mfc1_ma": ma, "transmission": t}) for n, (ma, t) in enumerate([(0.1, 0.9), (0.5, 0.8), (0.4, 0.85)])]
    assert of(*rows).best == {"mfc1_ma": 0.5, "transmission": 0.8}


def test_what_is_not_known_is_never_best():
    found = of((0, {"rms_mm": "NaN"}), (1, {"rms_mm": 2.0}), (2, {"rms_mm": "NaN"}), (None, {}))
    assert (found.best, found.final) == ({"rms_mm": 2.0}, {"rms_mm": None})


def test_a_result_is_told_from_a_last_reading():
    assert not of((0, {"rms_mm": 2.0}), (1, {"rms_mm": 0.3})).has_result
    assert of((0, {"rms_mm": 2.0}), (None, {"rms_mm": 2.1})).has_result


def test_every_reading_counts_once():
    found = of((0, {"rms_mm": 2.0}))
    assert found.with_reading(FigureRow(1, 1, 5, {"rms_mm": 0.1})) is found


def listed(state: RunState, *, is_over: bool = False, request: RequestState | None = None) -> Listed:
    run = Run(
        id=3, section="s", task="t", principal="p", agent="svd", agent_hashes=None, configuration_hash="", state=state,
        outcome="", reason="", started=now(), ended=now() if is_over else None, snapshot=None,
    )  # fmt: skip
    asked = None if request is None else Request(
        task="t", section="s", algorithm="svd", agent="", principal="p", idempotency_key="k", id=1, state=request,
        reason="", created=now(),
    )  # fmt: skip
    return Listed(run, RunKind.TUNE, asked)


@pytest.mark.parametrize("state", list(RunState))
def test_what_is_allowed_is_not_refused(state):
    for is_proposed in (False, True) if state is RunState.REVIEW else (False,):
        one = listed(state)
        for verb in allowed(one, is_proposed=is_proposed):
            assert why_not(one, verb, is_proposed=is_proposed) == ""


@pytest.mark.parametrize("state", list(RunState))
def test_abort_and_halt_are_never_refused_before_the_end(state):
    for verb in (Verb.ABORT, Verb.HALT):
        assert why_not(listed(state), verb, is_proposed=False) == ""
        assert "has ended" in why_not(listed(state, is_over=True), verb, is_proposed=False)
    assert allowed(listed(state, is_over=True), is_proposed=False) == []


@pytest.mark.parametrize("state", PARKED)
def test_a_section_is_left_when_its_run_has_nobody_any_more(state):
    still, left = (listed(state, request=of) for of in (RequestState.CLAIMED, RequestState.DONE))
    assert allowed(still, is_proposed=False) == []
    assert "try again" in why_not(still, Verb.RESTORE, is_proposed=False)
    assert Verb.RESTORE in allowed(left, is_proposed=False)
    assert "restore" in hint(left, is_proposed=False, has_owner=False).lower()


def test_hints():
    assert "no process" in hint(listed(RunState.RUNNING), is_proposed=False, has_owner=False).lower()
    assert hint(listed(RunState.RUNNING), is_proposed=False, has_owner=True) == ""
    assert "approve" in hint(listed(RunState.REVIEW), is_proposed=True, has_owner=True)
