"""Does the chosen probe sharpen K_s at least as much as the best of twenty random ones? Five columns with other errors and rivals.

    python benchmarks/identify/further_probe.py --engine sundials

The column of `examples/what_data_tell.py`, in steps of six hours of implicit Euler. `best_place` chooses depth and time of ten
more readings from a calibration to five probes, knowing neither truth nor rivals; rivals lie anywhere. The judge is not the
tool's own forecast: the column is calibrated again with the readings of each, free of errors, and the variance of the
variable of K_s is taken about the new best values. The forecast is printed beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Site
from pydiffgeo.identify.design import Worth

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from what_data_tell import TRUE, plot, seen, six_days, spread_of

DAYS, CELLS = 30, 12


def site_of(engine: str, seed: int) -> Site:
    """What the probes saw is solved as everything else is."""
    blank = plot(DAYS, CELLS, engine, seed)
    site = replace(blank, settings={**blank.settings, "solver": "implicit_euler", "step": 0.25})
    random = np.random.default_rng(100 + seed)
    return replace(site, observations=tuple(seen(site, one, random) for one in site.observations))


def compared(engine: str, seed: int, rivals: int) -> tuple[float, float]:
    """Parts of the variance of K_s that are left by the chosen probe, and by the best of its rivals."""
    started, site = time.process_time(), site_of(engine, seed)
    start = site.transforms.pack({k: torch.tensor([[v]], dtype=torch.float64) for k, v in TRUE.items()})
    mode = dg.identify.at_mode(dg.identify.of_site(site, start))
    before = float(dg.identify.laplace(mode).covariance[-1, -1])
    free = [(0.05, 0.95), (0.0, DAYS - 6.0)]
    chosen = dg.identify.best_place(mode, six_days, free, "K_s")
    random = np.random.default_rng(seed).uniform(*np.transpose(free), (rivals, 2))
    places = np.concatenate([chosen.at[None], random])
    worth = Worth.of(mode, "K_s")
    forecast = np.array([worth.left(worth.covariance, rows) for rows in worth.rows([six_days(at) for at in places])])
    left = np.array([spread_of(site, mode, seen(site, six_days(at), None)) / before for at in places])
    best = 1 + int(left[1:].argmin())
    print(
        f"seed {seed}: chosen at {places[0][0]:.2f} m from day {places[0][1]:.1f}: {100 * left[0]:.2f} % left "
        f"(forecast {100 * forecast[0]:.2f}); best of {rivals} at {places[best][0]:.2f} m from day {places[best][1]:.1f}: "
        f"{100 * left[best]:.2f} % ({100 * forecast[best]:.2f}); median {100 * np.median(left[1:]):.2f} %; "
        f"correlation of forecast and outcome {np.corrcoef(forecast, left)[0, 1]:.2f}; {time.process_time() - started:.0f} s",
        flush=True,
    )
    return float(left[0]), float(left[best])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--rivals", type=int, default=20)
    options = parser.parse_args()
    pairs = [compared(options.engine, seed, options.rivals) for seed in options.seeds]
    print(f"the chosen probe is at least as good as the best rival in {sum(a <= b for a, b in pairs)} of {len(pairs)}")


if __name__ == "__main__":
    main()
