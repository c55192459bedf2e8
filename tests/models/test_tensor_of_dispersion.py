"""The whole tensor of dispersion in aquifers: plumes that cross rows, columns and layers at an angle."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.groundwater import GivenHead, Recharge, Well

SoluteAquifer = dg.models.SoluteAquifer
Kind = Literal["diagonal", "full"]
LONG, ACROSS, WIDTH, END, SIDE = 4.0, 0.5, 6.0, 15.0, 72.0


def cloud(cells: int, dispersion: Kind, upright: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, dg.Solution]:
    """Concentrations of a cloud of normal shape in water that flows at 45 degrees to a grid: computed, exact, and places.

    `upright`: the grid is a section of rows and layers, whose second place is the depth.
    """
    dx = SIDE / cells
    shape: Any = (cells, 1, cells) if upright else (1, cells, cells)
    grid = dg.raster(shape, (dx, dx), layers=[dx] * cells if upright else 1.0)
    i, j = grid.cell["layer" if upright else "row"].astype(int), grid.cell["column"].astype(int)
    edge = np.flatnonzero((i == 0) | (j == 0) | (i == cells - 1) | (j == cells - 1)).tolist()
    model = SoluteAquifer(grid, boundaries=[GivenHead(edge)], dispersion=dispersion)
    places = np.stack([(j + 0.5) * dx, (i + 0.5) * dx])
    along = (places[0] + places[1] - 52.0) / np.sqrt(2)
    across = (places[1] - places[0]) / np.sqrt(2)

    def exact(t: float) -> np.ndarray:
        # It goes a metre a day; its variances grow by 2 D t along and across the flow (Bear 1972).
        long, short = WIDTH**2 + 2 * LONG * t, WIDTH**2 + 2 * ACROSS * t
        return WIDTH**2 / np.sqrt(long * short) * np.exp(-((along - t) ** 2) / long / 2 - across**2 / short / 2)

    head = torch.from_numpy(-0.25 / 10.0 * along)
    sol = dg.solve(
        model,
        {
            "K": 10.0,
            "S_s": 1e-8,
            "porosity": 0.25,
            "longitudinal_dispersivity": LONG,
            # Each plane has its own; the other one is not at work.
            "transverse_dispersivity": 77.0 if upright else ACROSS,
            **({"vertical_dispersivity": ACROSS, "vertical_anisotropy": 1.0} if upright else {}),
        },
        forcing={"given_head": head[edge][None]},
        times=[0.0, END],
        initial={"head": head, "concentration": torch.from_numpy(exact(0.0))},
        engine="sundials",
        rtol=1e-6,
        atol=1e-8,
    )
    return sol.outputs["concentration"][-1].numpy(), exact(END), places, sol


def covariance(c: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.cov(places, aweights=np.clip(c, 0, None), bias=True)


@pytest.mark.parametrize("upright", [False, True])
def test_a_plume_at_an_angle_keeps_its_shape(upright: bool) -> None:
    errors = []
    for cells in (16, 24):
        c, true, places, sol = cloud(cells, "full", upright)
        errors.append(abs(c - true).max() / true.max())
        for unit, closure in sol.balances.items():
            assert closure.abs() < 1e-10, unit
    # Of second order.
    assert errors[1] < 0.1
    assert errors[1] < 0.55 * errors[0]
    # Half of the difference of both variances is what x and y have in common.
    assert covariance(c, places)[0, 1] == pytest.approx((LONG - ACROSS) * END, rel=0.03)
    # Without the other parts it is round.
    c, _, places, _ = cloud(16, "diagonal", upright)
    assert abs(covariance(c, places)[0, 1]) < 0.1


def test_flow_along_rows_has_no_other_parts() -> None:
    grid = dg.raster((1, 5, 8), (2.0, 3.0), layers=1.0)
    ends = [[(0, i, j) for i in range(5)] for j in (0, 7)]
    first = np.where((grid.cell["row"] == 2) & (grid.cell["column"] == 3), 1.0, 0.0)

    def solved(dispersion: Kind) -> torch.Tensor:
        model = SoluteAquifer(
            grid, boundaries=[GivenHead(ends[0], "west"), GivenHead(ends[1], "east")], dispersion=dispersion
        )
        sol = dg.solve(
            model,
            {"K": 10.0, "S_s": 1e-8, "longitudinal_dispersivity": 3.0, "transverse_dispersivity": 0.3},
            forcing={"west_head": 1.0, "east_head": 0.0},
            times=[0.0, 5.0],
            initial={"head": torch.from_numpy(1 - grid.cell["column"] / 7), "concentration": torch.from_numpy(first)},
            engine="sundials",
            rtol=1e-9,
            atol=1e-12,
        )
        return sol.outputs["concentration"][-1]

    torch.testing.assert_close(solved("full"), solved("diagonal"), rtol=0.0, atol=1e-8)


def test_gradients_reach_the_dispersivities(engine: str) -> None:
    grid = dg.raster((2, 3, 4), ([10.0, 12.0, 9.0], 10.0), layers=[4.0, 5.0])
    model = SoluteAquifer(
        grid,
        ["convertible", "confined"],
        top=9.0,
        boundaries=[Well([(1, 0, 0)]), GivenHead([(0, 2, 3)]), Recharge()],
        dispersion="full",
        species=("a", "b"),
        decay="dissolved",
    )
    names = ("longitudinal_dispersivity", "transverse_dispersivity", "vertical_dispersivity", "K")
    at = torch.tensor([6.0, 0.8, 0.2, 4.0])

    def loss(x: torch.Tensor) -> torch.Tensor:
        sol = dg.solve(
            model,
            {**dict(zip(names, x, strict=True)), "S_s": 1e-4, "S_y": 0.15, "decay_a": 0.02},
            forcing={
                "well_rate": 8.0,
                "given_head": 7.5,
                "recharge_rate": 2e-3,
                "well_concentration_a": 1.0,
                "recharge_concentration_b": 0.3,
            },
            times=[0.0, 10.0, 40.0],
            initial={"head": 8.0},
            engine=engine,
            rtol=1e-8,
            atol=1e-10,
        )
        assert all(closure.abs() < 1e-9 for closure in sol.balances.values())
        return (sol.outputs["concentration_a"][1:] ** 2).sum() + (sol.outputs["concentration_b"][1:] * 3).sum()

    x = at.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(loss(x), x)
    for k in range(4):
        change = torch.zeros(4)
        change[k] = 1e-3 * at[k]
        with torch.no_grad():
            expected = (loss(at + change) - loss(at - change)) / (2 * change[k])
        assert slopes[k].item() == pytest.approx(expected.item(), rel=1e-3), names[k]


def test_sharp_fronts_overshoot_with_the_whole_tensor_alone() -> None:
    lowest = {}
    for dispersion in ("diagonal", "full"):
        grid = dg.raster((1, 8, 8), (10.0, 10.0), layers=1.0)
        i, j = grid.cell["row"].astype(int), grid.cell["column"].astype(int)
        edge = np.flatnonzero((i == 0) | (j == 0) | (i == 7) | (j == 7)).tolist()
        model = SoluteAquifer(grid, boundaries=[GivenHead(edge)], dispersion=dispersion)  # type: ignore[arg-type]
        head = torch.from_numpy(-0.025 * 10.0 * (i + j) / np.sqrt(2))
        sol = dg.solve(
            model,
            {"K": 10.0, "S_s": 1e-8, "longitudinal_dispersivity": 20.0, "transverse_dispersivity": 0.2},
            forcing={"given_head": head[edge][None]},
            times=[0.0, 5.0],
            initial={"head": head, "concentration": torch.from_numpy(np.where((i == 3) & (j == 3), 1.0, 0.0))},
            engine="sundials",
            rtol=1e-8,
            atol=1e-12,
        )
        c = sol.outputs["concentration"][-1]
        lowest[dispersion] = (c.min() / c.max()).item()
    assert lowest["diagonal"] > -1e-8
    assert -0.2 < lowest["full"] < -0.005
