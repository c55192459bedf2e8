"""The length of the day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.hydrology.basin import QUANTITIES, daylength


def test_daylength_agrees_with_the_shared_data(shared_data):
    data = dg.hydrology.open_cf(shared_data / "camels_us_60.nc", basins=["12010000"], quantities=QUANTITIES)
    read = dg.hydrology.basin_data(data, "12010000")
    difference = daylength(46.37, read.dates) - read.daylength
    assert abs(difference.mean()) < 0.1
    assert np.abs(difference).max() < 0.26


def test_daylength_at_the_equator_and_the_poles():
    january = np.arange("2000-01-01", "2000-01-31", dtype="datetime64[D]")
    assert daylength(0.0, january) == pytest.approx(12.0, abs=1e-9)
    assert (daylength(89.0, january) == 0).all()
    assert (daylength(-89.0, january) == 24).all()


@pytest.mark.parametrize("latitude", [-55.0, -33.0, 20.0, 46.37, 60.0])
def test_daylength_follows_from_the_declination_of_the_sun(latitude):
    """Spencer 1971, Search 2(5): a Fourier series of the declination; and twice the hour angle at which the sun sets."""
    year = np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]")
    a = 2 * np.pi * np.arange(365) / 365
    declination = (
        0.006918
        - 0.399912 * np.cos(a)
        + 0.070257 * np.sin(a)
        - 0.006758 * np.cos(2 * a)
        + 0.000907 * np.sin(2 * a)
        - 0.002697 * np.cos(3 * a)
        + 0.00148 * np.sin(3 * a)
    )
    hours = 24 / np.pi * np.arccos(-np.tan(np.deg2rad(latitude)) * np.tan(declination))
    found = daylength(latitude, year)
    assert np.abs(found - hours).max() < 0.02
    # The longest day of the year, from the obliquity of the ecliptic.
    longest = 24 / np.pi * np.arccos(-np.tan(np.deg2rad(abs(latitude))) * np.tan(np.deg2rad(23.44)))
    assert found.max() == pytest.approx(longest, abs=0.01)
    assert abs(int(found.argmax()) - (171 if latitude > 0 else 354)) <= 2


def almanac(latitude: float, dates: Any) -> Any:
    """Hours that the centre of the sun is above the horizon, from its position.

    Source: The Astronomical Almanac, section C, low-precision formulas for the sun (to 0.01 degrees, 1950 to 2050),
    as the U.S. Naval Observatory has them under "Approximate solar coordinates".
    """
    n = (dates - np.datetime64("2000-01-01")).astype(float)  # days since noon of 1 January 2000, at noon
    anomaly, mean = np.deg2rad(357.529 + 0.98560028 * n), 280.459 + 0.98564736 * n
    longitude = np.deg2rad(mean + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    sine = np.sin(np.deg2rad(23.439 - 0.00000036 * n)) * np.sin(longitude)
    hour_angle = -np.tan(np.deg2rad(latitude)) * sine / np.sqrt(1 - sine**2)
    return 24 / np.pi * np.arccos(np.clip(hour_angle, -1, 1))


@pytest.mark.parametrize("latitude", [-60.0, -35.0, 0.0, 15.0, 44.8, 60.0])
def test_the_length_of_the_day_is_that_of_the_almanac(latitude):
    days = np.arange("1996-01-01", "2012-01-01", dtype="datetime64[D]")
    expected = almanac(latitude, days)
    assert np.abs(daylength(latitude, days) - expected).max() < 0.002 * 12 + 0.1 * abs(np.tan(np.deg2rad(latitude)))
    assert daylength(latitude, days).mean() == pytest.approx(expected.mean(), abs=0.05)


def test_the_longest_and_shortest_days_are_those_of_the_solstices():
    year = np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]")
    found = daylength(50.0, year)
    # The sun at 23.44 degrees: 12 h + 24 h / pi * asin(tan 50 tan 23.44) = 16 h 08 min.
    assert found.max() == pytest.approx(16.14, abs=0.05)
    assert found.min() == pytest.approx(24 - 16.14, abs=0.05)
    assert abs(year[found.argmax()] - np.datetime64("2001-06-21")) <= np.timedelta64(2, "D")
    assert abs(year[found.argmin()] - np.datetime64("2001-12-21")) <= np.timedelta64(2, "D")


def test_a_basin_without_day_lengths_has_those_of_its_latitude(tmp_path):
    rows = ("basin", "time"), np.arange(1.0, 7.0)[None]
    days = np.arange("2000-03-01", "2000-03-07", dtype="datetime64[D]").astype("datetime64[ns]")
    data = xr.Dataset({"prcp": (*rows, {"units": "mm d-1"}), "tmean": (*rows, {"units": "degC"})}, {"time": days})
    data.assign_coords(basin=["a"]).to_netcdf(tmp_path / "days.nc", engine="h5netcdf")
    data = dg.hydrology.open_cf(tmp_path / "days.nc").assign_coords(gauge_lat=("basin", [48.0]))
    for how in ({"latitude": 48.0}, {}):
        one = dg.hydrology.basin_data(data, "a", gauged=False, **how)
        np.testing.assert_allclose(one.daylength, almanac(48.0, one.dates), atol=0.12)
