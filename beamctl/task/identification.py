"""Which supply drives which magnet, and which BPM channel reads what: wiring found from a measured response.

Each measured column is compared with the column that every corrector of the section would make, with either sign and
with every strength, given all that the model does not know (relative errors of solenoids, resonators, calibration and
energy: a Gaussian around the model from plausible machines). BPM channels are judged by what all columns together
say: a channel with the wrong sign, or one that does not respond, spoils every column. The answers are posterior
probabilities, so each finding has a confidence.

Leading axes are machines; k correctors, n BPM channels.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from beamctl.task.belief import Belief
from beamctl.task.orbit import Array, Mask

Index = NDArray[np.int64]

WEAK_GAINS = (0.82, 0.72, 0.63, 0.55, 0.48, 0.41, 0.35, 0.30, 0.25, 0.20, 0.16, 0.12)
"""strengths of a weak corrector that are compared; the model's own spread of calibration fills the gaps"""
GAINS = (1.0, *WEAK_GAINS, 0.0)
WEAK_SPREAD = 0.08
"""relative uncertainty of the strength of a corrector that was found to be weak"""
P_REVERSED, P_WEAK, P_DEAD, P_CROSSED, P_SWAPPED, P_CHANNEL = 3e-3, 1e-2, 3e-3, 3e-3, 3e-3, 1e-3
"""how likely each fault is before anything was measured; a swap with any one of the others"""
SPARE_ROW_MM_PER_A = 1e3
"""noise of a channel that says nothing"""


class Verdict(StrEnum):
    """What is found of a corrector or of a BPM channel."""

    GOOD = "good"
    REVERSED = "reversed"
    WEAK = "weak"
    DEAD = "dead"
    CROSSED = "crossed"
    SWAPPED = "swapped"


@dataclass(frozen=True)
class Wiring:
    """What was found, for any number of machines.

    Attributes:
        magnet: which corrector each supply drives, shape (..., k).
        corrector_sign: -1 where the current has the wrong sign, shape (..., k).
        gain: strength relative to the description, 1 unless found weak or dead, shape (..., k).
        channel_sign: -1 where a BPM channel reads with the wrong sign, shape (..., n).
        responds: channels that follow the beam, shape (..., n).
        corrector_confidence, channel_confidence: posterior probability of each verdict.
    """

    magnet: Index
    corrector_sign: Array
    gain: Array
    channel_sign: Array
    responds: Mask
    corrector_confidence: Array
    channel_confidence: Array

    @property
    def works(self) -> Mask:
        """Correctors that move the beam, shape (..., k)."""
        return np.asarray(self.gain > 0)

    def at(self, row: int) -> Self:
        """One of several machines."""
        return replace(self, **{name: value[row] for name, value in vars(self).items()})


def as_described(k: int, usable: Mask) -> Wiring:
    """Wiring without a fault but channels that are not usable, shape (..., n)."""
    lead = usable.shape[:-1]
    one = np.ones((*lead, k))
    return Wiring(
        np.broadcast_to(np.arange(k), (*lead, k)).copy(), one, one, np.ones(usable.shape), usable, one,
        np.ones(usable.shape),
    )  # fmt: skip


def identify(measured: Array, noise: Array, usable: Mask, prior: Belief, pair: Index) -> Wiring:
    """Find the wiring.

    Args:
        measured: response, mm/A, shape (..., n, k).
        noise: rms of its elements, mm/A, shape (..., n).
        usable: channels that were read at all, shape (..., n).
        prior: of one machine as described.
        pair: for each corrector the one of the other plane at the same place, -1 where there is none, shape (k,).
    """
    k = measured.shape[-1]
    lead, n = measured.shape[:-2], measured.shape[-2]
    flat = measured.reshape(-1, n, k)
    spread, seen = np.broadcast_to(noise, (*lead, n)).reshape(-1, n), usable.reshape(-1, n)
    judge = _Judge(flat, spread, prior, pair)
    sign, responds, confidence = _channels(judge, seen)
    probability = _normalised(judge.candidates(sign, responds))
    return _wiring(probability, sign, responds, confidence, pair, lead)


def mapped(prior: Belief, wiring: Wiring) -> Belief:
    """The prior in terms of the supplies as they are wired: column j is what supply j does."""
    k = wiring.gain.shape[-1]
    scale = np.concatenate([np.ones((*wiring.gain.shape[:-1], 1)), wiring.corrector_sign * wiring.gain], -1)
    source = np.concatenate([np.zeros((*wiring.gain.shape[:-1], 1), dtype=np.int64), 1 + wiring.magnet], -1)
    n = prior.n_channel
    lead = wiring.gain.shape[:-1]
    mean = np.take_along_axis(np.broadcast_to(prior.mean, (*lead, n, 1 + k)), source[..., None, :], axis=-1)
    mean = mean * scale[..., None, :]
    covariance = np.broadcast_to(prior.covariance, (*lead, *prior.covariance.shape))
    flat_source = (np.arange(n)[:, None] * (1 + k) + source[..., None, :]).reshape(*lead, -1)
    flat_scale = np.broadcast_to(scale[..., None, :], (*lead, n, 1 + k)).reshape(*lead, -1)
    covariance = np.take_along_axis(covariance, flat_source[..., :, None], axis=-2)
    covariance = np.take_along_axis(covariance, flat_source[..., None, :], axis=-1)
    covariance = covariance * flat_scale[..., :, None] * flat_scale[..., None, :]
    for j in np.flatnonzero((wiring.gain < 1).reshape(-1, k).any(axis=0)):
        own = np.zeros((*lead, n, 1 + k))
        own[..., 1 + j] = mean[..., 1 + j] * np.where(wiring.gain[..., j] < 1, WEAK_SPREAD, 0.0)[..., None]
        flat = own.reshape(*lead, -1)
        covariance = covariance + flat[..., :, None] * flat[..., None, :]
    return Belief(mean, covariance)


class _Judge:
    """Log evidence of every explanation of every column; machines in the first axis."""

    def __init__(self, measured: Array, noise: Array, prior: Belief, pair: Index) -> None:
        self._measured, self._noise = measured, noise
        n, k = measured.shape[-2:]
        self._mean = prior.response_mm_per_a.T  # (k, n)
        blocks = prior.covariance.reshape(n, 1 + k, n, 1 + k)
        self._spread = np.stack([blocks[:, 1 + s, :, 1 + s] for s in range(k)])
        self._prior = np.log(_prior_of_candidates(k, pair))

    def candidates(self, sign: Array, responds: Mask) -> Array:
        """Log joint of data and explanation, shape (m, supply, magnet, sign, gain)."""
        n = self._measured.shape[1]
        data = np.where(responds[..., None], self._measured * sign[..., None], 0.0)
        noise = np.where(responds, self._noise, SPARE_ROW_MM_PER_A) ** 2
        gains = np.array(GAINS)
        cov = gains[:, None, None] ** 2 * self._spread[:, None]  # (magnet, gain, n, n)
        cov = cov + (noise[:, None, None, :, None] * np.eye(n))
        root = np.linalg.cholesky(cov)
        white = np.linalg.inv(root)
        logdet = np.log(np.einsum("...ii->...i", white)).sum(-1)  # of the inverse root
        d = white @ data[:, None, None]  # (m, magnet, gain, n, supply)
        mu = np.matvec(white, gains[:, None] * self._mean[:, None])  # (m, magnet, gain, n)
        square = (d**2).sum(-2) + (mu**2).sum(-1)[..., None]
        both = np.einsum("...ns,...n->...s", d, mu)
        evidence = np.stack([-0.5 * square + both, -0.5 * square - both]) + logdet[..., None]
        return np.asarray(np.moveaxis(evidence, (0, 4), (3, 1)) + self._prior)

    def total(self, sign: Array, responds: Mask, usable: Mask) -> Array:
        """Log evidence of a state of the channels, every wiring of the correctors considered, shape (m,)."""
        own = _logsumexp(self.candidates(sign, responds)).sum(-1)
        k = self._measured.shape[-1]
        quiet = usable & ~responds
        silent = -0.5 * ((self._measured / self._noise[..., None]) ** 2).sum(-1) - k * np.log(self._noise)
        # a channel that says nothing was given a wide noise above: take that constant back
        spare = np.where(responds, 0.0, k * np.log(SPARE_ROW_MM_PER_A)).sum(-1)
        faults = np.where(usable & ((sign < 0) | ~responds), np.log(P_CHANNEL), 0.0).sum(-1)
        return np.asarray(own + spare + np.where(quiet, silent, 0.0).sum(-1) + faults)


def _channels(judge: _Judge, usable: Mask) -> tuple[Array, Mask, Array]:
    """Sign and response of each channel, one change at a time for as long as that explains the data better."""
    m, n = usable.shape
    sign, responds = np.ones((m, n)), usable.copy()
    best = judge.total(sign, responds, usable)
    for _ in range(n):
        options = [(i, flip) for i in range(n) for flip in (True, False)]
        scores = np.full((len(options), m), -np.inf)
        for o, (i, flip) in enumerate(options):
            changed = _changed(sign, responds, usable, i, flip=flip)
            scores[o] = np.where(usable[:, i], judge.total(*changed, usable), -np.inf)
        choice = scores.argmax(axis=0)
        gained = scores.max(axis=0) > best + 1e-9
        margin = scores - best
        if not gained.any():
            break
        for o, (i, flip) in enumerate(options):
            now = gained & (choice == o)
            new_sign, new_responds = _changed(sign, responds, usable, i, flip=flip)
            sign = np.where(now[:, None], new_sign, sign)
            responds = np.where(now[:, None], new_responds, responds)
        best = np.where(gained, scores.max(axis=0), best)
    # the last scan looked at every single change from the final state (but for rows that used all rounds)
    other = margin.reshape(n, 2, m)
    confidence = 1.0 / (1.0 + np.exp(np.minimum(other, 700.0)).sum(axis=1)).T
    return sign, responds, np.where(usable, confidence, 1.0)


def _changed(sign: Array, responds: Mask, usable: Mask, i: int, *, flip: bool) -> tuple[Array, Mask]:
    """The state with channel ``i`` of the other sign, or with its response switched."""
    sign, responds = sign.copy(), responds.copy()
    if flip:
        sign[:, i] *= -1
        responds[:, i] = usable[:, i]
    else:
        sign[:, i] = 1.0
        responds[:, i] = usable[:, i] & ~responds[:, i]
    return sign, responds


def _prior_of_candidates(k: int, pair: Index) -> Array:
    """Probability of each explanation before the measurement, shape (supply, magnet, sign, gain)."""
    strength = np.array([1 - P_WEAK - P_DEAD, *[P_WEAK / len(WEAK_GAINS)] * len(WEAK_GAINS), P_DEAD])
    polarity = np.array([1 - P_REVERSED, P_REVERSED])
    place = np.full((k, k), P_SWAPPED / max(k - 2, 1))
    for j in range(k):
        if pair[j] >= 0:
            place[j, pair[j]] = P_CROSSED
        place[j, j] = 1 - P_CROSSED - P_SWAPPED
    # exchanged cables come with whatever polarity the other magnet has
    sign = np.where(np.eye(k, dtype=bool)[..., None], polarity, 0.5)
    return np.asarray(place[..., None, None] * sign[..., None] * strength)


def _normalised(log_joint: Array) -> Array:
    m, k = log_joint.shape[:2]
    flat = log_joint.reshape(m, k, -1)
    return np.asarray(np.exp(flat - _logsumexp(log_joint)[..., None]).reshape(log_joint.shape))


def _logsumexp(log_joint: Array) -> Array:
    """Over everything but machine and supply."""
    flat = log_joint.reshape(*log_joint.shape[:2], -1)
    top = flat.max(axis=-1)
    return np.asarray(top + np.log(np.exp(flat - top[..., None]).sum(axis=-1)))


def _wiring(
    p: Array, channel_sign: Array, responds: Mask, channel_confidence: Array, pair: Index, lead: tuple[int, ...]
) -> Wiring:
    """The most likely explanation of each supply, and how likely its verdict is."""
    m, k = p.shape[:2]
    flat = p.reshape(m, k, -1)
    magnet, sign, gain = np.unravel_index(flat.argmax(axis=-1), p.shape[2:])
    strength = np.array(GAINS)[gain]
    dead = strength == 0
    own = np.arange(k)
    magnet, sign = np.where(dead, own, magnet), np.where(dead, 0, sign)
    kinds = _kinds(p.shape[2], own, pair)
    verdict = np.take_along_axis(kinds.reshape(1, k, -1), flat.argmax(-1)[..., None], -1)
    confidence = np.where(kinds.reshape(1, k, -1) == verdict, flat, 0.0).sum(-1)
    n = channel_sign.shape[-1]
    return Wiring(
        magnet=magnet.reshape(*lead, k),
        corrector_sign=np.where(sign == 1, -1.0, 1.0).reshape(*lead, k),
        gain=strength.reshape(*lead, k),
        channel_sign=channel_sign.reshape(*lead, n),
        responds=responds.reshape(*lead, n),
        corrector_confidence=confidence.reshape(*lead, k),
        channel_confidence=channel_confidence.reshape(*lead, n),
    )


def _kinds(k: int, own: Index, pair: Index) -> Index:
    """A number per verdict of each explanation, shape (supply, magnet, sign, gain)."""
    kinds = np.zeros((k, k, 2, len(GAINS)), dtype=np.int64)
    gain = np.arange(len(GAINS))
    kinds += 10 * ((gain > 0) & (gain < len(GAINS) - 1))
    kinds[:, :, 1] += 1
    kinds += np.where(np.eye(k, dtype=bool), 0, np.where(pair[:, None] == own[None, :], 100, 1000))[..., None, None]
    kinds[..., -1] = -1
    return kinds


def corrector_verdicts(wiring: Wiring, pair: Index) -> list[Verdict]:
    """One per supply, of one machine: what matters most first (dead, exchanged, reversed, weak)."""
    verdicts = []
    for j, (magnet, sign, gain) in enumerate(zip(wiring.magnet, wiring.corrector_sign, wiring.gain, strict=True)):
        if gain == 0:
            verdicts.append(Verdict.DEAD)
        elif magnet != j:
            verdicts.append(Verdict.CROSSED if magnet == pair[j] else Verdict.SWAPPED)
        elif sign < 0:
            verdicts.append(Verdict.REVERSED)
        else:
            verdicts.append(Verdict.WEAK if gain < 1 else Verdict.GOOD)
    return verdicts


def channel_verdicts(wiring: Wiring) -> list[Verdict]:
    """One per BPM channel, of one machine."""
    return [
        Verdict.DEAD if not responds else Verdict.REVERSED if sign < 0 else Verdict.GOOD
        for sign, responds in zip(wiring.channel_sign, wiring.responds, strict=True)
    ]
