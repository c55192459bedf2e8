"""Parsers of the text files of CAMELS-US: forcing and stream flow of one basin."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...arrays import Array, Dates
from ...errors import DataError
from ...io.axis import check_times
from ..basin import unknown_basin

MISSING = -999.0


@dataclass(frozen=True)
class Forcing:
    """A forcing file: area in m2 (NaN where it states none), days, and column -> values and unit."""

    area: float
    dates: Dates
    columns: dict[str, Array]
    units: dict[str, str]


def find_files(folder: Path, ending: str) -> dict[str, list[Path]]:
    """basin -> its files below `folder`, whose names start with the basin and have the `ending`.

    Raises:
        DataError: there is no such folder; lists those beside it.
    """
    # Path.is_dir raises where a name is too long or no name at all.
    if not os.path.isdir(folder):
        beside = sorted(p.name for p in folder.parent.iterdir() if p.is_dir()) if os.path.isdir(folder.parent) else []
        raise DataError(f"{folder}: no such folder" + (f"; there are {', '.join(beside)}" if beside else ""))
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob(f"*_{ending}")):
        files.setdefault(path.name.split("_")[0], []).append(path)
    return files


def only_file(files: dict[str, list[Path]], basin: str, folder: Path) -> Path:
    """The one file of `basin`; raises `DataError` where there is none, or several."""
    paths = files.get(basin)
    if not paths:
        raise unknown_basin(basin, files, str(folder))
    if len(paths) > 1:
        raise DataError(f"{folder}: basin {basin} has {len(paths)} files: {', '.join(map(str, paths))}")
    return paths[0]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error


def read_forcing(file: Path) -> Forcing:
    """A forcing file: latitude, elevation, area, names of columns, rows. Missing values, -999, are NaN."""
    lines = _lines(file)
    if len(lines) < 5:
        raise DataError(f"{file}: ends after {len(lines)} lines; a header of four and daily rows are expected")
    try:
        area = float(lines[2].split()[0])
    except (ValueError, IndexError):
        area = math.nan
    heading = lines[3].split()
    units = {m[1].lower(): m[2] for m in (re.match(r"(\w+)\((.+)\)$", h) for h in heading) if m}
    names = [re.sub(r"\(.*\)$", "", h).lower() for h in heading]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{file}: the heading in line 4 has the column {name!r} {names.count(name)} times")
    rows = [line.split() for line in lines[4:]]
    # With a name left out of the heading, all columns behind it would be taken for those before them.
    _check_whole(file, rows, len(heading), 5, at_most=len(heading))
    dates = _dates(file, rows, 5, 0)
    check_times(dates, str(file))
    columns = {}
    for at, name in enumerate(names):
        if name not in ("year", "mnth", "day", "hr"):
            values = _numbers(file, rows, at, 5, name)
            columns[name] = np.where(values == MISSING, np.nan, values)
    return Forcing(area, dates, columns, units)


def read_flow(file: Path, basin: str) -> tuple[Dates, Array]:
    """Days and stream flow (cubic feet per second) of a stream flow file; missing ones are NaN."""
    rows = [line.split() for line in _lines(file)]
    if not rows:
        raise DataError(f"{file}: is empty")
    for number, row in enumerate(rows, 1):
        if not row or row[0] != basin:
            raise DataError(f"{file}: line {number} does not belong to basin {basin}: {' '.join(row)[:60]!r}")
    # The last entry is a flag: where it is not there, the number before it may be cut off too.
    _check_whole(file, rows, 6, 1)
    dates = _dates(file, rows, 1, 1)
    check_times(dates, str(file))
    flow = _numbers(file, rows, 4, 1, "stream flow")
    missing = flow == MISSING
    negative = ~missing & (flow < 0)
    if negative.any():
        raise DataError(f"{file}: stream flow is {flow[negative][0]:g} on {dates[negative][0]}; negative, and not -999")
    return dates, np.where(missing, np.nan, flow)


def _check_whole(
    file: Path, rows: list[list[str]], entries: int, first_line: int, *, at_most: float = math.inf
) -> None:
    """Raises `DataError` where a row has fewer `entries` than it should, or more than the heading names."""
    for number, row in enumerate(rows, first_line):
        if len(row) < entries:
            text = " ".join(row)[:60]
            raise DataError(f"{file}: line {number} is cut off: {len(row)} of {entries} entries in {text!r}")
        if len(row) > at_most:
            raise DataError(f"{file}: line {number} has {len(row)} entries, and the heading in line 4 names {at_most}")


def _dates(file: Path, rows: list[list[str]], first_line: int, column: int) -> Dates:
    """Days from three columns: year, month, day."""
    try:
        return np.array(["-".join(row[column : column + 3]) for row in rows], "datetime64[D]")
    except ValueError:
        # Row by row, to find the one that is wrong, or has months of one digit.
        days = np.empty(len(rows), "datetime64[D]")
    for i, row in enumerate(rows):
        try:
            year, month, day = (int(v) for v in row[column : column + 3])
            days[i] = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}")
        except ValueError as error:
            raise DataError(f"{file}: line {i + first_line} has no date: {' '.join(row)[:60]!r}") from error
    return days


def _numbers(file: Path, rows: list[list[str]], column: int, first_line: int, name: str) -> Array:
    try:
        values = np.array([row[column] for row in rows], np.float64)
        if not np.isinf(values).any():
            return values
    except (ValueError, IndexError):
        # Row by row, to find the one that is wrong.
        values = np.empty(len(rows))
    for i, row in enumerate(rows):
        try:
            values[i] = float(row[column])
            if math.isinf(values[i]):
                raise ValueError("infinite")
        except (ValueError, IndexError) as error:
            where = f"line {i + first_line} has no number for {name}"
            raise DataError(f"{file}: {where}: {' '.join(row)[:60]!r}") from error
    return values
