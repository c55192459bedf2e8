"""Do networks inside EXP-HYDRO make it better where nobody trained? Twelve basins, each by itself, several seeds.

    python benchmarks/basins/learnt_processes.py DATA [--engine E] [--basins N] [--seeds N] [--output FILE.json]

DATA holds `camels_us_60.nc`; every fifth of its basins is taken. Plain EXP-HYDRO is calibrated by gradient over the training
period. The other model begins as that and multiplies its evapotranspiration and its runoff by factors that two networks
give (after Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26, who replace the processes); networks and snow parameters are
trained by Adam, and those of the step with the best efficiency in the tuning period are kept. Both are scored in the
evaluation period, which neither has seen.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import learn
import numpy as np
import torch
from torch import nn

import pydiffgeo as dg

TRAIN, TUNING, EVALUATION = ("1990-10-01", "1997-09-30"), ("1997-10-01", "2000-09-30"), ("2000-10-01", "2010-09-30")
START, WARMUP = "1989-10-01", 365
BOUNDS = {**learn.BOUNDS, "f": (0.001, 0.3)}
SNOW = ("D_f", "T_max", "T_min")
SETTINGS = {"rtol": 1e-3, "atol": 1e-3}


def perceptron(inputs: int) -> nn.Sequential:
    """4-16-16-1 or the like, whose output is zero at first."""
    layers = nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return layers


def learnt(evaporation: nn.Module, discharge: nn.Module) -> dg.Model:
    """EXP-HYDRO with factors from networks: from nothing to twice the evapotranspiration, any positive one of runoff."""
    plain = dg.models.ExpHydro()

    def source(cell, forcing):
        rates = plain.source(cell, forcing)
        snow, filled, warm = cell.snow_storage / 100, cell.water_storage / cell.S_max, forcing.temperature / 10
        factor = 2 * torch.sigmoid(cell.evaporation(filled, warm, snow, forcing.daylength / 12))
        evapotranspiration = factor * rates["evapotranspiration"]
        runoff = rates["runoff"] * torch.exp(cell.discharge(filled, warm, snow, forcing.precipitation / 20))
        # What falls, and is not kept as snow, reaches the water.
        inflow = rates["precipitation"] - rates["snow_storage"]
        changed = {"water_storage": inflow - evapotranspiration - runoff, "evapotranspiration": evapotranspiration}
        return {k: rates[k] for k in ("snow_storage", "precipitation")} | changed | {"runoff": runoff}

    return replace(
        plain,
        name="LearntExpHydro",
        fluxes=tuple(q for q in plain.fluxes if q.name in ("precipitation", "evapotranspiration", "runoff")),
        source=source,
        networks={"evaporation": evaporation, "discharge": discharge},
        reference="Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26",
    )


class Record:
    """One basin from `START` to the end of the evaluation period, in days after the first."""

    def __init__(self, file: Path, basin: str, engine: str) -> None:
        names = {"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl", "runoff": "q_obs"}
        dataset = dg.hydrology.open_cf(file, basins=[basin], variables=names, quantities=())
        data = dg.hydrology.basin_data(dataset, basin, start=START, end=EVALUATION[1])
        self.basin, self.settings, self.dates = basin, {**SETTINGS, "engine": engine}, data.dates
        self.forcing = {
            k: torch.from_numpy(np.array(getattr(data, k))) for k in ("precipitation", "temperature", "daylength")
        }
        self.observed = torch.from_numpy(np.array(data.runoff))

    def days(self, period: tuple[str, str]) -> slice:
        first, last = (int((np.datetime64(d) - self.dates[0]).astype(int)) for d in period)
        return slice(first, last + 1)

    def run(
        self, model: dg.Model, values: dict[str, torch.Tensor], initial: dict[str, torch.Tensor], until: str
    ) -> torch.Tensor:
        """Daily runoff from the first day to the end of a period, mm/d."""
        stop = self.days((START, until)).stop
        forcing = {k: v[:stop] for k, v in self.forcing.items()}
        sol = dg.solve(model, values, forcing=forcing, initial=initial, times=np.arange(stop + 1.0), **self.settings)
        return sol.fluxes["runoff"]

    def nse(self, runoff: torch.Tensor, period: tuple[str, str]) -> torch.Tensor:
        return dg.losses.nse(runoff[self.days(period)], self.observed[self.days(period)])


def calibrated(record: Record) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Values and initial states of plain EXP-HYDRO, by gradient over the training period."""
    stop = record.days(TRAIN).stop
    windows = np.stack([np.arange(WARMUP, stop), np.arange(WARMUP, stop) + 1], axis=1).astype(float)
    seen = dg.observe.Observation("runoff", "flux_mean", windows, record.observed[WARMUP:stop], error=1.0)
    site = dg.calibration.Site(
        record.basin,
        dg.models.ExpHydro(),
        np.arange(stop + 1.0),
        {k: v[:stop] for k, v in record.forcing.items()},
        (seen,),
        bounds={**BOUNDS, "water_storage": (0.0, 5000.0)},
        initial={"snow_storage": 0.0},
        loss="nse",
        warmup=float(WARMUP),
        settings=record.settings,
    )
    strategy = dg.calibration.Strategy(candidates=128, starts=12, window=730.0, window_steps=10, finalists=4, steps=15)
    values = dg.calibration.calibrate([site], strategy, progress=False).values(record.basin)
    numbers = {k: torch.tensor(float(v), dtype=torch.float64) for k, v in values.items()}
    start = {"snow_storage": torch.zeros((), dtype=torch.float64), "water_storage": numbers.pop("water_storage")}
    return numbers, start


def trained(
    record: Record, values: dict[str, torch.Tensor], start: dict[str, torch.Tensor], seed: int, steps: int
) -> float:
    """The efficiency in the evaluation period of networks within EXP-HYDRO, chosen by that in the tuning period."""
    torch.manual_seed(seed)
    networks = perceptron(4), perceptron(4)
    model = learnt(*networks)
    # Snow parameters are moved with the networks, by factors and shifts that are none at first.
    moved = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def now() -> dict[str, torch.Tensor]:
        shifted = {
            "D_f": values["D_f"] * torch.exp(moved[0]),
            "T_max": values["T_max"] + moved[1],
            "T_min": values["T_min"] + moved[2],
        }
        return {**values, **shifted}

    weights = [p for net in networks for p in net.parameters()]
    optimiser = torch.optim.Adam([{"params": weights, "lr": 0.005}, {"params": [moved], "lr": 0.02}])
    best, kept = -np.inf, None
    for _ in range(steps):
        optimiser.zero_grad()
        runoff = record.run(model, now(), start, TUNING[1])
        tuning = record.nse(runoff, TUNING).item()
        if tuning > best:
            best, kept = tuning, ([p.detach().clone() for p in weights], moved.detach().clone())
        (1 - record.nse(runoff, TRAIN)).backward()
        torch.nn.utils.clip_grad_norm_([*weights, moved], 1.0)
        optimiser.step()
    assert kept is not None
    with torch.no_grad():
        for p, value in zip(weights, kept[0], strict=True):
            p.copy_(value)
        moved.copy_(kept[1])
        return record.nse(record.run(model, now(), start, EVALUATION[1]), EVALUATION).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--basins", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument(
        "--part", type=int, nargs=2, default=(0, 1), metavar=("K", "N"), help="every N-th basin from K on"
    )
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = options.data / "camels_us_60.nc"
    names = [str(b) for b in dg.io.read_dataset(file)["basin"].values]
    chosen = names[:: max(len(names) // options.basins, 1)][: options.basins][options.part[0] :: options.part[1]]
    rows = []
    for basin in chosen:
        started = time.perf_counter()
        record = Record(file, basin, options.engine)
        values, start = calibrated(record)
        with torch.no_grad():
            plain = record.nse(record.run(dg.models.ExpHydro(), values, start, EVALUATION[1]), EVALUATION).item()
        ours = [trained(record, values, start, seed, options.steps) for seed in range(options.seeds)]
        rows.append({"basin": basin, "plain": plain, "networks": ours})
        shown = ", ".join(f"{v:.3f}" for v in ours)
        print(f"{basin}: plain {plain:.3f}, with networks {shown}; {time.perf_counter() - started:.0f} s", flush=True)
    if len(rows) > 1:
        ours, plain = [np.mean(r["networks"]) for r in rows], [r["plain"] for r in rows]
        lead, floor = np.median(ours) - np.median(plain), dg.baselines.median_floor(ours, plain)
        print(f"medians differ by {lead:+.3f}; floor with the same basins drawn anew for both {floor:.3f}")
        if options.seeds > 1:
            spread = np.mean([np.std(r["networks"], ddof=1) for r in rows])
            print(f"floor of a basin over seeds, mean of two spreads: {2 * spread:.3f}")
    better = sum(np.mean(r["networks"]) > r["plain"] for r in rows)
    print(f"better in the mean of the seeds in {better} of {len(rows)} basins")
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
