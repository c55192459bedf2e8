"""Soil moisture in the layout of the ISMN, and heads in wells from a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnitError, UnknownSiteError

SHALLOW = """REMEDHUS   REMEDHUS        Zamarron          41.24100    -5.54300  855.00    0.05    0.05  Stevens Hydra Probe
2005/03/16 00:00    0.1030 G M
2005/03/16 01:00    0.0980 D01,D03 M
2005/03/16 02:00 -9999.0000 M M
2005/03/16 03:00    0.0950 G M
"""
DEEP = """REMEDHUS   REMEDHUS        Zamarron          41.24100    -5.54300  855.00    0.10    0.30
2005/03/16 00:30    0.2100 G
2005/03/16 03:00    0.2110 G
"""
WELLS = """well,date,head,x,y,screen_bottom
A,2020-01-01,10.5,100,200,5
B,2020-01-01 12:00,-9999,300,400,
A,2020-02-01,10.7,100,200,5
B,2020/03/01,20.1,300,400,
"""


def ismn(root: Path) -> Path:
    folder = root / "REMEDHUS" / "Zamarron"
    folder.mkdir(parents=True)
    (folder / "REMEDHUS_REMEDHUS_Zamarron_sm_0.050000_0.050000_Stevens-Hydra-Probe_20050316_20050601.stm").write_text(
        SHALLOW
    )
    (folder / "REMEDHUS_REMEDHUS_Zamarron_Soil-Moisture_0.100000_0.300000_20050316_20050601.stm").write_text(DEEP)
    (folder / "REMEDHUS_REMEDHUS_Zamarron_ts_0.050000_0.050000_Probe_20050316_20050601.stm").write_text("temperature")
    return root


def test_soil_moisture(tmp_path: Path) -> None:
    data = dg.hydrology.open_ismn(ismn(tmp_path))
    data = data.sortby("depth_from")
    assert data["station"].values.tolist() == ["Zamarron"] * 2
    assert data["depth_from"].values.tolist() == [0.05, 0.1]
    assert data["depth_to"].values.tolist() == [0.05, 0.3]
    assert data["sensor"].values.tolist() == ["Stevens Hydra Probe", ""]
    assert (data["gauge_lat"].values[0], data["elevation"].values[1]) == (41.241, 855.0)
    minutes = (data["time"].values - np.datetime64("2005-03-16T00:00")).astype("timedelta64[m]").astype(int)
    assert minutes.tolist() == [0, 30, 60, 120, 180]
    nan = np.nan
    np.testing.assert_array_equal(
        data["water_content"].values, [[0.103, nan, nan, nan, 0.095], [nan, 0.21, nan, nan, 0.211]]
    )
    also = dg.hydrology.open_ismn(tmp_path, stations=["Zamarron"], flags=("G", "D01", "D03")).sortby("depth_from")
    assert also["water_content"].values[0, 2] == 0.098


def test_what_is_wrong_in_soil_moisture_is_named(tmp_path: Path) -> None:
    file = tmp_path / "N_N_S_sm_0.05_0.05_P_2005_2006.stm"
    for text, what in (
        (SHALLOW.replace("0.0950", "9.5000"), "line 5 holds 9.5, which is no part of a volume"),
        (SHALLOW.replace("0.0950", "dry"), "line 5 has no number for 'value': 'dry'"),
        (SHALLOW.replace("0.0950 G M", ""), "line 5 is cut off"),
        (SHALLOW.replace("41.24100", "north"), "line 1 does not hold network"),
        (SHALLOW.replace("2005/03/16 03:00", "2005/03/16 27:00"), "line 5 has no date"),
        ("", "line 1 does not hold network"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=what):
            dg.hydrology.open_ismn(tmp_path)
    file.write_text(SHALLOW.replace("03:00", "02:00"))
    with pytest.raises(TimeAxisError, match="appears twice"):
        dg.hydrology.open_ismn(tmp_path)
    file.write_text(SHALLOW)
    with pytest.raises(UnknownSiteError, match="no basin 'X'"):
        dg.hydrology.open_ismn(tmp_path, stations=["X"])
    file.unlink()
    with pytest.raises(DataError, match="no files of soil moisture"):
        dg.hydrology.open_ismn(tmp_path)


def test_wells(tmp_path: Path) -> None:
    file = tmp_path / "wells.csv"
    file.write_text(WELLS)
    data = dg.hydrology.open_wells(file, missing=[-9999])
    assert data["well"].values.tolist() == ["A", "B"]
    nan = np.nan
    np.testing.assert_array_equal(data["head"].values, [[10.5, nan, 10.7, nan], [nan, nan, nan, 20.1]])
    assert str(data["time"].values[1])[:16] == "2020-01-01T12:00"
    assert data["x"].values.tolist() == [100.0, 300.0]
    np.testing.assert_array_equal(data["screen_bottom"].values, [5.0, nan])
    assert "screen_top" not in data
    file.write_text("name;day;level\nA;2020-01-01;100\nA;2020-02-01;110\n")
    names = {"well": "name", "date": "day", "head": "level"}
    feet = dg.hydrology.open_wells(file, names=names, units={"head": "ft"})
    np.testing.assert_allclose(feet["head"].values, [[30.48, 33.528]], rtol=1e-12)
    with pytest.raises(UnitError):
        dg.hydrology.open_wells(file, names=names, units={"head": "mm d-1"})
    for text, what in (
        (WELLS.replace("10.7", "low"), "line 4 has no number for 'head': 'low'"),
        (WELLS.replace("10.7,100", "10.7,101"), "line 4 has another 'x' of well A than before"),
        (WELLS.replace("head", "level"), "the heading has no column 'head'"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=what):
            dg.hydrology.open_wells(file)
    file.write_text(WELLS.replace("2020-02-01", "2020-01-01"))
    with pytest.raises(TimeAxisError, match=r"appears twice \(well A\)"):
        dg.hydrology.open_wells(file)
    with pytest.raises(DataError, match="'level' is unknown"):
        dg.hydrology.open_wells(file, names={"level": "head"})
