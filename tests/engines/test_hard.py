"""Hard physics: each case ends within its bounds, balanced, the same in both engines, with a gradient."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache

import pytest
import torch
from hard import HARD

import pydiffgeo as dg

# Seconds that a case may take, forward and backward each; the longest takes a quarter of it on two old cores.
SECONDS = 240.0


@cache
def solved(name: str, engine: str) -> tuple[dg.Solution, dict[str, torch.Tensor], float]:
    """A case, the gradient of the water in it and of all that left it, and the seconds taken."""
    started = time.perf_counter()
    solution, parameters = HARD[name].solve(engine, max_seconds=SECONDS)
    theta = solution.states["theta"]
    total = theta[-1].sum() + theta[len(theta) // 2].sum() + sum(v.sum() for v in solution.fluxes.values())
    gradient = torch.autograd.grad(total, list(parameters.values()))
    return solution, dict(zip(parameters, gradient, strict=True)), time.perf_counter() - started


@pytest.mark.parametrize("name", HARD)
def test_hard_physics_is_solved_within_bounds(engine: str, name: str) -> None:
    case = HARD[name]
    solution, gradient, seconds = solved(name, engine)
    assert solution.ok
    assert seconds < 2 * SECONDS
    assert float(solution.balance) < 1e-8
    # Water content is found to the tolerance, and may be less than the residual one by as much.
    residual = case.parameters()["theta_r"]
    assert (solution.states["theta"] > residual * (1 - 10 * case.rtol)).all()
    assert all(torch.isfinite(g).all() for g in gradient.values())
    assert gradient["K_s"].abs().max() > 0


@pytest.mark.parametrize("name", ["showers on clay", "clay over sand", "head on dry sand"])
@pytest.mark.parametrize("rtol", [1e-3, 1e-5])
def test_gradients_are_as_accurate_as_asked(julia_engine: str, name: str, rtol: float) -> None:
    def gradient(rtol: float) -> list[torch.Tensor]:
        """What a change of each parameter by a share of it does."""
        solution, parameters = replace(HARD[name], rtol=rtol).solve(julia_engine)
        assert solution.stats["tolerance_shares"][0] < 1
        theta = solution.states["theta"]
        total = theta[-1].sum() + theta[len(theta) // 2].sum() + sum(v.sum() for v in solution.fluxes.values())
        values = list(parameters.values())
        return [v * g for v, g in zip(values, torch.autograd.grad(total, values), strict=True)]

    exact = gradient(1e-7)
    # Elastic storage shows next to nothing of itself in these sums.
    least = 1e-3 * max(e.norm() for e in exact)
    for found, e in zip(gradient(rtol), exact, strict=True):
        assert (found - e).norm() <= 5 * rtol * max(e.norm(), least)


@pytest.mark.parametrize("name", HARD)
def test_engines_agree_on_hard_physics(julia_engine: str, name: str) -> None:
    case = HARD[name]
    (one, one_bar, _), (other, other_bar, _) = (solved(name, engine) for engine in ("sundials", julia_engine))
    # Where a front passes, water contents move by all there is within a few steps.
    assert (one.states["theta"] - other.states["theta"]).abs().max() < 50 * case.rtol
    for flux, amount in one.fluxes.items():
        assert (amount - other.fluxes[flux]).abs().max() < case.rtol
    # Gradients count by what a change of each parameter by a share of it does.
    values = case.parameters()
    largest = max((values[k] * bar).norm() for k, bar in other_bar.items())
    for k, bar in one_bar.items():
        assert (values[k] * (bar - other_bar[k])).norm() < 1e-3 * largest


@pytest.mark.parametrize("settings", [{"solver": "FBDF"}, {"solver": "QNDF"}, {"sensitivity": "gauss"}], ids=str)
def test_what_the_gauss_adjoint_cannot_follow_is_solved_but_has_no_gradient(
    julia_engine: str, settings: dict[str, str]
) -> None:
    case = replace(HARD["showers on clay"], rtol=1e-4)
    solution, parameters = case.solve(julia_engine, **settings)
    exact, _ = replace(case, rtol=1e-7).solve(julia_engine)
    assert (solution.states["theta"] - exact.states["theta"]).abs().max() < 5e-4
    with pytest.raises(dg.errors.AdjointError, match=r"close to saturation.*use the solver Rodas5P"):
        torch.autograd.grad(solution.states["theta"].sum(), list(parameters.values()))
