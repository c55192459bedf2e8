"""Reads daily data of one basin from NetCDF, complete enough to calibrate.

data = read_netcdf("camels.nc", "12010000")
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import xarray as xr

from ..basin import QUANTITIES, RANGES, Array, BasinData, Dates, check_calendar, daylength, mean_of, unknown_basin
from ..checks import is_number
from ..errors import DataError
from .arguments import check_arguments, check_path
from .axis import days_within
from .cf import numbers, refuse_pickles
from .classic import check_whole
from .units import convert

# Name of each quantity in the file; several names are averaged, as for the daily extremes.
VARIABLES: dict[str, str | tuple[str, ...]] = {
    "precipitation": "prcp",
    "temperature": "tmean",
    "daylength": "dayl",
    "runoff": "q_obs",
}


def read_netcdf(
    path: str | Path,
    basin: str,
    *,
    variables: Mapping[str, str | Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    dimensions: tuple[str, str] = ("basin", "time"),
    latitude: float | None = None,
    start: Any = None,
    end: Any = None,
) -> BasinData:
    """One basin from a NetCDF file.

    Args:
        path: a file whose variables have the dimensions basin and time, in any order, or only time
            where the file holds a single basin.
        basin: its label on the basin dimension.
        variables: quantity -> name in the file, or several names whose mean is taken; replaces
            entries of `VARIABLES`.
        units: quantity -> unit, where the file states none or a wrong one.
        dimensions: what the file calls basin and time.
        latitude: degrees; daylength is computed from it where the file has none.
        start, end: first and last day to read; all of them where not given.

    Raises:
        DataError: names the file and the culprit: an unknown basin or variable, a unit that is
            missing or unknown, days that are missing or repeated, forcing that is NaN.
    """
    path = check_path(path)
    check_arguments(variables=variables, units=units, dimensions=dimensions)
    if latitude is not None and not (is_number(latitude) and -90 <= latitude <= 90):
        raise DataError(f"latitude must be degrees from -90 to 90, got {latitude!r}")
    names: dict[str, Any] = {**VARIABLES, **(variables or {})}
    for name in [*names, *(units or {})]:
        if name not in QUANTITIES:
            raise DataError(f"unknown quantity {name!r}; there are {', '.join(QUANTITIES)}")
    source = str(path)
    # Day lengths in seconds are numbers here, never time deltas.
    if os.path.isdir(path):
        refuse_pickles(Path(path))
    else:
        check_whole(Path(path))
    with ExitStack() as stack:
        try:
            # Decoded in a second step: what fails then would leave the file open.
            raw = stack.enter_context(xr.open_dataset(Path(path), decode_cf=False))
            file = xr.decode_cf(raw, decode_timedelta=False)
        # Libraries raise RuntimeError, KeyError and their own kinds where a file is cut off.
        except Exception as error:
            raise DataError(f"{source}: cannot be opened as NetCDF ({error})") from error
        selected = _select_basin(file, basin, dimensions[0], source)
        days = _days(selected, dimensions[1], source)
        inside = days_within(days, start, end, source)
        series: dict[str, Array] = {}
        for name in QUANTITIES:
            wanted = (names[name],) if isinstance(names[name], str) else tuple(names[name])
            if name == "daylength" and latitude is not None and not any(w in selected for w in wanted):
                series[name] = daylength(latitude, days[inside])
                continue
            unit = (units or {}).get(name)
            columns = {w: _values(selected, name, w, unit, dimensions[1], source)[inside] for w in wanted}
            series[name] = mean_of(columns)
    return BasinData(basin, days[inside], source=source, **series)


def _select_basin(file: xr.Dataset, basin: str, dimension: str, source: str) -> xr.Dataset:
    if dimension not in file.dims:
        return file
    if dimension not in file.coords:
        raise DataError(f"{source}: the dimension {dimension!r} has no coordinate that names the basins")
    labels = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in _read(file[dimension], source)]
    at = [i for i, label in enumerate(labels) if label == basin]
    if not at:
        raise unknown_basin(basin, labels, source)
    if len(at) > 1:
        raise DataError(f"{source}: basin {basin} appears {len(at)} times on {dimension!r}")
    return file.isel({dimension: at[0]})


def _days(file: xr.Dataset, dimension: str, source: str) -> Dates:
    if dimension not in file.coords or file[dimension].ndim != 1:
        raise DataError(f"{source}: no time axis {dimension!r}; dimensions are {sorted(map(str, file.dims))}")
    times = _read(file[dimension], source)
    if times.dtype.kind != "M":
        raise DataError(f"{source}: {dimension!r} does not hold dates of the standard calendar, but {times.dtype}")
    return check_calendar(times, source)


def _values(file: xr.Dataset, name: str, variable: str, unit: str | None, time: str, source: str) -> Array:
    """One variable in the unit of its quantity, `(time,)`."""
    if variable not in file:
        raise DataError(f"{source}: no variable {variable!r} for {name}; it has {sorted(map(str, file.data_vars))}")
    column = file[variable]
    if column.dims != (time,):
        raise DataError(
            f"{source}: {variable} has the dimensions {column.dims}; besides the basin only {time!r} may be left"
        )
    if unit is None:
        unit = column.attrs.get("units")
    values = _read(column, source)
    numbers(values, source, variable, ())
    return convert(values, unit, RANGES[name][2], file=source, variable=variable)


def _read(variable: xr.DataArray, source: str) -> Any:
    """The values of a variable, which are read only now."""
    try:
        return variable.values
    except Exception as error:  # see `read_netcdf`
        raise DataError(f"{source}: {variable.name} cannot be read ({error})") from error
