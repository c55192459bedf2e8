"""Solutes and heat in columns, soil in a section, and a leaf: exact solutions and tables computed independently."""

from __future__ import annotations

import numpy as np
import torch

from ..arrays import Array
from ..model import TimeSeries
from ..models import HeatColumn, RichardsSection, SoluteColumn, VegetatedColumn
from ..processes.heat import WATT
from ..solve import Solution
from .problem import Bench, Line, Outcome, Panel, balance_of, check, labels, stretched

DAY = 86400.0

# --- A chain of three that are sorbed and decay ----------------------------------------------------

CHAIN = {"velocity": 0.4, "dispersion": 0.2, "water_content": 0.4, "bulk_density": 1.6}
RETARDATION, DECAY = (5.3, 1.9, 1.2), (0.05, 0.02, 0.01)
MEMBERS = ("a", "b", "c")
ARRIVED = {
    (1, 10): (0.4196258244, 0.2126866405, 0.01182668263),
    (2, 20): (0.2450951672, 0.3891524511, 0.04907859783),
    (5, 40): (0.03465318782, 0.4711722232, 0.1862306585),
    (10, 60): (4.736022972e-4, 0.28156065, 0.322789634),
}


def decay_chain(bench: Bench) -> Outcome:
    constants = CHAIN | {f"decay_{m}": rate for m, rate in zip(MEMBERS, DECAY, strict=True)}
    constants |= {f"K_d_{m}": (R - 1) * 0.4 / 1.6 for m, R in zip(MEMBERS, RETARDATION, strict=True)}
    times = [0.0, *(float(t) for _, t in ARRIVED)]

    def solve(cells: int) -> tuple[Solution, Array]:
        model = SoluteColumn(15.0, cells, "exponential", sorption="linear", decay="total", species=MEMBERS)
        sol = bench.solve(model, constants, forcing={"inlet_a": [1.0] * 4}, times=times, rtol=1e-8)
        z = model.graph.coordinates["depth"]
        c = [sol.outputs[f"concentration_{m}"].numpy() for m in MEMBERS]
        return sol, np.array([[_at(float(x), z, row[k]) for row in c] for k, (x, _) in enumerate(ARRIVED, 1)])

    exact = np.array([*ARRIVED.values()])
    coarse, (sol, fine) = solve(bench.pick(50, 100))[1], solve(bench.pick(100, 200))
    places = [f"{m}, {x} m, {t} d" for x, t in ARRIVED for m in MEMBERS]
    what, source = "concentration, extrapolated from two grids", "inversion of the exact Laplace transform"
    checks = (check(what, "1", places, ((4 * fine - coarse) / 3).ravel(), exact.ravel(), 1e-3, source),)
    at = [x for x, _ in ARRIVED]
    lines = [Line(at, fine[:, k], f"member {m}") for k, m in enumerate(MEMBERS)]
    lines += [Line(at, exact[:, k], "exact" if k == 0 else "", "points") for k in range(3)]
    return Outcome(checks, balance_of(sol), (), (Panel("depth (m)", "concentration (-)", lines, "after 10 to 60 d"),))


def _at(x: float, z: Array, c: Array) -> float:
    """A value between middles of cells, by a parabola."""
    k = int(np.clip(np.searchsorted(z, x) - 1, 0, len(z) - 3))
    return float(np.polyval(np.polyfit(z[k : k + 3] - x, c[k : k + 3], 2), 0.0))


# --- A daily wave in water that sinks or rises -----------------------------------------------------

SINKING = {"conductivity": 2 * WATT, "capacity": 2.8}
# Ratio of amplitudes over 0.2 m by the flux of water (m/s).
DAMPED = {0.0: 0.240037308, 1e-6: 0.2935714787, 4e-7: 0.260647622, -1e-6: 0.1932763729}


def stallman(bench: Bench) -> Outcome:
    t = np.arange(0, 8 + 1e-9, 1 / bench.pick(48, 144))
    surface = TimeSeries(t, torch.from_numpy(np.sin(2 * np.pi * t)), "linear")
    hours = np.arange(24) / 24

    def solve(cells: int, flux: float) -> tuple[Solution, float]:
        model = HeatColumn(1.5, cells, flow="parameter")
        times = np.concatenate([[0.0], np.arange(7, 8, 1 / 24)])
        sol = bench.solve(
            model,
            {**SINKING, "water_flux": flux * DAY},
            forcing={"surface_temperature": surface},
            times=times,
            rtol=1e-7,
        )
        wave = np.abs(np.mean(sol.outputs["temperature"][1:].numpy() * np.exp(2j * np.pi * hours)[:, None], axis=0))
        z = model.graph.coordinates["depth"]
        return sol, float(np.exp(np.interp(0.3, z, np.log(wave)) - np.interp(0.1, z, np.log(wave))))

    coarse = np.array([solve(30, q)[1] for q in DAMPED])
    fine = [solve(60, q) for q in DAMPED]
    found, exact = np.array([ratio for _, ratio in fine]), np.array([*DAMPED.values()])
    source = "Stallman 1965, J. Geophys. Res. 70"
    what = "ratio of amplitudes over 0.2 m, extrapolated from two grids"
    checks = (check(what, "1", labels(DAMPED, "m/s"), (4 * found - coarse) / 3, exact, 6e-4, source),)
    q = np.array([*DAMPED]) * 1e6
    order = np.argsort(q)
    lines = [Line(q[order], found[order], "computed"), Line(q, exact, "exact", "points")]
    panel = Panel("flux of water (1e-6 m/s)", "ratio of amplitudes (-)", lines)
    return Outcome(checks, balance_of(fine[1][0]), (), (panel,))


# --- Freezing in three zones ------------------------------------------------------------------------

ZONES = {
    "conductivity": 2.418352 * WATT,
    "frozen_conductivity": 3.464352 * WATT,
    "capacity": 0.69036,
    "frozen_capacity": 0.69036,
    "latent_heat": 1680 * 0.33472 * (0.2 - 0.0782),
    "T_frozen": -4.0,
}
FROZEN = {0.05: -4.7688669, 0.1: -3.474423, 0.25: -0.6233286, 0.5: 0.8830702, 1.0: 2.8100875}


def lunardini(bench: Bench) -> Outcome:
    """A step from 4 to -6 degC at the surface, after a day."""

    def solve(cells: int) -> tuple[Solution, Array]:
        model = HeatColumn(4.0, cells, freezing="three_zones", thickness=stretched(4.0, cells, 10.0))
        sol = bench.solve(
            model,
            ZONES,
            forcing={"surface_temperature": [-6.0]},
            initial={"temperature": 4.0},
            times=[0.0, 1.0],
            rtol=1e-6,
        )
        return sol, model.graph.coordinates["depth"]

    sol, z = solve(bench.pick(120, 240))
    T = sol.outputs["temperature"][-1].numpy()
    at, exact = [*FROZEN], [*FROZEN.values()]
    source = "Lunardini 1985, CRREL Monograph 85-1: three zones"
    checks = (check("temperature, by depth", "degC", labels(at, "m"), np.interp(at, z, T), exact, 0.01, source),)
    shown = z < 1.5
    lines = [Line(T[shown], z[shown], "computed"), Line(exact, at, "exact", "points")]
    panel = Panel("temperature (degC)", "depth (m)", lines, "after a day", downwards=True)
    return Outcome(checks, balance_of(sol), (), (panel,))


# --- Tracy's square ---------------------------------------------------------------------------------

SQUARE = {"theta_r": 0.15, "theta_s": 0.45, "alpha": 0.164, "K_s": 0.1, "S_s": 1e-8}
SIDE, DRY = 15.24, -15.24
# Heads at half the width and a quarter, a half, three quarters and nine tenths of the height.
WETTED = {
    5: (-14.05845971, -10.03687515, -4.480109277, -1.614845015),
    20: (-9.177158035, -5.967986969, -2.996277113, -1.204975523),
}


def tracy(bench: Bench) -> Outcome:
    """Gardner's soil, dry on three sides, wetted from above."""
    dry = np.exp(SQUARE["alpha"] * DRY)

    def solve(n: int) -> tuple[Solution, Array]:
        size = SIDE / n
        model = RichardsSection(
            (n, n), (size, size), closure="gardner", top="head", bottom="head", left="head", right="head"
        )
        x: Array = np.asarray((np.arange(n) + 0.5) * size, np.float64)
        sides = {f"{side}_head": np.full((2, n), DRY) for side in ("bottom", "left", "right")}
        top = np.log(dry + (1 - dry) * np.sin(np.pi * x / SIDE)) / SQUARE["alpha"]
        sol = bench.solve(
            model,
            SQUARE,
            forcing={**sides, "top_head": np.tile(top, (2, 1))},
            initial={"head": DRY},
            times=[0.0, 5.0, 20.0],
            rtol=1e-7,
        )
        fields = model.graph.on_grid(sol.outputs["head"][1:]).numpy()
        middle = [np.asarray([float(np.interp(SIDE / 2, x, row)) for row in field], np.float64) for field in fields]
        return sol, np.array([[_at((1 - a) * SIDE, x, m) for a in (0.25, 0.5, 0.75, 0.9)] for m in middle])

    exact = np.array([*WETTED.values()])
    coarse, (sol, fine) = solve(bench.pick(12, 20))[1], solve(bench.pick(24, 40))
    places = [f"{a} of the height, {t} d" for t in WETTED for a in (0.25, 0.5, 0.75, 0.9)]
    what, source = "head, extrapolated from two grids", "Tracy 2006, Water Resour. Res. 42"
    checks = (
        check(what, "m", places, ((4 * fine - coarse) / 3).ravel(), exact.ravel(), bench.pick(0.04, 0.01), source),
    )
    heights = np.array([0.25, 0.5, 0.75, 0.9]) * SIDE
    lines = [Line(row, heights, f"{t} d") for row, t in zip(fine, WETTED, strict=True)]
    lines += [Line(row, heights, "exact" if k == 0 else "", "points") for k, row in enumerate(exact)]
    return Outcome(checks, balance_of(sol), (), (Panel("head (m)", "height (m)", lines),))


# --- A leaf -----------------------------------------------------------------------------------------

LEAF = {"V_cmax25": 60.0, "J_by_V": 100 / 60, "g_0": 0.01, "g_1": 4.0}
# Temperature (degC), deficit (kPa), light (umol/m2/s); CO2 inside, net assimilation, conductance.
LEAVES = (
    (25.0, 1.0, 1500.0, 322.900168, 13.292304, 0.275846),
    (25.0, 2.5, 1500.0, 292.783732, 12.440596, 0.185652),
    (35.0, 3.0, 1500.0, 291.460269, 6.650964, 0.098043),
    (15.0, 0.6, 300.0, 337.892519, 9.042567, 0.232953),
)


def c3_leaf(bench: Bench) -> Outcome:
    """Photosynthesis and stomata within a solve, over wet soil."""
    table = np.array(LEAVES)
    sol = bench.solve(
        VegetatedColumn(0.5, 4),
        LEAF,
        forcing={
            "precipitation": 0.0,
            "potential_evaporation": 0.0,
            **dict(zip(("air_temperature", "vapour_deficit", "light"), table[:, :3].T.tolist(), strict=True)),
        },
        times=np.arange(5) / 24,
        initial={"head": -1.0},
        rtol=1e-8,
    )
    places = [f"{T:g} degC, {D:g} kPa, {light:g}" for T, D, light, *_ in LEAVES]
    units = {"C_i": "umol/mol", "assimilation": "umol/m2/s", "conductance": "mol/m2/s"}
    source = "Farquhar et al. 1980 with Medlyn et al. 2011, solved independently"
    checks = tuple(
        check(name, unit, places, sol.outputs[name][1:, 0].numpy(), table[:, 3 + k], 1e-5, source, relative=True)
        for k, (name, unit) in enumerate(units.items())
    )
    lines = [Line(table[:, 4], sol.outputs["assimilation"][1:, 0].numpy(), "leaves", "points")]
    return Outcome(checks, None, (), (Panel("assimilation, independently", "computed (umol/m2/s)", lines),))
