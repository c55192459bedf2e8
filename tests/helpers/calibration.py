"""A small synthetic basin and its configuration, for the tests of calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.calibration import resting as module

# A basin that stores little and reacts fast, so that a few months say something about it.
TRUE = {"f": 0.05, "S_max": 200.0, "Q_max": 15.0, "D_f": 2.0, "T_max": 1.0, "T_min": -1.0}
DAYS = np.arange("2000-01-01", "2000-07-01", dtype="datetime64[D]")

CONFIG = """
[data]
file = "basins.nc"
basins = ["01000001", "01000002"]

[periods]
train = [2000-01-31, 2000-05-15]
evaluation = [2000-05-16, 2000-06-30]
warmup = 30

[model.bounds]
f = [0.01, 0.1]
S_max = [100.0, 400.0]

[model.fixed]
Q_max = 15.0
T_max = 1.0
T_min = -1.0

[model.initial]
water_storage = [50.0, 300.0]

[solve]
engine = "sundials"
rtol = 1e-6
atol = 1e-6

[optimiser]
candidates = 8
starts = 4
window = 40
window_steps = 3
finalists = 3
method = "bfgs"
steps = 6
seed = 1

[output]
file = "result.nc"
"""


def write_basins(folder: Path) -> Path:
    """Two basins whose runoff is that of the model with `TRUE`; a tenth of the observations is missing."""
    n = len(DAYS)
    random = np.random.default_rng(4)
    forcing = {
        "precipitation": random.gamma(0.4, 12.0, (2, n)),
        "temperature": -4.0 + 28.0 * np.arange(n) / n + random.normal(0.0, 3.0, (2, n)),
        "daylength": np.full((2, n), 12.0),
    }
    solution = dg.solve(
        dg.models.ExpHydro(),
        TRUE,
        forcing={k: torch.from_numpy(v) for k, v in forcing.items()},
        times=np.arange(n + 1.0),
        initial={"water_storage": 150.0},
        engine="sundials",
    )
    runoff = solution.fluxes["runoff"].numpy().copy()
    runoff[random.random((2, n)) < 0.1] = np.nan
    series = {
        "prcp": (forcing["precipitation"], "mm d-1"),
        "tmean": (forcing["temperature"], "degC"),
        "dayl": (forcing["daylength"], "h"),
        "q_obs": (runoff, "mm d-1"),
    }
    path = folder / "basins.nc"
    xr.Dataset(
        {k: (("basin", "time"), v, {"units": unit}) for k, (v, unit) in series.items()},
        {"basin": ["01000001", "01000002"], "time": DAYS.astype("datetime64[ns]")},
    ).to_netcdf(path, engine="h5netcdf")
    return path


def write_config(folder: Path, *changes: tuple[str, str], name: str = "config.toml", text: str = CONFIG) -> Path:
    """A configuration with some of its text replaced."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return path


def numbers(result: Path) -> dict[str, Any]:
    """Every number of a result."""
    with xr.open_dataset(result) as data:
        return {str(k): v.values for k, v in data.data_vars.items()}


def fail_from_eleven(monkeypatch: Any) -> None:
    """Lets every solve fail that starts with a storage of 11."""
    solve = module.solve

    def failing(*args: Any, **kwargs: Any) -> dg.Solution:
        solution = solve(*args, **kwargs)
        if kwargs["initial"].get("storage") == 11.0:
            solution.report.status[:] = [dg.Status.CONVERGENCE] * len(solution.status)
        return solution

    monkeypatch.setattr(module, "solve", failing)
