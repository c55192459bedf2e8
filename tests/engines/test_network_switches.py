"""Rates that jump or bend where networks decide: gradients know of it."""

from __future__ import annotations

import pytest
import torch
from networks import CELLS, loss_of, mlp, run, store
from torch import nn

import pydiffgeo as dg
from pydiffgeo.check.differences import difference


def switching(net: nn.Module) -> dg.Model:
    """The rate jumps where what a network makes of the water is above a value; slopes to it are what the jump needs."""

    def source(cell, forcing):
        loss = torch.where(cell.act(cell.water, cell.k)[0] > -0.25, 0.2, 0.9)
        return {"water": 0.1 * forcing.rain - loss * cell.water}

    return store(source, {"act": net}, CELLS)


def test_a_jump_decided_by_a_network_is_in_the_gradient(engine: str) -> None:
    net = mlp(2, 5, 4, 2)
    model = switching(net)
    if engine == "sundials":
        with pytest.raises(dg.errors.AdjointError, match="jumps where a comparison turns"):
            loss_of(run(model, engine)).backward()
        return
    loss_of(run(model, engine)).backward()
    bias = net[0].bias
    start, direction = bias.detach().clone(), torch.randn_like(bias)

    def at(step: float) -> float:
        with torch.no_grad():
            bias.copy_(start + step * direction)
            return loss_of(run(model, engine, rtol=1e-10, atol=1e-12)).item()

    found = difference(at)
    assert (bias.grad * direction).sum().item() == pytest.approx(found.value, rel=1e-3, abs=10 * found.error)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6])
def test_gradients_know_where_units_of_a_relu_turn_on(rtol: float, engine: str) -> None:
    # Filled at the rate r, a store loses k max(w - c, 0): it rises straight to c, and from there to c + r / k.
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1, bias=False))
    for layer, value in ((net[0].weight, 1.0), (net[0].bias, -2.0), (net[2].weight, 3.0)):
        nn.init.constant_(layer, value)
    model = dg.Model(
        "Store with a sill",
        dg.single_cell(),
        states=(dg.State("water", "mm", "water", 1.0),),
        parameters=(dg.Parameter("r", "mm d-1", "inflow"),),
        source=lambda cell, forcing: {"water": cell.r - cell.over(cell.water)},
        networks={"over": net},
    )
    r = torch.linspace(0.6, 3.1, 11).reshape(-1, 1)
    water = dg.solve(model, {"r": r}, times=[0.0, 2.5], engine=engine, rtol=rtol, atol=rtol / 100).states["water"]
    (a, bias), k = net[0].parameters(), net[2].weight
    sill = (-bias / a).squeeze()
    since = 2.5 - (sill - 1) / r
    truth = sill + r / (k * a) * (1 - torch.exp(-k * a * since))
    torch.testing.assert_close(water[:, -1], truth, rtol=3 * rtol, atol=0)
    given = [*net.parameters()]
    for member in range(len(r)):
        found, right = (torch.autograd.grad(w[member].sum(), given, retain_graph=True) for w in (water[:, -1], truth))
        for one, other in zip(found, right, strict=True):
            torch.testing.assert_close(one, other, rtol=5 * rtol, atol=0)
