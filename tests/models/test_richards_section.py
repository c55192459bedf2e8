"""Two-dimensional flow against an exact solution, a sand box that was measured, and one-dimensional columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import ModelError

# Tracy 2006, Water Resour. Res. 42: a square of Gardner's soil, dry on three sides, wetted from above; heads (m) at
# (a/2; .25, .5, .75, .9 L) and (a/4, .75 L), after 1, 5 and 20 days and at rest.
SIDE, DRY, ALPHA = 15.24, -15.24, 0.164
TRACY = np.array(
    [
        [-15.23999773, -15.22172783, -11.53875889, -3.870947622, -12.41089246],
        [-14.05845971, -10.03687515, -4.480109277, -1.614845015, -6.175485983],
        [-9.177158035, -5.967986969, -2.996277113, -1.204975523, -4.779522585],
        [-8.864764496, -5.773853826, -2.933497906, -1.187917132, -4.720034686],
    ]
)
SOIL = {"theta_r": 0.15, "theta_s": 0.45, "alpha": ALPHA, "K_s": 0.1, "S_s": 1e-8}


def tracy(n: int, engine: str) -> tuple[dg.Solution, dg.SteadySolution, Any]:
    size = SIDE / n
    model = dg.models.RichardsSection(
        (n, n), (size, size), closure="gardner", top="head", bottom="head", left="head", right="head"
    )
    x = (np.arange(n) + 0.5) * size
    dry = np.exp(ALPHA * DRY)
    forcing = {f"{side}_head": torch.full((n,), DRY) for side in ("bottom", "left", "right")}
    forcing["top_head"] = torch.from_numpy(np.log(dry + (1 - dry) * np.sin(np.pi * x / SIDE)) / ALPHA)
    sol = dg.solve(
        model,
        SOIL,
        forcing={k: v.expand(3, n) for k, v in forcing.items()},
        initial={"head": DRY},
        times=[0.0, 1.0, 5.0, 20.0],
        engine=engine,
        rtol=1e-6,
        atol=1e-8,
    )
    rest = dg.steady(model, SOIL, forcing=forcing, initial={"theta": sol.states["theta"][-1]}, engine=engine)

    def at(head: torch.Tensor) -> list[float]:
        field = model.graph.on_grid(head).numpy()
        points = [(0.5, 0.25), (0.5, 0.5), (0.5, 0.75), (0.5, 0.9), (0.25, 0.75)]
        columns = [[np.interp((1 - z) * SIDE, x, field[:, j]) for j in range(n)] for _, z in points]
        return [float(np.interp(a * SIDE, x, row)) for (a, _), row in zip(points, columns, strict=True)]

    return sol, rest, np.array([at(h) for h in (*sol.outputs["head"][1:], rest.outputs["head"])])


def test_a_square_that_is_wetted_from_above(engine: str) -> None:
    coarse, (sol, rest, fine) = tracy(10, engine)[2], tracy(20, engine)
    assert sol.balance.abs() < 1e-11
    assert rest.balance.abs() < 1e-10
    # Behind the front errors are of second order, and a third as large on the finer grid at the least.
    assert np.abs(fine - TRACY)[2:].max() < 0.06
    assert np.abs(coarse - TRACY)[2:].max() > 2.2 * np.abs(fine - TRACY)[2:].max()
    assert np.abs(fine - TRACY)[1].max() < 0.1
    assert np.abs(fine - TRACY)[0].max() < 0.25  # at the front, where the head falls by ten metres in three


def test_the_sand_box_of_vauclin(usual_engine: str, shared_data: Path) -> None:
    path = shared_data / "models" / "soil" / "vauclin_water_table.csv"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    size, rows, columns = 0.1, 20, 30
    model = dg.models.RichardsSection((rows, columns), (size, size), closure="haverkamp", right="head")
    soil = {
        "theta_r": 0.0,
        "theta_s": 0.30,
        "A_theta": 40000 * 0.01**2.9,
        "B_theta": 2.9,
        "A_K": 2.99e6 * 0.01**5,
        "B_K": 5.0,
        "K_s": 0.35 * 24,
        "S_s": 1e-4,
    }
    depth, x = (np.arange(rows) + 0.5) * size, (np.arange(columns) + 0.5) * size
    head = torch.from_numpy(depth - 1.35)  # the water stands at 0.65 m above the base
    rain = torch.from_numpy(np.where(x < 0.5, 0.148 * 24, 0.0))
    sol = dg.solve(
        model,
        soil,
        forcing={"top_flux": rain.expand(3, columns), "right_head": head.expand(3, rows)},
        initial={"head": head.repeat_interleave(columns)},
        times=np.array([0.0, 2, 4, 8]) / 24,
        engine=usual_engine,
        rtol=1e-5,
        atol=1e-7,
    )
    assert sol.balance.abs() < 1e-10
    tables = []
    for field in model.graph.on_grid(sol.outputs["head"][1:]).numpy():
        above = [int(np.flatnonzero(c < 0).max()) for c in field.T]
        fall = [-c[i] / (c[i + 1] - c[i]) for c, i in zip(field.T, above, strict=True)]
        tables.append(2 - (depth[above] + size * np.array(fall)))
    # An independent computation on cells of 5 cm; x 0, 50, 100, 160, 250 cm.
    right = [
        [79.81, 75.02, 69.87, 67.26, 65.56],
        [109.71, 103.92, 93.43, 83.42, 71.48],
        [121.14, 115.29, 104.58, 92.89, 75.77],
    ]
    for table, row in zip(tables, right, strict=True):
        assert 100 * np.interp([0, 0.5, 1, 1.6, 2.5], x, table) == pytest.approx(row, abs=1.2)
    outflow = -sol.fluxes["right_inflow"].cumsum(0) * 1e4
    assert outflow.tolist() == pytest.approx([5.85, 462.6, 2734.8], rel=0.1)
    # Measured by Vauclin et al. 1979: as near as other models are, which are too high in between.
    measured = [list(map(float, row)) for row in [*csv.reader(path.open())][1:]]
    for table, hour, within in ((tables[0], 2, 0.03), (tables[1], 4, 0.085), (tables[2], 8, 0.05)):
        assert max(abs(np.interp(a, x, table) - z) for a, z, t in measured if t == hour) < within


def test_columns_side_by_side_are_a_column(engine: str) -> None:
    # Nothing differs from left to right, so that nothing flows there; the base is open.
    soil = {"K_s": 0.2, "n": 1.5}
    rain = [0.15, 0.0, 0.02]
    one = dg.models.RichardsColumn(1.0, 10, bottom="seepage_face")
    many = dg.models.RichardsSection((10, 3), (0.1, 0.5), bottom="seepage_face")
    settings: dict[str, Any] = {
        "times": range(4),
        "engine": engine,
        "rtol": 1e-8,
        "atol": 1e-10,
        "initial": {"head": -0.5},
    }
    column = dg.solve(one, soil, forcing={"flux": rain}, **settings)
    section = dg.solve(many, soil, forcing={"top_flux": torch.tensor(rain)[:, None].expand(3, 3)}, **settings)
    theta = many.graph.on_grid(section.states["theta"])
    torch.testing.assert_close(theta, column.states["theta"][:, :, None].expand(4, 10, 3), rtol=0, atol=1e-7)
    torch.testing.assert_close(-section.fluxes["bottom_inflow"] / 1.5, column.fluxes["drainage"], rtol=0, atol=1e-7)


def test_water_stands_level_beside_water(engine: str) -> None:
    model = dg.models.RichardsSection((8, 6), (0.25, 0.5), top="no_flow", left="water_level", right="water_level")
    values, level = {"K_s": 1.0}, {"left_level": 0.8, "right_level": 0.8}
    depth = torch.from_numpy(model.graph.cell["y"])
    rest = dg.steady(model, values, forcing=level, initial={"head": depth - 0.7}, engine=engine)
    torch.testing.assert_close(rest.outputs["head"], depth - 0.8, rtol=0, atol=1e-6)
    # Between levels of 0.4 and 1.2 m as much comes in as leaves; above the lower one the face seeps.
    through = dg.steady(
        model, values, forcing={"left_level": 0.4, "right_level": 1.2}, initial={"head": depth - 0.7}, engine=engine
    )
    into, out = (through.fluxes[f"{side}_inflow"].item() for side in ("left", "right"))
    assert into == pytest.approx(-out)
    # Dupuit and Charny: K (h1^2 - h2^2) / 2 L, with the flow of the capillary fringe beside it.
    assert into == pytest.approx(1.0 * (1.6**2 - 0.8**2) / (2 * 3.0), rel=0.15)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"left": "open"}, "left='open' is not one of"),
        ({"top": "free_drainage"}, "only the bottom drains"),
        ({"closure": "clay"}, "closure='clay'"),
        ({"face_conductivity": "mean"}, "face_conductivity='mean'"),
    ],
)
def test_wrong_choices_are_named(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        dg.models.RichardsSection((3, 3), (0.1, 0.1), **choices)
