"""Tangents of a batch of a small model are pushed along in lockstep: each member's as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stores_in_lanes import DAYS, EULER, EXPLOSION, MEMBERS, MODEL, RODAS, RODAS3P, inputs

import pydiffgeo as dg

NAMES = ("dry", "full", "k")
FORCING = ("rain", "demand")


def outputs(values, forcing, how):
    """Runoff and water of all days, `(members, results)`, for parameters and a factor of the rain, `(members, 4)`."""
    sol = dg.solve(
        MODEL,
        {name: values[:, i : i + 1] for i, name in enumerate(NAMES)},
        forcing={"rain": values[:, 3:] * forcing["rain"], "demand": forcing["demand"]},
        times=range(DAYS + 1),
        initial={"ground": 10.0 * values[:, 3:]},
        engine="julia",
        **how,
    )
    return torch.cat([sol.fluxes["runoff"], sol.states["water"].flatten(1)], 1)


def case():
    parameters, forcing = inputs()
    return torch.cat([*(parameters[name] for name in NAMES), torch.full((MEMBERS, 1), 1.1)], 1), forcing


def jacobian(members, how, **mode):
    values, forcing = case()
    some = {name: forcing[name][members] for name in FORCING}
    return dg.jacobian(lambda x: outputs(x, some, how), values[members], **({"mode": "forward"} | mode))[1]


@pytest.mark.parametrize("how", [RODAS, RODAS3P, EULER, EULER | {"step": 1.0}])
def test_members_have_the_jacobians_that_they_have_alone(julia_engine, how):
    together = jacobian(list(range(MEMBERS)), how)
    size = together.abs().amax((0, 1))
    assert (size > 0).all()
    backwards = jacobian(list(reversed(range(MEMBERS))), how).flip(0)
    assert ((together - backwards).abs() <= 1e-12 * size).all()
    for member in (0, 7, MEMBERS - 1):
        # One member's are pushed by dual numbers, outside of lanes.
        assert ((together[member] - jacobian([member], how)[0]).abs() <= 1e-10 * size).all()


@pytest.mark.parametrize("how", [RODAS, RODAS3P, EULER])
def test_they_are_the_transposes_of_the_adjoint(julia_engine, how):
    values, forcing = case()
    x = values.clone().requires_grad_()
    found = outputs(x, forcing, how)
    weights = torch.cos(0.7 * torch.arange(found.numel())).reshape(found.shape)
    (gradient,) = torch.autograd.grad((weights * found).sum(), x)
    expected = torch.einsum("mr,mrn->mn", weights, jacobian(list(range(MEMBERS)), how))
    assert ((gradient - expected).abs() <= 1e-10 * expected.abs().amax(0)).all()


def test_implicit_euler_has_them_with_forcings_that_are_linear_in_time(julia_engine):
    parameters, forcing = inputs("linear")
    values = torch.cat([parameters[name] for name in NAMES] + [torch.ones(MEMBERS, 1)], 1)

    def water(x, members):
        given = {name: forcing[name][members] for name in FORCING}
        given["rain"] = x[:, 3:] * given["rain"]
        sol = dg.solve(
            MODEL,
            {name: x[:, i : i + 1] for i, name in enumerate(NAMES)},
            forcing={name: dg.TimeSeries(np.arange(DAYS + 1.0), v, "linear") for name, v in given.items()},
            times=range(DAYS + 1),
            engine="julia",
            **EULER,
        )
        return sol.states["water"].flatten(1)

    everyone = list(range(MEMBERS))
    together = dg.jacobian(lambda x: water(x, everyone), values, mode="forward")[1]
    alone = dg.jacobian(lambda x: water(x, [3]), values[3:4], mode="forward")[1]
    assert together[3, -1, 3] != 0
    assert ((together[3] - alone[0]).abs() <= 1e-10 * together.abs().amax((0, 1))).all()


def test_a_failed_member_leaves_the_others(julia_engine):
    """u' = a u^2 from one reaches infinity at 1/a; d/da of 1 / (1 - a) is 1 / (1 - a)^2."""
    a = torch.full((MEMBERS, 1), 0.5)
    a[4] = 2.0

    def end(a):
        return dg.solve(
            EXPLOSION, {"a": a}, times=[0.0, 0.5, 1.0], engine="julia", rtol=1e-8, atol=1e-8, throw=False
        ).states["u"][:, -1]

    value, found = dg.jacobian(end, a, mode="forward")
    assert value.isnan()[:, 0].tolist() == [i == 4 for i in range(MEMBERS)]
    expected = torch.full((MEMBERS, 1, 1), 4.0)
    expected[4] = 0.0
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("how", [{"rtol": 1e-4, "atol": 1e-6}, {"solver": "implicit_euler", "step": 0.5}])
def test_closures_and_more_directions_than_go_together(julia_engine, how):
    """A column of nine cells, with three parameters in each, and its retention assigned before fluxes read it."""
    cells = 9
    column = dg.models.RichardsColumn(0.6, cells)
    start = torch.tensor([0.18, 0.2, 0.22, 0.24])

    def water(x):
        given = {name: x[:, i * cells : (i + 1) * cells] for i, name in enumerate(("K_s", "n", "alpha"))}
        sol = dg.solve(
            column,
            given,
            forcing={"flux": torch.tensor([0.004, 0.001])},
            times=range(3),
            initial={"theta": start[: len(x), None].expand(-1, cells)},
            engine="julia",
            **how,
        )
        return sol.states["theta"][:, 1:].flatten(1)

    x = torch.cat([torch.full((4, cells), v) for v in (0.25, 1.6, 3.0)], 1) * torch.linspace(0.95, 1.05, 4)[:, None]
    together = dg.jacobian(water, x, mode="forward")[1]
    alone = dg.jacobian(water, x[:1], mode="forward")[1]
    size = together.abs().amax((0, 1))
    assert (size > 0).sum() > 20
    assert ((together[0] - alone[0]).abs() <= 1e-9 * size + 1e-13).all()
