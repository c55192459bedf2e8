"""What was observed, from the tables of a configuration: CSV with a row for each value, or a column for each place, and NetCDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..arrays import Array
from ..calibration.record import unit_of
from ..errors import DataError, InputError, ModelError
from ..io.units import convert
from ..model import Model
from ..models.grid_places import PLACE, cells_at
from ..observe import Observation
from ..toml_table import Table, as_number, as_one_of, as_pair, as_text, as_within
from .configuration import Configuration
from .observed_rows import Rows, read_rows
from .run import model_times

USES = ("train", "tuning", "evaluation")
KINDS: dict[str, Literal["value", "flux_mean", "flux_sum"]] = {"value": "value", "mean": "flux_mean", "sum": "flux_sum"}


@dataclass(frozen=True, eq=False)
class Observed:
    """Series of observations by what they are used for; see `USES`."""

    train: tuple[Observation, ...]
    tuning: tuple[Observation, ...]
    evaluation: tuple[Observation, ...]


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
        for rows in read_rows(c, table, site):
            try:
                one = _observation(c, rows, KINDS[kind], window, error, between, named, period, origin)
            except (InputError, ModelError) as wrong:
                raise DataError(f"{c.path}: [{table.name}] {rows.quantity}: {wrong}") from wrong
            if one is not None:
                found[use].append(one)
    if not found["train"]:
        raise DataError(f"{c.path}: [[observations]] have nothing to train on from {period[0]:g} to {period[1]:g}")
    return Observed(*(tuple(found[use]) for use in USES))


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
        return _depth(at["depth"]), None
    if not at:
        return None, None
    columns = {k: v if isinstance(v, int) else [v] for k, v in at.items() if k in PLACE}
    numbers = cells_at(
        c.model.graph, {k: [v] if isinstance(v, int) else v for k, v in columns.items()}, str(label or at)
    )
    cell = int(numbers[0])
    return None, cell if kind == "value" else _item(c.model, rows.quantity, cell)


def _depth(value: object) -> float | tuple[float, float]:
    try:
        return as_pair(value, as_number) if isinstance(value, list) else as_number(value)
    except ValueError:
        raise InputError(f"depth must be a number, or [upper, lower], got {value!r}") from None


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
