"""Series of basins from a folder of Caravan, or in the generic layout of NeuralHydrology: a file for each basin.

<root>/timeseries/netcdf/<dataset>/<basin>.nc     <root>/attributes/<dataset>/*.csv      Caravan
<root>/timeseries/csv/<dataset>/<basin>.csv       <root>/attributes/<dataset>/*.csv      Caravan as CSV
<root>/time_series/<basin>.nc                     <root>/attributes/*.csv                NeuralHydrology

Source: Kratzert et al. 2023, Sci. Data 10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from ...arrays import Array, Dates
from ...errors import DataError, TimeAxisError
from ...io.axis import Gaps, together
from ...io.dates import Calendar, Dating, Labels, decode
from ...io.opening import check_path, open_raw, renamed
from ...io.packed import unpacked
from ...io.units import check_known, compatible
from ..basin import unknown_basin
from .arguments import Areas, Choice, Names, check_labels
from .assemble import series_of
from .attributes import CARAVAN_UNITS, read_tables
from .quantities import FILES
from .text_tables import read_text_table

# Units of series as CSV, by how their names begin (Kratzert et al. 2023, table 1).
CSV_UNITS = {
    "total_precipitation": "mm d-1",
    "potential_evaporation": "mm d-1",
    "temperature_2m": "degC",
    "dewpoint_temperature_2m": "degC",
    "snow_depth_water_equivalent": "mm",
    "surface_net": "W m-2",
    "surface_pressure": "kPa",
    "u_component_of_wind": "m s-1",
    "v_component_of_wind": "m s-1",
    "volumetric_soil_water": "1",
    "streamflow": "mm d-1",
}
# An entry of the attribute that lists the units of a file: `streamflow: Observed streamflow [mm/d]`.
_ENTRY = re.compile(r"\b(\w+)\W{0,2}:[^\[\]\n]{0,300}\[([^\]]{1,100})\]")


def open_caravan(
    root: str | Path,
    *,
    basins: Sequence[str] | None = None,
    variables: Names | None = None,
    units: Mapping[str, str] | None = None,
    calendar: Calendar = "refuse",
    gaps: Gaps = "fill",
    missing: Sequence[float] = (),
    area: Areas | None = None,
    quantities: Sequence[str] | None = None,
    labels: Labels | None = None,
    rounding: str | None = None,
) -> xr.Dataset:
    """Series and attributes of many basins from a folder of Caravan or of NeuralHydrology's generic layout.

    Args:
        root: the folder that holds `timeseries` or `time_series`.
        basins: names of the files without `.nc` or `.csv`; all of them where not given.
        variables, units, calendar, gaps, missing, quantities, labels, rounding: as in `open_cf`. Units that files of
            Caravan list for the file as a whole are found, and those of CSV, which state none, are the documented ones;
            daily sums in mm are read as mm d-1. Attributes of Caravan
            have their documented units; the generic layout states none, so say that of the area where stream flow is
            a volume per time: units={"area": "km2"}.
        area: km2 of each basin, for stream flow as a volume per time; else from the attributes.

    Returns:
        Dataset with the dimensions `(basin, time)` and static attributes `(basin,)`, as `open_cf`.
        Basins with other days than the rest are NaN there.

    Raises:
        DataError, UnitError, TimeAxisError, MissingPackageError: as `open_cf`; name the file.
    """
    root, how = check_path(root), Dating(calendar, labels, rounding)
    check_labels(basins)
    choice = Choice(variables, units, gaps, missing, area, quantities)
    files = _files(root)
    for basin in () if basins is None else basins:
        if basin not in files:
            raise unknown_basin(basin, files, str(root))
    wanted = [*files] if basins is None else [*basins]
    static = _static(root, {b: files[b] for b in wanted}, units or {})
    series, left_out, zones = list[tuple[Dates, dict[str, Array]]](), dict[str, None](), list[str]()
    about: dict[str, dict[str, object]] = {}
    for i, basin in enumerate(wanted):
        data = _one(files[basin], basin, {k: v[i] for k, v in static.items()}, how, choice)
        values = {str(k): v.values[0] for k, v in data.data_vars.items() if v.dims == ("basin", "time")}
        series.append((data["time"].values, values))
        zones.append(data["time"].attrs.get("time_zone", ""))
        left_out |= dict.fromkeys(filter(None, data.attrs["left_out"].split(", ")))
        for name in values:
            if about.setdefault(name, data[name].attrs) != data[name].attrs:
                raise DataError(f"{files[basin]}: {name} differs from that of other basins: {data[name].attrs}")
    times, joined = together(series, [str(files[b]) for b in wanted], gaps)
    if len({*zones}) > 1 and (np.diff(times) < np.timedelta64(1, "D")).any():
        raise TimeAxisError(
            f"{root}: hourly values in several time zones, {', '.join(sorted({z or 'UTC' for z in zones}))}, do not meet"
        )
    content = {k: xr.Variable(("basin",), v.values, v.attrs) for k, v in static.items() if k not in joined}
    content |= {k: xr.Variable(("basin", "time"), v, about[k]) for k, v in joined.items()}
    origins = ("basin", [str(files[b]) for b in wanted], FILES)
    attributes = {"source": str(root), "left_out": ", ".join(left_out)}
    result = xr.Dataset(content, {"basin": wanted, "time": times, "files": origins}, attributes)
    zone = {"time_zone": zones[0]} if len({*zones}) == 1 and zones[0] else {}
    result["time"].attrs = {"standard_name": "time", "long_name": "time", "axis": "T", **zone}
    result["basin"].attrs = {"long_name": "basin identifier", "cf_role": "timeseries_id"}
    return result


def _files(root: Path) -> dict[str, Path]:
    """basin -> file, of either layout."""
    folders = [root / "time_series", root / "timeseries" / "netcdf"]
    paths = [p for f in folders for p in sorted([*f.glob("*.nc"), *f.glob("*.nc4"), *f.glob("*/*.nc")])]
    # The same series lie there twice where both were unpacked.
    paths = paths or sorted((root / "timeseries" / "csv").glob("*/*.csv"))
    if not paths:
        wanted = f"{folders[0]}/*.nc nor {folders[1]}/*/*.nc nor {root}/timeseries/csv/*/*.csv"
        raise DataError(f"{root}: no files of basins, neither {wanted}")
    files: dict[str, Path] = {}
    for path in paths:
        if path.stem in files:
            raise DataError(f"{root}: basin {path.stem} has two files: {files[path.stem]}, {path}")
        files[path.stem] = path
    return files


def _static(root: Path, files: Mapping[str, Path], units: Mapping[str, str]) -> dict[str, xr.Variable]:
    """The attributes of the basins, in the order of `files`: name -> `(basin,)`; `units` are what the user says."""
    folder = root / "attributes"
    if not folder.is_dir() or not any(folder.rglob("*.csv")):
        return {}
    flat = sorted(folder.glob("*.csv"))
    if flat:
        return _table(root, flat, files, units)
    # One folder per collection, the name of which is that of the folder of the series.
    groups: dict[str, dict[str, Path]] = {}
    for basin, path in files.items():
        groups.setdefault(path.parent.name, {})[basin] = path
    parts = []
    for name, some in groups.items():
        tables = sorted((folder / name).glob("*.csv"))
        if not tables:
            raise DataError(f"{folder / name}: no tables of attributes for basin {next(iter(some))}")
        parts.append(xr.Dataset(_table(root, tables, some, units), {"basin": [*some]}))
    joined = parts[0]
    if parts[1:]:
        joined = xr.concat(parts, "basin", data_vars="all", join="outer", combine_attrs="override")
    return {str(k): v.variable for k, v in joined.sel(basin=[*files]).data_vars.items()}


def _table(
    root: Path, tables: Sequence[Path], files: Mapping[str, Path], units: Mapping[str, str]
) -> dict[str, xr.Variable]:
    # In the generic layout an `area` may be in anything: only Caravan says what its columns are in.
    documented = CARAVAN_UNITS if all(root / "timeseries" in f.parents for f in files.values()) else {}
    columns = read_tables(tables, [*files], ",", {**documented, **units})
    for name in columns.keys() & units.keys():
        check_known(units[name], file=str(root / "attributes"), variable=name)
    return columns


def _one(path: Path, basin: str, static: Mapping[str, xr.Variable], how: Dating, choice: Choice) -> xr.Dataset:
    """The series of one basin; dimensions basin, of length one, and time."""
    if path.suffix == ".csv":
        data = _from_csv(path)
        choice = replace(choice, units={**_documented(data), **(choice.units or {})})
        return series_of(_with_static(data, basin, static), str(path), choice)
    with open_raw(path) as raw:
        time = next((t for t in ("date", "time") if t in raw.variables), "date")
        data = unpacked(decode(raw, time, str(path), how), str(path))
    if time != "time":
        data = renamed(data, time, "time", str(path))
    choice = replace(choice, units={**_stated_units(data), **(choice.units or {})})
    # Coordinates besides time, such as the identifier of the gauge, are no series.
    kept = ("time", data["time"].attrs.get("bounds"))
    data = data.drop_vars([c for c in data.coords if c not in kept])
    return series_of(_with_static(data, basin, static), str(path), choice)


def _with_static(data: xr.Dataset, basin: str, static: Mapping[str, xr.Variable]) -> xr.Dataset:
    """The series of a basin with its attributes."""
    data = data.expand_dims({"basin": [basin]})
    for name, value in static.items():
        if name not in data:
            data[name] = xr.Variable(("basin",), np.array([value.values]), value.attrs)
    return data


def _from_csv(path: Path) -> xr.Dataset:
    """The columns of a file of Caravan as CSV, along `time`."""
    table = read_text_table(path, delimiter=",")
    series = {name: ("time", table.numbers(name)) for name in table.heading if name != "date"}
    return xr.Dataset(series, {"time": table.times("date").astype("datetime64[ns]")})


def _documented(data: xr.Dataset) -> dict[str, str]:
    """Variable -> unit, of those whose names begin as the documentation of Caravan has them."""
    known = {name: next((u for key, u in CSV_UNITS.items() if name.startswith(key)), None) for name in map(str, data)}
    return {name: unit for name, unit in known.items() if unit is not None}


def _stated_units(data: xr.Dataset) -> dict[str, str]:
    """Variable -> unit, from the attribute of the file that lists them, for variables that state none."""
    text = next((str(data.attrs[k]) for k in ("Units", "units") if k in data.attrs), "")
    entries = sorted(_ENTRY.findall(text), key=lambda entry: -len(entry[0]))
    units: dict[str, str] = {}
    for name in map(str, data.data_vars):
        if "units" in data[name].attrs:
            continue
        # The list names the quantity, the variable its daily statistic as well: temperature_2m_mean.
        unit = next((u for key, u in entries if name.startswith(key)), None)
        if unit is not None:
            daily_sum = "_sum" in name and compatible(unit, "mm")
            units[name] = f"{unit} d-1" if daily_sum else unit
    return units
