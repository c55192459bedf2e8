"""Calibrate one basin: EXP-HYDRO against daily runoff, with a split into training and evaluation.

    python examples/one_basin.py                                   # a basin made up here
    python examples/one_basin.py basin_dataset_public_v1p2 12010000   # one of a CAMELS-US folder

`pydiffgeo calibrate` does the same from a TOML file, for any number of basins; here is how it is done in Python.
"""

from __future__ import annotations

import argparse

import numpy as np

import pydiffgeo as dg

WARMUP = 365
BOUNDS = {
    "f": (0.0, 0.2),
    "S_max": (50.0, 2500.0),
    "Q_max": (1.0, 120.0),
    "D_f": (0.01, 8.0),
    "T_max": (-1.0, 4.0),
    "T_min": (-5.0, 1.0),
    "water_storage": (0.0, 2500.0),
}


def made_up(years: int, engine: str, seed: int = 1) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Dates, forcing and runoff of a snowy basin: the model's own, with errors of a tenth and a gap."""
    random, n = np.random.default_rng(seed), 365 * years
    dates = np.datetime64("2000-10-01") + np.arange(n)
    season = np.cos(2 * np.pi * (np.arange(n) + 80) / 365)
    forcing = {
        "precipitation": random.gamma(0.25, 14.0, n),
        "temperature": 6.0 - 11.0 * season + random.normal(0.0, 3.0, n),
        "daylength": 12.0 - 3.0 * season,
    }
    true = {"f": 0.03, "S_max": 400.0, "Q_max": 20.0, "D_f": 2.5, "T_max": 0.5, "T_min": -1.0}
    run = dg.solve(
        dg.models.ExpHydro(),
        true,
        forcing=forcing,
        times=np.arange(n + 1.0),
        engine=engine,
        initial={"water_storage": 300.0},
        rtol=1e-5,
        atol=1e-5,
    )
    runoff = run.fluxes["runoff"].numpy() * (1 + 0.1 * random.normal(size=n))
    runoff[n // 4 : n // 4 + 20] = np.nan
    return dates, forcing, np.maximum(runoff, 0.0)


def main(
    camels: str | None = None, basin: str | None = None, years: int = 12, steps: int = 25, engine: str = "auto"
) -> dict[str, float]:
    """Prints what is found; returns the scores in evaluation."""
    if camels is None:
        dates, forcing, runoff = made_up(years, engine)
    else:
        data = dg.hydrology.basin_data(dg.hydrology.open_camels(camels, basins=[basin]), basin)
        dates, runoff = data.dates, data.runoff
        forcing = {k: getattr(data, k) for k in ("precipitation", "temperature", "daylength")}

    # The first year is run before anything is compared; two thirds of the rest train, the last third validates.
    split = WARMUP + 2 * (len(dates) - WARMUP) // 3
    days = np.arange(WARMUP, split)
    observed = dg.observe.Observation(
        "runoff", "flux_mean", times=np.stack([days, days + 1], axis=1), values=runoff[days], error=1.0
    )
    settings = {"engine": engine, "rtol": 1e-4, "atol": 1e-4}
    site = dg.calibration.Site(
        name=basin or "made up",
        model=dg.models.ExpHydro(),
        times=np.arange(split + 1.0),
        forcing={k: v[:split] for k, v in forcing.items()},
        observations=(observed,),
        bounds=BOUNDS,
        loss="nse",
        warmup=WARMUP,
        settings=settings,
    )
    strategy = dg.calibration.Strategy(candidates=64, starts=4, finalists=2, window=730, window_steps=10, steps=steps)
    found = dg.calibration.calibrate([site], strategy)
    values = found.values(site.name)
    print("calibrated:", ", ".join(f"{k} {v:.3g}" for k, v in values.items()))

    # Validation: the whole record is run, and the days that the search never saw are scored.
    water = values.pop("water_storage")
    whole = dg.solve(
        dg.models.ExpHydro(),
        values,
        forcing=forcing,
        times=np.arange(len(dates) + 1.0),
        initial={"water_storage": water},
        **settings,
    )
    simulated, late, early = whole.fluxes["runoff"], slice(split, None), slice(WARMUP, split)
    drivers = {k: forcing[k] for k in ("precipitation", "temperature")}
    predictions = {
        "EXP-HYDRO": simulated[late],
        "climatology": dg.baselines.Climatology.fit(dates, runoff, early).predict(dates, late),
        "persistence": dg.baselines.Persistence().predict(runoff, late),
        "linear regression": dg.baselines.LinearRegression.fit(drivers, runoff, early, lags=3).predict(drivers, late),
    }
    print(f"evaluation, {len(dates) - split} days; water balance closes to {whole.balance.item():.1e} mm")
    for name, series in predictions.items():
        nse, kge = (measure(series, runoff[late]).item() for measure in (dg.losses.nse, dg.losses.kge))
        print(f"  {name:18} NSE {nse:6.3f}   KGE {kge:6.3f}")
    return {
        "nse": dg.losses.nse(simulated[late], runoff[late]).item(),
        "climatology": dg.losses.nse(predictions["climatology"], runoff[late]).item(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camels", nargs="?", help="a CAMELS-US folder")
    parser.add_argument("basin", nargs="?", help="a basin of it")
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    if (options.camels is None) != (options.basin is None):
        parser.error("give both the folder and the basin")
    main(options.camels, options.basin, engine=options.engine)
