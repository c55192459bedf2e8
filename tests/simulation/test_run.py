"""Forward runs of any model from a TOML file: exact solutions, files of forcings, times, overrides, code, errors."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.commands import cli
from pydiffgeo.errors import DataError, UnitError
from pydiffgeo.models.ready import READY
from pydiffgeo.simulation import run_file, template

RESERVOIR = """
model = "LinearReservoir"

[parameters]
k = 2.0

[forcing]
{forcing}

[times]
{times}

[solve]
engine = "sundials"

[output]
file = "result.nc"
"""


def written(folder: Path, forcing: str = "rain = 6.0", times: str = "end = 4.0\nstep = 0.5") -> Path:
    path = folder / "config.toml"
    path.write_text(RESERVOIR.format(forcing=forcing, times=times))
    return path


def filled(rates: list[float], step: float, k: float = 2.0) -> list[float]:
    """Storage of the reservoir after each of steps with these rates of rain (mm/d): exact."""
    stored = [0.0]
    for rate in rates:
        stored.append(rate * k + (stored[-1] - rate * k) * np.exp(-step / k))
    return stored


def test_a_reservoir_fills_as_its_equation_says(tmp_path: Path) -> None:
    with xr.open_dataset(run_file(written(tmp_path))) as result:
        np.testing.assert_allclose(result.time, 0.5 * np.arange(9))
        np.testing.assert_allclose(result.storage, filled([6.0] * 8, 0.5), rtol=1e-6)
        assert 'model = "LinearReservoir"' in result.attrs["configuration"]


def test_what_is_set_comes_before_the_file_and_is_told(tmp_path: Path) -> None:
    overrides = ["parameters.k=4", "times.step=2.0", "output.file=other.nc"]
    path = run_file(written(tmp_path), overrides=overrides)
    assert path == tmp_path / "other.nc"
    with xr.open_dataset(path) as result:
        np.testing.assert_allclose(result.storage, filled([6.0] * 2, 2.0, k=4.0), rtol=1e-6)
        assert "# set on the command line: parameters.k=4" in result.attrs["configuration"]


HOURLY = [0.5, 0.0, 1.0, 0.25]  # mm/h


def test_hourly_rain_from_csv(tmp_path: Path) -> None:
    rows = [f"2000-01-01 {12 + i}:00,{rain}" for i, rain in enumerate(HOURLY)]
    (tmp_path / "rain.csv").write_text("\n".join(["# a comment", "when,wet", *rows]))
    forcing = 'file = "rain.csv"\ntime = "when"\nrain = "wet"\nunits = { rain = "mm h-1" }'
    with xr.open_dataset(run_file(written(tmp_path, forcing, ""))) as result:
        assert result.time.values[0] == np.datetime64("2000-01-01T12:00")
        assert result.time.values[-1] == np.datetime64("2000-01-01T16:00")
        np.testing.assert_allclose(result.storage, filled([24 * r for r in HOURLY], 1 / 24), rtol=1e-6)
        np.testing.assert_allclose(result.rain, HOURLY, rtol=1e-9)  # mm in each hour


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_hourly_rain_by_the_cf_conventions(tmp_path: Path, kind: str) -> None:
    times = np.datetime64("2000-01-01T00", "ns") + np.arange(4) * np.timedelta64(1, "h")
    data = xr.Dataset({"wet": ("time", HOURLY, {"units": "mm h-1"})}, {"time": times})
    if kind == "nc":
        data.to_netcdf(tmp_path / "rain.nc", engine="h5netcdf")
    else:
        pytest.importorskip("zarr")
        data.to_zarr(tmp_path / "rain.zarr")
    asked = "start = 2000-01-01T01:00:00\nend = 2000-01-01T03:00:00"
    path = run_file(written(tmp_path, f'file = "rain.{kind}"\nrain = "wet"', asked))
    with xr.open_dataset(path) as result:
        np.testing.assert_allclose(result.storage, filled([24 * r for r in HOURLY[1:3]], 1 / 24), rtol=1e-6)
        assert result.time.values[0] == np.datetime64("2000-01-01T01:00")


def test_irregular_numbers_and_straight_lines(tmp_path: Path) -> None:
    (tmp_path / "rain.csv").write_text("time,rain\n0,0\n1,2\n4,8\n")
    path = run_file(written(tmp_path, 'file = "rain.csv"\nbetween = "linear"', "step = 2.0"))
    with xr.open_dataset(path) as result:
        np.testing.assert_allclose(result.time, [0, 2, 4])
        # Rain is 2 t: S = 2 k (t - k (1 - exp(-t / k))).
        t = result.time.values
        np.testing.assert_allclose(result.storage, 4 * (t - 2 * (1 - np.exp(-t / 2))), atol=1e-5)


def test_a_model_of_the_user_runs_only_where_its_code_may(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "decaying_store.py").write_text(
        "import pydiffgeo as dg\n"
        "def Decay(rate: float = 0.5) -> dg.Model:\n"
        "    '''Decays at a fixed rate.'''\n"
        "    return dg.Model('Decay', dg.single_cell(), states=(dg.State('y', '1', 'what is left', default=1.0),),\n"
        "                    source=lambda cell, forcing: {'y': -rate * cell.y})\n"
    )
    path = tmp_path / "decay.toml"
    path.write_text('model = "decaying_store:Decay"\n[arguments]\nrate = 0.25\n[times]\nend = 2.0\nstep = 1.0\n')
    assert cli.main(["run", str(path)]) == 1
    assert "importing 'decaying_store' runs what its author wrote" in capsys.readouterr().err
    assert cli.main(["run", str(path), "--run-code", "--set", 'solve.engine="sundials"']) == 0
    with xr.open_dataset(tmp_path / "decay.nc") as result:
        np.testing.assert_allclose(result.y, np.exp(-0.25 * np.arange(3)), rtol=1e-6)


@pytest.mark.parametrize("name", READY)
def test_a_configuration_to_start_from_runs_as_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / "start.toml"
    assert cli.main(["init", name, str(path)]) == 0
    text = path.read_text()
    model = READY[name].model()
    for declared in (*model.parameters, *model.forcings, *model.all_states):
        assert declared.name in text
        assert declared.description in text
    result = run_file(path, overrides=["solve.engine=sundials", "times.end=1.0"])
    with xr.open_dataset(result) as data:
        assert data.sizes["time"] == 2
        for state in model.all_states:
            assert np.isfinite(data[state.name]).all()
    assert cli.main(["init", name, str(path)]) == 1  # never over what is there


def test_a_library_that_is_missing_is_said_before_anything_is_solved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "start.toml"
    assert cli.main(["init", "LinearReservoir", str(path)]) == 0
    monkeypatch.setattr("pydiffgeo.checks.find_spec", lambda name: None)
    running = importlib.import_module("pydiffgeo.simulation.run")
    monkeypatch.setattr(running, "solve", lambda *_, **__: pytest.fail("it was solved"))
    assert cli.main(["run", str(path)]) == 1
    assert "writing NetCDF needs h5netcdf or netCDF4: pip install 'pydiffgeo[io]'" in capsys.readouterr().err


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*READY]
    assert all(len(line) > len(name) for line, name in zip(lines[1:], READY, strict=True))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"LinearReservoir"', '"LinearReservor"', "did you mean 'LinearReservoir'"),
        ("k = 2.0", "K = 2.0", r"\[parameters\] K is unknown; LinearReservoir has k"),
        ("k = 2.0", 'k = "two"', r"\[parameters\] k must be a number"),
        ("rain = 6.0", "rains = 6.0", r"\[forcing\] rains is unknown; did you mean 'rain'"),
        ("rain = 6.0", 'rain = "wet"', r"\[forcing\] rain is the name of a variable, but no file is given"),
        ("end = 4.0", "", r"\[times\] end is missing"),
        ("step = 0.5", "", r"\[times\] step is missing"),
        ("end = 4.0", "end = -1.0", r"end must come after start"),
        ("[parameters]", "[arguments]\ndepth = 1\n[parameters]", r"\[arguments\] do not fit"),
        ("[parameters]", "[parameter]", "'parameter' is unknown; did you mean 'parameters'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=said):
        run_file(path)


@pytest.mark.parametrize(
    ("rows", "kind", "said"),
    [
        ("time,rain\n0,1\n1,\n", DataError, "'rain' is missing at 1"),
        ("time,rain\n0,1\n0,2\n", DataError, "must increase"),
        ("time,rain\nsoon,1\nlater,2\n", DataError, "neither numbers nor dates"),
        ("time,wet\n0,1\n1,2\n", DataError, "there is no column 'rain'"),
        ("time,rain\n0,1\n1\n", DataError, "line 3 has no entry for 'rain'"),
        ("time,rain\n0,much\n1,2\n", DataError, "does not hold numbers"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, rows: str, kind: type[Exception], said: str) -> None:
    (tmp_path / "rain.csv").write_text(rows)
    with pytest.raises(kind, match=said):
        run_file(written(tmp_path, 'file = "rain.csv"', ""))


def test_a_unit_that_does_not_fit_is_named(tmp_path: Path) -> None:
    (tmp_path / "rain.csv").write_text("time,rain\n0,1\n1,2\n")
    with pytest.raises(UnitError, match="rain"):
        run_file(written(tmp_path, 'file = "rain.csv"\nunits = { rain = "degC" }', ""))


@pytest.mark.parametrize("override", ["solve.rtol", "=1", "model.name=2", ".a=1"])
def test_an_override_that_is_none_is_named(tmp_path: Path, override: str) -> None:
    with pytest.raises(DataError, match="--set"):
        run_file(written(tmp_path), overrides=[override])


def test_cells_have_values_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "column.toml"
    path.write_text(template("RichardsColumn"))
    listed = str([0.1 + 0.01 * i for i in range(20)])
    result = run_file(path, overrides=[f"parameters.K_s={listed}", "solve.engine=sundials", "times.end=1.0"])
    with xr.open_dataset(result) as data:
        np.testing.assert_allclose(data.K_s, [0.1 + 0.01 * i for i in range(20)])
    K_s = torch.tensor([0.1 + 0.01 * i for i in range(20)], dtype=torch.float64)
    same = dg.solve(
        dg.models.RichardsColumn(cells=20),
        {"K_s": K_s},
        initial={"head": -1.0},
        forcing={"flux": 0.005},
        times=[0.0, 1.0],
        engine="sundials",
    )
    with xr.open_dataset(result) as data:
        np.testing.assert_allclose(data.theta.values[-1], same.states["theta"][-1].numpy(), rtol=1e-12)


def test_what_init_says_next_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_store.py").write_text("from pydiffgeo.models import LinearReservoir as Store\n")
    assert cli.main(["init", "own_store:Store", "store.toml", "--run-code"]) == 0
    _, said = capsys.readouterr().out.split("next: pydiffgeo ")
    assert cli.main(said.split()) == 0
    assert cli.main(["init", "LinearReservoir", "found.toml", "--calibrate"]) == 0
    assert "next: observations in observed.csv, or another file, and pydiffgeo calibrate" in capsys.readouterr().out
    assert cli.main(["calibrate", "found.toml"]) == 1
    assert "observed.csv: there is no such file" in capsys.readouterr().err
