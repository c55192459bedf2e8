"""The configuration of a forward run of any model: a TOML file, checked key by key. See `template`."""

from __future__ import annotations

import datetime as dt
import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError, PydiffgeoError
from ..model import Model
from ..models.ready import READY
from ..toml_table import Table, as_number, as_one_of, as_table, as_text, as_within, read_toml, take_engine

TABLES = ("arguments", "parameters", "initial", "forcing", "times", "solve", "output")
# A number, or one for each cell.
Numbers = float | Array


@dataclass(frozen=True)
class FileSettings:
    """Where forcings are, at `path`: NetCDF, Zarr or CSV.

    Attributes:
        time: what the file calls its times. variables: forcing -> name in the file. units: forcing -> unit, where the
            file states none. linear: whether values are those at the times, with straight lines between them; else
            each holds from its time to the next.
    """

    path: Path
    time: str
    variables: Mapping[str, str]
    units: Mapping[str, str]
    linear: bool


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
class Configuration:
    """A checked configuration; `text` is the file, with what was set beside it."""

    path: Path
    model: Model
    parameters: Mapping[str, Numbers]
    initial: Mapping[str, Numbers]
    forcing: Mapping[str, float]
    file: FileSettings | None
    times: TimeSettings
    engine: str
    solver: str | None
    rtol: float
    atol: float
    output: Path
    text: str


def read_configuration(path: str | Path, *, overrides: Sequence[str] = (), code: bool = False) -> Configuration:
    """Reads and checks a configuration; paths in it are relative to its folder.

    Args:
        overrides: `key=value` each, which come before what the file says, such as `parameters.K_s=0.1`.
        code: whether `model = "my_package:MyModel"` may import that package, which runs code of the file's author.

    Raises:
        DataError: the file cannot be read, or a key is missing, unknown or wrong; names it.
    """
    path = Path(path)
    text, tables = read_toml(path, overrides)
    for name in tables:
        if name not in ("model", *TABLES):
            close = difflib.get_close_matches(name, ("model", *TABLES), n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise DataError(f"{path}: {name!r} is unknown; {hint}known are model, {', '.join(TABLES)}")

    def table(name: str) -> Table:
        return Table(path, name, tables.get(name, {}))

    model = _model(path, tables.get("model"), table("arguments"), code)
    parameters = _numbers(table("parameters"), [p.name for p in model.parameters], model.name)
    starts = [*(s.name for s in model.all_states), *model.initial_names]
    initial = _numbers(table("initial"), starts, model.name)
    forcing, file = _forcing(table("forcing"), model, path.parent)
    times = _times(table("times"), file is not None)
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
    return Configuration(
        path, model, parameters, initial, forcing, file, times, engine, solver, rtol, atol, result, text
    )


def maker(name: object, *, code: bool, where: str, folder: Path | None = None) -> Callable[..., Model]:
    """What makes the model of a name: that of a ready one, or `package:Name`, which is imported where `code` is set.

    Raises:
        DataError: there is none, or it would run code that nobody asked for; begins with `where`.
    """
    if not isinstance(name, str):
        raise DataError(f"{where} is missing: the name of a ready model ({', '.join(READY)}), or 'my_package:MyModel'")
    if name in READY:
        return READY[name].make
    package, colon, attribute = name.partition(":")
    if not colon:
        close = difflib.get_close_matches(name, READY, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DataError(f"{where} {name!r} is no ready model; {hint}there are {', '.join(READY)}")
    if not code:
        raise DataError(
            f"{where} {name!r} is code: importing {package!r} runs what its author wrote. Where you trust it, say --run-code"
        )
    if folder is not None and str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))
    try:
        found = getattr(importlib.import_module(package), attribute)
    # A module may fail in any way while it is imported.
    except Exception as error:
        raise DataError(f"{where} {name!r} cannot be imported ({type(error).__name__}: {error})") from error
    if isinstance(found, Model):
        return lambda: found
    if not callable(found):
        raise DataError(f"{where} {name!r} is neither a model nor a function that returns one")
    return found


def _model(path: Path, name: object, arguments: Table, code: bool) -> Model:
    make = maker(name, code=code, where=f"{path}: model", folder=path.parent)
    given = arguments.values
    try:
        inspect.signature(make).bind(**given)
    except TypeError as error:
        raise DataError(f"{path}: [arguments] do not fit {name!r}: {error}") from error
    try:
        model = make(**given)
    except PydiffgeoError as error:
        raise DataError(f"{path}: [arguments] cannot be used: {error}") from error
    if not isinstance(model, Model):
        raise DataError(f"{path}: model {name!r} returns {type(model).__name__}, no Model")
    return model


def _numbers(t: Table, known: Sequence[str], model: str) -> dict[str, Numbers]:
    for name in t.values:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise t.fail(name, f"is unknown; {hint}{model} has {', '.join(known) or 'none'}")
    return {name: t.take(name, _number_or_list, "a number, or a list of one for each cell") for name in [*t.values]}


def _number_or_list(value: object) -> Numbers:
    if isinstance(value, list) and value:
        return np.array([as_number(v) for v in value])
    return as_number(value)


def _forcing(t: Table, model: Model, folder: Path) -> tuple[dict[str, float], FileSettings | None]:
    names = [f.name for f in model.forcings]
    path = t.take("file", lambda v: folder / as_text(v), "the path of a NetCDF, Zarr or CSV file", None)
    time = t.take("time", as_text, "what the file calls its times", "time")
    units = t.take("units", lambda v: as_table(v, as_text), "a table of units of forcings", {})
    kind = t.take("between", lambda v: as_one_of(v, ("constant", "linear")), '"constant" or "linear"', "constant")
    numbers, variables = dict[str, float](), dict[str, str]()
    for name in names:
        value = t.take(name, _number_or_name, "a number, or the name of a variable of the file", None)
        if isinstance(value, str):
            variables[name] = value
        elif value is not None:
            numbers[name] = value
    t.finish()
    for name in units:
        if name not in names:
            raise t.fail(f"units.{name}", f"is unknown; {model.name} has {', '.join(names) or 'none'}")
    if path is None:
        for name in variables:
            raise t.fail(name, "is the name of a variable, but no file is given")
        return numbers, None
    # What is not named is called as the model calls it.
    variables |= {n: n for n in names if n not in variables and n not in numbers}
    return numbers, FileSettings(path, time, variables, units, kind == "linear")


def _number_or_name(value: object) -> float | str:
    return as_text(value) if isinstance(value, str) else as_number(value)


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
