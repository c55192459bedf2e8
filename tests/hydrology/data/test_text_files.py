"""Text files of CAMELS-US: values against what was written, and one error per thing that can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pydiffgeo.errors import DataError
from pydiffgeo.hydrology import basin_data, open_camels
from pydiffgeo.hydrology.basin import BasinData

DAYS = np.arange("2000-01-01", "2000-03-01", dtype="datetime64[D]")


def read_camels(root: Path, basin: str, **how: Any) -> BasinData:
    return basin_data(open_camels(root, basins=[basin], **how), basin)


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
