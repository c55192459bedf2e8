"""One pretrained model of series, three uses: gaps filled, days ahead, and embeddings as attributes of a parameter network.

    python examples/series.py [--data FILE.nc] [--steps 400] [--output series.png]

Basins are made up by EXP-HYDRO, with parameters that follow from two attributes. The model is trained on all but a quarter of
them, in all but the last two years, by hiding parts of precipitation, temperature and runoff from it, and is tried where it
has seen nothing: in the other basins, in these two years, with half of the runoff hidden in gaps of 5 to 60 days. Prints
root mean square errors beside those of the climatology, interpolation and persistence, and draws them.

`--data` is a NetCDF file that `dg.hydrology.open_cf` reads, with `prcp`, `tmean`, `dayl` and `q_obs` of many basins, in their place.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import pydiffgeo as dg

VARIABLES, LEADS = ("precipitation", "temperature", "runoff"), (1, 2, 3, 5, 7)
Scores = dict[str, float]


def made_up(basins: int, years: int, engine: str) -> dg.nn.SiteData:
    """Basins that drain the faster the steeper they are, and hold the more the more arid they are."""
    random, n = np.random.default_rng(0), 365 * years
    aridity, slope = random.random(basins), random.random(basins)
    season = np.cos(2 * np.pi * (np.arange(n) + 80) / 365)
    forcing = {
        "precipitation": torch.from_numpy(random.gamma(0.25, 14.0, (basins, n)) * (1.3 - 0.6 * aridity[:, None])),
        "temperature": torch.from_numpy(7.0 - 10.0 * season + random.normal(0.0, 3.0, (basins, n))),
        "daylength": torch.from_numpy(np.broadcast_to(12.0 - 3.0 * season, (basins, n)).copy()),
    }
    true = {"f": 0.006 * 15.0**slope, "S_max": 150.0 + 550.0 * aridity}
    run = dg.solve(
        dg.models.ExpHydro(),
        {"Q_max": 20.0, "T_max": 0.5, "T_min": -1.0, "D_f": 2.5, **{k: v[:, None] for k, v in true.items()}},
        forcing=forcing,
        times=np.arange(n + 1.0),
        initial={"water_storage": 200.0},
        engine=engine,
        rtol=1e-4,
        atol=1e-4,
    )
    attributes = torch.from_numpy(np.stack([aridity, slope], axis=1))
    observed = run.fluxes["runoff"].detach() * (1 + 0.05 * torch.from_numpy(random.normal(size=(basins, n))))
    dates = np.datetime64("2000-10-01") + np.arange(n)
    names = tuple(f"basin {i}" for i in range(basins))
    return dg.nn.SiteData(names, dates, forcing, observed, attributes, ("aridity", "slope"), "runoff")


def read(path: Path) -> dg.nn.SiteData:
    """Basins of a file, with the mean of their weather as attributes."""
    names = {"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl", "runoff": "q_obs"}
    data = dg.hydrology.open_cf(path, variables=names)
    data["rain"], data["warmth"] = data.precipitation.mean("time"), data.temperature.mean("time")
    return dg.hydrology.site_data(data, ("rain", "warmth"))


def rms(error: torch.Tensor, where: torch.Tensor, spread: torch.Tensor) -> float:
    """Root mean square over some days, in units of the spread of each basin."""
    return float(((error / spread)[where] ** 2).mean().sqrt())


def main(
    data: Path | None = None,
    basins: int = 16,
    years: int = 6,
    steps: int = 400,
    engine: str = "auto",
    output: Path = Path("series.png"),
) -> dict[str, Scores]:
    """Errors of what was hidden and of forecasts, by who made them."""
    sites = made_up(basins, years, engine) if data is None else read(data)
    last = sites.dates[-1]
    period = (sites.dates[0], last - 730)
    kept, out = dg.nn.held_out(sites.names, len(sites) // 4)

    model = dg.series.SeriesModel(VARIABLES, sites.inputs, width=24)
    weights = {"precipitation": 0.1}
    plan = dg.series.Pretraining(steps=steps, window=120, leads=(0, *LEADS), learning_rate=6e-3, weights=weights)
    dg.series.pretrain(model, sites.take(kept), plan, period=period)
    model = dg.series.SeriesModel.load(model.save(output.with_suffix(".npz")))

    # 1. Gaps: half of the last two years of basins that the model does not know.
    apart = sites.take(out)
    hidden = torch.zeros_like(apart.observed, dtype=torch.bool)
    for i in range(len(apart)):
        hidden[i, -730:-10] = torch.from_numpy(dg.series.gaps(np.random.default_rng(i), 720, shortest=5, longest=60))
    hidden &= ~torch.isnan(apart.observed)
    shown = replace(apart, observed=torch.where(hidden, torch.nan, apart.observed))
    filled = dg.series.fill(model, shown)
    normals = model.normals(shown)
    usual, spread = normals.at(apart.dates)[:, :, 2], normals.spread[:, 2:].expand(-1, len(apart.dates))
    days = np.arange(len(apart.dates))
    line = torch.stack(
        [torch.from_numpy(np.interp(days, days[~np.isnan(r)], r[~np.isnan(r)])) for r in shown.observed.numpy()]
    )
    found: dict[str, Scores] = {"hidden": {}}
    for name, series in {"model": filled.observed, "climatology": usual, "interpolation": line}.items():
        found["hidden"][name] = rms(series - apart.observed, hidden, spread)

    # 2. Days ahead, from all that was observed up to each.
    ahead = dg.series.forecast(model, apart, LEADS)
    late = torch.from_numpy(apart.dates > period[1]).expand(len(apart), -1) & ~torch.isnan(apart.observed)
    for lead in LEADS:
        before = apart.observed.roll(lead, 1)
        where = late & ~torch.isnan(before)
        rivals = {"model": ahead[lead][:, :, 2].roll(lead, 1), "persistence": before, "climatology": usual}
        found[f"{lead} d ahead"] = {n: rms(p - apart.observed, where, spread) for n, p in rivals.items()}
    for task, scores in found.items():
        print(f"{task:12}" + "".join(f"  {n} {v:.3f}" for n, v in scores.items()))

    # 3. Embeddings without runoff, as for basins without a gauge: a file of numbers by site, and attributes from it.
    past = sites.between(*period)
    file = output.with_name(output.stem + "_embedding.csv")
    dg.io.write_site_table(file, dg.series.embed(model, past, hidden=("runoff",), size=2, like=past.take(kept)))
    table = dg.io.read_site_table(file)
    richer = sites.joined(table)
    network = dg.nn.ParameterNetwork(dg.models.ExpHydro(), richer.inputs).normalise(richer.attributes)
    print(f"a parameter network takes {', '.join(network.inputs)} of {len(richer)} basins")
    draw(
        sites,
        apart,
        hidden,
        {"model": filled.observed, "climatology": usual, "interpolation": line},
        found,
        table,
        kept,
        output,
    )
    return found


def draw(
    sites: dg.nn.SiteData,
    apart: dg.nn.SiteData,
    hidden: torch.Tensor,
    rivals: dict[str, torch.Tensor],
    found: dict[str, Scores],
    table: dg.io.SiteTable,
    kept: list[str],
    output: Path,
) -> None:
    """A year of the first basin held out, errors by lead, and basins by their embedding."""
    figure = plt.figure(figsize=(11, 6.5), layout="constrained")
    top, lower = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    year = slice(-500, -135)
    dates, gone = apart.dates[year], hidden[0, year].numpy()
    axes = top.subplots()
    axes.fill_between(dates, 0, 1, where=gone, transform=axes.get_xaxis_transform(), color="0.92", label="hidden")
    axes.plot(dates, apart.observed[0, year], color="black", lw=1.2, label="observed")
    styles = {"model": "tab:blue", "climatology": "tab:green", "interpolation": "tab:orange"}
    for name, colour in styles.items():
        axes.plot(dates, np.where(gone, rivals[name][0, year], np.nan), color=colour, lw=1.2, label=name)
    axes.set(title=f"{apart.names[0]}, which the model has not seen", ylabel="runoff, mm/d", xlim=(dates[0], dates[-1]))
    axes.legend(ncols=5, loc="upper right", fontsize=8)
    left, right = lower.subplots(1, 2)
    colours = {"model": "tab:blue", "persistence": "tab:red", "climatology": "tab:green"}
    for name, colour in colours.items():
        left.plot(LEADS, [found[f"{lead} d ahead"][name] for lead in LEADS], "o-", color=colour, label=name)
    left.set(xlabel="days ahead", ylabel="error, spreads of the basin", title="forecasts of runoff", ylim=(0, None))
    left.legend(fontsize=8)
    known = np.array([site in kept for site in sites.names])
    colour = sites.attributes[:, 0].numpy()
    for which, marker, label in ((known, "o", "trained on"), (~known, "^", "held out")):
        shown = right.scatter(
            *table.values[which].T, c=colour[which], marker=marker, label=label, vmin=colour.min(), vmax=colour.max()
        )
    lower.colorbar(shown, ax=right, label=sites.inputs[0])
    right.set(xlabel="first component", ylabel="second component", title="basins by their embedding, without runoff")
    right.legend(fontsize=8)
    figure.savefig(output, dpi=120)
    plt.close(figure)
    print(f"wrote {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--basins", type=int, default=16)
    parser.add_argument("--years", type=int, default=6)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--output", type=Path, default=Path("series.png"))
    main(**vars(parser.parse_args()))
