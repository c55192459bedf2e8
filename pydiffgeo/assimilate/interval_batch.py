"""The intervals of a record as one batch of short solves, each from a state of its own, with their Jacobians."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Mask
from ..errors import InputError, SolverError
from ..jacobian import jacobian
from ..observe import SAME, Observation
from ..solve import Settings, solve
from .linear_record import LinearRecord
from .uncertain_model import Problem

# Standard deviation of the defects of states that are said to have none, as a share of that at first.
NONE = 1e-3


class IntervalBatch:
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
        problem, places = self.problem, places_of(self.problem)
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

    def cost(self, near: LinearRecord, at: Array, sd: Array) -> float:
        """The cost at states `(intervals + 1, n)`, but for how fluxes see half of a defect, which is that of a record near them.

        Raises:
            SolverError: an interval cannot be solved.
        """
        n, v = at.shape[1], len(self.values)
        with torch.no_grad():
            value = self._solved(torch.from_numpy(at.copy())).numpy()
        residual, left = np.zeros(near.residual.shape), np.zeros(near.residual_through.shape)
        for i, (_, observed, weight) in enumerate(self.values):
            residual[:, i] = (observed - value[:, n + i]) * weight
        for i, (_, observed, weight) in enumerate(self.fluxes):
            left[:, i] = (observed - value[:-1, n + v + i]) * weight
        return replace(near, at=at, ends=value[:-1, :n], residual=residual, residual_through=left).cost(sd)

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
        start = torch.cat([problem.start[name] for name in places_of(problem)], -1)[0].numpy()
        start_sd = row_of(problem, problem.uncertain)
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
        parts = [sol.states[name].reshape(len(problem.axis), -1) for name in places_of(problem)]
        return torch.cat(parts, -1).numpy()

    def spreads(self, errors: Mapping[str, float], none: float = NONE) -> Array:
        """Standard deviations of the defects of one interval, `(n,)`. none: see `NONE`."""
        least = {name: none * sd for name, sd in self.problem.uncertain.items()}
        each = {name: errors.get(name, 0.0) * math.sqrt(self.dt) for name in self.problem.uncertain}
        return row_of(self.problem, {name: max(sd, least[name]) for name, sd in each.items()})

    def bounds(self) -> tuple[Array, Array]:
        problem = self.problem
        within = {s.name: problem.bounds.get(s.name, (s.low, s.high)) for s in problem.model.states}
        return tuple(row_of(problem, {n: w[i] for n, w in within.items()}) for i in (0, 1))  # type: ignore[return-value]

    def posterior(self, linear: LinearRecord, sd: Array, held: Mask, draws: int, seed: int) -> Array:
        """Standard deviations of the states, from draws of the linear record; none of those that a bound holds."""
        random, factor, total = np.random.default_rng(seed), linear.factor(sd, held), np.zeros(linear.at.shape)
        for _ in range(draws):
            start, defects = random.normal(size=linear.start.shape), random.normal(size=linear.ends.shape)
            values, fluxes = (random.normal(size=p.shape) for p in (linear.residual, linear.residual_through))
            right = linear.transposed(start / linear.start_sd, defects / sd, values, fluxes)
            total += factor.solve(np.where(held, 0.0, right)) ** 2
        return np.sqrt(total / draws)


def places_of(problem: Problem) -> dict[str, slice]:
    """Where each state is in one row of all."""
    found, at = {}, 0
    for state in problem.model.states:
        cells = problem.model.state_cells(state.name)
        found[state.name], at = slice(at, at + cells), at + cells
    return found


def row_of(problem: Problem, each: Mapping[str, float]) -> Array:
    """One number for each state, repeated over its cells."""
    cells = {s.name: problem.model.state_cells(s.name) for s in problem.model.states}
    return np.concatenate([np.full(n, float(each[name])) for name, n in cells.items()])
