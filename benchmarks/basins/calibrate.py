"""A basin model for each of 60 basins by itself, by gradient: scores in evaluation, and what they cost.

    python benchmarks/basins/calibrate.py DATA --output calibrated.nc [--model hbv] [--engine E] [--basins ID ...]

DATA is a folder with `camels_us_60.nc` and, for the comparison, `exphydro_peer_metrics_60.csv`. The search is that
of `pydiffgeo calibrate` with the configuration printed below; a run that is interrupted goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import xarray as xr

from pydiffgeo.hydrology import calibrate_file

CONFIG = """
[data]
file = {file}
basins = {basins}
variables = {{ precipitation = "prcp", temperature = "tmean", daylength = "dayl", runoff = "q_obs" }}

[periods]
train = [1980-10-01, 2000-09-30]
evaluation = [2000-10-01, 2010-09-30]
warmup = 365
warmup_from = "repeat"

{model}
[solve]
engine = {engine}
rtol = 1e-3
atol = 1e-3

[optimiser]
{search}even_years = 0.5
seed = 0

[output]
file = {output}
"""

MODELS = {
    "exphydro": """[model.bounds]
f = [0.0, 0.3]
S_max = [20.0, 5000.0]
Q_max = [0.5, 300.0]
D_f = [0.01, 15.0]
T_max = [-2.0, 5.0]
T_min = [-6.0, 2.0]

[model.initial]
snow_storage = 0.0
water_storage = [0.0, 5000.0]
""",
    # Bounds are the usual ranges, those of parameter learning.
    "hbv": """[model]
name = "HBV"
options = { routing = 2 }

[model.initial]
soil_moisture = 100.0
lower_zone = [0.0, 200.0]
""",
    "gr4j": """[model]
name = "GR4J"

[model.bounds]
X1 = [10.0, 3000.0]
X2 = [-5.0, 3.0]
X3 = [1.0, 500.0]
X4 = [0.5, 10.0]
""",
}
# The search is shorter where there are more parameters, whose solves take longer.
SEARCHES = {
    "exphydro": "starts = 16\nwindow_steps = 10\nfinalists = 5\nsteps = 12\n",
    "hbv": "candidates = 96\nstarts = 6\nwindow_steps = 7\nfinalists = 2\nsteps = 6\n",
    "gr4j": "starts = 8\nwindow_steps = 10\nfinalists = 3\nsteps = 12\n",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("calibrated.nc"))
    parser.add_argument("--model", choices=MODELS, default="exphydro")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--basins", nargs="+", default=[])
    options = parser.parse_args()
    file = options.data / "camels_us_60.nc"
    with xr.open_dataset(file) as data:
        basins = options.basins or [str(b) for b in data.basin.values]
    output = options.output.resolve()
    text = CONFIG.format(
        file=json.dumps(str(file.resolve())),
        basins=json.dumps(basins),
        engine=json.dumps(options.engine),
        output=json.dumps(str(output)),
        model=MODELS[options.model],
        search=SEARCHES[options.model],
    )
    print(text)
    config = output.with_suffix(".toml")
    config.write_text(text)
    report(calibrate_file(config), options.data / "exphydro_peer_metrics_60.csv")


def report(result: Path, peer: Path) -> None:
    """Scores beside those of a peer, and the cost of a basin."""
    with xr.open_dataset(result) as data:
        data = data.load()
    names = [str(b) for b in data.basin.values]
    nse = data.nse.values
    print(
        f"{data.attrs['engine']}, {data.attrs['solver']}: {np.isfinite(nse[:, 1]).sum()} of {len(names)} basins calibrated"
    )
    print(f"median NSE: training {np.nanmedian(nse[:, 0]):.3f}, evaluation {np.nanmedian(nse[:, 1]):.3f}")
    together = data.ensemble_nse.values
    print(
        f"mean of an ensemble of {np.nanmedian(data.ensemble_size):.0f} (median): "
        f"training {np.nanmedian(together[:, 0]):.3f}, evaluation {np.nanmedian(together[:, 1]):.3f}"
    )
    for name in data.baseline.values:
        scores = data.baseline_nse.sel(baseline=name).values[:, 1]
        print(f"  {name!s:18} evaluation {np.nanmedian(scores):.3f}")
    if peer.exists():
        with open(peer, encoding="utf-8") as file:
            table = {row["basin_ID"].zfill(8): float(row["nse_valid"]) for row in csv.DictReader(file)}
        theirs = np.array([table[n] for n in names])
        print(
            f"  {'peer':18} evaluation {np.median(theirs):.3f}; better in {(nse[:, 1] > theirs).sum()} of {len(names)} "
            f"basins, and the mean of the ensemble in {(together[:, 1] > theirs).sum()}"
        )
    for name, unit in (("solves", ""), ("gradients", ""), ("solved_time", " days"), ("seconds", " s")):
        values = data[f"cost_{name}"].values
        print(
            f"cost of a basin, {name}: median {np.nanmedian(values):.0f}{unit}, largest {np.nanmax(values):.0f}{unit}"
        )


if __name__ == "__main__":
    main()
