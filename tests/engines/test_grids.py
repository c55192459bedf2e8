"""Rasters of unequal cells, of any outline and in layers, against exact solutions and a matrix written down cell by cell."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg

TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def diffusion(graph: dg.Graph) -> dg.Model:
    """Fick's law with diffusivities in series."""
    return dg.Model(
        name="Diffusion",
        graph=graph,
        states=(dg.State("c", "1", "concentration"),),
        parameters=(dg.Parameter("D", "m2 d-1", "diffusivity", 1.0, 0.0, open_low=True),),
        flux=lambda left, right, face: {
            "c": (left.c - right.c) / (face.left_distance / left.D + face.right_distance / right.D)
        },
    )


def widths(n: int, amplitude: float) -> np.ndarray:
    """Cells of the unit length whose sizes vary smoothly along it."""
    s = np.linspace(0.0, 1.0, n + 1)
    return np.diff(s + amplitude * np.sin(2 * np.pi * s) / (2 * np.pi))


def test_diffusion_on_unequal_cells_is_of_second_order(engine: str) -> None:
    """c = 1 + cos(pi x) cos(2 pi y) exp(-5 pi^2 t) in the unit square with closed sides, a Fourier mode."""
    errors, end = [], 0.02
    for n in (8, 16):
        graph = dg.raster((n, n), (widths(n, 0.4), widths(n, -0.5)))
        mode = graph.on_grid(np.cos(np.pi * graph.cell["x"]) * np.cos(2 * np.pi * graph.cell["y"]))
        sol = dg.solve(
            diffusion(graph), times=[0.0, end], initial={"c": 1 + mode}, engine=engine, rtol=1e-8, atol=1e-10
        )
        exact = 1 + mode * math.exp(-5 * math.pi**2 * end)
        squares = (sol.on_grid("c")[-1].numpy() - exact) ** 2
        errors.append(math.sqrt((graph.on_grid(graph.cell["volume"]) * squares).sum()))
    assert errors[1] < 3e-3
    assert 1.9 < math.log2(errors[0] / errors[1]) < 2.1, errors


def test_layers_in_series_rest_in_the_exact_profile(engine: str) -> None:
    """A steady flux through layers of different conductivity: heads are linear in each, and know no grid."""
    thickness, K, flux = np.array([0.5, 0.2, 1.0, 0.7, 0.1]), np.array([2.0, 2.0, 0.05, 0.05, 7.0]), 0.3
    resistance = thickness / K
    head = 10.0 - flux * (np.cumsum(resistance) - resistance / 2)

    def side(cell: Any, forcing: Any, face: Any) -> dict[str, Any]:
        return {"head": (face.head - cell.head) * cell.K / (cell.thickness / 2)}

    model = dg.Model(
        name="Series",
        graph=dg.raster((5, 2, 1), (3.0, 4.0), layers=thickness),
        states=(dg.State("head", "m", "head"),),
        parameters=(dg.Parameter("K", "m d-1", "conductivity", 1.0),),
        flux=lambda left, right, face: {
            "head": (left.head - right.head) / (face.left_distance / left.K + face.right_distance / right.K)
        },
        boundaries=(
            dg.Boundary("top", (0, 1), side, {"area": 12.0, "head": 10.0}),
            dg.Boundary("base", (8, 9), side, {"area": 12.0, "head": 10.0 - flux * resistance.sum()}),
        ),
    )
    both = np.ones((5, 2, 1))
    start = {"head": head[:, None, None] * both}
    sol = dg.solve(model, {"K": K[:, None, None] * both}, times=[0.0, 100.0], initial=start, engine=engine, **TIGHT)
    np.testing.assert_allclose(sol.on_grid("head")[-1], start["head"], rtol=1e-9)


def layered() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """An outline of three layers, sizes along y and x, and thicknesses that differ everywhere."""
    random = np.random.default_rng(3)
    active = random.random((3, 3, 4)) < 0.75
    return active, [random.uniform(1, 3, 3), random.uniform(1, 3, 4)], random.uniform(0.5, 2.0, (3, 3, 4))


def test_three_layers_of_any_outline_equal_a_matrix_written_down_cell_by_cell(engine: str) -> None:
    active, (dy, dx), dz = layered()
    D = np.random.default_rng(4).uniform(0.5, 5.0, active.shape)
    places = [tuple(map(int, p)) for p in np.argwhere(active)]
    rates = torch.zeros(len(places), len(places))
    for a, b in product(range(len(places)), repeat=2):
        (h, i, j), (m, k, n) = places[a], places[b]
        apart = abs(h - m), abs(i - k), abs(j - n)
        if sorted(apart) != [0, 0, 1]:
            continue
        if apart[0]:
            near, far, area = dz[h, i, j] / 2, dz[m, k, n] / 2, dy[i] * dx[j]
        else:
            near, far = (dy[i] / 2, dy[k] / 2) if apart[1] else (dx[j] / 2, dx[n] / 2)
            across = dx[j] if apart[1] else dy[i]
            area = across * (dz[h, i, j] + (dz[m, k, n] - dz[h, i, j]) * near / (near + far))
        conductance = area / (near / D[h, i, j] + far / D[m, k, n])
        volume = dz[h, i, j] * dy[i] * dx[j]
        rates[a, a] -= conductance / volume
        rates[a, b] += conductance / volume
    start = np.linspace(0.0, 1.0, len(places)) ** 2
    graph = dg.raster(active.shape, (dy, dx), active=active, layers=dz)
    times = [0.0, 0.1, 0.7]
    sol = dg.solve(diffusion(graph), {"D": D}, times=times, initial={"c": start}, engine=engine, **TIGHT)
    for at, t in enumerate(times):
        expected = torch.matrix_exp(t * rates) @ torch.from_numpy(start)
        torch.testing.assert_close(sol.states["c"][at], expected, rtol=1e-8, atol=1e-9)
    # No way leads out of the grid.
    stored = sol.storage
    assert (stored - stored[0]).abs().max() < 1e-12 * stored[0]


@pytest.mark.parametrize("axes", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_axes_may_be_called_otherwise(axes: tuple[int, int, int], engine: str) -> None:
    active, (dy, dx), _ = layered()
    sizes, random = [np.array([0.5, 1.5, 1.0]), dy, dx], np.random.default_rng(5)
    D, start = random.uniform(0.5, 5.0, active.shape), random.random(active.shape)

    def solve(order: tuple[int, ...]) -> torch.Tensor:
        z, y, x = (sizes[a] for a in order)
        graph = dg.raster([len(s) for s in (z, y, x)], (y, x), active=active.transpose(order), layers=z)
        fields = {"D": D.transpose(order)}, {"c": start.transpose(order)}
        sol = dg.solve(diffusion(graph), fields[0], times=[0.0, 0.3], initial=fields[1], engine=engine, **TIGHT)
        return sol.on_grid("c")[-1]

    torch.testing.assert_close(solve(axes), solve((0, 1, 2)).permute(axes), rtol=1e-8, atol=1e-9, equal_nan=True)


def test_rows_and_columns_may_change_places(engine: str) -> None:
    active, (dy, dx), dz = layered()
    D, start = dz[0] + 0.3, dz[1]

    def solve(flat: dg.Graph, D: np.ndarray, c: np.ndarray) -> torch.Tensor:
        sol = dg.solve(diffusion(flat), {"D": D}, times=[0.0, 0.3], initial={"c": c}, engine=engine, **TIGHT)
        return sol.on_grid("c")[-1]

    one = solve(dg.raster((3, 4), (dy, dx), active=active[0]), D, start)
    other = solve(dg.raster((4, 3), (dx, dy), active=active[0].T), D.T, start.T)
    torch.testing.assert_close(other, one.T, rtol=1e-8, atol=1e-9, equal_nan=True)
