"""A scan of the first two knobs, the solenoids, around the start, as operators do it."""

import numpy as np

from beamctl.agent.optimisers.search import Asking, Situation

LINES = 3
SHARE = 5.5
"""a scan of three lines of length L, with the ways to its corner and back to the best, takes 5.5 L steps"""


def grid(situation: Situation) -> Asking:
    """Three parallel lines, there and back, read at every step; the area is as large as the budget allows."""
    length = max(1, int(situation.steps / SHARE))
    half = 0.5 * length * situation.step[:2]
    middle = np.clip(situation.x[:2], np.minimum(half, 0.5), np.maximum(1.0 - half, 0.5))
    along = np.linspace(-1.0, 1.0, length + 1)
    for number, across in enumerate(np.linspace(-1.0, 1.0, LINES)):
        for share in along if number % 2 == 0 else along[::-1]:
            x = situation.x.copy()
            x[:2] = np.clip(middle + half * np.array([share, across]), 0.0, 1.0)
            yield x
