"""Kills a calibration at random moments and lets it go on: the result must be that of a run left alone.

    python benchmarks/kill_and_resume.py [--kills 10] [--engine E] [--seed 0]

Two made-up basins are calibrated by a process of its own, which is killed (SIGKILL) again and again, each time at a
random moment of its work; the last process is left to finish. Prints the largest difference to the undisturbed result.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import pydiffgeo as dg

CONFIG = """
[data]
file = "basins.nc"
basins = ["one", "two"]

[periods]
train = [2000-10-01, 2003-09-30]
evaluation = [2003-10-01, 2004-09-30]
warmup_from = "repeat"

[model.initial]
water_storage = [0.0, 600.0]

[solve]
engine = "{engine}"

[optimiser]
candidates = 16
starts = 4
window = 366
window_steps = 4
finalists = 3
steps = 10

[output]
file = "{output}.nc"
"""
# Every step is written to the checkpoint, and told, so that a kill can fall anywhere.
CHILD = """
import sys
from pydiffgeo.calibration import keeper
from pydiffgeo.hydrology import calibrate_file
keeper.SAVE_EVERY = 0.0
print("begins", flush=True)
calibrate_file(sys.argv[1], progress=False, callback=lambda step: print("step", flush=True))
"""


def make_basins(folder: Path) -> None:
    """Runoff of the model with known parameters, and errors."""
    chance, n = np.random.default_rng(0), 1461
    season = np.cos(2 * np.pi * np.arange(n) / 365.25)
    forcing = {
        "precipitation": chance.gamma(0.3, 10.0, (2, n)),
        "temperature": 6 - 9 * season + chance.normal(0, 3, (2, n)),
        "daylength": np.broadcast_to(12 - 3 * season, (2, n)),
    }
    run = dg.solve(
        dg.models.ExpHydro(),
        {"f": 0.03, "S_max": 300.0},
        times=np.arange(n + 1.0),
        engine="sundials",
        forcing={k: torch.from_numpy(v.copy()) for k, v in forcing.items()},
        initial={"water_storage": 200.0},
    )
    series = {
        "prcp": (forcing["precipitation"], "mm d-1"),
        "tmean": (forcing["temperature"], "degC"),
        "dayl": (forcing["daylength"], "h"),
        "q_obs": (run.fluxes["runoff"].numpy() * chance.normal(1, 0.1, (2, n)).clip(0), "mm d-1"),
    }
    days = np.datetime64("2000-10-01") + np.arange(n)
    xr.Dataset(
        {k: (("basin", "time"), v, {"units": u}) for k, (v, u) in series.items()},
        {"basin": ["one", "two"], "time": days.astype("datetime64[ns]")},
    ).to_netcdf(folder / "basins.nc")


def start(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(config)], stdout=subprocess.PIPE, text=True)


def disturbed(config: Path, kills: int, chance: random.Random, steps: int) -> int:
    """Runs a calibration to its end through `kills` kills; returns how many steps were done in all.

    A process is killed within the seconds around a random one of its steps, so that work gets done between kills.
    """
    done = 0
    for _ in range(kills):
        process, target, seen = start(config), chance.randint(0, max(1, steps // kills)), -1
        assert process.stdout is not None
        for _line in process.stdout:
            seen += 1
            if seen >= target:
                break
        time.sleep(chance.random() * 0.5)
        process.send_signal(signal.SIGKILL)
        done += max(seen, 0)
        if process.wait() == 0:
            raise RuntimeError("it was finished before it was killed; use fewer kills")
        process.stdout.close()
    process = start(config)
    rest, _ = process.communicate()
    assert process.returncode == 0
    return done + rest.count("step")


def main(kills: int = 10, engine: str = "auto", seed: int = 0) -> dict[str, float]:
    """Prints and returns the largest difference of any number in the result, and the steps both ways."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_basins(folder)
        for output in ("alone", "killed"):
            (folder / f"{output}.toml").write_text(CONFIG.format(engine=engine, output=output))
        steps = disturbed(folder / "alone.toml", 0, chance, 0)
        again = disturbed(folder / "killed.toml", kills, chance, steps)
        with xr.open_dataset(folder / "alone.nc") as a, xr.open_dataset(folder / "killed.nc") as b:
            names = [n for n in a.data_vars if a[n].dtype.kind == "f" and n != "cost_seconds"]
            worst = max(float(np.nanmax(np.abs(a[n].values - b[n].values))) for n in names)
            used = a.attrs["engine"]
        left = [f.name for f in folder.iterdir() if f.suffix not in (".nc", ".toml")]
    print(
        f"{used}: {steps} steps undisturbed, {again} with {kills} kills; largest difference of {len(names)} variables: {worst:g}"
    )
    return {"difference": worst, "left": len(left)}


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("processes are killed in the way of POSIX systems")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.kills, options.engine, options.seed)
