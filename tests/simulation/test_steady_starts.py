"""Runs and calibrations that begin at a steady state: exact ones, what follows a change, gradients, what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.calibration import Site
from pydiffgeo.commands import cli
from pydiffgeo.errors import DataError, InputError, PydiffgeoError, SolverError
from pydiffgeo.models import LinearReservoir
from pydiffgeo.observe import Observation
from pydiffgeo.simulation import run_file
from pydiffgeo.simulation.calibrating import calibrate_model, check_model

RESERVOIR = """
model = "LinearReservoir"
[parameters]
k = 2.0
[initial]
steady = true
[forcing]
file = "rain.csv"
[times]
step = 1.0
[solve]
engine = "sundials"
rtol = 1e-9
atol = 1e-9
[output]
file = "result.nc"
"""
COLUMN = """
model = "RichardsColumn"
[arguments]
cells = 10
[parameters]
K_s = 0.2
[initial]
steady = true
head = -1.0
[forcing]
flux = 0.01
[times]
end = 2.0
step = 0.5
[solve]
engine = "sundials"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # Rain in mm/d: each value holds for a day, the last for two, to the end of the run.
    (tmp_path / "rain.csv").write_text("time,rain\n0,6\n1,0\n2,3\n")
    (tmp_path / "run.toml").write_text(RESERVOIR)
    return tmp_path


def test_a_run_begins_where_rain_and_outflow_are_equal(folder: Path) -> None:
    with xr.open_dataset(run_file(folder / "run.toml")) as result:
        # 6 mm/d through a reservoir of 2 d hold 12 mm, which then drain for a day.
        np.testing.assert_allclose(result.storage[:3], [12.0, 12.0, 12.0 * np.exp(-0.5)], rtol=1e-7)


@pytest.mark.parametrize(
    ("steady", "stored"),
    [
        ('"mean"', 2 * (6 + 0) / 2),  # the run ends at the last time of the file
        ('"first"', 12.0),
        ("{ rain = 5.0 }", 10.0),
        ('{ others = "mean" }', 6.0),
    ],
)
def test_the_forcing_of_the_start_may_be_said(folder: Path, steady: str, stored: float) -> None:
    with xr.open_dataset(run_file(folder / "run.toml", overrides=[f"initial.steady={steady}"])) as result:
        assert abs(float(result.storage[0]) - stored) < 1e-6


def test_straight_lines_have_a_first_value_and_a_mean(folder: Path) -> None:
    # From 1 d on: 3 mm/d at once, 1.5 mm/d on the average of the rise from 0 to 3.
    start = ['forcing.between="linear"', "times.start=1.0"]
    for steady, stored in (("true", 0.0), ('"mean"', 3.0)):
        result = run_file(folder / "run.toml", overrides=[*start, f"initial.steady={steady}"])
        with xr.open_dataset(result) as data:
            assert abs(float(data.storage[0]) - stored) < 1e-6


def test_a_column_at_rest_stays_and_drains_what_it_gets(tmp_path: Path) -> None:
    (tmp_path / "column.toml").write_text(COLUMN)
    with xr.open_dataset(run_file(tmp_path / "column.toml")) as result:
        assert np.abs(result.theta - result.theta[0]).max() < 1e-6
        np.testing.assert_allclose(result.drainage, 0.005, rtol=1e-4)  # 0.01 m/d for half a day


@pytest.mark.parametrize(("model", "state"), [("Aquifer", "water"), ("River", "storage")])
def test_what_init_writes_can_begin_at_rest(model: str, state: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    assert cli.main(["init", model, str(config)]) == 0
    asked = ["--set", "initial.steady=true", "--set", 'solve.engine="sundials"', "--set", 'output.file="result.nc"']
    assert cli.main(["run", str(config), *asked]) == 0
    with xr.open_dataset(tmp_path / "result.nc") as result:
        moved = np.abs(result[state] - result[state].isel(time=0)).max() / np.abs(result[state]).max()
        assert moved < 1e-5


def test_every_member_of_a_search_begins_at_its_own_steady_state(folder: Path) -> None:
    k = 3.5
    times = np.array([0.5, 1.0, 1.5, 2.0])
    stored = 6 * k * np.exp(-np.clip(times - 1.0, 0, None) / k)
    lines = [f"{t},{s:.12g}" for t, s in zip(times, stored, strict=True)]
    (folder / "observed.csv").write_text("\n".join(["time,value", *lines]))
    sought = '[sought]\nk = [0.5, 20.0]\n[[observations]]\nfile = "observed.csv"\nquantity = "storage"\nerror = 0.01\n'
    (folder / "found.toml").write_text(RESERVOIR + sought + "[optimiser]\ncandidates = 4\nstarts = 1\nfinalists = 1\n")
    with xr.open_dataset(calibrate_model(folder / "found.toml", progress=False)) as found:
        assert abs(float(found["k"]) - k) < 1e-5
    report = check_model(folder / "found.toml", rtols=[1e-6, 1e-8])
    assert report.ok, report
    with pytest.raises(
        DataError, match=r"\[sought\] storage is an initial value, and \[initial\] steady gives them all"
    ):
        calibrate_model(folder / "found.toml", progress=False, overrides=["sought.storage=[0.0, 10.0]"])


def reservoir(**changes: object) -> Site:
    seen = Observation("storage", "value", [1.0, 2.0], [12.0, 11.0], error=0.1)
    usual = {"forcing": {"rain": [6.0, 6.0]}, "bounds": {"k": (0.5, 20.0)}, "rest": {"rain": 6.0}}
    return Site("plot", LinearReservoir(), [0.0, 1.0, 2.0], observations=(seen,), **{**usual, **changes})


def test_a_member_without_a_steady_state_is_marked_and_costs_nobody_else() -> None:
    # A tank that empties by its root has a level at rest only below its brim, as a limit of the model has it.
    tank = dg.Model(
        "Tank",
        dg.single_cell(),
        (dg.State("level", "m", "water", default=1.0),),
        (dg.Parameter("c", "1", "outflow", 1.0, low=0.0),),
        source=lambda cell, forcing: {"level": 1.0 - cell.c * torch.tanh(cell.level)},
    )
    seen = Observation("level", "value", [1.0], [0.5], error=0.1)
    site = Site("tank", tank, [0.0, 1.0], {}, (seen,), {"c": (0.1, 10.0)}, rest={}, settings={"engine": "sundials"})
    c = torch.tensor([[2.0], [0.5], [4.0]], dtype=torch.float64, requires_grad=True)
    solution = site.solve({"c": c})
    # Where the outflow is less than one metre a day at most, water rises for ever.
    assert solution.ok.tolist() == [True, False, True]
    level = solution.states["level"][:, -1, 0]
    np.testing.assert_allclose(level.detach()[[0, 2]], np.arctanh([0.5, 0.25]), rtol=1e-6)
    level[[0, 2]].sum().backward()
    # d artanh(1/c)/dc = -1 / (c^2 - 1).
    np.testing.assert_allclose(c.grad[:, 0], [-1 / 3, 0.0, -1 / 15], rtol=1e-5)
    with pytest.raises(SolverError):
        site.solve({"c": c}, throw=True)


def test_what_is_found_cannot_be_sought() -> None:
    with pytest.raises(InputError, match="'storage' is both calibrated and given"):
        reservoir(bounds={"storage": (0.0, 20.0)})
    assert reservoir().fingerprint != reservoir(rest={"rain": 5.0}).fingerprint != reservoir(rest=None).fingerprint


def test_a_model_for_others_begins_at_rest(folder: Path) -> None:
    pytest.importorskip("bmipy", reason="bmipy is not installed: pip install 'pydiffgeo[bmi]'")
    from pydiffgeo.simulation.bmi import BasicModel

    model = BasicModel()
    model.initialize(str(folder / "run.toml"))
    assert abs(model.get_value_ptr("storage")[0] - 12.0) < 1e-6


@pytest.mark.parametrize(
    ("steady", "message"),
    [
        ("3", r'\[initial\] steady must be true, "first", "mean", or a table of forcings, got 3'),
        ('"last"', r"\[initial\] steady must be true"),
        ("{ rainn = 1.0 }", r"\[initial\.steady\] rainn is unknown; did you mean 'rain'"),
        ('{ others = "last" }', r'\[initial\.steady\] others must be "first" or "mean"'),
        ("{ rain = -1.0 }", r"\[initial\] steady: "),
    ],
)
def test_what_is_wrong_is_named(folder: Path, steady: str, message: str) -> None:
    with pytest.raises(PydiffgeoError, match=rf"run\.toml: {message}"):
        run_file(folder / "run.toml", overrides=[f"initial.steady={steady}"])


def test_a_forcing_without_a_steady_state_is_said(tmp_path: Path) -> None:
    (tmp_path / "column.toml").write_text(COLUMN)
    with pytest.raises(SolverError, match=r"column\.toml: \[initial\] steady: 1 of 1 members have no steady state"):
        run_file(tmp_path / "column.toml", overrides=["initial.steady={ flux = 0.5 }"])
