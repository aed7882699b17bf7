"""Waiting out bad readings, a lost permit or a beam trip; nothing is written meanwhile."""

from collections.abc import Callable

from beamctl.engine.base import Clock
from beamctl.errors import BeamLostError, PermitLostError, StaleReadingError

HOLD_LIMIT_S = 30.0
"""longest wait for something bad to become good, before the snapshot is restored"""
BEAM_LIMIT_S = 300.0
"""the same for a beam that is gone: trips are common, and whoever brings it back needs a while"""
HOLD_POLL_S = 0.5
GOOD_AGAIN_S = 5.0
"""how long everything has to be good again before the run goes on"""
BEAM_AGAIN_S = 10.0
"""the same after a beam that was gone"""
HOLDS_PER_RUN = 20
"""a machine that comes and goes more often than this is not fit to be tuned"""

Trouble = StaleReadingError | PermitLostError
TROUBLE = (StaleReadingError, PermitLostError)
"""what a run waits out; everything else ends it"""


def limit_s(trouble: Trouble) -> float:
    """How long a trouble is waited out, s."""
    return BEAM_LIMIT_S if isinstance(trouble, BeamLostError) else HOLD_LIMIT_S


class Hold:
    """The holds of one run.

    Args:
        clock: that time is told by.
        check_fit: raises one of TROUBLE while the machine must not be moved.
        check_abort: raises when a person has ended the run.
        on_hold: told the reason, for how long already, s, and after how long the wait ends; None while it gets better.
    """

    def __init__(
        self,
        clock: Clock,
        check_fit: Callable[[], object],
        check_abort: Callable[[], None],
        on_hold: Callable[[str, float, float | None], None],
    ) -> None:
        self._clock = clock
        self._check_fit = check_fit
        self._check_abort = check_abort
        self._on_hold = on_hold
        self._count = 0

    def wait_until_fit(self, trouble: Trouble, since: float) -> None:
        """Return when everything has been good for GOOD_AGAIN_S, or BEAM_AGAIN_S.

        Args:
            trouble: what is wrong.
            since: when it began, s on the clock.

        Raises:
            StaleReadingError, PermitLostError: still bad after HOLD_LIMIT_S or BEAM_LIMIT_S, or too often.
            RunAbortedError: a person ended the run.
        """
        self._count += 1
        if self._count > HOLDS_PER_RUN:
            raise type(trouble)(f"held {HOLDS_PER_RUN} times, that is too often; the last time: {trouble}")
        good_since: float | None = None
        was_beam = isinstance(trouble, BeamLostError)
        good_for = BEAM_AGAIN_S if was_beam else GOOD_AGAIN_S
        while good_since is None or self._clock.now() - good_since < good_for:
            waited = self._clock.now() - since
            limit = limit_s(trouble)
            if good_since is None and waited >= limit:
                raise type(trouble)(f"still bad after {waited:.0f} s: {trouble}")
            self._on_hold(str(trouble), waited, limit - waited if good_since is None else None)
            self._clock.sleep(HOLD_POLL_S)
            self._check_abort()
            try:
                self._check_fit()
            except TROUBLE as error:
                good_since, trouble = None, error
            else:
                good_since = self._clock.now() if good_since is None else good_since
