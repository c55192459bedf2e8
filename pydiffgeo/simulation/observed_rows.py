"""Rows of the files with observations: CSV with a row for each value, or a column for each place, and NetCDF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from ..arrays import Array, Dates
from ..errors import DataError
from ..io.dates import Dating, decode
from ..io.opening import open_raw
from ..io.packed import unpacked
from ..models.grid_places import PLACE
from ..toml_table import Table, as_table, as_text
from .configuration import Configuration
from .csv_tables import CsvTable, read_csv
from .forcing_files import dated

# What a table may have columns of, by the names that they have where none are given.
COLUMNS = ("time", "start", "end", "value", "error", "quantity", "place", "depth", *PLACE, "site")
WHERE = ("depth", "place", *PLACE)
TEXT = (".csv", ".txt")


@dataclass(frozen=True, eq=False)
class Rows:
    """Values of one instrument: `when` as in the file, `(n,)` or both ends `(n, 2)`, and where it is."""

    when: Dates | Array
    values: Array
    error: Array | None
    quantity: str
    at: Mapping[str, object]
    unit: str | None


def read_rows(c: Configuration, t: Table, site: str) -> list[Rows]:
    """Rows of a table of `[[observations]]` by instrument; raises `DataError` where file or keys do not fit."""
    path = t.take("file", lambda v: c.path.parent / as_text(v), "the path of a CSV or NetCDF file")
    quantity = t.take("quantity", as_text, "the name of a state, an output or a flux", None)
    unit = t.take("units", as_text, "a unit", None)
    names = t.take("columns", lambda v: as_table(v, as_text), f"a table from {', '.join(COLUMNS)} to names", {})
    series = t.take("series", _series, "a table from columns of the file to where they were observed", None)
    variable = t.take("variable", as_text, "the name of a variable of the file", None)
    at = {key: t.values.pop(key) for key in WHERE if key in t.values}
    t.known += WHERE
    t.finish()
    if strange := [key for key in names if key not in COLUMNS]:
        raise t.fail(f"columns.{strange[0]}", f"is unknown; known are {', '.join(COLUMNS)}")
    if path.suffix.lower() not in TEXT:
        return _of_cf(t, path, variable or quantity, quantity, unit, names.get("time", "time"), at)
    table = read_csv(path)
    column = {key: names.get(key, key) for key in COLUMNS}
    kept = _of_site(table, column["site"], site, required="site" in names)
    if series is not None:
        return [_wide(t, kept, column, name, {**at, **where}, quantity, unit) for name, where in series.items()]
    return _long(t, kept, column, at, quantity, unit)


def _of_site(table: CsvTable, column: str, site: str, *, required: bool) -> CsvTable:
    if column not in table.names and not required:
        return table
    of = table.column(column)
    return CsvTable(
        table.where, table.names, tuple(row for row, name in zip(table.rows, of, strict=True) if name == site)
    )


def _when(table: CsvTable, column: Mapping[str, str]) -> Dates | Array:
    if column["start"] in table.names and column["end"] in table.names:
        ends = [dated(table.column(column[key]), column[key], table.where, rising=False) for key in ("start", "end")]
        return cast("Dates | Array", np.stack(ends, axis=1))
    return dated(table.column(column["time"]), column["time"], table.where, rising=False)


def _wide(
    t: Table,
    table: CsvTable,
    column: Mapping[str, str],
    name: str,
    where: Mapping[str, object],
    quantity: str | None,
    unit: str | None,
) -> Rows:
    at = {k: v for k, v in where.items() if k in WHERE}
    rest = Table(t.file, f"{t.name}.series.{name}", {k: v for k, v in where.items() if k not in WHERE})
    own = rest.take("quantity", as_text, "the name of a state, an output or a flux", quantity)
    own_unit = rest.take("units", as_text, "a unit", unit)
    rest.finish()
    if own is None:
        raise t.fail("quantity", "is missing: the name of a state, an output or a flux")
    error = table.numbers(column["error"]) if column["error"] in table.names else None
    return Rows(_when(table, column), table.numbers(name), error, own, at, own_unit)


def _long(
    t: Table,
    table: CsvTable,
    column: Mapping[str, str],
    at: Mapping[str, object],
    quantity: str | None,
    unit: str | None,
) -> list[Rows]:
    """Rows by what was observed where: all that agree in quantity and place are of one instrument."""
    if quantity is None and column["quantity"] not in table.names:
        raise t.fail("quantity", f"is missing: the name of a state, an output or a flux, or a column of {table.where}")
    placed = [key for key in WHERE if column[key] in table.names]
    texts = {key: table.column(column[key]) for key in placed}
    if column["quantity"] in table.names:
        texts["quantity"] = table.column(column["quantity"])
    when, values = _when(table, column), table.numbers(column["value"])
    error = table.numbers(column["error"]) if column["error"] in table.names else None
    instruments: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*texts.values(), strict=True) if texts else [()] * len(values)):
        instruments.setdefault(key, []).append(row)
    found = []
    for key, own in instruments.items():
        named = dict(zip(texts, key, strict=True))
        what = named.pop("quantity", quantity or "")
        where = {**at, **{k: v if k == "place" else _number(table, v) for k, v in named.items() if v}}
        found.append(Rows(when[own], values[own], None if error is None else error[own], what, where, unit))
    return found


def _number(table: CsvTable, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{table.where}: {text!r} is no number that says where something was observed") from None


def _of_cf(
    t: Table,
    path: Path,
    variable: str | None,
    quantity: str | None,
    unit: str | None,
    time: str,
    at: Mapping[str, object],
) -> list[Rows]:
    """A variable along time, and along places whose names are its other coordinate."""
    if variable is None:
        raise t.fail("variable", f"is missing: the name of a variable of {path}")
    where = str(path)
    with open_raw(path) as stored:
        if variable not in stored.variables:
            raise DataError(f"{where}: there is no variable {variable!r}; it has {sorted(map(str, stored.data_vars))}")
        data = unpacked(decode(stored, time, where, Dating()), where).load()
    array = data[variable]
    stated = unit or array.attrs.get("units")
    own = None if stated is None else str(stated)
    if time not in array.dims or array.ndim > 2:
        raise DataError(f"{where}: {variable!r} must lie along {time!r}, and places at most, got {array.dims}")
    when, values = np.asarray(data[time].values), np.asarray(array.transpose(time, ...).values, np.float64)
    if values.ndim == 1:
        return [Rows(when, values, None, quantity or variable, at, own)]
    other = next(str(d) for d in array.dims if d != time)
    labels = data[other].values if other in data.coords else np.arange(values.shape[1])
    names = [v.decode() if isinstance(v, bytes) else str(v) for v in labels.tolist()]
    return [
        Rows(when, values[:, k], None, quantity or variable, {**at, "place": name}, own) for k, name in enumerate(names)
    ]


def _series(value: object) -> dict[str, dict[str, object]]:
    found = as_table(value, lambda v: v)
    if not found or not all(isinstance(where, dict) for where in found.values()):
        raise ValueError
    return {name: dict(where) for name, where in found.items() if isinstance(where, dict)}
