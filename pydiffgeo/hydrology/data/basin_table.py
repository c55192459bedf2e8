"""Basins from a table of text, a row for each, and a file of daily series for each.

data = open_table("basins.csv", "series/{basin}.csv")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from ...arrays import Array, Dates
from ...errors import DataError
from ...io.axis import Gaps, together
from ...io.opening import check_path
from ..basin import unknown_basin
from .arguments import Areas, Choice, Names, check_labels
from .assemble import series_of
from .attributes import read_table, variable
from .quantities import FILES, SERIES, names_of
from .text_tables import TextTable, read_text_table

# What stands for the name of a basin in that of its file.
MARK = "{basin}"
TIMES = ("time", "date", "day", "Date")


def open_table(
    path: str | Path,
    series: str | Path | None = None,
    *,
    basins: Sequence[str] | None = None,
    variables: Names | None = None,
    units: Mapping[str, str] | None = None,
    gaps: Gaps = "fill",
    missing: Sequence[float] = (),
    area: Areas | None = None,
    quantities: Sequence[str] | None = None,
) -> xr.Dataset:
    """Series and attributes of many basins, as most people have them: text with commas, semicolons or tabs.

    Args:
        path: the table, with commas: identifiers of the basins in its first column, attributes in the others.
        series: the files of the series, with `{basin}` where the identifier stands; beside the table, `{basin}.csv`, where not
            given. Each has a heading, a column `time` or `date`, and a column for each series.
        basins: identifiers; all of the table where not given.
        variables, units, gaps, missing, area, quantities: as in `open_cf`. Where no unit is said, it is that of pydiffgeo:
            mm d-1, degC, h, W m-2, Pa.

    Returns:
        Dataset with the dimensions `(basin, time)` and attributes `(basin,)`, as `open_cf` returns it.

    Raises:
        DataError: (or a subclass) names the file and what is wrong in it.
    """
    path = check_path(path)
    check_labels(basins)
    choice = Choice(variables, units, gaps, missing, area, quantities)
    pattern = str(path.parent / f"{MARK}.csv" if series is None else series)
    if MARK not in pattern:
        raise DataError(f"series must be the name of a file with {MARK} in it, one for each basin, got {pattern!r}")
    table = read_table(path, ",")
    for basin in basins or ():
        if basin not in table:
            raise unknown_basin(basin, table, str(path))
    wanted = [*(basins or table)]
    if not wanted:
        raise DataError(f"{path}: has no basins")
    files = [Path(pattern.replace(MARK, basin)) for basin in wanted]
    rows = [_series(read_text_table(file), choice) for file in files]
    times, joined = together(rows, [str(file) for file in files], gaps)
    stated = choice.units or {}
    raw = xr.Dataset(
        {name: (("basin", "time"), values, _unit(name, choice, stated)) for name, values in joined.items()},
        {"basin": ("basin", wanted), "time": ("time", times.astype("datetime64[ns]"))},
    )
    for column in next(iter(table.values())):
        raw[column] = variable(column, [table[basin][column] for basin in wanted], stated)
    found = series_of(raw, str(path), choice)
    return found.assign_coords(files=("basin", [f"{path}, {file}" for file in files], FILES))


def _known(choice: Choice) -> dict[str, str]:
    """Name of a column -> the quantity that it holds, or is a part of."""
    known = {name: quantity for quantity, q in SERIES.items() for name in (quantity, *q.names)}
    return known | {name: quantity for quantity, names in (choice.variables or {}).items() for name in names_of(names)}


def _unit(name: str, choice: Choice, stated: Mapping[str, str]) -> dict[str, str]:
    quantity = _known(choice)[name]
    unit = stated.get(quantity) or stated.get(name) or (SERIES[quantity].unit if quantity in SERIES else None)
    return {} if unit is None else {"units": unit}


def _series(table: TextTable, choice: Choice) -> tuple[Dates, dict[str, Array]]:
    """Days of a file, and the columns that are known, as they stand there."""
    time = next((name for name in TIMES if table.has(name)), None)
    if time is None:
        raise DataError(f"{table.file}: there is no column 'time' or 'date'; it has {', '.join(table.heading)}")
    times = table.times(time).astype("datetime64[ns]")
    return times, {n: table.numbers(n, choice.missing) for n in table.heading if n in _known(choice)}
