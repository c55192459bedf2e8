"""Carry a network over basins to a region with few: low-rank updates beside what else one could do with two years of data.

    python examples/adapted_region.py --figure adapted_region.png

A network learns how parameters of EXP-HYDRO follow from attributes in ten basins. In another region, of five, water drains twice as fast
and stores hold less: two years are known there, and the two after those are predicted. The network is left as it is, adapted by
Tucker cores (FLoRA) or low-rank matrices (LoRA), trained on, or trained anew, each with the same number of steps. Basins and weather are made
up; for real ones see `benchmarks/basins/adaptation.py`, where adapting was not better than training anew.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

import pydiffgeo as dg

MODEL = dg.models.ExpHydro()
FIXED = {"Q_max": 20.0, "T_max": 0.5, "T_min": -1.0}
BOUNDS = {"f": (0.001, 0.2), "S_max": (50.0, 1000.0), "D_f": (0.5, 5.0)}
START = {"water_storage": 200.0}
KINDS = {"FLoRA": "tucker", "LoRA": "matrix"}


def region(basins: int, years: int, fast: float, seed: int, settings: dict) -> dg.nn.SiteData:
    """Basins whose recession `f` rises with slope, `fast` times as fast, and whose `S_max` rises with aridity and falls with `fast`."""
    random, n = np.random.default_rng(seed), 365 * years
    aridity, slope = random.random(basins), random.random(basins)
    season = np.cos(2 * np.pi * (np.arange(n) + 80) / 365)
    forcing = {
        "precipitation": random.gamma(0.25, 14.0, (basins, n)) * (1.3 - 0.6 * aridity[:, None]),
        "temperature": 7.0 - 10.0 * season + random.normal(0.0, 3.0, (basins, n)),
        "daylength": np.broadcast_to(12.0 - 3.0 * season, (basins, n)).copy(),
    }
    true = {"f": fast * 0.006 * 15.0**slope, "S_max": (150.0 + 550.0 * aridity) / fast, "D_f": np.full(basins, 2.5)}
    run = dg.solve(
        MODEL,
        {**FIXED, **{k: torch.from_numpy(v).unsqueeze(1) for k, v in true.items()}},
        forcing={k: torch.from_numpy(v) for k, v in forcing.items()},
        times=np.arange(n + 1.0),
        initial=START,
        **settings,
    )
    errors = 1 + 0.1 * torch.from_numpy(random.normal(size=(basins, n)))
    return dg.nn.SiteData(
        tuple(f"basin {i}" for i in range(basins)),
        np.datetime64("2000-10-01") + np.arange(n),
        {k: torch.from_numpy(v) for k, v in forcing.items()},
        run.fluxes["runoff"] * errors,
        torch.from_numpy(np.stack([aridity, slope], axis=1)),
        ("aridity", "slope"),
        "runoff",
    )


def network() -> dg.nn.ParameterNetwork:
    return dg.nn.ParameterNetwork(
        MODEL,
        ("aridity", "slope"),
        bounds=BOUNDS,
        fixed=FIXED,
        initial={"water_storage": (50.0, 500.0)},
        hidden=(16,),
        seed=0,
    )


def main(
    home: int = 10, away: int = 5, steps: int = 120, few: int = 15, engine: str = "auto", figure: str | None = None
) -> dict[str, tuple[int, float]]:
    """Prints, for each way, how many numbers were trained and the NSE in the years predicted; returns them, the median NSE."""
    settings = {"engine": engine, "rtol": 1e-4, "atol": 1e-4}
    training = dg.nn.Training(steps=steps, batch=5, window=365, warmup=180, learning_rate=0.03, settings=settings)
    learnt = network()
    dg.nn.train(learnt, region(home, 4, 1.0, 0, settings), training, progress=False)
    weights = {k: v.clone() for k, v in learnt.state_dict().items()}

    there = region(away, 4, 2.0, 1, settings)
    known = there.between("2000-10-01", "2002-09-29")
    found, runoff = dict[str, tuple[int, float]](), dict[str, torch.Tensor]()
    for way in ("as it is", *KINDS, "trained on", "trained anew"):
        ours = network()
        if way != "trained anew":
            ours.load_state_dict(weights)
        adaptation = dg.nn.adapt(ours, rank=2, kind=KINDS[way]) if way in KINDS else None
        count = sum(p.numel() for p in ours.parameters() if p.requires_grad)
        if way != "as it is":
            dg.nn.train(ours, known, replace(training, steps=few), progress=False)
        if adaptation is not None:
            adaptation.merge()
        run = dg.nn.predict(ours, there, warmup=0, initial={}, **settings)
        runoff[way] = run.fluxes["runoff"].detach()
        nse = dg.losses.nse(runoff[way][:, 730:], there.observed[:, 730:])
        found[way] = (0 if way == "as it is" else count, nse.median().item())
        print(f"{way:13} {found[way][0]:5d} numbers   median NSE {found[way][1]:6.3f}")
    if figure:
        draw(there, runoff, figure)
    return found


def draw(there: dg.nn.SiteData, runoff: dict[str, torch.Tensor], figure: str) -> None:
    import matplotlib.pyplot as plt

    days = slice(730, 730 + 200)
    fig, axes = plt.subplots(2, 1, figsize=(8, 5), sharex=True, constrained_layout=True)
    for ax, basin in zip(axes, (0, 1), strict=True):
        ax.plot(there.dates[days], there.observed[basin, days], "k.", ms=3, label="observed")
        for way in ("as it is", "FLoRA", "trained anew"):
            ax.plot(there.dates[days], runoff[way][basin, days], lw=1.2, label=way)
        ax.set_ylabel("runoff (mm d-1)")
        ax.set_title(there.names[basin], loc="left", fontsize=9)
    axes[0].legend(frameon=False, ncols=4, fontsize=8)
    fig.savefig(figure, dpi=120)
    plt.close(fig)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--figure", default="adapted_region.png")
    options = parser.parse_args()
    main(engine=options.engine, figure=options.figure)
