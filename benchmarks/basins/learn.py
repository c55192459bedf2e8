"""One network over 48 basins against transfers of calibrated parameters, in 12 basins held out; five times.

    python benchmarks/basins/learn.py DATA CALIBRATED --output DIR [--folds N] [--seeds 0 1 2] [--engine E]

DATA is a folder with `camels_us_60.nc` and `camels_us_attributes_60.csv`; CALIBRATED is the result of
`calibrate.py`: each basin by itself over the same days. The 60 basins are split into five parts, each of which is
held out once; `--folds 1` stops after the first. What a network is compared with uses the calibrated parameters
of the 48 basins it is trained on: their median, and those of the basin whose attributes are nearest. A run that is
interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import pydiffgeo as dg

TRAIN, VALIDATION = ("1980-10-01", "2000-09-30"), ("2000-10-01", "2010-09-30")
PARTS, WARMUP = 5, 365
# Of the runoff of the networks of all seeds so far.
MEAN = "mean of the networks"
# Climate and topography are what the network is given; a neighbour is sought in soil, vegetation and geology too,
# which makes it a better one. With so few basins the network is no better for them.
GIVEN = (
    *("gauge_lat", "elev_mean", "slope_mean", "p_mean", "pet_mean", "p_seasonality", "frac_snow", "aridity"),
    *("high_prec_freq", "low_prec_freq"),
)
ATTRIBUTES = (
    *GIVEN,
    "area_gages2",
    "soil_depth_pelletier",
    "soil_porosity",
    "soil_conductivity",
    "sand_frac",
    "clay_frac",
    "frac_forest",
    "lai_max",
    "gvf_max",
    "geol_permeability",
)
BOUNDS = {
    "f": (0.0, 0.3),
    "S_max": (20.0, 5000.0),
    "Q_max": (0.5, 300.0),
    "D_f": (0.01, 15.0),
    "T_max": (-2.0, 5.0),
    "T_min": (-6.0, 2.0),
}
INITIAL = {"water_storage": (0.0, 5000.0)}
Scores = dict[str, float]


def read(folder: Path, attributes: tuple[str, ...] = ATTRIBUTES, model: dg.Model | None = None) -> dg.nn.SiteData:
    """The 60 basins with their attributes."""
    data = dg.hydrology.open_cf(
        folder / "camels_us_60.nc",
        variables={"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl", "runoff": "q_obs"},
    )
    with open(folder / "camels_us_attributes_60.csv", encoding="utf-8") as file:
        table = {row["gauge_id"].zfill(8): row for row in csv.DictReader(file)}
    for name in attributes:
        data[name] = ("basin", np.array([float(table[str(b)][name] or "nan") for b in data.basin.values]))
    return dg.hydrology.site_data(data, attributes, model=model)


def calibrated(path: Path) -> tuple[dict[str, dict[str, float]], Scores, Scores]:
    """Values of each basin calibrated by itself, the NSE in evaluation, and that of the mean of its finalists."""
    with xr.open_dataset(path) as file:
        found = {
            str(b): {k: float(file[k].sel(basin=b)) for k in BOUNDS}
            | {k: float(file[f"initial_{k}"].sel(basin=b)) for k in INITIAL}
            for b in file.basin.values
        }
        one, several = (dict(zip(found, file[k].values[:, 1].tolist(), strict=True)) for k in ("nse", "ensemble_nse"))
    good = [n for n, score in one.items() if np.isfinite(score)]
    return found, {n: one[n] for n in good}, {n: several[n] for n in good}


def efficiency(runoff: torch.Tensor, data: dg.nn.SiteData) -> Scores:
    """NSE of each site in the days of evaluation, for runoff over the whole record `(sites, days)`."""
    keep = torch.from_numpy(data.dates >= np.datetime64(VALIDATION[0]))
    return dict(zip(data.names, dg.losses.nse(runoff[:, keep], data.observed[:, keep]).tolist(), strict=True))


def with_parameters(values: Mapping[str, Any], data: dg.nn.SiteData, settings: dict[str, Any]) -> Scores:
    """NSE of each site with given values, name -> `(sites,)`."""
    forcing = {k: torch.cat([v[:, :WARMUP], v], dim=1) for k, v in data.forcing.items()}
    given = {k: torch.as_tensor(v).expand(len(data)).unsqueeze(1) for k, v in values.items()}
    initial = {k: given.pop(k) for k in INITIAL}
    with torch.no_grad():
        solution = dg.solve(
            dg.models.ExpHydro(),
            given,
            forcing=forcing,
            initial=initial,
            times=np.arange(forcing["precipitation"].shape[1] + 1.0),
            **settings,
        )
    return efficiency(solution.fluxes["runoff"][:, WARMUP:], data)


def nearest(data: dg.nn.SiteData, kept: list[str], out: list[str]) -> list[str]:
    """For each site held out, the kept one with the nearest attributes, each in units of its spread."""
    known = dg.nn.Standardise(len(data.inputs))
    a = data.take(kept).attributes
    known.fit(a)
    distance = torch.cdist(known(data.take(out).attributes), known(a))
    return [kept[int(i)] for i in distance.argmin(1)]


def trained(
    data: dg.nn.SiteData, kept: list[str], start: Mapping[str, float], seed: int, file: Path, options: Any
) -> dg.nn.ParameterNetwork:
    """A network trained on the sites `kept`, read from `file` where it is there."""
    if file.exists():
        return dg.nn.ParameterNetwork.load(file, dg.models.ExpHydro())
    network = dg.nn.ParameterNetwork(
        dg.models.ExpHydro(),
        GIVEN,
        bounds=BOUNDS,
        initial=INITIAL,
        hidden=(64,),
        scaling="normal_scores",
        start=start,
        seed=seed,
    )
    usual = training_of(options.steps, options.batch, options.window, options.inner_steps, options.settings)
    training = replace(usual, learning_rate=options.rate, noise=options.noise, seed=seed)
    seen = dg.nn.train(
        network, data.take(kept).between(*TRAIN), training, checkpoint=file.with_suffix(".checkpoint.npz")
    )
    print(
        f"{file.stem}: {seen.solves} solves with gradients, {seen.seconds:.0f} s, failures {seen.failures}", flush=True
    )
    network.save(file)
    return network


def settings_of(engine: str, euler: bool = False) -> dg.nn.training.Keywords:
    """How basins are solved: with error control, or in daily steps of implicit Euler."""
    way: dg.nn.training.Keywords = {"solver": "implicit_euler", "step": 1.0} if euler else {"rtol": 1e-3, "atol": 1e-3}
    return {"engine": engine, **way}


def training_of(
    steps: int, batch: int, window: int, inner_steps: int, settings: dg.nn.training.Keywords
) -> dg.nn.Training:
    """What networks over basins are trained with here, whatever they are given."""
    return dg.nn.Training(
        steps=steps,
        batch=batch,
        window=window,
        warmup=WARMUP,
        learning_rate=0.02,
        weight_decay=0.1,
        measure="log",
        noise=0.5,
        inner_steps=inner_steps,
        average=0.98,
        settings=settings,
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """Options of how networks are trained."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--window", type=int, default=730)
    parser.add_argument("--inner-steps", type=int, default=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("calibrated", type=Path)
    parser.add_argument("--output", type=Path, default=Path("learnt"))
    parser.add_argument("--folds", type=int, default=PARTS)
    add_training(parser)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--noise", type=float, default=0.5)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    options.settings = settings_of(options.engine)

    everything, given = read(options.data), read(options.data, GIVEN)
    found, alone, several = calibrated(options.calibrated)
    names = [n for n in everything.names if n in alone]
    parts = list(dg.nn.k_fold(names, PARTS))[: options.folds]
    folds: list[dict[str, Any]] = []
    for kept, out in parts:
        apart = everything.take(out)
        median = {k: float(np.median([found[n][k] for n in kept])) for k in found[out[0]]}
        near = {k: [found[n][k] for n in nearest(everything, kept, out)] for k in median}
        held: dict[str, Any] = {
            "median parameters": with_parameters(median, apart, options.settings),
            "nearest neighbour": with_parameters(near, apart, options.settings),
        }
        folds.append({"start": median, "held out": held, "trained": {}})
    runoff: list[list[torch.Tensor]] = [[] for _ in parts]
    for count, seed in enumerate(options.seeds, start=1):
        for number, ((kept, out), fold) in enumerate(zip(parts, folds, strict=True)):
            print(f"seed {seed}, fold {number}: held out {' '.join(out)}", flush=True)
            file = options.output / f"fold{number}_seed{seed}.npz"
            network = trained(given, kept, fold["start"], seed, file, options)
            solution = dg.nn.predict(network, given.take(names), warmup=WARMUP, **options.settings)
            runoff[number].append(solution.fluxes["runoff"][:, WARMUP:])
            mean = torch.stack(runoff[number]).mean(0)
            for name, simulated in ((f"network {seed}", runoff[number][-1]), (MEAN, mean)):
                scores = efficiency(simulated, given.take(names))
                fold["held out"][name] = {n: scores[n] for n in out}
                fold["trained"][name] = {n: scores[n] for n in kept}
            report([fold], alone, several, [seed])
            (options.output / "scores.json").write_text(
                json.dumps({"folds": folds, "by itself": alone, "means of finalists": several}, indent=1)
            )
        print(f"all {len(folds)} folds, {count} seeds:")
        report(folds, alone, several, options.seeds[:count])


def report(folds: list[dict[str, Any]], alone: Scores, several: Scores, seeds: list[int]) -> None:
    """Medians of the NSE in evaluation over the basins of some folds, and what can be said of the network.

    One network is held against one set of parameters of each basin calibrated by itself, the mean of the networks
    against the mean of its finalists.
    """

    def median(part: str, which: str) -> float:
        return float(np.median([s for fold in folds for s in fold[part][which].values()]))

    def behind(part: str, which: str, own: Scores) -> float:
        """What the median basin lacks to its own calibration."""
        return float(np.median([own[n] - s for fold in folds for n, s in fold[part][which].items()]))

    rivals = {n: median("held out", n) for n in ("median parameters", "nearest neighbour")}
    for name, value in rivals.items():
        print(f"  {name:24} {value:.3f}")
    networks = [f"network {s}" for s in seeds]
    for part in ("held out", "trained"):
        scores = [median(part, n) for n in networks]
        spread = " (one seed has no floor)"
        if len(scores) > 1:
            spread = f" +- {np.std(scores, ddof=1):.3f}, floor over seeds {2 * np.std(scores, ddof=1):.3f}"
        print(f"  network, {part:15} {np.mean(scores):.3f}{spread}  ({', '.join(f'{s:.3f}' for s in scores)})")
        rows = [(n, "each by itself", alone) for n in networks]
        if len(scores) > 1:
            rows.append((MEAN, "means of finalists", several))
        for which, what, own in rows:
            basins = [own[n] for fold in folds for n in fold[part][which]]
            gap = float(np.median(basins)) - median(part, which)
            print(
                f"    {which:22} {median(part, which):.3f}; {what} {np.median(basins):.3f}, {gap:.3f} more; "
                f"the median basin {behind(part, which, own):.3f}",
                flush=True,
            )
        if part == "held out":
            for name in rivals:
                basins = [n for fold in folds for n in fold[part][name]]
                their = [fold[part][name][n] for fold in folds for n in fold[part][name]]
                ours = [np.mean([fold[part][s][n] for s in networks]) for fold in folds for n in fold[part][name]]
                floor = dg.baselines.median_floor(ours, their)
                print(f"    floor against {name}, the same {len(basins)} basins drawn anew for both: {floor:.3f}")
        if part == "held out" and len(scores) > 1:
            for verdict in dg.baselines.compare({"nse": scores}, {n: {"nse": v} for n, v in rivals.items()}):
                print(f"    {verdict}", flush=True)


if __name__ == "__main__":
    main()
