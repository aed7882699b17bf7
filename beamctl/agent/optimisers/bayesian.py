"""Bayesian optimisation by Xopt, an optional extra: ``pip install beamctl[bo]``.

Every reading counts, also those on the way, and no point is further away than one step.
"""

import logging
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from beamctl.agent.optimisers.search import Array, Asking, Search, Situation
from beamctl.errors import MissingExtraError

RANDOM_STEPS = 3
RESTARTS, ITERATIONS, SAMPLES = 2, 30, 64
"""effort for one point, a tenth of Xopt's own: points are as good, and a point takes less than a second"""
SEEDS = 2**31
VALUE = "value"


def expected_improvement(situation: Situation) -> Asking:
    """Xopt's expected improvement, points at most a step away."""
    return _bayesian(situation, trust=False)


def trust_region(situation: Situation) -> Asking:
    """The same inside the trust region of TuRBO (Eriksson et al. 2019)."""
    return _bayesian(situation, trust=True)


def checked(search: Search) -> Search:
    """The search, if Xopt is there; it is loaded, which takes seconds, when the first point is asked for.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("xopt") is None:
        raise MissingExtraError("Bayesian optimisation", "Xopt", "bo")
    return search


def _xopt() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import xopt
            import xopt.generators.bayesian
    except ImportError as error:  # of one of its own packages
        raise MissingExtraError("Bayesian optimisation", "Xopt", "bo") from error
    return xopt


def _bayesian(situation: Situation, *, trust: bool) -> Asking:
    xopt = _xopt()
    names = [f"x{i:02d}" for i in range(len(situation.x))]
    vocs = xopt.VOCS(variables={name: [0.0, 1.0] for name in names}, objectives={VALUE: "MAXIMIZE"})
    generator = xopt.generators.bayesian.ExpectedImprovementGenerator(
        vocs=vocs,
        max_travel_distances=None if trust else situation.step.tolist(),
        turbo_controller="optimize" if trust else None,
        n_monte_carlo_samples=SAMPLES,
    )
    generator.numerical_optimizer.n_restarts = RESTARTS
    generator.numerical_optimizer.max_iter = ITERATIONS
    generator.numerical_optimizer.max_time = None
    settings, values = [situation.x], [situation.value]
    for n in range(situation.steps):
        if n < RANDOM_STEPS:
            x = np.clip(settings[-1] + situation.step * situation.rng.uniform(-1.0, 1.0, len(names)), 0.0, 1.0)
        else:
            x = _next(generator, names, settings, values, int(situation.rng.integers(SEEDS)))
        told = yield x
        settings.extend(told.x)
        values.extend(told.value)


def _next(generator: Any, names: list[str], settings: list[Array], values: list[float], seed: int) -> Array:
    import pandas as pd
    from botorch.utils.sampling import manual_seed

    known = 0 if generator.data is None else len(generator.data)
    data = pd.DataFrame(np.array(settings[known:]), columns=names)
    data[VALUE] = values[known:]
    data["xopt_error"] = False
    with warnings.catch_warnings(), manual_seed(seed):
        warnings.simplefilter("ignore")
        logging.getLogger("xopt").setLevel(logging.ERROR)
        generator.add_data(data)
        point = generator.generate(1)[0]
    return np.asarray(np.clip([float(point[name]) for name in names], 0.0, 1.0))
