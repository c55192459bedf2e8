"""TOML files with overrides; their tables, taken key by key; and readers of plain values, which raise `ValueError` for others."""

from __future__ import annotations

import datetime as dt
import difflib
import os
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, overload

from .checks import netcdf_writer
from .errors import DataError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Range = tuple[float, float]
Days = tuple[dt.date, dt.date]
T = TypeVar("T")
Default = TypeVar("Default")
_REQUIRED = object()


def read_toml(path: Path, overrides: Sequence[str] = ()) -> tuple[str, dict[str, object]]:
    """The text of a file, with what overrides it as comments, and its tables.

    Args:
        overrides: `key=value` each: tables and key with dots between, as in `solve.rtol=1e-6`, and a value as TOML
            writes it; what is no such value is text.

    Raises:
        DataError: the file cannot be read, or an override is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables: dict[str, object] = tomllib.loads(text)
    # Numbers of thousands of digits and names that no file can have are ValueErrors too.
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as a configuration ({error})") from error
    for override in overrides:
        key, equals, value = override.partition("=")
        *way, last = [part.strip() for part in key.split(".")]
        if not equals or not all((*way, last)):
            raise DataError(f"--set takes key=value, such as solve.rtol=1e-6, got {override!r}")
        at = table_at(tables, way, f"--set {override}", f"is no table in {path}")
        try:
            at[last] = tomllib.loads(f"value = {value}")["value"]
        except ValueError:
            at[last] = value.strip()
        text += f"\n# set on the command line: {override}"
    return text, tables


def check_tables(path: Path, tables: Mapping[str, object], known: Sequence[str], needed: Sequence[str]) -> None:
    """Raises `DataError` where a table is unknown, or one that is needed is missing."""
    for name in tables:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean [{close[0]}]? " if close else ""
            raise DataError(f"{path}: [{name}] is unknown; {hint}known are {', '.join(known)}")
    for name in needed:
        if name not in tables:
            raise DataError(f"{path}: [{name}] is missing")


def check_output(path: Path, output: Path) -> None:
    """Raises `DataError` where the result of a configuration cannot be written, `MissingPackageError` for want of a library."""
    folder = output.parent  # a name that no file can have is no folder, and no error
    if not os.path.isdir(folder) or os.path.isdir(output) or not os.access(folder, os.W_OK):
        raise DataError(f"{path}: [output] file: {output} cannot be written")
    netcdf_writer(output)


def table_at(tables: dict[str, object], way: Sequence[str], ahead: str, behind: str) -> dict[str, object]:
    """The table at the end of a way, made where there is none; `DataError` of what on the way is no table, between words."""
    for part in way:
        inner = tables.setdefault(part, {})
        if not isinstance(inner, dict):
            raise DataError(f"{ahead}: {part!r} {behind}")
        tables = inner
    return tables


def parsed(text: str) -> dict[str, dict[str, object]]:
    """The tables of a text that is part of the program."""
    tables: dict[str, dict[str, object]] = tomllib.loads(text)
    return tables


class Table:
    """A table of the file; `take` removes and checks one key, `finish` objects to those left over."""

    def __init__(self, file: Path, name: str, values: object) -> None:
        self.file, self.name = file, name
        if not isinstance(values, dict):
            raise DataError(f"{file}: [{name}] must be a table, got {values!r}")
        self.values, self.known = dict(values), list[str]()

    def fail(self, key: str, what: str) -> DataError:
        return DataError(f"{self.file}: [{self.name}] {key} {what}")

    @overload
    def take(self, key: str, read: Callable[[object], T], expected: str) -> T: ...

    @overload
    def take(self, key: str, read: Callable[[object], T], expected: str, default: Default) -> T | Default: ...

    def take(self, key: str, read: Callable[[object], object], expected: str, default: object = _REQUIRED) -> object:
        """`read` returns the value or raises `ValueError`; `expected` says what it should have been."""
        self.known.append(key)
        if key not in self.values:
            if default is _REQUIRED:
                raise self.fail(key, f"is missing: {expected}")
            return default
        value = self.values.pop(key)
        try:
            return read(value)
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise self.fail(key, f"must be {expected}, got {value!r}") from None

    def finish(self) -> None:
        for key in self.values:
            close = difflib.get_close_matches(key, self.known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise self.fail(key, f"is unknown; {hint}known are {', '.join(self.known)}")


def as_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def as_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < float("inf"):
        raise ValueError
    return float(value)


def as_plain(value: object) -> float | int:
    """A number as it is written: whole or not."""
    number = as_number(value)
    return value if isinstance(value, int) else number


def as_within(value: object, low: float, high: float) -> float:
    number = as_number(value)
    if not low <= number <= high:
        raise ValueError
    return number


def as_count(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError
    return value


def as_one_of(value: object, allowed: Container[object]) -> str:
    if value not in allowed:
        raise ValueError
    return str(value)


def as_table(value: object, read: Callable[[object], T]) -> dict[str, T]:
    if not isinstance(value, dict):
        raise ValueError
    return {str(key): read(entry) for key, entry in value.items()}


def as_pair(value: object, read: Callable[[object], T]) -> tuple[T, T]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    return read(value[0]), read(value[1])


def as_range(value: object) -> Range:
    low, high = as_pair(value, as_number)
    if not low < high:
        raise ValueError
    return low, high


def as_date(value: object) -> dt.date:
    if isinstance(value, dt.datetime) or not isinstance(value, (dt.date, str)):
        raise ValueError
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


def as_days(value: object) -> Days:
    first, last = as_pair(value, as_date)
    if not first < last:
        raise ValueError
    return first, last


def take_engine(table: Table) -> tuple[str, str | None]:
    """Names of the engine, and of its solver where one is given."""
    engines = ("auto", "julia", "sundials")
    engine = table.take("engine", lambda v: as_one_of(v, engines), f"one of {', '.join(engines)}", "auto")
    return engine, table.take("solver", as_text, "the name of a solver of the engine", None)
