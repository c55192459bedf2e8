"""Solutes that groundwater carries, where the answer is exact: a front along a row, a cloud in a plane."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..groundwater import GivenHead, Well
from ..model import raster
from ..models import SoluteAquifer
from ..solve import Solution
from . import exact
from .convergence import study
from .problem import Balance, Bench, Line, Outcome, Panel, check, labels

ORDER = "exponential fitting is of second order where cells are small beside the dispersivity"
# Of both problems: conductivity (m/d), specific discharge (m/d), and storage that lets heads be steady at once.
K, STORAGE = 10.0, 1e-8

# --- A well feeds a row -----------------------------------------------------------------------------------------------

FRONT = {"porosity": 0.25, "longitudinal_dispersivity": 1.0, "bulk_density": 1.5, "K_d": 0.25 / 1.5}
DISCHARGE, DEPTH, RETARDATION = 0.125, 2.0, 2.0


def front(bench: Bench) -> Outcome:
    """Retarded breakthrough where the flux of solute is given (third kind), in half a space."""
    length, times = 50.0, [0.0, 10.0, 20.0]
    v = DISCHARGE / FRONT["porosity"]
    D = v * FRONT["longitudinal_dispersivity"]

    def solve(cells: int) -> tuple[Solution, Array]:
        grid = raster((1, 1, cells), (1.0, length / cells), layers=DEPTH)
        x = grid.coordinates["x"]
        model = SoluteAquifer(grid, boundaries=[Well([0]), GivenHead([cells - 1])], sorption="linear")
        values: dict[str, float | Tensor] = {"K": K, "S_s": STORAGE, **FRONT}
        forcing = {"well_rate": DISCHARGE * DEPTH, "given_head": 0.0, "well_concentration": 1.0}
        start = {"head": torch.from_numpy(DISCHARGE / K * (x[-1] - x))}
        return bench.solve(model, values, forcing=forcing, times=times, initial=start, rtol=1e-8), x

    def true(x: Array, t: float) -> Array:
        return exact.third_kind(x, t, v / RETARDATION, D / RETARDATION)

    def error(cells: int) -> float:
        sol, x = solve(cells)
        return max(
            float(np.abs(row.numpy() - true(x, t)).max())
            for t, row in zip(times[1:], sol.outputs["concentration"][1:], strict=True)
        )

    sol, x = solve(bench.pick(200, 400))
    c, some = sol.outputs["concentration"].numpy(), np.searchsorted(x, [1.0, 3.0, 5.0, 8.0, 12.0])
    at = x[some]
    near, source = bench.pick(1.8e-3, 4.5e-4), "van Genuchten and Alves 1982, solution A2"
    checks = tuple(
        check(f"concentration after {t:g} d", "kg/m3", labels(at, "m"), c[k, some], true(at, t), near, source)
        for k, t in enumerate(times[1:], 1)
    )
    sizes = [length / n for n in (50, 100, 200)]
    convergence = bench.studies(
        lambda: study("space", sizes, lambda d: error(round(length / d)), "kg/m3", 2.0, 1.7, 2.3, ORDER)
    )
    lines = [Line(x, c[k], f"{t:g} d") for k, t in enumerate(times[1:], 1)]
    lines += [Line(x[::8], true(x[::8], t), "exact" if t == times[1] else "", "points") for t in times[1:]]
    return Outcome(checks, _balances(sol), convergence, (Panel("distance (m)", "concentration (kg/m3)", lines),))


# --- A cloud in a plane -----------------------------------------------------------------------------------------------

CLOUD = {"porosity": 0.25, "longitudinal_dispersivity": 4.0, "transverse_dispersivity": 0.5}
SPEED, WIDTH, DRIFT = 1.0, 6.0, 15.0


def cloud(bench: Bench) -> Outcome:
    """A cloud of normal shape stays one: it goes with the water, and its variances grow by 2 D t."""
    size, start = (48.0, 108.0), 36.0
    q = SPEED * CLOUD["porosity"]

    def solve(dx: float) -> tuple[Solution, Array, Array, Array]:
        shape = round(size[0] / dx), round(size[1] / dx)
        grid = raster((1, *shape), (dx, dx), layers=1.0)
        x, y, column = grid.coordinates["x"], grid.coordinates["y"], grid.cell["column"]
        ends = (np.flatnonzero(column == k) for k in (0, shape[1] - 1))
        model = SoluteAquifer(
            grid, boundaries=[GivenHead(cells, name) for cells, name in zip(ends, ("west", "east"), strict=True)]
        )

        def shaped(t: float) -> Array:
            along, across = (
                WIDTH**2 + 2 * CLOUD[f"{way}_dispersivity"] * SPEED * t for way in ("longitudinal", "transverse")
            )
            square = (x - start - SPEED * t) ** 2 / along + (y - size[0] / 2) ** 2 / across
            return np.asarray(WIDTH**2 / np.sqrt(along * across) * np.exp(-square / 2))

        values: dict[str, float | Tensor] = {"K": K, "S_s": STORAGE, **CLOUD}
        forcing = {"west_head": q / K * (x.max() - x.min()), "east_head": 0.0}
        initial = {"head": torch.from_numpy(q / K * (x.max() - x)), "concentration": torch.from_numpy(shaped(0.0))}
        sol = bench.solve(model, values, forcing=forcing, times=[0.0, DRIFT], initial=initial, rtol=1e-6, atol=1e-9)
        return sol, x, y, shaped(DRIFT)

    def error(dx: float) -> float:
        sol, _, _, true = solve(dx)
        return float(np.abs(sol.outputs["concentration"][-1].numpy() - true).max())

    dx = bench.pick(3.0, 1.5)
    sol, x, y, true = solve(dx)
    c = sol.outputs["concentration"][-1].numpy()
    middle = np.array([(x * c).sum(), (y * c).sum()]) / c.sum()
    spread = ((y - middle[1]) ** 2 * c).sum() / c.sum()
    exactly = WIDTH**2 + 2 * CLOUD["transverse_dispersivity"] * SPEED * DRIFT
    source, row = "normal distribution", np.abs(y - y[np.argmax(c)]) < dx / 2
    some = np.flatnonzero(row)[:: round(12 / dx)]
    checks = (
        check(
            "middle of the cloud", "m", ["along", "across"], middle, [start + SPEED * DRIFT, size[0] / 2], 0.03, source
        ),
        check("variance across the flow", "m2", ["cloud"], [spread], [exactly], 0.01, source, relative=True),
        check("concentration", "kg/m3", labels(x[some], "m"), c[some], true[some], bench.pick(1.6e-2, 4e-3), source),
    )
    convergence = bench.studies(lambda: study("space", (6.0, 3.0, 1.5), error, "kg/m3", 2.0, 1.6, 2.3, ORDER))
    lines = [Line(x[row], c[row], "computed"), Line(x[row][::3], true[row][::3], "exact", "points")]
    return Outcome(checks, _balances(sol), convergence, (Panel("x (m)", "concentration (kg/m3)", lines),))


def _balances(sol: Solution) -> Balance:
    """The worse of those of water and of solute."""
    moved = {unit: 0.0 for unit in sol.balances}
    for flux in sol.model.fluxes:
        moved[flux.unit] += float(sol.fluxes[flux.name].abs().sum())
    stored = {unit: float(amount.abs().max()) for unit, amount in sol.storages.items()}
    shares = [float(v) / max(moved[unit], stored[unit]) for unit, v in sol.balances.items()]
    return Balance(max(map(math.fabs, shares)))
