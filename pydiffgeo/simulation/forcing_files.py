"""Forcings of any model from NetCDF, Zarr or CSV, at any time step, in the units of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
from .csv_tables import read_csv


def read_forcings(file: FileSettings, model: Model) -> tuple[Dates | Array, dict[str, Array]]:
    """Times `(n,)`, dates or numbers in the time unit of the model, and forcings by name, `(n,)`, `(n, cells)` or fields.

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
            values = convert(values, stated, wanted[name].unit, file=where, variable=_label(file, name))
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
            raise DataError(f"{where}: {_label(file, name)!r} is missing at {times[row]}; forcing must be complete")
        forcings[name] = values
    return times, forcings


Found = Mapping[str, tuple[Array, str | None]]


def _label(file: FileSettings, forcing: str) -> str:
    name = file.variables[forcing]
    return name if isinstance(name, str) else ", ".join(name)


def _wanted(file: FileSettings, there: Iterable[str]) -> Mapping[str, str | tuple[str, ...]]:
    """What is read: all but those that may be absent and are."""
    held = {*there}
    return {k: name for k, name in file.variables.items() if k not in file.optional or name in held}


def _several(name: str | tuple[str, ...]) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) else name


def _cf(file: FileSettings) -> tuple[Dates | Array, Found]:
    where = str(file.path)
    with open_raw(file.path) as stored:
        wanted = _wanted(file, map(str, stored.variables))
        for one in (one for names in wanted.values() for one in _several(names)):
            if one not in stored.variables:
                raise DataError(f"{where}: there is no variable {one!r}; it has {sorted(map(str, stored.data_vars))}")
        data = unpacked(decode(stored, file.time, where, Dating()), where).load()
    times = np.asarray(data[file.time].values)
    check_times(times, where)

    def values(name: str) -> tuple[Array, str | None]:
        array = data[name].squeeze(drop=True) if data[name].ndim > 1 else data[name]
        if file.time not in array.dims or array.ndim > 4:
            raise DataError(f"{where}: {name!r} must lie along {file.time!r}, and cells at most, got {array.dims}")
        unit = array.attrs.get("units")
        return np.asarray(array.transpose(file.time, ...).values, np.float64), None if unit is None else str(unit)

    found: dict[str, tuple[Array, str | None]] = {}
    for forcing, name in wanted.items():
        if isinstance(name, str):
            found[forcing] = values(name)
            continue
        parts = [values(one) for one in name]
        if len({unit for _, unit in parts}) > 1 or any(part.ndim > 1 for part, _ in parts):
            raise DataError(f"{where}: {', '.join(name)} must be series of one unit, one for each place of {forcing}")
        found[forcing] = (np.stack([part for part, _ in parts], axis=1), parts[0][1])
    return times, found


def _csv(file: FileSettings) -> tuple[Dates | Array, Found]:
    table = read_csv(file.path)
    if file.time not in table.names:
        raise DataError(
            f'{table.where}: there is no column {file.time!r} of times; it has {list(table.names)}: say which by time = "..."'
        )
    times = dated(table.column(file.time), file.time, table.where)
    found: dict[str, tuple[Array, str | None]] = {}
    for forcing, name in _wanted(file, table.names).items():
        columns = [table.numbers(one) for one in _several(name)]
        found[forcing] = (columns[0] if isinstance(name, str) else np.stack(columns, axis=1), None)
    return times, found


def dated(texts: list[str], column: str, where: str, *, rising: bool = True) -> Dates | Array:
    """Numbers or dates from text; raises `DataError` where they are neither, or `rising` and do not."""
    times: Dates | Array
    try:
        times = np.array(texts, np.float64)
    except ValueError:
        try:
            times = np.array([text.replace(" ", "T", 1) for text in texts], "datetime64[ns]")
        except ValueError as error:
            raise DataError(
                f"{where}: {column!r} holds neither numbers nor dates as in 2000-01-31 ({error})"
            ) from error
        if rising:
            check_times(times, where)
        return times
    if rising and not (np.diff(times) > 0).all():
        raise DataError(f"{where}: {column!r} must increase from line to line")
    return times
