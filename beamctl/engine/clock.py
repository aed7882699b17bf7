"""Real time, as the engines see it."""

import time


class MonotonicClock:
    """The machine's own monotonic clock; implements :class:`beamctl.engine.base.Clock`.

    Never set back by NTP or by hand, so intervals measured with it may be trusted. Not comparable
    between processes on different hosts, nor with the time stamps of an IOC.
    """

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``; a signal handler that raises ends it early."""
        time.sleep(max(0.0, seconds))
