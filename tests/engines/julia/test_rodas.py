"""Rodas3P, which Julia has for few states: its order, and what is said where it is not to be had."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError

# u' = u^2 cos(w), w' = 1 from (1/2, 0) has the solution u = 1 / (2 - sin t).
SWING = dg.Model(
    "Swing",
    dg.single_cell(),
    states=(dg.State("u", "1", "", 0.5), dg.State("w", "1", "", 0.0)),
    parameters=(dg.Parameter("speed", "1", "", 1.0),),
    fluxes=(dg.IntegratedFlux("gained", "1", ""),),
    source=lambda cell, forcing: {
        "u": cell.speed * cell.u**2 * torch.cos(cell.w),
        "w": cell.speed,
        "gained": cell.speed * cell.u**2 * torch.cos(cell.w),
    },
)


@pytest.mark.parametrize(("solver", "least", "most"), [("Rodas3P", 2.6, 3.8), ("Rodas5P", 4.4, 6.5)])
def test_steps_taken_and_errors_are_those_of_the_order(julia_engine, solver, least, most):
    steps, errors = [], []
    for rtol in (1e-5, 1e-6, 1e-7, 1e-8):
        sol = dg.solve(SWING, {}, times=[0.0, 6.0], engine=julia_engine, solver=solver, rtol=rtol, atol=rtol)
        exact = 1 / (2 - math.sin(6.0))
        steps.append(sol.stats["steps"][0])
        errors.append(abs(sol.states["u"].flatten()[-1].item() - exact))
        # What is integrated beside the states balances them to rounding, and errors are of the size of the tolerance.
        assert abs(sol.fluxes["gained"].item() - (sol.states["u"].flatten()[-1].item() - 0.5)) < 1e-12
        assert errors[-1] < 200 * rtol
    assert sol.stats["solver"] == solver
    assert least < -np.polyfit(np.log(steps), np.log(errors), 1)[0] < most, (steps, errors)


def test_its_gradient_is_that_of_the_solution(julia_engine):
    speed = torch.tensor([[1.0]], dtype=torch.float64, requires_grad=True)
    given = {"times": [0.0, 2.0], "engine": julia_engine, "solver": "Rodas3P", "rtol": 1e-7, "atol": 1e-7}
    sol = dg.solve(SWING, {"speed": speed}, **given)
    assert sol.stats["sensitivity"] == "discrete"
    sol.states["u"].flatten()[-1].backward()
    expected = 2 * math.cos(2.0) / (2 - math.sin(2.0)) ** 2
    assert speed.grad.item() == pytest.approx(expected, rel=5e-5)


def test_it_is_for_few_states(julia_engine):
    column = dg.models.RichardsColumn(1.0, 20)
    with pytest.raises(InputError, match="Rodas3P is for up to 12 states, and there are 20; use Rodas5P"):
        dg.solve(
            column,
            {},
            forcing={"flux": 0.0},
            initial={"head": -1.0},
            times=[0.0, 1.0],
            engine="julia",
            solver="Rodas3P",
        )
    with pytest.raises(InputError, match="sensitivity 'gauss' is not that of Rodas3P"):
        dg.solve(SWING, {}, times=[0.0, 1.0], engine="julia", solver="Rodas3P", sensitivity="gauss")
