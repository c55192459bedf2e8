"""Calibration of any model from a TOML file: values that are found again, tables, losses, sites, what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.commands import cli
from pydiffgeo.errors import DataError, PydiffgeoError
from pydiffgeo.models.ready import READY
from pydiffgeo.simulation.calibrating import calibrate_model
from pydiffgeo.simulation.site_files import read_calibration

# A reservoir of residence time 3 d, filled from 2 mm: S = r k + (S0 - r k) exp(-t / k), under rain of 4 and then 0 mm/d.
K, START = 3.0, 2.0
RESERVOIR = """
model = "LinearReservoir"
[parameters]
k = 1.0
[forcing]
file = "rain.csv"
[times]
step = 1.0
[solve]
engine = "sundials"
rtol = 1e-9
atol = 1e-9
[output]
file = "found.nc"
[sought]
k = [0.5, 20.0]
storage = [0.0, 10.0]
[[observations]]
file = "observed.csv"
quantity = "storage"
error = 0.01
[optimiser]
candidates = 4
starts = 1
finalists = 1
"""
WHEN = np.array([0.5, 1.0, 2.25, 4.0, 5.5])


def stored(t: np.ndarray, k: float = K, start: float = START) -> np.ndarray:
    """Storage under rain of 4 mm/d for three days, and none after them: exact."""
    wet = 4 * k + (start - 4 * k) * np.exp(-np.minimum(t, 3.0) / k)
    return wet * np.exp(-np.maximum(t - 3.0, 0.0) / k)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "found.toml").write_text(RESERVOIR)
    rain = [f"2000-01-0{day},{4 if day < 4 else 0}" for day in range(1, 7)]
    (tmp_path / "rain.csv").write_text("\n".join(["time,rain", *rain]))
    written(tmp_path / "observed.csv", WHEN, stored(WHEN))
    return tmp_path


def dates(times: np.ndarray) -> list[str]:
    return [str(np.datetime64("2000-01-01T00:00") + np.timedelta64(int(t * 1440), "m")) for t in times]


def written(path: Path, times: np.ndarray, values: np.ndarray, head: str = "time,value", tail: str = "") -> None:
    rows = [f"{t},{v:.12g}{tail}" for t, v in zip(dates(times), values, strict=True)]
    path.write_text("\n".join([head, *rows]))


def changed(folder: Path, *changes: tuple[str, str]) -> Path:
    path = folder / "found.toml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def found(path: Path) -> dict[str, float]:
    with xr.open_dataset(path) as data:
        names = [k for k in ("k", "initial_storage") if k in data]
        return {name: float(data[name]) for name in names}


def test_a_reservoir_is_found_from_odd_times(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", str(folder / "found.toml")]) == 0
    result = folder / "found.nc"
    assert found(result) == pytest.approx({"k": K, "initial_storage": START}, rel=1e-5)
    said = capsys.readouterr().err
    assert "site found: k 3 +- " in said
    with xr.open_dataset(result) as data:
        # Output times hold those of observations, so that nothing is interpolated.
        np.testing.assert_allclose(data["storage_0_simulated"], stored(WHEN), rtol=1e-5)
        assert data["storage_0_observed"].attrs["use"] == "train"
        assert data["time"].values[0] == np.datetime64("2000-01-01")
        assert data["k"].attrs["valid_max"] == 20.0
        assert "[sought]" in data.attrs["configuration"]
    assert not (folder / "found.nc.checkpoint.npz").exists()
    assert dg.report.write_report(result).stat().st_size > 10_000


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(folder: Path) -> None:
    path, steps = changed(folder, ("candidates = 4", "candidates = 4\nmethod = 'bfgs'")), list[int]()
    whole = found(calibrate_model(path, overrides=["output.file=whole.nc"], progress=False))

    def stop(step: dg.calibration.Step) -> None:
        steps.append(step.step)
        if len(steps) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="checkpoint"):
        calibrate_model(path, progress=False, callback=stop)
    assert found(calibrate_model(path, progress=False)) == whole


def test_units_windows_and_columns_of_other_names(folder: Path) -> None:
    # Outflow as a mean over each day, in m/d; of a reservoir that is rain less what more is stored.
    days = np.arange(7.0)
    flow = 4.0 * (days[:-1] < 3) - np.diff(stored(days))
    written(folder / "flow.csv", days[:-1], 1e-3 * flow, "day,q,sigma", ",1e-6")
    table = 'file = "flow.csv"\nquantity = "discharge"\nunits = "m d-1"\nas = "mean"\nwindow = 1.0\n'
    columns = 'columns = { time = "day", value = "q", error = "sigma" }'
    path = changed(folder, ('file = "observed.csv"\nquantity = "storage"\nerror = 0.01', table + columns))
    result = calibrate_model(path, progress=False)
    assert found(result) == pytest.approx({"k": K, "initial_storage": START}, rel=1e-4)
    prepared = read_calibration(path).sites["found"].site
    np.testing.assert_allclose(prepared.observations[0].error, 1e-3, rtol=1e-9)  # mm/d


def test_weighted_terms_and_a_function_of_the_user(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "own_losses.py").write_text(
        "def cubed(simulated, observed, observation):\n    return ((simulated - observed).abs() ** 3).mean(-1)\n"
    )
    terms = 'loss = [{ name = "mean_square", weight = 0.5 }, { function = "own_losses:cubed", of = ["storage"] }]'
    path = changed(folder, ("candidates = 4", f"{terms}\ncandidates = 4"))
    assert cli.main(["calibrate", str(path)]) == 1
    assert "function 'own_losses:cubed' is code" in capsys.readouterr().err
    assert cli.main(["calibrate", str(path), "--run-code"]) == 0
    assert found(folder / "found.nc") == pytest.approx({"k": K, "initial_storage": START}, rel=1e-3)
    with xr.open_dataset(folder / "found.nc") as data:
        assert data.attrs["loss"] == "0.5 mean_square + cubed of storage"


def test_sites_by_a_table_each_with_what_differs(folder: Path) -> None:
    (folder / "sites.csv").write_text("site,initial.storage\nA,2\nB,5\nC,1\n")
    rows = [
        f"{t},{v:.12g},{s}"
        for s, b in (("A", 2.0), ("B", 5.0))
        for t, v in zip(dates(WHEN), stored(WHEN, K, b), strict=True)
    ]
    (folder / "observed.csv").write_text("\n".join(["time,value,site", *rows]))
    path = changed(folder, ("storage = [0.0, 10.0]\n", ""), ("[optimiser]", '[sites]\nfile = "sites.csv"\n[optimiser]'))
    with xr.open_dataset(calibrate_model(path, progress=False)) as data:
        np.testing.assert_allclose(data["k"], [K, K, np.nan], rtol=1e-6)
        assert data["status"].values[:2].tolist() == ["ok", "ok"]
        assert "nothing to train on" in str(data["status"].values[2])
    assert {p.name for p in folder.glob("found_*.nc")} == {"found_A.nc", "found_B.nc"}
    assert dg.report.write_report(folder / "found.nc").exists()


CASCADE = """
model = "NashCascade"
arguments = { n = 3 }
initial = { storage = 10.0 }
times = { end = 4.0, step = 1.0 }
solve = { engine = "sundials", rtol = 1e-9, atol = 1e-9 }
output = { file = "found.nc" }
optimiser = { candidates = 4, starts = 1, finalists = 1, loss = "nse" }
places = { first = { cell = 0 }, second = { cell = 1 } }
[sought]
k = { bounds = [0.5, 20.0], zones = [1, 2, 2], prior = { mean = 4.0, spread = 2.0, log = true } }
[[observations]]
file = "observed.csv"
quantity = "storage"
"""


def test_workers_read_their_sites_themselves(folder: Path) -> None:
    pytest.importorskip("distributed")
    (folder / "sites.csv").write_text("site,initial.storage\nA,2\nB,2\n")
    path = changed(folder, ("storage = [0.0, 10.0]\n", ""), ("[optimiser]", '[sites]\nfile = "sites.csv"\n[optimiser]'))
    overrides = ["output.file=there.nc"]
    with xr.open_dataset(calibrate_model(path, progress=False, scheduler=1, overrides=overrides)) as there:
        np.testing.assert_allclose(there["k"], [K, K], rtol=1e-6)
    assert {p.name for p in folder.glob("there*")} == {"there.nc", "there_A.nc", "there_B.nc"}


def test_zones_share_a_value_and_places_have_names(tmp_path: Path) -> None:
    a, b, t = 1 / 2.0, 1 / 5.0, np.array([0.5, 1.0, 2.0, 3.0])
    first = 10 * np.exp(-a * t)
    second = 10 * np.exp(-b * t) + 10 * a / (b - a) * (np.exp(-a * t) - np.exp(-b * t))
    rows = [f"{w},{v:.14g},{p}" for p, s in (("first", first), ("second", second)) for w, v in zip(t, s, strict=True)]
    (tmp_path / "observed.csv").write_text("\n".join(["time,value,place", *rows]))
    path = tmp_path / "cascade.toml"
    path.write_text(CASCADE)
    with xr.open_dataset(calibrate_model(path, progress=False)) as data:
        assert [float(data["k_1"]), float(data["k_2"])] == pytest.approx([2.0, 5.0], rel=1e-4)
        np.testing.assert_allclose(data["k"], [2.0, 5.0, 5.0], rtol=1e-4)
        assert data["k_2"].attrs["units"] == "d"
    # The same with a column for each place.
    rows = [",".join(map(str, row)) for row in zip(t, first, second, strict=True)]
    (tmp_path / "observed.csv").write_text("\n".join(["time,S1,S2", *rows]))
    series = "series = { S1 = { place = 'first' }, S2 = { cell = 1 } }"
    path.write_text(CASCADE.replace('quantity = "storage"', f'quantity = "storage"\n{series}'))
    with xr.open_dataset(calibrate_model(path, progress=False)) as data:
        assert [float(data["k_1"]), float(data["k_2"])] == pytest.approx([2.0, 5.0], rel=1e-4)


def test_netcdf_of_places_and_files_by_the_name_of_a_site(folder: Path) -> None:
    for name, start in (("A", 2.0), ("B", 5.0)):
        times = np.datetime64("2000-01-01", "ns") + (WHEN * 86400e9).astype("timedelta64[ns]")
        values = 1e-3 * np.stack([stored(WHEN, K, start), np.full(len(WHEN), np.nan)], axis=1)
        level = (("time", "gauge"), values, {"units": "m"})
        data = xr.Dataset({"level": level}, {"time": times, "gauge": ["here", "elsewhere"]})
        data.to_netcdf(folder / f"seen_{name}.nc", engine="h5netcdf")
    (folder / "sites.csv").write_text("site,parameters.k\nA,1\nB,2\n")
    path = changed(
        folder,
        ('file = "observed.csv"', 'file = "seen_{site}.nc"\nvariable = "level"'),
        ("[optimiser]", '[sites]\nfile = "sites.csv"\n[places]\nhere = { cell = 0 }\n[optimiser]'),
    )
    with xr.open_dataset(calibrate_model(path, progress=False)) as data:
        np.testing.assert_allclose(data["k"], [K, K], rtol=1e-5)
        np.testing.assert_allclose(data["storage"], [2.0, 5.0], rtol=1e-5)
    with xr.open_dataset(folder / "found_B.nc") as data:
        assert data["storage_0_observed"].attrs["long_name"] == "storage at here, observed"


def test_what_is_held_back_is_not_calibrated_on(folder: Path) -> None:
    """Observations that are wrong on purpose: they change nothing, and are compared with all the same."""
    written(folder / "wrong.csv", WHEN[:3], stored(WHEN[:3]) + 1.0)
    table = '[[observations]]\nfile = "wrong.csv"\nquantity = "storage"\nuse = "evaluation"\n[optimiser]'
    with xr.open_dataset(calibrate_model(changed(folder, ("[optimiser]", table)), progress=False)) as data:
        assert float(data["k"]) == pytest.approx(K, rel=1e-5)
        assert data["storage_1_observed"].attrs["use"] == "evaluation"
        np.testing.assert_allclose(data["storage_1_observed"] - data["storage_1_simulated"], 1.0, atol=1e-4)


def test_the_gradients_of_a_calibration_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(folder / "found.toml"), "--rtols", "1e-8", "--json", str(folder / "check.json")]) == 0
    said = capsys.readouterr().out
    assert "mean_square of found" in said
    assert "OK: gradients agree" in said
    assert (folder / "check.json").exists()


@pytest.mark.parametrize("name", READY)
def test_every_model_has_a_configuration_of_a_calibration(name: str, tmp_path: Path) -> None:
    """It names what is sought and seen as the model does; of observations there are none yet."""
    path = tmp_path / "start.toml"
    assert cli.main(["init", name, str(path), "--calibrate"]) == 0
    with pytest.raises(DataError, match=r"observed.csv: there is no such file"):
        read_calibration(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("k = [0.5, 20.0]", "K = [0.5, 20.0]", r"\[sought\] K is unknown; LinearReservoir has k"),
        ("k = [0.5, 20.0]", "k = [-1.0, 2.0]", "bounds .* of parameter 'k' reach beyond"),
        ("storage = [0.0, 10.0]", "storage = {}", r"\[sought\] storage is an initial value: it needs bounds"),
        ("k = [0.5, 20.0]", "k = { bound = [1.0, 2.0] }", r"\[sought.k\] bound is unknown; did you mean 'bounds'"),
        ('quantity = "storage"', 'quantity = "storge"', "LinearReservoir has nothing of that name"),
        ('quantity = "storage"\n', "", "quantity is missing"),
        ("error = 0.01", 'error = "sigma"', "there is no column 'sigma' of errors"),
        ("error = 0.01", "error = 0.01\nplace = 'here'", "there is no place 'here'"),
        ("error = 0.01", "error = 0.01\nunits = 'degC'", "cannot be converted"),
        ("error = 0.01", "error = 0.01\nas = 'sum'", "needs columns start and end, or the length of a window"),
        ("error = 0.01", "error = 0.01\nuse = 'test'", "use must be one of train"),
        ("candidates = 4", "loss = 'nsee'", r"\[optimiser\] loss must be one of nse"),
        ("candidates = 4", "loss = [{ name = 'nse', of = ['flow'] }]", "nse of flow is of nothing that is observed"),
        ("candidates = 4", "loss = [{ weight = 2.0 }]", "name or function must be given"),
        ("[[observations]]", "[[observation]]", "'observation' is unknown; did you mean 'observations'"),
        ("[optimiser]", "[optimizer]", "'optimizer' is unknown; did you mean 'optimiser'"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(PydiffgeoError, match=said):
        read_calibration(changed(folder, (old, new)))
