"""Every put that reaches the soft IOC, as it came: the judge of whoever writes to it."""

import time
from pathlib import Path


class PutLog:
    """A file with a line per put: s since the epoch, PV, value as received, before any limit is applied.

    Args:
        file: appended to; each line is there as soon as the put is.
    """

    def __init__(self, file: Path) -> None:
        self._stream = file.open("a", buffering=1, encoding="utf-8")

    def note(self, pv: str, value: object) -> None:
        """One put."""
        self._stream.write(f"{time.time():.6f} {pv} {value}\n")

    def close(self) -> None:
        """No more of them."""
        self._stream.close()
