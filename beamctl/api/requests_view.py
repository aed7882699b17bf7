"""Requests as messages, and how they are made."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Literal

from beamctl.api.numbers import number
from beamctl.api.problem import ProblemError
from beamctl.api.refused import refuse
from beamctl.api.schemas import runs as told
from beamctl.api.service import Service
from beamctl.errors import StoreConflictError
from beamctl.store.requests import NewRequest, Request
from beamctl.store.states import RequestState

Make = Callable[[str], NewRequest]
"""what shall be asked of the control process, from the key under which it is written down"""


def submit(
    service: Service, principal: str, key: str | None, make: Make, if_control_down: Literal["wait", "refuse"]
) -> told.Request:
    """Write down what somebody asks for; the same key again is the same request again.

    Args:
        service: of the route.
        principal: who asks.
        key: chosen by who asks; one's own, whatever keys others choose. None: asked for once.
        make: says what is asked for.
        if_control_down: what to do where nobody would take it now.

    Raises:
        ProblemError: not written down; says why.
    """
    new = make(_own(principal, key or secrets.token_hex(16)))
    known = service.store.pages.request_with(new.idempotency_key)
    if known is None:
        _check_possible(service, new, if_control_down)
    try:
        return view(service, [service.store.requests.submit(new)])[0]
    except StoreConflictError as error:
        number_ = "" if known is None else f" to request {known.id}"
        raise ProblemError(
            "key-reused", f"the Idempotency-Key belongs{number_}, which asks for something else: choose another"
        ) from error


def find(service: Service, request: int) -> Request:
    """A request by number.

    Raises:
        ProblemError: there is none.
    """
    try:
        return service.store.requests.get(request)
    except StoreConflictError as error:
        raise ProblemError("not-found", f"there is no request {request}") from error


def view(service: Service, requests: Sequence[Request]) -> list[told.Request]:
    """Requests as messages."""
    runs = service.store.pages.runs_of([request.id for request in requests])
    alive = service.control.is_alive
    return [_view(request, runs.get(request.id), is_alive=alive) for request in requests]


def _own(principal: str, key: str) -> str:
    """A key that no other principal can meet, and that fits into its column."""
    return f"{principal}:{hashlib.sha256(key.encode()).hexdigest()}"


def _check_possible(service: Service, new: NewRequest, if_control_down: str) -> None:
    action = f"{new.algorithm} {new.task}"
    if if_control_down == "refuse" and not service.control.is_alive:
        reason = "no control process is running (beamctl operate), and the request asks not to wait for one"
        refuse(service, new.principal, action, ProblemError("control-down", reason))
    for run in service.store.runs.unfinished():
        if run.section == new.section:
            reason = (
                f"{new.section} belongs to run {run.id} ({run.task}, {run.state.value}) of {run.principal}: "
                "end that run first"
            )
            refuse(service, new.principal, action, ProblemError("section-busy", reason))


def _view(request: Request, run: int | None, *, is_alive: bool) -> told.Request:
    budgets = request.budgets or {}
    steps = budgets.get("max_steps")
    return told.Request(
        id=request.id,
        task=request.task,
        section=request.section,
        algorithm=request.algorithm,
        agent=request.agent,
        target=number(request.target),
        max_steps=None if steps is None else int(steps),
        step_percent=number(budgets.get("step_percent")),
        dry_run=request.dry_run,
        review=bool(budgets.get("review")),
        approval=request.needs_approval,
        note=request.note,
        principal=request.principal,
        state=request.state,
        reason=request.reason,
        created=request.created,
        run=run,
        control_is_alive=is_alive,
        message=_message(request, run, is_alive=is_alive),
    )


def _message(request: Request, run: int | None, *, is_alive: bool) -> str:
    """What happens next."""
    if request.state is RequestState.WAITING:
        return (
            "the control process takes it in a moment"
            if is_alive
            else "waits: no control process is running; it is taken as soon as one is started (beamctl operate)"
        )
    if request.state is RequestState.CLAIMED:
        return "the run is being prepared" if run is None else f"run {run} is at work on it"
    if request.state is RequestState.DONE:
        return "done" if run is None else f"done, see run {run}"
    return f"{request.state.value}: {request.reason}" if request.reason else request.state.value
