"""Which further measurement would sharpen a value or a prediction most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..calibration.site import Site
from ..checks import check_whole
from ..errors import InputError, SolverError, UnknownNameError
from ..jacobian import jacobian
from ..observe import Observation
from .error_model import Errors
from .inverse_problem import TIGHT, InverseProblem, observed_of, record_of
from .mode import Mode, at_mode
from .posterior import covariance_of
from .predictive import without_gaps


@dataclass(frozen=True, eq=False)
class Design:
    """What measurements are worth.

    Attributes:
        target: what is to be known better.
        candidates: each in words.
        reduction: the part of the variance of the target that each would take away by itself, `(candidates,)`.
        chosen: numbers of the candidates that are best together, in the order in which each adds most.
        remaining: the part of the variance that is left after each of them, `(chosen,)`.
    """

    target: str
    candidates: tuple[str, ...]
    reduction: Array
    chosen: tuple[int, ...]
    remaining: Array

    def table(self) -> str:
        """The chosen ones as text."""
        lines = [f"to know {self.target} better, measure"]
        for number, left in zip(self.chosen, self.remaining, strict=True):
            lines.append(f"  {self.candidates[number]}: {100 * left:.3g} % of the variance are left")
        return "\n".join(lines)


def design(
    problem: InverseProblem | Mode,
    candidates: Sequence[Observation],
    target: str | Observation,
    *,
    count: int = 1,
    rtol: float = TIGHT,
) -> Design:
    """Holds possible measurements against each other by what they would do to a variance, before any is made.

    The model is linearised at the best point, so that the values that would be measured do not matter, only where, when, of
    what and with which error. The best is taken, then the best beside it: a greedy choice, which comes near the best
    set where measurements are worth less beside each other.

    Args:
        candidates: each a measurement, or a series of them, with errors; values may be NaN. The size, growth and
            autocorrelation of errors are those of the problem.
        target: the name of a sought value, or a prediction, such as one value at a depth and time; of several, the sum of
            variances counts.
        count: how many are chosen.

    Raises:
        InputError: no candidate, or the problem is of no site. UnknownNameError: no such value is sought.
        SolverError: the model cannot be solved at the best point.

    Source: Kikuchi 2017, Water Resour. Res. 53(10), for linear first-order second-moment methods of data worth.
    """
    check_whole(1, count=count)
    if not candidates:
        raise InputError("give at least one candidate")
    worth = Worth.of(problem, target, rtol)
    covariance, chosen, remaining = worth.covariance, list[int](), list[float]()
    offered = worth.rows(candidates)
    reduction = np.array([1 - worth.left(covariance, rows) for rows in offered])
    for _ in range(min(count, len(candidates))):
        after = [np.inf if i in chosen else worth.left(covariance, rows) for i, rows in enumerate(offered)]
        best = int(np.argmin(after))
        covariance = _with(covariance, offered[best])
        chosen.append(best)
        remaining.append(float(after[best]))
    words = tuple(in_words(one, worth.site.model.time_unit) for one in candidates)
    what = target if isinstance(target, str) else in_words(target, worth.site.model.time_unit)
    return Design(what, words, reduction, tuple(chosen), np.array(remaining))


@dataclass(frozen=True, eq=False)
class Worth:
    """By how much measurements would reduce a variance, the model being linear about a mode.

    Attributes:
        mode: about which. site: solved at tight tolerances.
        covariance: of the variables after what was observed, `(n, n)`.
        towards: derivatives of the target to the variables, `(targets, n)`.
    """

    mode: Mode
    site: Site
    covariance: Array
    towards: Array

    @classmethod
    def of(cls, problem: InverseProblem | Mode, target: str | Observation, rtol: float = TIGHT) -> Worth:
        """Of a target as for `design`; raises as it does."""
        mode = problem if isinstance(problem, Mode) else at_mode(problem)
        site = mode.problem.at_tolerance(rtol).site
        if site is None:
            raise InputError(f"{mode.problem.name}: measurements can be weighed for the problem of a site only")
        names = mode.problem.names
        if isinstance(target, str):
            if target not in names:
                raise UnknownNameError(f"target {target!r} is not sought; there are {list(names)}")
            towards = np.eye(len(names))[[names.index(target)]]
        else:
            towards = _linearised(mode, site, [without_gaps(target)])[1][0].numpy()
        return cls(mode, site, covariance_of(mode), np.asarray(towards))

    def rows(self, candidates: Sequence[Observation]) -> list[Array]:
        """Sensitivities of each in units of its errors, `(rows, n)`; all come from one solve."""
        series = [without_gaps(one) for one in candidates]
        value, slope = _linearised(self.mode, self.site, series)
        lengths = [len(one.values) for one in series]
        numbers = self.mode.problem.errors
        return [
            np.asarray(Errors.of(numbers, record_of([one])).rows(v, j)[0].numpy())
            for one, v, j in zip(series, value.split(lengths, 1), slope.split(lengths, 1), strict=True)
        ]

    def left(self, covariance: Array, rows: Array) -> float:
        """The part of the variance of the target, of what it is now, that is left after measurements beside what gave the covariance."""
        return _variance(_with(covariance, rows), self.towards) / _variance(self.covariance, self.towards)


def _linearised(mode: Mode, site: Site, series: Sequence[Observation]) -> tuple[Tensor, Tensor]:
    at = torch.from_numpy(mode.problem.x[None].copy())
    value, slope = jacobian(observed_of(site, series), at, mode="forward")
    if not bool(torch.isfinite(value).all() and torch.isfinite(slope).all()):
        raise SolverError(f"{mode.problem.name}: the model or its derivatives cannot be solved at the best point")
    return value, slope


def _with(covariance: Array, rows: Array) -> Array:
    """The covariance after further observations."""
    seen = covariance @ rows.T
    return np.asarray(covariance - seen @ np.linalg.solve(rows @ seen + np.eye(len(rows)), seen.T))


def _variance(covariance: Array, towards: Array) -> float:
    return float(np.einsum("ki,ij,kj->", towards, covariance, towards))


def in_words(one: Observation, time_unit: str) -> str:
    """What is measured, where and when."""
    times = np.asarray(one.times, float).reshape(-1)
    when = (
        f"at {times[0]:.4g} {time_unit}"
        if len(times) == 1
        else f"from {times.min():.4g} to {times.max():.4g} {time_unit}"
    )
    return f"{one.what}, {f'{len(one.values)} times ' if len(one.values) > 1 else ''}{when}"
