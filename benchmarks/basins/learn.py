"""One network over 48 basins against transfers of calibrated parameters, in 12 basins held out.

    python benchmarks/basins/learn.py DATA CALIBRATED --output DIR [--seeds 0 1 2] [--steps N] [--engine E]

DATA is a folder with `camels_us_60.nc` and `camels_us_attributes_60.csv`; CALIBRATED is the result of
`calibrate.py`: each basin by itself over the same days. What a network is compared with uses the calibrated
parameters of the 48 basins: their median, and those of the basin whose attributes are nearest.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import pydiffgeo as dg

TRAIN, VALIDATION = ("1980-10-01", "2000-09-30"), ("2000-10-01", "2010-09-30")
# Climate, topography, soil, vegetation and geology: what is known of an ungauged basin.
ATTRIBUTES = (
    "gauge_lat", "elev_mean", "slope_mean", "area_gages2", "p_mean", "pet_mean", "p_seasonality", "frac_snow",
    "aridity", "high_prec_freq", "low_prec_freq", "soil_depth_pelletier", "soil_porosity", "soil_conductivity",
    "sand_frac", "clay_frac", "frac_forest", "lai_max", "gvf_max", "geol_permeability",
)  # fmt: skip
BOUNDS = {"f": (0.0, 0.3), "S_max": (20.0, 5000.0), "Q_max": (0.5, 300.0), "D_f": (0.01, 15.0), "T_max": (-2.0, 5.0),
          "T_min": (-6.0, 2.0)}  # fmt: skip
INITIAL = {"water_storage": (0.0, 5000.0)}


def read(folder: Path) -> dg.nn.SiteData:
    """The 60 basins with their attributes."""
    data = dg.io.open_cf(folder / "camels_us_60.nc", variables={"precipitation": "prcp", "temperature": "tmean",
                         "daylength": "dayl", "runoff": "q_obs"})  # fmt: skip
    with open(folder / "camels_us_attributes_60.csv", encoding="utf-8") as file:
        table = {row["gauge_id"].zfill(8): row for row in csv.DictReader(file)}
    for name in ATTRIBUTES:
        data[name] = ("basin", np.array([float(table[str(b)][name] or "nan") for b in data.basin.values]))
    return dg.nn.site_data(data, ATTRIBUTES)


def efficiency(runoff: torch.Tensor, data: dg.nn.SiteData) -> np.ndarray:
    """NSE in the days of validation, for runoff over the whole record `(sites, days)`."""
    days = data.dates >= np.datetime64(VALIDATION[0])
    keep = torch.from_numpy(days)
    return dg.losses.nse(runoff[:, keep], data.observed[:, keep]).numpy()


def with_parameters(values: dict[str, np.ndarray], data: dg.nn.SiteData, settings: dict) -> np.ndarray:
    """NSE of each site with given values, name -> `(sites,)`."""
    warmup = 365
    forcing = {k: torch.cat([v[:, :warmup], v], dim=1) for k, v in data.forcing.items()}
    given = {k: torch.from_numpy(v).unsqueeze(1) for k, v in values.items()}
    initial = {k: given.pop(k) for k in INITIAL}
    with torch.no_grad():
        solution = dg.solve(dg.models.ExpHydro(), given, forcing=forcing, initial=initial,
                            times=np.arange(forcing["precipitation"].shape[1] + 1.0), **settings)  # fmt: skip
    return efficiency(solution.fluxes["runoff"][:, warmup:], data)


def nearest(data: dg.nn.SiteData, kept: list[str], out: list[str]) -> list[str]:
    """For each site held out, the kept one with the nearest attributes, each in units of its spread."""
    known = dg.nn.Standardise(len(data.inputs))
    a = data.take(kept).attributes
    known.fit(a)
    distance = torch.cdist(known(data.take(out).attributes), known(a))
    return [kept[int(i)] for i in distance.argmin(1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("calibrated", type=Path)
    parser.add_argument("--output", type=Path, default=Path("learnt"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", type=int, default=0, help="seed of the choice of basins that are held out")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--hidden", type=int, nargs="+", default=[64])
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--window", type=int, default=1095)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    settings = {"engine": options.engine, "rtol": 1e-3, "atol": 1e-3}

    data = read(options.data)
    with xr.open_dataset(options.calibrated) as file:
        found = {
            str(b): {
                **{k: float(file[k].sel(basin=b)) for k in BOUNDS},
                "water_storage": float(file["initial_water_storage"].sel(basin=b)),
            }
            for b in file.basin.values
        }
        alone = dict(zip(map(str, file.basin.values), file["nse"].values[:, 1], strict=True))  # fmt: skip
    names = [n for n in data.names if n in found and np.isfinite(alone[n])]
    kept, out = dg.nn.held_out(names, len(names) // 5, seed=options.split)
    print(f"{len(kept)} basins for training, held out: {' '.join(out)}")

    median = {k: float(np.median([found[n][k] for n in kept])) for k in (*BOUNDS, *INITIAL)}
    transfers = {
        "median parameters": {k: np.full(len(out), v) for k, v in median.items()},
        "nearest neighbour": {k: np.array([found[n][k] for n in nearest(data, kept, out)]) for k in median},
    }
    result = {
        "held out": out,
        "by itself, held out": [alone[n] for n in out],
        "by itself, trained": [alone[n] for n in kept],
    }
    for name, values in transfers.items():
        result[name] = with_parameters(values, data.take(out), settings).tolist()
    for seed in options.seeds:
        network = dg.nn.ParameterNetwork(
            dg.models.ExpHydro(),
            ATTRIBUTES,
            bounds=BOUNDS,
            initial=INITIAL,
            hidden=options.hidden,
            start=median,
            seed=seed,
        )
        training = dg.nn.Training(
            steps=options.steps, batch=16, window=options.window, warmup=365, learning_rate=options.rate,
            weight_decay=options.decay, seed=seed, settings=settings,
        )  # fmt: skip
        seen = dg.nn.train(
            network, data.take(kept).between(*TRAIN), training, checkpoint=options.output / f"seed{seed}.checkpoint.npz",
            callback=lambda step, loss: print(f"  step {step}  loss {loss:.4f}", flush=True) if step % 50 == 0 else None,
        )  # fmt: skip
        network.save(options.output / f"network{seed}.npz")
        for what, chosen in (("held out", out), ("trained", kept)):
            part = data.take(chosen)
            solution = dg.nn.predict(network, part, **settings)
            score = efficiency(solution.fluxes["runoff"][:, 365:], part)
            result[f"network, seed {seed}, {what}"] = score.tolist()
        print(f"seed {seed}: {seen.solves} solves, {seen.seconds:.0f} s, held out {np.median(result[f'network, seed {seed}, held out']):.3f}, "
              f"trained {np.median(score):.3f}", flush=True)  # fmt: skip
    (options.output / "scores.json").write_text(json.dumps(result, indent=1))
    report(result, options.seeds)


def report(result: dict, seeds: list[int]) -> None:
    """Medians of the NSE in validation, and what can be said of the network."""
    print("median NSE in validation:")
    for name in ("median parameters", "nearest neighbour", "by itself, held out", "by itself, trained"):
        print(f"  {name:24} {np.median(result[name]):.3f}")
    for what in ("held out", "trained"):
        scores = [float(np.median(result[f"network, seed {s}, {what}"])) for s in seeds]
        print(
            f"  {'network, ' + what:24} {np.mean(scores):.3f} +- {np.std(scores, ddof=1) if len(scores) > 1 else float('nan'):.3f}  ({', '.join(f'{s:.3f}' for s in scores)})"
        )
        if what == "held out" and len(scores) > 1:
            rivals = {n: {"nse": float(np.median(result[n]))} for n in ("median parameters", "nearest neighbour")}
            for verdict in dg.baselines.compare({"nse": scores}, rivals):
                print(f"  {verdict}")


if __name__ == "__main__":
    main()
