"""A table of a TOML file, taken key by key, and readers of plain values: they raise `ValueError` for others."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import DataError

Range = tuple[float, float]
Days = tuple[dt.date, dt.date]
_REQUIRED = object()


class Table:
    """A table of the file; `take` removes and checks one key, `finish` objects to those left over."""

    def __init__(self, file: Path, name: str, values: Any) -> None:
        self.file, self.name = file, name
        if not isinstance(values, dict):
            raise DataError(f"{file}: [{name}] must be a table, got {values!r}")
        self.values, self.known = dict(values), list[str]()

    def fail(self, key: str, what: str) -> DataError:
        return DataError(f"{self.file}: [{self.name}] {key} {what}")

    def take(self, key: str, read: Callable[[Any], Any], expected: str, default: Any = _REQUIRED) -> Any:
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


def as_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def as_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < float("inf"):
        raise ValueError
    return float(value)


def as_within(value: Any, low: float, high: float) -> float:
    if not low <= as_number(value) <= high:
        raise ValueError
    return float(value)


def as_count(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError
    return value


def as_one_of(value: Any, allowed: Any) -> str:
    if value not in allowed:
        raise ValueError
    return str(value)


def as_pair(value: Any, read: Callable[[Any], Any]) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    return read(value[0]), read(value[1])


def as_range(value: Any) -> Range:
    low, high = as_pair(value, as_number)
    if not low < high:
        raise ValueError
    return low, high


def as_date(value: Any) -> dt.date:
    if isinstance(value, dt.datetime) or not isinstance(value, (dt.date, str)):
        raise ValueError
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


def as_days(value: Any) -> Days:
    first, last = as_pair(value, as_date)
    if not first < last:
        raise ValueError
    return first, last
