"""Results as CF datasets: what is written comes back the same, with units, coordinates and provenance."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo import checks
from pydiffgeo.errors import DataError, MissingPackageError, UnitError
from pydiffgeo.io import Variable, write_netcdf

DAYS = np.arange("2000-01-01", "2000-03-01", dtype="datetime64[D]")


@pytest.fixture(scope="module")
def column() -> dg.Solution:
    """Two members of a soil column of five cells, over three unequal intervals."""
    model = dg.models.RichardsColumn(depth=1.0, cells=5, top="flux")
    K_s = torch.full((2, 5), 0.2, dtype=torch.float64, requires_grad=True)
    return dg.solve(
        model, {"K_s": K_s}, initial={"head": -1.0}, times=[0, 0.25, 1, 2], forcing={"flux": 0.001}, engine="sundials"
    )


@pytest.fixture(scope="module")
def basin() -> dg.Solution:
    forcing = {"precipitation": [5.0, 0.0, 20.0], "temperature": [-2.0, 3.0, 8.0], "daylength": 10.0}
    return dg.solve(dg.models.ExpHydro(), forcing=forcing, times=range(4), engine="sundials")


def test_a_batch_of_columns(column):
    data = dg.io.solution_dataset(column, start="2000-01-01", members=["a", "b"])
    assert data.theta.dims == ("member", "time", "cell")
    assert data.drainage.dims == ("member", "interval")
    assert data.K_s.dims == ("member", "cell")
    assert data.n.dims == ("member",)
    np.testing.assert_array_equal(data.theta, column.states["theta"].detach())
    np.testing.assert_array_equal(data["head"], column.outputs["head"].detach())
    np.testing.assert_allclose(data.depth, [0.1, 0.3, 0.5, 0.7, 0.9])
    assert str(data.time.values[1]) == "2000-01-01T06:00:00.000000000"
    np.testing.assert_array_equal(data.interval_bounds[:, 1], data.interval)
    assert data.drainage.attrs["cell_methods"] == "interval: sum"
    assert data.K_s.attrs["standard_name"] == "soil_hydraulic_conductivity_at_saturation"
    assert data.theta.attrs["standard_name"] == "volume_fraction_of_condensed_water_in_soil"
    for name in data.data_vars:
        if name not in ("status", "interval_bounds"):
            assert {"units", "long_name"} <= {*data[name].attrs}, name
    assert data.status.values.tolist() == [s.value for s in column.status]


@pytest.mark.parametrize(("unit", "seconds"), [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)])
def test_times_of_any_unit_become_dates(unit, seconds):
    model = dg.Model(
        name="M",
        graph=dg.single_cell(),
        states=(dg.State("y", "1", "y", default=1.0),),
        time_unit=unit,
        source=lambda cell, forcing: {"y": -cell.y},
    )
    data = dg.io.solution_dataset(dg.solve(model, times=[0.0, 1.5], engine="sundials"), start="2000-02-28")
    assert data.time.values[1] == np.datetime64("2000-02-28", "ms") + np.timedelta64(1500 * seconds, "ms")


@pytest.mark.parametrize("start", [None, "2000-02-28", "2000-02-28T12:00"])
@pytest.mark.parametrize("which", ["column", "basin"])
def test_what_is_written_comes_back_the_same(which, start, request, tmp_path):
    solution = request.getfixturevalue(which)
    data = dg.io.solution_dataset(solution, start=start)
    attributes = dg.io.provenance(solution, rtol=1e-6, atol=1e-8, seed=np.int64(3), configuration="a = 1\nb = 2\n")
    path = dg.io.write_dataset(tmp_path / "result.nc", data, attributes)
    read = dg.io.read_dataset(path)
    xr.testing.assert_equal(read, data)
    for name in data.variables:
        expected = {**data[name].attrs, "long_name": data[name].attrs.get("long_name", name)}
        if name != "interval_bounds":
            assert read[name].attrs == expected, name
            assert read[name].dtype.kind == data[name].dtype.kind or read[name].dtype.kind in "OU"
    assert read.attrs == {**data.attrs, **attributes, "Conventions": "CF-1.10"}
    # A second round changes nothing, but the history tells of it.
    again = dg.io.write_dataset(tmp_path / "again.nc", read, {"history": "later: copied"})
    second = dg.io.read_dataset(again)
    xr.testing.assert_equal(second, data)
    assert second.attrs["history"].splitlines() == ["later: copied", attributes["history"]]
    assert sorted(os.listdir(tmp_path)) == ["again.nc", "result.nc"]


def test_a_single_basin_has_no_dimension_of_cells(basin):
    data = dg.io.solution_dataset(basin)
    assert data.snow_storage.dims == ("time",)
    assert data.runoff.dims == ("interval",)
    assert data.time.attrs["units"] == "d"
    assert data.runoff.attrs["units"] == "mm"
    assert data.status.item() == basin.status[0].value
    with pytest.raises(DataError, match="members are named, but the solution has no batch"):
        dg.io.solution_dataset(basin, members=["a"])


@pytest.mark.parametrize("ids", [["a", "b", "c"], [12, 7, 30]])
def test_cells_of_a_network_keep_their_names(ids, tmp_path):
    model = dg.Model(
        name="Reaches",
        graph=dg.network({"id": ids, "downstream": [ids[2], ids[2], None], "x": [1.0, 2.0, 3.0]}),
        states=(dg.State("storage", "m3", "water in the reach", default=1.0),),
        flux=lambda left, right, face: {"storage": left.storage},
    )
    sol = dg.solve(model, times=[0.0, 1.0], engine="sundials")
    path = dg.io.write_dataset(tmp_path / "reaches.nc", dg.io.solution_dataset(sol), dg.io.provenance(sol))
    read = dg.io.read_dataset(path)
    for i, label in enumerate(ids):
        np.testing.assert_array_equal(read.storage.sel(cell=label), sol.states["storage"][:, i])


def test_members_must_fit(column):
    with pytest.raises(DataError, match="3 members are named, but the solution has 2"):
        dg.io.solution_dataset(column, members=["a", "b", "c"])


def test_provenance_says_where_a_result_came_from(column):
    found = dg.io.provenance(column, rtol=1e-6, atol=1e-8, seed=7, configuration="text", tables={"a": [1, None]})
    assert (found["engine"], found["solver"]) == ("sundials", "cvodes-bdf")
    assert (found["rtol"], found["atol"], found["seed"], found["configuration"]) == (1e-6, 1e-8, 7, "text")
    assert found["pydiffgeo"] == dg.__version__
    for package in ("numpy", "torch", "casadi"):
        assert f"{package} {__import__(package).__version__.split('+')[0]}" in found["packages"]
    time = np.datetime64(found["history"].split("+00:00: ")[0])
    assert abs(np.datetime64("now") - time) < np.timedelta64(60, "s")
    assert found["tables"] == '{"a": [1, null]}'
    assert {"seed", "engine", "rtol"}.isdisjoint(dg.io.provenance())
    # Tolerances are those that were solved with, not those that somebody remembers.
    own = dg.io.provenance(column)
    assert (own["rtol"], own["atol"]) == (column.stats["rtol"], column.stats["atol"])


def test_numbers_without_units_are_not_written(basin, tmp_path):
    data = dg.io.solution_dataset(basin)
    del data.runoff.attrs["units"]
    with pytest.raises(UnitError, match=r"result.nc: runoff has no attribute 'units'") as caught:
        dg.io.write_dataset(tmp_path / "result.nc", data)
    assert caught.value.variable == "runoff"
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_result(basin, tmp_path, monkeypatch):
    data = dg.io.solution_dataset(basin)
    path = dg.io.write_dataset(tmp_path / "result.nc", data)
    before = path.read_bytes()

    def fail(self, target, **_):
        assert Path(target).parent == tmp_path
        Path(target).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(DataError, match=r"result.nc: cannot be written .disk full"):
        dg.io.write_dataset(path, data)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["result.nc"]


def test_writing_without_a_library_says_what_to_install(basin, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"result.nc: writing NetCDF needs .*: pip install 'pydiffgeo\[io\]'"):
        dg.io.write_dataset(tmp_path / "result.nc", dg.io.solution_dataset(basin))


def test_from_a_folder_to_a_result(shared_data, tmp_path):
    """A real basin: read, solved with gradients, written, and compared with what was observed."""
    data = dg.hydrology.open_camels(shared_data / "camels_us_layout", basins=["01022500"])
    one = dg.hydrology.basin_data(data, "01022500", end="2000-03-31")
    S_max = torch.tensor(500.0, dtype=torch.float64, requires_grad=True)
    forcing = {name: getattr(one, name).copy() for name in ("precipitation", "temperature", "daylength")}
    sol = dg.solve(
        dg.models.ExpHydro(), {"S_max": S_max}, forcing=forcing, times=range(len(one) + 1), engine="sundials"
    )
    sol.fluxes["runoff"].sum().backward()
    assert torch.isfinite(S_max.grad)
    path = dg.io.write_dataset(
        tmp_path / "r.nc", dg.io.solution_dataset(sol, start=one.dates[0]), dg.io.provenance(sol)
    )
    read = dg.io.read_dataset(path)
    # Rain goes through the solve in the units it was read in.
    rain = data.precipitation.sel(basin="01022500")[: len(one)].values
    np.testing.assert_allclose(read.precipitation, rain, atol=1e-6)
    assert str(read.interval.values[0])[:10] == "2000-01-02"


def test_data_of_basins_go_out_and_in(tmp_path):
    """What `open_cf` reads can be written, and reads the same again."""
    days = np.arange("2000-01-01", "2000-01-05", dtype="datetime64[D]").astype("datetime64[ns]")
    data = xr.Dataset(
        {"prcp": (("basin", "time"), np.array([[1.0, np.nan, 3.0, 4.0]]), {"units": "mm/d"}), "name": ("basin", ["x"])},
        {"basin": ["1"], "time": days},
    )
    data.to_netcdf(tmp_path / "in.nc", engine="h5netcdf")
    first = dg.hydrology.open_cf(tmp_path / "in.nc")
    second = dg.hydrology.open_cf(dg.io.write_dataset(tmp_path / "out.nc", first))
    xr.testing.assert_equal(first, second)
    assert second.precipitation.attrs == first.precipitation.attrs


def test_standard_names_are_those_of_what_a_variable_is():
    """Not of its name: potential temperature is called theta as well as water content."""
    air = dg.Model(
        name="Air",
        graph=dg.column(100.0, 3),
        states=(dg.State("theta", "1", "share of the air", default=0.3),),
        fluxes=(dg.IntegratedFlux("precipitation", "kg m-2", "rain", 0),),
        source=lambda cell, forcing: {"theta": -0.1 * cell.theta, "precipitation": 0 * cell.theta + 1},
    )
    data = dg.io.solution_dataset(dg.solve(air, {}, times=[0, 1], engine="sundials"))
    assert not [k for k in data.variables if data[k].attrs.get("standard_name") not in (None, "time")]
    # Nor does anybody know in what such a model measures its depth.
    assert "units" not in data.depth.attrs
    assert data.depth.attrs["comment"].startswith("unit not stated")


@pytest.mark.parametrize(
    ("head", "said", "unit"), [("cm", None, "cm"), ("m", None, "m"), ("hPa", None, None), ("hPa", "cm", "cm")]
)
def test_the_depth_is_in_the_unit_of_the_head(tmp_path, head, said, unit):
    column = dg.Model(
        name="Column",
        graph=dg.column(100.0, 4),
        states=(dg.State("theta", "1", "water content", default=0.3),),
        outputs=(dg.Output("head", head, "pressure head"),),
        output=lambda cell: {"head": -1 / cell.theta},
        source=lambda cell, forcing: {"theta": -0.1 * cell.theta},
    )
    data = dg.io.solution_dataset(dg.solve(column, {}, times=[0, 1], engine="sundials"), length_unit=said)
    assert data.depth.attrs.get("units") == unit
    read = dg.io.read_dataset(dg.io.write_dataset(tmp_path / "r.nc", data))
    assert read.depth.attrs == data.depth.attrs


def written(path: Path, values: np.ndarray) -> Path:
    days = Variable(("time",), DAYS[: len(values)], None, "day")
    return write_netcdf(path, {"q": Variable(("time",), values, "mm d-1", "runoff")}, {"time": days}, {"seed": 3})


def test_what_is_written_can_be_read(tmp_path):
    path = written(tmp_path / "result.nc", np.array([1.0, np.nan, 3.0]))
    with xr.open_dataset(path) as read:
        np.testing.assert_array_equal(read.q.values, [1.0, np.nan, 3.0])
        assert read.q.attrs == {"units": "mm d-1", "long_name": "runoff"}
        assert read.attrs == {"Conventions": "CF-1.10", "seed": 3}
        np.testing.assert_array_equal(read.time.values.astype("datetime64[D]"), DAYS[:3])
    assert os.listdir(tmp_path) == ["result.nc"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = written(tmp_path / "result.nc", np.array([1.0, 2.0]))
    before = path.read_bytes()

    def fail(self, target, **_):
        Path(target).write_bytes(b"half a file")
        raise OSError("no space left")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(DataError, match=r"result.nc: cannot be written .no space left"):
        written(path, np.array([7.0, 8.0]))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["result.nc"]


def test_writing_into_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        written(tmp_path / "absent" / "result.nc", np.array([1.0, 2.0]))
