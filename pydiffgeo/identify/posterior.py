"""What is known of sought values after the data: a normal distribution about the mode, or draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import torch

from ..arrays import Array
from ..checks import check_within
from ..errors import InputError
from .inverse_problem import InverseProblem
from .mode import Mode, at_mode


class Interval(NamedTuple):
    """Between which a value lies with some probability, and its median."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known of the values.

    Attributes:
        method: by which it was found: "laplace", "rml" or "sampling".
        mode: where it is largest.
        covariance: of the variables, `(n, n)`.
        draws: of the variables, `(draws, n)`, where there are any.
        numbers: how far the draws can be trusted: name -> number, such as the largest R-hat.
        errors: of each draw: name -> `(draws,)`, where they were drawn too.
        weights: of the draws, `(draws,)`, which add up to one; None where all are alike.
    """

    method: str
    mode: Mode
    covariance: Array
    draws: Array | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, Array] = field(default_factory=dict)
    weights: Array | None = None

    @property
    def problem(self) -> InverseProblem:
        """With `x` at the mode and all numbers of the errors."""
        return self.mode.problem

    def intervals(self, level: float = 0.9) -> dict[str, Interval]:
        """Name -> interval that holds the value with the probability `level`, as much outside on either side."""
        check_within(1e-6, 1 - 1e-6, "a probability", level=level)
        ends = (0.5 - level / 2, 0.5, 0.5 + level / 2)
        if self.draws is not None:
            x = quantiles(self.draws, self.weights, ends)
        else:
            spread = np.sqrt(np.diag(self.covariance))
            x = self.problem.x + np.array([[NormalDist().inv_cdf(p)] for p in ends]) * spread
        # Values grow with their variables, so that quantiles go over into each other.
        values = self.problem.values(torch.from_numpy(x)).numpy()
        return {name: Interval(*map(float, values[:, i])) for i, name in enumerate(self.problem.names)}

    def draw(self, count: int, seed: int = 0) -> Array:
        """Variables `(count, n)`: of the draws, without replacement where there are enough of equal weight, or of the normal
        distribution.
        """
        random = np.random.default_rng(seed)
        if self.draws is not None:
            again = self.weights is not None or count > len(self.draws)
            return np.asarray(self.draws[random.choice(len(self.draws), count, again, self.weights)])
        sizes, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.clip(sizes, 0.0, None))
        return np.asarray(self.problem.x + random.normal(size=(count, len(sizes))) @ root.T)

    def correlation(self) -> Array:
        """Of the variables, `(n, n)`."""
        size = np.sqrt(np.diag(self.covariance))
        return np.asarray(self.covariance / np.outer(size, size))

    def table(self, level: float = 0.9) -> str:
        """Values with their intervals as text."""
        rows = [f"{'':14}{'most probable':>15}{f'{100 * level:g} % between':>17}{'and':>12}"]
        for (name, (low, _, high)), best in zip(self.intervals(level).items(), self.problem.best, strict=True):
            rows.append(f"{name:14}{best:15.4g}{low:17.4g}{high:12.4g}")
        return "\n".join([*rows, *(f"{k.replace('_', ' ')}: {v:.4g}" for k, v in self.numbers.items())])


def effective(weights: Array) -> float:
    """As how many draws of equal weight those with weights `(draws,)` are good.

    Source: Kong, Liu and Wong 1994, J. Am. Stat. Assoc. 89.
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def quantiles(draws: Array, weights: Array | None, ends: Sequence[float]) -> Array:
    """Of draws `(draws, n)` at the probabilities `ends`, `(len(ends), n)`.

    So that few draws do not make intervals too narrow: the k-th of M alike ones stands at the probability k / (M + 1), with which
    a further one is below it. Those with weights stand in the middle of theirs, with their effective number for M.
    """
    share = np.full(len(draws), 1 / len(draws)) if weights is None else weights / weights.sum()
    number, found = effective(share), np.empty((len(ends), draws.shape[1]))
    for i, column in enumerate(draws.T):
        order = np.argsort(column)
        middle = np.cumsum(share[order]) - share[order] / 2
        found[:, i] = np.interp(ends, (middle * number + 0.5) / (number + 1), column[order])
    return found


def covariance_of(mode: Mode) -> Array:
    """Of the variables, `(n, n)`: the inverse of the information.

    Raises:
        InputError: neither data nor priors say anything about some direction.
    """
    information = mode.information
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information / np.outer(size, size)
    if not np.linalg.eigvalsh(scaled)[0] > 1e-13:
        raise InputError(
            f"{mode.problem.name}: neither data nor priors say anything about some combination of {list(mode.problem.names)}; "
            "look at the spectrum, and give priors or bounds"
        )
    return np.asarray(np.linalg.inv(scaled) / np.outer(size, size))


def laplace(problem: InverseProblem | Mode) -> Posterior:
    """The normal distribution of the variables that the posterior is near its mode (Laplace's approximation).

    Raises:
        SolverError, InputError: see `at_mode` and `covariance_of`.
    """
    mode = problem if isinstance(problem, Mode) else at_mode(problem)
    return Posterior("laplace", mode, covariance_of(mode), numbers={"values_the_data_determine": mode.determined})
