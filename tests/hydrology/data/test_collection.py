"""Text layouts of collections: made files in the exact layout, with values that tell what went where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import DataError, TimeAxisError, UnknownSiteError

N = np.nan


def write(root: Path, name: str, *lines: str, encoding: str = "utf-8") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def series(data: xr.Dataset, name: str, basin: str) -> list[float]:
    return data[name].sel(basin=basin).values.tolist()


def same(found: list[float], wanted: list[float]) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-12, equal_nan=True)


GB = (
    "date,precipitation,pet,temperature,discharge_spec,discharge_vol,peti,humidity,shortwave_rad,longwave_rad,windspeed"
)


def gb(root: Path) -> Path:
    for basin, plus in (("10002", 0), ("41004", 100)):
        write(
            root,
            f"data/timeseries/CAMELS_GB_hydromet_timeseries_{basin}_19701001-20150930.csv",
            GB,
            f"1970-10-01,{plus + 1},1.8,13.2,NaN,NaN,1.9,8.1,120.5,330.1,4.2",
            f"1970-10-02,{plus + 2},1.7,12.2,0.16,0.77,1.8,8.0,110.5,320.1,4.1",
        )
    write(
        root,
        "data/CAMELS_GB_topographic_attributes.csv",
        "gauge_id,gauge_name,gauge_lat,gauge_lon,gauge_easting,gauge_northing,gauge_elev,area,elev_min",
        "10002,Ugie at Inverugie,57.53,-1.83,410100,848500,8.5,325.0,9.7",
        '41004,"Ouse, at Barcombe",50.92,0.04,543300,114800,5.2,395.7,5.4',
    )
    return root


def test_camels_gb(tmp_path: Path) -> None:
    data = dg.hydrology.open_collection(gb(tmp_path), "camels-gb")
    assert data["basin"].values.tolist() == ["10002", "41004"]
    assert data["time"].values.astype("datetime64[D]").tolist() == [
        np.datetime64("1970-10-01").item(),
        np.datetime64("1970-10-02").item(),
    ]
    same(series(data, "precipitation", "41004"), [101.0, 102.0])
    same(series(data, "runoff", "10002"), [N, 0.16])
    same(series(data, "potential_evaporation", "10002"), [1.8, 1.7])
    same(series(data, "shortwave_radiation", "10002"), [120.5, 110.5])
    assert data["specific_humidity"].attrs["units"] == "g kg-1"
    assert data["runoff"].attrs["units"] == "mm d-1"
    assert data["area"].values.tolist() == [325.0, 395.7]
    assert data["area"].attrs["units"] == "km2"
    assert data["gauge_name"].values.tolist() == ["Ugie at Inverugie", "Ouse, at Barcombe"]
    assert "CAMELS_GB_hydromet_timeseries_10002" in str(data["files"].values[0])
    # As the other readers' datasets it makes a basin, with the length of days by its latitude.
    basin = dg.hydrology.basin_data(data, "41004")
    assert basin.precipitation.tolist() == [101.0, 102.0]
    assert 11.0 < basin.daylength[0] < 12.0


def test_camels_de_with_and_without_simulations(tmp_path: Path) -> None:
    write(
        tmp_path,
        "timeseries/CAMELS_DE_hydromet_timeseries_DE110000.csv",
        "date,discharge_vol_obs,discharge_spec_obs,water_level_obs,precipitation_mean,precipitation_min,precipitation_median,"
        "precipitation_max,precipitation_stdev,humidity_mean,humidity_min,humidity_median,humidity_max,humidity_stdev,"
        "radiation_global_mean,radiation_global_min,radiation_global_median,radiation_global_max,radiation_global_stdev,"
        "temperature_mean,temperature_min,temperature_max",
        "1951-01-01,,,,3.5,1.0,3.2,7.9,1.1,91.0,85.0,91.5,95.0,2.0,18.2,15.0,18.1,22.0,1.5,-0.4,-3.1,2.2",
        "1951-01-02,10.1,1.21,,0.0,0.0,0.0,0.1,0.0,81.0,75.0,81.5,85.0,2.0,28.2,25.0,28.1,32.0,1.5,0.6,-2.1,3.2",
    )
    write(
        tmp_path,
        "CAMELS_DE_topographic_attributes.csv",
        "gauge_id,provider_id,gauge_name,water_body_name,federal_state,gauge_lon,gauge_lat,gauge_elev,area",
        "DE110000,1470,Berg,Donau,Baden-Württemberg,9.73,48.27,489.5,4073.0",
    )
    data = dg.hydrology.open_collection(tmp_path, "camels-de")
    assert data.attrs["left_out"] == "potential_evaporation"
    same(series(data, "runoff", "DE110000"), [N, 1.21])
    same(series(data, "precipitation", "DE110000"), [3.5, 0.0])
    same(series(data, "temperature_min", "DE110000"), [-3.1, -2.1])
    same(series(data, "shortwave_radiation", "DE110000"), [18.2, 28.2])
    assert data["federal_state"].item() == "Baden-Württemberg"
    write(
        tmp_path,
        "timeseries_simulated/CAMELS_DE_discharge_sim_DE110000.csv",
        "date,pet_hargreaves,discharge_vol_obs,discharge_spec_obs,discharge_vol_sim_lstm,discharge_spec_sim_lstm,simulation_period",
        "1951-01-02,0.35,10.1,1.21,9.8,1.18,training",
        "1951-01-03,0.45,,,9.7,1.17,training",
    )
    data = dg.hydrology.open_collection(tmp_path, "camels-de")
    same(series(data, "potential_evaporation", "DE110000"), [N, 0.35, 0.45])
    same(series(data, "precipitation", "DE110000"), [3.5, 0.0, N])


def test_camels_ch_of_both_releases(tmp_path: Path) -> None:
    for degrees, separator, name in (("degC", ",", "new"), ("°C", ";", "old")):
        root = tmp_path / name
        heading = [
            "date",
            "discharge_vol(m3/s)",
            "discharge_spec(mm/d)",
            "waterlevel(m)",
            "precipitation(mm/d)",
            f"temperature_min({degrees})",
            f"temperature_mean({degrees})",
            f"temperature_max({degrees})",
            "rel_sun_dur(%)",
            "swe(mm)",
        ]
        write(
            root,
            "timeseries/observation_based/CAMELS_CH_obs_based_2004.csv",
            separator.join(heading),
            separator.join(["1981-01-01", "NaN", "NaN", "428.99", "2.3", "-3.1", "0.5", "4.2", "45.0", "10.0"]),
            separator.join(["1981-01-02", "12.5", "1.51", "429.1", "0.0", "-4.2", "-0.8", "2.1", "72.0", "10.5"]),
        )
        write(
            root,
            "timeseries/simulation_based/CAMELS_CH_sim_based_2004.csv",
            separator.join(["date", "discharge_vol_sim(m3/s)", "pet_sim(mm/d)"]),
            separator.join(["1981-01-01", "10.0", "0.2"]),
            separator.join(["1981-01-02", "10.0", "0.3"]),
        )
        write(
            root,
            "static_attributes/CAMELS_CH_topographic_attributes.csv",
            "# Topographic attributes",
            separator.join(["gauge_id", "country", "gauge_name", "gauge_lon", "gauge_lat", "area", "elev_mean"]),
            separator.join(["2004", "CH", "Murten", "7.12", "46.93", "712.7", "659.1"]),
        )
        data = dg.hydrology.open_collection(root, "camels-ch")
        same(series(data, "runoff", "2004"), [N, 1.51])
        same(series(data, "temperature", "2004"), [0.5, -0.8])
        same(series(data, "snow_water_equivalent", "2004"), [10.0, 10.5])
        same(series(data, "potential_evaporation", "2004"), [0.2, 0.3])
        assert data["area"].item() == 712.7
        assert data["gauge_lat"].item() == 46.93


def test_camels_br_by_product(tmp_path: Path) -> None:
    write(
        tmp_path,
        "03_CAMELS_BR_streamflow_mm_selected_catchments/10500000_streamflow_mm.txt",
        "year month day streamflow_mm qual_control_by_ana qual_flag",
        "1980 9 30 nan nan nan",
        "1980 10 1 4.25 1.0 1.0",
    )
    for folder, name, values in (
        ("05_CAMELS_BR_precipitation_chirps", "precipitation_chirps", (7.0, 8.0)),
        ("06_CAMELS_BR_precipitation_mswep", "precipitation_mswep", (5.0, 6.0)),
        ("10_CAMELS_BR_potential_evapotransp_gleam", "potential_evapotransp_gleam", (3.0, 3.5)),
        ("12_CAMELS_BR_temperature_mean_cpc", "temperature_mean", (26.0, 27.0)),
    ):
        write(
            tmp_path,
            f"{folder}/10500000_{name}.txt",
            f"year month day {name}",
            f"1980 9 30 {values[0]}",
            f"1980 10 1 {values[1]}",
        )
    for name, columns, entries in (
        ("topography", "elev_gauge elev_mean area", "85 120.5 16558.04"),
        ("location", "gauge_name gauge_region gauge_lat gauge_lon", '"ESTIRAO DO REPOUSO" Amazon -4.34 -70.9'),
    ):
        write(
            tmp_path,
            f"01_CAMELS_BR_attributes/camels_br_{name}.txt",
            f"gauge_id {columns}",
            f"10500000 {entries}",
        )
    data = dg.hydrology.open_collection(tmp_path, "camels-br")
    same(series(data, "runoff", "10500000"), [N, 4.25])
    same(series(data, "precipitation", "10500000"), [7.0, 8.0])
    same(series(data, "potential_evaporation", "10500000"), [3.0, 3.5])
    assert data.attrs["left_out"] == "temperature_min, temperature_max"
    assert data["gauge_name"].item() == "ESTIRAO DO REPOUSO"
    assert data["area"].item() == 16558.04
    other = dg.hydrology.open_collection(tmp_path, "camels-br", products={"precipitation": "mswep"})
    same(series(other, "precipitation", "10500000"), [5.0, 6.0])
    with pytest.raises(DataError, match=r"no file of precipitation by cpc"):
        dg.hydrology.open_collection(tmp_path, "camels-br", products={"precipitation": "cpc"})
    with pytest.raises(DataError, match=r"precipitation has no product 'era5'; it has \['chirps', 'mswep', 'cpc'\]"):
        dg.hydrology.open_collection(tmp_path, "camels-br", products={"precipitation": "era5"})


def test_camels_cl_of_both_releases(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    write(new, "q_mm_day.csv", "date,1001001,1001002", "2000-01-01,,0.5", "2000-01-02,0.4,0.6")
    write(new, "precip_cr2met_mm_day.csv", "date,1001001,1001002", "2000-01-01,1,2", "2000-01-02,3,4")
    write(new, "tmean_cr2met_C_day.csv", "date,1001001,1001002", "2000-01-01,11,12", "2000-01-02,13,14")
    write(
        new,
        "catchment_attributes.csv",
        "gauge_id,gauge_name,gauge_lat,gauge_lon,area",
        "1001001,Rio Caquena En Nacimiento,-18.08,-69.2,132.3",
        "1001002,Rio Caquena En Vertedero,-18.06,-69.21,491.6",
    )
    write(
        old,
        "3_CAMELScl_streamflow_mm/3_CAMELScl_streamflow_mm.txt",
        '"gauge_id"\t"1001001"\t"1001002"',
        '"2000-01-01"\t" "\t"0.5"',
        '"2000-01-02"\t"0.4"\t"0.6"',
    )
    write(
        old,
        "4_CAMELScl_precip_cr2met/4_CAMELScl_precip_cr2met.txt",
        '"gauge_id"\t"1001001"\t"1001002"',
        '"2000-01-01"\t"1"\t"2"',
        '"2000-01-02"\t"3"\t"4"',
    )
    write(
        old,
        "1_CAMELScl_attributes/1_CAMELScl_attributes.txt",
        '"gauge_id"\t"1001001"\t"1001002"',
        '"gauge_name"\t"Rio Caquena En Nacimiento"\t"Rio Caquena En Vertedero"',
        '"gauge_lat"\t"-18.08"\t"-18.06"',
        '"area"\t"132.3"\t"491.6"',
    )
    for root in (new, old):
        data = dg.hydrology.open_collection(root, "camels-cl")
        assert data["basin"].values.tolist() == ["1001001", "1001002"]
        same(series(data, "runoff", "1001001"), [N, 0.4])
        same(series(data, "runoff", "1001002"), [0.5, 0.6])
        same(series(data, "precipitation", "1001002"), [2.0, 4.0])
        assert data["area"].values.tolist() == [132.3, 491.6]
        assert data["gauge_lat"].values.tolist() == [-18.08, -18.06]
        assert data["gauge_name"].values[1] == "Rio Caquena En Vertedero"


def test_camels_aus(tmp_path: Path) -> None:
    gauges = "year,month,day,912101A,912105A"
    write(tmp_path, "03_streamflow/streamflow_mmd.csv", gauges, "1990,1,9,-99.99,0.2", "1990,1,10,0.3,0.4")
    forcing = "05_hydrometeorology"
    write(
        tmp_path,
        f"{forcing}/01_precipitation_timeseries/precipitation_AWAP.csv",
        gauges,
        "1990,1,9,1,2",
        "1990,1,10,3,4",
    )
    write(
        tmp_path,
        f"{forcing}/01_precipitation_timeseries/precipitation_SILO.csv",
        gauges,
        "1990,1,9,5,6",
        "1990,1,10,7,8",
    )
    other = f"{forcing}/03_Other/AWAP"
    write(tmp_path, f"{other}/tmin_AWAP.csv", gauges, "1990,1,9,20,21", "1990,1,10,22,23")
    write(tmp_path, f"{other}/tmax_AWAP.csv", gauges, "1990,1,9,30,31", "1990,1,10,32,33")
    demand = f"{forcing}/02_EvaporativeDemand_timeseries"
    write(tmp_path, f"{demand}/et_short_crop_SILO.csv", gauges, "1990,1,9,6.1,6.2", "1990,1,10,6.3,6.4")
    write(tmp_path, f"{demand}/et_morton_wet_SILO.csv", gauges, "1990,1,9,7.1,7.2", "1990,1,10,7.3,7.4")
    write(
        tmp_path,
        "02_location_boundary_area/location_boundary_area.csv",
        "station_id,lat_outlet,long_outlet,lat_centroid,long_centroid,map_zone,catchment_area,nested_status",
        "912101A,-18.6,138.5,-18.9,138.2,54,4393,Not nested",
        "912105A,-18.4,138.8,-18.6,138.5,54,5628,Level1",
    )
    data = dg.hydrology.open_collection(tmp_path, "camels-aus")
    same(series(data, "runoff", "912101A"), [N, 0.3])
    same(series(data, "precipitation", "912105A"), [2.0, 4.0])
    same(series(data, "potential_evaporation", "912101A"), [7.1, 7.3])
    assert data["area"].values.tolist() == [4393.0, 5628.0]
    assert data["gauge_lat"].values.tolist() == [-18.6, -18.4]
    silo = dg.hydrology.open_collection(
        tmp_path,
        "camels-aus",
        basins=["912105A"],
        products={"precipitation": "SILO", "potential_evaporation": "et_short_crop"},
    )
    same(series(silo, "precipitation", "912105A"), [6.0, 8.0])
    same(series(silo, "potential_evaporation", "912105A"), [6.2, 6.4])
    # The mean of the extremes stands for the mean of the day.
    assert dg.hydrology.basin_data(data, "912105A").temperature.tolist() == [26.0, 28.0]


def lamah(root: Path) -> Path:
    basins = "A_basins_total_upstrm"
    write(
        root,
        f"{basins}/2_timeseries/daily/ID_1.csv",
        "YYYY;MM;DD;DOY;2m_temp_max;2m_temp_mean;2m_temp_min;2m_dp_temp_max;2m_dp_temp_mean;2m_dp_temp_min;10m_wind_u;"
        "10m_wind_v;fcst_alb;lai_high_veg;lai_low_veg;swe;surf_net_solar_rad_max;surf_net_solar_rad_mean;"
        "surf_net_therm_rad_max;surf_net_therm_rad_mean;surf_press;total_et;prec;volsw_123;volsw_4",
        "1981;1;1;1;-1.5;-4;-8;-3;-6;-9;0.5;-0.2;0.6;2.1;1.9;85.5;300;60;-20;-50;85000;0.1;4.4;0.3;0.31",
        "1981;1;2;2;-2.5;-5;-9;-4;-7;-10;0.5;-0.2;0.6;2.1;1.9;89.5;310;61;-21;-51;85100;0.1;5.5;0.3;0.31",
    )
    # The same names elsewhere hold parts of basins, and hours.
    write(root, "B_basins_intermediate_all/2_timeseries/daily/ID_1.csv", "YYYY;MM;DD;prec", "1981;1;1;99")
    write(root, f"{basins}/2_timeseries/hourly/ID_1.csv", "YYYY;MM;DD;hh;mm;prec", "1981;1;1;0;0;99")
    write(
        root,
        "D_gauges/2_timeseries/daily/ID_1.csv",
        "YYYY;MM;DD;qobs;ckhs;qceq;qcol",
        "1981;1;1;-999;0;0;0",
        "1981;1;2;10;0;0;0",
    )
    for folder, area in ((basins, 864), ("B_basins_intermediate_all", 1)):
        write(root, f"{folder}/1_attributes/Catchment_attributes.csv", "ID;area_calc;elev_mean", f"1;{area};1860")
    return root


def test_lamah_ce(tmp_path: Path) -> None:
    data = dg.hydrology.open_collection(lamah(tmp_path), "lamah-ce")
    # Ten cubic metres per second on 864 square kilometres are a millimetre per day.
    same(series(data, "runoff", "1"), [N, 1.0])
    assert data["runoff"].attrs["units"] == "mm d-1"
    same(series(data, "precipitation", "1"), [4.4, 5.5])
    same(series(data, "temperature_min", "1"), [-8.0, -9.0])
    same(series(data, "net_shortwave_radiation", "1"), [60.0, 61.0])
    assert data["area"].item() == 864.0


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    root = gb(tmp_path)
    file = next(root.rglob("*_10002_*"))
    text = file.read_text()
    for wrong, what in (
        (text.replace("13.2", "warm"), r"10002_.*csv: line 2 has no number for 'temperature': 'warm'"),
        (text.replace("13.2", "inf"), r"line 2 has an infinite 'temperature'"),
        (text.replace("precipitation,", "rain,"), r"the heading has no column 'precipitation'; it has date, rain"),
        (text.replace("pet,", "precipitation,"), r"the heading has 2 columns 'precipitation'"),
        (text.replace(",4.1", ""), r"line 3 has 10 entries for 11 columns"),
        (text.replace("1970-10-02", "2nd of May"), r"line 3 has no date in 'date': '2nd of May'"),
        ("# nothing\n", r"has no heading"),
    ):
        file.write_text(wrong)
        with pytest.raises(DataError, match=what):
            dg.hydrology.open_collection(root, "camels-gb")
    file.write_text(text.replace("1970-10-02", "1970-10-01"))
    with pytest.raises(TimeAxisError, match=r"10002.*1970-10-01 appears twice"):
        dg.hydrology.open_collection(root, "camels-gb")
    file.write_text(text + text.splitlines()[-1].replace("1970-10-02", "1970-10-04") + "\n")
    with pytest.raises(TimeAxisError, match="1 times are missing"):
        dg.hydrology.open_collection(root, "camels-gb", basins=["10002"], gaps="refuse")
    file.write_text(text)
    with pytest.raises(UnknownSiteError, match="no basin '99'"):
        dg.hydrology.open_collection(root, "camels-gb", basins=["99"])
    with pytest.raises(DataError, match=r"no files of CAMELS-CH"):
        dg.hydrology.open_collection(root, "camels-ch")
    with pytest.raises(DataError, match="collection must be"):
        dg.hydrology.open_collection(root, "camels-xx")


def test_basins_that_lack_some_series_are_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path, "03/10500000_streamflow_mm.txt", "year month day streamflow_mm", "1980 9 30 1")
    for basin in ("10500000", "11400000"):
        write(
            tmp_path,
            f"05/{basin}_precipitation_chirps.txt",
            "year month day precipitation_chirps",
            "1980 9 30 1",
        )
    with pytest.warns(UserWarning, match="1 of 2 basins lack some series and are left out: 11400000"):
        data = dg.hydrology.open_collection(tmp_path, "camels-br")
    assert data["basin"].values.tolist() == ["10500000"]


def test_caravan_as_csv(tmp_path: Path) -> None:
    names = "total_precipitation_sum,temperature_2m_mean,temperature_2m_min,temperature_2m_max"
    more = "snow_depth_water_equivalent_mean,potential_evaporation_sum_ERA5_LAND,potential_evaporation_sum_FAO_PENMAN_MONTEITH,streamflow"
    for basin, plus in (("camels_01013500", 0.0), ("camels_02017500", 10.0)):
        write(
            tmp_path,
            f"timeseries/csv/camels/{basin}.csv",
            f"date,{names},{more}",
            f"1981-01-01,{plus + 1.5},-4.5,-8.0,-1.0,30.0,0.9,0.3,",
            f"1981-01-02,{plus + 2.5},-3.5,-7.0,0.0,31.0,0.8,0.2,0.75",
        )
    write(
        tmp_path,
        "attributes/camels/attributes_other_camels.csv",
        "gauge_id,gauge_name,country,gauge_lat,gauge_lon,area",
        "camels_01013500,Fish River,USA,47.2,-68.6,2252.7",
        "camels_02017500,Johns Creek,USA,37.5,-80.1,285.3",
    )
    data = dg.hydrology.open_caravan(tmp_path)
    same(series(data, "precipitation", "camels_02017500"), [11.5, 12.5])
    same(series(data, "temperature", "camels_01013500"), [-4.5, -3.5])
    same(series(data, "runoff", "camels_01013500"), [N, 0.75])
    # As of NetCDF, the better of the two.
    same(series(data, "potential_evaporation", "camels_01013500"), [0.3, 0.2])
    assert data["area"].values.tolist() == [2252.7, 285.3]
    one = dg.hydrology.open_caravan(tmp_path, basins=["camels_02017500"])
    assert one["basin"].values.tolist() == ["camels_02017500"]
    file = tmp_path / "timeseries/csv/camels/camels_02017500.csv"
    file.write_text(file.read_text().replace("12.5", "wet"))
    with pytest.raises(
        DataError, match=r"camels_02017500.csv: line 3 has no number for 'total_precipitation_sum': 'wet'"
    ):
        dg.hydrology.open_caravan(tmp_path)
