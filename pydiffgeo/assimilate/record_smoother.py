"""A whole record at once: states and what the model got wrong in each interval (weak-constraint 4D-Var)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Mask
from ..checks import check_whole
from ..errors import InputError, MissingPackageError, SolverError
from .interval_batch import NONE, IntervalBatch, places_of, row_of
from .linear_record import Factor, LinearRecord
from .uncertain_model import Problem

# Of the cost: less than this a step need not promise.
ENOUGH = 1e-3
# What stands for `NONE` at the first step.
LOOSE = 0.1


@dataclass(frozen=True, eq=False)
class SmoothedRecord:
    """The most probable course of a record, with what the model gets wrong in each interval.

    Attributes:
        problem: what was asked.
        states: name -> `(intervals + 1, cells)`. sd: the same, standard deviations.
        model_error: name -> standard deviation of what the model gets wrong in one unit of time; estimated where asked for.
        defects: name -> `(intervals, cells)`, state at the end of an interval less what the model makes of that at its start.
        reduced_chi_squared: mean square of the residuals of all observations, in units of their errors; less than one by
            what was fitted.
        iterations: of Gauss and Newton. converged: would another one make the cost less by no more than a thousandth of it?
        linear: the record about these states. held: those that a bound holds, `(intervals + 1, n)`.
    """

    problem: Problem
    states: dict[str, Tensor]
    sd: dict[str, Tensor]
    model_error: dict[str, float]
    defects: dict[str, Tensor]
    reduced_chi_squared: float
    iterations: int
    converged: bool
    linear: LinearRecord
    held: Mask

    @property
    def interval(self) -> float:
        """Length of an interval, in the time unit of the model."""
        return float(self.problem.axis[1] - self.problem.axis[0])

    @property
    def spreads(self) -> Array:
        """Standard deviations of the defects of one interval, `(n,)`."""
        each = {name: error * math.sqrt(self.interval) for name, error in self.model_error.items()}
        return row_of(self.problem, each)

    def seen_through(self, state: str, tendency: Tensor) -> Tensor:
        """What a missing tendency of a state would have looked like in `defects`, per unit of time, had nothing been noise.

        Observations resolve defects in part, and later than they happen: defects are a linear function of the true ones,
        the averaging kernel (Rodgers 2000, Inverse Methods for Atmospheric Sounding, section 2.4.1). A regression of
        defects on candidate terms is without bias where terms go through it, too.

        Args:
            tendency: mean over each interval, `(intervals, cells)`, in units of the state per time.
        """
        at = places_of(self.problem)[state]
        true = np.zeros(self.linear.ends.shape)
        true[:, at] = tendency.detach().numpy() * self.interval
        # A tendency that is even over an interval, of which the model makes something on its way.
        true = (true + np.einsum("kij,kj->ki", self.linear.slopes, true)) / 2
        sd, zero = self.spreads, self.linear
        right = zero.transposed(np.zeros(true.shape[1]), true / sd**2, 0 * zero.residual, 0 * zero.residual_through)
        missed = zero.applied(self._moved(right))[0]
        return torch.from_numpy((true - missed)[:, at] / self.interval)

    def noise(self, state: str, *, width: int = 1, draws: int = 20, seed: int = 0) -> float:
        """Root mean square of what errors of the observations make of means of `defects` over `width` intervals, per time."""
        random, linear, total = np.random.default_rng(seed), self.linear, 0.0
        for _ in range(draws):
            parts = [random.normal(size=part.shape) for part in (linear.residual, linear.residual_through)]
            start = random.normal(size=linear.start.shape) / linear.start_sd
            right = linear.transposed(start, np.zeros(linear.ends.shape), *parts)
            made = torch.from_numpy(linear.applied(self._moved(right))[0][:, places_of(self.problem)[state]])
            total += float(means(made, width).square().mean()) / draws
        return math.sqrt(total) / self.interval

    @cached_property
    def _factor(self) -> Factor:
        return self.linear.factor(self.spreads, self.held)

    def _moved(self, right: Array) -> Array:
        """The states, but for those that a bound holds, for a right-hand side of the normal equations."""
        return self._factor.solve(np.where(self.held, 0.0, right))


def means(values: Tensor, width: int) -> Tensor:
    """Means of `(intervals, cells)` over so many intervals each, `(intervals // width, cells)`; what is left is left out."""
    count = len(values) // width
    return values[: count * width].reshape(count, width, -1).mean(1)


def smooth_record(
    problem: Problem, *, fit_errors: bool = True, steps: int = 20, draws: int = 40, seed: int = 0
) -> SmoothedRecord:
    """All states of a record and the defects of the model, by Gauss-Newton steps over all observations.

    Weak-constraint 4D-Var (Tremolet 2006, Q. J. R. Meteorol. Soc. 132) in which the states at the ends of all intervals are
    sought; these are solved as one batch with their Jacobians, and tied by a banded system, so that nothing grows along the
    record. How large defects are is chosen by the evidence of the linear record (its marginal likelihood), not by a truth.
    States stay within their bounds at every step. All of them may have defects at first, and those of states without a
    `model_error` are taken away step by step: a free run of a model that lacks something may be far from all observations.

    Args:
        problem: all states uncertain; `model_error` names the states whose model may be wrong, and is where the
            estimate of its size begins. Observations of values lie at `times`, those of fluxes cover one interval each.
        fit_errors: estimate the sizes of `model_error`; as they are given otherwise.
        steps: of Gauss and Newton, at most. draws: of the posterior, for `sd`. seed: of these.

    Raises:
        InputError: the problem has what this cannot take; names it.
        SolverError: the model cannot be solved over the intervals from its own course.
        MissingPackageError: SciPy is not installed.
    """
    check_whole(1, steps=steps)
    check_whole(2, draws=draws)
    _check(problem)
    record = IntervalBatch(problem)
    errors = dict(problem.model_error)
    low, high = record.bounds()
    # A free run may undershoot a bound by its tolerances.
    linear = record.linear(np.clip(record.free_run(), low, high))
    count, converged, none, held = 0, False, LOOSE, np.zeros(linear.at.shape, bool)
    while True:
        if fit_errors:
            errors = _likely(record, linear, errors, held)
        sd = record.spreads(errors, none)
        step, held, promise = linear.bounded_step(sd, low, high)
        now = linear.cost(sd)
        converged = none == NONE and promise <= ENOUGH * now
        if converged or count == steps:
            break
        count, share, there = count + 1, 1.0, None
        while there is None and share > 1e-3:
            at = linear.at + share * step
            try:
                there = at if record.cost(linear, at, sd) < now else None
            except SolverError:
                if share < 4e-3:
                    raise
            share /= 4
        if there is not None:
            linear = record.linear(there)
        elif none == NONE:
            break
        none = max(NONE, none / 10)
    spread = record.posterior(linear, sd, held, draws, seed)
    _, _, left = linear._flux_rows
    number = record.count
    square = (float((linear.residual**2).sum()) + float((left**2).sum())) / max(number, 1)
    places = places_of(problem)

    def split(values: Array) -> dict[str, Tensor]:
        return {name: torch.from_numpy(values[:, at].copy()) for name, at in places.items()}

    return SmoothedRecord(
        problem,
        split(linear.at),
        split(spread),
        {name: float(sd[at][0] / math.sqrt(record.dt)) for name, at in places.items()},
        split(linear.defects),
        square,
        count,
        converged,
        linear,
        held,
    )


def _likely(record: IntervalBatch, linear: LinearRecord, errors: Mapping[str, float], held: Mask) -> dict[str, float]:
    """The sizes of model errors at which the observations of a linear record are the most probable."""
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingPackageError("smoothing a record needs SciPy: pip install scipy") from error
    names = [*errors]
    first = np.log([errors[name] for name in names])
    least = [math.log(NONE * record.problem.uncertain[name] / math.sqrt(record.dt)) for name in names]
    # From where it is, by no more than a factor of a hundred at a time, and never to nothing.
    limits = [(max(f - 4.6, low), f + 4.6) for f, low in zip(first, least, strict=True)]

    def unlikely(logs: Array) -> float:
        return linear.evidence(record.spreads(dict(zip(names, np.exp(logs), strict=True))), held)

    found = minimize(unlikely, first, method="L-BFGS-B", bounds=limits, options={"maxiter": 30})
    return dict(zip(names, map(float, np.exp(found.x)), strict=True))


def _check(problem: Problem) -> None:
    steps = np.diff(problem.axis)
    if not np.allclose(steps, steps[0], rtol=1e-9):
        raise InputError("the intervals of a smoothed record must be equal")
    if fixed := [s.name for s in problem.model.states if s.name not in problem.uncertain]:
        raise InputError(f"all states of a smoothed record must be uncertain; {fixed} are not")
    if not problem.model_error:
        raise InputError("name a state in model_error: what the model gets wrong is what is sought")
    if problem.sought or problem.forcing_error:
        raise InputError("a smoothed record has no sought parameters and no errors of forcings; only model_error")
