"""Richards' equation where the answer is exact: linear soil, steady profiles, equilibrium, limits."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..arrays import Array
from ..models import RichardsColumn
from ..solve import Solution
from . import exact
from .convergence import FACE_ORDER, PROFILE_ORDER, in_space, in_time
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, labels, reference, stretched

# --- Srivastava and Yeh 1991: centimetres and hours -----------------------------------------------

SY_SOIL = {"theta_r": 0.06, "theta_s": 0.4, "alpha": 0.1, "K_s": 1.0, "S_s": 1e-8}
SY_TIMES = (0.0, 2.0, 5.0, 10.0, 20.0, 50.0)


def _sy_exact(height: Array, t: float) -> Array:
    return exact.srivastava_yeh(height, t, K_s=1.0, alpha=0.1, length=100.0, theta=(0.06, 0.4), fluxes=(0.1, 0.9))


def srivastava_yeh(bench: Bench) -> Outcome:
    """A larger flux wets a column above a water table."""

    def solve(cells: int, rtol: float = 1e-9) -> tuple[Solution, Array, Array]:
        model = RichardsColumn(100.0, cells, closure="gardner", bottom="head")
        height = 100.0 - model.graph.coordinates["depth"]
        # Steady under 0.1 cm/h: K = q + (K_s - q) exp(-alpha z).
        start = {"head": torch.from_numpy(np.log(0.1 + 0.9 * np.exp(-0.1 * height)) / 0.1)}
        forcing = {"flux": 0.9, "bottom_head": 0.0}
        sol = bench.solve(model, SY_SOIL, forcing=forcing, times=SY_TIMES, initial=start, rtol=rtol)
        return sol, height, sol.outputs["head"].numpy()

    def error(cells: int) -> float:
        _, height, head = solve(cells)
        return max(float(np.abs(head[k] - _sy_exact(height, SY_TIMES[k])).max()) for k in range(2, 6))

    sol, height, head = solve(bench.pick(100, 200))
    at = np.array([20.0, 40.0, 60.0, 80.0, 90.0])

    def compared(k: int) -> Check:
        what = f"head after {SY_TIMES[k]:g} h, by height above the water table"
        numbers = np.interp(at, height[::-1], head[k, ::-1]), _sy_exact(at, SY_TIMES[k])
        return check(what, "cm", labels(at, "cm"), *numbers, bench.pick(0.02, 0.005), "series of the paper, 400 terms")

    convergence = bench.studies(
        in_space(error, 100.0, (2.0, 1.0, 0.5), "cm", (2.0, 1.8, 2.2), FACE_ORDER, "cm"),
        in_time(lambda rtol: solve(50, rtol)[2][3], "cm", 1e-11),
    )
    fine = np.linspace(0.5, 99.5, 100)
    lines = [Line(row, height, f"{t:g} h") for t, row in zip(SY_TIMES, head, strict=True)]
    lines += [Line(_sy_exact(fine[4::6], t), fine[4::6], "series" if t == 50 else "", "points") for t in SY_TIMES[2:]]
    panel = Panel("pressure head (cm)", "height above the water table (cm)", lines, "head")
    return Outcome(tuple(map(compared, range(2, 6))), balance_of(sol), convergence, (panel,))


# --- Linear soil: Gardner's closures make Richards' equation the advection-dispersion equation -----

LINEAR = {"theta_r": 0.05, "theta_s": 0.45, "alpha": 5.0, "K_s": 0.2, "S_s": 1e-8}
LINEAR_TIMES = (0.0, 0.25, 0.5, 1.0)


def linear_soil(bench: Bench) -> Outcome:
    """Infiltration from a surface that is held wet."""
    span = LINEAR["theta_s"] - LINEAR["theta_r"]
    flow = LINEAR["K_s"] / span, LINEAR["K_s"] / (LINEAR["alpha"] * span)
    low, high = 0.2, 0.8  # effective saturation before, and held at the surface

    def solve(cells: int, rtol: float = 1e-9) -> tuple[Solution, Array, Array]:
        model = RichardsColumn(4.0, cells, top="head", closure="gardner")
        forcing, start = ({"head": math.log(saturation) / LINEAR["alpha"]} for saturation in (high, low))
        sol = bench.solve(model, LINEAR, forcing=forcing, times=LINEAR_TIMES, initial=start, rtol=rtol)
        return sol, model.graph.coordinates["depth"], sol.states["theta"].numpy()

    def theta(z: Array, t: float) -> Array:
        return np.asarray(LINEAR["theta_r"] + span * (low + (high - low) * exact.ogata_banks(z, t, *flow)))

    def error(cells: int) -> float:
        _, z, computed = solve(cells)
        return float(np.abs(computed[-1] - theta(z, 1.0)).max())

    sol, z, computed = solve(bench.pick(200, 400))
    at, days = np.array([0.2, 0.5, 0.8, 1.1]), np.array(LINEAR_TIMES[1:])
    inflow = LINEAR["K_s"] * low * days + span * (high - low) * exact.ogata_banks_inflow(days, *flow)
    profile, amount = np.interp(at, z, computed[-1]), sol.fluxes["infiltration"].cumsum(0).numpy()
    source = "Ogata and Banks 1961 with v = K_s / (theta_s - theta_r), D = v / alpha"
    what, near, closely = "water content after 1 d, by depth", bench.pick(3e-4, 1e-4), bench.pick(2e-3, 5e-4)
    checks = (
        check(what, "1", labels(at, "m"), profile, theta(at, 1.0), near, source),
        check("cumulative infiltration", "m", labels(days, "d"), amount, inflow, closely, source, relative=True),
    )
    reason = FACE_ORDER + "; what the jump at the surface leaves behind falls faster"
    convergence = bench.studies(
        in_space(error, 4.0, (0.02, 0.01, 0.005), "1", (2.0, 1.8, 2.6), reason),
        in_time(lambda rtol: solve(100, rtol)[2][-1], "1", 1e-11),
    )
    lines = [Line(row, z, f"{t:g} d") for t, row in zip(LINEAR_TIMES, computed, strict=True)]
    dots = np.linspace(0.05, 2.5, 25)
    lines += [Line(theta(dots, t), dots, "exact" if t == 1 else "", "points") for t in LINEAR_TIMES[1:]]
    panel = Panel("water content (-)", "depth (m)", lines, "moisture", downwards=True)
    return Outcome(checks, balance_of(sol), convergence, (panel,))


# --- Steady flow through clay loam over sand --------------------------------------------------------

# (residual, saturated water content, alpha 1/m, n, K_s m/d): Carsel and Parrish 1988, table 3
CLAY_LOAM, SAND = (0.095, 0.41, 1.9, 1.31, 0.0624), (0.045, 0.43, 14.5, 2.68, 7.128)
STEADY_FLUX = 0.005


def layered_steady(bench: Bench) -> Outcome:
    """A steady flux through two soils to a water table."""
    layers = ((1.0, SAND[4], SAND[2], SAND[3]), (2.0, CLAY_LOAM[4], CLAY_LOAM[2], CLAY_LOAM[3]))

    def steady(depth: Array) -> Array:
        return exact.steady_head(2.0 - depth[::-1], STEADY_FLUX, layers)[::-1].copy()

    def solve(cells: int) -> tuple[Solution, Array, Array]:
        model = RichardsColumn(2.0, cells, bottom="head")
        depth = model.graph.coordinates["depth"]
        pairs = zip(("theta_r", "theta_s", "alpha", "n", "K_s"), CLAY_LOAM, SAND, strict=True)
        soil = {k: torch.from_numpy(np.where(depth < 1.0, upper, lower)) for k, upper, lower in pairs}
        true = steady(depth)
        # A start half way to hydrostatic, and a time in which the column forgets it.
        start, times = {"head": torch.from_numpy(0.8 * true)}, [0.0, 1500.0, 3000.0]
        forcing = {"flux": STEADY_FLUX, "bottom_head": 0.0}
        sol = bench.solve(model, soil | {"S_s": 1e-5}, forcing=forcing, times=times, initial=start, rtol=1e-8)
        return sol, depth, true

    def error(cells: int) -> float:
        sol, _, true = solve(cells)
        return float(np.abs(sol.outputs["head"][-1].numpy() - true).max())

    sol, depth, _ = solve(bench.pick(200, 800))
    at, head = np.array([0.2, 0.6, 0.9, 1.1, 1.5, 1.8]), sol.outputs["head"][-1].numpy()
    source = "dh/dz = q / K(h) - 1 from the water table up, Runge and Kutta's method with 4000 steps a layer"
    profile, near = np.interp(at, depth, head), bench.pick(5e-4, 2e-4)
    out, enters = sol.fluxes["drainage"][-1:].numpy() / 1500.0, "what enters at the surface"
    checks = (
        check("head, by depth", "m", labels(at, "m"), profile, steady(at), near, source),
        check("flux through the base", "m/d", ["end"], out, [STEADY_FLUX], 1e-6, enters, relative=True),
    )
    reason = (
        "second order within each soil; the one face between them is of first order, since its mean is exact only where "
        "both soils are saturated"
    )
    convergence = bench.studies(in_space(error, 2.0, (0.02, 0.01, 0.005), "m", (1.0, 0.8, 1.3), reason))
    fine = np.linspace(0.005, 1.995, 200)
    lines = [Line(100 * head, depth, "computed"), Line(100 * steady(fine)[::8], fine[::8], "exact", "points")]
    moisture = [Line(sol.states["theta"][-1].numpy(), depth, "computed")]
    panels = (
        Panel("pressure head (cm)", "depth (m)", lines, "clay loam over sand", downwards=True),
        Panel("water content (-)", "depth (m)", moisture, "moisture jumps, head does not", downwards=True),
    )
    return Outcome(checks, balance_of(sol), convergence, panels)


# --- Hydrostatic equilibrium ------------------------------------------------------------------------

LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496, "S_s": 1e-5}


def hydrostatic(bench: Bench) -> Outcome:
    """A column above a water table, left alone."""
    model = RichardsColumn(1.0, bench.pick(40, 100), bottom="head")
    depth, times = model.graph.coordinates["depth"], [0.0, 500.0, 2000.0]
    forcing, start = {"flux": 0.0, "bottom_head": 0.0}, {"head": torch.from_numpy((depth - 1.0) * 1.3)}
    sol = bench.solve(model, LOAM, forcing=forcing, times=times, initial=start, rtol=1e-9, atol=1e-12)
    height = 1.0 - depth
    theta = 0.078 + (0.43 - 0.078) * (1 + (3.6 * height) ** 1.56) ** -(1 - 1 / 1.56)
    some = np.linspace(0, len(depth) - 1, 6).astype(int)
    at, source = [f"{height[k]:.3g} m" for k in some], "no flow means h = -z; van Genuchten 1980, eq 3"
    head, moisture = sol.outputs["head"][-1].numpy(), sol.states["theta"][-1].numpy()
    drained = sol.fluxes["drainage"][-1:].numpy()
    checks = (
        check("head, by height above the water table", "m", at, head[some], -height[some], 1e-5, source),
        check("water content, by height", "1", at, moisture[some], theta[some], 1e-6, source),
        check("drainage of the last 1500 d", "m", ["500-2000 d"], drained, [0.0], 1e-6, source),
    )
    lines = [
        Line(sol.states["theta"][0].numpy(), height, "start"),
        Line(moisture, height, "after 2000 d"),
        Line(theta[::4], height[::4], "exact", "points"),
    ]
    panel = Panel("water content (-)", "height above the water table (m)", lines)
    return Outcome(checks, balance_of(sol), (), (panel,))


# --- Limits: Philip's sorptivity at early time, Green and Ampt's sharp front ------------------------

SORPTION_TIMES = np.array([0.0, 1e-3, 2e-3, 4e-3])


def philip_sorptivity(bench: Bench) -> Outcome:
    """Infiltration of the first minutes, which grows with the square root of time."""
    expected, root = float(reference("sorptivity_loam")["value"][0]), np.sqrt(SORPTION_TIMES[1:])

    def solve(cells: int) -> tuple[Solution, Array, float, float]:
        model = RichardsColumn(0.05, cells, top="head", thickness=stretched(0.05, cells, 100.0))
        forcing, start = {"head": -0.1}, {"head": -5.0}
        sol = bench.solve(model, LOAM, forcing=forcing, times=SORPTION_TIMES, initial=start, rtol=1e-9, atol=1e-12)
        amount = sol.fluxes["infiltration"].cumsum(0).numpy()
        # Philip's two terms, fitted: I / sqrt(t) = S + A sqrt(t).
        slope, sorptivity = np.polyfit(root, amount / root, 1)
        return sol, amount, float(sorptivity), float(slope)

    def error(cells: int) -> float:
        return abs(solve(cells)[2] - expected)

    sol, amount, sorptivity, slope = solve(bench.pick(200, 400))
    unit, near, source = (
        "m d^-1/2",
        bench.pick(3.5e-3, 2e-3),
        "Boltzmann's transform, shooting on F'' F = -2 D (SciPy LSODA)",
    )
    checks = (check("sorptivity", unit, ["S"], [sorptivity], [expected], near, source, relative=True),)
    sizes = [0.05 / cells for cells in (100, 200, 400)]
    convergence = bench.studies(in_space(error, 0.05, sizes, unit, (2.0, 1.2, 2.6), PROFILE_ORDER))
    fine = np.linspace(0, 0.066, 50)
    lines = [
        Line(root, 1000 * amount, "computed", "points"),
        Line(fine, 1000 * expected * fine, "S sqrt(t)"),
        Line(fine, 1000 * (expected * fine + slope * fine**2), "S sqrt(t) + A t", "dashed"),
    ]
    title = "early infiltration into loam"
    panel = Panel("square root of time (d$^{1/2}$)", "cumulative infiltration (mm)", lines, title)
    return Outcome(checks, balance_of(sol), convergence, (panel,))


GA_TIMES = (0.0, 0.05, 0.1, 0.2, 0.4)
GA_HEAD, GA_SPAN, GA_K, GA_STEEP = 0.2, 0.3, 0.25, 6.0


def green_ampt(bench: Bench) -> Outcome:
    """Retention and conductivity fall at `GA_HEAD`, the more sharply the larger their exponents."""
    times, b, b_k, cells = np.array(GA_TIMES[1:]), GA_STEEP, 3 * GA_STEEP, bench.pick(70, 140)
    soil = {"theta_r": 0.1, "theta_s": 0.1 + GA_SPAN, "A_theta": GA_HEAD**b, "B_theta": b}
    soil |= {"A_K": GA_HEAD**b_k, "B_K": b_k, "K_s": GA_K, "S_s": 1e-4}
    model = RichardsColumn(0.7, cells, top="head", closure="haverkamp")
    forcing, start = {"head": 0.0}, {"head": -0.6}
    sol = bench.solve(model, soil, forcing=forcing, times=GA_TIMES, initial=start, rtol=1e-6)
    # Capillary drive: the integral of K / K_s over suction, here (pi / b_k) / sin(pi / b_k) times the head.
    drive = GA_HEAD * (math.pi / b_k) / math.sin(math.pi / b_k) * GA_SPAN
    amount, expected = sol.fluxes["infiltration"].cumsum(0).numpy(), exact.green_ampt(times, GA_K, drive)
    at, source = labels(24 * times, "h"), "Green and Ampt 1911 with the capillary drive of the closure"
    checks = (check("cumulative infiltration", "m", at, amount, expected, 7e-3, source, relative=True),)
    z, fine = model.graph.coordinates["depth"], np.linspace(0, 0.4, 60)
    rows = zip(GA_TIMES, sol.states["theta"], strict=True)
    fronts = [Line(row.numpy(), z, f"{24 * t:g} h") for t, row in rows]
    sharp = Line(24 * fine, 1000 * exact.green_ampt(fine, GA_K, drive), "Green and Ampt")
    amounts = [Line(24 * times, 1000 * amount, "computed", "points"), sharp]
    panels = (
        Panel("time (h)", "cumulative infiltration (mm)", amounts, "infiltration"),
        Panel("water content (-)", "depth (m)", fronts, "a sharp front", downwards=True),
    )
    return Outcome(checks, balance_of(sol), (), panels)
