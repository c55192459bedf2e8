"""Folders of CAMELS-US and Caravan as datasets: values against what was written, and what is wrong by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnitError, UnknownSiteError
from pydiffgeo.io.units import UNSTATED

HEADINGS = {
    "daymet": "Year Mnth Day Hr\tdayl(s)\tprcp(mm/day)\tsrad(W/m2)\tswe(mm)\ttmax(C)\ttmin(C)\tvp(Pa)",
    "maurer": "Year Mnth Day Hr\tdayl(s)\tprcp(mm/day)\tsrad(W/m2)\tswe(mm)\ttmax(C)\ttmin(C)\tvp(Pa)",
    "nldas": "Year Mnth Day Hr\tDayl(s)\tPRCP(mm/day)\tSRAD(W/m2)\tSWE(mm)\tTmax(C)\tTmin(C)\tVp(Pa)",
}
CUBIC_FEET = 1 / 0.3048**3  # in a cubic metre
DAYS = np.arange("2000-02-27", "2000-03-03", dtype="datetime64[D]")
A, B = "01000001", "12345678"


def write_forcing(root: Path, basin: str, product: str, days: np.ndarray, area: str = "86400000") -> Path:
    """Rain is 1, 2, 3, ... mm/d, on a basin of 86.4 km2, where 1 m3/s is 1 mm/d."""
    name = "cida" if product == "daymet" else product
    file = root / "basin_mean_forcing" / product / basin[:2] / f"{basin}_lump_{name}_forcing_leap.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{str(d).replace('-', ' ')} 12\t36000.0\t{i + 1}\t200\t3\t6\t2\t500" for i, d in enumerate(days)]
    file.write_text("\n".join(["  44.8", " 133.0", f" {area}", HEADINGS[product], *rows]) + "\n")
    return file


def write_flow(root: Path, basin: str, days: np.ndarray, flow: list[float]) -> Path:
    file = root / "usgs_streamflow" / basin[:2] / f"{basin}_streamflow_qc.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{basin} {str(d).replace('-', ' ')} {q:10.6f} A" for d, q in zip(days, flow, strict=True)]
    file.write_text("\n".join(rows) + "\n")
    return file


@pytest.fixture
def camels(tmp_path: Path) -> Path:
    root = tmp_path / "basin_dataset_public_v1p2"
    for basin, first in ((A, 0), (B, 1)):
        for product in HEADINGS:
            write_forcing(root, basin, product, DAYS[first:])
        write_flow(root, basin, DAYS[:3], [CUBIC_FEET, -999.0, 2 * CUBIC_FEET])
    tables = tmp_path / "camels_attributes_v2.0"
    tables.mkdir()
    (tables / "camels_topo.txt").write_text(
        f"gauge_id;gauge_lat;area_gages2\n99999999;1;1\n{B};45.0;43.2\n{A};44.0;86.0\n"
    )
    (tables / "camels_geol.txt").write_text(
        f"gauge_id;geol_1st_class;glim_1st_class_frac\n{A};Granite;0.7\n{B};NA;NA\n"
    )
    (tables / "readme.txt").write_text("not a table")
    return root


def test_camels_as_a_dataset(camels):
    data = dg.hydrology.open_camels(camels)
    assert dict(data.sizes) == {"basin": 2, "time": 5}
    assert data.basin.values.tolist() == [A, B]
    np.testing.assert_array_equal(data.time.values.astype("datetime64[D]"), DAYS)
    np.testing.assert_allclose(data.precipitation.values, [[1, 2, 3, 4, 5], [np.nan, 1, 2, 3, 4]])
    np.testing.assert_allclose(data.runoff.values, [[1, np.nan, 2, np.nan, np.nan]] * 2, rtol=1e-6)
    for name, value, unit in (
        ("daylength", 10.0, "h"), ("temperature", 4.0, "degC"), ("temperature_min", 2.0, "degC"),
        ("temperature_max", 6.0, "degC"), ("shortwave_radiation", 200.0, "W m-2"), ("vapour_pressure", 500.0, "Pa"),
        ("snow_water_equivalent", 3.0, "mm"),
    ):  # fmt: skip
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
        ("prcp(mm/day)", "prcp(bananas)", UnitError, "forcing_leap.txt: prcp has the unit 'bananas', which is not known"),
        ("prcp(mm/day)", "prcp(m)", UnitError, "prcp has the unit 'm', which cannot be converted to 'mm d-1'"),
        ("prcp(mm/day)", "rain(mm/day)", DataError, "has no column 'prcp', needed for precipitation"),
        ("2000 02 28", "2000 02 27", TimeAxisError, "2000-02-27 appears twice"),
        ("2000 02 28", "2000 01 28", TimeAxisError, "2000-01-28 follows 2000-02-27: the times are not sorted"),
        ("\t6\t2\t500\n2000 02 28", "\n2000 02 28", DataError, "line 5 is cut off: 8 of 11 entries"),
        ("\tswe(mm)", "", DataError, "line 5 has 11 entries, and the heading in line 4 names 10"),
    ],
)  # fmt: skip
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

UNITS_OF_CARAVAN = """temperature_2m: 2m air temperature [°C]
total_precipitation: Total precipitation [mm]
potential_evaporation_sum_ERA5_LAND: Potential Evaporation [mm] (from ERA5-Land)
snow_depth_water_equivalent: ERA5-Land Snow-Water-Equivalent [mm]
streamflow: Observed streamflow [mm/d]"""


def caravan_file(days: np.ndarray, scale: float = 1.0) -> xr.Dataset:
    n = np.arange(1.0, len(days) + 1)
    names = ("total_precipitation_sum", "temperature_2m_mean", "potential_evaporation_sum_ERA5_LAND", "streamflow")
    data = {name: ("date", (scale * n + i).astype(np.float32)) for i, name in enumerate(names)}
    return xr.Dataset(data, {"date": days.astype("datetime64[ns]")}, {"Units": UNITS_OF_CARAVAN, "Timezone": "UTC"})


@pytest.fixture
def caravan(tmp_path: Path) -> Path:
    root = tmp_path / "Caravan"
    for collection, basins in (("camels", ["camels_1", "camels_2"]), ("lamah", ["lamah_1"])):
        folder = root / "timeseries" / "netcdf" / collection
        folder.mkdir(parents=True)
        tables = root / "attributes" / collection
        tables.mkdir(parents=True)
        for i, basin in enumerate(basins):
            caravan_file(DAYS[i:], scale=i + 1).to_netcdf(folder / f"{basin}.nc", engine="h5netcdf")
        rows = "".join(f"{b},{40 + i},{10 * (i + 1)}\n" for i, b in enumerate(basins))
        (tables / f"attributes_other_{collection}.csv").write_text("gauge_id,gauge_lat,area\n" + rows)
        rows = "".join(f"{b},0.{i + 1}\n" for i, b in enumerate(basins))
        (tables / f"attributes_caravan_{collection}.csv").write_text("gauge_id,frac_snow\n" + rows)
    return root


def test_caravan_as_a_dataset(caravan):
    data = dg.hydrology.open_caravan(
        caravan, variables={"potential_evaporation": "potential_evaporation_sum_ERA5_LAND"}
    )
    assert dict(data.sizes) == {"basin": 3, "time": 5}
    assert data.basin.values.tolist() == ["camels_1", "camels_2", "lamah_1"]
    np.testing.assert_allclose(data.precipitation, [[1, 2, 3, 4, 5], [np.nan, 2, 4, 6, 8], [1, 2, 3, 4, 5]])
    np.testing.assert_allclose(data.runoff[0], [4, 5, 6, 7, 8])
    assert {n: data[n].attrs["units"] for n in ("precipitation", "temperature", "potential_evaporation", "runoff")} == {
        "precipitation": "mm d-1", "temperature": "degC", "potential_evaporation": "mm d-1", "runoff": "mm d-1"
    }  # fmt: skip
    np.testing.assert_allclose(data.area, [10, 20, 10])
    np.testing.assert_allclose(data.frac_snow, [0.1, 0.2, 0.1])
    reverse = dg.hydrology.open_caravan(caravan, basins=["lamah_1", "camels_2"])
    assert reverse.basin.values.tolist() == ["lamah_1", "camels_2"]
    np.testing.assert_allclose(reverse.gauge_lat, [40, 41])


def test_both_kinds_of_potential_evaporation_are_found(caravan):
    assert dg.hydrology.open_caravan(caravan).potential_evaporation[0, 0] == 3
    for file in caravan.rglob("*.nc"):
        newer = {
            "potential_evaporation_sum_FAO_PENMAN_MONTEITH": ("date", np.full(len(xr.load_dataset(file).date), 7.0))
        }
        changed(file, lambda d, newer=newer: d.assign(newer).assign_attrs(
            Units=d.Units + "\npotential_evaporation_sum_FAO_PENMAN_MONTEITH: Potential Evaporation [mm] (FAO)"))  # fmt: skip
    data = dg.hydrology.open_caravan(caravan)
    np.testing.assert_array_equal(data.potential_evaporation[0], 7)
    assert data.left_out == "potential_evaporation_sum_ERA5_LAND"


def test_attributes_of_caravan_have_units(caravan):
    names = (
        "pet_mean_ERA5_LAND",
        "pet_mean_FAO_PM",
        "aridity_ERA5_LAND",
        "moisture_index_FAO_PM",
        "seasonality",
        "pet_mean",
    )
    for table in caravan.rglob("attributes_caravan_*.csv"):
        heading, *rows = table.read_text().split()
        table.write_text("\n".join([heading + "," + ",".join(names) + ",ele_mt_sav", *(r + ",1" * 7 for r in rows)]))
    data = dg.hydrology.open_caravan(caravan)
    units = ["mm d-1", "mm d-1", "1", "1", "1", "mm d-1"]
    assert [data[k].attrs["units"] for k in names] == units
    assert data.area.attrs["units"] == "km2"
    # No unit is made up, and none does not mean that it is dimensionless.
    assert "units" not in data.ele_mt_sav.attrs
    assert data.ele_mt_sav.attrs["comment"] == UNSTATED
    said = dg.hydrology.open_caravan(caravan, units={"ele_mt_sav": "m"})
    assert said.ele_mt_sav.attrs["units"] == "m"
    assert "comment" not in said.ele_mt_sav.attrs
    with pytest.raises(UnitError, match="attributes: ele_mt_sav has the unit 'metre high', which is not known"):
        dg.hydrology.open_caravan(caravan, units={"ele_mt_sav": "metre high"})


def test_caravan_can_be_written(caravan, tmp_path):
    for table in caravan.rglob("attributes_other_*.csv"):
        heading, *rows = table.read_text().split()
        table.write_text("\n".join([heading + ",ele_mt_sav", *(r + ",1" for r in rows)]))
    data = dg.hydrology.open_caravan(caravan)
    read = dg.io.read_dataset(dg.io.write_dataset(tmp_path / "caravan.nc", data))
    xr.testing.assert_equal(read, data)
    assert "units" not in read.ele_mt_sav.attrs
    assert read.ele_mt_sav.attrs["comment"] == UNSTATED
    # Of series, the unit is always to be known.
    del data.precipitation.attrs["units"]
    data.precipitation.attrs["comment"] = UNSTATED
    with pytest.raises(UnitError, match="precipitation has no attribute 'units'"):
        dg.io.write_dataset(tmp_path / "caravan.nc", data)


@pytest.fixture
def generic(tmp_path: Path) -> Path:
    root = tmp_path / "generic"
    (root / "time_series").mkdir(parents=True)
    (root / "attributes").mkdir()
    for basin in ("a", "b"):
        data = xr.Dataset(
            {"rain": ("date", np.arange(5.0)), "q": ("date", np.full(5, 8.64))}, {"date": DAYS.astype("datetime64[ns]")}
        )
        data.rain.attrs["units"], data.q.attrs["units"] = "m/d", "m3/s"
        data.to_netcdf(root / "time_series" / f"{basin}.nc", engine="h5netcdf")
    (root / "attributes" / "attributes.csv").write_text("gauge_id,area,country\na,86.4,X\nb,8.64,Y\n")
    return root


CHOSEN = {"precipitation": "rain", "runoff": "q"}
KM2 = {"area": "km2"}


def test_the_generic_layout(generic):
    data = dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    np.testing.assert_allclose(data.precipitation[0], [0, 1000, 2000, 3000, 4000])
    # 8.64 m3/s on 86.4 and 8.64 km2.
    np.testing.assert_allclose(data.runoff[:, 0], [8.64, 86.4])
    assert data.country.values.tolist() == ["X", "Y"]
    (generic / "attributes" / "attributes.csv").unlink()
    with pytest.raises(DataError, match=r"a.nc: q is a volume per time.*argument area"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    with pytest.raises(DataError, match=r"b.nc: basin b has no area"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN, area={"a": 86.4})
    np.testing.assert_allclose(
        dg.hydrology.open_caravan(generic, variables=CHOSEN, area={"a": 86.4, "b": 1}).runoff[0], 8.64
    )


def test_the_area_of_the_generic_layout_has_no_unit_but_that_which_is_said(generic):
    table = generic / "attributes" / "attributes.csv"
    table.write_text("gauge_id,area,country\na,86.4e6,X\nb,8.64e6,Y\n")
    with pytest.raises(
        UnitError, match=r"a.nc: q is a volume per time.*area has no attribute 'units'.*'km2'"
    ) as caught:
        dg.hydrology.open_caravan(generic, variables=CHOSEN)
    assert caught.value.variable == "area"
    data = dg.hydrology.open_caravan(generic, variables=CHOSEN, units={"area": "m2"})
    np.testing.assert_allclose(data.runoff[:, 0], [8.64, 86.4])
    assert data.area.attrs["units"] == "m2"
    np.testing.assert_allclose(data.area, [86.4e6, 8.64e6])
    # Where it is not needed, it stays as it is.
    for options in ({"variables": {"precipitation": "rain"}}, {"variables": CHOSEN, "area": {"a": 86.4, "b": 8.64}}):
        data = dg.hydrology.open_caravan(generic, **options)
        assert "units" not in data.area.attrs
        assert data.area.attrs["comment"] == UNSTATED
    # A unit is that of numbers; the text of a country has none.
    assert (
        "units" not in dg.hydrology.open_caravan(generic, variables=CHOSEN, units={**KM2, "country": "m"}).country.attrs
    )


def changed(file: Path, change) -> None:
    data = xr.load_dataset(file)
    data = change(data)
    data.to_netcdf(file, engine="h5netcdf")


def test_what_is_wrong_in_a_folder_is_named(generic, tmp_path):
    file = generic / "time_series" / "b.nc"
    whole = file.read_bytes()
    with pytest.raises(DataError, match="no basin 'c' among 2"):
        dg.hydrology.open_caravan(generic, basins=["a", "c"], variables=CHOSEN)
    with pytest.raises(
        DataError, match=r"a.nc: no variable 'discharge' for runoff; it has \['area', 'country', 'q', 'rain'\]"
    ):
        dg.hydrology.open_caravan(generic, variables={"runoff": "discharge"})
    with pytest.raises(DataError, match=r"a.nc: none of its variables is known"):
        dg.hydrology.open_caravan(generic)
    with pytest.raises(DataError, match="no files of basins"):
        dg.hydrology.open_caravan(tmp_path / "absent")
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"b.nc: cannot be opened as NetCDF"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    for change, error, message in (
        (lambda d: d.isel(date=[0, 1, 1, 2]), TimeAxisError, "b.nc: 2000-02-28 appears twice"),
        (lambda d: d.isel(date=[1, 0]), TimeAxisError, "b.nc: 2000-02-27 follows 2000-02-28: the times are not sorted"),
        (lambda d: d.assign(rain=("date", d.rain.values)), UnitError, "b.nc: rain has no attribute 'units'"),
        (lambda d: d.assign(rain=d.rain.assign_attrs(units="K")), UnitError, "b.nc: rain has the unit 'K'"),
        (
            lambda d: d.assign_coords(date=d.date + np.timedelta64(6, "h")),
            TimeAxisError,
            "b.nc: its times.* do not meet",
        ),
    ):
        file.write_bytes(whole)
        changed(file, change)
        with pytest.raises(error, match=message):
            dg.hydrology.open_caravan(generic, variables=CHOSEN, units=KM2)
    file.write_bytes(whole)
    (generic / "attributes" / "attributes.csv").write_text("gauge_id,area\na,86.4\n")
    with pytest.raises(DataError, match=r"attributes.csv: no basin 'b'"):
        dg.hydrology.open_caravan(generic, variables=CHOSEN)


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
