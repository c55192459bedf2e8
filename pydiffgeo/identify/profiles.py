"""Profiles: how much worse the best fit becomes as one value is held elsewhere and all others follow."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch

from ..arrays import Array
from ..checks import check_positive, check_whole, check_within
from .inverse_problem import InverseProblem
from .mode import Mode, at_mode, descend
from .posterior import Interval, covariance_of


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of one value.

    Attributes:
        name: of the value. values: at which it was held, growing, `(points,)`.
        rise: of minus the log posterior above its smallest, `(points,)`; NaN where nothing could be solved.
        best: the most probable value.
    """

    name: str
    values: Array
    rise: Array
    best: float

    def interval(self, level: float = 0.9) -> Interval:
        """Where the rise stays below half the square of the normal quantile; infinite where the profile does not get there.

        Source: Raue et al. 2009, Bioinformatics 25(15): a profile that stays flat is a value that cannot be identified.
        """
        check_within(1e-6, 1 - 1e-6, "a probability", level=level)
        limit = NormalDist().inv_cdf(0.5 + level / 2)
        good = np.isfinite(self.rise)
        values = self.values[good]
        # With a sign it is nearly a straight line, on which to interpolate.
        root = np.sqrt(2 * np.maximum(self.rise[good], 0.0)) * np.sign(values - self.best)
        ends = [_crossing(values, root, -limit, -np.inf), _crossing(values, root, limit, np.inf)]
        return Interval(ends[0], self.best, ends[1])


def _crossing(values: Array, root: Array, limit: float, otherwise: float) -> float:
    """Where the root first reaches the limit, going out from the best value."""
    outward = np.sign(limit)
    order = np.argsort(outward * values, kind="stable")
    v, r = values[order], outward * root[order]
    beyond = np.flatnonzero(r >= abs(limit))
    if not len(beyond) or beyond[0] == 0:
        return float(otherwise)
    i = beyond[0]
    share = (abs(limit) - r[i - 1]) / (r[i] - r[i - 1])
    return float(v[i - 1] + share * (v[i] - v[i - 1]))


def profiles(problem: InverseProblem | Mode, *, points: int = 12, reach: float = 3.0) -> dict[str, Profile]:
    """The profile of each value; all points are searched together.

    Args:
        points: on each side of the mode. reach: how far they go, in standard errors of Laplace's approximation.

    Raises:
        SolverError, InputError: see `at_mode` and `posterior.covariance_of`.
    """
    check_whole(2, points=points)
    check_positive(reach=reach)
    mode = problem if isinstance(problem, Mode) else at_mode(problem)
    at, covariance, n = mode.problem.x, covariance_of(mode), len(mode.problem.x)
    spread = np.sqrt(np.diag(covariance))
    steps = np.concatenate(
        [-np.linspace(reach, reach / points, points), [0.0], np.linspace(reach / points, reach, points)]
    )
    # Others begin where the normal distribution has their mean, given the one that is held.
    starts = np.concatenate([at + np.outer(steps, covariance[i] / spread[i]) for i in range(n)])
    held = np.repeat(np.arange(n), len(steps))
    state = descend(mode.problem, mode.errors, starts, held=held, tolerance=1e-7)
    loss = state["loss"].reshape(n, len(steps))
    values = mode.problem.values(torch.from_numpy(starts)).numpy().reshape(n, len(steps), n)
    least = np.nanmin(loss)
    rise = np.where(np.isfinite(loss), loss - least, np.nan)
    return {
        name: Profile(name, values[i, :, i], rise[i], float(mode.problem.best[i]))
        for i, name in enumerate(mode.problem.names)
    }
