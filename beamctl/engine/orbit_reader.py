"""Reads the orbit of a section: several shots combined, channels that cannot be believed marked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.base import Engine, Reading
from beamctl.engine.conditions import Conditions
from beamctl.engine.layout import SectionLayout
from beamctl.errors import StaleReadingError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Measurement:
    """One combined orbit reading.

    Attributes:
        orbit_mm: median of the readings, 0 where not valid, shape (n,).
        valid: channels to believe, shape (n,).
    """

    orbit_mm: Array
    valid: Mask


class OrbitReader:
    """BPM readings of one section during one run.

    Attributes:
        expected: channels that are still believed, shape (n,). A channel that is unusable in the first measurement, or
            freezes later, is left out from then on; one that fails later in any other way stops the run.
    """

    def __init__(self, engine: Engine, layout: SectionLayout, conditions: Conditions) -> None:
        self._engine = engine
        self._layout = layout
        self._conditions = conditions
        self._previous: Array | None = None
        self.expected: Mask = np.ones(len(layout.channels), bool)

    def measure(self) -> Measurement:
        """Combine readings that arrive from now on.

        Raises:
            StaleReadingError: a channel that worked so far is INVALID, not finite, silent or out of range, or fewer
                than half of all channels are usable.
            PermitLostError: permit or beam went away meanwhile.
        """
        channels = self._layout.channels
        since = {pv: r.seq for pv, r in self._engine.latest(channels).items()}
        n = self._layout.readings
        got = self._engine.wait(channels, since, n, self._layout.max_age_s * (n + 4))
        self._conditions.check_beam()
        samples = np.array([[r.number for r in got[pv]] for pv in channels])
        usable = np.array([self._is_usable(got[pv]) for pv in channels])
        frozen = self._frozen(samples)
        if self._previous is not None and (self.expected & ~usable).any():
            raise StaleReadingError(f"not usable: {self.names(self.expected & ~usable)}; nothing written")
        self.expected = self.expected & usable & ~frozen
        if 2 * self.expected.sum() < len(channels):
            raise StaleReadingError(
                f"only {self.expected.sum()} of {len(channels)} BPM channels are usable; "
                f"not usable: {self.names(~self.expected)}"
            )
        self._previous = samples
        median = np.array(
            [np.median(row[self._in_range(row)]) if ok else 0.0 for row, ok in zip(samples, self.expected, strict=True)]
        )
        return Measurement(median, self.expected.copy())

    def names(self, mask: Mask) -> str:
        """The channels of a mask, for people."""
        return ", ".join(name for name, is_in in zip(self._layout.channel_names, mask, strict=True) if is_in)

    def _is_usable(self, readings: list[Reading]) -> bool:
        """All readings valid and finite, most of them in range (an isolated glitch is not)."""
        values = np.array([r.number for r in readings])
        return all(r.is_valid for r in readings) and 2 * int(self._in_range(values).sum()) > len(values)

    def _in_range(self, values: Array) -> Mask:
        lo, hi = self._layout.valid_mm
        return np.asarray(np.isfinite(values) & (lo <= values) & (values <= hi))

    def _frozen(self, samples: Array) -> Mask:
        """Bit-identical through the present and the previous measurement, though the correctors moved in between.

        If every channel stands still nothing has moved, and nothing can be said.
        """
        if self._previous is None:
            return np.zeros(len(samples), bool)
        constant = np.ptp(samples, axis=1) == 0
        frozen = np.asarray(constant & (samples[:, 0] == self._previous[:, -1]))
        return np.zeros(len(samples), bool) if frozen.all() else frozen
