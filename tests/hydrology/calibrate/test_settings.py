"""The configuration of a calibration: what it means, and an error for every key that can be wrong."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from calibration import write_config

import pydiffgeo as dg
from pydiffgeo.errors import DataError
from pydiffgeo.hydrology.calibrate.settings import read_settings


def test_a_configuration_is_read(tmp_path):
    settings = read_settings(write_config(tmp_path))
    assert (settings.data.kind, settings.data.path) == ("file", tmp_path / "basins.nc")
    assert settings.data.basins == ("01000001", "01000002")
    assert settings.periods.train == (dt.date(2000, 1, 31), dt.date(2000, 5, 15))
    assert settings.periods.warmup == 30
    assert settings.model.bounds == {"f": (0.01, 0.1), "S_max": (100.0, 400.0)}
    assert settings.model.initial == {"water_storage": (50.0, 300.0)}
    assert (settings.strategy.starts, settings.loss, settings.strategy.method) == (4, "nse", "bfgs")
    assert settings.output == tmp_path / "result.nc"


def test_what_is_left_out_takes_defaults(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        '[data]\ncamels = "camels"\nbasins = ["1"]\n[output]\nfile = "r.nc"\n'
        "[periods]\ntrain = [1990-10-01, 1995-09-30]\nevaluation = ['1995-10-01', '2000-09-30']\nwarmup = 1989-10-01\n"
    )
    settings = read_settings(path)
    assert (settings.data.kind, settings.data.path) == ("camels", tmp_path / "camels")
    assert settings.data.product == "daymet"
    assert settings.periods.warmup == 365
    assert settings.model.model.name == "ExpHydro"
    assert settings.solve.engine == "auto"


def test_the_example_of_hbv_is_read():
    settings = read_settings(Path(__file__).parents[3] / "examples" / "calibrate_hbv.toml")
    assert settings.model.model is dg.models.HBV(routing=2)
    assert settings.model.fixed == {"BETAET": 1.0}


def test_the_example_is_read(tmp_path):
    path = Path(__file__).parents[3] / "examples" / "calibrate_basin.toml"
    settings = read_settings(path)
    assert settings.periods.warmup_from == "repeat"
    # What is commented out are the defaults: with the comments taken off, nothing changes.
    text = path.read_text()
    for line in (
        *("engine = ", "rtol = ", "atol = ", "method = ", "loss = ", "even_years = ", "candidates = "),
        *("starts = ", "window = ", "window_steps = ", "finalists = ", "steps = ", "within = ", "tolerance = "),
        *("learning_rate = ", "patience = ", "spinup = ", "seed = ", "dimensions = ", "variables = "),
    ):
        assert f"# {line}" in text, line
        text = text.replace(f"# {line}", line)
    text = "".join(row for row in text.splitlines(True) if not row.startswith("variables"))
    other = tmp_path / "uncommented.toml"
    other.write_text(text)
    plain = read_settings(other)
    assert replace(plain.data, path=settings.data.path) == settings.data
    assert (plain.solve, plain.strategy) == (replace(settings.solve, solver=None), settings.strategy)
    assert (plain.loss, plain.periods) == (settings.loss, settings.periods)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[solve]", "[solver]", r"\[solver\] is unknown; did you mean \[solve\]\?"),
        ("[output]\n", "[output]\nfolder = 1\n", r"\[output\] folder is unknown; .*known are file"),
        ('file = "result.nc"', "", r"\[output\] file is missing"),
        ("rtol", "rtoll", r"\[solve\] rtoll is unknown; did you mean 'rtol'"),
        ("rtol = 1e-6", "rtol = 2.0", r"\[solve\] rtol must be a positive number below 1, got 2.0"),
        ("rtol = 1e-6", 'rtol = "small"', r"\[solve\] rtol must be"),
        (
            'engine = "sundials"',
            'engine = "petsc"',
            r"\[solve\] engine must be one of auto, julia, sundials, got 'petsc'",
        ),
        ("\nsteps = 6", "\nsteps = 0", r"\[optimiser\] steps must be a whole number of at least 1, got 0"),
        ("\nsteps = 6", "\nsteps = true", r"\[optimiser\] steps must be a whole number"),
        ("\nsteps = 6", '\nloss = "nash"', r"\[optimiser\] loss must be one of nse, kge, mse, rmse, .*, got 'nash'"),
        ('\nmethod = "bfgs"', '\nmethod = "sgd"', r"\[optimiser\] method"),
        ("finalists = 3", "finalists = 5", r"\[optimiser\] finalists must be at most starts \(4\), got 5"),
        ("window = 40", "window = -1", r"\[optimiser\] window must be a length of time, 0 or more"),
        ("starts = 4", "starts = 9", r"\[optimiser\] starts must be at most candidates \(8\), got 9"),
        ('basins = ["01000001", "01000002"]', "", r"\[data\] basins is missing"),
        ('["01000001", "01000002"]', "[1000001]", r"\[data\] basins must be a list .* as text in quotes"),
        ('["01000001", "01000002"]', '["1", "1"]', r"\[data\] basins .* each once"),
        ('file = "basins.nc"', "", r"\[data\] file, camels, caravan or table must be given"),
        ('file = "basins.nc"', 'file = "a"\ncamels = "b"', r"\[data\] .* must be given, one of the four"),
        ('file = "basins.nc"', 'file = "a"\nproduct = "daymet"', r"\[data\] product does not apply to a NetCDF file"),
        ('file = "basins.nc"', 'camels = "a"\nlatitude = 4', r"\[data\] latitude does not apply to a CAMELS-US folder"),
        ('file = "basins.nc"', 'caravan = "a"\nproduct = "x"', r"\[data\] product does not apply to a Caravan folder"),
        ('file = "basins.nc"', 'file = "a"\nvariables = { rain = "p" }', r"\[data\] variables must be a table of prec"),
        ("train = [2000-01-31", "train = [2001-01-31", r"\[periods\] train must be the first and the last day"),
        ("train = [2000-01-31", "train = [2000-31-01", "cannot be read as a configuration"),
        (
            "evaluation = [2000-05-16",
            "evaluation = [2000-05-15",
            r"\[periods\] evaluation must begin after training ends",
        ),
        ("warmup = 30", "warmup = -1", r"\[periods\] warmup must be a number of days"),
        (
            "warmup = 30",
            "warmup = 2000-02-01",
            r"\[periods\] warmup must be a number of days, or a date before 2000-01-31",
        ),
        ("warmup = 30", 'warmup = 300\nwarmup_from = "repeat"', r"\[periods\] warmup repeats the first 300 days"),
        ("warmup = 30", 'warmup_from = "nothing"', r"\[periods\] warmup_from"),
        ("f = [0.01, 0.1]", "g = [0.01, 0.1]", r"\[model\] bounds.g is unknown; ExpHydro has f, S_max"),
        ("f = [0.01, 0.1]", "f = [0.1, 0.01]", r"\[model\] bounds must be a table of \[low, high\]"),
        ("f = [0.01, 0.1]", "f = [-0.1, 0.1]", r"\[model\] bounds.f cannot be used: .*physical range"),
        ("T_max = 1.0", "T_max = 100.0", r"\[model\] fixed.T_max must lie in \[-20, 20\] degC, got 100"),
        ("T_max = 1.0", "f = 0.05", r"\[model\] fixed.f has bounds as well"),
        ("[50.0, 300.0]", "[-50.0, 300.0]", r"\[model\] initial.water_storage must lie in \[0, inf\]"),
        ("water_storage", "soil", r"\[model\] initial.soil is unknown; ExpHydro has snow_storage, water_storage"),
        (
            "[model.bounds]",
            '[model]\nname = "HVB"\n[model.bounds]',
            r"\[model\] name must be one of ExpHydro, HBV, GR4J",
        ),
        ("[model.bounds]", '[model]\nname = "hbv"\n[model.bounds]', r"\[model\] bounds.f is unknown; HBV has BETA, FC"),
        (
            "[model.bounds]",
            "[model]\noptions = { routing = 2 }\n[model.bounds]",
            r"options cannot .*ExpHydro has no option 'routing'",
        ),
        (
            "[model.bounds]",
            '[model]\nname = "hbv"\noptions = { routing = 0.5 }\n[model.bounds]',
            r"options cannot .*number of reservoirs",
        ),
        ("[solve]", "[solve", "cannot be read as a configuration"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message) as error:
        read_settings(write_config(tmp_path, (old, new)))
    assert "config.toml" in str(error.value)


def test_everything_fixed_leaves_nothing_to_calibrate(tmp_path):
    path = write_config(
        tmp_path,
        ("f = [0.01, 0.1]\nS_max = [100.0, 400.0]", ""),
        ("Q_max = 15.0", "Q_max = 15.0\nf = 0.1\nS_max = 100.0\nD_f = 1.0"),
        ("[50.0, 300.0]", "100.0"),
    )
    with pytest.raises(DataError, match="leaves nothing to calibrate"):
        read_settings(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"absent.toml: cannot be read"):
        read_settings(tmp_path / "absent.toml")
