"""From the readings of a preflight to the coordinates that an agent can work in.

*Found coordinates* are those of the magnets as the description has them: position m is magnet m, a positive current
deflects as described, and BPM channels have the described sign. An agent that was trained on machines as described
then needs to know nothing of swapped cables or wrong polarities; a weak corrector is one with a small response.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from beamctl.task.belief import Belief
from beamctl.task.identification import Index, Wiring, identify, mapped
from beamctl.task.kicks import measured_response
from beamctl.task.orbit import Array, Mask
from beamctl.task.prior import SectionPrior
from beamctl.task.problem import OrbitProblem


@dataclass(frozen=True)
class Mapping:
    """What a preflight has found, of one or of several machines (leading axes).

    Attributes:
        wiring: which supply drives what.
        belief: orbit and response, a column per supply as it is wired, channels with their true sign.
        measured_mm_per_a: response as measured alone, a column per supply, channels as they read, shape (..., n, k).
        noise_mm: rms of a combined reading, shape (..., n).
        pair: for each corrector the one of the other plane in the same cell, -1 where there is none, shape (k,).
    """

    wiring: Wiring
    belief: Belief
    measured_mm_per_a: Array
    noise_mm: Array
    pair: Index

    @cached_property
    def supply_of(self) -> Index:
        """The supply at each position of the found coordinates, a permutation, shape (..., k)."""
        magnet, k = self.wiring.magnet, self.wiring.magnet.shape[-1]
        order = [
            _permutation(m, works)
            for m, works in zip(magnet.reshape(-1, k), self.wiring.works.reshape(-1, k), strict=True)
        ]
        return np.array(order, dtype=np.int64).reshape(magnet.shape)

    def to_found(self, supplies: Array) -> Array:
        """Currents per supply, shape (..., k), in found coordinates."""
        return np.asarray(np.take_along_axis(self.wiring.corrector_sign * supplies, self.supply_of, axis=-1))

    def to_supplies(self, found: Array) -> Array:
        """Currents in found coordinates, shape (..., k), per supply."""
        supplies = np.zeros_like(found)
        np.put_along_axis(supplies, self.supply_of, found, axis=-1)
        return np.asarray(self.wiring.corrector_sign * supplies)

    def problem(self, described: OrbitProblem, belief: Belief) -> OrbitProblem:
        """The task in found coordinates, with the response of a (newer) belief."""
        shape = self.wiring.gain.shape
        lo, hi = np.broadcast_to(described.lo_a, shape), np.broadcast_to(described.hi_a, shape)
        a, b = self.to_found(lo), self.to_found(hi)
        response = self.wiring.corrector_sign[..., None, :] * belief.response_mm_per_a * self.wiring.works[..., None, :]
        return replace(
            described,
            response_mm_per_a=np.take_along_axis(response, self.supply_of[..., None, :], axis=-1),
            lo_a=np.minimum(a, b),
            hi_a=np.maximum(a, b),
            step_a=np.full(shape[-1], described.step_a.min()),
        )


def conclude(settings_a: Array, readings_mm: Array, usable: Mask, prior: SectionPrior) -> Mapping:
    """The findings of a preflight.

    Args:
        settings_a: setpoints as found, then those of the plan, A, shape (1 + 2 m, ..., k).
        readings_mm: what was read there, shape (1 + 2 m, ..., n).
        usable: channels that were read throughout, shape (..., n).
        prior: of the section as described.
    """
    measured = measured_response(settings_a[1:], readings_mm[1:])
    count = np.maximum(usable.sum(axis=-1, keepdims=True), 1)
    pooled = np.sqrt(np.where(usable, measured.noise_mm**2, 0.0).sum(axis=-1, keepdims=True) / count)
    noise = np.broadcast_to(np.maximum(pooled, prior.noise_mm), usable.shape)
    wiring = identify(measured.mm_per_a, noise * measured.noise_per_a, usable, prior.belief, prior.pair)
    belief = mapped(prior.belief, wiring)
    for setpoint, reading in zip(settings_a, readings_mm, strict=True):
        belief = belief.after(setpoint, wiring.channel_sign * reading, noise, wiring.responds)
    return Mapping(wiring, belief, measured.mm_per_a, noise, prior.pair)


def _permutation(magnet: Index, works: Mask) -> list[int]:
    """The supply at each position: the first working one that drives that magnet, then whoever is left."""
    k = len(magnet)
    at: list[int] = [-1] * k
    for supply in sorted(range(k), key=lambda j: (not works[j], magnet[j] != j)):
        if at[magnet[supply]] < 0:
            at[magnet[supply]] = supply
    left = iter(sorted(set(range(k)) - set(at)))
    return [supply if supply >= 0 else next(left) for supply in at]
