"""Something that works on a section until it ends, for the supervisor: a run, a preflight check, a recovery."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol

from beamctl.engine.base import Engine
from beamctl.errors import BeamControlError, StoreError
from beamctl.run.events import Outcome, RunResult
from beamctl.run.recovery import Recovered
from beamctl.run.session import TuningRun
from beamctl.store.open import Store
from beamctl.store.states import RunState

_log = logging.getLogger(__name__)

Ending = tuple[RunState, str, str]
"""final state, outcome in a word, reason for people"""


class Attempt(Protocol):
    """Something that works on a section until it ends."""

    def execute(self) -> Ending:
        """Work; raises only what nobody has thought of."""


class RunAttempt:
    """A tuning run over an engine that is closed at its end.

    Args:
        engine: of this run alone.
        run: over it.
        store, number: where its result is written down.
    """

    def __init__(self, engine: Engine, run: TuningRun, store: Store, number: int, *, dry_run: bool = False) -> None:
        self._engine = engine
        self._run = run
        self._store = store
        self._number = number
        self._dry_run = dry_run

    def execute(self) -> Ending:
        """See :class:`Attempt`."""
        try:
            result = self._run.advise()[0] if self._dry_run else self._run.execute()
        except BeamControlError as error:
            return RunState.IDLE, "not armed", str(error)
        finally:
            self._engine.close()
        write_result(self._store, self._number, result)
        state = RunState.IDLE if result.outcome is Outcome.ADVISED else self._run.state
        return state, result.outcome.value, result.reason


def write_result(store: Store, run: int, result: RunResult) -> None:
    """Note a result for whoever follows; the run has ended whether that works or not."""
    try:
        store.events.append("result", asdict(result), run)
    except StoreError:
        _log.exception("the result of run %d could not be written down", run)


class RecoveryAttempt:
    """A recovery over an engine that is closed at its end.

    Args:
        engine: of this recovery alone.
        recover: does it.
        store, number: where the lines are written down.
    """

    def __init__(self, engine: Engine, recover: Callable[[Engine], Recovered], store: Store, number: int) -> None:
        self._engine = engine
        self._recover = recover
        self._store = store
        self._number = number

    def execute(self) -> Ending:
        """See :class:`Attempt`."""
        try:
            done = self._recover(self._engine)
        finally:
            self._engine.close()
        self._store.events.append("restored", [asdict(line) for line in done.lines], self._number)
        return done.state, "recovered" if done.is_over else "restore owed", done.reason
