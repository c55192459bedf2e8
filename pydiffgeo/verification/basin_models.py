"""Reservoirs and basins: exact answers, an independent solver, and a peer's published series."""

from __future__ import annotations

import csv

import numpy as np
import torch

from ..arrays import Array
from ..models import ExpHydro, LinearReservoir, NashCascade
from ..solve import Solution
from . import exact
from .convergence import RTOLS, TOLERANCE_ORDER, in_time
from .problem import Balance, Bench, Line, Outcome, Panel, balance_of, check, reference
from .weather import basin_weather, daily_rain

# Of the tolerance on some ten millimetres.
WHOLE_DAYS = "the error in time falls about as fast as the tolerance, or steps of whole days stay far below it"


def linear_reservoir(bench: Bench) -> Outcome:
    """Exact over each day of constant rain."""
    k, days = 3.5, bench.pick(30, 120)
    rain, times = daily_rain(days, seed=1905), np.arange(days + 1.0)
    stores, left = [12.0], np.exp(-1 / k)
    for p in rain:
        stores.append(stores[-1] * left + p * k * (1 - left))
    expected = np.array(stores)
    discharge = rain - np.diff(expected)

    def solve(rtol: float) -> Solution:
        forcing, start = {"rain": torch.from_numpy(rain)}, {"storage": 12.0}
        return bench.solve(LinearReservoir(), {"k": k}, forcing=forcing, times=times, initial=start, rtol=rtol)

    def storage(rtol: float) -> Array:
        return np.asarray(solve(rtol).states["storage"][:, 0])

    sol = solve(1e-9)
    stored, flow = sol.states["storage"][:, 0].numpy(), sol.fluxes["discharge"].numpy()
    at = np.linspace(1, days, 6).astype(int)
    names, source = [f"day {d}" for d in at], "exponential decay within each day"
    checks = (
        check("storage", "mm", names, stored[at], expected[at], 1e-6, source),
        check("daily discharge", "mm/d", names, flow[at - 1], discharge[at - 1], 1e-6, source),
    )
    convergence = bench.studies(in_time(storage, "mm", expected, (1e-3, *RTOLS), within=10.0, reason=WHOLE_DAYS))
    day = np.arange(days) + 0.5
    exactly = Line(day[::4], discharge[::4], "exact", "points")
    lines = [Line(day, rain, "rain", "bars"), Line(day, flow, "discharge"), exactly]
    return Outcome(checks, balance_of(sol), convergence, (Panel("time (d)", "daily amount (mm)", lines),))


def nash_cascade(bench: Bench) -> Outcome:
    """A unit of water runs through four reservoirs."""
    n, k, times = 4, 2.0, np.linspace(0, 20, 41)
    unit = torch.zeros(n, dtype=torch.float64)
    unit[0] = 1.0
    model, expected = NashCascade(n), exact.gamma_share(n, times[1:] / k)

    def solve(rtol: float) -> tuple[Solution, Array]:
        sol = bench.solve(model, {"k": k}, times=times, initial={"storage": unit}, rtol=rtol)
        return sol, sol.fluxes["discharge"].cumsum(0).numpy()

    sol, left = solve(1e-10)
    at = [3, 7, 15, 23, 39]
    names, source = [f"{times[i + 1]:g} d" for i in at], "gamma distribution of shape 4 and scale k (Nash 1957)"
    checks = (check("share that has left the cascade", "1", names, left[at], expected[at], 1e-8, source),)
    convergence = bench.studies(in_time(lambda rtol: solve(rtol)[1], "1", expected, (*RTOLS, 1e-8)))
    middle, step = 0.5 * (times[1:] + times[:-1]), times[1]
    outflow, exactly = (np.diff(amount, prepend=0.0) / step for amount in (left, expected))
    lines = [Line(middle, outflow, "mean outflow"), Line(middle[::2], exactly[::2], "gamma distribution", "points")]
    panel = Panel("time (d)", "outflow (1/d)", lines, "four reservoirs, k = 2 d")
    return Outcome(checks, balance_of(sol), convergence, (panel,))


# --- EXP-HYDRO ------------------------------------------------------------------------------------

BASIN = {"f": 0.017, "S_max": 900.0, "Q_max": 18.0, "D_f": 2.6, "T_max": 0.8, "T_min": -1.2}
# What is compared: its name in the references -> in words, and its unit.
COMPARED = {
    "snow": ("snow store", "mm"),
    "water": ("catchment store", "mm"),
    "runoff": ("daily runoff", "mm/d"),
    "evapotranspiration": ("cumulative evapotranspiration", "mm"),
}


def exphydro(bench: Bench) -> Outcome:
    """Stores and flows of a basin under three years of weather."""
    days = bench.pick(151, 1096)
    rain, temperature, hours = map(torch.from_numpy, basin_weather(days))
    forcing = {"precipitation": rain, "temperature": temperature, "daylength": hours}
    times, start = np.arange(days + 1.0), {"snow_storage": 0.0, "water_storage": 850.0}
    within = reference("exphydro")["day"] <= days
    expected = {k: v[within] for k, v in reference("exphydro").items()}
    day = expected["day"].astype(int)

    def solve(rtol: float) -> Solution:
        model = ExpHydro()
        return bench.solve(model, BASIN, forcing=forcing, times=times, initial=start, rtol=rtol, atol=rtol)

    def series(sol: Solution) -> dict[str, Array]:
        return {
            "snow": sol.states["snow_storage"][:, 0].numpy()[day],
            "water": sol.states["water_storage"][:, 0].numpy()[day],
            "runoff": sol.fluxes["runoff"].numpy()[day - 1],
            "evapotranspiration": sol.fluxes["evapotranspiration"].cumsum(0).numpy()[day - 1],
        }

    sol = solve(1e-8)
    computed = series(sol)
    names, source = [f"day {d}" for d in day], "SciPy Radau at 1e-10, day by day, written from the equations"
    checks = tuple(check(*what, names, computed[k], expected[k], 1e-5, source) for k, what in COMPARED.items())
    reason = (
        f"{TOLERANCE_ORDER}; or a day of constant weather takes a step or two at any tolerance, and errors stay below "
        "it in millimetres, of stores of some hundred"
    )
    rtols = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    convergence = bench.studies(
        in_time(
            lambda rtol: series(solve(rtol))["water"],
            "mm",
            expected["water"],
            rtols,
            reason=reason,
            floor=1e-8,
            within=1.0,
        )
    )
    stores = [
        Line(times, sol.states["water_storage"][:, 0].numpy(), "catchment"),
        Line(times, sol.states["snow_storage"][:, 0].numpy(), "snow"),
        Line(day, expected["water"], "expected", "points"),
        Line(day, expected["snow"], "", "points"),
    ]
    flows = [
        Line(times[1:] - 0.5, rain.numpy(), "precipitation", "bars"),
        Line(times[1:] - 0.5, sol.fluxes["runoff"].numpy(), "runoff"),
        Line(day - 0.5, expected["runoff"], "expected", "points"),
    ]
    panels = (
        Panel("time (d)", "storage (mm)", stores, "stores"),
        Panel("time (d)", "daily amount (mm)", flows, "flows"),
    )
    return Outcome(checks, balance_of(sol), convergence, panels)


def exphydro_peer(bench: Bench) -> Outcome:
    """Fluxes of the peer's series at the peer's own states: each day is a member of a batch."""
    basin, days, moment = "13313000", bench.pick(365, 3653), 1e-5
    from .peer import read_peer  # xarray is needed here only

    with open(bench.file("exphydro_parameters_60.csv"), newline="") as table:
        row = next(r for r in csv.DictReader(table) if r["basinID"] == basin)
    # The peer's names have no underscores.
    parameters = {k: float(row[k.replace("_", "")]) for k in BASIN}
    peer = read_peer(bench.file("exphydro_peer_outputs_5.nc"), bench.file("camels_us_60.nc"), basin, days)
    forcing = {k: torch.from_numpy(peer[k])[:, None] for k in ("precipitation", "temperature", "daylength")}
    start = {k: torch.from_numpy(np.maximum(peer[k], 0.0))[:, None] for k in ("snow_storage", "water_storage")}
    times = [0.0, moment]
    sol = bench.solve(ExpHydro(), parameters, forcing=forcing, times=times, initial=start, rtol=1e-9, atol=1e-13)
    rates = {k: sol.fluxes[k][:, 0].numpy() / moment for k in ("runoff", "evapotranspiration")}
    some = np.linspace(0, days - 1, 12).astype(int)
    at = [*some, *(int(np.argmax(peer[k])) for k in rates)]
    names, source = [f"day {i}" for i in at], "peer implementation, single precision"
    checks = tuple(check(k, "mm/d", names, rate[at], peer[k][at], 1e-4, source) for k, rate in rates.items())
    lines = [Line(np.arange(days), rate, f"{k}, computed") for k, rate in rates.items()]
    lines += [Line(some, peer[k][some], "peer" if k == "runoff" else "", "points") for k in rates]
    closure = sol.balance.max() / (sol.fluxes["precipitation"].sum() + sol.fluxes["runoff"].sum())
    panel = Panel("time (d)", "rate (mm/d)", lines, f"basin {basin}, rates at the peer's states")
    # Round-off of stores of some hundred millimetres, over the fluxes of a moment.
    return Outcome(checks, Balance(float(closure), 1e-6), (), (panel,))
