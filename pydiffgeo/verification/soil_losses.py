"""Water that soil loses to the air and to roots: exact answers for Gardner's soil."""

from __future__ import annotations

import numpy as np
import torch

from ..models import RichardsColumn
from ..solve import Solution
from . import exact
from .problem import Array, Bench, Convergence, Line, Outcome, Panel, check, stretched, study, worst_balance

# --- Evaporation of bare soil -------------------------------------------------------------------

GARDNER = {"theta_r": 0.05, "theta_s": 0.45, "alpha": 5.0, "K_s": 0.2, "S_s": 1e-6}
WATER_TABLE = 0.5  # m below the surface
DEMAND = 20.0  # m/d, more than any soil gives: the surface is air-dry from the start
DAYS = (0.0, 0.25, 0.5, 1.0)
WET = 0.8  # effective saturation before


def _drying(bench: Bench, thickness: Array, rtol: float = 1e-6) -> Solution:
    model = RichardsColumn(4.0, len(thickness), top="atmosphere", closure="gardner", thickness=thickness)
    forcing = {"precipitation": 0.0, "potential_evaporation": DEMAND}
    return bench.solve(model, GARDNER, forcing=forcing, times=DAYS, initial={"head": float(np.log(WET)) / GARDNER["alpha"]},
                       rtol=rtol, atol=rtol * 1e-2)  # fmt: skip


def _rising(bench: Bench, cells: int) -> Solution:
    # The head falls without end towards the surface: cells are thin there.
    thickness = stretched(WATER_TABLE, cells, 50.0)
    model = RichardsColumn(WATER_TABLE, cells, top="atmosphere", bottom="head", closure="gardner", thickness=thickness)
    depth = torch.from_numpy(model.graph.coordinates["depth"].copy())
    forcing = {"precipitation": 0.0, "potential_evaporation": 0.1, "bottom_head": 0.0}
    return bench.solve(model, GARDNER, forcing=forcing, times=[0.0, 60.0, 70.0], initial={"head": depth - WATER_TABLE},
                       rtol=1e-7, atol=1e-10)  # fmt: skip


def bare_soil_evaporation(bench: Bench) -> Outcome:
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

    evaporation = drying.fluxes["evaporation"].cumsum(0).numpy()
    checks = (
        check("cumulative evaporation of drying soil", "m", [f"{t:g} d" for t in days], evaporation, lost,
              bench.pick(6e-3, 3e-3), "Ogata and Banks 1961 with no water at the surface, v = K_s / (theta_s - theta_r), "
              "D = v / alpha", relative=True),
        check("steady evaporation from a water table", "m/d", ["end"], rising.fluxes["evaporation"][-1:].numpy() / 10.0,
              [rate], bench.pick(5e-3, 2e-3), "Gardner 1958: K_s / (exp(alpha L) - 1)", relative=True),
        check("head above the water table, by height", "m", [f"{z:g} m" for z in at],
              np.interp(at, height[::-1], head[::-1]), steady(at), bench.pick(5e-3, 2e-3), "Gardner 1958"),
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:

        def error(dz: float) -> float:
            sol = _drying(bench, np.full(round(4.0 / dz), dz))
            return float(np.abs(sol.fluxes["evaporation"].cumsum(0).numpy() - lost)[-1])

        convergence = (
            study("space", [0.04, 0.02, 0.01], error, "m", 1.0, 0.7, 2.5,
                  "the surface dries out within less than one cell at first; what is missed then falls with its size"),
        )  # fmt: skip
    amounts = (Line(days, 1000 * evaporation, "computed"), Line(days, 1000 * lost, "exact", "points"))
    fine = np.linspace(0.02, 0.45, 12)
    heads = (Line(head, height, "computed"), Line(steady(fine), fine, "exact", "points"))
    return Outcome(
        checks, worst_balance([drying, rising]), convergence,
        (Panel("time (d)", "evaporation (mm)", amounts, "a wet soil dries"),
         Panel("pressure head (m)", "height (m)", heads, "steady flow from a water table to dry air")),
    )  # fmt: skip


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
    def solve(cells: int) -> tuple[Solution, Array]:
        model = RichardsColumn(
            1.0, cells, bottom="head", closure="gardner", root_depth=ROOT_DEPTH, root_stress="feddes"
        )
        depth = model.graph.coordinates["depth"]
        forcing = {"flux": RAIN, "bottom_head": 0.0, "potential_transpiration": TRANSPIRATION}
        sol = bench.solve(model, ROOTED | UNSTRESSED, forcing=forcing, times=[0.0, 200.0, 210.0],
                          initial={"head": torch.from_numpy(depth - 1.0)}, rtol=1e-8, atol=1e-11)  # fmt: skip
        return sol, depth

    def error(dz: float) -> float:
        sol, depth = solve(round(1 / dz))
        return float(np.abs(sol.outputs["head"][-1].numpy() - _rooted(depth)).max())

    sol, depth = solve(bench.pick(50, 100))
    at, head = np.array([0.05, 0.2, 0.4, 0.6, 0.8]), sol.outputs["head"][-1].numpy()
    source = "steady flow to exponential roots in Gardner's soil, as Yuan and Lu 2005, integrated in closed form"
    checks = (
        check("head, by depth", "m", [f"{z:g} m" for z in at], np.interp(at, depth, head), _rooted(at),
              bench.pick(3e-4, 1e-4), source),
        check("uptake, and what rises from the water table for it", "m/d", ["uptake", "rise"],
              [float(sol.fluxes["transpiration"][-1]) / 10, -float(sol.fluxes["drainage"][-1]) / 10],
              [TRANSPIRATION, TRANSPIRATION - RAIN], 1e-6, "what is asked for, less what it rains", relative=True),
    )  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        convergence = (
            study("space", [0.04, 0.02, 0.01], error, "m", 2.0, 1.5, 2.3,
                  "central differences across faces, and roots sampled at the centres of cells: second order"),
        )  # fmt: skip
    lines = (Line(head, depth, "computed"), Line(_rooted(depth)[::4], depth[::4], "exact", "points"))
    return Outcome(
        checks, worst_balance([sol]), convergence,
        (Panel("pressure head (m)", "depth (m)", lines, "roots above a water table", downwards=True),),
    )  # fmt: skip
