"""A whole record at once: states and what the model got wrong in each interval (weak-constraint 4D-Var)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..checks import check_whole
from ..errors import InputError, MissingPackageError, SolverError
from ..jacobian import jacobian
from ..observe import SAME, Observation
from ..solve import Settings, solve
from .linear_record import LinearRecord
from .uncertain_model import Problem

# Standard deviation of the defects of states that are said to have none, as a share of that at first.
NONE = 1e-4


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
        iterations: of Gauss and Newton. converged: did the last one change states by less than a tenth of their errors?
        linear: the record about these states.
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

    @property
    def interval(self) -> float:
        return float(self.problem.axis[1] - self.problem.axis[0])

    @property
    def spreads(self) -> Array:
        """Standard deviations of the defects of one interval, `(n,)`."""
        each = {name: error * math.sqrt(self.interval) for name, error in self.model_error.items()}
        return _row(self.problem, each)

    def seen_through(self, state: str, tendency: Tensor) -> Tensor:
        """What a missing tendency of a state would have looked like in `defects`, per unit of time, had nothing been noise.

        Observations resolve defects in part, and later than they happen: defects are a linear function of the true ones,
        the averaging kernel (Rodgers 2000, Inverse Methods for Atmospheric Sounding, section 2.4.1). A regression of
        defects on candidate terms is without bias where terms go through it, too.

        Args:
            tendency: mean over each interval, `(intervals, cells)`, in units of the state per time.
        """
        at = _places(self.problem)[state]
        true = np.zeros(self.linear.ends.shape)
        true[:, at] = tendency.detach().numpy() * self.interval
        # A tendency that is even over an interval, of which the model makes something on its way.
        true = (true + np.einsum("kij,kj->ki", self.linear.slopes, true)) / 2
        sd, zero = self.spreads, self.linear
        right = zero.transposed(np.zeros(true.shape[1]), true / sd**2, 0 * zero.residual, 0 * zero.residual_through)
        missed = zero.applied(zero.factor(sd).solve(right))[0]
        return torch.from_numpy((true - missed)[:, at] / self.interval)

    def noise(self, state: str, *, width: int = 1, draws: int = 20, seed: int = 0) -> float:
        """Root mean square of what errors of the observations make of means of `defects` over `width` intervals, per time."""
        random, linear, sd = np.random.default_rng(seed), self.linear, self.spreads
        factor, total = linear.factor(sd), 0.0
        for _ in range(draws):
            parts = [random.normal(size=part.shape) for part in (linear.residual, linear.residual_through)]
            start = random.normal(size=linear.start.shape) / linear.start_sd
            right = linear.transposed(start, np.zeros(linear.ends.shape), *parts)
            made = torch.from_numpy(linear.applied(factor.solve(right))[0][:, _places(self.problem)[state]])
            total += float(means(made, width).square().mean()) / draws
        return math.sqrt(total) / self.interval


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
    record = _Intervals(problem)
    errors = dict(problem.model_error)
    sd = record.spreads(errors)
    linear = record.linear(record.free_run())
    low, high = record.bounds()
    count, converged = 0, False
    while count < steps and not converged:
        count += 1
        if fit_errors:
            errors = _likely(record, linear, errors)
            sd = record.spreads(errors)
        factor = linear.factor(sd)
        step, now, share = factor.solve(linear.downhill(sd)), linear.cost(sd), 1.0
        while True:
            try:
                there = record.linear(np.clip(linear.at + share * step, low, high))
                if there.cost(sd) <= now or share < 1e-3:
                    break
            except SolverError:
                if share < 1e-3:
                    raise
            share /= 4
        # A state that its bound keeps in place has no error to measure its step by.
        moved = np.abs(there.at - linear.at)
        linear = there if there.cost(sd) <= now else linear
        spread = record.posterior(linear, sd, min(draws, 10), seed)
        converged = bool((moved <= 0.1 * spread + 1e-9).mean() > 0.99)
    spread = record.posterior(linear, sd, draws, seed)
    _, _, left = linear._flux_rows
    number = record.count
    square = (float((linear.residual**2).sum()) + float((left**2).sum())) / max(number, 1)
    places = _places(problem)

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
    )


class _Intervals:
    """All intervals of a record as one batch: member k begins with the state at `times[k]`."""

    def __init__(self, problem: Problem) -> None:
        self.problem, axis = problem, problem.axis
        self.dt, self.count = float(axis[1] - axis[0]), 0
        self.values: list[tuple[Observation, Array, Array]] = []
        self.fluxes: list[tuple[Observation, Array, Array]] = []
        for one in problem.observations:
            observed, weight = self._placed(one)
            self.count += int((weight > 0).sum())
            template = replace(
                one,
                times=np.array([0.0]) if one.kind == "value" else np.array([[0.0, self.dt]]),
                values=torch.zeros(1, dtype=torch.float64),
                error=torch.ones((), dtype=torch.float64),
            )
            (self.values if one.kind == "value" else self.fluxes).append((template, observed, weight))
        if not self.count:
            raise InputError("all observations are missing")

    def _placed(self, one: Observation) -> tuple[Array, Array]:
        """Values at all times or over all intervals, and 1 over their errors; both zero where there are none."""
        axis = self.problem.axis
        slack = SAME * (axis[-1] - axis[0])
        first = one.times if one.kind == "value" else one.times[:, 0]
        at = np.searchsorted(axis, first - slack)
        fits = (at < len(axis)) & (np.abs(axis[np.minimum(at, len(axis) - 1)] - first) <= slack)
        if one.kind != "value":
            fits &= at + 1 < len(axis)
            fits &= np.abs(axis[np.minimum(at + 1, len(axis) - 1)] - one.times[:, -1]) <= slack
        if not fits.all():
            where = one.times[~fits][0]
            what = "at the times of the record" if one.kind == "value" else "over one of its intervals each"
            raise InputError(f"{one.what}: a smoothed record has observations {what}, got one at {where}")
        length = len(axis) - (one.kind != "value")
        observed, weight = np.zeros(length), np.zeros(length)
        given, error = one.values.numpy(), one.error.expand(one.values.shape).numpy()
        there = ~np.isnan(given)
        if len({*at[there]}) < there.sum():
            raise InputError(f"{one.what}: two observations at the same time; give them as two series")
        observed[at[there]], weight[at[there]] = given[there], 1 / error[there]
        return observed, weight

    def _solved(self, z: Tensor) -> Tensor:
        """Ends, values seen at the start, and fluxes seen, `(intervals + 1, ...)`, of starts `(intervals + 1, n)`."""
        problem, places = self.problem, _places(self.problem)
        initial = {name: z[:, at] for name, at in places.items()}
        # The last state begins no interval: what follows from it is not used.
        forcing = {name: torch.cat([v, v[-1:]])[:, None] for name, v in problem.driven.items()}
        settings: Settings = {**problem.settings, "throw": False}
        axis = np.array([0.0, self.dt])
        sol = solve(problem.model, problem.parameters, forcing=forcing, times=axis, initial=initial, **settings)
        ok = sol.ok.reshape(-1)[: len(z) - 1]
        if not ok.all():
            bad = (~ok).nonzero()[:, 0]
            raise SolverError(
                f"{len(bad)} of {len(ok)} intervals cannot be solved, the first from {problem.axis[int(bad[0])]:g}"
            )
        ends = torch.cat([sol.end[name].reshape(len(z), -1) for name in places], -1)
        seen = [o.simulated(sol).reshape(len(z), 1) for o, _, _ in (*self.values, *self.fluxes)]
        return torch.cat([ends, *seen], -1)

    def linear(self, at: Array) -> LinearRecord:
        """The record about states `(intervals + 1, n)`.

        Raises:
            SolverError: an interval cannot be solved.
        """
        n, v = at.shape[1], len(self.values)
        value, slope = (t.numpy() for t in jacobian(self._solved, torch.from_numpy(at.copy()), mode="forward"))
        seen, residual = np.zeros((len(at), v, n)), np.zeros((len(at), v))
        for i, (_, observed, weight) in enumerate(self.values):
            seen[:, i], residual[:, i] = slope[:, n + i] * weight[:, None], (observed - value[:, n + i]) * weight
        through = np.zeros((len(at) - 1, len(self.fluxes), n))
        left = np.zeros(through.shape[:2])
        for i, (_, observed, weight) in enumerate(self.fluxes):
            through[:, i] = slope[:-1, n + v + i] * weight[:, None]
            left[:, i] = (observed - value[:-1, n + v + i]) * weight
        problem = self.problem
        start = torch.cat([problem.start[name] for name in _places(problem)], -1)[0].numpy()
        start_sd = _row(problem, problem.uncertain)
        return LinearRecord(at, value[:-1, :n], slope[:-1, :n], seen, residual, through, left, start, start_sd)

    def free_run(self) -> Array:
        problem = self.problem
        settings: Settings = {**problem.settings}
        with torch.no_grad():
            sol = solve(
                problem.model,
                problem.parameters,
                forcing=problem.driven,
                times=problem.axis,
                initial={name: v[0] for name, v in problem.start.items()},
                **settings,
            )
        parts = [sol.states[name].reshape(len(problem.axis), -1) for name in _places(problem)]
        return torch.cat(parts, -1).numpy()

    def spreads(self, errors: Mapping[str, float]) -> Array:
        """Standard deviations of the defects of one interval, `(n,)`."""
        least = {name: NONE * sd for name, sd in self.problem.uncertain.items()}
        each = {name: errors.get(name, 0.0) * math.sqrt(self.dt) for name in self.problem.uncertain}
        return _row(self.problem, {name: max(sd, least[name]) for name, sd in each.items()})

    def bounds(self) -> tuple[Array, Array]:
        problem = self.problem
        within = {s.name: problem.bounds.get(s.name, (s.low, s.high)) for s in problem.model.states}
        return tuple(_row(problem, {n: w[i] for n, w in within.items()}) for i in (0, 1))  # type: ignore[return-value]

    def posterior(self, linear: LinearRecord, sd: Array, draws: int, seed: int) -> Array:
        """Standard deviations of the states, from draws of the linear record."""
        random, factor, total = np.random.default_rng(seed), linear.factor(sd), np.zeros(linear.at.shape)
        for _ in range(draws):
            start, defects = random.normal(size=linear.start.shape), random.normal(size=linear.ends.shape)
            values, fluxes = (random.normal(size=p.shape) for p in (linear.residual, linear.residual_through))
            right = linear.transposed(start / linear.start_sd, defects / sd, values, fluxes)
            total += factor.solve(right) ** 2
        return np.sqrt(total / draws)


def _likely(record: _Intervals, linear: LinearRecord, errors: Mapping[str, float]) -> dict[str, float]:
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
        return linear.evidence(record.spreads(dict(zip(names, np.exp(logs), strict=True))))

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


def _places(problem: Problem) -> dict[str, slice]:
    """Where each state is in one row of all."""
    found, at = {}, 0
    for state in problem.model.states:
        cells = problem.model.state_cells(state.name)
        found[state.name], at = slice(at, at + cells), at + cells
    return found


def _row(problem: Problem, each: Mapping[str, float]) -> Array:
    """One number for each state, repeated over its cells."""
    cells = {s.name: problem.model.state_cells(s.name) for s in problem.model.states}
    return np.concatenate([np.full(n, float(each[name])) for name, n in cells.items()])
