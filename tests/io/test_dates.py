"""The day that a value belongs to: zones, bounds, labels, rounding, sums over time, and dates that cannot be held."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.days import day
from pydiffgeo.errors import DataError, TimeAxisError, UnitError
from pydiffgeo.hydrology.basin import BasinData

N = 6
FIRST = np.datetime64("2000-03-01")


def stored(
    folder: Path,
    times: Any,
    units: str = "days since 2000-03-01",
    *,
    edges: Any = None,
    variable: dict[str, str] | None = None,
    **attributes: Any,
) -> Path:
    """A file of one basin with rain of 1, 2, 3, ... mm d-1, unless `variable` says what else."""
    times = np.asarray(times)
    rain = (("basin", "time"), np.arange(1.0, len(times) + 1)[None], variable or {"units": "mm d-1"})
    data = xr.Dataset({"prcp": rain}, {"basin": ["a"], "time": ("time", times, {"units": units, **attributes})})
    if edges is not None:
        data["time"].attrs["bounds"] = "edges"
        data["edges"] = (("time", "two"), np.asarray(edges))
    path = folder / "days.nc"
    data.to_netcdf(path, engine="h5netcdf")
    return path


def first_day(path: Path, **how: Any) -> Any:
    data = dg.hydrology.open_cf(path, **how)
    assert data.precipitation.values[0, 0] == 1
    return data.time.values[0].astype("datetime64[D]")


@pytest.mark.parametrize("zone", ["+10:00", "-5:00", "+0530", "Z", "UTC", "-11", "AEST", " +10:00"])
@pytest.mark.parametrize("clock", ["", "T00:00", " 00:00:00", " 0:0:0.0"])
def test_a_day_in_local_time_stays_that_day(tmp_path, zone, clock):
    space = " " if not clock else ""
    path = stored(tmp_path, np.arange(N), f"days since 2000-03-01{clock}{space}{zone}")
    data = dg.hydrology.open_cf(path)
    np.testing.assert_array_equal(data.time.values.astype("datetime64[D]"), FIRST + np.arange(N))
    assert data.time.attrs["time_zone"] == zone.strip().upper()


def test_hours_of_a_clock_stay_those_of_the_clock(tmp_path):
    path = stored(tmp_path, np.arange(4) * 6, "hours since 2000-03-01 06:00 +09:30")
    assert str(dg.hydrology.open_cf(path).time.values[0])[:16] == "2000-03-01T06:00"


@pytest.mark.parametrize(
    ("begin", "end"),
    # Offsets in days from the label: after it, before it, days of rain gauges read at nine, and around noon.
    [(0, 1), (-1, 0), (9 / 24 - 1, 9 / 24), (-0.5, 0.5), (0.25, 1.25)],
)
def test_bounds_decide_the_day(tmp_path, begin, end):
    labels = np.arange(N) + 1.0
    if begin > 0:
        labels = labels + begin
        begin, end = 0, 1
    edges = np.stack([labels + begin, labels + end], 1)
    # The date on which more than half of the first interval lies; of two halves, the first.
    hours = np.floor(edges[0, 0] + (np.arange(2400) + 0.5) / 2400 * (edges[0, 1] - edges[0, 0]) + 1e-9).astype(int)
    dates, counts = np.unique(hours, return_counts=True)
    expected = FIRST + dates[np.argmax(counts)]
    for reverse in (False, True):
        assert first_day(stored(tmp_path, labels, edges=edges[:, ::-1] if reverse else edges)) == expected


def test_bounds_of_hours_are_named_by_their_start(tmp_path):
    labels = (np.arange(8) + 1) * 3.0
    path = stored(tmp_path, labels, "hours since 2000-03-01", edges=np.stack([labels - 3, labels], 1))
    data = dg.hydrology.open_cf(path)
    assert str(data.time.values[0])[:13] == "2000-03-01T00"
    assert data.attrs["left_out"] == ""
    made = dg.hydrology.daily(data)
    np.testing.assert_allclose(made.precipitation, [[4.5]])  # the mean of 1 to 8


def test_bounds_that_make_no_sense_are_named(tmp_path):
    labels = np.arange(N, dtype=float)
    good = np.stack([labels, labels + 1], 1)
    for edges, message in (
        (good + 5, "bounds 'edges' do not hold entry 0"),
        (np.stack([labels, labels], 1), "are empty at entry 0"),
        (np.stack([labels * 0, labels + 1], 1), "overlap those before at entry 1"),
        (np.where(np.arange(N)[:, None] == 2, np.nan, good), "are missing at entry 2"),
        (good[:, :1], "have the dimensions"),
    ):
        with pytest.raises(TimeAxisError, match=message) as caught:
            dg.hydrology.open_cf(stored(tmp_path, labels, edges=edges))
        assert "days.nc" in str(caught.value)
    path = stored(tmp_path, labels, climatology="edges")
    with pytest.raises(TimeAxisError, match="that of a climatology"):
        dg.hydrology.open_cf(path)
    path = stored(tmp_path, labels + 1, bounds="gone")
    with pytest.raises(TimeAxisError, match=r"bounds 'gone', which the file lacks; .*labels=.start."):
        dg.hydrology.open_cf(path)
    assert first_day(path, labels="end") == FIRST
    assert first_day(path, labels="start") == FIRST + 1


def test_labels_at_the_end_of_the_day(tmp_path):
    path = stored(tmp_path, np.array([1, 2, 4, 5]))
    data = dg.hydrology.open_cf(path, labels="end")
    np.testing.assert_array_equal(data.time.values.astype("datetime64[D]"), FIRST + np.arange(5))
    np.testing.assert_array_equal(data.precipitation[0], [1, 2, np.nan, 3, 4])
    with pytest.raises(TimeAxisError, match='labels="end" needs two times'):
        dg.hydrology.open_cf(stored(tmp_path, [1]), labels="end")
    with pytest.raises(DataError, match="labels must be one of start, end, got 'middle'"):
        dg.hydrology.open_cf(path, labels="middle")


def test_other_calendars_have_bounds_too(tmp_path):
    pytest.importorskip("cftime")
    labels = np.array([58.0, 59.0, 60.0])  # 28 February, 1 and 2 March at midnight, of a year without a leap day
    path = stored(tmp_path, labels, "days since 2001-01-01", edges=np.stack([labels - 1, labels], 1), calendar="noleap")
    assert first_day(path, calendar="convert") == np.datetime64("2001-02-27")


@pytest.mark.parametrize("off", [-5e-9, 5e-9, -1e-6, 1e-6])
def test_a_breath_beside_midnight_is_midnight(tmp_path, off):
    path = stored(tmp_path, np.arange(N) + off)
    assert first_day(path) == FIRST
    assert str(dg.hydrology.open_cf(path).time.values[0])[11:19] == "00:00:00"


def test_rounded_times_need_their_step(tmp_path):
    # Hours in single precision, many days after the epoch: off by up to two minutes.
    exact = 55000 + np.arange(72) / 24
    rough = exact.astype(np.float32)
    assert np.abs(rough - exact).max() * 1440 > 1.5
    path = stored(tmp_path, rough, "days since 1850-01-01")
    with pytest.raises(TimeAxisError, match=r"is not regular; where its times are rounded.*rounding='1 h'"):
        dg.hydrology.open_cf(path)
    data = dg.hydrology.open_cf(path, rounding="1 h")
    start = np.datetime64("1850-01-01", "h") + 24 * 55000
    np.testing.assert_array_equal(data.time.values, (start + np.arange(72)).astype("datetime64[ns]"))
    with pytest.raises(TimeAxisError, match="rounding='6 h' would move times by more than a quarter"):
        dg.hydrology.open_cf(path, rounding="6 h")
    for wrong in ("hourly", "7 h", "0 h", "2 d", "1 mm", 3600, "0.5 s"):
        with pytest.raises(DataError, match="rounding must be whole seconds that divide a day"):
            dg.hydrology.open_cf(path, rounding=wrong)


def test_several_values_a_day_are_named_or_made_daily(tmp_path):
    times = np.arange(10) * 6
    data = dg.hydrology.open_cf(stored(tmp_path, times, "hours since 2000-03-01"))
    with pytest.raises(
        DataError, match=r"days.nc: the values come every 6 h, and daily ones are needed: .*daily\(data\)"
    ):
        dg.hydrology.basin_data(data.assign(temperature=data.precipitation), "a", latitude=45.0, gauged=False)
    made = dg.hydrology.daily(data)
    # The third day has but two of four steps.
    np.testing.assert_array_equal(made.precipitation, [[2.5, 6.5, np.nan]])
    np.testing.assert_array_equal(made.time.values.astype("datetime64[D]"), FIRST + np.arange(3))
    assert made.precipitation.attrs == data.precipitation.attrs
    coldest = data.rename(precipitation="temperature_min").assign_coords(lat=("basin", [45.0]))
    np.testing.assert_array_equal(dg.hydrology.daily(coldest).temperature_min, [[1, 5, np.nan]])
    assert dg.hydrology.daily(coldest).lat == 45.0
    gap = data.isel(time=[0, 1, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(dg.hydrology.daily(gap).precipitation, [[np.nan, 6.5]])
    with pytest.raises(DataError, match="steps of 2 d do not make whole days"):
        dg.hydrology.daily(dg.hydrology.open_cf(stored(tmp_path, np.arange(3) * 2)))


SUM = {"cell_methods": "time: sum"}


@pytest.mark.parametrize(
    ("variable", "hours", "per_day"),
    [
        # An amount of 1 in so many hours is so many a day.
        ({"units": "mm", **SUM}, 24, 1),
        ({"units": "mm", **SUM}, 6, 4),
        ({"units": "kg m-2", **SUM}, 3, 8),
        ({"units": "m", "cell_methods": "area: mean time: sum (interval: 1 hour)"}, 24, 1000),
        ({"units": "mm", "standard_name": "lwe_thickness_of_precipitation_amount"}, 12, 2),
        ({"units": "mm h-1", **SUM}, 6, 24),  # a rate by its unit, whatever else is said
    ],
)
def test_sums_over_time_become_rates(tmp_path, variable, hours, per_day):
    labels = (np.arange(4) + 1.0) * hours
    path = stored(
        tmp_path, labels, "hours since 2000-03-01", edges=np.stack([labels - hours, labels], 1), variable=variable
    )
    np.testing.assert_allclose(dg.hydrology.open_cf(path).precipitation[0], per_day * np.arange(1, 5), rtol=1e-12)
    if "standard_name" not in variable:  # without bounds, the step is the time
        path = stored(tmp_path, labels, "hours since 2000-03-01", variable=variable)
        np.testing.assert_allclose(dg.hydrology.open_cf(path).precipitation[0], per_day * np.arange(1, 5), rtol=1e-12)


def test_amounts_without_a_time_are_refused(tmp_path):
    for variable in (
        {"units": "mm"},
        {"units": "kg m-2", "cell_methods": "area: sum time: mean"},
        {"units": "mm", "standard_name": "precipitation_amount"},
    ):
        with pytest.raises(
            UnitError, match=r"days.nc: prcp has the unit .*the time is missing over which it is a sum.*cell_methods"
        ):
            dg.hydrology.open_cf(stored(tmp_path, np.arange(3), variable=variable))
    with pytest.raises(TimeAxisError, match="prcp is a sum over time, but a single time"):
        dg.hydrology.open_cf(stored(tmp_path, [0], variable={"units": "mm", **SUM}))


def test_radiation_and_stream_flow_as_sums(tmp_path):
    days = np.arange(3)
    data = xr.Dataset(
        {
            "srad": (("basin", "time"), np.full((1, 3), 8.64e6), {"units": "J m-2", **SUM}),
            "q_obs": (("basin", "time"), np.full((1, 3), 2e6), {"units": "m3", **SUM}),
            "area": ("basin", [1000.0], {"units": "km2"}),
        },
        {"basin": ["a"], "time": ("time", days, {"units": "days since 2000-03-01"})},
    )
    data.to_netcdf(tmp_path / "sums.nc", engine="h5netcdf")
    read = dg.hydrology.open_cf(tmp_path / "sums.nc")
    np.testing.assert_allclose(read.shortwave_radiation, 100.0)  # 8.64 MJ in 86400 s
    np.testing.assert_allclose(read.runoff, 2.0)  # 2e6 m3 on 1e9 m2


# --- dates of solutions ----------------------------------------------------------------------------


def solution(unit: str, times: Any) -> dg.Solution:
    still = dg.Model(
        name="Still",
        graph=dg.single_cell(),
        states=(dg.State("y", "1", "y", default=1.0),),
        source=lambda cell, forcing: {"y": -0.0 * cell.y},
        time_unit=unit,
    )
    return dg.solve(still, {}, times=times, engine="sundials")


@pytest.mark.parametrize(
    ("unit", "length"),
    [
        ("d", dt.timedelta(days=1)),
        ("h", dt.timedelta(hours=1)),
        ("min", dt.timedelta(minutes=1)),
        ("s", dt.timedelta(seconds=1)),
    ],
)
def test_times_of_a_model_become_dates_by_the_length_of_their_unit(unit, length, tmp_path):
    start = dt.datetime(1980, 10, 1, 6)
    data = dg.io.solution_dataset(solution(unit, [0.0, 1.0, 36.0]), start=start)
    expected = np.array([start + k * length for k in (0, 1, 36)], "datetime64[ns]")
    np.testing.assert_array_equal(data.time, expected)
    np.testing.assert_array_equal(data.interval_bounds, np.stack([expected[:-1], expected[1:]], 1))
    read = dg.io.read_dataset(dg.io.write_dataset(tmp_path / "r.nc", data))
    np.testing.assert_array_equal(read.time, expected)


@pytest.mark.parametrize(
    ("start", "times"),
    [
        *(("1980-10-01", [0.0, 1e5, 2e5]), ("2300-01-01", [0, 1]), ("1600-01-01", [0, 1])),
        *(("0001-01-01", [0, 1]), ("9999-12-31", [0, 1]), ("2261-12-31", [0, 1])),
        *(("2000-01-01", [0, 1e300]), ("2000-01-01", [0, 1e13])),
    ],
)
def test_dates_that_cannot_be_held_are_refused(start, times):
    found = solution("d", times)
    with pytest.raises(
        DataError, match=f"start {start} with the time .* lies outside .* 1678 to 2261; leave out start"
    ):
        dg.io.solution_dataset(found, start=start)
    np.testing.assert_array_equal(dg.io.solution_dataset(found).time, times)


@pytest.mark.parametrize(
    "start",
    [
        1980,
        1980.5,
        "NaT",
        "soon",
        np.datetime64("NaT"),
        "2000-01-01T00:00+10:00",
        "2000-01-01T00:00Z",
        True,
        dt.datetime(2000, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=10))),
    ],
)
def test_a_start_that_is_no_date_is_refused(start):
    for refused in (lambda: dg.io.solution_dataset(solution("d", [0, 1]), start=start), lambda: day("start", start)):
        with pytest.raises(DataError, match="start must be a date"):
            refused()


def test_dates_are_never_others(tmp_path):
    days = np.arange("2300-01-01", "2300-01-04", dtype="datetime64[D]")
    with pytest.raises(TimeAxisError, match="2300-01-01 lies outside the dates"):
        dg.io.write_netcdf(tmp_path / "a.nc", {}, {"time": dg.io.Variable(("time",), days, None, "day")}, {})
    for first in ("1600-01-01", "2300-01-01", "0001-01-01"):
        with pytest.raises(TimeAxisError, match=r"days\.nc"):
            dg.hydrology.open_cf(stored(tmp_path, np.arange(3), f"days since {first}"))
    ones = np.ones(3)
    for wrong in (np.arange(3), [1.0, 2.0, 3.0], ["2000-01-01T00:00+10:00"] * 3):
        with pytest.raises(DataError, match="a day must be a date"):
            BasinData("a", wrong, ones, ones, ones, ones, "here")
    far = BasinData("a", days, ones, ones, ones, ones, "here")  # days alone have room for all years
    assert str(far.dates[0]) == "2300-01-01"
