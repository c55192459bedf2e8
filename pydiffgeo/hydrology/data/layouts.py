"""Text layouts of collections of basins: which file holds what, under which name, in which unit, as their authors say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """A series in a file.

    Attributes:
        quantity: its name in the dataset: one of `quantities.SERIES`, or another one, which keeps its unit.
        names: of the column; that of other releases as well.
        unit: in the file.
    """

    quantity: str
    names: tuple[str, ...]
    unit: str


@dataclass(frozen=True)
class Source:
    """Files that hold series.

    Attributes:
        files: what their names match. With a group, that is the basin, and each has a file of its own; without one,
            the basins are the columns of a single file, and `columns` has one entry.
        columns: what they hold.
        folder: how the path of their folder ends, where names alone do not tell.
        product: by which it is chosen where several have the same quantity; the first one else.
        missing: numbers that stand for missing values.
    """

    files: str
    columns: tuple[Column, ...]
    folder: str = ""
    product: str = ""
    missing: tuple[float, ...] = ()

    @property
    def wide(self) -> bool:
        return re.compile(self.files).groups == 0


@dataclass(frozen=True)
class Layout:
    """A collection.

    Attributes:
        title: its name, and the paper. sources: its series.
        time: columns of the date, in each file one of these.
        tables: names of the tables of attributes, whose first column is the basin; `transposed` where that is the first row.
        renamed: attributes whose names are not those of other collections.
        units: of attributes.
    """

    title: str
    sources: tuple[Source, ...]
    time: tuple[tuple[str, ...], ...] = (("date",),)
    tables: str = ""
    tables_folder: str = ""
    transposed: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


_PLACE = {"area": "km2", "gauge_lat": "degrees_north", "gauge_lon": "degrees_east", "gauge_elev": "m", "elev_mean": "m"}
_RUNOFF, _RAIN, _PET = "runoff", "precipitation", "potential_evaporation"
_MEAN, _MIN, _MAX = "temperature", "temperature_min", "temperature_max"


def _one(quantity: str, unit: str, *names: str) -> Column:
    return Column(quantity, names, unit)


_GB = Source(
    r"CAMELS_GB_hydromet_timeseries_(\w+?)(?:_\d{8}-\d{8})?\.csv",
    (
        _one(_RAIN, "mm d-1", "precipitation"),
        _one(_PET, "mm d-1", "pet"),
        _one("potential_evaporation_with_interception", "mm d-1", "peti"),
        _one(_MEAN, "degC", "temperature"),
        _one(_RUNOFF, "mm d-1", "discharge_spec"),
        _one("specific_humidity", "g kg-1", "humidity"),
        _one("shortwave_radiation", "W m-2", "shortwave_rad"),
        _one("longwave_radiation", "W m-2", "longwave_rad"),
        _one("wind_speed", "m s-1", "windspeed"),
    ),
)
_DE = (
    Source(
        r"CAMELS_DE_hydromet_timeseries_(\w+)\.csv",
        (
            _one(_RUNOFF, "mm d-1", "discharge_spec_obs", "discharge_spec"),
            _one(_RAIN, "mm d-1", "precipitation_mean"),
            _one(_MEAN, "degC", "temperature_mean"),
            _one(_MIN, "degC", "temperature_min"),
            _one(_MAX, "degC", "temperature_max"),
            _one("relative_humidity", "%", "humidity_mean"),
            _one("shortwave_radiation", "W m-2", "radiation_global_mean"),
        ),
    ),
    Source(r"CAMELS_DE_discharge_sim_(\w+)\.csv", (_one(_PET, "mm d-1", "pet_hargreaves"),)),
)
_CH = (
    Source(
        r"CAMELS_CH_obs_based_(\w+)\.csv",
        (
            _one(_RUNOFF, "mm d-1", "discharge_spec(mm/d)"),
            _one(_RAIN, "mm d-1", "precipitation(mm/d)"),
            _one(_MIN, "degC", "temperature_min(degC)", "temperature_min(°C)"),
            _one(_MEAN, "degC", "temperature_mean(degC)", "temperature_mean(°C)"),
            _one(_MAX, "degC", "temperature_max(degC)", "temperature_max(°C)"),
            _one("relative_sunshine_duration", "%", "rel_sun_dur(%)"),
            _one("snow_water_equivalent", "mm", "swe(mm)"),
        ),
    ),
    Source(r"CAMELS_CH_sim_based_(\w+)\.csv", (_one(_PET, "mm d-1", "pet_sim(mm/d)"),)),
)


def _of_brazil(column: str, quantity: str, unit: str, product: str = "", file: str = "") -> Source:
    return Source(rf"(\d+)_{file or column}\.txt", (_one(quantity, unit, column),), product=product)


_BR = (
    Source(r"(\d+)_streamflow(?:_mm)?\.txt", (_one(_RUNOFF, "mm d-1", "streamflow_mm"),)),
    *(_of_brazil(f"precipitation_{name}", _RAIN, "mm d-1", name) for name in ("chirps", "mswep", "cpc")),
    _of_brazil("potential_evapotransp_gleam", _PET, "mm d-1", "gleam"),
    _of_brazil("temperature_mean", _MEAN, "degC", "cpc"),
    _of_brazil("temperature_min", _MIN, "degC", "cpc"),
    _of_brazil("temperature_max", _MAX, "degC", "cpc"),
)


def _of_chile(files: str, quantity: str, unit: str, product: str = "") -> Source:
    return Source(files, (_one(quantity, unit),), product=product)


_CL = (
    _of_chile(r"q_mm_day\.csv|3_CAMELScl_streamflow_mm\.txt", _RUNOFF, "mm d-1"),
    *(
        _of_chile(rf"precip_{name}_mm_day\.csv|\d_CAMELScl_precip_{name}\.txt", _RAIN, "mm d-1", name)
        for name in ("cr2met", "chirps", "mswep", "tmpa")
    ),
    _of_chile(r"tmean_cr2met_C_day\.csv|10_CAMELScl_tmean_cr2met\.txt", _MEAN, "degC", "cr2met"),
    _of_chile(r"tmin_cr2met_C_day\.csv|8_CAMELScl_tmin_cr2met\.txt", _MIN, "degC", "cr2met"),
    _of_chile(r"tmax_cr2met_C_day\.csv|9_CAMELScl_tmax_cr2met\.txt", _MAX, "degC", "cr2met"),
    _of_chile(r"pet_hargreaves_mm_day\.csv|12_CAMELScl_pet_hargreaves\.txt", _PET, "mm d-1", "hargreaves"),
)
_AUS = (
    Source(r"streamflow_mmd\.csv", (_one(_RUNOFF, "mm d-1"),), missing=(-99.99,)),
    *(Source(rf"precipitation_{n}\.csv", (_one(_RAIN, "mm d-1"),), product=n) for n in ("AGCD", "AWAP", "SILO")),
    *(Source(rf"tmin_{n}\.csv", (_one(_MIN, "degC"),), product=n) for n in ("AGCD", "AWAP", "SILO")),
    *(Source(rf"tmax_{n}\.csv", (_one(_MAX, "degC"),), product=n) for n in ("AGCD", "AWAP", "SILO")),
    *(
        Source(rf"{name}_SILO\.csv", (_one(_PET, "mm d-1"),), product=name)
        for name in ("et_morton_wet", "et_short_crop", "et_tall_crop", "et_morton_point")
    ),
)
_BASINS, _GAUGES = "A_basins_total_upstrm", "D_gauges"
_LAMAH = (
    Source(
        r"ID_(\d+)\.csv",
        (
            _one(_RAIN, "mm d-1", "prec"),
            _one(_MEAN, "degC", "2m_temp_mean"),
            _one(_MIN, "degC", "2m_temp_min"),
            _one(_MAX, "degC", "2m_temp_max"),
            _one("snow_water_equivalent", "mm", "swe"),
            _one("net_shortwave_radiation", "W m-2", "surf_net_solar_rad_mean"),
            _one("net_thermal_radiation", "W m-2", "surf_net_therm_rad_mean"),
            _one("dewpoint_temperature", "degC", "2m_dp_temp_mean"),
        ),
        folder=f"{_BASINS}/2_timeseries/daily",
    ),
    Source(
        r"ID_(\d+)\.csv", (_one(_RUNOFF, "m3 s-1", "qobs"),), folder=f"{_GAUGES}/2_timeseries/daily", missing=(-999.0,)
    ),
)
_THREE = (("year", "month", "day"), ("date",))
LAYOUTS = {
    "camels-gb": Layout(
        "CAMELS-GB (Coxon et al. 2020, Earth Syst. Sci. Data 12)",
        (_GB,),
        tables=r"CAMELS_GB_\w+_attributes\.csv",
        units=_PLACE,
    ),
    "camels-de": Layout(
        "CAMELS-DE (Loritz et al. 2024, Earth Syst. Sci. Data 16)",
        _DE,
        tables=r"CAMELS_DE_\w+_attributes\.csv",
        units=_PLACE,
    ),
    "camels-ch": Layout(
        "CAMELS-CH (Hoege et al. 2023, Earth Syst. Sci. Data 15)",
        _CH,
        tables=r"CAMELS_CH_topographic_attributes\.csv",
        units=_PLACE,
    ),
    "camels-br": Layout(
        "CAMELS-BR (Chagas et al. 2020, Earth Syst. Sci. Data 12)", _BR, _THREE, r"camels_br_\w+\.txt", units=_PLACE
    ),
    "camels-cl": Layout(
        "CAMELS-CL (Alvarez-Garreton et al. 2018, Hydrol. Earth Syst. Sci. 22)",
        _CL,
        (("date",), ("gauge_id",)),
        r"1_CAMELScl_attributes\.txt|catchment_attributes\.csv",
        transposed=True,
        units=_PLACE,
    ),
    "camels-aus": Layout(
        "CAMELS-AUS (Fowler et al. 2021, Earth Syst. Sci. Data 13)",
        _AUS,
        _THREE,
        r"location_boundary_area\.csv",
        renamed={"catchment_area": "area", "lat_outlet": "gauge_lat", "long_outlet": "gauge_lon"},
        units=_PLACE,
    ),
    "lamah-ce": Layout(
        "LamaH-CE (Klingler et al. 2021, Earth Syst. Sci. Data 13)",
        _LAMAH,
        (("YYYY", "MM", "DD"),),
        r"Catchment_attributes\.csv",
        f"{_BASINS}/1_attributes",
        renamed={"area_calc": "area"},
        units=_PLACE,
    ),
}
