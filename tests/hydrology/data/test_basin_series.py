"""Readers and writer: values against the raw files, units, and one error per thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pydiffgeo.errors import DataError
from pydiffgeo.hydrology import basin_data, open_cf
from pydiffgeo.hydrology.basin import QUANTITIES, BasinData, daylength
from pydiffgeo.io.units import convert

DAYS = np.arange("2000-01-01", "2000-03-01", dtype="datetime64[D]")


def dataset() -> xr.Dataset:
    """Two basins, sixty days; the second has runoff missing on the first three."""
    n = len(DAYS)
    random = np.random.default_rng(0)
    runoff = random.gamma(1.0, 2.0, (2, n))
    runoff[1, :3] = np.nan
    series = {
        "prcp": (random.gamma(1.0, 3.0, (2, n)), "mm d-1"),
        "tmean": (random.normal(5.0, 6.0, (2, n)), "degC"),
        "dayl": (np.full((2, n), 9.5), "h"),
        "q_obs": (runoff, "mm d-1"),
    }
    return xr.Dataset(
        {k: (("basin", "time"), v, {"units": unit}) for k, (v, unit) in series.items()},
        {"basin": ["01000001", "01000002"], "time": DAYS.astype("datetime64[ns]")},
    )


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[xr.Dataset], Path]:
    def store(data: xr.Dataset) -> Path:
        path = tmp_path / "basins.nc"
        data.to_netcdf(path, engine="h5netcdf")
        return path

    return store


# --- NetCDF --------------------------------------------------------------------------------------


def read_one(
    path: Path, basin: str, *, latitude: Any = None, start: Any = None, end: Any = None, **how: Any
) -> BasinData:
    data = open_cf(path, basins=[basin], quantities=QUANTITIES, **how)
    return basin_data(data, basin, latitude=latitude, start=start, end=end)


def test_netcdf_gives_the_values_of_the_basin(stored):
    data = dataset()
    path = stored(data)
    read = read_one(path, "01000002")
    assert read.basin == "01000002"
    assert read.source == str(path)
    assert len(read) == 60
    np.testing.assert_array_equal(read.dates, DAYS)
    for name, variable in (
        ("precipitation", "prcp"),
        ("temperature", "tmean"),
        ("daylength", "dayl"),
        ("runoff", "q_obs"),
    ):
        np.testing.assert_array_equal(getattr(read, name), data[variable].values[1])
    assert np.isnan(read.runoff[:3]).all()
    with pytest.raises(ValueError, match="read-only"):
        read.precipitation[0] = 1.0


@pytest.mark.parametrize(
    ("variable", "quantity", "unit", "stored_as"),
    [
        ("dayl", "daylength", "s", lambda v: v * 3600),
        ("dayl", "daylength", "seconds", lambda v: v * 3600),
        ("tmean", "temperature", "K", lambda v: v + 273.15),
        ("prcp", "precipitation", "m/day", lambda v: v / 1000),
        ("prcp", "precipitation", "kg m-2 s-1", lambda v: v / 86400),
        ("q_obs", "runoff", "mm/hour", lambda v: v / 24),
    ],
)
def test_units_are_converted(stored, variable, quantity, unit, stored_as):
    data = dataset()
    expected = data[variable].values[0].copy()
    data[variable] = stored_as(data[variable])
    data[variable].attrs["units"] = unit
    np.testing.assert_allclose(getattr(read_one(stored(data), "01000001"), quantity), expected, rtol=1e-12, atol=1e-12)


def test_a_snow_pack_in_metres_of_water_is_read_in_millimetres(stored):
    data = dataset()
    data["swe"] = (("basin", "time"), np.full((2, len(DAYS)), 0.25), {"units": "m"})
    read = open_cf(stored(data), quantities=["snow_water_equivalent"])
    np.testing.assert_allclose(read.snow_water_equivalent, 250.0, rtol=1e-12)


@pytest.mark.parametrize("unit", ["mm d-1", "mm/d", "mm/day", "mm day-1", "mm d^-1", "mm.day**-1", " mm/day "])
def test_spellings_of_one_unit(unit):
    assert convert(np.array([2.0]), unit, "mm d-1", file="file", variable="q") == 2.0


@pytest.mark.parametrize("unit", ["°C", "deg C", "degrees_Celsius", "celsius", "C"])
def test_spellings_of_celsius(unit):
    assert convert(np.array([2.0]), unit, "degC", file="file", variable="t") == 2.0


def test_names_dimensions_and_averages_can_be_chosen(stored):
    data = dataset().rename(q_obs="streamflow", basin="gauge", time="date")
    data["tmin"], data["tmax"] = data.tmean - 4, data.tmean + 4
    for name in ("tmin", "tmax"):
        data[name].attrs["units"] = "degC"
    path = stored(data.drop_vars("tmean").transpose("date", "gauge"))
    read = read_one(
        path,
        "01000001",
        variables={"temperature": ["tmin", "tmax"], "runoff": "streamflow"},
        dimensions=("gauge", "date"),
    )
    np.testing.assert_allclose(read.temperature, data.tmean.values[0], atol=1e-12)


def test_a_file_of_one_basin_needs_no_basin_dimension(stored):
    data = dataset().isel(basin=0, drop=True).drop_vars("dayl")
    for name in data:
        del data[name].attrs["units"]
    path = stored(data)
    units = {"precipitation": "mm d-1", "temperature": "degC", "runoff": "mm d-1"}
    read = read_one(path, "some_1", units=units, latitude=45.0)
    assert read.basin == "some_1"
    np.testing.assert_array_equal(read.daylength, daylength(45.0, DAYS))


def test_only_the_chosen_days_are_read_and_checked(stored):
    data = dataset()
    data.prcp[0, 0] = np.nan
    read = read_one(stored(data), "01000001", start="2000-01-02", end="2000-01-31")
    assert (str(read.dates[0]), str(read.dates[-1]), len(read)) == ("2000-01-02", "2000-01-31", 30)
    part = read.between("2000-01-05", "2000-01-06")
    np.testing.assert_array_equal(part.precipitation, data.prcp.values[0, 4:6])
    with pytest.raises(DataError, match="does not cover 2000-01-01 to 2000-01-06"):
        read.between("2000-01-01", "2000-01-06")
    with pytest.raises(DataError, match="none within 1990-01-01"):
        read_one(stored(data), "01000001", start="1990-01-01", end="1990-12-31")


def broken(change: Callable[[xr.Dataset], xr.Dataset | None]) -> xr.Dataset:
    data = dataset()
    return change(data) or data


def put(variable: str, value: float) -> Callable[[xr.Dataset], None]:
    def change(data: xr.Dataset) -> None:
        data[variable][0, 7] = value

    return change


def unit(variable: str, text: str) -> Callable[[xr.Dataset], None]:
    return lambda data: data[variable].attrs.update(units=text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("prcp", np.nan), r"basins.nc: basin 01000001: precipitation is NaN on 2000-01-08 \(1 such days\)"),
        (put("tmean", np.nan), "temperature is NaN on 2000-01-08"),
        (put("dayl", 25.0), r"daylength is 25 on 2000-01-08 .* \[0, 24\] h"),
        (put("prcp", -0.5), "precipitation is -0.5 on 2000-01-08"),
        (put("q_obs", -999.0), "runoff is -999 on 2000-01-08"),
        (put("q_obs", np.inf), "runoff is inf on 2000-01-08"),
        (unit("prcp", "inches"), "prcp has the unit 'inches', which cannot be converted to 'mm d-1'"),
        (unit("dayl", "degC"), "dayl has the unit 'degC', which cannot be converted to 'h'"),
        (lambda d: d.prcp.attrs.clear(), "prcp has no attribute 'units'; state its unit"),
        (
            lambda d: d.rename(q_obs="flow"),
            "basins.nc: no runoff; say which variable holds it: variables = {runoff: ...}; there are daylength, flow, ",
        ),
        (lambda d: d.drop_vars("dayl"), "no daylength; say which variable holds it, or a latitude to compute it from"),
        (lambda d: d.isel(time=[0, 1, 3, 4]), r"precipitation is NaN on 2000-01-03 \(1 such days\)"),
        (lambda d: d.isel(time=[0, 1, 1, 2]), "2000-01-02 appears twice"),
        (lambda d: d.isel(time=[1, 0]), "2000-01-01 follows 2000-01-02: the times are not sorted"),
        (lambda d: d.isel(basin=[0, 0]), "basin 01000001 appears 2 times"),
        (lambda d: d.drop_vars("basin"), "'basin' has no coordinate"),
        (lambda d: d.rename(time="day"), "no time axis 'time'"),
        (lambda d: d.assign_coords(time=np.arange(60)), "does not hold dates"),
        (lambda d: d.expand_dims(height=[2.0]), "they must be basin and time"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(stored, change, message):
    with pytest.raises(DataError, match=message):
        read_one(stored(broken(change)), "01000001")


def test_an_unknown_basin_lists_close_ones(stored):
    with pytest.raises(DataError, match=r"basins.nc: no basin '0100001' among 2; close ones are 01000001"):
        read_one(stored(dataset()), "0100001")


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match=r"absent.nc: cannot be opened"):
        read_one(tmp_path / "absent.nc", "1")
    (tmp_path / "text.nc").write_text("not NetCDF")
    with pytest.raises(DataError, match=r"text.nc: cannot be opened"):
        read_one(tmp_path / "text.nc", "1")
    with pytest.raises(DataError, match=r"quantities must be some of precipitation, .*, got \['rain'\]"):
        open_cf(tmp_path / "text.nc", quantities=["rain"])


def test_netcdf_of_the_shared_data(shared_data):
    read = read_one(shared_data / "camels_us_60.nc", "12010000")
    assert len(read) == 10957
    assert (str(read.dates[0]), str(read.dates[-1])) == ("1980-10-01", "2010-09-30")
    # The mean that the attributes of the basin state.
    assert read.precipitation.mean() == pytest.approx(7.93, abs=0.2)
    with pytest.raises(DataError, match="no basin '12010001' among 60; close ones are 12010000"):
        read_one(shared_data / "camels_us_60.nc", "12010001")


# --- CAMELS-US text files ------------------------------------------------------------------------


# --- the writer ----------------------------------------------------------------------------------
