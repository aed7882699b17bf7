"""Runs: ask for them, look at them, tell them what to do."""

import secrets
from collections.abc import Mapping
from typing import Any, Literal

from beamctl.api.schemas.events import Event, Tick
from beamctl.api.schemas.runs import Commanded, Puts, Request, Run, Runs, Setpoints, Steps
from beamctl.client.access import Access
from beamctl.client.calls import API, answered, ask, tell, told
from beamctl.client.run_watch import RunWatch
from beamctl.client.work import Call, Group, Item, Outgoing, Stream, Streamed, W, Work
from beamctl.store.states import RunState, Verb

IfDown = Literal["wait", "refuse"]
PATIENCE_S = 60.0
DECISIONS = (Verb.APPROVE, Verb.TAKEOVER, Verb.RESTORE, Verb.LEAVE, Verb.CLEAR)
"""what the service wants to hear from those only who say which version they have seen"""
ALWAYS = (Verb.ABORT, Verb.HALT)
"""what may be said twice"""


def request_once(access: Access, path: str, body: Mapping[str, Any], key: str | None) -> Work[Request]:
    """Ask for something that takes a while; the service knows it again by its key when it is sent again."""
    headers = {"Idempotency-Key": key or secrets.token_hex(16)}
    return told((yield from tell(access, "POST", path, body, headers=headers, is_repeatable=True)), Request)


class RunCalls(Group[W]):
    """Runs.

    Where a version is needed and none is given, the present one is fetched first: what somebody else has changed since
    you have looked is then taken as it is. Give the ``version`` of the :class:`Run` that you have seen to be safe.
    """

    @Call
    def start(
        self,
        task: str,
        *,
        algorithm: str | None = None,
        agent: str | None = None,
        target: float | None = None,
        max_steps: int | None = None,
        step_percent: float | None = None,
        seed: int = 0,
        preflight: int | None = None,
        dry_run: bool = False,
        review: bool = False,
        approval: bool = False,
        if_control_down: IfDown = "wait",
        note: str = "",
        key: str | None = None,
    ) -> Work[Request]:
        """Ask for a run; arguments as :class:`beamctl.api.schemas.runs.NewRequest`.

        Args:
            key: idempotency key; the same key again is the same request again, so it is safe to repeat. [a fresh one]

        Example:
            request = client.runs.start("cm1-orbit", review=True)
        """
        body = {
            "task": task, "algorithm": algorithm, "agent": agent, "target": target, "max_steps": max_steps,
            "step_percent": step_percent, "seed": seed, "preflight": preflight, "dry_run": dry_run, "review": review,
            "approval": approval, "if_control_down": if_control_down, "note": note,
        }  # fmt: skip
        return request_once(self._access, "/runs", body, key)

    @Call
    def list(
        self,
        *,
        section: str | None = None,
        task: str | None = None,
        state: RunState | None = None,
        kind: str | None = None,
        principal: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Work[Runs]:
        """A page of the runs that fit, the latest first; ``before`` is the ``next`` of the page before."""
        return ask(
            self._access, "/runs", Runs, section=section, task=task, state=state, kind=kind, principal=principal,
            before=before, limit=limit,
        )  # fmt: skip

    @Call
    def get(self, run: int) -> Work[Run]:
        """One of them, with what can be told it now."""
        return ask(self._access, f"/runs/{run}", Run)

    @Call
    def steps(self, run: int) -> Work[Steps]:
        """Every setting, and what was read there."""
        return ask(self._access, f"/runs/{run}/steps", Steps)

    @Call
    def setpoints(self, run: int) -> Work[Setpoints]:
        """What became of every setpoint."""
        return ask(self._access, f"/runs/{run}/setpoints", Setpoints)

    @Call
    def puts(self, run: int) -> Work[Puts]:
        """Everything that was written."""
        return ask(self._access, f"/runs/{run}/puts", Puts)

    @Call
    def samples(self, run: int, form: Literal["csv", "json", "parquet"] = "csv") -> Work[bytes]:
        """Raw samples as a file."""
        return self._file(f"/runs/{run}/samples", {"format": form})

    @Call
    def export(self, run: int) -> Work[bytes]:
        """Everything about it as a JSON file."""
        return self._file(f"/runs/{run}/export")

    @Call
    def report(self, run: int) -> Work[bytes]:
        """An HTML page for the logbook."""
        return self._file(f"/runs/{run}/report")

    @Call
    def command(self, run: int, verb: Verb, version: str | None = None) -> Work[Commanded]:
        """Tell it something; those below are the same with names of their own."""
        return self._command(run, verb, version)

    @Call
    def pause(self, run: int) -> Work[Commanded]:
        """Hold after the present step."""
        return self._command(run, Verb.PAUSE)

    @Call
    def resume(self, run: int) -> Work[Commanded]:
        """Go on."""
        return self._command(run, Verb.RESUME)

    @Call
    def accept(self, run: int, version: str | None = None) -> Work[Commanded]:
        """End and keep the best setting; in review: keep what is there."""
        return self._command(run, Verb.ACCEPT, version)

    @Call
    def abort(self, run: int) -> Work[Commanded]:
        """End and restore what it found; said again until the service has heard it."""
        return self._command(run, Verb.ABORT)

    @Call
    def halt(self, run: int) -> Work[Commanded]:
        """Freeze: nothing is written any more, not even a restore; said again until the service has heard it."""
        return self._command(run, Verb.HALT)

    @Call
    def approve(self, run: int, version: str | None = None) -> Work[Commanded]:
        """Let the step that waits for approval be written."""
        return self._command(run, Verb.APPROVE, version)

    @Call
    def restore(self, run: int, version: str | None = None) -> Work[Commanded]:
        """Bring back what a run in conflict, halted or failed has left behind."""
        return self._command(run, Verb.RESTORE, version)

    @Call
    def takeover(self, run: int, version: str | None = None) -> Work[Commanded]:
        """In a conflict: what somebody else has set is the run's own base from now on."""
        return self._command(run, Verb.TAKEOVER, version)

    @Call
    def leave(self, run: int, version: str | None = None) -> Work[Commanded]:
        """Leave everything as it is."""
        return self._command(run, Verb.LEAVE, version)

    @Call
    def clear(self, run: int, version: str | None = None) -> Work[Commanded]:
        """Take note of a halted or failed run; writes nothing."""
        return self._command(run, Verb.CLEAR, version)

    @Call
    def snapshot(
        self,
        run: int,
        *,
        of: Literal["found", "best"] = "found",
        approval: bool = False,
        review: bool = False,
        if_control_down: IfDown = "wait",
        note: str = "",
        key: str | None = None,
    ) -> Work[Request]:
        """Ask for a run that goes to what this one has found, or to its best setting; ``key`` as in :meth:`start`."""
        body = {"of": of, "approval": approval, "review": review, "if_control_down": if_control_down, "note": note}
        return request_once(self._access, f"/runs/{run}/snapshot", body, key)

    @Streamed
    def follow(self, run: int, *, patience_s: float = PATIENCE_S) -> Stream[Event]:
        """Its events from the first one on, until it ends or is left to a person (halted, fault, unknown).

        Args:
            run: its number.
            patience_s: how long the service may be away.

        Example:
            for event in client.runs.follow(17):
                print(event.kind, event.payload)
        """
        watch = RunWatch(self._access, run, patience_s)
        while (message := (yield from watch.next())) is not None:
            if isinstance(message, Event):
                yield Item(message)

    @Streamed
    def watch(self, run: int, *, patience_s: float = PATIENCE_S) -> Stream[Event | Tick]:
        """The same with a tick every second, for displays that count the time."""
        watch = RunWatch(self._access, run, patience_s)
        while (message := (yield from watch.next())) is not None:
            yield Item(message)

    @Call
    def wait(self, run: int, *, patience_s: float = PATIENCE_S) -> Work[Run]:
        """The run as it is at its end, or when it is left to a person (halted, fault, unknown)."""
        watch = RunWatch(self._access, run, patience_s)
        while (yield from watch.next()) is not None:
            pass
        return (yield from watch.look())

    def _file(self, path: str, query: Mapping[str, Any] | None = None) -> Work[bytes]:
        request = Outgoing("GET", API + path, query or {}, timeout_s=120.0)
        return (yield from answered(self._access, request, is_repeatable=True)).content

    def _command(self, run: int, verb: Verb, version: str | None = None) -> Work[Commanded]:
        if version is None and verb in DECISIONS:
            version = (yield from ask(self._access, f"/runs/{run}", Run)).version
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        path, is_repeatable = f"/runs/{run}/{verb}", verb in ALWAYS
        answer = yield from tell(self._access, "POST", path, headers=headers, is_repeatable=is_repeatable)
        return told(answer, Commanded)
