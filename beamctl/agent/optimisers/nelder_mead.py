"""Downhill simplex of Nelder and Mead (1965), here uphill, inside the unit box."""

import numpy as np

from beamctl.agent.optimisers.search import Array, Asking, Situation

SIZE = 0.1
"""edge of the first simplex, in ranges"""


def nelder_mead(situation: Situation) -> Asking:
    """Reflect, expand, contract, shrink with the usual factors; points outside the box are moved onto its faces."""
    k = len(situation.x)
    edge = np.where(situation.x + SIZE <= 1.0, SIZE, -SIZE)
    points = np.vstack([situation.x, situation.x + np.diag(edge)])
    values = np.full(k + 1, situation.value)
    for i in range(1, k + 1):
        values[i] = (yield points[i]).last
    while True:
        order = np.argsort(-values, kind="stable")
        points, values = points[order], values[order]
        middle = points[:-1].mean(axis=0)
        reflected = _inside(2.0 * middle - points[-1])
        value = (yield reflected).last
        if value > values[0]:
            expanded = _inside(3.0 * middle - 2.0 * points[-1])
            further = (yield expanded).last
            points[-1], values[-1] = (expanded, further) if further > value else (reflected, value)
        elif value > values[-2]:
            points[-1], values[-1] = reflected, value
        else:
            if value > values[-1]:
                points[-1], values[-1] = reflected, value
            contracted = 0.5 * (middle + points[-1])
            closer = (yield contracted).last
            if closer > values[-1]:
                points[-1], values[-1] = contracted, closer
                continue
            for i in range(1, k + 1):
                points[i] = 0.5 * (points[0] + points[i])
                values[i] = (yield points[i]).last


def _inside(x: Array) -> Array:
    return np.asarray(np.clip(x, 0.0, 1.0))
