"""Folders of CAMELS-US and Caravan as datasets: values against what was written, and what is wrong by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from folders import DAYS, A, B, camels_folder, write_flow, write_forcing

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnitError, UnknownSiteError


@pytest.fixture
def camels(tmp_path: Path) -> Path:
    return camels_folder(tmp_path)


def test_camels_as_a_dataset(camels):
    data = dg.hydrology.open_camels(camels)
    assert dict(data.sizes) == {"basin": 2, "time": 5}
    assert data.basin.values.tolist() == [A, B]
    np.testing.assert_array_equal(data.time.values.astype("datetime64[D]"), DAYS)
    np.testing.assert_allclose(data.precipitation.values, [[1, 2, 3, 4, 5], [np.nan, 1, 2, 3, 4]])
    np.testing.assert_allclose(data.runoff.values, [[1, np.nan, 2, np.nan, np.nan]] * 2, rtol=1e-6)
    for name, value, unit in (
        ("daylength", 10.0, "h"),
        ("temperature", 4.0, "degC"),
        ("temperature_min", 2.0, "degC"),
        ("temperature_max", 6.0, "degC"),
        ("shortwave_radiation", 200.0, "W m-2"),
        ("vapour_pressure", 500.0, "Pa"),
        ("snow_water_equivalent", 3.0, "mm"),
    ):
        np.testing.assert_allclose(data[name].values[0], value)
        assert data[name].attrs["units"] == unit
    assert data.precipitation.attrs["standard_name"] == "lwe_precipitation_rate"
    assert data.temperature_min.attrs["cell_methods"] == "time: minimum"
    np.testing.assert_allclose(data.area, 86.4)
    np.testing.assert_array_equal(data.gauge_lat, [44.0, 45.0])
    assert data.area_gages2.attrs["units"] == "km2"
    assert data.geol_1st_class.values.tolist() == ["Granite", ""]
    np.testing.assert_array_equal(data.glim_1st_class_frac, [0.7, np.nan])


def test_several_products_and_chosen_basins(camels):
    data = dg.hydrology.open_camels(camels, basins=[B], product=["daymet", "maurer", "nldas"], attributes=False)
    assert {"precipitation_daymet", "precipitation_maurer", "precipitation_nldas", "runoff"} <= {*data.data_vars}
    assert data.sizes["basin"] == 1
    assert "gauge_lat" not in data
    assert data.precipitation_nldas.attrs["long_name"] == "precipitation (nldas)"
    np.testing.assert_allclose(dg.hydrology.open_camels(camels, product="nldas").temperature[0], 4.0)


def test_a_basin_of_a_dataset(camels):
    data = dg.hydrology.open_camels(camels)
    one = dg.hydrology.basin_data(data, A)
    for name in ("precipitation", "temperature", "daylength", "runoff"):
        values = data[name].sel(basin=A, time=one.dates.astype("datetime64[ns]")).values
        np.testing.assert_array_equal(getattr(one, name), values)
    # Days that only other basins, or the runoff, have are none of its own.
    assert np.isnan(data.precipitation.sel(basin=B, time="2000-02-27"))
    assert str(dg.hydrology.basin_data(data, B).dates[0]) == "2000-02-28"
    with pytest.raises(DataError, match=f"basin {B} has no forcing from 2000-02-27 to 2000-02-27"):
        dg.hydrology.basin_data(data, B, end="2000-02-27")
    assert len(dg.hydrology.basin_data(data, B, start="2000-02-28", end="2000-03-01")) == 3
    with pytest.raises(DataError, match="no basin '1234567' among 2; close ones are 12345678"):
        dg.hydrology.basin_data(data, "1234567")
    with pytest.raises(DataError, match="none within 1990-01-01"):
        dg.hydrology.basin_data(data, A, end="1990-01-01", start="1990-01-01")


def test_gaps_in_a_text_file_are_filled_or_refused(camels):
    write_forcing(camels, A, "daymet", DAYS[[0, 1, 3, 4]])
    np.testing.assert_allclose(dg.hydrology.open_camels(camels).precipitation[0], [1, 2, np.nan, 3, 4])
    with pytest.raises(TimeAxisError, match=r"01000001_lump_cida.*2000-03-01 follows 2000-02-28: 1 times are missing"):
        dg.hydrology.open_camels(camels, gaps="refuse")
    with pytest.raises(DataError, match="gaps must be one of fill, refuse, got 'ignore'"):
        dg.hydrology.open_camels(camels, gaps="ignore")


def test_area_of_camels(camels):
    write_forcing(camels, B, "daymet", DAYS, area="")
    data = dg.hydrology.open_camels(camels)
    np.testing.assert_allclose(data.area, [86.4, 43.2])
    np.testing.assert_allclose(data.runoff.values[1, 0], 2.0, rtol=1e-6)
    topo = camels.parent / "camels_attributes_v2.0" / "camels_topo.txt"
    for text, message in (
        (f"gauge_id;area_gages2\n{A};86\n", "camels_topo.txt: no area_gages2 of basin 12345678"),
        (f"gauge_id;area_gages2\n{A};86\n{B};-1\n", "camels_topo.txt: area_gages2 of basin 12345678 is -1"),
        (f"gauge_id;gauge_lat\n{A};86\n{B};1\n", "camels_topo.txt: no area_gages2 of basin 12345678"),
    ):
        topo.write_text(text)
        with pytest.raises(DataError, match=message):
            dg.hydrology.open_camels(camels, attributes=False)
    topo.unlink()
    with pytest.raises(DataError, match=r"line 3 states no area, and there is no camels_topo.txt"):
        dg.hydrology.open_camels(camels)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("prcp(mm/day)", "prcp", UnitError, "forcing_leap.txt: prcp has no attribute 'units'"),
        (
            "prcp(mm/day)",
            "prcp(bananas)",
            UnitError,
            "forcing_leap.txt: prcp has the unit 'bananas', which is not known",
        ),
        ("prcp(mm/day)", "prcp(m)", UnitError, "prcp has the unit 'm', which cannot be converted to 'mm d-1'"),
        ("prcp(mm/day)", "rain(mm/day)", DataError, "has no column 'prcp', needed for precipitation"),
        ("2000 02 28", "2000 02 27", TimeAxisError, "2000-02-27 appears twice"),
        ("2000 02 28", "2000 01 28", TimeAxisError, "2000-01-28 follows 2000-02-27: the times are not sorted"),
        ("\t6\t2\t500\n2000 02 28", "\n2000 02 28", DataError, "line 5 is cut off: 8 of 11 entries"),
        ("\tswe(mm)", "", DataError, "line 5 has 11 entries, and the heading in line 4 names 10"),
    ],
)
def test_what_is_wrong_in_a_forcing_file_is_named(camels, old, new, error, message):
    file = next((camels / "basin_mean_forcing" / "daymet").rglob(f"{A}*"))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(error, match=message) as caught:
        dg.hydrology.open_camels(camels)
    assert file.name in str(caught.value)
    if error is UnitError:
        assert (caught.value.variable, Path(caught.value.file)) == ("prcp", file)


def test_text_files_that_are_cut_off_or_absent(camels):
    with pytest.raises(DataError, match="no basin '01000002' among 2; close ones are 01000001"):
        dg.hydrology.open_camels(camels, basins=[A, "01000002"])
    with pytest.raises(DataError, match="basin 01000001 is asked for 2 times"):
        dg.hydrology.open_camels(camels, basins=[A, A])
    with pytest.raises(DataError, match="prism: no such folder; there are daymet, maurer, nldas"):
        dg.hydrology.open_camels(camels, product="prism")
    with pytest.raises(DataError, match="got none"):
        dg.hydrology.open_camels(camels, product=())
    geology = camels.parent / "camels_attributes_v2.0" / "camels_geol.txt"
    whole = geology.read_text()
    geology.write_text(whole[:-4])
    with pytest.raises(DataError, match=r"camels_geol.txt: row 3 has 2 entries for 3 columns"):
        dg.hydrology.open_camels(camels)
    geology.write_text(whole.replace(B, A))
    with pytest.raises(DataError, match=r"camels_geol.txt: basin 01000001 appears twice"):
        dg.hydrology.open_camels(camels)
    geology.write_text(whole.replace(B, "55555555"))
    with pytest.raises(DataError, match=r"camels_geol.txt: no basin '12345678'"):
        dg.hydrology.open_camels(camels, basins=[A, B])
    geology.write_text(whole)
    flow = next((camels / "usgs_streamflow").rglob(f"{B}*"))
    text = flow.read_text()
    flow.write_text(text[:-4])
    with pytest.raises(DataError, match=r"streamflow_qc.txt: line 3 is cut off: 5 of 6 entries"):
        dg.hydrology.open_camels(camels)
    flow.write_text("")
    with pytest.raises(DataError, match=r"streamflow_qc.txt: is empty"):
        dg.hydrology.open_camels(camels)
    flow.unlink()
    with pytest.raises(DataError, match="usgs_streamflow: no basin '12345678'"):
        dg.hydrology.open_camels(camels, basins=[A, B])


def test_gauges_that_lack_something_are_left_out_and_named(camels):
    for basin, product in (("02000001", "daymet"), ("02000002", "daymet"), ("02000002", "maurer")):
        write_forcing(camels, basin, product, DAYS)
    write_flow(camels, "02000002", DAYS[:1], [1.0])
    for few, products, left_out in (
        ([A, B], "daymet", r"2 of 4 .* 02000001 \(not in usgs_streamflow\), 02000002 \(not in camels_geol.txt\)$"),
        ([A, B], ("daymet", "maurer"), r"2 of 4 .* 02000001 \(not in maurer\), 02000002"),
    ):
        with pytest.warns(UserWarning, match=left_out) as caught:
            data = dg.hydrology.open_camels(camels, product=products)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert data.basin.values.tolist() == few
    with pytest.warns(UserWarning, match=r"1 of 4 .* 02000001 \(not in usgs_streamflow\)$"):
        assert dg.hydrology.open_camels(camels, attributes=False).sizes["basin"] == 3
    with pytest.raises(UnknownSiteError, match="usgs_streamflow: no basin '02000001'"):
        dg.hydrology.open_camels(camels, basins=[A, "02000001"])
    for file in (camels / "usgs_streamflow").rglob("*.txt"):
        file.unlink()
    with pytest.raises(UnknownSiteError, match="usgs_streamflow: no basin '01000001'"):
        dg.hydrology.open_camels(camels)


def test_nothing_is_said_where_nothing_is_left_out(camels, recwarn):
    dg.hydrology.open_camels(camels)
    assert not [w for w in recwarn if w.category is UserWarning]


def test_basins_without_gauges(camels):
    known = dg.hydrology.open_camels(camels)
    for file in (camels / "usgs_streamflow").rglob("*.txt"):
        file.unlink()
    (camels / "usgs_streamflow" / A[:2]).rmdir()
    data = dg.hydrology.open_camels(camels, basins=[A, B], flow=False)
    assert "runoff" not in data
    xr.testing.assert_identical(data.drop_vars("files"), known.drop_vars(["runoff", "files"]))
    assert "streamflow" not in data.files.values[0]
    assert dg.hydrology.open_camels(camels, flow=False).basin.values.tolist() == [A, B]
    one = dg.hydrology.basin_data(data, A, gauged=False)
    assert len(one) == 5
    assert np.isnan(one.runoff).all()
    with pytest.raises(DataError, match="no runoff; say which variable holds it"):
        dg.hydrology.basin_data(data, A)
    np.testing.assert_array_equal(dg.hydrology.basin_data(known, A, gauged=False).runoff, known.runoff[0])
    sites = dg.hydrology.site_data(data, ["gauge_lat"], start="2000-02-28")
    assert sites.observed.shape == (2, 4)
    assert sites.observed.isnan().all()


def test_camels_layout_of_the_shared_data(shared_data):
    data = dg.hydrology.open_camels(shared_data / "camels_us_layout")
    assert data.basin.values.tolist() == ["01022500", "01547700", "02064000", "03015500"]
    one = dg.hydrology.basin_data(data, "01022500")
    part = data.sel(basin="01022500", time=one.dates.astype("datetime64[ns]"))
    np.testing.assert_allclose(part.runoff, one.runoff, rtol=1e-14)
    np.testing.assert_array_equal(part.precipitation, one.precipitation)
    assert float(part.area_gages2) == 573.6
    assert float(part.p_mean) == pytest.approx(3.608, abs=1e-3)


def test_attributes_of_camels_have_units_and_can_be_written(shared_data, tmp_path):
    data = dg.hydrology.open_camels(shared_data / "camels_us_layout", basins=["01022500", "01547700"])
    assert not [k for k, v in data.data_vars.items() if v.dtype.kind in "fiu" and "units" not in v.attrs]
    # Shares of days, though the paper has them in per cent.
    units = {k: data[k].attrs["units"] for k in ("zero_q_freq", "hfd_mean", "geol_permeability", "sand_frac", "q95")}
    assert units == {"zero_q_freq": "1", "hfd_mean": "d", "geol_permeability": "1", "sand_frac": "%", "q95": "mm d-1"}
    assert data.geol_permeability.attrs["long_name"].endswith("permeability of the subsurface in m2")
    assert data.hfd_mean.attrs["long_name"].endswith("days from 1 October")
    read = dg.io.read_dataset(dg.io.write_dataset(tmp_path / "camels.nc", data))
    xr.testing.assert_equal(read, data)


def test_classes_that_are_missing_stay_text(camels):
    assert dg.hydrology.open_camels(camels, basins=[B]).geol_1st_class.values.tolist() == [""]


# --- Caravan -------------------------------------------------------------------------------------


def test_a_value_that_cannot_be_names_the_files_of_its_basin(camels):
    file = next((camels / "basin_mean_forcing" / "daymet").rglob(f"{A}*"))
    file.write_text(file.read_text().replace("36000.0\t2\t", "36000.0\t99999\t"))
    data = dg.hydrology.open_camels(camels)
    with pytest.raises(DataError, match="basin 01000001: precipitation is 99999 on 2000-02-28") as caught:
        dg.hydrology.basin_data(data, A)
    assert str(file) in str(caught.value)
    assert str(file) not in data.files.sel(basin=B).item()
    stored = camels.parent / "stored.nc"
    data.to_netcdf(stored, engine="h5netcdf")
    with pytest.raises(DataError, match=f"{stored}: basin 01000001: precipitation is 99999"):
        dg.hydrology.basin_data(dg.hydrology.open_cf(stored), A)
