"""Discharge of gauges: made files in the layouts of the GRDC and the U.S. Geological Survey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnknownSiteError

GRDC = """# Title:                 GRDC STATION DATA FILE
#                        --------------
# Format:                DOS-ASCII
# Field delimiter:       ;
# missing values are indicated by -999.000
#
# file generation date:  2000-02-02
#
# GRDC-No.:              42424242
# River:                 SOME RIVER
# Station:               SOME
# Country:               NA
# Latitude (DD):       52.356154
# Longitude (DD):      4.955153
# Catchment area (km²):      864.0
# Altitude (m ASL):        8.0
# Next downstream station:      42424243
# Remarks:
#************************************************************
#
# Data Set Content:      MEAN DAILY DISCHARGE (Q)
#                        --------------------
# Unit of measure:                   m³/s
# Time series:           2000-01 - 2000-01
# No. of years:          1
# Last update:           2000-02-01
#
# Table Header:
#     YYYY-MM-DD - Date
#     hh:mm      - Time
#     Value   - original (provided) data
#************************************************************
#
# Data lines: 3
# DATA
YYYY-MM-DD;hh:mm; Value
2000-01-01;--:--;     10.000
2000-01-02;--:--;     20.000
2000-01-03;--:--;   -999.000
"""
RDB = """# ---------------------------------- WARNING ----------------------------------------
# Some of the data that you have obtained from this U.S. Geological Survey database may not
# have received Director's approval.
#
# Data for the following 2 site(s) are contained in this file
#    USGS 01013500 Fish River near Fort Kent, Maine
# -----------------------------------------------------------------------------------
agency_cd\tsite_no\tdatetime\t65183_00060_00003\t65183_00060_00003_cd
5s\t15s\t20d\t14n\t10s
USGS\t01013500\t2024-10-01\t352\tA
USGS\t01013500\t2024-10-02\tIce\tA
USGS\t01013500\t2024-10-03\t330\tP
#
agency_cd\tsite_no\tdatetime\t149854_00060_00003\t149854_00060_00003_cd\t149855_00060_00001\t149855_00060_00001_cd
5s\t15s\t20d\t14n\t10s\t14n\t10s
USGS\t12462500\t2024-10-02\t1000\tA:e\t1100\tA
USGS\t12462500\t2024-10-03\t\t\t\t
"""
FOOT = 0.3048


def test_grdc(tmp_path: Path) -> None:
    file = tmp_path / "42424242_Q_Day.Cmd.txt"
    file.write_text(GRDC, encoding="latin-1")
    data = dg.hydrology.open_grdc(tmp_path)
    assert data["basin"].values.tolist() == ["42424242"]
    assert data["discharge"].attrs["units"] == "m3 s-1"
    np.testing.assert_array_equal(data["discharge"].values, [[10.0, 20.0, np.nan]])
    # Ten cubic metres per second on 864 square kilometres are a millimetre per day.
    np.testing.assert_allclose(data["runoff"].values, [[1.0, 2.0, np.nan]], rtol=1e-12)
    assert (data["area"].item(), data["gauge_lat"].item(), data["river"].item()) == (864.0, 52.356154, "SOME RIVER")
    other = dg.hydrology.open_grdc(file, area={"42424242": 432.0})
    np.testing.assert_allclose(other["runoff"].values[0, 0], 2.0, rtol=1e-12)
    # Where the area is not known there is discharge, but no runoff.
    file.write_text(GRDC.replace("864.0", "-999.0"), encoding="utf-8")
    unknown = dg.hydrology.open_grdc(tmp_path)
    assert np.isnan(unknown["runoff"]).all()
    assert unknown["discharge"].values[0, 1] == 20.0


def test_usgs(tmp_path: Path) -> None:
    file = tmp_path / "daily.rdb"
    file.write_text(RDB)
    data = dg.hydrology.open_usgs(file, area={"01013500": 2252.7})
    assert data["basin"].values.tolist() == ["01013500", "12462500"]
    np.testing.assert_allclose(
        data["discharge"].values / FOOT**3, [[352.0, np.nan, 330.0], [np.nan, 1000.0, np.nan]], rtol=1e-12
    )
    np.testing.assert_allclose(data["runoff"].values[0, 0], 352 * FOOT**3 * 86400 / 2252.7e6 * 1e3, rtol=1e-12)
    assert np.isnan(data["runoff"].values[1]).all()
    one = dg.hydrology.open_usgs(file, stations=["12462500"])
    assert one["basin"].values.tolist() == ["12462500"]


def test_what_is_wrong_in_files_of_gauges_is_named(tmp_path: Path) -> None:
    file = tmp_path / "1.txt"
    for text, what in (
        (GRDC.replace(" 20.000", " many"), r"1.txt: line 38 has no number for 'Value': 'many'"),
        (GRDC.replace("m³/s", "mm"), "the unit of measure is 'mm'"),
        (GRDC.replace("2000-01-02", "2000-01-00"), "line 38 has no date in 'YYYY-MM-DD': '2000-01-00'"),
        (GRDC.replace("2000-01-02;--:--;", "2000-01-02;"), "line 38 has 2 entries for 3 columns"),
        (GRDC.replace("# GRDC-No.", "# No."), "is no file of the GRDC"),
        (GRDC.replace("52.356154", "north"), r"Latitude \(DD\) is no number: 'north'"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=what):
            dg.hydrology.open_grdc(file)
    for text, what in (
        (RDB.replace("Ice", "Cold"), r"line 11 has no number for '65183_00060_00003': 'Cold'"),
        (RDB.replace("65183_00060_00003\t", "65183_00065_00003\t"), r"line 8: no column of daily mean discharge"),
        (
            RDB.replace("149855_00060_00001\t", "149855_00060_00003\t"),
            "the columns 149854_00060_00003, 149855_00060_00003",
        ),
        (RDB.replace("12462500", "01013500"), "station 01013500 is in .* as well"),
        (RDB.replace("agency_cd", "agency"), "is no RDB file"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=what):
            dg.hydrology.open_usgs(file)
    file.write_text(GRDC.replace("2000-01-02", "2000-01-01"))
    with pytest.raises(TimeAxisError, match="2000-01-01 appears twice"):
        dg.hydrology.open_grdc(file)
    file.write_text(GRDC)
    with pytest.raises(UnknownSiteError, match="no basin '1'"):
        dg.hydrology.open_grdc(file, stations=["1"])
    with pytest.raises(DataError, match="no file, nor a folder with files"):
        dg.hydrology.open_usgs(tmp_path / "none")
