"""Diffusion, heat and advection where the answer is exact: other processes on the same solvers."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..model import TimeSeries
from ..models import DiffusionRaster, HeatColumn, SoluteColumn
from ..solve import Solution
from . import exact
from .problem import (
    FACE_ORDER,
    TOLERANCE_ORDER,
    Array,
    Bench,
    Convergence,
    Line,
    Outcome,
    Panel,
    balance_of,
    check,
    study,
)


def diffusion_raster(bench: Bench) -> Outcome:
    """c = 1 + cos(pi x) cos(2 pi y) exp(-5 pi^2 D t)."""
    end = 0.02

    def solve(n: int, rtol: float = 1e-10) -> tuple[Solution, Array, Array]:
        model = DiffusionRaster(n)
        x, y = (model.graph.coordinates[k] for k in "xy")
        mode = np.cos(math.pi * x) * np.cos(2 * math.pi * y)
        sol = bench.solve(model, {"D": 1.0}, times=[0.0, end], initial={"c": torch.from_numpy(1 + mode)}, rtol=rtol,
                          atol=rtol * 1e-2)  # fmt: skip
        return sol, sol.states["c"][-1].numpy(), 1 + mode * math.exp(-5 * math.pi**2 * end)

    def error(n: int) -> float:
        _, found, true = solve(n)
        return float(np.abs(found - true).max())

    n = bench.pick(32, 40)
    sol, found, true = solve(n)
    some = np.linspace(0, n * n - 1, 7).astype(int)
    at = [f"cell ({k // n}, {k % n})" for k in some]
    checks = (
        check(
            "concentration",
            "1",
            at,
            found[some],
            true[some],
            bench.pick(1.5e-3, 1e-3),
            "Fourier mode of the heat equation",
        ),
    )
    grids = bench.pick((8, 16), (8, 16, 32))
    convergence = [
        study("space", [1 / g for g in grids], lambda dx: error(round(1 / dx)), "1", 2.0, 1.85, 2.15, FACE_ORDER)
    ]
    if not bench.small:
        best = solve(12, 1e-12)[1]
        convergence.append(
            study("time", [1e-4, 1e-5, 1e-6, 1e-7], lambda rtol: float(np.abs(solve(12, rtol)[1] - best).max()), "1",
                  1.0, 0.5, 1.6, TOLERANCE_ORDER)
        )  # fmt: skip
    y, x = (sol.model.graph.coordinates[k].reshape(n, n) for k in "yx")
    rows = [(0, "0"), (n // 4, "n/4"), (n // 2, "n/2")]
    lines = [Line(x[i], found.reshape(n, n)[i], f"y = {y[i, 0]:.2f} m") for i, _ in rows]
    lines += [Line(x[i, ::3], true.reshape(n, n)[i, ::3], "exact" if i == 0 else "", "points") for i, _ in rows]
    return Outcome(checks, balance_of(sol), tuple(convergence), (Panel("x (m)", "concentration (-)", tuple(lines)),))


# --- Periodic soil temperature (Carslaw and Jaeger 1959, section 2.6) -----------------------------


def heat_sine(bench: Bench) -> Outcome:
    """T = sin(pi z / L) exp(-pi^2 kappa t / L^2), both ends held at 0 degC."""
    soil, length, end = {"conductivity": 0.12, "capacity": 2.1}, 1.0, 2.0
    kappa = soil["conductivity"] / soil["capacity"]

    def solve(cells: int, rtol: float = 1e-10) -> tuple[Solution, Array, Array]:
        model = HeatColumn(length, cells, base=True)
        z = model.graph.coordinates["depth"]
        mode = 10 * np.sin(math.pi * z / length)
        sol = bench.solve(model, soil, forcing={"surface_temperature": [0.0, 0.0], "base_temperature": [0.0, 0.0]},
                          times=[0.0, end / 2, end], initial={"heat": torch.from_numpy(soil["capacity"] * mode)},
                          rtol=rtol, atol=rtol * 1e-2)  # fmt: skip
        return sol, sol.outputs["temperature"][-1].numpy(), mode * math.exp(-(math.pi**2) * kappa * end / length**2)

    def error(cells: int) -> float:
        _, found, true = solve(cells)
        return float(np.abs(found - true).max())

    sol, found, true = solve(bench.pick(40, 80))
    z = sol.model.graph.coordinates["depth"]
    at = np.array([0.1, 0.25, 0.5, 0.75])
    share = math.exp(-(math.pi**2) * kappa * end)
    checks = (
        check("temperature after 2 d, by depth", "degC", [f"{d:g} m" for d in at], np.interp(at, z, found),
              10 * np.sin(math.pi * at) * share, bench.pick(1e-2, 2e-3), "Fourier mode"),
        check("heat left after 2 d", "MJ/m2", ["column"], sol.storage[-1:].numpy(),
              [soil["capacity"] * 10 * 2 / math.pi * share], bench.pick(2e-3, 4e-4), "its integral", relative=True),
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        best = solve(20, 1e-12)[1]
        convergence = (
            study("space", [0.05, 0.025, 0.0125], lambda dz: error(round(1 / dz)), "degC", 2.0, 1.85, 2.15, FACE_ORDER),
            study("time", [1e-4, 1e-5, 1e-6, 1e-7], lambda rtol: float(np.abs(solve(20, rtol)[1] - best).max()), "degC",
                  1.0, 0.5, 1.6, TOLERANCE_ORDER),
        )  # fmt: skip
    lines = [
        Line(row.numpy(), z, f"{t:g} d") for t, row in zip((0.0, end / 2, end), sol.outputs["temperature"], strict=True)
    ]
    lines.append(Line(true[::5], z[::5], "exact", "points"))
    panel = Panel("temperature (degC)", "depth (m)", tuple(lines), downwards=True)
    return Outcome(checks, balance_of(sol), convergence, (panel,))


def heat_periodic(bench: Bench) -> Outcome:
    """T = 10 + 8 exp(-z / d) sin(omega t - z / d), damping depth d = sqrt(2 kappa / omega)."""
    soil = {"conductivity": 0.12, "capacity": 2.1}
    omega, depth, days = 2 * math.pi, 1.5, 3
    damping = math.sqrt(2 * soil["conductivity"] / soil["capacity"] / omega)

    def wave(z: Array, t: Array | float) -> Array:
        return np.asarray(10 + 8 * np.exp(-z / damping) * np.sin(omega * np.asarray(t) - z / damping))

    # Straight lines between nodes of the surface wave are off by (omega dt)^2 / 8 of its amplitude.
    nodes = np.linspace(0.0, days, days * 1440 // bench.pick(10, 5) + 1)
    forcing = {"surface_temperature": TimeSeries(nodes, torch.from_numpy(wave(np.zeros(1), nodes)), "linear")}

    def solve(cells: int) -> tuple[Solution, Array]:
        model = HeatColumn(depth, cells)
        z = model.graph.coordinates["depth"]
        sol = bench.solve(model, soil, forcing=forcing, times=np.arange(0, days + 0.01, 0.25),
                          initial={"heat": torch.from_numpy(soil["capacity"] * wave(z, 0.0))}, rtol=1e-7, atol=1e-9)  # fmt: skip
        return sol, z

    def error(cells: int) -> float:
        sol, z = solve(cells)
        return float(np.abs(sol.outputs["temperature"][-1].numpy() - wave(z, float(days))).max())

    sol, z = solve(150)
    found, at = sol.outputs["temperature"].numpy(), np.array([0.05, 0.1, 0.2, 0.4])
    labels = [f"{d:g} m" for d in at]
    source = "damped wave, Carslaw and Jaeger 1959, section 2.6"
    checks = tuple(
        check(f"temperature after {t:g} d, by depth", "degC", labels, np.interp(at, z, found[k]), wave(at, t),
              0.006, source)
        for k, t in ((9, 2.25), (10, 2.5), (12, 3.0))
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        convergence = (
            study("space", [0.06, 0.03, 0.015], lambda dz: error(round(depth / dz)), "degC", 2.0, 1.7, 2.3, FACE_ORDER),
        )
    lines = [Line(found[k], z, f"{24 * (0.25 * k) % 24:g} h") for k in (9, 10, 11, 12)]
    lines += [Line(wave(z, 0.25 * k)[::5], z[::5], "exact" if k == 12 else "", "points") for k in (9, 10, 11, 12)]
    panel = Panel("temperature (degC)", "depth (m)", tuple(lines), "daily wave, third day", downwards=True)
    return Outcome(checks, balance_of(sol), convergence, (panel,))


# --- Advection and dispersion ---------------------------------------------------------------------


def advection_dispersion(bench: Bench) -> Outcome:
    given, end = {"velocity": 0.1, "dispersion": 0.004}, 5.0

    def true(z: Array) -> Array:
        return exact.ogata_banks(z, end, given["velocity"], given["dispersion"])

    def solve(cells: int, scheme: str = "central", rtol: float = 1e-9) -> tuple[Solution, Array]:
        model = SoluteColumn(2.0, cells, scheme)
        sol = bench.solve(model, given, forcing={"inlet": [1.0]}, times=[0.0, end], rtol=rtol, atol=rtol * 1e-2)
        return sol, model.graph.coordinates["depth"]

    def error(cells: int, scheme: str) -> float:
        sol, z = solve(cells, scheme)
        return float(np.abs(sol.states["c"][-1].numpy() - true(z)).max())

    cells = bench.pick(200, 400)
    sol, z = solve(cells)
    found, at = sol.states["c"][-1].numpy(), np.array([0.2, 0.4, 0.5, 0.6, 0.8])
    source = "Ogata and Banks 1961, eq 26"
    entered = exact.ogata_banks_inflow(np.array([end]), given["velocity"], given["dispersion"])
    checks = (
        check("concentration after 5 d, by depth", "1", [f"{d:g} m" for d in at], np.interp(at, z, found), true(at),
              bench.pick(1e-3, 3e-4), source),
        check("solute entered", "m", ["5 d"], sol.fluxes["inflow"].numpy(), entered, bench.pick(1e-3, 3e-4), source,
              relative=True),
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    upwind, _ = solve(cells, "upwind")
    if not bench.small:
        convergence = (
            study("space", [0.02, 0.01, 0.005], lambda dz: error(round(2 / dz), "central"), "1", 2.0, 1.8, 2.3, FACE_ORDER),
            study("space", [0.01, 0.005, 0.0025], lambda dz: error(round(2 / dz), "upwind"), "1", 1.0, 0.8, 1.2,
                  "upwind: the flux takes the value of the cell behind, half a cell away: first order"),
        )  # fmt: skip
    lines = (Line(found, z, "central"), Line(upwind.states["c"][-1].numpy(), z, "upwind", "dashed"),
             Line(true(z)[::12], z[::12], "exact", "points"))  # fmt: skip
    panel = Panel("concentration (-)", "depth (m)", lines, "after 5 d", downwards=True)
    return Outcome(checks, balance_of(sol), convergence, (panel,))
