"""HBV and GR4J against an independent solver, and the gradient of HBV against extrapolated differences of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..arrays import Array
from ..model import Model
from ..models import GR4J, HBV
from ..processes.evaporation import hamon
from ..solve import Solution
from .convergence import RTOLS, TOLERANCE_ORDER, in_time
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, reference
from .weather import basin_weather

RADAU = "SciPy Radau at 1e-10, day by day, written from the equations"
DIFFERENCES = "extrapolated differences of SciPy Radau at 1e-12"
SNOWY = {
    "BETA": 2.0,
    "FC": 250.0,
    "K0": 0.2,
    "K1": 0.1,
    "K2": 0.02,
    "LP": 0.7,
    "PERC": 1.5,
    "UZL": 20.0,
    "TT": 0.0,
    "CFMAX": 3.0,
    "CFR": 0.05,
    "CWH": 0.1,
    "BETAET": 1.0,
    "C": 0.3,
}
TEN_DAYS = {"snow_storage": 30.0, "snow_water": 2.0, "soil_moisture": 150.0, "upper_zone": 15.0, "lower_zone": 40.0}
TEN_DAYS_WEATHER = {
    "precipitation": (12.0, 8.0, 0.0, 20.0, 0.0, 35.0, 15.0, 0.0, 0.0, 5.0),
    "temperature": (-3.0, -1.0, 2.5, 4.0, -2.0, 6.0, 8.0, 10.0, -0.5, 1.5),
    "potential_evapotranspiration": (0.3, 0.4, 0.8, 1.2, 0.5, 1.0, 2.0, 3.5, 0.6, 1.0),
}
RAINY = {"X1": 320.0, "X2": -1.2, "X3": 70.0, "X4": 1.4}


@dataclass(frozen=True, eq=False)
class Basin:
    """A basin under three years of weather.

    Attributes:
        key: of the reference. model, parameters, initial: what is solved.
        stores, flows: what is compared; flows of a day, those in `summed` since the start.
    """

    key: str
    model: Model
    parameters: Mapping[str, float]
    initial: Mapping[str, float]
    stores: tuple[str, ...]
    flows: tuple[str, ...]

    def run(self, bench: Bench) -> Outcome:
        days = bench.pick(151, 1096)
        rain, temperature, hours = map(torch.from_numpy, basin_weather(days))
        given = {"precipitation": rain, "temperature": temperature}
        given["potential_evapotranspiration"] = hamon(temperature, hours)
        forcing = {f.name: given[f.name] for f in self.model.forcings}
        within = reference(self.key)["day"] <= days
        expected = {k: v[within] for k, v in reference(self.key).items()}
        day = expected["day"].astype(int)

        def solve(rtol: float) -> Solution:
            times = np.arange(days + 1.0)
            return bench.solve(
                self.model, self.parameters, forcing=forcing, times=times, initial=self.initial, rtol=rtol, atol=rtol
            )

        def series(sol: Solution) -> dict[str, Array]:
            found = {k: sol.states[k][:, 0].numpy()[day] for k in self.stores}
            daily = {k: sol.fluxes[k] if k == "runoff" else sol.fluxes[k].cumsum(0) for k in self.flows}
            return found | {k: v.numpy()[day - 1] for k, v in daily.items()}

        sol = solve(1e-8)
        computed, names = series(sol), [f"day {d}" for d in day]
        checks = tuple(
            check(k.replace("_", " "), "mm", names, computed[k], expected[k], 1e-5, RADAU)
            for k in (*self.stores, *self.flows)
        )
        reason = f"{TOLERANCE_ORDER}; or a day of constant weather takes a step or two at any tolerance"
        study = in_time(
            lambda rtol: series(solve(rtol))[self.stores[-1]],
            "mm",
            expected[self.stores[-1]],
            (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
            reason=reason,
            floor=1e-8,
            within=1.0,
        )
        time = np.arange(days + 1.0)
        lines = [Line(time, sol.states[k][:, 0].numpy(), k.replace("_", " ")) for k in self.stores]
        lines += [Line(day, expected[k], "expected" if k == self.stores[0] else "", "points") for k in self.stores]
        flows = [
            Line(time[1:] - 0.5, rain.numpy(), "precipitation", "bars"),
            Line(time[1:] - 0.5, sol.fluxes["runoff"].numpy(), "runoff"),
            Line(day - 0.5, expected["runoff"], "expected", "points"),
        ]
        panels = (
            Panel("time (d)", "storage (mm)", lines, "stores"),
            Panel("time (d)", "daily amount (mm)", flows, "flows"),
        )
        return Outcome(checks, balance_of(sol), bench.studies(study), panels)


HBV_BASIN = Basin(
    "hbv",
    HBV(),
    SNOWY,
    {"soil_moisture": 120.0, "upper_zone": 5.0, "lower_zone": 30.0},
    ("snow_storage", "snow_water", "upper_zone", "lower_zone", "soil_moisture"),
    ("runoff", "evapotranspiration"),
)
GR4J_BASIN = Basin(
    "gr4j",
    GR4J(),
    RAINY,
    {"production_store": 200.0, "routing_store": 40.0},
    ("routing_store", "production_store"),
    ("runoff", "evapotranspiration", "exchange"),
)


def hbv_ten_days(bench: Bench) -> Outcome:
    """Every store and flow of ten days with melt, refreezing and a flood; and what runoff owes to each parameter."""
    expected, names = reference("hbv_ten_days"), [f"day {d}" for d in range(1, 11)]

    def solve(rtol: float) -> tuple[Solution, dict[str, torch.Tensor]]:
        leaves = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in SNOWY.items()}
        times = np.arange(11.0)
        sol = bench.solve(HBV(), leaves, forcing=TEN_DAYS_WEATHER, times=times, initial=TEN_DAYS, rtol=rtol, atol=rtol)
        return sol, leaves

    sol, leaves = solve(1e-10)
    checks: list[Check] = []
    for name in TEN_DAYS:
        found = sol.states[name][1:, 0].detach().numpy()
        checks.append(check(name.replace("_", " "), "mm", names, found, expected[name], 1e-5, RADAU))
    for name in ("runoff", "evapotranspiration"):
        checks.append(check(name, "mm/d", names, sol.fluxes[name].detach().numpy(), expected[name], 1e-5, RADAU))
    slopes = torch.autograd.grad(sol.fluxes["runoff"].sum(), [*leaves.values()])
    shares = torch.stack(slopes).numpy() / expected["gradient"]
    what = "gradient of the whole runoff to each parameter, as shares of the expected one"
    checks.append(check(what, "1", [*leaves], shares, [1.0] * len(shares), 1e-4, DIFFERENCES))
    study = in_time(
        lambda rtol: solve(rtol)[0].fluxes["runoff"].detach().numpy(),
        "mm",
        expected["runoff"],
        RTOLS,
        floor=1e-8,
        within=1.0,
    )
    day = np.arange(10) + 0.5
    flows = [
        Line(day, TEN_DAYS_WEATHER["precipitation"], "precipitation", "bars"),
        Line(day, sol.fluxes["runoff"].detach().numpy(), "runoff"),
        Line(day, expected["runoff"], "expected", "points"),
    ]
    return Outcome(
        tuple(checks), balance_of(sol), bench.studies(study), (Panel("time (d)", "daily amount (mm)", flows),)
    )
