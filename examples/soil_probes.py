"""Soil hydraulic properties from moisture probes: two horizons, weeks of rain and drought, Gauss-Newton steps.

    python examples/soil_probes.py --output soil_probes.nc && pydiffgeo report soil_probes.nc

A column of sand over loam is watered; probes at five depths and a lysimeter record with errors and gaps. The
van Genuchten parameters of both horizons are found from them, with a prior from a soil map, and with their
standard errors. `dg.calibration.Site` takes any model, observations and parameters in the same way.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import pydiffgeo as dg

DEPTHS = (0.05, 0.15, 0.35, 0.6, 0.9)
HORIZON = 0.4  # m: where the loam begins
TRUE = {"alpha_sand": 5.0, "n_sand": 1.8, "K_s_sand": 0.6, "alpha_loam": 2.0, "n_loam": 1.4, "K_s_loam": 0.08}
BOUNDS = {
    "alpha_sand": (1.0, 15.0),
    "n_sand": (1.2, 3.0),
    "K_s_sand": (0.02, 5.0),
    "alpha_loam": (0.5, 10.0),
    "n_loam": (1.1, 2.0),
    "K_s_loam": (0.005, 1.0),
}
# A soil map knows the loam's n to about 0.15.
PRIORS = {"n_loam": dg.calibration.Prior(1.45, 0.15)}


def horizons(model: dg.Model):
    """One value for each horizon becomes one for each cell, `(members, cells)`."""
    loam = torch.from_numpy(model.graph.coordinates["depth"] > HORIZON)

    def assemble(values):
        return {k: torch.where(loam, values[f"{k}_loam"], values[f"{k}_sand"]) for k in ("alpha", "n", "K_s")}

    return assemble


def main(
    days: int = 60, cells: int = 40, engine: str = "auto", seed: int = 1, output: Path | None = None
) -> dict[str, float]:
    """Prints what is found; returns the relative error of each value."""
    random = np.random.default_rng(seed)
    model = dg.models.RichardsColumn(depth=1.0, cells=cells, top="atmosphere")
    rain = np.where(random.random(days) < 0.25, random.gamma(1.5, 0.012, days), 0.0)
    forcing = {
        "precipitation": torch.from_numpy(rain),
        "potential_evaporation": torch.full((days,), 0.003, dtype=torch.float64),
    }
    times = np.arange(days + 1.0)
    settings = {"engine": engine, "rtol": 1e-5, "atol": 1e-7}
    assemble = horizons(model)

    # What the instruments saw: probes at odd hours, with gaps, and weekly drainage.
    true = {k: torch.tensor([[v]], dtype=torch.float64) for k, v in TRUE.items()}
    truth = dg.solve(model, assemble(true), forcing=forcing, times=times, initial={"head": -1.0}, **settings)
    observations = []
    for depth in DEPTHS:
        when = np.sort(random.uniform(1, days, days))
        values = dg.observe.values_at(truth, "theta", when, depth=depth)[0].numpy() + random.normal(
            0.0, 0.005, len(when)
        )
        values[random.random(len(when)) < 0.1] = np.nan
        observations.append(dg.observe.Observation("theta", "value", when, values, error=0.005, depth=depth))
    weeks = np.stack([times[:-7:7], times[7::7]], axis=1)
    drained = dg.observe.flux_sums(truth, "drainage", weeks)[0].numpy() + random.normal(0.0, 5e-4, len(weeks))
    observations.append(dg.observe.Observation("drainage", "flux_sum", weeks, drained, error=5e-4))

    site = dg.calibration.Site(
        name="plot",
        model=model,
        times=times,
        forcing=forcing,
        observations=tuple(observations),
        bounds=BOUNDS,
        priors=PRIORS,
        initial={"head": -1.0},
        loss="gaussian",
        assemble=assemble,
        settings=settings,
        logarithmic=tuple(name for name in BOUNDS if not name.startswith("n_")),
    )
    strategy = dg.calibration.Strategy(method="gauss_newton", candidates=24, starts=2, finalists=2, steps=15)
    found = dg.calibration.calibrate([site], strategy)
    values, errors = found.values("plot"), found.standard_errors("plot")
    print(f"{'':12}{'true':>8}{'found':>10}{'standard error':>16}")
    for name, v in values.items():
        print(f"{name:12}{TRUE[name]:8.3g}{v:10.4g}{errors[name]:16.2g}")
    fit = dg.observe.misfit(found.solve("plot"), observations, likelihood="mean_square").item()
    print(f"mean square of residuals, in units of the errors: {fit:.3f} (1 is the noise)")
    if output is not None:
        dg.io.write_dataset(output, dg.calibration.site_dataset(found, "plot", start="2001-05-01"))
    return {name: abs(v - TRUE[name]) / TRUE[name] for name, v in values.items()} | {"fit": fit}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--output", type=Path, help="a NetCDF file for `pydiffgeo report`")
    options = parser.parse_args()
    main(engine=options.engine, output=options.output)
