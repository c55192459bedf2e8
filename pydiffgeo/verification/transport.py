"""Diffusion, heat and advection where the answer is exact: other processes on the same solvers."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
import torch

from ..arrays import Array
from ..model import TimeSeries
from ..models import DiffusionRaster, HeatColumn, SoluteColumn
from ..solve import Solution
from . import exact
from .convergence import in_space, in_time
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, labels

Scheme: TypeAlias = Literal["central", "upwind"]


def diffusion_raster(bench: Bench) -> Outcome:
    """c = 1 + cos(pi x) cos(2 pi y) exp(-5 pi^2 D t)."""
    end = 0.02

    def solve(n: int, rtol: float = 1e-10) -> tuple[Solution, Array, Array]:
        model = DiffusionRaster(n)
        x, y = (model.graph.coordinates[k] for k in "xy")
        mode = np.cos(math.pi * x) * np.cos(2 * math.pi * y)
        start = {"c": torch.from_numpy(1 + mode)}
        sol = bench.solve(model, {"D": 1.0}, times=[0.0, end], initial=start, rtol=rtol)
        return sol, sol.states["c"][-1].numpy(), 1 + mode * math.exp(-5 * math.pi**2 * end)

    def error(n: int) -> float:
        _, computed, true = solve(n)
        return float(np.abs(computed - true).max())

    n = bench.pick(32, 40)
    sol, computed, true = solve(n)
    some = np.linspace(0, n * n - 1, 7).astype(int)
    at = [f"cell ({k // n}, {k % n})" for k in some]
    near, source = bench.pick(1.5e-3, 1e-3), "Fourier mode of the heat equation"
    grids = bench.pick((8, 16), (8, 16, 32))
    convergence = (
        in_space(error, 1.0, [1 / g for g in grids], "1", (2.0, 1.85, 2.15))(),
        *bench.studies(in_time(lambda rtol: solve(12, rtol)[1], "1", 1e-12)),
    )
    y, x = (sol.model.graph.coordinates[k].reshape(n, n) for k in "yx")
    rows, profile, exactly = (0, n // 4, n // 2), computed.reshape(n, n), true.reshape(n, n)
    lines = [Line(x[i], profile[i], f"y = {y[i, 0]:.2f} m") for i in rows]
    lines += [Line(x[i, ::3], exactly[i, ::3], "exact" if i == 0 else "", "points") for i in rows]
    checks = (check("concentration", "1", at, computed[some], true[some], near, source),)
    return Outcome(checks, balance_of(sol), convergence, (Panel("x (m)", "concentration (-)", lines),))


# --- Periodic soil temperature (Carslaw and Jaeger 1959, section 2.6) -----------------------------

SOIL = {"conductivity": 0.12, "capacity": 2.1}


def heat_sine(bench: Bench) -> Outcome:
    """T = sin(pi z / L) exp(-pi^2 kappa t / L^2), both ends held at 0 degC."""
    length, end = 1.0, 2.0
    rate = math.pi**2 * SOIL["conductivity"] / SOIL["capacity"] / length**2

    def solve(cells: int, rtol: float = 1e-10) -> tuple[Solution, Array, Array]:
        model = HeatColumn(length, cells, base=True)
        mode = 10 * np.sin(math.pi * model.graph.coordinates["depth"] / length)
        forcing = {"surface_temperature": [0.0, 0.0], "base_temperature": [0.0, 0.0]}
        start, times = {"heat": torch.from_numpy(SOIL["capacity"] * mode)}, [0.0, end / 2, end]
        sol = bench.solve(model, SOIL, forcing=forcing, times=times, initial=start, rtol=rtol)
        return sol, sol.outputs["temperature"][-1].numpy(), mode * math.exp(-rate * end)

    def error(cells: int) -> float:
        _, computed, true = solve(cells)
        return float(np.abs(computed - true).max())

    sol, computed, true = solve(bench.pick(40, 80))
    z, at, share = sol.model.graph.coordinates["depth"], np.array([0.1, 0.25, 0.5, 0.75]), math.exp(-rate * end)
    warm, left = 10 * np.sin(math.pi * at) * share, [SOIL["capacity"] * 10 * 2 / math.pi * share]
    what, near = "temperature after 2 d, by depth", bench.pick(1e-2, 2e-3)
    stored, closely = sol.storage[-1:].numpy(), bench.pick(2e-3, 4e-4)
    checks = (
        check(what, "degC", labels(at, "m"), np.interp(at, z, computed), warm, near, "Fourier mode"),
        check("heat left after 2 d", "MJ/m2", ["column"], stored, left, closely, "its integral", relative=True),
    )
    convergence = bench.studies(
        in_space(error, length, (0.05, 0.025, 0.0125), "degC", (2.0, 1.85, 2.15)),
        in_time(lambda rtol: solve(20, rtol)[1], "degC", 1e-12),
    )
    rows = zip((0.0, end / 2, end), sol.outputs["temperature"], strict=True)
    lines = [*(Line(row.numpy(), z, f"{t:g} d") for t, row in rows), Line(true[::5], z[::5], "exact", "points")]
    panel = Panel("temperature (degC)", "depth (m)", lines, downwards=True)
    return Outcome(checks, balance_of(sol), convergence, (panel,))


def heat_periodic(bench: Bench) -> Outcome:
    """T = 10 + 8 exp(-z / d) sin(omega t - z / d), damping depth d = sqrt(2 kappa / omega)."""
    omega, depth, days = 2 * math.pi, 1.5, 3
    damping = math.sqrt(2 * SOIL["conductivity"] / SOIL["capacity"] / omega)

    def wave(z: Array, t: Array | float) -> Array:
        return np.asarray(10 + 8 * np.exp(-z / damping) * np.sin(omega * np.asarray(t) - z / damping))

    # Straight lines between nodes of the surface wave are off by (omega dt)^2 / 8 of its amplitude.
    nodes = np.linspace(0.0, days, days * 1440 // bench.pick(10, 5) + 1)
    forcing = {"surface_temperature": TimeSeries(nodes, torch.from_numpy(wave(np.zeros(1), nodes)), "linear")}

    def solve(cells: int) -> tuple[Solution, Array]:
        model = HeatColumn(depth, cells)
        z, times = model.graph.coordinates["depth"], np.arange(0, days + 0.01, 0.25)
        start = {"heat": torch.from_numpy(SOIL["capacity"] * wave(z, 0.0))}
        return bench.solve(model, SOIL, forcing=forcing, times=times, initial=start, rtol=1e-7), z

    def error(cells: int) -> float:
        sol, z = solve(cells)
        return float(np.abs(sol.outputs["temperature"][-1].numpy() - wave(z, float(days))).max())

    sol, z = solve(150)
    computed, at = sol.outputs["temperature"].numpy(), np.array([0.05, 0.1, 0.2, 0.4])
    source = "damped wave, Carslaw and Jaeger 1959, section 2.6"

    def compared(k: int) -> Check:
        t = 0.25 * k
        numbers = np.interp(at, z, computed[k]), wave(at, t)
        return check(f"temperature after {t:g} d, by depth", "degC", labels(at, "m"), *numbers, 0.006, source)

    convergence = bench.studies(in_space(error, depth, (0.06, 0.03, 0.015), "degC", (2.0, 1.7, 2.3)))
    lines = [Line(computed[k], z, f"{24 * (0.25 * k) % 24:g} h") for k in (9, 10, 11, 12)]
    lines += [Line(wave(z, 0.25 * k)[::5], z[::5], "exact" if k == 12 else "", "points") for k in (9, 10, 11, 12)]
    panel = Panel("temperature (degC)", "depth (m)", lines, "daily wave, third day", downwards=True)
    return Outcome(tuple(map(compared, (9, 10, 12))), balance_of(sol), convergence, (panel,))


# --- Advection and dispersion ---------------------------------------------------------------------


def advection_dispersion(bench: Bench) -> Outcome:
    """Steady flow carries a solute into a clean column."""
    flow, end = {"velocity": 0.1, "dispersion": 0.004}, 5.0

    def true(z: Array) -> Array:
        return exact.ogata_banks(z, end, flow["velocity"], flow["dispersion"])

    def solve(cells: int, scheme: Scheme) -> tuple[Solution, Array]:
        model = SoluteColumn(2.0, cells, scheme)
        sol = bench.solve(model, flow, forcing={"inlet": [1.0]}, times=[0.0, end], rtol=1e-9)
        return sol, model.graph.coordinates["depth"]

    def error(cells: int, scheme: Scheme) -> float:
        sol, z = solve(cells, scheme)
        return float(np.abs(sol.states["c"][-1].numpy() - true(z)).max())

    cells = bench.pick(200, 400)
    (sol, z), (upwind, _) = solve(cells, "central"), solve(cells, "upwind")
    computed, at = sol.states["c"][-1].numpy(), np.array([0.2, 0.4, 0.5, 0.6, 0.8])
    source, near = "Ogata and Banks 1961, eq 26", bench.pick(1e-3, 3e-4)
    entered = exact.ogata_banks_inflow(np.array([end]), flow["velocity"], flow["dispersion"])
    profile, inflow = np.interp(at, z, computed), sol.fluxes["inflow"].numpy()
    checks = (
        check("concentration after 5 d, by depth", "1", labels(at, "m"), profile, true(at), near, source),
        check("solute entered", "m", ["5 d"], inflow, entered, near, source, relative=True),
    )
    reason = "upwind: the flux takes the value of the cell behind, half a cell away: first order"
    convergence = bench.studies(
        in_space(lambda n: error(n, "central"), 2.0, (0.02, 0.01, 0.005), "1", (2.0, 1.8, 2.3)),
        in_space(lambda n: error(n, "upwind"), 2.0, (0.01, 0.005, 0.0025), "1", (1.0, 0.8, 1.2), reason),
    )
    lines = [
        Line(computed, z, "central"),
        Line(upwind.states["c"][-1].numpy(), z, "upwind", "dashed"),
        Line(true(z)[::12], z[::12], "exact", "points"),
    ]
    panel = Panel("concentration (-)", "depth (m)", lines, "after 5 d", downwards=True)
    return Outcome(checks, balance_of(sol), convergence, (panel,))
