"""Reservoirs and basins: exact answers, an independent solver, and a peer's published series."""

from __future__ import annotations

import csv

import numpy as np
import torch

from ..models import ExpHydro, LinearReservoir, NashCascade
from ..solve import Solution
from . import exact
from .problem import (
    TOLERANCE_ORDER,
    Array,
    Balance,
    Bench,
    Convergence,
    Line,
    Outcome,
    Panel,
    balance_of,
    check,
    references,
    study,
)
from .weather import basin_weather, daily_rain


def linear_reservoir(bench: Bench) -> Outcome:
    k, days = 3.5, bench.pick(30, 120)
    rain = daily_rain(days, seed=1905)
    # Exact over each day of constant rain.
    storage, left = [12.0], np.exp(-1 / k)
    for p in rain:
        storage.append(storage[-1] * left + p * k * (1 - left))
    expected = np.array(storage)
    discharge = rain - np.diff(expected)

    def solve(rtol: float) -> Solution:
        return bench.solve(LinearReservoir(), {"k": k}, forcing={"rain": torch.from_numpy(rain)}, times=np.arange(days + 1.0),
                           initial={"storage": 12.0}, rtol=rtol, atol=rtol * 1e-2)  # fmt: skip

    def error(rtol: float) -> float:
        return float(np.abs(solve(rtol).states["storage"][:, 0].numpy() - expected).max())

    sol = solve(1e-9)
    found, flow = sol.states["storage"][:, 0].numpy(), sol.fluxes["discharge"].numpy()
    at = np.linspace(1, days, 6).astype(int)
    labels, source = [f"day {d}" for d in at], "exponential decay within each day"
    checks = (
        check("storage", "mm", labels, found[at], expected[at], 1e-6, source),
        check("daily discharge", "mm/d", labels, flow[at - 1], discharge[at - 1], 1e-6, source),
    )
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        convergence = (study("time", [1e-3, 1e-4, 1e-5, 1e-6, 1e-7], error, "mm", 1.0, 0.5, 1.6, TOLERANCE_ORDER),)
    day = np.arange(days) + 0.5
    lines = (Line(day, rain, "rain", "bars"), Line(day, flow, "discharge"),
             Line(day[::4], discharge[::4], "exact", "points"))  # fmt: skip
    return Outcome(checks, balance_of(sol), convergence, (Panel("time (d)", "daily amount (mm)", lines),))


def nash_cascade(bench: Bench) -> Outcome:
    n, k, times = 4, 2.0, np.linspace(0, 20, 41)
    unit = torch.zeros(n, dtype=torch.float64)
    unit[0] = 1.0
    model = NashCascade(n)

    def solve(rtol: float) -> Solution:
        return bench.solve(model, {"k": k}, times=times, initial={"storage": unit}, rtol=rtol, atol=rtol * 1e-2)

    expected = exact.gamma_share(n, times[1:] / k)

    def error(rtol: float) -> float:
        return float(np.abs(solve(rtol).fluxes["discharge"].cumsum(0).numpy() - expected).max())

    sol = solve(1e-10)
    left = sol.fluxes["discharge"].cumsum(0).numpy()
    at = [3, 7, 15, 23, 39]
    checks = (check("share that has left the cascade", "1", [f"{times[i + 1]:g} d" for i in at], left[at], expected[at],
                    1e-8, "gamma distribution of shape 4 and scale k (Nash 1957)"),)  # fmt: skip
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        convergence = (study("time", [1e-4, 1e-5, 1e-6, 1e-7, 1e-8], error, "1", 1.0, 0.5, 1.6, TOLERANCE_ORDER),)
    middle, step = 0.5 * (times[1:] + times[:-1]), times[1]
    lines = (Line(middle, np.diff(left, prepend=0.0) / step, "mean outflow"),
             Line(middle[::2], (np.diff(expected, prepend=0.0) / step)[::2], "gamma distribution", "points"))  # fmt: skip
    return Outcome(
        checks, balance_of(sol), convergence, (Panel("time (d)", "outflow (1/d)", lines, "four reservoirs, k = 2 d"),)
    )


# --- EXP-HYDRO ------------------------------------------------------------------------------------

BASIN = {"f": 0.017, "S_max": 900.0, "Q_max": 18.0, "D_f": 2.6, "T_max": 0.8, "T_min": -1.2}


def exphydro(bench: Bench) -> Outcome:
    known, days = references()["exphydro"], bench.pick(151, 1096)
    rain, temperature, hours = basin_weather(days)
    forcing = {k: torch.from_numpy(v) for k, v in
               (("precipitation", rain), ("temperature", temperature), ("daylength", hours))}  # fmt: skip

    def solve(rtol: float) -> Solution:
        return bench.solve(ExpHydro(), BASIN, forcing=forcing, times=np.arange(days + 1.0),
                           initial={"snow_storage": 0.0, "water_storage": 850.0}, rtol=rtol, atol=rtol)  # fmt: skip

    at = [i for i, d in enumerate(known["day"]) if d <= days]
    day = np.array([known["day"][i] for i in at])

    def series(sol: Solution) -> dict[str, Array]:
        return {"snow": sol.states["snow_storage"][:, 0].numpy()[day], "water": sol.states["water_storage"][:, 0].numpy()[day],
                "runoff": sol.fluxes["runoff"].numpy()[day - 1],
                "evapotranspiration": sol.fluxes["evapotranspiration"].cumsum(0).numpy()[day - 1]}  # fmt: skip

    expected = {k: np.array([known[k][i] for i in at]) for k in ("snow", "water", "runoff", "evapotranspiration")}
    sol = solve(1e-8)
    found = series(sol)
    names = {"snow": ("snow store", "mm"), "water": ("catchment store", "mm"), "runoff": ("daily runoff", "mm/d"),
             "evapotranspiration": ("cumulative evapotranspiration", "mm")}  # fmt: skip
    labels, source = [f"day {d}" for d in day], "SciPy Radau at 1e-10, day by day, written from the equations"
    checks = tuple(check(*names[k], labels, found[k], expected[k], 1e-5, source) for k in names)
    convergence: tuple[Convergence, ...] = ()
    if not bench.small:
        convergence = (
            study("time", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6], lambda r: float(np.abs(series(solve(r))["water"] - expected["water"]).max()),
                  "mm", 1.0, 0.5, 1.6, f"{TOLERANCE_ORDER}; or a day of constant weather takes a step or two at any "
                  "tolerance, and errors stay below it in millimetres, of stores of some hundred", floor=1e-8, within=1.0),
        )  # fmt: skip
    t = np.arange(days + 1.0)
    stores = (Line(t, sol.states["water_storage"][:, 0].numpy(), "catchment"),
              Line(t, sol.states["snow_storage"][:, 0].numpy(), "snow"),
              Line(day, expected["water"], "expected", "points"), Line(day, expected["snow"], "", "points"))  # fmt: skip
    flows = (Line(t[1:] - 0.5, rain, "precipitation", "bars"), Line(t[1:] - 0.5, sol.fluxes["runoff"].numpy(), "runoff"),
             Line(day - 0.5, expected["runoff"], "expected", "points"))  # fmt: skip
    return Outcome(
        checks, balance_of(sol), convergence,
        (Panel("time (d)", "storage (mm)", stores, "stores"), Panel("time (d)", "daily amount (mm)", flows, "flows")),
    )  # fmt: skip


def exphydro_peer(bench: Bench) -> Outcome:
    """Fluxes of the peer's series at the peer's own states: each day is a member of a batch."""
    basin, days, moment = "13313000", bench.pick(365, 3653), 1e-5
    from .peer import read_peer  # xarray is needed here only

    with open(bench.file("exphydro_parameters_60.csv"), newline="") as table:
        row = next(r for r in csv.DictReader(table) if r["basinID"] == basin)
    names = {"f": "f", "S_max": "Smax", "Q_max": "Qmax", "D_f": "Df", "T_max": "Tmax", "T_min": "Tmin"}
    parameters = {k: float(row[v]) for k, v in names.items()}
    peer = read_peer(bench.file("exphydro_peer_outputs_5.nc"), bench.file("camels_us_60.nc"), basin, days)
    forcing = {k: torch.from_numpy(peer[k])[:, None] for k in ("precipitation", "temperature", "daylength")}
    initial = {k: torch.from_numpy(np.maximum(peer[k], 0.0))[:, None] for k in ("snow_storage", "water_storage")}
    sol = bench.solve(
        ExpHydro(), parameters, forcing=forcing, times=[0.0, moment], initial=initial, rtol=1e-9, atol=1e-13
    )
    found = {k: sol.fluxes[k][:, 0].numpy() / moment for k in ("runoff", "evapotranspiration")}
    some = np.linspace(0, days - 1, 12).astype(int)
    largest = [*some, int(np.argmax(peer["runoff"])), int(np.argmax(peer["evapotranspiration"]))]
    labels = [f"day {i}" for i in largest]
    checks = tuple(
        check(k, "mm/d", labels, found[k][largest], peer[k][largest], 1e-4, "peer implementation, single precision")
        for k in found
    )
    lines = tuple(Line(np.arange(days), found[k], f"{k}, computed") for k in found)
    lines += tuple(Line(some, peer[k][some], "peer" if k == "runoff" else "", "points") for k in found)
    closure = sol.balance.max() / (sol.fluxes["precipitation"].sum() + sol.fluxes["runoff"].sum())
    panel = Panel("time (d)", "rate (mm/d)", lines, f"basin {basin}, rates at the peer's states")

    # Round-off of stores of some hundred millimetres, over the fluxes of a moment.
    return Outcome(checks, Balance(float(closure), 1e-6), (), (panel,))
