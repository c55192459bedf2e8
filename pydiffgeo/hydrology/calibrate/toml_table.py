"""A table of a TOML file, taken key by key, and readers of plain values: they raise `ValueError` for others."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable, Container
from pathlib import Path
from typing import TypeVar, overload

from ...errors import DataError

Range = tuple[float, float]
Days = tuple[dt.date, dt.date]
T = TypeVar("T")
Default = TypeVar("Default")
_REQUIRED = object()


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
