"""Learn parameters over basins: a network gives them from attributes, and is tried where it has seen nothing.

    python examples/many_basins.py

Twelve basins are made up, whose parameters follow from two attributes, aridity and slope. A network is trained
on nine of them through the model, in mini-batches, and then predicts the other three from their attributes alone.
With your own data, `dg.hydrology.site_data` makes the same `SiteData` of what `dg.hydrology.open_camels` or `open_caravan` return.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import pydiffgeo as dg

MODEL = dg.models.ExpHydro()
FIXED = {"Q_max": 20.0, "T_max": 0.5, "T_min": -1.0}
BOUNDS = {"f": (0.001, 0.2), "S_max": (50.0, 1000.0), "D_f": (0.5, 5.0)}


def made_up(basins: int, years: int, settings: dict, seed: int = 0) -> dg.nn.SiteData:
    """Basins whose `f` rises with slope, whose `S_max` rises with aridity, and whose third attribute says nothing."""
    random, n = np.random.default_rng(seed), 365 * years
    aridity, slope = random.random(basins), random.random(basins)
    season = np.cos(2 * np.pi * (np.arange(n) + 80) / 365)
    rain = random.gamma(0.25, 14.0, (basins, n)) * (1.3 - 0.6 * aridity[:, None])
    forcing = {
        "precipitation": torch.from_numpy(rain),
        "temperature": torch.from_numpy(7.0 - 10.0 * season + random.normal(0.0, 3.0, (basins, n))),
        "daylength": torch.from_numpy(np.broadcast_to(12.0 - 3.0 * season, (basins, n)).copy()),
    }
    true = {"f": 0.006 * 15.0**slope, "S_max": 150.0 + 550.0 * aridity, "D_f": np.full(basins, 2.5)}
    given = {k: torch.from_numpy(v).unsqueeze(1) for k, v in true.items()}
    run = dg.solve(
        MODEL,
        {**FIXED, **given},
        forcing=forcing,
        times=np.arange(n + 1.0),
        initial={"water_storage": 200.0},
        **settings,
    )
    errors = 1 + 0.1 * torch.from_numpy(random.normal(size=(basins, n)))
    attributes = torch.from_numpy(np.stack([aridity, slope, random.random(basins)], axis=1))
    dates = np.datetime64("2000-10-01") + np.arange(n)
    names = tuple(f"basin {i}" for i in range(basins))
    return dg.nn.SiteData(
        names, dates, forcing, run.fluxes["runoff"] * errors, attributes, ("aridity", "slope", "noise"), "runoff"
    )


def efficiency(runoff: torch.Tensor, data: dg.nn.SiteData) -> torch.Tensor:
    """NSE of each basin after the first year."""
    return dg.losses.nse(runoff[:, 365:], data.observed[:, 365:])


def main(
    basins: int = 12, years: int = 4, steps: int = 120, engine: str = "auto", file: str = "network.npz"
) -> dict[str, float]:
    """Prints the scores of basins held out; returns their medians."""
    settings = {"engine": engine, "rtol": 1e-4, "atol": 1e-4}
    data = made_up(basins, years, settings)
    kept, out = dg.nn.held_out(data.names, basins // 4, seed=0)
    network = dg.nn.ParameterNetwork(
        MODEL, data.inputs, bounds=BOUNDS, fixed=FIXED, initial={"water_storage": (50.0, 500.0)}, hidden=(16,), seed=0
    )
    start = {"initial": {}, **settings}
    before = efficiency(
        dg.nn.predict(network.normalise(data.take(kept).attributes), data.take(out), warmup=0, **start).fluxes[
            "runoff"
        ],
        data.take(out),
    )

    training = dg.nn.Training(steps=steps, batch=5, window=365, warmup=180, learning_rate=0.03, settings=settings)
    seen = dg.nn.train(
        network,
        data.take(kept),
        training,
        callback=lambda step, loss: print(f"  step {step:3d}  loss {loss:.3f}") if step % 20 == 0 else None,
    )
    network.save(file)

    # Whoever has the file and the attributes of a place can predict it.
    network = dg.nn.ParameterNetwork.load(file, MODEL)
    after = efficiency(dg.nn.predict(network, data.take(out), warmup=0, **start).fluxes["runoff"], data.take(out))
    print(f"{seen.solves} solves in {seen.seconds:.0f} s; basins that were held out:")
    for name, a, b in zip(out, before, after, strict=True):
        print(f"  {name:10} NSE {a:6.3f} -> {b:6.3f}")
    return {"before": before.median().item(), "after": after.median().item()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    main(engine=parser.parse_args().engine)
