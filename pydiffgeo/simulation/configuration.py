"""The configuration of a forward run of any model: a TOML file, checked key by key. See `template`."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ..arrays import Array
from ..errors import DataError
from ..model import ForcingVariable, Model
from ..toml_table import Table, as_number, as_one_of, as_table, as_text, as_within, read_toml, table_at, take_engine
from .fields import FILE, ZONES, as_field, resolved
from .making import built

TABLES = ("arguments", "parameters", "initial", "forcing", "times", "solve", "output")
# Those that a run has no use for.
CALIBRATION = ("observations", "places", "sought", "optimiser", "sites")
# A number, or one for each cell or place, or a field on the grid.
Numbers = float | Array


@dataclass(frozen=True)
class FileSettings:
    """Where forcings are, at `path`: NetCDF, Zarr or CSV.

    Attributes:
        time: what the file calls its times. variables: forcing -> name in the file, or names of one for each cell or
            place. units: forcing -> unit, where the file states none. linear: whether values are those at the times, with
            straight lines between them; else each holds from its time to the next. optional: forcings with a default,
            which the file may lack.
    """

    path: Path
    time: str
    variables: Mapping[str, str | tuple[str, ...]]
    units: Mapping[str, str]
    linear: bool
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimeSettings:
    """Output times: from `start` to `end` by `step` in the time unit of the model, or all times of the file of forcings.

    Attributes:
        origin: the date that is time zero; None where times are numbers.
    """

    origin: np.datetime64 | None
    start: float | np.datetime64 | None
    end: float | np.datetime64 | None
    step: float | None


@dataclass(frozen=True)
class Rest:
    """The forcing at whose steady state a run begins: the "first" or the "mean" of the run, or `forcing`, where given."""

    of: Literal["first", "mean"] = "first"
    forcing: Mapping[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """A checked configuration; `text` is the file, with what was set beside it, `tables` those that are not of a run.

    Of `files` with forcings the first is the one whose times are those of the run where nothing else is said. `places` are
    names of cells. With `rest` the run begins at a steady state, which is searched from `initial` on.
    """

    path: Path
    model: Model
    parameters: Mapping[str, Numbers]
    initial: Mapping[str, Numbers]
    forcing: Mapping[str, Numbers]
    files: tuple[FileSettings, ...]
    times: TimeSettings
    engine: str
    solver: str | None
    rtol: float
    atol: float
    output: Path
    text: str
    places: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, object] = field(default_factory=dict)
    rest: Rest | None = None


def read_configuration(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    code: bool = False,
    changes: Mapping[str, object] | None = None,
    site: str | None = None,
) -> Configuration:
    """Reads and checks a configuration; paths in it are relative to its folder.

    Args:
        overrides: `key=value` each, which come before what the file says, such as `parameters.K_s=0.1`.
        code: whether `model = "my_package:MyModel"` may import that package, which runs code of the file's author.
        changes: keys with dots between, such as "parameters.K_s", and what they
            are instead, as from a table of sites.

    Raises:
        DataError: the file cannot be read, or a key is missing, unknown or wrong; names it.
    """
    path = Path(path)
    text, tables = read_toml(path, overrides)
    for key, value in (changes or {}).items():
        put(tables, key, value, str(path))
    if site is not None:
        tables = {name: _named(value, site) for name, value in tables.items()}
    known = ("model", *TABLES, *CALIBRATION)
    for name in tables:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise DataError(f"{path}: {name!r} is unknown; {hint}known are {', '.join(known)}")

    def table(name: str) -> Table:
        return Table(path, name, tables.get(name, {}))

    made = built(path, tables.get("model"), table("arguments"), code)
    model = made.model
    units = {p.name: p.unit for p in model.parameters}
    parameters = on_layers(model, _numbers(table("parameters"), units, model.name))
    _once(table("parameters"), parameters, made.parameters)
    starts = {o.name: o.unit for o in model.outputs if o.name in model.initial_names}
    starts |= {name: "" for name in model.initial_names if name not in starts}
    units = {s.name: s.unit for s in model.all_states} | starts
    of_initial = table("initial")
    rest = _rest(of_initial, model)
    initial = on_layers(model, _numbers(of_initial, units, model.name))
    forcing, files = _forcing(table("forcing"), model, made.forcing)
    times = _times(table("times"), bool(files))
    solve = table("solve")
    engine, solver = take_engine(solve)
    rtol = solve.take("rtol", lambda v: as_within(v, 1e-14, 1), "a positive number below 1", 1e-6)
    atol = solve.take("atol", lambda v: as_within(v, 1e-30, 1e6), "a positive number", 1e-8)
    solve.finish()
    output = table("output")
    result = output.take(
        "file", lambda v: path.parent / as_text(v), "the name of the result, a NetCDF file", path.with_suffix(".nc")
    )
    output.finish()
    others = {name: tables[name] for name in CALIBRATION if name in tables}
    return Configuration(
        path,
        model,
        {**made.parameters, **parameters},
        initial,
        forcing,
        files,
        times,
        engine,
        solver,
        rtol,
        atol,
        result,
        text,
        made.places,
        others,
        rest,
    )


def _rest(t: Table, model: Model) -> Rest | None:
    """What `steady` of the table `[initial]` says."""
    kinds = ("first", "mean")
    given = t.values.pop("steady", False)
    if isinstance(given, dict):
        own = Table(t.file, f"{t.name}.steady", given)
        of: Literal["first", "mean"] = "first"
        if own.take("others", lambda v: as_one_of(v, kinds), '"first" or "mean"', "first") == "mean":
            of = "mean"
        return Rest(of, on_layers(model, _numbers(own, {f.name: f.unit for f in model.forcings}, model.name)))
    if given is True or given == "first":
        return Rest()
    if given == "mean":
        return Rest("mean")
    if given is not False:
        raise t.fail("steady", f'must be true, "first", "mean", or a table of forcings, got {given!r}')
    return None


def put(tables: dict[str, object], key: str, value: object, where: str) -> None:
    """Sets a key with dots between; raises `DataError` where something on the way is no table."""
    *way, last = key.split(".")
    table_at(tables, way, where, f"of {key} is no table")[last] = value


def _named(value: object, site: str) -> object:
    """`value` with the name of the site in its texts."""
    if isinstance(value, str):
        return value.replace("{site}", site)
    if isinstance(value, list):
        return [_named(entry, site) for entry in value]
    return {k: _named(v, site) for k, v in value.items()} if isinstance(value, dict) else value


def _once(t: Table, given: Mapping[str, object], of_tables: Mapping[str, object]) -> None:
    for name in given:
        if name in of_tables:
            raise t.fail(name, "is a column of the table of a boundary as well; give one of the two")


def _numbers(t: Table, known: Mapping[str, str], model: str) -> dict[str, Numbers]:
    """Numbers and fields by name; `known` are the units of what there is."""
    for name in t.values:
        if name not in known:
            close = difflib.get_close_matches(name, list(known), n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise t.fail(name, f"is unknown; {hint}{model} has {', '.join(known) or 'none'}")
    return {name: _field(t, name, value, known[name]) for name, value in t.values.items()}


def on_layers(model: Model, values: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Fields `(rows, columns)`, and numbers of layers `(layers,)`, of a grid with layers as fields of the whole grid."""
    shape, spread = model.graph.shape, dict(values)
    for name, value in values.items():
        if shape is None or len(shape) != 3 or isinstance(value, float):
            continue
        if value.shape == shape[1:]:
            spread[name] = np.broadcast_to(value, shape).copy()
        elif value.shape == shape[:1] and shape[0] != model.graph.cells and shape[0] > 1:
            spread[name] = np.broadcast_to(value[:, None, None], shape).copy()
    return spread


def _field(t: Table, name: str, value: object, unit: str) -> Numbers:
    where = f"{t.file}: [{t.name}] {name}"
    return as_field(resolved(value, t.file.parent, where, unit or None), where)


def _forcing(
    t: Table, model: Model, of_tables: Mapping[str, Array]
) -> tuple[dict[str, Numbers], tuple[FileSettings, ...]]:
    """Constant forcings, those `of_tables` among them, and files of the others."""
    names, folder = [f.name for f in model.forcings], t.file.parent
    path = t.take("file", lambda v: folder / as_text(v), "the path of a NetCDF, Zarr or CSV file", None)
    time = t.take("time", as_text, "what the file calls its times", "time")
    units = t.take("units", lambda v: as_table(v, as_text), "a table of units of forcings", {})
    linear = _linear(t)
    numbers, variables = dict[str, Numbers](), dict[str, str | tuple[str, ...]]()
    own = list[FileSettings]()
    for f in model.forcings:
        value = t.values.pop(f.name, None)
        t.known.append(f.name)
        if (isinstance(value, str) and value) or _are_names(value):
            variables[f.name] = value if isinstance(value, str) else tuple(map(str, value))
        elif isinstance(value, dict) and not {*value} <= FILE - {"variable"} and {*value} != ZONES:
            own.append(_own_file(t, f, value))
        elif value is not None:
            numbers[f.name] = _field(t, f.name, value, f.unit)
    t.finish()
    _once(t, {**numbers, **variables, **{name: 0 for file in own for name in file.variables}}, of_tables)
    numbers |= of_tables
    for name in units:
        if name not in names:
            raise t.fail(f"units.{name}", f"is unknown; {model.name} has {', '.join(names) or 'none'}")
    if path is None:
        for name in variables:
            raise t.fail(name, "is the name of a variable, but no file is given")
        return numbers, tuple(own)
    # What is not named is called as the model calls it.
    taken = {*variables, *numbers, *(name for file in own for name in file.variables)}
    unnamed = {f.name: f for f in model.forcings if f.name not in taken}
    optional = tuple(name for name, f in unnamed.items() if f.default is not None)
    return numbers, (FileSettings(path, time, variables | {n: n for n in unnamed}, units, linear, optional), *own)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, str) and entry for entry in value)


def _linear(t: Table) -> bool:
    kinds = ("constant", "linear")
    return t.take("between", lambda v: as_one_of(v, kinds), '"constant" or "linear"', "constant") == "linear"


def _own_file(t: Table, f: ForcingVariable, value: dict[str, object]) -> FileSettings:
    """A forcing with a file of its own: `{ file = "rain.nc", variable = "rain" }`."""
    own = Table(t.file, f"{t.name}.{f.name}", value)
    path = own.take("file", lambda v: t.file.parent / as_text(v), "the path of a NetCDF, Zarr or CSV file")
    names = own.take("variable", _variables, "the name of a variable, or names of one for each place", f.name)
    time = own.take("time", as_text, "what the file calls its times", "time")
    unit = own.take("units", as_text, "a unit", None)
    linear = _linear(own)
    own.finish()
    return FileSettings(path, time, {f.name: names}, {} if unit is None else {f.name: unit}, linear)


def _variables(value: object) -> str | tuple[str, ...]:
    return tuple(as_text(v) for v in value) if isinstance(value, list) and value else as_text(value)


def _times(t: Table, file: bool) -> TimeSettings:
    start = t.take("start", _time, "a number in the time unit of the model, or a date", None)
    end = t.take("end", _time, "a number, or a date where start is one", None)
    step = t.take("step", lambda v: as_within(v, 1e-12, 1e12), "a positive number in the time unit of the model", None)
    t.finish()
    if end is None and not file:
        raise t.fail("end", "is missing: when the run ends, a number or a date; only a file of forcings says it too")
    if end is not None and step is None and not file:
        raise t.fail("step", "is missing: the time between outputs, in the time unit of the model")
    for key, value in (("start", start), ("end", end)):
        other = end if key == "start" else start
        if (
            value is not None
            and other is not None
            and isinstance(value, np.datetime64) != isinstance(other, np.datetime64)
        ):
            raise t.fail(key, "must be a date as the other end is one, or a number as that is")
    if isinstance(end, np.datetime64) and start is None and not file:
        raise t.fail("start", "is missing: a date, as the end is one")
    return TimeSettings(start if isinstance(start, np.datetime64) else None, start, end, step)


def _time(value: object) -> float | np.datetime64:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        raise ValueError
    return np.datetime64(value, "ns") if isinstance(value, dt.date) else as_number(value)
