"""Rodas5P on scalars, which the embedded engine takes for few states: order, switches, derivatives, what it leaves to CVODES."""

from __future__ import annotations

import math
from typing import Any

import casadi as ca
import numpy as np
import pytest
import torch
from cases import CASES

import pydiffgeo as dg
from pydiffgeo.engines.base import Status
from pydiffgeo.engines.batch import Failure, Watch
from pydiffgeo.engines.interrupts import Interrupt
from pydiffgeo.engines.sundials import few_states
from pydiffgeo.engines.sundials.few_states import FewStates, step_of

# y' = y^2 cos(t) from 1/2 is 1 / (2 - sin t), and its integral is known as well; with the size of the interval as `par`.
FIXED = 1e9


def oscillating(tolerance: float) -> FewStates:
    y, par, s = ca.SX.sym("y"), ca.SX.sym("par", 2), ca.SX.sym("s")
    rates = par[1] * ca.vertcat(par[0] * y**2 * ca.cos(par[1] * s), y)
    step = step_of([y, par, s], 1, rates, ca.SX.zeros(1), ca.SX(0.0), tolerance, tolerance)
    return FewStates(step, 1e-4, 10_000, ca.Function)


def watch() -> Watch:
    return Watch(math.inf, Interrupt())


def test_errors_fall_with_the_tolerance_to_the_power_of_five_sixths_or_so() -> None:
    counts, errors = [], []
    for tolerance in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
        method = oscillating(tolerance)
        end = method.forward(np.array([0.5, 0.0]), np.array([1.0, 2.0]), watch(), None)
        counts.append(len(method.sizes))
        errors.append(abs(end[0] - 1 / (2 - math.sin(2.0))))
        assert sum(method.sizes) == pytest.approx(1.0, abs=1e-12)
        assert errors[-1] < 10 * tolerance
    # The error estimate is of the fourth order, that of the steps of the fifth.
    assert 1.2 < (counts[-1] / counts[0]) ** 0.25 < 1.9


def test_derivatives_are_those_of_the_exact_solution() -> None:
    # y(t) = 1 / (1/y0 - a sin t)
    a, start, end = 0.9, 0.5, 2.0
    method, par = oscillating(1e-9), np.array([a, end])
    x = np.array([start, 0.0])
    method.forward(x, par, watch(), None)
    value = 1 / (1 / start - a * math.sin(end))
    by_start, by_a = (value / start) ** 2, value**2 * math.sin(end)
    moved = method.tangent(x, par, method.sizes, np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(moved[:, 0], [by_start, by_a], rtol=1e-7)
    x_bar, par_bar = method.backward(x, par, method.sizes, np.array([1.0, 0.0]))
    np.testing.assert_allclose([x_bar[0], par_bar[0]], [by_start, by_a], rtol=1e-7)
    # An integral does not act on anything.
    assert x_bar[1] == 0.0


def test_tangents_and_gradients_are_transposes_of_each_other() -> None:
    method, par, x = oscillating(1e-5), np.array([1.0, 3.0]), np.array([0.4, 0.0])
    method.forward(x, par, watch(), None)
    random = np.random.default_rng(0)
    x_dot, par_dot, bar = random.normal(size=(1, 2)), random.normal(size=(1, 2)), random.normal(size=2)
    moved = method.tangent(x, par, method.sizes, x_dot, par_dot)[0]
    x_bar, par_bar = method.backward(x, par, method.sizes, bar)
    assert moved @ bar == pytest.approx(x_dot[0] @ x_bar + par_dot[0] @ par_bar, rel=1e-12)


def solve(**settings: Any) -> dg.Solution:
    case = CASES["exphydro"]
    return case.solve(case.tensors(), case.model(), engine="sundials", **settings)


def test_it_is_said_what_solved() -> None:
    few, many = solve(), solve(solver="cvodes-bdf")
    assert [s.stats["solver"] for s in (few, many)] == ["Rodas5P", "cvodes-bdf"]
    assert [s.stats["sensitivity"] for s in (few, many)] == ["discrete", "adjoint"]
    assert solve(sensitivity="adjoint").stats["solver"] == "cvodes-bdf"
    for name, values in few.states.items():
        torch.testing.assert_close(values, many.states[name], rtol=1e-5, atol=1e-6)


def test_what_it_gives_up_cvodes_solves_and_differentiates(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["exphydro"]

    def gradient() -> tuple[dg.Solution, dict[str, torch.Tensor]]:
        leaves = {k: v.requires_grad_() for k, v in case.tensors().items()}
        found = case.solve(leaves, case.model(), engine="sundials", rtol=1e-7, atol=1e-9)
        bars = torch.autograd.grad(found.fluxes["runoff"].sum(), list(leaves.values()))
        return found, dict(zip(leaves, bars, strict=True))

    usual, bars = gradient()
    assert usual.stats["fallbacks"] == {}
    solved = FewStates.forward
    calls: list[int] = []

    def now_and_then(self: FewStates, *inputs: Any) -> Any:
        calls.append(0)
        if len(calls) % 2:
            raise Failure(Status.STEP_TOO_SMALL)
        return solved(self, *inputs)

    monkeypatch.setattr(few_states.FewStates, "forward", now_and_then)
    found, others = gradient()
    assert found.stats["fallbacks"][0].startswith("CVODES in ")
    assert "after (Rodas5P: STEP_TOO_SMALL)" in found.stats["fallbacks"][0]
    for name, bar in bars.items():
        torch.testing.assert_close(others[name], bar, rtol=1e-4, atol=1e-5 * float(bar.abs().max()))


def test_a_switch_within_a_day_is_located() -> None:
    # Melts at a given rate until little is left, then in proportion to it: exact gradients, days of any place of the kink.
    model = dg.Model(
        "SnowPack",
        dg.single_cell(),
        states=(dg.State("snow", "mm", "snow"),),
        parameters=(dg.Parameter("melt", "mm d-1", "potential melt", 3.0),),
        source=lambda cell, forcing: {"snow": -torch.minimum(cell.snow, cell.melt)},
    )
    for start in (7.3, 8.6, 10.0):
        melt = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        sol = dg.solve(
            model, {"melt": melt}, times=np.arange(7.0), initial={"snow": start}, engine="sundials", rtol=1e-4
        )
        sol.states["snow"][-1].sum().backward()
        left = 3.0 * math.exp(start / 3.0 - 1 - 6.0)
        assert sol.states["snow"][-1].item() == pytest.approx(left, rel=1e-4)
        assert melt.grad.item() == pytest.approx(left / 3.0 * (1 - start / 3.0), rel=1e-4)
