"""Richards' equation where the answer is exact: linear soil, steady profiles, equilibrium, limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..models import RichardsColumn
from ..solve import Solution
from . import exact
from .problem import (
    FACE_ORDER,
    PROFILE_ORDER,
    TOLERANCE_ORDER,
    Array,
    Bench,
    Convergence,
    Line,
    Outcome,
    Panel,
    balance_of,
    check,
    references,
    stretched,
    study,
)

# --- Srivastava and Yeh 1991: centimetres and hours -----------------------------------------------

SY_SOIL = {"theta_r": 0.06, "theta_s": 0.4, "alpha": 0.1, "K_s": 1.0, "S_s": 1e-8}
SY_TIMES = (0.0, 2.0, 5.0, 10.0, 20.0, 50.0)


def _sy_exact(height: Array, t: float) -> Array:
    return exact.srivastava_yeh(height, t, K_s=1.0, alpha=0.1, length=100.0, theta=(0.06, 0.4), fluxes=(0.1, 0.9))


def srivastava_yeh(bench: Bench) -> Outcome:
    def solve(cells: int, rtol: float = 1e-9) -> tuple[Solution, Array]:
        model = RichardsColumn(100.0, cells, closure="gardner", bottom="head")
        height = 100.0 - model.graph.coordinates["depth"]
        # Steady under 0.1 cm/h: K = q + (K_s - q) exp(-alpha z).
        start = np.log(0.1 + 0.9 * np.exp(-0.1 * height)) / 0.1
        forcing = {"flux": torch.full((len(SY_TIMES) - 1,), 0.9), "bottom_head": 0.0}
        sol = bench.solve(model, SY_SOIL, forcing=forcing, times=SY_TIMES, initial={"head": torch.from_numpy(start)},
                          rtol=rtol, atol=rtol * 1e-2)  # fmt: skip
        return sol, height

    def error(cells: int) -> float:
        sol, height = solve(cells)
        return max(
            float(np.abs(sol.outputs["head"][k].numpy() - _sy_exact(height, SY_TIMES[k])).max()) for k in range(2, 6)
        )

    sol, height = solve(bench.pick(100, 200))
    head, at = sol.outputs["head"].numpy(), np.array([20.0, 40.0, 60.0, 80.0, 90.0])
    checks = tuple(
        check(f"head after {t:g} h, by height above the water table", "cm", [f"{z:g} cm" for z in at],
              np.interp(at, height[::-1], head[k, ::-1]), _sy_exact(at, t), bench.pick(0.02, 0.005),
              "series of the paper, 400 terms")
        for k, t in enumerate(SY_TIMES) if k > 1
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        best = solve(50, 1e-11)[0].outputs["head"][3]
        convergence = (
            study("space", [2.0, 1.0, 0.5], lambda dz: error(round(100 / dz)), "cm", 2.0, 1.8, 2.2, FACE_ORDER, "cm"),
            study("time", [1e-4, 1e-5, 1e-6, 1e-7],
                  lambda rtol: float((solve(50, rtol)[0].outputs["head"][3] - best).abs().max()), "cm", 1.0, 0.5, 1.6,
                  TOLERANCE_ORDER),
        )  # fmt: skip
    fine = np.linspace(0.5, 99.5, 100)
    lines = [Line(row, height, f"{t:g} h") for t, row in zip(SY_TIMES, head, strict=True)]
    lines += [Line(_sy_exact(fine[4::6], t), fine[4::6], "series" if t == 50 else "", "points") for t in SY_TIMES[2:]]
    panel = Panel("pressure head (cm)", "height above the water table (cm)", tuple(lines), "head")
    return Outcome(checks, balance_of(sol), convergence, (panel,))


# --- Linear soil: Gardner's closures make Richards' equation the advection-dispersion equation -----

LINEAR = {"theta_r": 0.05, "theta_s": 0.45, "alpha": 5.0, "K_s": 0.2, "S_s": 1e-8}
LINEAR_TIMES = (0.0, 0.25, 0.5, 1.0)


def linear_soil(bench: Bench) -> Outcome:
    span = LINEAR["theta_s"] - LINEAR["theta_r"]
    velocity, dispersion = LINEAR["K_s"] / span, LINEAR["K_s"] / (LINEAR["alpha"] * span)
    low, high = 0.2, 0.8  # effective saturation before, and held at the surface

    def solve(cells: int, rtol: float = 1e-9) -> Solution:
        model = RichardsColumn(4.0, cells, top="head", closure="gardner")
        forcing = {"head": math.log(high) / LINEAR["alpha"]}
        return bench.solve(model, LINEAR, forcing=forcing, times=LINEAR_TIMES,
                           initial={"head": math.log(low) / LINEAR["alpha"]}, rtol=rtol, atol=rtol * 1e-2)  # fmt: skip

    def theta(z: Array, t: float) -> Array:
        share = exact.ogata_banks(z, t, velocity, dispersion)
        return np.asarray(LINEAR["theta_r"] + span * (low + (high - low) * share))

    def error(cells: int) -> float:
        sol = solve(cells)
        z = sol.model.graph.coordinates["depth"]
        return float(np.abs(sol.states["theta"][-1].numpy() - theta(z, 1.0)).max())

    sol = solve(bench.pick(200, 400))
    z, found, at = sol.model.graph.coordinates["depth"], sol.states["theta"].numpy(), np.array([0.2, 0.5, 0.8, 1.1])
    hours = [f"{t:g} d" for t in LINEAR_TIMES[1:]]
    inflow = LINEAR["K_s"] * low * np.array(LINEAR_TIMES[1:]) + span * (high - low) * exact.ogata_banks_inflow(
        np.array(LINEAR_TIMES[1:]), velocity, dispersion
    )
    source = "Ogata and Banks 1961 with v = K_s / (theta_s - theta_r), D = v / alpha"
    checks = (
        check("water content after 1 d, by depth", "1", [f"{x:g} m" for x in at], np.interp(at, z, found[-1]),
              theta(at, 1.0), bench.pick(3e-4, 1e-4), source),
        check("cumulative infiltration", "m", hours, sol.fluxes["infiltration"].cumsum(0).numpy(), inflow,
              bench.pick(2e-3, 5e-4), source, relative=True),
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        best = solve(100, 1e-11).states["theta"][-1]
        convergence = (
            study("space", [0.02, 0.01, 0.005], lambda dz: error(round(4 / dz)), "1", 2.0, 1.8, 2.6,
                  FACE_ORDER + "; what the jump at the surface leaves behind falls faster"),
            study("time", [1e-4, 1e-5, 1e-6, 1e-7],
                  lambda rtol: float((solve(100, rtol).states["theta"][-1] - best).abs().max()), "1", 1.0, 0.5, 1.6,
                  TOLERANCE_ORDER),
        )  # fmt: skip
    lines = [Line(row, z, f"{t:g} d") for t, row in zip(LINEAR_TIMES, found, strict=True)]
    dots = np.linspace(0.05, 2.5, 25)
    lines += [Line(theta(dots, t), dots, "exact" if t == 1 else "", "points") for t in LINEAR_TIMES[1:]]
    return Outcome(
        checks, balance_of(sol), convergence,
        (Panel("water content (-)", "depth (m)", tuple(lines), "moisture", downwards=True),),
    )  # fmt: skip


# --- Steady flow through clay loam over sand --------------------------------------------------------

# (residual, saturated water content, alpha 1/m, n, K_s m/d): Carsel and Parrish 1988, table 3
CLAY_LOAM, SAND = (0.095, 0.41, 1.9, 1.31, 0.0624), (0.045, 0.43, 14.5, 2.68, 7.128)
STEADY_FLUX = 0.005


def layered_steady(bench: Bench) -> Outcome:
    layers = ((1.0, SAND[4], SAND[2], SAND[3]), (2.0, CLAY_LOAM[4], CLAY_LOAM[2], CLAY_LOAM[3]))

    def solve(cells: int) -> tuple[Solution, Array, Array]:
        model = RichardsColumn(2.0, cells, bottom="head")
        depth = model.graph.coordinates["depth"]
        names = ("theta_r", "theta_s", "alpha", "n", "K_s")
        soil = {
            k: torch.from_numpy(np.where(depth < 1.0, a, b)) for k, a, b in zip(names, CLAY_LOAM, SAND, strict=True)
        }
        true = exact.steady_head(2.0 - depth[::-1], STEADY_FLUX, layers)[::-1].copy()
        # A start half way to hydrostatic, and a time in which the column forgets it.
        start = torch.from_numpy(0.8 * true)
        sol = bench.solve(model, soil | {"S_s": 1e-5}, forcing={"flux": STEADY_FLUX, "bottom_head": 0.0},
                          times=[0.0, 1500.0, 3000.0], initial={"head": start}, rtol=1e-8, atol=1e-10)  # fmt: skip
        return sol, depth, true

    def error(cells: int) -> float:
        sol, _, true = solve(cells)
        return float(np.abs(sol.outputs["head"][-1].numpy() - true).max())

    sol, depth, _ = solve(bench.pick(200, 800))
    at = np.array([0.2, 0.6, 0.9, 1.1, 1.5, 1.8])
    head = sol.outputs["head"][-1].numpy()
    expected = exact.steady_head(2.0 - at[::-1], STEADY_FLUX, layers)[::-1]
    source = "dh/dz = q / K(h) - 1 from the water table up, Runge and Kutta's method with 4000 steps a layer"
    checks = (
        check("head, by depth", "m", [f"{d:g} m" for d in at], np.interp(at, depth, head), expected,
              bench.pick(5e-4, 2e-4), source),
        check("flux through the base", "m/d", ["end"], sol.fluxes["drainage"][-1:].numpy() / 1500.0, [STEADY_FLUX],
              1e-6, "what enters at the surface", relative=True),
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        convergence = (
            study("space", [0.02, 0.01, 0.005], lambda dz: error(round(2 / dz)), "m", 1.0, 0.8, 1.3,
                  "second order within each soil; the one face between them is of first order, since its mean is "
                  "exact only where both soils are saturated"),
        )  # fmt: skip
    fine = np.linspace(0.005, 1.995, 200)
    lines = (
        Line(100 * head, depth, "computed"),
        Line(100 * exact.steady_head(2.0 - fine[::-1], STEADY_FLUX, layers)[::-1][::8], fine[::8], "exact", "points"),
    )
    moisture = (Line(sol.states["theta"][-1].numpy(), depth, "computed"),)
    return Outcome(
        checks, balance_of(sol), convergence,
        (Panel("pressure head (cm)", "depth (m)", lines, "clay loam over sand", downwards=True),
         Panel("water content (-)", "depth (m)", moisture, "moisture jumps, head does not", downwards=True)),
    )  # fmt: skip


# --- Hydrostatic equilibrium ------------------------------------------------------------------------

LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496, "S_s": 1e-5}


def hydrostatic(bench: Bench) -> Outcome:
    model = RichardsColumn(1.0, bench.pick(40, 100), bottom="head")
    depth = model.graph.coordinates["depth"]
    start = torch.from_numpy((depth - 1.0) * 1.3)
    sol = bench.solve(model, LOAM, forcing={"flux": [0.0, 0.0], "bottom_head": 0.0}, times=[0.0, 500.0, 2000.0],
                      initial={"head": start}, rtol=1e-9, atol=1e-12)  # fmt: skip
    height = 1.0 - depth
    m = 1 - 1 / 1.56
    theta = 0.078 + (0.43 - 0.078) * (1 + (3.6 * height) ** 1.56) ** -m
    some = np.linspace(0, len(depth) - 1, 6).astype(int)
    labels = [f"{height[k]:.3g} m" for k in some]
    source = "no flow means h = -z; van Genuchten 1980, eq 3"
    found = sol.states["theta"][-1].numpy()
    checks = (
        check("head, by height above the water table", "m", labels, sol.outputs["head"][-1].numpy()[some],
              -height[some], 1e-5, source),
        check("water content, by height", "1", labels, found[some], theta[some], 1e-6, source),
        check("drainage of the last 1500 d", "m", ["500-2000 d"], sol.fluxes["drainage"][-1:].numpy(), [0.0], 1e-6, source),
    )  # fmt: skip
    lines = (Line(sol.states["theta"][0].numpy(), height, "start"), Line(found, height, "after 2000 d"),
             Line(theta[::4], height[::4], "exact", "points"))  # fmt: skip
    return Outcome(
        checks, balance_of(sol), (), (Panel("water content (-)", "height above the water table (m)", lines),)
    )


# --- Limits: Philip's sorptivity at early time, Green and Ampt's sharp front ------------------------

SORPTION_TIMES = np.array([0.0, 1e-3, 2e-3, 4e-3])


def philip_sorptivity(bench: Bench) -> Outcome:
    expected = references()["sorptivity_loam"]

    def solve(cells: int) -> tuple[Solution, Array, float, float]:
        model = RichardsColumn(0.05, cells, top="head", thickness=stretched(0.05, cells, 100.0))
        forcing = {"head": torch.full((len(SORPTION_TIMES) - 1,), -0.1)}
        sol = bench.solve(
            model, LOAM, forcing=forcing, times=SORPTION_TIMES, initial={"head": -5.0}, rtol=1e-9, atol=1e-12
        )
        amount = sol.fluxes["infiltration"].cumsum(0).numpy()
        root = np.sqrt(SORPTION_TIMES[1:])
        # Philip's two terms, fitted: I / sqrt(t) = S + A sqrt(t).
        slope, sorptivity = np.polyfit(root, amount / root, 1)
        return sol, amount, float(sorptivity), float(slope)

    sol, amount, found, slope = solve(bench.pick(200, 400))
    checks = (
        check("sorptivity", "m d^-1/2", ["S"], [found], [expected], bench.pick(3.5e-3, 2e-3),
              "Boltzmann's transform, shooting on F'' F = -2 D (SciPy LSODA)", relative=True),
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        convergence = (
            study("space", [0.05 / c for c in (100, 200, 400)],
                  lambda dz: abs(solve(round(0.05 / dz))[2] - expected), "m d^-1/2", 2.0, 1.2, 2.6, PROFILE_ORDER),
        )  # fmt: skip
    root = np.sqrt(SORPTION_TIMES[1:])
    fine = np.linspace(0, 0.066, 50)
    lines = (Line(root, 1000 * amount, "computed", "points"), Line(fine, 1000 * expected * fine, "S sqrt(t)"),
             Line(fine, 1000 * (expected * fine + slope * fine**2), "S sqrt(t) + A t", "dashed"))  # fmt: skip
    return Outcome(
        checks, balance_of(sol), convergence,
        (Panel("square root of time (d$^{1/2}$)", "cumulative infiltration (mm)", lines, "early infiltration into loam"),),
    )  # fmt: skip


GA_TIMES = (0.0, 0.05, 0.1, 0.2, 0.4)
GA_HEAD, GA_SPAN, GA_K, GA_STEEP = 0.2, 0.3, 0.25, 6.0


def green_ampt(bench: Bench) -> Outcome:
    times = np.array(GA_TIMES[1:])

    def solve(steepness: float, cells: int) -> tuple[Solution, Array, Array]:
        """Retention and conductivity fall at `GA_HEAD`, the more sharply the larger the exponents."""
        b, b_k = steepness, 3 * steepness
        soil = {"theta_r": 0.1, "theta_s": 0.1 + GA_SPAN, "A_theta": GA_HEAD**b, "B_theta": b, "A_K": GA_HEAD**b_k,
                "B_K": b_k, "K_s": GA_K, "S_s": 1e-4}  # fmt: skip
        model = RichardsColumn(0.7, cells, top="head", closure="haverkamp")
        forcing = {"head": torch.zeros(len(GA_TIMES) - 1)}
        sol = bench.solve(model, soil, forcing=forcing, times=GA_TIMES, initial={"head": -0.6}, rtol=1e-6, atol=1e-8)
        # Capillary drive: the integral of K / K_s over suction, here (pi / b_k) / sin(pi / b_k) times the head.
        drive = GA_HEAD * (math.pi / b_k) / math.sin(math.pi / b_k) * GA_SPAN
        return sol, sol.fluxes["infiltration"].cumsum(0).numpy(), exact.green_ampt(times, GA_K, drive)

    def labelled(values: Sequence[float]) -> list[str]:
        return [f"{24 * t:g} h" for t in values]

    sol, found, expected = solve(GA_STEEP, bench.pick(70, 140))
    checks = (check("cumulative infiltration", "m", labelled(GA_TIMES[1:]), found, expected, 7e-3,
                    "Green and Ampt 1911 with the capillary drive of the closure", relative=True),)  # fmt: skip
    z = sol.model.graph.coordinates["depth"]
    fine = np.linspace(0, 0.4, 60)
    tail = math.pi / (3 * GA_STEEP)
    drive = GA_HEAD * tail / math.sin(tail) * GA_SPAN
    fronts = [Line(row.numpy(), z, f"{24 * t:g} h") for t, row in zip(GA_TIMES, sol.states["theta"], strict=True)]
    amount = (Line(24 * times, 1000 * found, "computed", "points"),
              Line(24 * fine, 1000 * exact.green_ampt(fine, GA_K, drive), "Green and Ampt"))  # fmt: skip
    return Outcome(
        checks, balance_of(sol), (),
        (Panel("time (h)", "cumulative infiltration (mm)", amount, "infiltration"),
         Panel("water content (-)", "depth (m)", tuple(fronts), "a sharp front", downwards=True)),
    )  # fmt: skip
