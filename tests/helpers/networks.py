"""A store of water whose local functions call a network of two features and two outputs, in all places where they may."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

import pydiffgeo as dg

CELLS = 3


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.Tanh, seed: int = 0) -> nn.Sequential:
    """A network whose last layer is linear."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1])


def store(source: Callable, networks: dict, cells: int = 1, **more: object) -> dg.Model:
    graph = dg.single_cell() if cells == 1 else dg.column(1.5, cells)
    return dg.Model(
        "Store",
        graph,
        states=(dg.State("water", "mm", "water", 2.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", 0.4),),
        forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
        source=source,
        networks=networks,
        **more,
    )


def in_source(net: nn.Module) -> dg.Model:
    def source(cell, forcing):
        out, loss = cell.act(cell.water / (1 + cell.k), forcing.rain)
        return {"water": forcing.rain - torch.exp(out) * cell.k * cell.water - 0.1 * loss**2}

    return store(source, {"act": net}, CELLS)


def in_closure(net: nn.Module) -> dg.Model:
    def closure(cell):
        a, b = cell.act(cell.k * cell.water, cell.water)
        # A call on what another one returned.
        return {"rate": torch.sigmoid(cell.act(a, torch.tanh(b))[0])}

    source = lambda cell, forcing: {"water": forcing.rain - cell.rate * cell.water}  # noqa: E731
    return store(source, {"act": net}, CELLS, closure=closure)


def in_flux(net: nn.Module) -> dg.Model:
    def flux(left, right, face):
        mean = 0.5 * (left.water + right.water)
        conductance, _ = left.act(mean, left.k)
        return {
            "water": torch.exp(conductance + right.act(right.k, mean)[1]) * (left.water - right.water) / face.distance
        }

    source = lambda cell, forcing: {"water": forcing.rain * cell.depth - cell.k * cell.water}  # noqa: E731
    return store(source, {"act": net}, CELLS, flux=flux)


def in_boundary(net: nn.Module) -> dg.Model:
    def leak(cell, forcing, face):
        a, b = cell.act(cell.water, cell.k * forcing.rain)
        return {"water": -0.2 * torch.exp(a) * cell.water, "leak": b}

    return store(
        lambda cell, forcing: {"water": forcing.rain - cell.k * cell.water},
        {"act": net},
        CELLS,
        fluxes=(dg.IntegratedFlux("leak", "mm", "leak"),),
        boundaries=(dg.Boundary("bottom", cells=(CELLS - 1,), function=leak),),
    )


MODELS = {"source": in_source, "closure": in_closure, "flux": in_flux, "boundary": in_boundary}
RAIN = torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0, 1.5], dtype=torch.float64)
FINE = {"rtol": 1e-8, "atol": 1e-10}


def run(model: dg.Model, engine: str, k: Tensor | float = 0.4, rain: Tensor = RAIN, kind: str = "constant", **settings):
    series = dg.TimeSeries(range(len(rain) + (kind == "constant")), rain, kind)
    times = range(7) if kind == "constant" else range(6)
    return dg.solve(model, {"k": k}, forcing={"rain": series}, times=times, engine=engine, **{**FINE, **settings})


def loss_of(solution: dg.Solution) -> Tensor:
    total = (solution.states["water"] * torch.linspace(0.5, 1.5, CELLS)).square().mean()
    return total + sum((q.square().sum() for q in solution.fluxes.values()), torch.zeros(()))
