"""Members of a batch of a small model are solved in lockstep: each as if it were alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from stores_in_lanes import DAYS, EULER, EXPLOSION, MEMBERS, MODEL, RODAS, RODAS3P, inputs, store_rates

import pydiffgeo as dg
from pydiffgeo.solution import Status


def solved(members, kind: str = "constant", **settings):
    """States, fluxes and gradients of some members, each `(members, ...)`."""
    parameters, forcing = inputs(kind)
    leaves = {k: v[members].clone().requires_grad_() for k, v in (parameters | forcing).items()}
    given = {k: leaves[k] for k in forcing}
    if kind == "linear":
        given = {k: dg.TimeSeries(np.arange(DAYS + 1.0), v, "linear") for k, v in given.items()}
    sol = dg.solve(
        MODEL,
        {k: leaves[k] for k in parameters},
        forcing=given,
        times=range(DAYS + 1),
        engine="julia",
        **(settings or RODAS),
    )
    (sol.fluxes["runoff"].square().sum() + sol.states["ground"].sum()).backward()
    values = [sol.states["water"], sol.states["ground"], sol.fluxes["runoff"], *(v.grad for v in leaves.values())]
    return sol, [v.detach() for v in values]


@pytest.mark.parametrize("kind", ["constant", "linear"])
@pytest.mark.parametrize("how", [RODAS, RODAS3P, RODAS3P | {"memory": 1.0}, EULER, EULER | {"memory": 1.0}])
def test_members_are_solved_as_if_alone(julia_engine, kind, how):
    sol, together = solved(list(range(MEMBERS)), kind, **how)
    assert sol.stats["lockstep"] == MEMBERS
    backwards = solved(list(reversed(range(MEMBERS))), kind, **how)[1]
    for one, other in zip(together, backwards, strict=True):
        torch.testing.assert_close(one, other.flip(0), rtol=1e-12, atol=1e-12)
    for member in (0, 7, MEMBERS - 1):
        sol, alone = solved([member], kind, **how)
        assert sol.stats["lockstep"] == 0
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[member], other[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("how", [RODAS, RODAS3P, EULER])
def test_gradients_in_lockstep_agree_with_differences(julia_engine, how):
    parameters, forcing = inputs()
    _, (*_, by_dry, by_full, by_k, _rain, _demand) = solved(list(range(MEMBERS)), **how)
    exact = how if how is EULER else {"rtol": 1e-9, "atol": 1e-9}

    def losses(shifted):
        with torch.no_grad():
            sol = dg.solve(MODEL, shifted, forcing=forcing, times=range(DAYS + 1), engine="julia", **exact)
        return sol.fluxes["runoff"].square().sum(1) + sol.states["ground"].flatten(1).sum(1)

    for name, gradient in (("dry", by_dry), ("full", by_full), ("k", by_k)):
        step = 1e-4 * parameters[name]
        up, down = (losses(parameters | {name: parameters[name] + sign * step}) for sign in (1, -1))
        expected = (up - down) / (2 * step[:, 0])
        assert (gradient[:, 0] - expected).abs().max() <= 5e-4 * expected.abs().max(), name


def test_failures_stay_with_their_members(julia_engine):
    """u' = a u^2 from one reaches infinity at 1/a: within the interval for one member alone."""
    a = torch.full((MEMBERS, 1), 0.5).requires_grad_()
    with torch.no_grad():
        a[4] = 2.0
    sol = dg.solve(EXPLOSION, {"a": a}, times=[0.0, 0.5, 1.0], engine="julia", rtol=1e-8, atol=1e-8, throw=False)
    assert sol.ok.tolist() == [i != 4 for i in range(MEMBERS)]
    good = [i for i in range(MEMBERS) if i != 4]
    end = sol.states["u"][good, -1]
    torch.testing.assert_close(end, torch.full_like(end, 2.0), rtol=1e-6, atol=0.0)
    end.sum().backward()
    expected = torch.full((MEMBERS, 1), 4.0)  # d/da of 1 / (1 - a)
    torch.testing.assert_close(a.grad[good], expected[good], rtol=1e-5, atol=0.0)


def test_steps_of_a_stated_size_fail_by_themselves(julia_engine):
    """u' = a u^2 by one step of implicit Euler: no end where 4 a > 1, and elsewhere the smaller root of u = 1 + a u^2."""
    model = dataclasses.replace(EXPLOSION, limits=(dg.Limit("u", "1", lambda cell: {"value": cell.u, "high": 1.2}),))
    a = torch.linspace(0.01, 0.13, 2 * MEMBERS)[:, None].requires_grad_()
    with torch.no_grad():
        a[4], a[9] = 0.3, 0.2
    sol = dg.solve(model, {"a": a}, times=[0.0, 1.0], engine="julia", solver="implicit_euler", step=1.0, throw=False)
    assert sol.stats["lockstep"] == 2 * MEMBERS
    failed = {i: s for i, s in enumerate(sol.status) if not s.ok}
    assert failed == {4: Status.CONVERGENCE, 9: Status.OUT_OF_RANGE}
    good = [i for i in range(2 * MEMBERS) if i not in failed]
    of, end = a.detach()[good, 0], sol.states["u"][good, 1].flatten()
    torch.testing.assert_close(end.detach(), (1 - torch.sqrt(1 - 4 * of)) / (2 * of), rtol=1e-13, atol=0.0)
    (gradient,) = torch.autograd.grad(end.sum(), a)
    exact = end.detach() ** 2 / (1 - 2 * of * end.detach())
    torch.testing.assert_close(gradient[good, 0], exact, rtol=1e-12, atol=0.0)
    assert (gradient[[4, 9]] == 0).all()


@pytest.mark.parametrize("how", [RODAS, RODAS3P, EULER])
def test_networks_are_solved_in_lockstep_as_if_alone(julia_engine, how):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 17), torch.nn.Tanh(), torch.nn.Linear(17, 3), torch.nn.ReLU())
    net = torch.nn.Sequential(net, torch.nn.Linear(3, 1)).double()

    def rates(cell, forcing):
        known = store_rates(cell, forcing)
        return known | {"water": known["water"] - 0.1 * cell.learnt(cell.water / 20, forcing.demand)}

    model = dataclasses.replace(MODEL, source=rates, networks={"learnt": net})
    parameters, forcing = inputs()

    def solved(members):
        leaves = {k: v[members].clone().requires_grad_() for k, v in parameters.items()}
        sol = dg.solve(
            model,
            leaves,
            forcing={k: v[members] for k, v in forcing.items()},
            times=range(DAYS + 1),
            engine="julia",
            **how,
        )
        each = sol.fluxes["runoff"].square().sum(-1) + sol.states["ground"].sum(-1).sum(-1)
        weights = torch.autograd.grad(each.sum(), [*leaves.values(), *net.parameters()])
        return sol, [sol.states["water"], *weights[:3]], torch.cat([w.reshape(-1) for w in weights[3:]])

    sol, together, weights = solved(list(range(MEMBERS)))
    assert sol.stats["lockstep"] == MEMBERS
    total = torch.zeros_like(weights)
    for member in range(MEMBERS):
        alone, values, more = solved([member])
        assert alone.stats["lockstep"] == 0
        total += more
        for one, other in zip(together, values, strict=True):
            torch.testing.assert_close(one[member], other[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(weights, total, rtol=1e-10, atol=1e-10)
