"""Coefficients that were found, refined through the solver: least squares over all observations of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..assimilate import Problem
from ..assimilate.uncertain_model import told_by
from ..checks import check_whole
from ..errors import InputError, SolverError, UnknownNameError
from ..jacobian import jacobian
from ..model import Model
from ..solve import Settings, solve


@dataclass(frozen=True)
class Refined:
    """Attributes: values: name -> value. errors: name -> standard deviation by the linear model there, for errors of
    observations as they were given. before, after: mean square of the residuals, in units of their errors."""

    values: dict[str, float]
    errors: dict[str, float]
    before: float
    after: float


def refine(
    model: Model,
    problem: Problem,
    names: Sequence[str],
    *,
    start: Mapping[str, Tensor] | None = None,
    free_start: bool = False,
    steps: int = 8,
    tolerance: float = 1e-4,
) -> Refined:
    """Parameters of a model that fit all observations of a record best, by Gauss-Newton steps through the solver.

    The model runs over the whole record without any error of its own: a term that was found from increments must stand by
    itself. Other parameters are those of the problem.

    Args:
        model: such as `with_terms` gives. problem: its forcing, times, observations and parameters are used.
        names: the parameters to refine, from their defaults or from their values in the problem, within physical bounds.
        start: state -> value at first, such as a smoothed record has; that of the problem where not given.
        free_start: refine what the problem says is uncertain of the start, too, from `start`: errors then hold what this
            leaves open of the parameters. Costs a column of the Jacobian for each cell of a state.
        steps: at most. tolerance: relative fall of the misfit at which it ends.

    Raises:
        UnknownNameError: the model has no such parameter. InputError: there is nothing to refine.
        SolverError: the model cannot be solved from where it begins.
    """
    check_whole(1, steps=steps)
    known = {p.name: p for p in model.parameters}
    if missing := [name for name in names if name not in known]:
        raise UnknownNameError(f"{model.name} has no parameter {missing[0]!r}; it has {[*known]}")
    if not names:
        raise InputError("name at least one parameter to refine")
    if vague := [n for n in names if known[n].default is None and n not in problem.parameters]:
        raise InputError(f"{vague} have no value to begin from")
    first = [float(torch.as_tensor(problem.parameters.get(name, known[name].default))) for name in names]
    at = torch.tensor(first, dtype=torch.float64)
    low = torch.tensor([known[name].low for name in names], dtype=torch.float64)
    high = torch.tensor([known[name].high for name in names], dtype=torch.float64)
    begin = {name: value[0] for name, value in problem.start.items()} | dict(start or {})
    freed = [state for state in model.states if free_start and state.name in problem.uncertain]
    sizes, count = [len(begin[state.name]) for state in freed], len(names)
    bounds = [problem.bounds.get(state.name, (state.low, state.high)) for state in freed]
    at = torch.cat([at, *(begin[state.name] for state in freed)])
    low = torch.cat([low, *(low.new_full((n,), b[0]) for n, b in zip(sizes, bounds, strict=True))])
    high = torch.cat([high, *(high.new_full((n,), b[1]) for n, b in zip(sizes, bounds, strict=True))])
    expected = torch.cat([at[:0], *(problem.start[state.name][0] for state in freed)])
    spread_at_start = torch.cat(
        [at[:0], *(at.new_full((n,), problem.uncertain[s.name]) for n, s in zip(sizes, freed, strict=True))]
    )
    seen = problem.window_observations(float(problem.axis[0]), float(problem.axis[-1]))
    observed, error = told_by(seen)
    settings: Settings = {**problem.settings, "throw": False}

    def residuals(values: Tensor) -> Tensor:
        parameters = {**problem.parameters, **{name: values[:, i : i + 1] for i, name in enumerate(names)}}
        own = zip(freed, values[:, count:].split(sizes, -1) if freed else (), strict=True)
        initial = begin | {state.name: value for state, value in own}
        sol = solve(model, parameters, forcing=problem.driven, times=problem.axis, initial=initial, **settings)
        if not sol.ok.all():
            raise SolverError(f"{model.name} cannot be solved over the record")
        simulated = torch.cat([one.simulated(sol).reshape(len(values), -1) for one in seen], -1)
        return torch.cat([(observed - simulated) / error, (values[:, count:] - expected) / spread_at_start], -1)

    value, slope = (t[0] for t in jacobian(residuals, at[None], mode="forward"))
    before, now = float(value[: len(observed)].square().mean()), float(value.square().mean())
    for _ in range(steps):
        scale = slope.square().mean(0).sqrt().clamp(min=1e-300)
        step, share, fell = -torch.linalg.lstsq(slope / scale, value[:, None]).solution[:, 0] / scale, 1.0, 0.0
        while share > 1e-2:
            trial = torch.minimum(torch.maximum(at + share * step, low), high)
            try:
                there, slope_there = (t[0] for t in jacobian(residuals, trial[None], mode="forward"))
            except SolverError:
                share /= 4
                continue
            if (mean := float(there.square().mean())) < now:
                at, value, slope, fell, now = trial, there, slope_there, now - mean, mean
                break
            share /= 4
        if fell <= tolerance * now:
            break
    spread = torch.linalg.pinv(slope.T @ slope, hermitian=True).diagonal().clamp(min=0).sqrt()
    return Refined(
        dict(zip(names, at.tolist(), strict=False)),
        dict(zip(names, spread.tolist(), strict=False)),
        before,
        float(value[: len(observed)].square().mean()),
    )
