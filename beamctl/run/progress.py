"""What a run has seen so far, and whether it is worth going on."""

import math

import numpy as np

from beamctl.engine.orbit_reader import Measurement
from beamctl.task.orbit import Array, orbit_rms

WORSE_THAN_START = 1.2
"""a run that is worse than at the start by this factor is given up"""
NO_GAIN_STEPS = 10
"""a run that has not improved for so many steps is given up"""


class Progress:
    """Measurements of one run.

    Args:
        n_channel: number of BPM channels.

    Attributes:
        steps: taken so far, the first trend move not counted.
        initial, last: first and latest measurement; NaN and not valid before.
        initial_rms, last_rms, best_rms: mm; NaN, NaN and infinite before.
        best_setpoint: where the RMS was smallest, A, shape (k,).
    """

    def __init__(self, n_channel: int) -> None:
        nothing = Measurement(np.full(n_channel, math.nan), np.zeros(n_channel, bool))
        self.steps = 0
        self.initial = self.last = nothing
        self.initial_rms = self.last_rms = math.nan
        self.best_rms = math.inf
        self.best_setpoint: Array = np.empty(0)
        self._best_step = 0
        self._is_empty = True

    def add(self, measured: Measurement, setpoint: Array) -> float:
        """Note a measurement; returns its RMS in mm."""
        rms = self.see(measured)
        if self._is_empty:
            self.initial, self.initial_rms, self._is_empty = measured, rms, False
        if rms < self.best_rms:
            self.best_rms, self._best_step, self.best_setpoint = rms, self.steps, setpoint.copy()
        return rms

    def see(self, measured: Measurement) -> float:
        """Note a measurement that shall not count for the best setting; returns its RMS in mm."""
        self.last, self.last_rms = measured, float(orbit_rms(measured.orbit_mm, measured.valid))
        return self.last_rms

    def forget_last(self) -> None:
        """Where the machine is now has not been measured."""
        n = len(self.last.valid)
        self.last, self.last_rms = Measurement(np.full(n, math.nan), np.zeros(n, bool)), math.nan

    @property
    def has_gained(self) -> bool:
        """Whether any setting was better than the first."""
        return self.best_rms < self.initial_rms

    @property
    def is_better_than_first(self) -> bool:
        """Whether the latest measurement is."""
        return self.last_rms < self.initial_rms

    def why_give_up(self, max_steps: int) -> str:
        """A reason to end a run that is short of its target; empty while there is none."""
        if self.steps >= max_steps:
            return f"budget of {max_steps} steps spent"
        if self.last_rms > WORSE_THAN_START * self.initial_rms and self.steps > 1:
            return f"{self.last_rms:.2f} mm is worse than the {self.initial_rms:.2f} mm at the start"
        if self.steps - self._best_step >= NO_GAIN_STEPS:
            return f"no gain in {NO_GAIN_STEPS} steps"
        return ""
