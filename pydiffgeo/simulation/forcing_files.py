"""Forcings of any model from NetCDF, Zarr or CSV, at any time step, in the units of the model."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..arrays import Array, Dates
from ..errors import DataError
from ..io.axis import check_times
from ..io.dates import Dating, decode
from ..io.opening import open_raw
from ..io.packed import unpacked
from ..io.units import convert
from ..model import Model
from .configuration import FileSettings


def read_forcings(file: FileSettings, model: Model) -> tuple[Dates | Array, dict[str, Array]]:
    """Times `(n,)`, dates or numbers in the time unit of the model, and forcings by name, `(n,)` or `(n, cells)`.

    Of NetCDF and Zarr, times are dates by the CF conventions, at the starts of the intervals where there are bounds.
    Of CSV they are dates as ISO 8601 writes them, or numbers.

    Raises:
        DataError: (or a subclass) the file cannot be read, a variable is missing or has gaps, times repeat or are not
            sorted, or a unit does not fit.
    """
    wanted = {f.name: f for f in model.forcings if f.name in file.variables}
    times, found = (_csv if file.path.suffix.lower() in (".csv", ".txt") else _cf)(file)
    where, forcings = str(file.path), dict[str, Array]()
    for name, (values, unit) in found.items():
        stated = file.units.get(name, unit)
        if stated is not None:
            values = convert(values, stated, wanted[name].unit, file=where, variable=file.variables[name])
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
            raise DataError(f"{where}: {file.variables[name]!r} is missing at {times[row]}; forcing must be complete")
        forcings[name] = values
    return times, forcings


Found = Mapping[str, tuple[Array, str | None]]


def _cf(file: FileSettings) -> tuple[Dates | Array, Found]:
    where = str(file.path)
    with open_raw(file.path) as stored:
        for name in file.variables.values():
            if name not in stored.variables:
                raise DataError(f"{where}: there is no variable {name!r}; it has {sorted(map(str, stored.data_vars))}")
        data = unpacked(decode(stored, file.time, where, Dating()), where).load()
    times = np.asarray(data[file.time].values)
    check_times(times, where)
    found: dict[str, tuple[Array, str | None]] = {}
    for forcing, name in file.variables.items():
        array = data[name].squeeze(drop=True) if data[name].ndim > 1 else data[name]
        if file.time not in array.dims or array.ndim > 2:
            raise DataError(f"{where}: {name!r} must lie along {file.time!r}, and cells at most, got {array.dims}")
        unit = array.attrs.get("units")
        values = np.asarray(array.transpose(file.time, ...).values, np.float64)
        found[forcing] = (values, None if unit is None else str(unit))
    return times, found


def _csv(file: FileSettings) -> tuple[Dates | Array, Found]:
    where = str(file.path)
    try:
        with Path(file.path).open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row and not row[0].startswith("#")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: cannot be read as CSV ({error})") from error
    head = [cell.strip() for cell in rows[0]] if rows else []
    for name in (file.time, *file.variables.values()):
        if name not in head:
            raise DataError(f"{where}: there is no column {name!r}; it has {head}")

    def column(name: str) -> list[str]:
        at = head.index(name)
        short = next((i for i, row in enumerate(rows[1:], 2) if len(row) <= at), None)
        if short is not None:
            raise DataError(f"{where}: line {short} has no entry for {name!r}")
        return [row[at].strip() for row in rows[1:]]

    times = _times(column(file.time), file, where)
    found: dict[str, tuple[Array, str | None]] = {}
    for forcing, name in file.variables.items():
        try:
            found[forcing] = (np.array([t or "nan" for t in column(name)], np.float64), None)
        except ValueError as error:
            raise DataError(f"{where}: {name!r} does not hold numbers ({error})") from error
    return times, found


def _times(texts: list[str], file: FileSettings, where: str) -> Dates | Array:
    """Numbers that increase, or dates that do."""
    times: Dates | Array
    try:
        times = np.array(texts, np.float64)
    except ValueError:
        try:
            times = np.array([text.replace(" ", "T", 1) for text in texts], "datetime64[ns]")
        except ValueError as error:
            raise DataError(
                f"{where}: {file.time!r} holds neither numbers nor dates as in 2000-01-31 ({error})"
            ) from error
        check_times(times, where)
        return times
    if not (np.diff(times) > 0).all():
        raise DataError(f"{where}: {file.time!r} must increase from line to line")
    return times
