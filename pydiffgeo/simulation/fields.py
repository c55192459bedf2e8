"""Numbers that a configuration does not hold itself: fields and columns of files, and values by zones.

K = { file = "fields.nc", variable = "K" }                       # NetCDF or Zarr
K = { file = "K.csv" }                                           # lines of numbers; or K.asc, K.npy
top = { file = "wells.csv", column = "top" }                     # a column of a table
K = { zones = { file = "zones.asc" }, values = { 1 = 5.0, 2 = 20.0 } }
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..checks import shown
from ..errors import DataError
from ..io.opening import open_raw
from ..io.packed import unpacked
from ..io.units import convert
from .csv_tables import read_csv, read_matrix

FILE = {"file", "variable", "column", "units"}
ZONES = {"zones", "values"}
TEXT = (".csv", ".txt")
# Columns of a table, by their names.
Columns = dict[str, list[int] | list[float] | list[str | None]]


def resolved(value: object, folder: Path, where: str, unit: str | None = None) -> object:
    """`value` with what stands for numbers replaced by them: arrays, or columns of a table as a mapping of lists.

    Args:
        folder: that paths are relative to. where: what begins a message, such as `a.toml: [parameters] K`.
        unit: what numbers of a file are converted to, where it states theirs, or `units` does.

    Raises:
        DataError: (or a subclass) a file cannot be read or lacks something, or zones do not fit.
    """
    if isinstance(value, list):
        return [resolved(entry, folder, where, unit) for entry in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("file"), str) and {*value} <= FILE:
        return _of_file(value, folder, where, unit)
    if {*value} == ZONES:
        return _by_zones(value, folder, where)
    return {name: resolved(entry, folder, f"{where}.{name}", unit) for name, entry in value.items()}


def as_field(value: object, where: str) -> float | Array:
    """A number, or an array of numbers; raises `DataError` for all else."""
    try:
        array = np.asarray(value, np.float64)
        if isinstance(value, (bool, str, dict)) or not array.size or np.isinf(array).any():
            raise ValueError
    except (TypeError, ValueError):
        expected = "a number, a list of one for each cell, or where a file has them"
        raise DataError(f"{where} must be {expected}, got {shown(value)}") from None
    if array.ndim == 0 and np.isnan(array):
        raise DataError(f"{where} must be a number, got nan")
    return array if array.ndim else float(array)


def _of_file(asked: Mapping[str, object], folder: Path, where: str, unit: str | None) -> Array | Columns:
    path = folder / str(asked["file"])
    for key in asked:
        if not isinstance(asked[key], str):
            raise DataError(f"{where}: {key} must be text, got {asked[key]!r}")
    if path.suffix.lower() in TEXT:
        found = _of_text(path, asked.get("column"))
    elif path.suffix.lower() == ".asc":
        found = read_grid(path)
    elif path.suffix.lower() == ".npy":
        found = _of_npy(path)
    else:
        return _of_cf(path, asked, where, unit)
    if isinstance(found, np.ndarray) and unit is not None and "units" in asked:
        return convert(found, asked["units"], unit, file=str(path), variable=where)
    return found


def _of_text(path: Path, column: object) -> Array | Columns:
    if column is not None:
        return read_csv(path).numbers(str(column))
    if (matrix := read_matrix(path)) is not None:
        # A line, or a column, is a list.
        return matrix.ravel() if 1 in matrix.shape else matrix
    table = read_csv(path)
    return {name: table.values(name) for name in table.names}


def _of_npy(path: Path) -> Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an array of numbers ({error})") from error


def read_grid(path: Path) -> Array:
    """A grid in the ASCII format of ESRI, `(rows, columns)` from north to south; NaN where it has no data.

    Raises:
        DataError: it is none.
    """
    try:
        words = path.read_text(encoding="utf-8").split()
        head: dict[str, float] = {}
        while words and not words[0][0].isdigit() and words[0][0] not in "+-.":
            head[words[0].lower()] = float(words[1])
            words = words[2:]
        values = np.array(words, np.float64).reshape(int(head["nrows"]), int(head["ncols"]))
    except (OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a grid of ASCII numbers ({error!r})") from error
    return np.where(values == head.get("nodata_value", np.nan), np.nan, values)


def _of_cf(path: Path, asked: Mapping[str, object], where: str, unit: str | None) -> Array:
    name = asked.get("variable")
    with open_raw(path) as stored:
        if name is None or name not in stored.variables:
            held = sorted(map(str, stored.data_vars))
            raise DataError(f"{where}: {path} has no variable {name!r}; it has {held}")
        array = unpacked(stored[[str(name)]], str(path))[str(name)].load()
    values = np.asarray(array.values, np.float64)
    stated = asked.get("units", array.attrs.get("units"))
    if unit is not None and stated is not None:
        return convert(values, stated, unit, file=str(path), variable=str(name))
    return values


def _by_zones(asked: Mapping[str, object], folder: Path, where: str) -> Array:
    zones = numbered(resolved(asked["zones"], folder, where), where)
    given = asked["values"]
    if not isinstance(given, dict):
        raise DataError(f"{where}: values must be a table from zones to numbers, got {shown(given)}")
    found = np.full(zones.shape, np.nan)
    for zone in np.unique(zones[np.isfinite(zones)]):
        if (key := f"{zone:g}") not in given:
            raise DataError(f"{where}: zone {key} has no value; there are values of {list(given)}")
        found[zones == zone] = as_field(given[key], f"{where}.values.{key}")
    return found


def numbered(zones: object, where: str) -> Array:
    """Zones as whole numbers, NaN where there is none; raises `DataError`."""
    array = np.asarray(as_field(zones, f"{where}: zones"))
    seen = array[np.isfinite(array)]
    if not seen.size or (seen != np.rint(seen)).any():
        raise DataError(f"{where}: zones must be whole numbers, one for each cell, got {shown(zones)}")
    return array
