"""Soil under weather: a storm that ponds, and ten years of rain."""

from __future__ import annotations

import numpy as np
import torch

from ..models import RichardsColumn
from .infiltration import INDEPENDENT, UNROUNDED
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, labels, reference, stretched
from .weather import DAYS, daily_rain

# Carsel and Parrish 1988, table 3, loam
LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496, "S_s": 1e-3}
STORM = 0.48  # m/d: 20 mm/h, nearly twice the conductivity at saturation


def ponding_storm(bench: Bench) -> Outcome:
    """Three hours of rain, more than loam can take up."""
    expected, hours = reference("ponding"), np.arange(0, 6.01, bench.pick(1.0, 0.25))
    model = RichardsColumn(0.5, cells := bench.pick(80, 200), top="atmosphere", thickness=stretched(0.5, cells, 20.0))
    rain = np.where(hours[1:] <= 3.0, STORM, 0.0)
    forcing = {"precipitation": torch.from_numpy(rain), "potential_evaporation": torch.zeros(len(rain))}
    sol = bench.solve(model, LOAM, forcing=forcing, times=hours / 24, initial={"head": -3.0}, rtol=1e-6, atol=1e-9)
    amounts = {k: np.concatenate([[0.0], sol.fluxes[k].cumsum(0).numpy()]) for k in ("infiltration", "runoff")}
    at = [int(np.flatnonzero(np.isclose(hours, h))[0]) for h in (1, 2, 3)]

    def compared(what: str, name: str, tolerance: float, ending: str = "") -> Check:
        numbers = amounts[name][at], expected[name + ending]
        return check(what, "m", labels((1, 2, 3), "h"), *numbers, tolerance, INDEPENDENT, relative=True)

    checks = (
        compared("cumulative infiltration", "infiltration", bench.pick(5e-3, 2e-3)),
        compared(UNROUNDED, "infiltration", 1.5e-2, "_published"),
        compared("cumulative runoff", "runoff", bench.pick(1.2e-2, 4e-3)),
    )
    middle, per_hour = 0.5 * (hours[1:] + hours[:-1]), 1000 / np.diff(hours)
    rates = [
        Line(middle, 1000 / 24 * rain, "rain", "bars"),
        Line(middle, per_hour * sol.fluxes["infiltration"].numpy(), "infiltration"),
        Line(middle, per_hour * sol.fluxes["runoff"].numpy(), "runoff"),
    ]
    lines = [Line(hours, 1000 * v, k) for k, v in amounts.items()]
    lines += [Line([1, 2, 3], 1000 * expected[k], "expected" if k == "runoff" else "", "points") for k in amounts]
    panels = (
        Panel("time (h)", "rate (mm/h)", rates, "60 mm in three hours on loam"),
        Panel("time (h)", "amount (mm)", lines, "amounts"),
    )
    return Outcome(checks, balance_of(sol), (), panels)


TEN_YEARS = {"theta_r": 0.131, "theta_s": 0.396, "alpha": 0.423, "n": 2.06, "K_s": 0.0496, "S_s": 1e-4}


def ten_years(bench: Bench) -> Outcome:
    """Daily rain on a column of 15 cells."""
    days = bench.pick(60, DAYS)
    rain = daily_rain(DAYS)[:days] / 1000
    forcing, times = {"flux": torch.from_numpy(rain)}, np.arange(days + 1.0)
    model = RichardsColumn(1.5, 15)
    sol = bench.solve(model, TEN_YEARS, forcing=forcing, times=times, initial={"head": -3.59}, rtol=1e-7)
    drained, storage = sol.fluxes["drainage"].cumsum(0).numpy(), sol.storage.numpy()
    within = reference("ten_years")["day"] <= days
    expected = {k: v[within] for k, v in reference("ten_years").items()}
    day = expected["day"].astype(int)
    at = [f"day {d}" for d in day]
    source = "independent code in the head form on the same cells (SciPy LSODA), day by day"
    checks = (
        check("cumulative drainage", "m", at, drained[day - 1], expected["drainage"], 5e-5, source, relative=True),
        check("water in the column", "m", at, storage[day], expected["storage"], 5e-5, source),
    )
    years = np.arange(days) / 365.25
    amounts = [
        Line(years, 1000 * rain.cumsum(), "rain"),
        Line(years, 1000 * drained, "drainage"),
        Line(day / 365.25, 1000 * expected["drainage"], "expected", "points"),
    ]
    stored = [
        Line(times / 365.25, 1000 * storage, "computed"),
        Line(day / 365.25, 1000 * expected["storage"], "expected", "points"),
    ]
    panels = (
        Panel("time (years)", "amount (mm)", amounts, "amounts since the start"),
        Panel("time (years)", "storage (mm)", stored, "water in 1.5 m of soil"),
    )
    # 1e-6 mm of what passes through, which is some metres.
    return Outcome(checks, balance_of(sol, 1e-9), (), panels)
