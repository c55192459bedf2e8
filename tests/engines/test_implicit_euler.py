"""Implicit Euler of a stated step: what its equations say, written out in PyTorch, and what is exact of them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from reservoirs import RESERVOIR

import pydiffgeo as dg
from pydiffgeo.errors import InputError, SolverError
from pydiffgeo.models.diffusion_raster import DiffusionRaster
from pydiffgeo.solution import Status

TIMES = [0.0, 1.0, 2.0, 2.5, 4.0]
RAIN = [5.0, 0.0, 12.0, 3.0]


def power_store(**more):
    """Water that leaves by `k S^b`, from two stores in a row."""

    def source(cell, forcing):
        out = cell.k * cell.water**cell.b
        return {
            "water": forcing.rain - out,
            "below": out - 0.4 * cell.below,
            "rain": forcing.rain,
            "flow": 0.4 * cell.below,
        }

    return dg.Model(
        "Power store",
        dg.single_cell(),
        states=(
            dg.State("water", "mm", "water", default=20.0, low=0.0),
            dg.State("below", "mm", "water below", default=1.0),
        ),
        parameters=(dg.Parameter("k", "1", "release", 0.05), dg.Parameter("b", "1", "exponent", 1.7)),
        forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
        fluxes=(dg.IntegratedFlux("rain", "mm", "rain", +1), dg.IntegratedFlux("flow", "mm", "flow", -1)),
        source=source,
        **more,
    )


def steps_of(times, rain_at, step, start, equation, *parameters):
    """Implicit Euler by Newton's method in PyTorch, differentiable: states at the times, and integrals of the rates' fluxes.

    `rain_at(j, share)` is the forcing; `equation(u, rain, *parameters)` gives rates of states and of fluxes.
    """
    states, integrals, u = [start], [], start
    for j, (a, b) in enumerate(pairwise(times)):
        count = math.ceil((b - a) / step - 1e-9)
        h, total = (b - a) / count, 0.0
        for i in range(count):
            rain = rain_at(j, (i + 1) / count)

            def left(v, u=u, rain=rain, h=h):
                return v - u - h * equation(v, rain, *parameters)[0]

            v = u.detach()
            with torch.no_grad():
                for _ in range(60):
                    v = v - torch.linalg.solve(torch.func.jacrev(left)(v), left(v))
            # One more, which carries the derivatives.
            slope = torch.func.jacrev(left)(v.detach()).detach()
            u = v.detach() - torch.linalg.solve(slope, left(v.detach()))
            total = total + h * equation(u, rain, *parameters)[1]
        states.append(u)
        integrals.append(total)
    return torch.stack(states), torch.stack(integrals)


def linear(u, rain, k, gain):
    return gain * rain - k * u, torch.cat([(gain * rain).reshape(1), k * u])


def nonlinear(u, rain, k, b):
    out = k * u[0] ** b
    return torch.stack([rain - out, out - 0.4 * u[1]]), torch.stack([rain, 0.4 * u[1]])


def leaves(*values):
    return [torch.tensor(v, requires_grad=True) for v in values]


@pytest.mark.parametrize("step", [1.0, 0.3])
def test_linear_reservoir_is_that_of_the_formula(engine, step):
    gradients = []
    for ours in (True, False):
        k, gain, rain, start = leaves(0.3, 0.8, RAIN, [10.0])
        if ours:
            sol = dg.solve(
                RESERVOIR,
                {"k": k, "gain": gain},
                forcing={"rain": rain},
                times=TIMES,
                initial={"storage": start},
                engine=engine,
                solver="implicit_euler",
                step=step,
            )
            states, fluxes = sol.states["storage"], torch.stack([sol.fluxes["rain"], sol.fluxes["outflow"]], dim=1)
            assert sol.balance.abs().max() < 1e-13
        else:
            states, fluxes = steps_of(TIMES, lambda j, share, r=rain: r[j], step, start, linear, k, gain)
        loss = (states.flatten() * torch.arange(1.0, 6.0)).sum() + (fluxes.flatten().cos()).sum()
        gradients.append(
            (states.detach().flatten(), fluxes.detach().flatten(), *torch.autograd.grad(loss, (k, gain, rain, start)))
        )
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs.reshape(mine.shape), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("step", [1.0, 0.4])
def test_nonlinear_stores_with_a_forcing_that_is_linear_in_time(engine, step):
    gradients = []
    for ours in (True, False):
        k, b, rain, start = leaves(0.05, 1.7, [1.0, 8.0, 0.0, 20.0, 3.0], [20.0, 1.0])
        if ours:
            given = {
                "forcing": {"rain": dg.TimeSeries(TIMES, rain, kind="linear")},
                "times": TIMES,
                "engine": engine,
                "initial": {"water": start[0], "below": start[1]},
                "solver": "implicit_euler",
                "step": step,
            }
            sol = dg.solve(power_store(), {"k": k, "b": b}, **given)
            states = torch.stack([sol.states["water"].flatten(), sol.states["below"].flatten()], dim=1)
            fluxes = torch.stack([sol.fluxes["rain"], sol.fluxes["flow"]], dim=1)
            assert sol.balance.abs().max() < 1e-13
        else:
            rain_at = lambda j, share, r=rain: r[j] + share * (r[j + 1] - r[j])  # noqa: E731
            states, fluxes = steps_of(TIMES, rain_at, step, start, nonlinear, k, b)
        loss = (states * torch.linspace(1.0, 2.0, 10).reshape(5, 2)).sum() + (fluxes**2).sum()
        gradients.append((states.detach(), fluxes.detach().flatten(), *torch.autograd.grad(loss, (k, b, rain, start))))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs.reshape(mine.shape), rtol=1e-9, atol=1e-11)


def column():
    weather = {"precipitation": torch.tensor([0.02, 0.0, 0.03]), "potential_evaporation": 0.003}
    model = dg.models.RichardsColumn(depth=1.0, cells=30, top="atmosphere", root_depth=None)
    return model, "K_s", torch.full((30,), 0.2), {"forcing": weather, "times": range(4), "initial": {"head": -1.0}}


def raster():
    model = DiffusionRaster(13)
    start = torch.linspace(0.0, 1.0, 169).reshape(13, 13) ** 2
    return model, "D", torch.tensor(0.3), {"times": [0.0, 0.5, 1.0], "initial": {model.states[0].name: start}}


@pytest.mark.parametrize("case", [column, raster])
def test_columns_and_grids_balance_and_have_the_gradient_of_their_steps(engine, case):
    model, name, value, given = case()

    def loss(x, step=0.5):
        sol = dg.solve(model, {name: x}, **given, engine=engine, solver="implicit_euler", step=step)
        first = sol.states[model.states[0].name]
        return (first[-1] * torch.cos(torch.arange(first[-1].numel()).reshape(first[-1].shape))).sum(), sol

    x = value.clone().requires_grad_()
    result, sol = loss(x)
    (gradient,) = torch.autograd.grad(result, x)
    first = sol.states[model.states[0].name].detach()
    amount = sum(state.abs().sum() for state in sol.states.values())
    if model.fluxes:
        assert sol.balance.abs().max() < 1e-13 * amount
    else:  # what diffuses stays within
        total = first.flatten(1).sum(1)
        torch.testing.assert_close(total, total[:1].expand_as(total), rtol=1e-13, atol=0.0)
    assert sol.stats["steps"] == [round(2 * float(sol.times[-1]))]
    direction = torch.cos(3.0 * torch.arange(x.numel())).reshape(x.shape)
    with torch.no_grad():
        differences = [(loss(x + e * direction)[0] - loss(x - e * direction)[0]) / (2 * e) for e in (2e-3, 1e-3)]
    # Of fourth order in `e`, as the error of the method is that of the same function.
    torch.testing.assert_close(
        (gradient * direction).sum(), (4 * differences[1] - differences[0]) / 3, rtol=2e-7, atol=0.0
    )
    moved = torch.func.jvp(lambda at: loss(at)[0], (value,), (direction,))[1]
    torch.testing.assert_close((gradient * direction).sum(), moved, rtol=1e-10, atol=0.0)


def test_engines_agree_to_rounding(engines):
    model, name, value, given = column()
    found = []
    for engine in engines:
        x = value.clone().requires_grad_()
        sol = dg.solve(model, {name: x}, **given, engine=engine, solver="implicit_euler", step=1.0)
        found.append((sol.states["theta"].detach(), *torch.autograd.grad(sol.fluxes["drainage"].sum(), x)))
    for one in found[1:]:
        for mine, theirs in zip(one, found[0], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-14)


def test_error_is_of_first_order(engine):
    given = {"forcing": {"rain": RAIN}, "times": TIMES, "engine": engine}
    accurate = dg.solve(power_store(), **given, rtol=1e-10, atol=1e-10).states["water"]
    steps = [0.02, 0.01, 0.005]
    errors = [
        (dg.solve(power_store(), **given, solver="implicit_euler", step=h).states["water"] - accurate).abs().max()
        for h in steps
    ]
    orders = np.log2([float(a / b) for a, b in pairwise(errors)])
    assert np.all(np.abs(orders - 1) < 0.03), orders


def exploding():
    """`u' = a u^2`: a step from u ends nowhere where 4 a h u > 1."""
    return dg.Model(
        "Exploding",
        dg.single_cell(),
        states=(dg.State("u", "1", "", default=1.0),),
        parameters=(dg.Parameter("a", "1", "", 0.1),),
        source=lambda cell, forcing: {"u": cell.a * cell.u**2},
    )


def test_a_step_without_an_end_is_a_failure_of_its_member_alone(engine):
    a = torch.tensor([[0.1], [0.3], [0.2]], requires_grad=True)
    given = {"times": [0.0, 1.0], "engine": engine, "solver": "implicit_euler", "step": 1.0}
    sol = dg.solve(exploding(), {"a": a}, **given, throw=False)
    assert [s is Status.CONVERGENCE for s in sol.status] == [False, True, False]
    u = sol.states["u"][:, -1].flatten()
    assert torch.isnan(u[1])
    # The smaller root of u = 1 + a u^2.
    good, of = torch.tensor([0, 2]), torch.tensor([0.1, 0.2])
    torch.testing.assert_close(u[good], (1 - torch.sqrt(1 - 4 * of)) / (2 * of), rtol=1e-14, atol=0.0)
    (gradient,) = torch.autograd.grad(u[good].sum(), a)
    exact = u[good].detach() ** 2 / (1 - 2 * of * u[good].detach())
    torch.testing.assert_close(gradient.flatten()[good], exact, rtol=1e-13, atol=0.0)
    assert gradient[1] == 0
    with pytest.raises(SolverError, match="Newton"):
        dg.solve(exploding(), {"a": 0.3}, **given)


def test_long_steps_are_reached_from_shorter_ones(engine):
    """Newton's iteration from the start circles between the sides of a steep function that levels off."""

    def source(cell, forcing):
        return {"u": -torch.atan(50 * (cell.u - 1))}

    model = dg.Model("Levelling", dg.single_cell(), states=(dg.State("u", "1", "", default=30.0),), source=source)
    u = dg.solve(model, times=[0.0, 40.0], engine=engine, solver="implicit_euler", step=40.0).states["u"][-1]
    torch.testing.assert_close(u, 30.0 - 40.0 * torch.atan(50 * (u - 1)), rtol=1e-12, atol=0.0)


def test_what_is_not_kept_is_computed_again(engine):
    gradients = []
    for memory in (1e9, 1.0):
        k, *_ = leaves(0.05)
        given = {"forcing": {"rain": RAIN}, "times": TIMES, "engine": engine, "solver": "implicit_euler", "step": 0.25}
        sol = dg.solve(power_store(), {"k": k}, **given, memory=memory)
        gradients.append(torch.autograd.grad(sol.states["below"].sum(), k)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-14, atol=0.0)


def test_ranges_hold_at_the_end_of_every_step(engine):
    model = power_store(limits=(dg.Limit("water", "mm", lambda cell: {"value": cell.water, "high": 25.0}),))
    sol = dg.solve(
        model,
        forcing={"rain": [80.0, 0.0]},
        times=[0.0, 1.0, 2.0],
        engine=engine,
        solver="implicit_euler",
        step=0.5,
        throw=False,
    )
    assert sol.status[0] is Status.OUT_OF_RANGE


def test_says_what_it_is(engine):
    given = {"forcing": {"rain": RAIN}, "times": TIMES, "engine": engine, "solver": "implicit_euler"}
    sol = dg.solve(power_store(), **given, step=1.0, rtol=1e-2, atol=1.0)
    assert sol.stats["solver"] == "implicit_euler"
    assert "first order" in sol.stats["solver_why"]
    assert "not controlled" in sol.stats["solver_why"]
    assert sol.stats["step"] == 1.0
    assert sol.stats["steps"] == [5]
    assert sol.stats["tolerance_shares"] is None
    assert "implicit_euler" in str(sol)
    # Tolerances mean nothing.
    again = dg.solve(power_store(), **given, step=1.0, rtol=1e-9, atol=1e-12)
    assert torch.equal(sol.states["water"], again.states["water"])
    few = dg.solve(power_store(), **given, step=0.1, max_steps=9, throw=False)
    assert few.status[0] is Status.MAX_STEPS


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"solver": "implicit_euler"}, "needs step"),
        ({"step": 1.0}, "alone takes step"),
        ({"solver": "implicit_euler", "step": 0.0}, "step"),
        ({"solver": "implicit_euler", "step": float("nan")}, "step"),
        ({"solver": "implicit_euler", "step": 1.0, "sensitivity": "gauss"}, "gauss"),
    ],
)
def test_bad_requests(engine, how, words):
    with pytest.raises(InputError, match=words):
        dg.solve(power_store(), forcing={"rain": RAIN}, times=TIMES, engine=engine, **how)
