"""Water tables, streams and tides in one dimension, where the answer is exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..groundwater import GivenHead, Recharge, Well
from ..model import TimeSeries, raster
from ..models import Aquifer
from ..solve import Solution
from ..steady import SteadySolution
from . import well_functions
from .convergence import Convergence, study
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, labels


def _orders(
    error: Callable[[int], float], length: float, cells: tuple[int, ...], orders: tuple[float, float, float], why: str
) -> Convergence:
    return study("space", [length / n for n in cells], lambda size: error(round(length / size)), "m", *orders, why)


# --- Dupuit -----------------------------------------------------------------------------------------------------------

LENGTH, HEADS, RECHARGE, DUPUIT_K = 1000.0, (20.0, 15.0), 1e-3, 10.0


def dupuit(bench: Bench) -> Outcome:
    """h^2 = h1^2 - (h1^2 - h2^2) x / L + w / K (L - x) x between two canals under recharge (Dupuit 1863)."""

    def solve(steps: int, mean: str, upstream: bool) -> tuple[SteadySolution, Array, Array]:
        # Heads are given in the middles of the first and the last cell.
        grid = raster((1, 1, steps + 1), (1.0, LENGTH / steps), layers=40.0)
        conditions = (GivenHead([0, steps]), Recharge())
        model = Aquifer(grid, "unconfined", top=40.0, mean=mean, upstream=upstream, boundaries=conditions)  # type: ignore[arg-type]
        forcing: dict[str, float | Tensor] = {"given_head": torch.tensor(HEADS), "recharge_rate": RECHARGE}
        x = np.arange(steps + 1) * LENGTH / steps
        fall = (HEADS[0] ** 2 - HEADS[1] ** 2) * x / LENGTH
        true = np.sqrt(HEADS[0] ** 2 - fall + RECHARGE / DUPUIT_K * (LENGTH - x) * x)
        return bench.steady(model, {"K": DUPUIT_K}, forcing, {"head": 15.0}), x, true

    def error(mean: str, upstream: bool) -> Callable[[int], float]:
        def of(steps: int) -> float:
            found, _, true = solve(steps, mean, upstream)
            return float(np.abs(found.outputs["head"].numpy() - true).max())

        return of

    found, x, true = solve(20, "amt-lmk", False)
    head = found.outputs["head"].numpy()
    # Recharge of the half cells next to the canals goes there at once.
    out = -found.fluxes["given"].numpy() + RECHARGE * LENGTH / 40
    some = [2, 5, 10, 15, 18]
    source = "Dupuit 1863"
    checks = (
        check("head, mean of thickness", "m", labels(x[some], "m"), head[some], true[some], 1e-8, source),
        check("flow into the canals", "m2/d", ["left", "right"], out, [-0.375, 1.375], 1e-8, source),
    )
    convergence = bench.studies(
        lambda: _orders(
            error("harmonic", False),
            LENGTH,
            (20, 40, 80),
            (2.0, 1.9, 2.1),
            "of second order, as transmissivity is smooth",
        ),
        lambda: _orders(
            error("harmonic", True), LENGTH, (20, 40, 80), (1.0, 0.9, 1.1), "upstream thickness is of first order"
        ),
    )
    panel = Panel("x (m)", "head (m)", [Line(x, head, "computed"), Line(x, true, "exact", "points")])
    return Outcome(checks, balance_of(found), convergence, (panel,))


# --- A mound on a dry bed ---------------------------------------------------------------------------------------------


def barenblatt(bench: Bench) -> Outcome:
    """A mound that spreads over a dry bed with a front, from its shape after one day on (Barenblatt 1952)."""
    K, S_y, amount, times = 10.0, 0.2, 100.0, np.array([1.0, 10.0, 100.0])

    def solve(cells: int, upstream: bool) -> tuple[Solution, Array, Array]:
        grid = raster((1, 1, cells), (1.0, 160.0 / cells), layers=10.0)
        x = grid.cell["x"]
        true = np.stack([well_functions.barenblatt(x, float(t), K, S_y, amount) for t in times])
        # Half of it is to the right of its middle.
        model = Aquifer(grid, "unconfined", top=10.0, mean="amt-lmk", upstream=upstream)
        start = {"head": torch.from_numpy(true[0])}
        sol = bench.solve(model, {"K": K, "S_y": S_y}, times=times, initial=start, rtol=1e-7, atol=1e-9)
        return sol, x, true

    def error(upstream: bool) -> Callable[[int], float]:
        def of(cells: int) -> float:
            sol, _, true = solve(cells, upstream)
            return float(np.abs(sol.outputs["head"].numpy() - true).mean())

        return of

    checks, source = list[Check](), "Barenblatt 1952"
    behind = {1: np.array([2.0, 10.0, 20.0, 30.0]), 2: np.array([5.0, 25.0, 50.0, 75.0, 90.0])}
    for what, upstream, near in (("mean", False, (1.5e-3, 3e-4)), ("upstream", True, (5e-2, 1.5e-2))):
        sol, x, true = solve(bench.pick(80, 320), upstream)
        head = sol.outputs["head"].numpy()
        for k, at in behind.items():
            height, exactly = np.interp(at, x, head[k]), np.interp(at, x, true[k])
            name = f"height after {times[k]:g} d, {what} thickness"
            checks.append(check(name, "m", labels(at, "m"), height, exactly, bench.pick(*near), source))
        checks.append(check(f"lowest height, {what}", "m", ["all"], head.min(), 0.0, 1e-7, "nothing is clipped"))
    why = "mean error: thickness of the upstream cell is of first order, and so is where the front is within a cell"
    cells = (40, 80, 160, 320)
    convergence = bench.studies(
        lambda: _orders(error(True), 160.0, cells, (1.0, 0.8, 1.2), why),
        lambda: _orders(error(False), 160.0, cells, (1.6, 1.2, 2.1), "second order behind the front"),
    )
    lines = [*(Line(x, head[k], f"{t:g} d") for k, t in enumerate(times))]
    lines += [Line(x[::8], row[::8], "", "points") for row in true]
    return Outcome(tuple(checks), balance_of(sol), convergence, (Panel("x (m)", "height (m); points: exact", lines),))


# --- Recession --------------------------------------------------------------------------------------------------------


def boussinesq(bench: Bench) -> Outcome:
    """Discharge of a water table that falls alike everywhere, to a drain at the level of the bed (Boussinesq 1904)."""
    K, height, L, S_y = 5.0, 10.0, 200.0, 0.15
    times = np.array([0.0, 30.0, 100.0, 365.0])
    beta = math.gamma(2 / 3) * math.gamma(1 / 2) / math.gamma(7 / 6)
    falls = 1 / (1 + beta**2 * K * height * times / (6 * S_y * L**2))
    # The amount between two times, of a rate that falls with the square of that.
    stored = beta / 3 * K * height**2 / L * 6 * S_y * L**2 / (beta**2 * K * height) * falls
    drained = -np.diff(stored)

    def solve(cells: int) -> tuple[Solution, Array, Array]:
        dx = L / (cells - 0.5)
        # The drain is in the middle of the first cell, which holds none of the water.
        grid = raster((1, 1, cells), (1.0, dx), layers=20.0)
        x = grid.cell["x"] - dx / 2
        model = Aquifer(grid, "unconfined", top=20.0, mean="amt-lmk", upstream=False, boundaries=(GivenHead([0]),))
        shape = height * well_functions.boussinesq_shape(np.minimum(x / L, 1.0))
        start, forcing = {"head": torch.from_numpy(shape)}, {"given_head": 0.0}
        sol = bench.solve(
            model, {"K": K, "S_y": S_y}, forcing=forcing, times=times, initial=start, rtol=1e-7, atol=1e-9
        )
        return sol, x, shape

    def error(cells: int) -> float:
        sol, _, _ = solve(cells)
        return float(np.abs(sol.outputs["head"][:, -1].numpy() - height * falls).max())

    sol, x, shape = solve(bench.pick(50, 200))
    head, source, close = sol.outputs["head"].numpy(), "Boussinesq 1904", bench.pick(3e-3, 4e-4)
    at = labels(times[1:], "d")
    checks = (
        check("height at the divide", "m", at, head[1:, -1], height * falls[1:], close, source, relative=True),
        check(
            "drained since the time before",
            "m2",
            at,
            -sol.fluxes["given"].numpy().ravel(),
            drained,
            close,
            source,
            relative=True,
        ),
    )
    why = "h^2 is smooth up to the drain, and the mean of thickness is exact for what is linear in it"
    convergence = bench.studies(lambda: _orders(error, L, (25, 50, 100), (2.0, 1.7, 2.3), why))
    lines = [*(Line(x, row, f"{t:g} d") for t, row in zip(times, head, strict=True))]
    lines += [Line(x[::10], (shape * f)[::10], "", "points") for f in falls]
    return Outcome(checks, balance_of(sol), convergence, (Panel("x (m)", "height (m); points: exact", lines),))


# --- A well beside a stream -------------------------------------------------------------------------------------------


def stream_depletion(bench: Bench) -> Outcome:
    """The share of pumping that a stream gives, erfc(d / sqrt(4 T t / S)) (Glover and Balmer 1954).

    Summed along the stream, the plane is a row of cells.
    """
    d, T, S = 200.0, 500.0, 0.2
    times = np.array([0.0, 1.0, 10.0, 30.0, 100.0, 365.0])

    def share(t: Array) -> tuple[Array, Array]:
        """Of the rate, and of the amount until then."""
        z2 = d**2 * S / (4 * T * t)
        rate = well_functions.erfc(np.sqrt(z2))
        return rate, (1 + 2 * z2) * rate - 2 * np.sqrt(z2 / math.pi) * np.exp(-z2)

    def solve(near: int) -> tuple[Solution, Array, Array]:
        dx = d / near
        far = dx * np.geomspace(1.0, 30.0 * near / 10, 8 * near)
        widths = np.concatenate([np.full(2 * near, dx), far])
        model = Aquifer(raster((1, len(widths)), (1.0, widths)), boundaries=(GivenHead([0]), Well([near])))
        forcing, start = {"given_head": 0.0, "well_rate": -1.0}, {"head": 0.0}
        sol = bench.solve(model, {"K": T, "S_s": S}, forcing=forcing, times=times, initial=start, rtol=1e-9, atol=1e-13)
        head = sol.outputs["head"].numpy()
        rate = -head[1:, 1] * T / dx
        return sol, rate, np.cumsum(sol.fluxes["given"].numpy().ravel()) / times[1:]

    true_rate, true_amount = share(times[1:])

    def error(near: int) -> float:
        _, rate, _ = solve(near)
        return float(np.abs(rate - true_rate).max())

    sol, rate, amount = solve(bench.pick(20, 80))
    at, source, close = labels(times[1:], "d"), "Glover and Balmer 1954", bench.pick(7e-4, 5e-5)
    checks = (
        check("share of the rate", "1", at, rate, true_rate, close, source),
        check("share of the amount", "1", at, amount, true_amount, close, source),
    )
    why = "central differences; cells grow behind the well"
    convergence = bench.studies(lambda: _orders(error, d, (10, 20, 40), (2.0, 1.7, 2.3), why))
    lines = [Line(times[1:], rate, "rate"), Line(times[1:], amount, "amount")]
    lines += [Line(times[1:], y, "", "points") for y in (true_rate, true_amount)]
    return Outcome(
        checks, balance_of(sol), convergence, (Panel("time (d)", "share from the stream (-)", lines, logx=True),)
    )


# --- Tides ------------------------------------------------------------------------------------------------------------


def tide(bench: Bench) -> Outcome:
    """h = exp(-a x) sin(w t - a x), a = sqrt(w S / (2 T)), in a confined aquifer at the sea (Jacob 1950)."""
    T, S, period = 100.0, 1e-3, 0.5
    w = 2 * math.pi / period
    a = math.sqrt(w * S / (2 * T))
    # Straight lines between nodes are off by (w dt)^2 / 8.
    nodes = np.linspace(0.0, period, bench.pick(101, 401))

    def wave(x: Array, t: Array | float) -> Array:
        return np.asarray(np.exp(-a * x) * np.sin(w * np.asarray(t) - a * x))

    sea = TimeSeries(nodes, torch.from_numpy(wave(np.zeros(1), nodes)), "linear")

    def solve(dx: float) -> tuple[Solution, Array]:
        cells = round(2500.0 / dx)
        model: Any = Aquifer(raster((1, cells), (1.0, dx)), boundaries=(GivenHead([0]),))
        x = np.asarray(np.arange(cells) * dx, np.float64)
        start, times = {"head": torch.from_numpy(wave(x, 0.0))}, np.linspace(0.0, period, 5)
        sol = bench.solve(
            model, {"K": T, "S_s": S}, forcing={"given_head": sea}, times=times, initial=start, rtol=1e-7, atol=1e-10
        )
        return sol, x

    def error(cells: int) -> float:
        sol, x = solve(2500.0 / cells)
        return float(np.abs(sol.outputs["head"][-1].numpy() - wave(x, period)).max())

    sol, x = solve(bench.pick(12.5, 6.25))
    head, at = sol.outputs["head"].numpy(), np.array([100.0, 300.0, 500.0, 1000.0])
    near, source = bench.pick(7e-4, 2e-4), "Jacob 1950; Carslaw and Jaeger 1959"
    checks = tuple(
        check(f"head after {t:g} d", "m", labels(at, "m"), np.interp(at, x, head[k]), wave(at, t), near, source)
        for k, t in enumerate(sol.grid)
        if k
    )
    convergence = bench.studies(lambda: _orders(error, 2500.0, (25, 50, 100), (2.0, 1.8, 2.2), "central differences"))
    lines = [
        *(Line(x, head[k], f"{t:g} d") for k, t in enumerate(sol.grid)),
        *(Line(x[::4], wave(x, t)[::4], "", "points") for t in sol.grid),
    ]
    return Outcome(checks, balance_of(sol), convergence, (Panel("x (m)", "head (m); points: exact", lines),))
