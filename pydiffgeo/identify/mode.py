"""The most probable values, and the sizes of errors that go with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Indices
from ..calibration.least_squares import GaussNewton
from ..calibration.search import Evaluation, State, spread
from ..errors import SolverError
from .error_model import ErrorModel, Errors, degrees_of_freedom, estimated
from .inverse_problem import InverseProblem, checked

# Values and errors are found in turn until numbers of errors change by less than this part, or so many times.
SETTLED, ROUNDS = 0.01, 6
STEPS = 60


@dataclass(frozen=True, eq=False)
class Mode:
    """Where a posterior is largest.

    Attributes:
        problem: with `x` at the mode and all numbers of the errors.
        asked: the error model as it was given.
        errors: over the record.
        simulated: what is observed, `(m,)`. rows: sensitivities in units of errors, `(rows, n)`. prior_rows: `(n, n)`.
    """

    problem: InverseProblem
    asked: ErrorModel
    errors: Errors
    simulated: Tensor
    rows: Array
    prior_rows: Array

    @property
    def information(self) -> Array:
        """Expected second derivatives of minus the log posterior to the variables, `(n, n)`."""
        return np.asarray(self.rows.T @ self.rows + self.prior_rows.T @ self.prior_rows)

    @property
    def determined(self) -> float:
        """How many values the data determine, of those that priors do not: between 0 and n (Rodgers 2000, Inverse
        Methods for Atmospheric Sounding, section 2.4, degrees of freedom for signal).
        """
        return degrees_of_freedom(self.rows, self.prior_rows)


def at_mode(problem: InverseProblem, *, search: bool = True) -> Mode:
    """Goes from `problem.x` to the mode of the posterior, with errors as the model of the problem says.

    Args:
        search: unset, the point stays, and only numbers of the errors are estimated.

    Raises:
        SolverError: the model cannot be solved, or no step leads anywhere from a point that is no mode.
        InputError: errors cannot be estimated.
    """
    asked, now, before = problem.errors, problem, None
    for _ in range(ROUNDS):
        value, slope = checked(now, now.x)
        numbers = estimated(asked, now.record, value, slope, now.prior_rows(torch.from_numpy(now.x[None].copy()))[0])
        errors = Errors.of(numbers, now.record)
        now = replace(now, errors=numbers)
        if (before is not None and _close(before, numbers)) or not search:
            break
        before = numbers
        now = replace(now, x=_best(now, errors))
        if not asked.unknown:
            value, slope = checked(now, now.x)
            break
    at = torch.from_numpy(now.x[None].copy())
    return Mode(
        now, asked, errors, value, errors.rows(value[None], slope[None])[0].numpy(), now.prior_rows(at)[0].numpy()
    )


def _close(a: ErrorModel, b: ErrorModel) -> bool:
    pairs = ((a.size, b.size), (a.growth, b.growth), (a.autocorrelation, b.autocorrelation))
    return all(abs((p or 0.0) - (q or 0.0)) <= SETTLED * max(abs(q or 0.0), 0.05) for p, q in pairs)


def _best(problem: InverseProblem, errors: Errors) -> Array:
    state = descend(problem, errors, problem.x[None])
    if not np.isfinite(state["loss"][0]):
        raise SolverError(f"{problem.name}: the model cannot be solved where the search begins")
    return np.asarray(state["x"][0])


def descend(
    problem: InverseProblem,
    errors: Errors,
    x: Array,
    *,
    observed: Tensor | None = None,
    shift: Tensor | None = None,
    held: Indices | None = None,
    tolerance: float = 1e-9,
) -> State:
    """Damped Gauss-Newton steps from the rows of `x`, `(members, n)`, all members at once, to modes.

    Args:
        observed: of each member, `(members, m)`. shift: of the priors, see `InverseProblem.prior`.
        held: the number of the variable of each member that stays where it is, `(members,)`.
    """

    def evaluate(trial: Array, active: Indices) -> Evaluation:
        own = None if observed is None else observed[active]
        trials = problem.evaluate(trial, rows_of(errors, active), own, None if shift is None else shift[active])
        return trials if held is None else _holding(trials, held[active])

    return damped(evaluate, x, tolerance)


def damped(evaluate: Callable[[Array, Indices], Evaluation], x: Array, tolerance: float) -> State:
    """Damped Gauss-Newton steps from the rows of `x`, `(members, n)`; `evaluate` is given trials and whose they are."""
    method = GaussNewton(tolerance=tolerance, restraint=1e-3)
    state = method.start(x)
    for _ in range(STEPS):
        active = np.flatnonzero(~state["done"])
        if not len(active):
            break
        trials = evaluate(state["trial"][active], active)
        state = method.advance(state, spread(trials, active, *x.shape))
    return state


def _holding(trials: Evaluation, held: Indices) -> Evaluation:
    """As if nothing depended on one variable of each member."""
    assert trials.normal is not None
    gradient, normal, members = trials.gradient.copy(), trials.normal.copy(), np.arange(len(held))
    gradient[members, held] = normal[members, held] = normal[members, :, held] = 0.0
    return replace(trials, gradient=gradient, normal=normal)


def rows_of(errors: Errors, active: Indices) -> Errors:
    """Errors of some members, where each has its own."""

    def part(v: Tensor) -> Tensor:
        return v[active] if v.ndim else v

    record = errors.record
    if record.error.ndim > 1:
        record = replace(record, error=record.error[active])
    return replace(
        errors,
        record=record,
        size=part(errors.size),
        growth=part(errors.growth),
        autocorrelation=part(errors.autocorrelation),
    )
