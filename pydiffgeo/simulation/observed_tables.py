"""What was observed, from the tables of a configuration: CSV with a row for each value, or a column for each place, and NetCDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np

from ..arrays import Array, Dates
from ..calibration.record import unit_of
from ..errors import DataError, InputError, ModelError
from ..io.dates import Dating, decode
from ..io.opening import open_raw
from ..io.packed import unpacked
from ..io.units import convert
from ..model import Model
from ..models.grid_places import PLACE, cells_at
from ..observe import Observation
from ..toml_table import Table, as_number, as_one_of, as_table, as_text, as_within
from .configuration import Configuration
from .csv_tables import CsvTable, read_csv
from .forcing_files import dated
from .run import model_times

USES = ("train", "tuning", "evaluation")
KINDS: dict[str, Literal["value", "flux_mean", "flux_sum"]] = {"value": "value", "mean": "flux_mean", "sum": "flux_sum"}
# What a table may have columns of, by the names that they have where none are given.
COLUMNS = ("time", "start", "end", "value", "error", "quantity", "place", "depth", *PLACE, "site")
WHERE = ("depth", "place", *PLACE)
TEXT = (".csv", ".txt")


@dataclass(frozen=True, eq=False)
class Observed:
    """Series of observations by what they are used for; see `USES`."""

    train: tuple[Observation, ...]
    tuning: tuple[Observation, ...]
    evaluation: tuple[Observation, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """Values of one instrument: `when` as in the file, `(n,)` or both ends `(n, 2)`, and where it is."""

    when: Dates | Array
    values: Array
    error: Array | None
    quantity: str
    at: Mapping[str, object]
    unit: str | None


def read_observed(
    c: Configuration,
    given: object,
    places: object,
    *,
    period: tuple[float, float],
    origin: np.datetime64 | None,
    site: str,
) -> Observed:
    """The observations of a configuration.

    Args:
        given: its array of tables `[[observations]]`. places: its table `[places]`, from names to depths or cells.
        period: first and last time of the run; what was observed before or after it is left out.
        origin: the date that is time zero. site: rows of a table with a column `site` are taken where it is this.

    Raises:
        DataError: (or a subclass) a file cannot be read, or something in it, or a key, does not fit; names it.
    """
    if not isinstance(given, list) or not given:
        raise DataError(f"{c.path}: [[observations]] is missing: tables of what was observed")
    named = Table(c.path, "places", places)
    found: dict[str, list[Observation]] = {use: [] for use in USES}
    for number, values in enumerate(given):
        table = Table(c.path, f"observations {number + 1}", values)
        use = table.take("use", lambda v: as_one_of(v, USES), f"one of {', '.join(USES)}", "train")
        kind = table.take("as", lambda v: as_one_of(v, KINDS), f"one of {', '.join(KINDS)}", "value")
        window = table.take(
            "window", lambda v: as_within(v, 1e-12, 1e12), "a length of time in that of the model", None
        )
        error = table.take("error", _error, "a positive number in the unit of the values, or the name of a column", 1.0)
        between = table.take("interpolate", _switch, "true or false", False)
        for rows in _rows(c, table, site):
            try:
                one = _observation(c, rows, KINDS[kind], window, error, between, named, period, origin)
            except (InputError, ModelError) as wrong:
                raise DataError(f"{c.path}: [{table.name}] {rows.quantity}: {wrong}") from wrong
            if one is not None:
                found[use].append(one)
    if not found["train"]:
        raise DataError(f"{c.path}: [[observations]] have nothing to train on from {period[0]:g} to {period[1]:g}")
    return Observed(*(tuple(found[use]) for use in USES))


def _rows(c: Configuration, t: Table, site: str) -> list[Rows]:
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


def _observation(
    c: Configuration,
    rows: Rows,
    kind: Literal["value", "flux_mean", "flux_sum"],
    window: float | None,
    error: float | str,
    between: bool,
    places: Table,
    period: tuple[float, float],
    origin: np.datetime64 | None,
) -> Observation | None:
    """The series of an instrument within a period, or None where it has nothing there."""
    times = model_times(c, rows.when, origin, "observations")
    if kind != "value" and times.ndim == 1:
        if window is None:
            raise InputError("a mean or a sum over time needs columns start and end, or the length of a window")
        times = np.stack([times, times + window], axis=1)
    elif kind == "value" and times.ndim == 2:
        raise InputError('values between start and end are a mean or a sum over time: say as = "mean" or as = "sum"')
    ends, slack = times.reshape(len(times), -1), 1e-9 * (period[1] - period[0])
    inside = (ends[:, 0] >= period[0] - slack) & (ends[:, -1] <= period[1] + slack) & np.isfinite(rows.values)
    if not inside.any():
        return None
    times = np.clip(times[inside], *period)
    depth, cell = _where(c, rows, places, kind)
    of = Observation(rows.quantity, kind, times, rows.values[inside], 1.0, depth=depth, cell=cell, interpolate=between)
    errors: Array = np.array(1.0 if isinstance(error, str) else error)
    if rows.error is not None:
        errors = rows.error[inside]
    elif isinstance(error, str):
        raise InputError(f"there is no column {error!r} of errors")
    values, wanted = rows.values[inside], unit_of(c.model, of)
    if wanted is None:
        known = (
            [s.name for s in (*c.model.all_states, *c.model.outputs)]
            if kind == "value"
            else [f.name for f in c.model.fluxes]
        )
        raise InputError(f"{c.model.name} has nothing of that name to be seen as {kind}; it has {known}")
    if rows.unit is not None:
        values, edge, zero = (
            convert(v, rows.unit, wanted, file=str(c.path), variable=rows.quantity)
            for v in (values, errors, np.zeros_like(errors))
        )
        errors = edge - zero
    return replace(of, values=values, error=errors, label=str(rows.at.get("place", "")))


Where = tuple[float | tuple[float, float] | None, int | None]


def _where(c: Configuration, rows: Rows, places: Table, kind: str) -> Where:
    at = dict(rows.at)
    label = at.pop("place", None)
    if label is not None:
        at |= _of_place(c, str(label), places)
    if "depth" in at:
        depth = at["depth"]
        return (as_number(depth[0]), as_number(depth[1])) if isinstance(depth, list) else as_number(depth), None
    if not at:
        return None, None
    columns = {k: v if isinstance(v, int) else [v] for k, v in at.items() if k in PLACE}
    numbers = cells_at(
        c.model.graph, {k: [v] if isinstance(v, int) else v for k, v in columns.items()}, str(label or at)
    )
    cell = int(numbers[0])
    return None, cell if kind == "value" else _item(c.model, rows.quantity, cell)


def _of_place(c: Configuration, label: str, places: Table) -> dict[str, object]:
    if label in places.values:
        where = places.values[label]
        if not isinstance(where, dict) or not {*where} <= {"depth", *PLACE}:
            raise places.fail(label, "must say where it is, such as { depth = 0.2 } or { row = 3, column = 5 }")
        return dict(where)
    if label in c.places:
        return {"cell": c.places[label]}
    labels = [str(name) for name in c.model.graph.labels or ()]
    if label in labels:
        return {"cell": labels.index(label)}
    known = [*places.values, *c.places, *labels]
    raise InputError(f"there is no place {label!r}; [places] and the model know {known[:20]}")


def _item(model: Model, flux: str, cell: int) -> int | None:
    """Which of the items of a flux is that of a cell."""
    on = next((f.on for f in model.fluxes if f.name == flux), "total")
    if on != "boundary":
        return None if on == "total" else cell
    cells = [k for b in model.boundaries if b.name == flux for k in b.cells]
    if cell not in cells:
        raise InputError(f"the boundary {flux!r} has no place at cell {cell}")
    return cells.index(cell)


def _series(value: object) -> dict[str, dict[str, object]]:
    found = as_table(value, lambda v: v)
    if not found or not all(isinstance(where, dict) for where in found.values()):
        raise ValueError
    return {name: dict(where) for name, where in found.items() if isinstance(where, dict)}


def _error(value: object) -> float | str:
    return as_text(value) if isinstance(value, str) else as_within(value, 1e-300, 1e300)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def watched(observed: Sequence[Observation]) -> Array:
    """Times at which values are seen, which are output times then, so that nothing is interpolated."""
    found = [one.times for one in observed if one.kind == "value"]
    return np.unique(np.concatenate(found)) if found else np.empty(0)
