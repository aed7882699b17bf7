"""The last readings of a section's channels, as far as they were made where the knobs stand now."""

import math
from collections.abc import Mapping

import numpy as np

from beamctl.engine.base import Reading
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Array, Mask, in_range
from beamctl.engine.setpoints import SAME_A

FEWEST = 10
"""readings behind a median and a noise, as soon as there are so many"""


class RecentReadings:
    """Readings from before the last move of a knob do not count, nor do those that are long ago.

    Args:
        layout: of the section.
    """

    def __init__(self, layout: SectionLayout) -> None:
        self._layout = layout
        n, self._kept = len(layout.channels), max(layout.readings, FEWEST)
        self._oldest_s = self._kept * layout.max_age_s
        self._values = np.full((n, self._kept), math.nan)
        self._received = np.full((n, self._kept), -math.inf)
        self._seen, self._count = [0] * n, [0] * n
        self._tolerance = np.array([k.tolerance for k in layout.knobs])
        self._stood_at = np.full((2, len(layout.knobs)), math.nan)
        self._settled = -math.inf

    def add(self, latest: Mapping[str, Reading], now: float) -> None:
        """Take note of what is new.

        Args:
            latest: newest reading of every knob and channel.
            now: on the clock of the readings, s.
        """
        self._note_moves(latest, now)
        for i, pv in enumerate(self._layout.channels):
            reading = latest[pv]
            if reading.seq != self._seen[i]:
                place = self._count[i] % self._kept
                self._values[i, place] = reading.number if reading.is_valid else math.nan
                self._received[i, place] = reading.received
                self._seen[i], self._count[i] = reading.seq, self._count[i] + 1

    def combined(self, now: float) -> tuple[Array, Array, Mask]:
        """Median and rms of the readings in range, and whether most are in range; NaN where there are too few."""
        newest = self._received.max(axis=1)
        since = np.maximum(np.minimum(newest, self._settled), now - self._oldest_s)
        counts = self._received >= since[:, None]
        good = counts & in_range(self._values, self._layout.valid_range)
        n = good.sum(axis=1)
        values = np.where(good, self._values, math.nan)
        ordered, rows, last = np.sort(values, axis=1), np.arange(len(n)), np.maximum(n - 1, 0)  # NaN comes last
        median = (ordered[rows, last // 2] + ordered[rows, np.minimum(n // 2, last)]) / 2
        mean = np.where(good, values, 0.0).sum(axis=1) / np.maximum(n, 1)
        square = np.where(good, values - mean[:, None], 0.0) ** 2
        noise = np.where(n > 1, np.sqrt(square.sum(axis=1) / np.maximum(n, 1)), math.nan)
        return median, noise, 2 * n > counts.sum(axis=1)

    def _note_moves(self, latest: Mapping[str, Reading], now: float) -> None:
        """After a move all readings are old until the field has settled; noise and a supply that hangs are no move."""
        knobs = self._layout.knobs
        at = np.array([[latest[k.setpoint].number for k in knobs], [latest[k.readback].number for k in knobs]])
        change = np.abs(at - self._stood_at)
        is_on_the_way = (np.abs(at[1] - at[0]) > self._tolerance) & (change[1] > self._tolerance)
        moved = np.array([change[0] > SAME_A, is_on_the_way])
        if moved.any():
            self._settled = now + self._layout.settle_s
        self._stood_at = np.where(moved | ~np.isfinite(self._stood_at), at, self._stood_at)
