"""Flow to wells, exact: on a row of cells that stands for a sector, with K and storage proportional to the radius.

The logarithmic mean of two transmissivities that are proportional to the radius is Thiem's conductance between two
radii, and a cell as wide as its middle has the area of its part of the sector (Langevin 2008, Ground Water 46).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..groundwater import GeneralHead, GivenHead, Well
from ..model import raster
from ..models import Aquifer
from ..models.aquifer import Kind
from ..solve import Solution
from . import well_functions
from .convergence import Convergence, study
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, labels, stretched

ORDER = "cells grow with the radius, and central differences across their faces are of second order"
SPACING = "step of ln r"
NEUMAN_ROWS = (6, 12, 24)
NEUMAN_ORDER = "layers and steps of ln r are halved together"
# Pumping (m3/d), transmissivity (m2/d) and storage (-) of the confined aquifer.
Q, T, S = 1000.0, 500.0, 2e-4
THICKNESS = 10.0
CONFINED: Kind = "confined"


@dataclass(frozen=True)
class Sector:
    """Widths of cells that grow with the radius, radii of their middles, and what makes a row of them a sector."""

    dr: Array
    r: Array
    share: Array
    angle: float

    @staticmethod
    def of(first: float, last: float, cells: int, angle: float = 1.0) -> Sector:
        edges = np.geomspace(first, last, cells + 1)
        r = 0.5 * (edges[1:] + edges[:-1])
        return Sector(np.diff(edges), r, angle * r, angle)

    def times(self, value: float, layers: int = 1) -> Tensor:
        """A property, times the width of the sector."""
        return torch.from_numpy(np.tile(value * self.share, layers))

    def pumping(self, rate: float) -> float:
        return -rate * self.angle / (2 * math.pi)


def _pumped(
    bench: Bench, cells: int, times: list[float], leakage: float = 0.0, rtol: float = 1e-9
) -> tuple[Solution, Sector]:
    """Drawdown is the negative head of a confined aquifer, at rest at first, which may leak (conductance per area)."""
    sector = Sector.of(0.1, 3e4, cells)
    conditions: list[Any] = [Well([0])]
    values: dict[str, float | Tensor] = {"K": sector.times(T / THICKNESS), "S_s": sector.times(S / THICKNESS)}
    forcing: dict[str, float] = {"well_rate": sector.pumping(Q)}
    if leakage:
        conditions.append(GeneralHead(range(cells), "bed", each=False))
        values["bed_conductance"] = sector.times(leakage) * torch.from_numpy(sector.dr)
        forcing["bed_head"] = 0.0
    grid = raster((1, 1, cells), (1.0, sector.dr), layers=THICKNESS)
    model = Aquifer(grid, mean="logarithmic", boundaries=conditions)
    sol = bench.solve(model, values, forcing=forcing, times=times, initial={"head": 0.0}, rtol=rtol, atol=1e-3 * rtol)
    return sol, sector


def _in_radius(error: Callable[[float], float], whole: float, cells: tuple[int, ...]) -> Convergence:
    """A study of errors by numbers of cells, whose step of ln r is a part of the `whole`."""
    steps = [whole / n for n in cells]
    return study("space", steps, lambda d: error(whole / d), "m", 2.0, 1.8, 2.2, ORDER, SPACING)


def theis(bench: Bench) -> Outcome:
    """s = Q / (4 pi T) W(r^2 S / (4 T t))."""
    times = [0.0, 0.01, 0.1, 1.0]

    def compared(cells: int) -> tuple[Solution, Array, Array, Array]:
        sol, sector = _pumped(bench, cells, times)
        some = np.flatnonzero((sector.r > 8) & (sector.r < 250))
        u = sector.r[some] ** 2 * S / (4 * T * np.array(times[1:])[:, None])
        drawdown = -sol.outputs["head"][1:, some].numpy()
        return sol, sector.r[some], drawdown, Q / (4 * math.pi * T) * well_functions.theis(u)

    def error(cells: float) -> float:
        _, _, drawdown, true = compared(round(cells))
        return float(np.abs(drawdown - true).max())

    sol, r, drawdown, true = compared(bench.pick(150, 400))
    source, near = "Theis 1935, with the exponential integral", bench.pick(5e-4, 7e-5)
    at = labels(r[:: len(r) // 5], "m")
    checks = tuple(
        check(f"drawdown after {t:g} d", "m", at, drawdown[k, :: len(r) // 5], true[k, :: len(r) // 5], near, source)
        for k, t in enumerate(times[1:])
    )
    convergence = bench.studies(lambda: _in_radius(error, math.log(3e5), (50, 100, 200)))
    lines = [Line(r, drawdown[k], f"{t:g} d") for k, t in enumerate(times[1:])]
    lines += [Line(r[::4], true[k, ::4], "", "points") for k in range(3)]
    panel = Panel("distance (m)", "drawdown (m); points: exact", lines, logx=True)
    return Outcome(checks, balance_of(sol), convergence, (panel,))


def hantush(bench: Bench) -> Outcome:
    """s = Q / (4 pi T) W(u, r / B) under a bed that leaks in proportion to the drawdown; B = 500 m."""
    times, B = [0.0, 0.01, 0.1, 1.0, 20.0], 500.0

    def compared(cells: int) -> tuple[Solution, Array, Array, Array]:
        sol, sector = _pumped(bench, cells, times, T / B**2)
        some = np.flatnonzero((sector.r > 8) & (sector.r < 1200))
        some = some[:: len(some) // 6]
        r, drawdown = sector.r[some], -sol.outputs["head"][:, some].numpy()
        u = [x**2 * S / (4 * T * np.array(times[1:])) for x in r]
        true = [well_functions.hantush(each, x / B) for each, x in zip(u, r, strict=True)]
        return sol, r, drawdown, np.stack(true, axis=1) * (Q / (4 * math.pi * T))

    def error(cells: float) -> float:
        _, _, drawdown, true = compared(round(cells))
        return float(np.abs(drawdown[1:] - true).max())

    sol, r, drawdown, true = compared(bench.pick(150, 400))
    near, source = bench.pick(5e-4, 7e-5), "Hantush and Jacob 1955, by quadrature"
    checks: list[Check] = [
        check(f"drawdown after {t:g} d", "m", labels(r, "m"), drawdown[k + 1], true[k], near, source)
        for k, t in enumerate(times[1:])
    ]
    steady = Q / (2 * math.pi * T) * well_functions.bessel_k0(r / B)
    checks.append(check("drawdown at the end, steady", "m", labels(r, "m"), drawdown[-1], steady, near, "K0(r / B)"))
    lines = [Line(r, drawdown[k + 1], f"{t:g} d") for k, t in enumerate(times[1:])]
    lines += [Line(r, row, "", "points") for row in true]
    convergence = bench.studies(lambda: _in_radius(error, math.log(3e5), (50, 100, 200)))
    panel = Panel("distance (m)", "drawdown (m)", lines, logx=True)
    return Outcome(tuple(checks), balance_of(sol), convergence, (panel,))


def neuman(bench: Bench) -> Outcome:
    """Delayed yield: depth-averaged drawdown 4 pi T s / Q of an unconfined aquifer, over seven decades of time."""
    beta, sigma, near_r = 0.01, 1e-4, 10.0
    scaled = np.array([1.0, 10.0, 100.0, 1e3, 1e4, 1e5])
    K, S_s, angle, rate = 10.0, 1e-6, 1e-4, 1e-3
    depth, film = 10.0, 0.001
    # As much as makes beta at the distance that is looked at.
    anisotropy, S_y, start = beta * depth**2 / near_r**2, S_s * depth / sigma, 0.75 * film

    def compared(rows: int, cells: int) -> tuple[Solution, float, Array, Array]:
        sector = Sector.of(0.1, 2e4, cells, angle)
        # The radius that is looked at is that of a cell.
        at = int(np.argmin(np.abs(sector.r - near_r)))
        r = sector.r[at]
        times = scaled * S_s * depth * r**2 / (K * depth)
        # The water table is in a film on top, so that all below stores elastically; it falls by far less than the film.
        layers = stretched(depth, rows, 5.0)
        grid = raster((rows + 1, 1, cells), (1.0, sector.dr), layers=[film, *layers])
        wells = Well([(layer, 0, 0) for layer in range(1, rows + 1)])
        kinds: tuple[Kind, ...] = ("convertible", *((CONFINED,) * rows))
        model = Aquifer(grid, kinds, top=film, mean="logarithmic", boundaries=(wells,))
        values: dict[str, float | Tensor] = {
            "K": sector.times(K, rows + 1),
            "vertical_anisotropy": anisotropy,
            "S_s": sector.times(S_s, rows + 1),
            "S_y": sector.times(S_y, rows + 1),
        }
        forcing = {"well_rate": torch.from_numpy(np.tile(sector.pumping(rate) * layers / depth, (len(times), 1)))}
        sol = bench.solve(
            model, values, forcing=forcing, times=[0.0, *times], initial={"head": start}, rtol=1e-10, atol=1e-18
        )
        head = model.graph.on_grid(sol.outputs["head"][1:])[:, 1:, 0, at].numpy() @ (layers / depth)
        found = (start - head) * 4 * math.pi * K * depth / rate
        return sol, r, found, well_functions.neuman(scaled, anisotropy * r**2 / depth**2, sigma)

    def error(rows: float) -> float:
        _, _, found, true = compared(round(rows), round(10 * rows))
        return float(np.abs(found - true).max())

    sol, r, found, true = compared(*bench.pick((12, 100), (20, 200)))
    source = "Neuman 1974, from its Laplace transform by Stehfest's method"
    near = bench.pick(1.8e-2, 1.2e-2)
    checks = (check(f"4 pi T s / Q at {r:.3g} m, by T t / (S r2)", "1", labels(scaled, ""), found, true, near, source),)
    convergence = bench.studies(
        lambda: study(
            "space", [1 / n for n in NEUMAN_ROWS], lambda d: error(1 / d), "1", 2.0, 1.7, 2.3, NEUMAN_ORDER, "depth"
        )
    )
    lines = [Line(scaled, found, "computed"), Line(scaled, true, "exact", "points")]
    panel = Panel("T t / (S r2)", "4 pi T s / Q", lines, logx=True)
    return Outcome(checks, balance_of(sol, 1e-6), convergence, (panel,))


def thiem(bench: Bench) -> Outcome:
    """h^2 = H^2 - Q / (pi K) ln(R / r) under a water table, Dupuit's assumption."""
    K, R, H, pumped = 25.0, 500.0, 20.0, 1000.0

    def solve(cells: int) -> tuple[Any, Array, Array, Array]:
        edges = np.geomspace(0.5, R, cells + 1)
        # The last middle is at R, where the head is given.
        sector = Sector.of(0.5, R * 2 / (1 + edges[-2] / edges[-1]), cells)
        grid = raster((1, 1, cells), (1.0, sector.dr), layers=40.0)
        model = Aquifer(
            grid,
            "unconfined",
            top=40.0,
            mean="logarithmic",
            upstream=False,
            boundaries=(GivenHead([cells - 1]), Well([0], reduce_below=1e-3)),
        )
        given = math.sqrt(H**2 - pumped / (math.pi * K) * math.log(R / sector.r[-1]))
        forcing = {"given_head": given, "well_rate": sector.pumping(pumped)}
        found = bench.steady(model, {"K": sector.times(K)}, forcing, {"head": H})
        true = np.sqrt(H**2 - pumped / (math.pi * K) * np.log(R / sector.r))
        return found, sector.r, found.outputs["head"].numpy(), true

    def error(cells: float) -> float:
        _, _, head, true = solve(round(cells))
        return float(np.abs(head - true).max())

    found, r, head, true = solve(bench.pick(60, 200))
    some = np.linspace(0, len(r) - 1, 7).astype(int)
    source = "Dupuit 1863 and Thiem 1906"
    checks = (check("head", "m", labels(r[some], "m"), head[some], true[some], bench.pick(1.5e-4, 1.5e-5), source),)
    convergence = bench.studies(lambda: _in_radius(error, math.log(R / 0.5), (20, 40, 80)))
    panel = Panel(
        "distance (m)", "head (m)", [Line(r, head, "computed"), Line(r[::5], true[::5], "exact", "points")], logx=True
    )
    return Outcome(checks, balance_of(found), convergence, (panel,))
