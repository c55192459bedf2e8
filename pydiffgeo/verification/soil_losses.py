"""Water that soil loses to the air and to roots: exact answers for Gardner's soil."""

from __future__ import annotations

import numpy as np
import torch

from ..arrays import Array
from ..models import RichardsColumn
from ..solve import Solution
from . import exact
from .convergence import in_space
from .problem import Bench, Line, Outcome, Panel, check, labels, stretched, worst_balance

# --- Evaporation of bare soil -------------------------------------------------------------------

GARDNER = {"theta_r": 0.05, "theta_s": 0.45, "alpha": 5.0, "K_s": 0.2, "S_s": 1e-6}
WATER_TABLE = 0.5  # m below the surface
DEMAND = 20.0  # m/d, more than any soil gives: the surface is air-dry from the start
DAYS = (0.0, 0.25, 0.5, 1.0)
WET = 0.8  # effective saturation before


def _drying(bench: Bench, thickness: Array) -> Solution:
    model = RichardsColumn(4.0, len(thickness), top="atmosphere", closure="gardner", thickness=thickness)
    forcing = {"precipitation": 0.0, "potential_evaporation": DEMAND}
    start = {"head": float(np.log(WET)) / GARDNER["alpha"]}
    return bench.solve(model, GARDNER, forcing=forcing, times=DAYS, initial=start, rtol=1e-6)


def _rising(bench: Bench, cells: int) -> Solution:
    # The head falls without end towards the surface: cells are thin there.
    thickness = stretched(WATER_TABLE, cells, 50.0)
    model = RichardsColumn(WATER_TABLE, cells, top="atmosphere", bottom="head", closure="gardner", thickness=thickness)
    start = {"head": torch.from_numpy(model.graph.coordinates["depth"] - WATER_TABLE)}
    forcing = {"precipitation": 0.0, "potential_evaporation": 0.1, "bottom_head": 0.0}
    times = [0.0, 60.0, 70.0]
    return bench.solve(model, GARDNER, forcing=forcing, times=times, initial=start, rtol=1e-7, atol=1e-10)


def bare_soil_evaporation(bench: Bench) -> Outcome:
    """A wet soil under dry air, and steady flow from a water table to dry air."""
    span = GARDNER["theta_s"] - GARDNER["theta_r"]
    velocity, dispersion = GARDNER["K_s"] / span, GARDNER["K_s"] / (GARDNER["alpha"] * span)
    days = np.array(DAYS[1:])
    # What a surface without water takes out, less what gravity would have carried down through it.
    lost = WET * span * (exact.ogata_banks_inflow(days, velocity, dispersion) - velocity * days)
    drying = _drying(bench, stretched(4.0, bench.pick(120, 240), 400.0))
    rising = _rising(bench, bench.pick(80, 160))
    rate = GARDNER["K_s"] / np.expm1(GARDNER["alpha"] * WATER_TABLE)
    height, at = WATER_TABLE - rising.model.graph.coordinates["depth"], np.array([0.1, 0.2, 0.3, 0.4])
    head = rising.outputs["head"][-1].numpy()

    def steady(z: Array) -> Array:
        share = rate / GARDNER["K_s"]
        return np.asarray(np.log((1 + share) * np.exp(-GARDNER["alpha"] * z) - share) / GARDNER["alpha"])

    def error(cells: int) -> float:
        sol = _drying(bench, np.full(cells, 4.0 / cells))
        return float(np.abs(sol.fluxes["evaporation"].cumsum(0).numpy() - lost)[-1])

    gone, rises = drying.fluxes["evaporation"].cumsum(0).numpy(), rising.fluxes["evaporation"][-1:].numpy() / 10.0
    heads, near = np.interp(at, height[::-1], head[::-1]), bench.pick(5e-3, 2e-3)
    dries, steadily = "cumulative evaporation of drying soil", "steady evaporation from a water table"
    infinite = "Ogata and Banks 1961 with no water at the surface, v = K_s / (theta_s - theta_r), D = v / alpha"
    source = "Gardner 1958: K_s / (exp(alpha L) - 1)"
    checks = (
        check(dries, "m", labels(days, "d"), gone, lost, bench.pick(6e-3, 3e-3), infinite, relative=True),
        check(steadily, "m/d", ["end"], rises, [rate], near, source, relative=True),
        check("head above the water table, by height", "m", labels(at, "m"), heads, steady(at), near, "Gardner 1958"),
    )
    reason = "the surface dries out within less than one cell at first; what is missed then falls with its size"
    convergence = bench.studies(in_space(error, 4.0, (0.04, 0.02, 0.01), "m", (1.0, 0.7, 2.5), reason))
    amounts = [Line(days, 1000 * gone, "computed"), Line(days, 1000 * lost, "exact", "points")]
    fine = np.linspace(0.02, 0.45, 12)
    profile = [Line(head, height, "computed"), Line(steady(fine), fine, "exact", "points")]
    panels = (
        Panel("time (d)", "evaporation (mm)", amounts, "a wet soil dries"),
        Panel("pressure head (m)", "height (m)", profile, "steady flow from a water table to dry air"),
    )
    return Outcome(checks, worst_balance([drying, rising]), convergence, panels)


# --- Root water uptake ----------------------------------------------------------------------------

ROOTED = {"theta_r": 0.06, "theta_s": 0.4, "alpha": 3.0, "K_s": 0.2, "S_s": 1e-6}
RAIN, TRANSPIRATION, ROOT_DEPTH = 0.002, 0.006, 0.25
# Roots take up whatever is asked for between these heads, which are beyond those of the profile.
UNSTRESSED = {"h_1": 0.0, "h_2": -1e-4, "h_3": -8.0, "h_4": -80.0}


def _rooted(depth: Array) -> Array:
    """Steady head over a water table at 1 m, from q = K (1 - dh/dz), K = K_s exp(alpha h).

    The flux left over at a depth is RAIN less the uptake above it; u = exp(alpha h) then obeys
    du/dz = alpha (u - q / K_s), which exponential roots let integrate in closed form.
    """
    alpha, K_s = ROOTED["alpha"], ROOTED["K_s"]
    whole = -np.expm1(-1.0 / ROOT_DEPTH)
    constant = (RAIN - TRANSPIRATION / whole) / K_s
    falling = TRANSPIRATION / (whole * K_s) * alpha / (alpha + 1 / ROOT_DEPTH)

    def particular(z: Array) -> Array:
        return constant + falling * np.exp(-z / ROOT_DEPTH)

    from_below = (1.0 - particular(np.array(1.0))) * np.exp(alpha * (depth - 1.0))
    return np.asarray(np.log(particular(depth) + from_below) / alpha)


def root_uptake(bench: Bench) -> Outcome:
    """Steady flow under rain to roots above a water table."""

    def solve(cells: int) -> tuple[Solution, Array]:
        model = RichardsColumn(
            1.0, cells, bottom="head", closure="gardner", root_depth=ROOT_DEPTH, root_stress="feddes"
        )
        depth = model.graph.coordinates["depth"]
        forcing = {"flux": RAIN, "bottom_head": 0.0, "potential_transpiration": TRANSPIRATION}
        start, times = {"head": torch.from_numpy(depth - 1.0)}, [0.0, 200.0, 210.0]
        soil = ROOTED | UNSTRESSED
        sol = bench.solve(model, soil, forcing=forcing, times=times, initial=start, rtol=1e-8, atol=1e-11)
        return sol, depth

    def error(cells: int) -> float:
        sol, depth = solve(cells)
        return float(np.abs(sol.outputs["head"][-1].numpy() - _rooted(depth)).max())

    sol, depth = solve(bench.pick(50, 100))
    at, head = np.array([0.05, 0.2, 0.4, 0.6, 0.8]), sol.outputs["head"][-1].numpy()
    source = "steady flow to exponential roots in Gardner's soil, as Yuan and Lu 2005, integrated in closed form"
    near, demand = bench.pick(3e-4, 1e-4), "what is asked for, less what it rains"
    flows = [float(sol.fluxes["transpiration"][-1]) / 10, -float(sol.fluxes["drainage"][-1]) / 10]
    wanted, what = [TRANSPIRATION, TRANSPIRATION - RAIN], "uptake, and what rises from the water table for it"
    checks = (
        check("head, by depth", "m", labels(at, "m"), np.interp(at, depth, head), _rooted(at), near, source),
        check(what, "m/d", ["uptake", "rise"], flows, wanted, 1e-6, demand, relative=True),
    )
    reason = "central differences across faces, and roots sampled at the centres of cells: second order"
    convergence = bench.studies(in_space(error, 1.0, (0.04, 0.02, 0.01), "m", (2.0, 1.5, 2.3), reason))
    lines = [Line(head, depth, "computed"), Line(_rooted(depth)[::4], depth[::4], "exact", "points")]
    panel = Panel("pressure head (m)", "depth (m)", lines, "roots above a water table", downwards=True)
    return Outcome(checks, worst_balance([sol]), convergence, (panel,))
