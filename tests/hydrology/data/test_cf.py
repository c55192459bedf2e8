"""Any CF file as a dataset: variables found, units converted, calendars, gaps, and each thing that can be wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import DataError, MissingPackageError, TimeAxisError, UnitError
from pydiffgeo.io import units

DAYS = np.arange("2001-01-01", "2001-01-11", dtype="datetime64[D]").astype("datetime64[ns]")
BASINS = ["001", "002"]


def dataset() -> xr.Dataset:
    """Two basins, ten days, under names that say nothing; the standard names and methods do."""
    n = np.arange(10.0)
    air = {"standard_name": "air_temperature"}
    data = xr.Dataset(
        {
            "v1": (("basin", "time"), np.stack([n, 2 * n]) / 86400, {"units": "kg m-2 s-1"}),
            "v2": (("basin", "time"), np.stack([n, n]) + 273.15, {"units": "K", **air}),
            "v3": (("basin", "time"), np.stack([n, n]) + 5, {"units": "degC", **air, "cell_methods": "time: maximum"}),
            "v4": (("basin", "time"), np.full((2, 10), 8.64), {"units": "m3 s-1"}),
            "area": ("basin", [8.64e8, 4.32e8], {"units": "m2"}),
            "note": ("basin", ["x", "y"]),
        },
        {"basin": BASINS, "time": DAYS},
    )
    data.v1.attrs["standard_name"] = "precipitation_flux"
    data.v4.attrs["standard_name"] = "water_volume_transport_in_river_channel"
    return data


def test_variables_are_found_by_standard_name_and_converted(stored):
    data = dg.hydrology.open_cf(stored(dataset()))
    assert {*data.data_vars} == {"precipitation", "temperature", "temperature_max", "runoff", "area", "note"}
    np.testing.assert_allclose(data.precipitation[1], 2 * np.arange(10), atol=1e-12)
    np.testing.assert_allclose(data.temperature[0], np.arange(10), atol=1e-12)
    np.testing.assert_array_equal(data.temperature_max[0], np.arange(10) + 5)
    # 8.64 m3/s on 864 km2 is 0.864 mm/d.
    np.testing.assert_allclose(data.runoff[:, 0], [0.864, 1.728])
    assert data.runoff.dims == ("basin", "time")
    assert data.attrs["source"].endswith("any.nc")
    assert data.basin.attrs["cf_role"] == "timeseries_id"


def test_what_the_user_says_goes_first(stored):
    data = dataset().rename(basin="gauge", time="date", v4="q").transpose("date", "gauge")
    data["soil"] = (("date", "gauge"), np.ones((10, 2)), {"units": "m3 m-3"})
    data.q.attrs = {}
    path = stored(data)
    chosen = {"runoff": "q", "temperature": ["v2", "v3"], "moisture": "soil"}
    read = dg.hydrology.open_cf(
        path,
        basins=["002"],
        variables=chosen,
        units={"q": "cfs"},
        dimensions=("gauge", "date"),
        area={"002": 100.0},
        missing=[5.0],
    )
    assert read.basin.values.tolist() == ["002"]
    np.testing.assert_allclose(read.runoff[0, 1], 8.64 * 0.3048**3 * 86400 / 100e6 * 1000)
    np.testing.assert_allclose(read.moisture[0], 1.0)
    assert read.moisture.attrs["units"] == "m3 m-3"
    # The mean of mean and maximum, converted first; 5 degC in the maximum was said to be missing.
    assert np.isnan(read.temperature.values[0, 0])
    np.testing.assert_allclose(read.temperature.values[0, 1:], np.arange(1, 10) + 2.5)


def test_a_variable_is_taken_for_one_quantity_only(stored):
    data = dg.hydrology.open_cf(stored(dataset().drop_vars("v3")), variables={"temperature_min": "v2"})
    assert "temperature_min" in data
    assert "temperature" not in data


def test_the_unit_of_the_area_can_be_said(stored):
    data = dataset()
    del data.area.attrs["units"]
    path = stored(data)
    with pytest.raises(
        UnitError, match=r"any.nc: v4 is a volume .*area has no attribute 'units'.*units={'area': 'km2'}"
    ):
        dg.hydrology.open_cf(path)
    said = dg.hydrology.open_cf(path, units={"area": "m2"})
    assert said.area.attrs["units"] == "m2"
    np.testing.assert_array_equal(said.area, [8.64e8, 4.32e8])
    xr.testing.assert_equal(said.runoff, dg.hydrology.open_cf(stored(dataset())).runoff)
    wrong = stored(dataset().assign(area=dataset().area.assign_attrs(units="km2")))
    xr.testing.assert_equal(dg.hydrology.open_cf(wrong, units={"area": "m2"}).runoff, said.runoff)
    with pytest.raises(UnitError, match="area has the unit 'bananas', which is not known"):
        dg.hydrology.open_cf(path, units={"area": "bananas"})


def test_what_pydiffgeo_has_no_name_for_keeps_its_unit(stored):
    data = dataset()
    for name, unit, value in (("wind", None, 2.0), ("gust", "km h-1", 36.0)):
        data[name] = (("basin", "time"), np.full((2, 10), value), {} if unit is None else {"units": unit})
    path = stored(data)
    read = dg.hydrology.open_cf(path, variables={"speed": ["wind", "gust"]}, units={"wind": "m s-1"})
    assert read.speed.attrs["units"] == "m s-1"
    np.testing.assert_allclose(read.speed, 6.0)
    with pytest.raises(UnitError, match=r"any.nc: wind has no attribute 'units'"):
        dg.hydrology.open_cf(path, variables={"speed": "wind"})


def test_fill_values_and_packed_numbers_become_what_they_mean(stored):
    data = dataset()
    data["v3"][0, 3] = np.nan
    path = stored(data, encoding={"v3": {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -999}})
    with xr.open_dataset(path, decode_cf=False) as raw:
        assert raw.v3.values[0, 3] == -999
    read = dg.hydrology.open_cf(path).temperature_max[0].values
    assert np.isnan(read[3])
    np.testing.assert_allclose(np.delete(read, 3), np.delete(np.arange(10) + 5, 3), atol=1e-12)


def test_a_single_basin_and_marked_labels(stored):
    one = dataset().isel(basin=0, drop=True)
    assert dg.hydrology.open_cf(stored(one)).basin.values.tolist() == ["any"]
    assert dg.hydrology.open_cf(stored(one), basins=["me"]).runoff.shape == (1, 10)
    with pytest.raises(DataError, match=r"any.nc: has no dimension 'basin', so it holds one basin, not 2"):
        dg.hydrology.open_cf(stored(one), basins=BASINS)
    marked = dataset().drop_vars("basin").rename(basin="station")
    marked["name"] = ("station", BASINS, {"cf_role": "timeseries_id"})
    assert dg.hydrology.open_cf(stored(marked)).basin.values.tolist() == BASINS


def test_labels_and_coordinates_of_the_file_are_kept(stored):
    data = dataset().assign_coords(lat=("basin", [44.0, 45.0], {"units": "degrees_north"}))
    read = dg.hydrology.open_cf(stored(data), basins=["002", "001"])
    assert "lat" in read.coords
    np.testing.assert_array_equal(read.lat, [45.0, 44.0])
    path = stored(data.isel(basin=1))
    assert dg.hydrology.open_cf(path).basin.values.tolist() == ["002"]
    with pytest.raises(DataError, match="no basin '001' among 1; close ones are 002"):
        dg.hydrology.open_cf(path, basins=["001"])


def test_zarr_is_the_same(tmp_path):
    pytest.importorskip("zarr")
    path = tmp_path / "any.zarr"
    dataset().drop_vars("note").to_zarr(path)
    read = dg.hydrology.open_cf(path)
    np.testing.assert_allclose(read.runoff[:, 0], [0.864, 1.728])
    # Versions 3 and 2 of the format.
    for name in ("zarr.json", ".zmetadata"):
        (path / name).write_text("{")
    with pytest.raises(DataError, match=r"any.zarr: cannot be opened as Zarr"):
        dg.hydrology.open_cf(path)
    with pytest.raises(DataError, match=r"absent.zarr: cannot be opened as Zarr"):
        dg.hydrology.open_cf(tmp_path / "absent.zarr")


def attribute(variable: str, **given: str) -> Callable[[xr.Dataset], None]:
    def change(data: xr.Dataset) -> None:
        data[variable].attrs.update(given)

    return change


def without_units(data: xr.Dataset) -> None:
    del data.v1.attrs["units"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (without_units, UnitError, "any.nc: v1 has no attribute 'units'; state its unit"),
        (attribute("v1", units=" "), UnitError, "any.nc: v1 has no attribute 'units'"),
        (attribute("v1", units="bananas"), UnitError, "any.nc: v1 has the unit 'bananas', which is not known"),
        (attribute("v1", units="mm d-1)"), UnitError, "v1 has the unit 'mm d-1\\)', which is not known"),
        (attribute("v1", units="mm"), UnitError, "v1 has the unit 'mm', which cannot be converted to 'mm d-1'"),
        (attribute("v2", units="kg m-2"), UnitError, "v2 has the unit 'kg m-2', which cannot be converted to 'degC'"),
        (attribute("area", units="m"), UnitError, "area has the unit 'm', which cannot be converted to 'km2'"),
        (attribute("v3", cell_methods=""), DataError, "temperature may be any of v2, v3, .* choose one"),
        (lambda d: d.drop_vars("area"), DataError, "any.nc: v4 is a volume per time.* no argument area"),
        (
            lambda d: d.assign(area=d.area.copy(data=d.area * [1, np.nan])),
            DataError,
            "basin 002 has no area, which v4 needs .*got nan",
        ),
        (
            lambda d: d.assign(area=d.area.copy(data=d.area * [1, 0])),
            DataError,
            "basin 002 has no area, which v4 needs .*got 0",
        ),
        (lambda d: d[["area"]], DataError, "any.nc: .*"),
        (
            lambda d: d.assign(v=(("basin", "time"), d.v1.values))[["note", "v"]],
            DataError,
            "none of its variables is known",
        ),
        (lambda d: d.isel(time=[0, 1, 1]), TimeAxisError, "any.nc: 2001-01-02 appears twice"),
        (lambda d: d.isel(time=[0, 2, 1]), TimeAxisError, "2001-01-02 follows 2001-01-03: the times are not sorted"),
        (
            lambda d: d.assign_coords(time=DAYS + np.arange(10) ** 2 * np.timedelta64(7, "h")),
            TimeAxisError,
            "is not regular",
        ),
        (lambda d: d.assign_coords(time=np.arange(10)), TimeAxisError, "'time' does not hold dates, but int64"),
        (lambda d: d.rename(time="day"), TimeAxisError, "any.nc: no time axis 'time'; dimensions are"),
        (lambda d: d.isel(basin=[0, 0]), DataError, "basin 001 appears 2 times on 'basin'"),
        (lambda d: d.drop_vars("basin"), DataError, "'basin' has no coordinate that names the basins"),
        (lambda d: d.assign(v1=d.v1.isel(time=0, drop=True)), DataError, "v1 has the dimensions .'basin',.; they must"),
    ],
)
def test_what_is_wrong_is_named(stored, change, error, message):
    data = dataset()
    changed = change(data)
    with pytest.raises(error, match=message):
        dg.hydrology.open_cf(stored(data if changed is None else changed))


def test_errors_carry_the_culprit(stored):
    data = dataset()
    data.v1.attrs["units"] = "bananas"
    path = stored(data)
    with pytest.raises(UnitError) as caught:
        dg.hydrology.open_cf(path)
    assert (caught.value.file, caught.value.variable, caught.value.unit) == (str(path), "v1", "bananas")


def test_unknown_basins_and_files_that_are_cut_off(stored, tmp_path):
    path = stored(dataset())
    with pytest.raises(DataError, match=r"any.nc: no basin '003' among 2"):
        dg.hydrology.open_cf(path, basins=["003"])
    with pytest.raises(DataError, match=r"any.nc: no variable 'q' for runoff"):
        dg.hydrology.open_cf(path, variables={"runoff": "q"})
    whole = path.read_bytes()
    for part in (0, 100, len(whole) // 2, len(whole) - 200):
        path.write_bytes(whole[:part])
        with pytest.raises(DataError, match=r"any.nc: cannot be opened as NetCDF"):
            dg.hydrology.open_cf(path)
    with pytest.raises(DataError, match=r"absent.nc: cannot be opened"):
        dg.hydrology.open_cf(tmp_path / "absent.nc")


def in_calendar(calendar: str, first: str, days: int) -> xr.Dataset:
    data = xr.Dataset({"prcp": ("time", np.arange(float(days)), {"units": "mm/day"})})
    return data.assign_coords(time=("time", np.arange(days), {"units": f"days since {first}", "calendar": calendar}))


def test_other_calendars_are_refused_or_converted(stored):
    path = stored(in_calendar("noleap", "2000-02-27", 4))
    with pytest.raises(
        TimeAxisError, match=r"any.nc: 'time' is in the calendar 'noleap'.*calendar=\"convert\""
    ) as caught:
        dg.hydrology.open_cf(path)
    assert caught.value.calendar == "noleap"
    read = dg.hydrology.open_cf(path, calendar="convert")
    # 29 February is a gap.
    np.testing.assert_array_equal(read.precipitation[0], [0, 1, np.nan, 2, 3])
    assert str(read.time.values[3])[:10] == "2000-03-01"
    with pytest.raises(TimeAxisError, match="1 times are missing"):
        dg.hydrology.open_cf(path, calendar="convert", gaps="refuse")

    path = stored(in_calendar("360_day", "2001-01-01", 360))
    with pytest.raises(TimeAxisError, match="the calendar '360_day'"):
        dg.hydrology.open_cf(path)
    read = dg.hydrology.open_cf(path, calendar="convert").precipitation[0]
    assert np.isnan(read).sum() == read.sizes["time"] - 360
    np.testing.assert_array_equal(read.values[~np.isnan(read.values)], np.arange(360.0))
    assert str(read.time.values[0])[:10] == "2001-01-01"

    half_days = in_calendar("360_day", "2001-01-01", 6)
    half_days.time.attrs["units"] = "hours since 2001-01-01"
    with pytest.raises(TimeAxisError, match="steps of less than a day cannot be converted"):
        dg.hydrology.open_cf(stored(half_days), calendar="convert")

    for calendar in ("julian", "bananas"):
        with pytest.raises(TimeAxisError, match=f"the calendar '{calendar}', not the standard one$"):
            dg.hydrology.open_cf(stored(in_calendar(calendar, "2001-01-01", 3)), calendar="convert")
    with pytest.raises(DataError, match="calendar must be one of refuse, convert, got 'guess'"):
        dg.hydrology.open_cf(path, calendar="guess")


def test_gaps_are_filled_or_refused(stored):
    path = stored(dataset().isel(time=[0, 1, 4, 5]))
    read = dg.hydrology.open_cf(path)
    np.testing.assert_array_equal(read.time, DAYS[:6])
    np.testing.assert_array_equal(np.isnan(read.precipitation[0]), [0, 0, 1, 1, 0, 0])
    with pytest.raises(TimeAxisError, match='2001-01-05 follows 2001-01-02: 2 times are missing; gaps="fill"'):
        dg.hydrology.open_cf(path, gaps="refuse")


def test_a_missing_package_says_how_to_install_it(stored, monkeypatch, tmp_path):
    path, find = stored(dataset()), importlib.util.find_spec
    for package, read in (
        ("pint", lambda: dg.hydrology.open_cf(path)),
        ("zarr", lambda: dg.hydrology.open_cf(tmp_path / "a.zarr")),
        ("cftime", lambda: dg.hydrology.open_cf(stored(in_calendar("noleap", "2000-01-01", 3)), calendar="convert")),
    ):
        units._registry.cache_clear()
        units._parse.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(units, "find_spec", lambda name, gone=package: None if name == gone else find(name))
            with pytest.raises(MissingPackageError, match=rf"needs {package}: pip install 'pydiffgeo\[io\]'"):
                read()


# --- what names mean -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["S5", "U5"])  # bytes are stored as arrays of characters
def test_names_of_basins_without_what_they_are_padded_with(stored, kind):
    names = np.array(["A1   ", "B22 \0", "  C3 "])
    data = xr.Dataset(
        {"prcp": (("station", "time"), np.arange(3.0)[:, None] + np.zeros((3, 10)), {"units": "mm d-1"})},
        {"time": DAYS},
    )
    data["name"] = ("station", names.astype(kind), {"cf_role": "timeseries_id"})
    path = stored(data)
    assert dg.hydrology.open_cf(path).basin.values.tolist() == ["A1", "B22", "C3"]
    assert dg.hydrology.open_cf(path, basins=["B22"]).precipitation.values[0, 0] == 1
    with pytest.raises(DataError, match="no basin 'A2'"):
        dg.hydrology.open_cf(path, basins=["A2"])
    # A dataset that another reader made.
    bytes_ = dg.hydrology.open_cf(path).assign_coords(basin=np.array([b"A1  ", b"B22", b"C3"]))
    with pytest.raises(DataError, match="no temperature"):
        dg.hydrology.basin_data(bytes_, "A1", latitude=45.0)
    twice = data.isel(station=[0, 0])
    with pytest.raises(DataError, match="basin A1 appears 2 times"):
        dg.hydrology.open_cf(stored(twice))
