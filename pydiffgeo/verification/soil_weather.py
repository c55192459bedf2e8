"""Soil under weather: a storm that ponds, and ten years of rain."""

from __future__ import annotations

import numpy as np
import torch

from ..models import RichardsColumn
from ..solve import Solution
from .infiltration import INDEPENDENT
from .problem import Bench, Line, Outcome, Panel, balance_of, check, references, stretched
from .weather import DAYS, daily_rain

# Carsel and Parrish 1988, table 3, loam
LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496, "S_s": 1e-3}
REASON = "error of the grid, and of the film of water that the surface must hold before it presses or runs off"
STORM = 0.48  # m/d: 20 mm/h, nearly twice the conductivity at saturation


def ponding_storm(bench: Bench) -> Outcome:
    known = references()["ponding"]
    hours = np.arange(0, 6.01, bench.pick(1.0, 0.25))
    model = RichardsColumn(0.5, cells := bench.pick(80, 200), top="atmosphere", thickness=stretched(0.5, cells, 20.0))
    rain = np.where(hours[1:] <= 3.0, STORM, 0.0)
    forcing = {"precipitation": torch.from_numpy(rain), "potential_evaporation": torch.zeros(len(rain))}
    sol = bench.solve(model, LOAM, forcing=forcing, times=hours / 24, initial={"head": -3.0}, rtol=1e-6, atol=1e-9)
    amounts = {k: np.concatenate([[0.0], sol.fluxes[k].cumsum(0).numpy()]) for k in ("infiltration", "runoff")}
    at = [int(np.flatnonzero(np.isclose(hours, h))[0]) for h in (1, 2, 3)]
    labels = ["1 h", "2 h", "3 h"]
    checks = (
        check("cumulative infiltration", "m", labels, amounts["infiltration"][at], known["infiltration"], bench.pick(5e-3, 2e-3),
              INDEPENDENT, relative=True),
        check("cumulative infiltration, against closures without rounding near saturation", "m", labels,
              amounts["infiltration"][at], known["infiltration_published"], 1.5e-2, INDEPENDENT, relative=True),
        check("cumulative runoff", "m", labels, amounts["runoff"][at], known["runoff"], bench.pick(1.2e-2, 4e-3), INDEPENDENT, relative=True),
    )  # fmt: skip
    middle, per_hour = 0.5 * (hours[1:] + hours[:-1]), 1000 / np.diff(hours)
    rates = (
        Line(middle, 1000 / 24 * rain, "rain", "bars"),
        Line(middle, per_hour * sol.fluxes["infiltration"].numpy(), "infiltration"),
        Line(middle, per_hour * sol.fluxes["runoff"].numpy(), "runoff"),
    )
    lines = [Line(hours, 1000 * v, k) for k, v in amounts.items()]
    lines += [
        Line([1, 2, 3], 1000 * np.array(known[k]), "expected" if k == "runoff" else "", "points") for k in amounts
    ]
    return Outcome(
        checks, balance_of(sol), (),
        (Panel("time (h)", "rate (mm/h)", rates, "60 mm in three hours on loam"),
         Panel("time (h)", "amount (mm)", tuple(lines), "amounts")),
    )  # fmt: skip


TEN_YEARS = {"theta_r": 0.131, "theta_s": 0.396, "alpha": 0.423, "n": 2.06, "K_s": 0.0496, "S_s": 1e-4}


def ten_years(bench: Bench) -> Outcome:
    known, days = references()["ten_years"], bench.pick(60, DAYS)
    rain = daily_rain(DAYS)[:days] / 1000
    model = RichardsColumn(1.5, 15)
    sol: Solution = bench.solve(model, TEN_YEARS, forcing={"flux": torch.from_numpy(rain)}, times=np.arange(days + 1.0),
                                initial={"head": -3.59}, rtol=1e-7, atol=1e-9)  # fmt: skip
    drained = sol.fluxes["drainage"].cumsum(0).numpy()
    storage = sol.storage.numpy()
    at = [k for k, day in enumerate(known["day"]) if day <= days]
    day = np.array([known["day"][k] for k in at])
    labels = [f"day {d}" for d in day]
    source = "independent code in the head form on the same cells (SciPy LSODA), day by day"
    checks = (
        check("cumulative drainage", "m", labels, drained[day - 1], [known["drainage"][k] for k in at], 5e-5, source,
              relative=True),
        check("water in the column", "m", labels, storage[day], [known["storage"][k] for k in at], 5e-5, source),
    )  # fmt: skip
    years = np.arange(days) / 365.25
    lines = (
        Line(years, 1000 * rain.cumsum(), "rain"),
        Line(years, 1000 * drained, "drainage"),
        Line(day / 365.25, 1000 * np.array([known["drainage"][k] for k in at]), "expected", "points"),
    )
    stored = (
        Line(np.arange(days + 1) / 365.25, 1000 * storage, "computed"),
        Line(day / 365.25, 1000 * np.array([known["storage"][k] for k in at]), "expected", "points"),
    )
    # 1e-6 mm of what passes through, which is some metres.
    return Outcome(
        checks, balance_of(sol, 1e-9), (),
        (Panel("time (years)", "amount (mm)", lines, "amounts since the start"),
         Panel("time (years)", "storage (mm)", stored, "water in 1.5 m of soil")),
    )  # fmt: skip
