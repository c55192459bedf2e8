"""What do five moisture probes tell of a soil? Spectrum, intervals, profiles, and where to put a sixth probe.

    python examples/what_data_tell.py --output probes.nc && pydiffgeo report probes.nc

A column of loam is rained on and dries; the five parameters of van Genuchten and Mualem are sought from water contents.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import pydiffgeo as dg

DEPTHS = (0.05, 0.15, 0.3, 0.5, 0.8)
TRUE = {"theta_r": 0.07, "theta_s": 0.42, "alpha": 3.0, "n": 1.5, "K_s": 0.3}
BOUNDS = {"theta_r": (0.0, 0.15), "theta_s": (0.35, 0.5), "alpha": (0.5, 10.0), "n": (1.15, 2.5), "K_s": (0.01, 5.0)}
ERROR = 0.01


def plot(days: int, cells: int, engine: str, seed: int) -> dg.calibration.Site:
    """The site with what its probes saw, errors included."""
    random = np.random.default_rng(seed)
    model = dg.models.RichardsColumn(depth=1.0, cells=cells, top="atmosphere")
    rain = np.where(random.random(days) < 0.25, random.gamma(1.5, 0.01, days), 0.0)
    forcing = {
        "precipitation": torch.from_numpy(rain),
        "potential_evaporation": torch.full((days,), 0.004, dtype=torch.float64),
    }
    settings = {"engine": engine, "rtol": 1e-6, "atol": 1e-8}
    probes = tuple(probe(depth, 0.0, days, days) for depth in DEPTHS)
    fixed = {"initial": {"head": -1.5}, "loss": "gaussian", "settings": settings}
    blank = dg.calibration.Site("plot", model, np.arange(days + 1.0), forcing, probes, BOUNDS, **fixed)
    return replace(blank, observations=tuple(seen(blank, one, random) for one in probes))


def probe(depth: float, first: float, last: float, count: int) -> dg.observe.Observation:
    """Water contents at equal distances, of which nothing is known yet."""
    when = np.linspace(first, last, count + 1)[1:]
    return dg.observe.Observation("theta", "value", when, np.full(count, np.nan), error=ERROR, depth=depth)


def seen(
    site: dg.calibration.Site, one: dg.observe.Observation, random: np.random.Generator | None
) -> dg.observe.Observation:
    """With values of the truth, and errors where chance is given."""
    truth = site.solve({k: torch.tensor([[v]], dtype=torch.float64) for k, v in TRUE.items()}, throw=True)
    noise = 0.0 if random is None else ERROR * random.normal(size=len(one.times))
    return replace(one, values=one.simulated(truth)[0].numpy() + noise)


def six_days(at: np.ndarray) -> dg.observe.Observation:
    """Ten readings in the six days from a time on, at a depth."""
    return probe(float(at[0]), float(at[1]), float(at[1]) + 6.0, 10)


def spread_of(site: dg.calibration.Site, mode: dg.identify.Mode, more: dg.observe.Observation) -> float:
    """Variance of the variable of K_s after a calibration with one more probe."""
    both = dg.identify.of_site(replace(site, observations=(*site.observations, more)), mode.problem.x)
    posterior = dg.identify.laplace(both)
    return float(posterior.covariance[-1, -1])


def main(
    days: int = 30,
    cells: int = 12,
    engine: str = "auto",
    others: int = 20,
    points: int = 15,
    rounds: int = 4,
    seed: int = 3,
    output: Path | None = None,
) -> dict[str, float]:
    """Prints what the probes tell; returns how much of the variance of K_s the sixth probe leaves, and the best of the others."""
    random, site = np.random.default_rng(seed), plot(days, cells, engine, seed)
    start = site.transforms.pack({k: torch.tensor([[v]], dtype=torch.float64) for k, v in TRUE.items()})
    told = dg.identify.tell(dg.identify.of_site(site, start))
    print(told.table())
    mode = told.posterior.mode
    print("\nprofiles, 90 %:")
    for name, profile in dg.identify.profiles(mode, points=5).items():
        low, best, high = profile.interval()
        print(f"{name:10} {low:.4g} to {high:.4g} about {best:.4g} (true {TRUE[name]:g})")

    # Ten readings in six days, anywhere and at any time.
    free = [(0.05, 0.95), (0.0, days - 6.0)]
    chosen = dg.identify.best_place(mode, six_days, free, "K_s", points=points, rounds=rounds)
    print(f"\nto know K_s better: {chosen.words}; {100 * chosen.remaining:.3g} % of its variance should be left")
    before = float(told.posterior.covariance[-1, -1])
    # All are held against each other without errors in what they see: the best of many noisy ones is lucky.
    left = spread_of(site, mode, seen(site, chosen.observation, None)) / before
    rivals = [seen(site, six_days(at), None) for at in random.uniform(*np.transpose(free), (others, 2))]
    best = min((spread_of(site, mode, one) / before for one in rivals), default=1.0)
    print(
        f"calibrated with it: {100 * left:.3g} % of the variance of K_s are left; best of {others} random ones {100 * best:.3g} %"
    )
    if output is not None:
        strategy = dg.calibration.Strategy(method="gauss_newton", candidates=16, starts=2, finalists=2, steps=12)
        found = dg.calibration.calibrate([site], strategy)
        told = dg.identify.tell(dg.identify.of_calibration(found, "plot"))
        dg.io.write_dataset(output, dg.calibration.site_dataset(found, "plot").assign(told.variables()))
    return {"chosen": left, "best of others": best}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a NetCDF file for `pydiffgeo report`")
    options = parser.parse_args()
    main(engine=options.engine, seed=options.seed, output=options.output)
