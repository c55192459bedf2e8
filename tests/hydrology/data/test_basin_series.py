"""Readers and writer: values against the raw files, units, and one error per thing that can be wrong."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pydiffgeo.errors import DataError
from pydiffgeo.hydrology import basin_data, open_camels, open_cf
from pydiffgeo.hydrology.basin import QUANTITIES, BasinData, daylength
from pydiffgeo.io import Variable, write_netcdf
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


def read_camels(root: Path, basin: str, **how: Any) -> BasinData:
    return basin_data(open_camels(root, basins=[basin], **how), basin)


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


def test_daylength_agrees_with_the_shared_data(shared_data):
    read = read_one(shared_data / "camels_us_60.nc", "12010000")
    difference = daylength(46.37, read.dates) - read.daylength
    assert abs(difference.mean()) < 0.1
    assert np.abs(difference).max() < 0.26


def test_daylength_at_the_equator_and_the_poles():
    assert daylength(0.0, DAYS) == pytest.approx(12.0, abs=1e-9)
    assert (daylength(89.0, DAYS[:30]) == 0).all()
    assert (daylength(-89.0, DAYS[:30]) == 24).all()


@pytest.mark.parametrize("latitude", [-55.0, -33.0, 20.0, 46.37, 60.0])
def test_daylength_follows_from_the_declination_of_the_sun(latitude):
    """Spencer 1971, Search 2(5): a Fourier series of the declination; and twice the hour angle at which the sun sets."""
    year = np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]")
    a = 2 * np.pi * np.arange(365) / 365
    declination = (
        0.006918 - 0.399912 * np.cos(a) + 0.070257 * np.sin(a) - 0.006758 * np.cos(2 * a) + 0.000907 * np.sin(2 * a)
        - 0.002697 * np.cos(3 * a) + 0.00148 * np.sin(3 * a)
    )  # fmt: skip
    hours = 24 / np.pi * np.arccos(-np.tan(np.deg2rad(latitude)) * np.tan(declination))
    found = daylength(latitude, year)
    assert np.abs(found - hours).max() < 0.02
    # The longest day of the year, from the obliquity of the ecliptic.
    longest = 24 / np.pi * np.arccos(-np.tan(np.deg2rad(abs(latitude))) * np.tan(np.deg2rad(23.44)))
    assert found.max() == pytest.approx(longest, abs=0.01)
    assert abs(int(found.argmax()) - (171 if latitude > 0 else 354)) <= 2


# --- CAMELS-US text files ------------------------------------------------------------------------

HEADING = "Year Mnth Day Hr\tdayl(s)\tprcp(mm/day)\tsrad(W/m2)\tswe(mm)\ttmax(C)\ttmin(C)\tvp(Pa)"


def write_camels(
    root: Path, *, area: str = "86400000", heading: str = HEADING, region: str = "17"
) -> tuple[Path, Path]:
    """Five days of a basin of 86.4 km2, on which 1 m3/s is 1 mm/d; flow starts a day late and ends a day later."""
    forcing = root / "basin_mean_forcing" / "daymet" / region / "12345678_lump_cida_forcing_leap.txt"
    flow = root / "usgs_streamflow" / region / "12345678_streamflow_qc.txt"
    for file in (forcing, flow):
        file.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"2000 02 {27 + i if i < 3 else i - 2:02d} 12\t36000.0\t{i}.5\t1\t0\t{4 + i}\t{2 + i}\t500" for i in range(5)
    ]
    rows[3:] = [r.replace("2000 02", "2000 03") for r in rows[3:]]
    forcing.write_text("\n".join(["  44.8", " 133.0", f" {area}", heading, *rows]) + "\n")
    cubic_feet = 1 / 0.028316846592
    flows = [("02 28", 2 * cubic_feet), ("02 29", -999.0), ("03 01", 0.0), ("03 02", cubic_feet), ("03 03", 5.0)]
    flow.write_text("\n".join(f"12345678 2000 {d} {q:.8f} A" for d, q in flows) + "\n")
    return forcing, flow


def test_camels_text_files(tmp_path):
    forcing, flow = write_camels(tmp_path)
    read = read_camels(tmp_path, "12345678")
    np.testing.assert_array_equal(read.dates, np.arange("2000-02-27", "2000-03-03", dtype="datetime64[D]"))
    np.testing.assert_allclose(read.precipitation, [0.5, 1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(read.temperature, [3, 4, 5, 6, 7])
    np.testing.assert_allclose(read.daylength, 10.0)
    np.testing.assert_allclose(read.runoff, [np.nan, 2.0, np.nan, 0.0, 1.0], rtol=1e-8)
    assert str(forcing) in read.source
    assert str(flow) in read.source


def test_camels_area_from_the_attributes(tmp_path):
    write_camels(tmp_path, area="")
    with pytest.raises(DataError, match=r"line 3 states no area, and there is no camels_topo.txt"):
        read_camels(tmp_path, "12345678")
    topo = tmp_path / "camels_attributes_v2.0" / "camels_topo.txt"
    topo.parent.mkdir()
    topo.write_text("gauge_id;gauge_lat;area_gages2\n12345678;44.8;43.2\n")
    assert read_camels(tmp_path, "12345678").runoff[1] == pytest.approx(4.0)
    topo.write_text("gauge_id;gauge_lat;area_gages2\n87654321;44.8;43.2\n")
    with pytest.raises(DataError, match=r"camels_topo.txt: no area_gages2 of basin 12345678"):
        read_camels(tmp_path, "12345678")


@pytest.mark.parametrize(
    ("which", "old", "new", "message"),
    [
        (0, "2000 02 28", "2000 02 27", "forcing_leap.txt: 2000-02-27 appears twice"),
        (0, "2000 02 28", "2000 02 xx", "forcing_leap.txt: line 6 has no date"),
        (0, "2000 02 29 12\t36000.0\t2.5", "2000 02 29 12\t36000.0\tnan", "precipitation is NaN on 2000-02-29"),
        (0, "\t2.5\t", "\twet\t", "line 7 has no number for prcp"),
        (0, "dayl(s)", "dayl(furlongs)", "dayl has the unit 'furlongs'"),
        (0, "dayl(s)", "sunshine(s)", "no column 'dayl', needed for daylength"),
        (
            1,
            "12345678 2000 03 01",
            "99999999 2000 03 01",
            "streamflow_qc.txt: line 3 does not belong to basin 12345678",
        ),
        (1, "2000 03 01", "2000 02 29", "streamflow_qc.txt: 2000-02-29 appears twice"),
        (1, "-999.0", "-5.0", "stream flow is -5 on 2000-02-29; negative, and not -999"),
    ],
)
def test_what_is_wrong_in_a_text_file_is_named(tmp_path, which, old, new, message):
    file = write_camels(tmp_path)[which]
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_camels(tmp_path, "12345678")


def test_camels_files_that_are_not_there(tmp_path):
    write_camels(tmp_path)
    with pytest.raises(DataError, match="no basin '12345679' among 1; close ones are 12345678"):
        read_camels(tmp_path, "12345679")
    with pytest.raises(DataError, match="nldas: no such folder; there are daymet"):
        read_camels(tmp_path, "12345678", product="nldas")
    write_camels(tmp_path, region="18")
    with pytest.raises(DataError, match="basin 12345678 has 2 files"):
        read_camels(tmp_path, "12345678")


def test_camels_layout_of_the_shared_data(shared_data):
    read = read_camels(shared_data / "camels_us_layout", "01022500")
    assert (str(read.dates[0]), str(read.dates[-1]), len(read)) == ("2000-01-01", "2003-12-31", 1461)
    # The first rows of both files: 255 cubic feet per second on 587.675987 km2.
    assert read.runoff[0] == pytest.approx(255 * 0.028316846592 * 86400 / 587675987 * 1000)
    assert read.daylength[0] == pytest.approx(31185.97 / 3600)
    assert read.temperature[0] == pytest.approx((-2.36 - 14.36) / 2)
    assert np.isnan(read.runoff[read.dates > np.datetime64("2002-12-31")]).all()
    assert np.isfinite(read.runoff[read.dates <= np.datetime64("2002-12-31")]).all()


# --- the writer ----------------------------------------------------------------------------------


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
