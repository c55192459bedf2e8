"""Tables of CSV files: a line of names, then a line for each row; lines that begin with # are comments."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..errors import DataError


@dataclass(frozen=True)
class CsvTable:
    """Entries of a file as text: names of its columns, and rows, all of the file `where`."""

    where: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> list[str]:
        """Entries of a column, empty where there is none; raises `DataError` where it is not there or a row is short."""
        if name not in self.names:
            raise DataError(f"{self.where}: there is no column {name!r}; it has {list(self.names)}")
        at = self.names.index(name)
        short = next((i for i, row in enumerate(self.rows, 2) if len(row) <= at), None)
        if short is not None:
            raise DataError(f"{self.where}: line {short} has no entry for {name!r}")
        return [row[at] for row in self.rows]

    def numbers(self, name: str) -> Array:
        """Numbers of a column, NaN where an entry is empty; raises `DataError` where one is no number."""
        texts = self.column(name)
        try:
            return np.array([text or "nan" for text in texts], np.float64)
        except ValueError as error:
            raise DataError(f"{self.where}: {name!r} does not hold numbers ({error})") from error

    def values(self, name: str) -> list[int] | list[float] | list[str | None]:
        """Entries of a column as whole numbers, numbers, or text (None where empty), whichever fits all of them."""
        texts = self.column(name)
        for kind in (int, float):
            try:
                return [kind(text) for text in texts]
            except ValueError:
                continue
        return [text or None for text in texts]


def read_csv(path: Path) -> CsvTable:
    """Raises `DataError` where the file cannot be read."""
    head, *rows = _lines(path) or [[]]
    return CsvTable(str(path), tuple(head), tuple(map(tuple, rows)))


def read_matrix(path: Path) -> Array | None:
    """The numbers of a file without names, `(lines, columns)`, NaN where an entry is empty; None where it has names.

    Raises:
        DataError: it cannot be read, or its lines have different lengths.
    """
    lines = _lines(path)
    try:
        numbers = [[float(text or "nan") for text in line] for line in lines]
    except ValueError:
        return None
    if not numbers or len({len(line) for line in numbers}) > 1:
        raise DataError(f"{path}: a field needs lines of numbers, all of one length")
    return np.array(numbers)


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream) if line and not line[0].startswith("#")]
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    return [[entry.strip() for entry in line] for line in lines]
