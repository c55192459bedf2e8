"""Static attributes of basins, from tables of text: one row per basin, its identifier in the first column."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from ...arrays import Array
from ...errors import DataError
from ...io.units import UNSTATED
from ..basin import unknown_basin

MISSING = ("", "na", "nan", "none", "-999", "-999.0")
# Unit -> names. Of CAMELS-US as its authors document them (Addor et al. 2017, Hydrol. Earth Syst. Sci. 21, tables 1 to 6).
_CAMELS = {
    "degrees_north": "gauge_lat",
    "degrees_east": "gauge_lon",
    "m": "elev_mean soil_depth_pelletier soil_depth_statsgo max_water_content root_depth_50 root_depth_99",
    "m km-1": "slope_mean",
    "km2": "area_gages2 area_geospa_fabric",
    "mm d-1": "p_mean pet_mean q_mean q5 q95",
    "cm h-1": "soil_conductivity",
    "d yr-1": "high_prec_freq low_prec_freq high_q_freq low_q_freq",
    # hfd_mean counts from 1 October.
    "d": "high_prec_dur low_prec_dur high_q_dur low_q_dur hfd_mean",
    "%": "sand_frac silt_frac clay_frac water_frac organic_frac other_frac",
    # The paper has zero_q_freq in %; the tables hold fractions.
    "1": "p_seasonality frac_snow aridity runoff_ratio slope_fdc baseflow_index stream_elas zero_q_freq frac_forest "
    "lai_max lai_diff gvf_max gvf_diff dom_land_cover_frac soil_porosity glim_1st_class_frac glim_2nd_class_frac "
    "carbonate_rocks_frac geol_porostiy geol_porosity geol_permeability",
}
# Of Caravan (Kratzert et al. 2023, Sci. Data 10): frequencies are shares of days here. Some attributes come thrice.
_SHARES = ("aridity", "moisture_index", "seasonality")
_CARAVAN = {
    "km2": "area",
    "degrees_north": "gauge_lat",
    "degrees_east": "gauge_lon",
    "mm d-1": "p_mean pet_mean pet_mean_ERA5_LAND pet_mean_FAO_PM",
    "d": "high_prec_dur low_prec_dur",
    "1": "frac_snow high_prec_freq low_prec_freq "
    + " ".join(f"{name}{end}" for name in _SHARES for end in ("", "_ERA5_LAND", "_FAO_PM")),
}
CAMELS_UNITS, CARAVAN_UNITS = (
    {name: unit for unit, names in table.items() for name in names.split()} for table in (_CAMELS, _CARAVAN)
)
# What a name alone does not tell.
_MEANINGS = {
    "geol_permeability": "logarithm, base 10, of the permeability of the subsurface in m2",
    "hfd_mean": "mean half-flow date, days from 1 October",
}
# Columns that are text even where all their entries look like numbers, or are missing.
_CLASSES = ("geol_1st_class", "geol_2nd_class", "dom_land_cover")
_LABELS = ("huc_02", "country", "gauge_name", "high_prec_timing", "low_prec_timing", *_CLASSES)
Table = dict[str, dict[str, str]]


def read_table(file: Path, delimiter: str) -> Table:
    """A table of text: basin -> column -> entry.

    Raises:
        DataError: it cannot be read, has lines that are cut off, or a basin twice.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            rows = [row for row in csv.reader(text, delimiter=delimiter) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    if not rows:
        raise DataError(f"{file}: is empty")
    heading, table = [h.strip() for h in rows[0]], Table()
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(heading):
            raise DataError(f"{file}: row {number} has {len(row)} entries for {len(heading)} columns")
        basin = row[0].strip()
        if basin in table:
            raise DataError(f"{file}: basin {basin} appears twice")
        table[basin] = dict(zip(heading[1:], (v.strip() for v in row[1:]), strict=True))
    return table


def read_tables(
    files: Iterable[Path], basins: Sequence[str], delimiter: str, units: Mapping[str, str]
) -> dict[str, xr.Variable]:
    """The attributes of `basins` from several tables: name -> variable `(basin,)`, numbers or text.

    Numbers that are not in `units` have no unit, but a comment that says so.

    Raises:
        DataError: a table lacks a basin, cannot be read, or repeats a column of another with other entries.
    """
    columns: dict[str, list[str]] = {}
    for file in files:
        table = read_table(file, delimiter)
        missing = [b for b in basins if b not in table]
        if missing:
            raise unknown_basin(missing[0], table, str(file))
        for column in next(iter(table.values()), {}):
            entries = [table[b][column] for b in basins]
            if columns.setdefault(column, entries) != entries:
                raise DataError(f"{file}: the column {column!r} stands in another table too, with other entries")
    return {name: variable(name, entries, units) for name, entries in columns.items()}


def variable(name: str, entries: Sequence[str], units: Mapping[str, str]) -> xr.Variable:
    """A column as numbers where all its entries are, else as text; missing ones are NaN, or empty."""
    numbers = None if name in _LABELS else _numbers(entries)
    attributes = {"long_name": _MEANINGS.get(name, name.replace("_", " "))}
    if numbers is None:
        text = np.array(["" if _missing(e) else e for e in entries], dtype=object)
        return xr.Variable(("basin",), text, attributes)
    attributes |= {"units": units[name]} if name in units else {"comment": UNSTATED}
    return xr.Variable(("basin",), numbers, attributes)


def _numbers(entries: Sequence[str]) -> Array | None:
    try:
        return np.array([math.nan if _missing(e) else float(e) for e in entries])
    except ValueError:
        return None


def _missing(entry: str) -> bool:
    return entry.lower() in MISSING
