"""The references a control room has already: least squares on the model's response matrix.

``svd`` damps small singular values and lets the step limit cut what is too much; ``bls`` solves the problem inside
the box of step and setpoint limits.
"""

import numpy as np
import scipy  # its parts load themselves when they are used

from beamctl.task.encoding import Normalisation, normaliser
from beamctl.task.orbit import Array
from beamctl.task.problem import OrbitProblem, OrbitView

SVD_DAMPING_MM = 0.1
"""Tikhonov parameter of ``svd``, mm per full step"""


class SvdAgent:
    """Damped pseudo-inverse of the model; the whole step is scaled down where one corrector would exceed its limit."""

    name = "svd"
    identity = "svd"

    def start(self, problem: OrbitProblem) -> None:
        """Keep the problem."""
        self._problem = problem
        self._response_step = problem.response_mm_per_a * problem.step_a

    def propose(self, view: OrbitView) -> Array:
        """Minus the damped inverse times the reading, direction kept."""
        inverse = normaliser(self._response_step, Normalisation(1.0, SVD_DAMPING_MM), view.valid)
        steps = -np.matvec(inverse, view.history_mm[:, 2])
        largest = np.abs(steps).max(axis=-1, keepdims=True)
        return np.asarray(steps / np.maximum(largest, 1.0) * self._problem.step_a)


class BoxLeastSquaresAgent:
    """Box-constrained least squares (BLS): the best step that step limit and setpoint limits allow."""

    name = "bls"
    identity = "bls"

    def start(self, problem: OrbitProblem) -> None:
        """Keep the problem."""
        self._problem = problem

    def propose(self, view: OrbitView) -> Array:
        """Solve each row on its own (scipy.optimize.lsq_linear); channels without a number do not count."""
        p = self._problem
        valid = view.valid & np.isfinite(view.history_mm[:, 2])
        lo = np.maximum(-p.step_a, p.lo_a - view.setpoint_a)
        hi = np.minimum(p.step_a, p.hi_a - view.setpoint_a)
        response = np.broadcast_to(p.response_mm_per_a, (len(view.setpoint_a), p.n_channel, p.n_corrector))
        return np.stack(
            [
                bounded_least_squares(response[i][ok], -view.history_mm[i, 2][ok], lo[i], hi[i])
                for i, ok in enumerate(valid)
            ]
        )


def bounded_least_squares(response: Array, wanted: Array, lo: Array, hi: Array) -> Array:
    """x in [lo, hi] with the smallest ``|response x - wanted|``.

    Args:
        response: shape (n, k).
        wanted: shape (n,).
        lo, hi: shape (k,); a corrector whose interval is closed stays at it.
    """
    open_ = hi - lo > 1e-9
    x = 0.5 * (lo + hi)
    if open_.any():
        rest = wanted - response[:, ~open_] @ x[~open_]
        x[open_] = scipy.optimize.lsq_linear(response[:, open_], rest, (lo[open_], hi[open_])).x
    return np.asarray(x)


def best_reachable_rms(response: Array, orbit: Array, lo: Array, hi: Array) -> Array:
    """Smallest RMS that any setting within limits reaches on the true machine.

    Args:
        response: true response, mm/A, shape (batch, n, k).
        orbit: true orbit at zero current, mm, shape (batch, n).
        lo, hi: setpoint limits, A, shape (k,).

    Returns:
        mm, shape (batch,).
    """
    rms = []
    for r, o in zip(response, orbit, strict=True):
        rest = o + r @ bounded_least_squares(r, -o, lo, hi)
        rms.append(float(np.sqrt(np.mean(rest * rest))))
    return np.array(rms)
