"""Tables of text with a heading: columns of numbers and days, whose faults are named by file, line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...arrays import Array, Dates
from ...errors import DataError
from ...io.axis import check_times
from ...io.packed import without

# What stands for no value, in lower case and without blanks.
BLANKS = ("", "na", "nan", "null", "none", "-", "--", "n/a")
DELIMITERS = ";,\t "


@dataclass(frozen=True)
class TextTable:
    """A table as it was read.

    Attributes:
        heading: names of the columns. rows: their entries. lines: the line of each row in the file, from 1.
    """

    file: Path
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def at(self, column: str) -> int:
        """The place of a column.

        Raises:
            DataError: there is none of that name, or several.
        """
        count = self.heading.count(column)
        if count != 1:
            what = "has no column" if count == 0 else f"has {count} columns"
            raise DataError(f"{self.file}: the heading {what} {column!r}; it has {', '.join(self.heading[:30])}")
        return self.heading.index(column)

    def has(self, column: str) -> bool:
        return column in self.heading

    def texts(self, column: str) -> list[str]:
        """The entries of a column, `(rows,)`."""
        at = self.at(column)
        return [row[at] for row in self.rows]

    def numbers(self, column: str, missing: Sequence[float] = (), also: Collection[str] = ()) -> Array:
        """A column of numbers, `(rows,)`; NaN for blanks, the numbers that are `missing`, and the texts that are so `also`.

        Raises:
            DataError: an entry is no number; names file, line and column.
        """
        entries = self.texts(column)
        try:
            values = np.array(entries, np.float64)
        except ValueError:
            values = np.array([self._number(entry, row, column, also) for row, entry in enumerate(entries)], np.float64)
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise DataError(f"{self.file}: line {self.lines[row]} has an infinite {column!r}")
        return without(values, missing)

    def _number(self, entry: str, row: int, column: str, also: Collection[str]) -> float:
        if entry.lower() in BLANKS or entry in also:
            return math.nan
        try:
            return float(entry)
        except ValueError:
            raise DataError(
                f"{self.file}: line {self.lines[row]} has no number for {column!r}: {entry[:60]!r}"
            ) from None

    def times(self, *columns: str, unit: str = "D") -> Dates:
        """Rising times of one column, as 2000-01-31 or 2000/01/31 with or without a time of day, or of three with year, month, day.

        Raises:
            DataError: an entry is no date. TimeAxisError: they repeat, or are not sorted.
        """
        parts = [self.texts(column) for column in columns]
        joined = ["-".join(part.zfill(2) for part in row) for row in zip(*parts, strict=True)]
        times: Dates = np.empty(len(joined), f"datetime64[{unit}]")
        for row, text in enumerate(joined):
            try:
                # An array of one takes any unit; what is finer than that is cut off.
                times[row] = np.array(text.replace("/", "-"), times.dtype)
            except ValueError:
                raise DataError(
                    f"{self.file}: line {self.lines[row]} has no date in {', '.join(map(repr, columns))}: {text[:40]!r}"
                ) from None
        check_times(times, str(self.file))
        return times


def read_lines(file: Path) -> list[str]:
    """The lines of a text, whether in UTF-8 or, as some archives are, in Latin-1.

    Raises:
        DataError: it cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.splitlines()


def read_text_table(file: Path, *, comment: str = "#", delimiter: str | None = None) -> TextTable:
    """A table whose first line that is neither empty nor a comment is its heading.

    Args:
        delimiter: what separates entries; where None, whichever of semicolon, comma, tab and blank the heading has most of.

    Raises:
        DataError: it cannot be read, is empty, or has lines that are cut off.
    """
    numbered = [
        (number, line)
        for number, line in enumerate(read_lines(file), 1)
        if line.strip() and not (comment and line.lstrip().startswith(comment))
    ]
    if not numbered:
        raise DataError(f"{file}: has no heading")
    if delimiter is None:
        delimiter = max(DELIMITERS, key=numbered[0][1].count)
    try:
        parsed = [
            tuple(entry.strip() for entry in row)
            for row in csv.reader((line for _, line in numbered), delimiter=delimiter)
        ]
    except csv.Error as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    heading, rows = parsed[0], parsed[1:]
    lines = tuple(number for number, _ in numbered[1:])
    for row, line in zip(rows, lines, strict=False):
        if len(row) != len(heading):
            raise DataError(f"{file}: line {line} has {len(row)} entries for {len(heading)} columns")
    if len(rows) != len(lines):
        raise DataError(f"{file}: an entry in quotes goes over several lines")
    return TextTable(file, heading, tuple(rows), lines)
