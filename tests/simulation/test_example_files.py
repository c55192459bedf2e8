"""The configurations in examples/from_a_file: each runs, and finds again, shortened, what its data were made with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from pydiffgeo.simulation import run_file
from pydiffgeo.simulation.calibrating import calibrate_model
from pydiffgeo.simulation.site_files import read_calibration

FOLDER = Path(__file__).parents[2] / "examples" / "from_a_file"
QUICK = ["optimiser.candidates=2", "optimiser.starts=1", "optimiser.finalists=1"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "copied"))


@pytest.mark.parametrize("name", ["column", "aquifer", "river", "own_model"])
def test_each_runs_and_has_observations(name: str, here: Path) -> None:
    short = ["times.end=2020-05-03"] if name == "column" else []
    short += {"aquifer": ["times.end=20.0"], "river": ["times.end=2021-03-02"]}.get(name, [])
    with xr.open_dataset(run_file(here / f"{name}.toml", overrides=short, code=True)) as data:
        assert str(data["status"].values) == "The solve succeeded."
    asked = read_calibration(here / f"{name}.toml", code=True)
    assert not asked.failures
    (one,) = asked.sites.values()
    assert len(one.site.observations) == {"column": 5, "aquifer": 8, "river": 2, "own_model": 2}[name]


def test_a_model_of_ones_own_is_found_again(here: Path) -> None:
    path = calibrate_model(here / "own_model.toml", overrides=[*QUICK, "times.end=40.0"], code=True, progress=False)
    with xr.open_dataset(path) as data:
        for name, true in (("K", 12.0), ("specific_yield", 0.15)):
            assert abs(float(data[name]) - true) < 4 * float(data[f"{name}_standard_error"])


def test_zones_of_an_aquifer_are_found_again(here: Path) -> None:
    site = read_calibration(here / "aquifer.toml").sites["aquifer"].site
    assert site.transforms.names == ("K_1", "K_2", "S_y")
    true = {"K_1": 4.0, "K_2": 25.0, "S_y": 0.12}
    x = site.transforms.pack({k: torch.tensor([[v]], dtype=torch.float64) for k, v in true.items()})
    # At the true values residuals are the errors of the heads: a mean square of one, in units of them.
    loss = float(site.evaluate(x.numpy(), gradient=False).loss[0])
    errors = sum(int((~o.values.isnan()).sum()) for o in site.observations)
    square = 2 * (loss - errors * np.log(0.02 * (2 * np.pi) ** 0.5)) / errors
    assert abs(square - 1) < 4 * (2 / errors) ** 0.5
