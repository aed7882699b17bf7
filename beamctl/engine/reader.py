"""Reads the instruments of a section: several shots combined, channels that cannot be believed marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.base import Engine, Reading
from beamctl.engine.conditions import Conditions
from beamctl.engine.layout import SectionLayout
from beamctl.errors import StaleReadingError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEW = 3
"""fewer readings than this say nothing about noise"""


@dataclass(frozen=True)
class Measurement:
    """One combined reading of all channels.

    Attributes:
        values: median of the readings, mm or mA, 0 where not valid, shape (n,).
        valid: channels to believe, shape (n,).
        raw: the readings behind it, by PV.
    """

    values: Array
    valid: Mask
    raw: Mapping[str, Sequence[Reading]] = field(default_factory=dict, compare=False, repr=False)


class ChannelReader:
    """Readings of one section's BPMs or current monitors during one run.

    Attributes:
        expected: channels that are still believed, shape (n,). A channel that is unusable or silent in the first
            measurement, or whose value stands still later, is left out from then on and not even waited for;
            one that fails later in any other way is an error for as long as it lasts.
    """

    def __init__(self, engine: Engine, layout: SectionLayout, conditions: Conditions) -> None:
        self._engine = engine
        self._layout = layout
        self._conditions = conditions
        self._previous: Array | None = None
        self._has_moved = False
        self.expected: Mask = np.ones(len(layout.channels), bool)

    def note_move(self) -> None:
        """The knobs have moved: not a single channel may read what it read before."""
        self._has_moved = True

    def measure(self) -> Measurement:
        """Combine readings that arrive from now on.

        Raises:
            StaleReadingError: a channel that worked so far is INVALID, not finite, silent or out of range, all stand
                still though the knobs moved, or fewer than half of all channels are usable (where the layout needs
                them all: any is not).
            PermitLostError: permit or beam went away meanwhile, if only for a moment.
            ChannelConnectionError: a channel that worked so far was lost.
        """
        marks = self._conditions.marks()
        got = self._collect()
        self._conditions.check_beam()
        self._conditions.check_since(marks)
        n = self._layout.readings
        samples = np.array([[r.number for r in got[pv]] or [np.nan] * n for pv in self._layout.channels])
        usable = self.expected & np.array([self._is_usable(got[pv]) for pv in self._layout.channels])
        failed = self.expected & ~usable
        if self._previous is not None and failed.any():
            raise StaleReadingError(f"not usable: {self.names(failed)}; nothing written")
        believed = usable & ~self._standing(samples, usable)
        if believed.mean() < self._layout.least_share:
            raise StaleReadingError(
                f"only {believed.sum()} of {len(believed)} channels are usable; not usable: {self.names(~believed)}"
            )
        self.expected, self._previous, self._has_moved = believed, samples, False
        return Measurement(combined(samples, believed, self._layout.valid_range), believed.copy(), got)

    def check_fresh(self) -> None:
        """That every channel that is believed has a valid, recent reading; no network traffic.

        Raises:
            StaleReadingError: names those that have none.
        """
        now, channels = self._engine.clock.now(), self._layout.channels
        latest = self._engine.latest(channels)
        good = [latest[pv].is_valid and now - latest[pv].received <= self._layout.max_age_s for pv in channels]
        bad = self.expected & ~np.array(good)
        if bad.any():
            raise StaleReadingError(f"INVALID, silent or lost: {self.names(bad)}")

    def names(self, mask: Mask) -> str:
        """The channels of a mask, for people."""
        return ", ".join(name for name, is_in in zip(self._layout.channel_names, mask, strict=True) if is_in)

    def _collect(self) -> dict[str, list[Reading]]:
        """The readings of the channels that are believed; none for the others."""
        channels = [pv for pv, ok in zip(self._layout.channels, self.expected, strict=True) if ok]
        since = {pv: r.seq for pv, r in self._engine.latest(channels).items()}
        n = self._layout.readings
        nothing: dict[str, list[Reading]] = {pv: [] for pv in self._layout.channels}
        try:
            return nothing | self._engine.wait(channels, since, n, n * self._layout.max_age_s)
        except StaleReadingError:
            latest = self._engine.latest(channels)
            silent = [pv for pv in channels if latest[pv].seq < since[pv] + n]
            prompt = [pv for pv in channels if pv not in silent]
            if not prompt:
                raise
            constant = {} if self._previous is None else self._constant(silent)
            return nothing | self._engine.wait(prompt, since, n, 0.0) | constant

    def _constant(self, silent: list[str]) -> dict[str, list[Reading]]:
        """Readings of channels that are measured all the time, but send no updates, as nothing changes.

        Raises:
            StaleReadingError: one of them is not measured any more.
        """
        latest, fresh = self._engine.latest(silent), self._conditions.fresh(silent)
        late = [pv for pv in silent if fresh[pv].stamp <= latest[pv].stamp or fresh[pv].value != latest[pv].value]
        if late:
            names = self.names(np.isin(self._layout.channels, late))
            raise StaleReadingError(f"fewer than {self._layout.readings} readings in time from: {names}")
        return {pv: [fresh[pv]] * self._layout.readings for pv in silent}

    def _is_usable(self, readings: list[Reading]) -> bool:
        """All readings valid and finite, most of them in range (an isolated glitch is not)."""
        values = np.array([r.number for r in readings])
        return all(r.is_valid for r in readings) and 2 * int(self._in_range(values).sum()) > len(values)

    def _in_range(self, values: Array) -> Mask:
        return in_range(values, self._layout.valid_range)

    def _standing(self, samples: Array, usable: Mask) -> Mask:
        """Channels without noise among others that have it, or bit by bit the same after a move.

        Raises:
            StaleReadingError: every channel is the same as before the move.
        """
        constant = np.ptp(samples, axis=1) == 0
        same = np.zeros(len(samples), bool)
        if self._previous is not None and self._has_moved:
            same = constant & (samples[:, 0] == self._previous[:, -1])
        if usable.any() and same[usable].all():
            raise StaleReadingError("every channel is frozen: bit by bit as before the last move")
        if self._layout.readings < FEW:
            return same
        # On a machine without any noise (there are simulated ones) constancy says nothing.
        return np.zeros_like(same) if constant[usable].all() else np.asarray(constant)


def in_range(values: Array, valid_range: tuple[float, float]) -> Mask:
    """Values that can be believed; never NaN."""
    lo, hi = valid_range
    return np.asarray(np.isfinite(values) & (lo <= values) & (values <= hi))


def combined(samples: Array, believed: Mask, valid_range: tuple[float, float]) -> Array:
    """Median of the believable readings of each channel, 0 where the channel is not believed.

    Args:
        samples: readings, shape (n, readings).
        believed: shape (n,).
        valid_range: readings outside do not count.

    Returns:
        Shape (n,).
    """
    return np.array(
        [np.median(row[in_range(row, valid_range)]) if ok else 0.0 for row, ok in zip(samples, believed, strict=True)]
    )
