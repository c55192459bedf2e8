"""4D-Var over one window: Gauss-Newton steps for the beginning of it, its parameters and its forcings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SolverError
from ..jacobian import jacobian
from ..observe import Observation
from .methods import Variational
from .uncertain_model import Problem, told_by


@dataclass(frozen=True, eq=False)
class Fitted:
    """A window that was fitted.

    Attributes:
        start, end: vectors `(length,)` at both ends. covariance: of the vector at the end. first: at the start.
        forecast, simulated: of the observations `(observations,)`, before and after.
        innovation_variance: expected of `observed - forecast`, `(observations,)`.
        forecast_end, forecast_covariance: of the vector at the end, had nothing been observed.
        rest: states that are not estimated, at the end. solves: how many windows were solved.
    """

    start: Tensor
    end: Tensor
    first: Tensor
    covariance: Tensor
    forecast: Tensor
    simulated: Tensor
    innovation_variance: Tensor
    forecast_end: Tensor
    forecast_covariance: Tensor
    rest: dict[str, Tensor]
    solves: int


def fit_window(
    problem: Problem,
    method: Variational,
    mean: Tensor,
    covariance: Tensor,
    rest: Mapping[str, Tensor],
    window: slice,
    seen: Sequence[Observation],
) -> Fitted:
    """The most probable course of a window.

    Raises:
        SolverError: the model cannot be solved from the background.
    """
    n, k = len(mean), len(problem.forcing_error)
    prior = torch.block_diag(covariance, torch.diag(problem.log_sd**2))
    centre = torch.cat([mean, torch.zeros(k, dtype=torch.float64)])
    observed, error = told_by(seen)
    gone: dict[str, Tensor] = {}

    def course(v: Tensor) -> Tensor:
        end, simulated, left, ok = problem.run(v[:, :n], rest, v[:, n:], window, seen)
        if not ok.all():
            raise SolverError("the model cannot be solved over the window")
        gone.update({name: value.detach() for name, value in left.items()})
        return torch.cat([simulated, end], -1)

    # In units of the prior: what is known for certain does not move, and nothing is divided by.
    root = _root(prior)

    def cost(w: Tensor, simulated: Tensor) -> float:
        return float(w @ w + (((simulated - observed) / error) ** 2).sum())

    p, w, solves = len(observed), torch.zeros_like(centre), 1
    value, slope = (t[0] for t in jacobian(course, centre[None]))
    forecast, h, m = value[:p], slope[:p], slope[p:]
    innovation = (h @ prior * h).sum(-1) + error**2
    forecast_end, forecast_covariance = value[p:], m @ prior @ m.T
    now = cost(w, value[:p])
    for _ in range(method.steps if p else 0):
        g = h @ root / error[:, None]
        known = g @ g.T + torch.eye(p, dtype=torch.float64)
        target = g.T @ torch.linalg.solve(known, (observed - value[:p]) / error + g @ w)
        step, share, fell = target - w, 1.0, 0.0
        while share > 1e-3:
            trial = w + share * step
            solves += 1
            try:
                value_there, slope_there = (t[0] for t in jacobian(course, (centre + root @ trial)[None]))
            except SolverError:
                share /= 4
                continue
            there = cost(trial, value_there[:p])
            if there < now:
                fell, w, value, slope, now = now - there, trial, value_there, slope_there, there
                break
            share /= 4
        h, m = slope[:p], slope[p:]
        if fell <= method.tolerance * max(now, 1.0):
            break
    v = centre + root @ w
    g = h @ root / error[:, None]
    first = root @ torch.linalg.inv(torch.eye(len(v), dtype=torch.float64) + g.T @ g) @ root.T
    end = m @ first @ m.T
    return Fitted(
        v[:n],
        value[p:],
        first[:n, :n],
        (end + end.T) / 2,
        forecast,
        value[:p],
        innovation,
        forecast_end,
        forecast_covariance,
        gone,
        solves,
    )


def _root(covariance: Tensor) -> Tensor:
    """A root of a covariance that may be singular."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()
