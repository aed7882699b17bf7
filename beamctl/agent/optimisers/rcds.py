"""Robust conjugate direction search (Huang, Corbett, Safranek, Wu, NIM A 726, 77, 2013), in a small form.

Powell's directions; along each, points are taken until the optimum is bracketed, and a parabola through all of them,
not the best reading, says where it is: that is what makes it robust against noise.
"""

from collections.abc import Generator

import numpy as np

from beamctl.agent.optimisers.search import Array, Asking, Situation, Told

FIRST_STEP = 0.08
GROWTH = 1.6
MOST_POINTS = 6
LEAST_MOVE = 1e-3

Line = Generator[Array, Told, tuple[Array, float]]


def rcds(situation: Situation) -> Asking:
    """One line after another, then the direction of the largest gain gives way to that of the whole round."""
    x, value = situation.x, situation.value
    directions = list(np.eye(len(x)))
    while True:
        first, before, gains = x, value, []
        for direction in directions:
            old = value
            x, value = yield from _line(x, value, direction)
            gains.append(value - old)
        way = x - first
        length = float(np.linalg.norm(way))
        if length < LEAST_MOVE:
            continue
        mirrored = np.clip(2.0 * x - first, 0.0, 1.0)
        beyond = (yield mirrored).last
        largest = max(gains)
        bend = 2.0 * (2.0 * value - before - beyond) * (value - before - largest) ** 2
        if beyond > before and bend < largest * (beyond - before) ** 2:
            directions.pop(int(np.argmax(gains)))
            directions.append(way / length)
        if beyond > value:
            x, value = mirrored, beyond


def _line(x: Array, value: float, direction: Array) -> Line:
    """Bracket the optimum from x along a direction; returns where the parabola has it, and what was read there."""
    offsets, values = [0.0], [value]
    step = FIRST_STEP if _room(x, direction) >= FIRST_STEP else -FIRST_STEP
    turned = False
    while len(offsets) < MOST_POINTS:
        here = offsets[-1] if not turned or offsets[-1] * step > 0.0 else 0.0
        there = x + (here + step) * direction
        inside = bool(np.all((there >= 0.0) & (there <= 1.0)))
        if inside:
            offsets.append(here + step)
            values.append((yield there).last)
        if inside and values[-1] >= max(values[:-1]):
            step *= GROWTH
        elif turned or len(offsets) > 2:
            break
        else:
            turned, step = True, -step
    best = int(np.argmax(values))
    if len(offsets) < 3:
        return x + offsets[best] * direction, values[best]
    bend, slope, _ = np.polyfit(offsets, values, 2)
    if bend >= 0.0:
        return x + offsets[best] * direction, values[best]
    top = np.clip(x + np.clip(-0.5 * slope / bend, min(offsets), max(offsets)) * direction, 0.0, 1.0)
    return top, (yield top).last


def _room(x: Array, direction: Array) -> float:
    """How far x can go along a direction before it leaves the box."""
    moves = direction != 0.0
    end = np.where(direction > 0.0, 1.0, 0.0)
    return float(((end - x)[moves] / direction[moves]).min())
