"""The base flow of EXP-HYDRO as a network, learned from a flow duration curve only: no day is compared with a day.

    python examples/flow_duration_closure.py [--data camels.nc --parameters exphydro.csv --basin 01022500]

Snow, evaporation and balances stay as they are; what leaves the store of water below its brim is left to a network of the
storage. First the truth is EXP-HYDRO itself, so that the relation that should come out is known; with a NetCDF file of a
basin (`prcp`, `tmean`, `dayl`, `q_obs`, by basin and time) and a table of parameters of EXP-HYDRO, its observed runoff. Both
are judged in years that were not used, by the hydrograph, which nothing was fitted to. Beside it: the network before
learning, a linear store with its one coefficient learned from the same curve, and the network learned from the hydrograph.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import pydiffgeo as dg
from pydiffgeo.processes.evaporation import from_store, hamon
from pydiffgeo.processes.reservoir import overflow
from pydiffgeo.processes.snow import degree_day_melt, partition

# Probabilities of exceedance at which the curves are compared.
CHANCES = (0.005, 0.01, 0.02, 0.05, *np.arange(0.1, 0.95, 0.1).tolist(), 0.95, 0.98)


# A network, or the logarithm of the flow of a full linear store.
Law = nn.Module | Tensor


@dataclass(frozen=True, eq=False)
class Score:
    """Error of the flow duration curve (rms of ln), agreement of the hydrograph, and the curves themselves."""

    error: float
    nse: float
    log_nse: float
    curve: Tensor
    wanted: Tensor


def exphydro_with(base_flow: nn.Module | None) -> dg.Model:
    """EXP-HYDRO; the logarithm of its base flow (mm/d) is a network of the share of the store that is filled.

    Without a network the base flow is that of a linear store, with a parameter `k`, the flow of the full store.
    """
    plain, linear = dg.models.ExpHydro(), base_flow is None

    def source(cell, forcing):
        snow, water = cell.snow_storage, cell.water_storage
        rainfall, snowfall = partition(forcing.precipitation, forcing.temperature, cell.T_min)
        melt = degree_day_melt(snow, forcing.temperature, cell.D_f, cell.T_max)
        evaporation = from_store(water, hamon(forcing.temperature, forcing.daylength), cell.S_max)
        share = water / cell.S_max
        # Nothing leaves an empty store, whatever a network says.
        wet = 1 - torch.exp(-torch.relu(water) / 5.0)
        base = cell.k * torch.relu(share) if linear else wet * torch.exp(cell.base_flow(share))
        runoff = base + overflow(water, cell.S_max)
        return {
            "snow_storage": snowfall - melt,
            "water_storage": rainfall + melt - evaporation - runoff,
            "precipitation": snowfall + rainfall,
            "evapotranspiration": evaporation,
            "runoff": runoff,
        }

    kept = tuple(p for p in plain.parameters if p.name not in ("f", "Q_max"))
    k = dg.Parameter("k", "mm d-1", "base flow of the full store", 1.0, 0.0)
    return replace(
        plain,
        name="ExpHydroWithBaseFlow",
        parameters=(*kept, k) if linear else kept,
        fluxes=tuple(q for q in plain.fluxes if q.name in ("precipitation", "evapotranspiration", "runoff")),
        source=source,
        networks={} if linear else {"base_flow": base_flow},
    )


def network(middle: float) -> nn.Sequential:
    """25 weights from the share to the logarithm of a flow (mm/d), which before learning rises by 4, half full from `middle`."""
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    with torch.no_grad():
        # Steps spread over the store, so that each part of it has weights of its own.
        net[0].weight.fill_(3.0)
        net[0].bias.copy_(-3 * torch.linspace(0, 1, 8, dtype=torch.float64))
        net[2].weight.fill_(0.4)
        net[2].bias.fill_(float(np.log(middle)))
    return net


@dataclass(frozen=True, eq=False)
class Basin:
    """Forcings and runoff by day, parameters of what stays as it is, and where learning ends and judging begins."""

    forcing: dict[str, np.ndarray]
    runoff: Tensor
    parameters: dict[str, float]
    warm_up: int
    split: int
    first_water: float

    def simulated(self, law: Law, days: slice, engine: str) -> Tensor:
        """Runoff `(days,)`, from the first day on; the warm-up is part of it."""
        count = days.stop - days.start
        linear = {} if isinstance(law, nn.Module) else {"k": law.exp()}
        return dg.solve(
            exphydro_with(law if isinstance(law, nn.Module) else None),
            {**self.parameters, **linear},
            forcing={k: v[days] for k, v in self.forcing.items()},
            times=np.arange(count + 1.0),
            initial={"water_storage": self.first_water},
            engine=engine,
            rtol=1e-4,
            atol=1e-4,
        ).fluxes["runoff"]

    def curve(self, flow: Tensor, seen: Tensor) -> Tensor:
        """Flow duration curve `(len(CHANCES),)` of the days that were seen, without the warm-up; no flow counts as a little."""
        known = torch.isfinite(seen[self.warm_up :])
        floor = 1e-3 * float(torch.nanmean(self.runoff))
        return dg.losses.flow_duration_curve(flow[self.warm_up :][known], CHANCES).clamp(min=floor)


def learn(basin: Basin, law: Law, windows: int, engine: str, hydrograph: bool = False) -> None:
    """From the curve of the first years or, for comparison, from their hydrograph: both squared errors of logarithms."""
    days = slice(0, basin.split)
    seen = basin.runoff[days]
    wanted = basin.curve(seen, seen)

    def run(state: None) -> tuple[None, Tensor]:
        flow = basin.simulated(law, days, engine)
        return None, flow[basin.warm_up :] if hydrograph else basin.curve(flow, seen)

    def loss(found: Tensor) -> Tensor:
        if hydrograph:
            return 1 - dg.losses.log_nse(found, seen[basin.warm_up :])
        return dg.losses.rms_log_ratio(found, wanted) ** 2

    learnt = [*law.parameters()] if isinstance(law, nn.Module) else [law]
    print(f"  {dg.closures.learn(run, loss, learnt, None, windows=windows, rate=0.05, averaged=0.1)}", flush=True)


def judged(basin: Basin, law: Law, engine: str) -> Score:
    """In the years that were not used."""
    days = slice(basin.split - basin.warm_up, len(basin.runoff))
    seen = basin.runoff[days]
    with torch.no_grad():
        flow = basin.simulated(law, days, engine)
    curve, wanted = basin.curve(flow, seen), basin.curve(seen, seen)
    now, then = flow[basin.warm_up :], seen[basin.warm_up :]
    error = dg.losses.rms_log_ratio(curve, wanted)
    return Score(float(error), float(dg.losses.nse(now, then)), float(dg.losses.log_nse(now, then)), curve, wanted)


def made(years: int, engine: str) -> Basin:
    """EXP-HYDRO under made weather; its base flow is 20 exp(-12 (1 - share)) mm/d."""
    random, n = np.random.default_rng(1), 365 * years
    season = np.cos(2 * np.pi * (np.arange(n) + 80) / 365)
    forcing = {
        "precipitation": random.gamma(0.25, 14.0, n),
        "temperature": 6.0 - 11.0 * season + random.normal(0.0, 3.0, n),
        "daylength": 12.0 - 3.0 * season,
    }
    true = {"f": 0.03, "S_max": 400.0, "Q_max": 20.0}
    question = {"forcing": forcing, "times": np.arange(n + 1.0), "initial": {"water_storage": 300.0}, "engine": engine}
    runoff = dg.solve(dg.models.ExpHydro(), true, **question, rtol=1e-5, atol=1e-5).fluxes["runoff"]
    return Basin(forcing, runoff, {"S_max": 400.0}, 120, n // 2, 300.0)


def observed(data: Path, parameters: Path, basin: str, years: int) -> Basin:
    """A basin of the file, with the snow and the size of the store of the table."""
    import xarray

    with parameters.open() as file:
        row = {
            k: float(v) for r in csv.DictReader(file) if r["basinID"] == basin for k, v in r.items() if k != "basinID"
        }
    with xarray.open_dataset(data) as file:
        one = file.sel(basin=basin).isel(time=slice(0, 365 * years))
        names = {"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl"}
        forcing = {name: one[key].values.astype(float) for name, key in names.items()}
        runoff = torch.from_numpy(one["q_obs"].values.astype(float))
    fixed = {"S_max": row["Smax"], "D_f": row["Df"], "T_max": row["Tmax"], "T_min": row["Tmin"]}
    return Basin(forcing, runoff, fixed, 365, 365 * (years // 2), 0.7 * row["Smax"])


def main(
    years: int = 4,
    windows: int = 25,
    engine: str = "auto",
    real: tuple[Path, Path, str] | None = None,
    output: Path | None = Path("flow_duration_closure.png"),
) -> dict[str, Score]:
    """Prints and returns the scores of the laws by name, and draws curves and laws."""
    basin = made(years, engine) if real is None else observed(*real, years)
    mean = float(torch.nanmean(basin.runoff[: basin.split]))
    laws: dict[str, Law] = {
        "network, before learning": network(mean),
        "linear store": torch.tensor(np.log(2 * mean), dtype=torch.float64, requires_grad=True),
        "network": network(mean),
        "network, from the hydrograph": network(mean),
    }
    for name in [*laws][1:]:
        print(name)
        learn(basin, laws[name], windows, engine, hydrograph="hydrograph" in name)
    found = {name: judged(basin, law, engine) for name, law in laws.items()}
    print(f"{'years that were not used':30} curve, rms of ln    NSE  log-NSE")
    for name, result in found.items():
        print(f"{name:30} {result.error:16.3f} {result.nse:6.3f} {result.log_nse:8.3f}")
    if output is not None:
        draw(found, laws, real is None, output)
    return found


def draw(found: dict[str, Score], laws: dict[str, Law], known: bool, output: Path) -> None:
    """Curves of the years that were not used, and base flow by the share of the store that is filled."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    share = torch.linspace(0.02, 1.0, 100, dtype=torch.float64)[:, None]
    left.semilogy(CHANCES, found["network"].wanted, "k-", lw=4, alpha=0.3, label="truth" if known else "observed")
    for (name, law), colour in zip(laws.items(), ("C7", "C1", "C0", "C2"), strict=True):
        left.semilogy(CHANCES, found[name].curve, color=colour, label=name)
        with torch.no_grad():
            log_flow = law(share) if isinstance(law, nn.Module) else law + share.log()
        right.semilogy(share, log_flow.exp(), color=colour)
    if known:
        right.semilogy(share, 20 * torch.exp(-12 * (1 - share)), "k-", lw=4, alpha=0.3)
    left.set(xlabel="probability of exceedance", ylabel="runoff (mm/d)")
    right.set(xlabel="share of the store that is filled", ylabel="base flow (mm/d)")
    left.legend(frameon=False, fontsize=8)
    figure.savefig(output, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--years", type=int, default=4, help="half of them to learn from")
    parser.add_argument("--windows", type=int, default=25)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--parameters", type=Path)
    parser.add_argument("--basin", default="01057000")
    parser.add_argument("--output", type=Path, default=Path("flow_duration_closure.png"))
    asked = parser.parse_args()
    real = (asked.data, asked.parameters, asked.basin) if asked.data else None
    main(asked.years, asked.windows, asked.engine, real, asked.output)
