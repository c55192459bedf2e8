"""Between which values a series lies, as far as the posterior knows: of the model alone, and of what would be observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..arrays import Array
from ..calibration.site import Site
from ..checks import check_whole, check_within
from ..errors import InputError, SolverError
from ..observe import Observation
from .error_model import Errors
from .inverse_problem import observed_of, record_of
from .posterior import Posterior


@dataclass(frozen=True, eq=False)
class Prediction:
    """Intervals of a series, `(m,)` each.

    Attributes:
        level: the probability with which a value lies within.
        median: of what is simulated.
        low, high: of what is simulated: what is unknown of the values alone.
        observed_low, observed_high: of what would be observed, errors included.
        draws: how many members they are of.
    """

    level: float
    median: Array
    low: Array
    high: Array
    observed_low: Array
    observed_high: Array
    draws: int

    def coverage(self, observed: Array) -> float:
        """The share of observations `(m,)`, NaN where missing, that lie where they are expected."""
        seen = np.isfinite(observed)
        if not seen.any():
            raise InputError("there is nothing observed to compare with")
        inside = (observed >= self.observed_low) & (observed <= self.observed_high)
        return float(inside[seen].mean())


def predict(
    posterior: Posterior,
    observations: Sequence[Observation] | None = None,
    *,
    site: Site | None = None,
    draws: int = 200,
    level: float = 0.9,
    seed: int = 0,
) -> Prediction:
    """Predictive intervals of series, from solves at draws of the posterior.

    Args:
        observations: what is predicted, with errors as in those that were fitted; their values do not matter. What was fitted
            where not given.
        site: with which to solve, such as the same over a longer record; that of the problem where not given.

    Raises:
        InputError: observations are given, and the problem is of no site. SolverError: no draw could be solved.
    """
    check_whole(2, draws=draws)
    check_within(1e-6, 1 - 1e-6, "a probability", level=level)
    problem, record, function = posterior.problem, posterior.problem.record, posterior.problem.function
    if observations is not None or site is not None:
        solved = site or problem.site
        if solved is None:
            raise InputError(f"{problem.name}: series can be chosen for the problem of a site only")
        every = tuple(without_gaps(one) for one in (observations or solved.observations))
        record, function = record_of(every), observed_of(solved, every)
    chosen = torch.from_numpy(posterior.draw(draws, seed))
    with torch.no_grad():
        simulated = torch.cat([function(part) for part in chosen.split(64)])
    good = torch.isfinite(simulated).all(1)
    if not good.any():
        raise SolverError(f"{problem.name}: none of {draws} draws of the posterior could be solved")
    simulated = simulated[good]
    noisy = simulated + Errors.of(problem.errors, record).noise(simulated, torch.Generator().manual_seed(seed))
    ends = (0.5 - level / 2, 0.5, 0.5 + level / 2)
    low, median, high = np.quantile(simulated.numpy(), ends, axis=0)
    observed_low, _, observed_high = np.quantile(noisy.numpy(), ends, axis=0)
    return Prediction(level, median, low, high, observed_low, observed_high, len(simulated))


def without_gaps(one: Observation) -> Observation:
    """The same with a number for each time."""
    return replace(one, values=torch.zeros_like(one.values))
