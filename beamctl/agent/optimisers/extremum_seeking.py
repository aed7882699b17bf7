"""Extremum seeking with bounded updates (Scheinker and Scheinker, Automatica 69, 2016): every knob turns in a circle
of its own frequency, and the reading shifts its phase, so that the mean drifts uphill."""

import numpy as np

from beamctl.agent.optimisers.search import Asking, Situation

SHARE = 0.8
"""of the largest step, at the crest"""
PHASE_GAIN = 6.0
"""rad per unit of value"""
FREQUENCIES = (1.2, 1.9)
"""rad per step, spread over the knobs"""


def extremum_seeking(situation: Situation) -> Asking:
    """One step of every knob for each reading; never ends."""
    x, value = situation.x, situation.value
    frequency = np.linspace(*FREQUENCIES, len(x))
    n = 0
    while True:
        n += 1
        x = np.clip(x + SHARE * situation.step * np.cos(frequency * n - PHASE_GAIN * value), 0.0, 1.0)
        value = (yield x).last
