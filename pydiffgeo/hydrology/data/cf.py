"""Series of basins from any file that follows the CF conventions: NetCDF or Zarr, with dimensions basin and time.

data = open_cf("basins.nc", variables={"runoff": "discharge"})
data = open_cf("basins.zarr", dimensions=("gauge", "date"), units={"runoff": "mm d-1"})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from ...errors import DataError
from ...io.axis import Gaps
from ...io.dates import Calendar, Dating, Labels, decode
from ...io.opening import check_path, open_raw, renamed
from ...io.packed import unpacked
from ..basin import label, unknown_basin
from .arguments import Areas, Choice, Names, check_dimensions, check_labels
from .assemble import series_of


def open_cf(
    path: str | Path,
    *,
    basins: Sequence[str] | None = None,
    variables: Names | None = None,
    units: Mapping[str, str] | None = None,
    dimensions: tuple[str, str] = ("basin", "time"),
    calendar: Calendar = "refuse",
    gaps: Gaps = "fill",
    missing: Sequence[float] = (),
    area: Areas | None = None,
    quantities: Sequence[str] | None = None,
    labels: Labels | None = None,
    rounding: str | None = None,
) -> xr.Dataset:
    """Series and attributes of basins from a NetCDF file or a Zarr store.

    Series are found by their CF standard names, then by common names, and come under the names and in
    the units of `quantities.SERIES`: `precipitation` in mm d-1, `runoff` in mm d-1, and so on. A volume
    per time becomes runoff with the area of the basin; sums over intervals of time, such as mm where
    `cell_methods` says "time: sum", become rates. Fill values, and what lies outside a valid range, become NaN.
    Variables without a time axis come along.

    The times are the starts of the intervals that values belong to: those of the time bounds where the file has
    them, and of intervals of a day the date of the greater part of each. Times in a time zone are kept as the
    clock there shows them; the attribute `time_zone` says which.

    Args:
        path: the file, or the folder of a Zarr store.
        basins: the labels to take, in this order; all of them where not given. For a file without the
            basin dimension, the one label it gets (else the name of the file).
        variables: quantity -> name in the file, or several names whose mean is taken. Names that
            are not in `SERIES` come along in the unit of the file.
        units: quantity or name in the file -> unit, where the file states none or a wrong one; of variables
            without a time axis too, such as the area.
        dimensions: what the file calls basin and time. A coordinate with `cf_role = "timeseries_id"`
            marks the basin dimension too.
        calendar: "refuse" other calendars than the standard one, or "convert" those of 365 and 360 days.
        gaps: "fill" gaps of the time axis with NaN, or "refuse" them.
        missing: numbers, in the unit of the file, that stand for missing values besides its fill values.
        area: of each basin, km2; where not given, from the variable `area` of the file.
        quantities: those of `SERIES` to look for, beside `variables`; all of them where not given.
        labels: of a file without time bounds, whether its times are the "start" (where not given) or the "end" of
            the intervals, which are as long as the smallest step.
        rounding: step such as "1 h" of times that were rounded when they were stored; they become its multiples.

    Returns:
        Dataset with the dimensions `(basin, time)`. Its attribute `left_out` names the series of the file that
        were not taken. Of a large file, only the basins asked for are read.

    Raises:
        DataError: the file cannot be read, a basin or variable is not there, an area is missing.
        UnitError: a unit is missing, unknown or of another kind; names variable and file.
        TimeAxisError: times repeat or are unsorted, or the calendar cannot be used.
        MissingPackageError: a package for this kind of file is not installed.
    """
    path = check_path(path)
    check_labels(basins)
    how = Dating(calendar, labels, rounding)
    check_dimensions(dimensions)
    choice = Choice(variables, units, gaps, missing, area, quantities)
    file = str(path)
    with open_raw(path) as raw:
        data = decode(raw, dimensions[1], file, how)
        data = unpacked(_by_basin(data, *dimensions, path, basins), file)
    # What another reader said of its files is not where this one has it from.
    data = data.drop_vars([name for name in data.coords if name == "files"])
    if dimensions[1] != "time":
        data = renamed(data, dimensions[1], "time", file)
    return series_of(data, file, choice)


def _by_basin(data: xr.Dataset, dimension: str, time: str, path: Path, basins: Sequence[str] | None) -> xr.Dataset:
    """The wanted basins of `data`, along the dimension `basin`, whose labels are text."""
    labelled = [v for v in data.variables if data[v].ndim < 2 and data[v].attrs.get("cf_role") == "timeseries_id"]
    # A dimension without labels would give its numbers if asked for by name.
    named = labelled[0] if labelled else dimension
    labels = data[named] if named in data.variables else None
    if labels is not None and labels.ndim == 1:
        dimension = str(labels.dims[0])
        if dimension == time:
            raise DataError(f"{path}: {labels.name!r} cannot name the basins: it lies along {dimension!r}, the times")
    if dimension not in data.dims:
        if "basin" in data.variables and (labels is None or labels.name != "basin"):
            raise DataError(f"{path}: has no dimension {dimension!r}, but a variable 'basin', which names no basin")
        stated = [label(labels.values)] if labels is not None and labels.ndim == 0 else None
        one = [*(basins if basins is not None else stated or [path.stem])]
        if len(one) != 1:
            raise DataError(f"{path}: has no dimension {dimension!r}, so it holds one basin, not {len(one)}")
        if stated is not None and one != stated:
            raise unknown_basin(one[0], stated, str(path))
        return data.drop_vars([str(labels.name)] if labels is not None else []).expand_dims({"basin": [*one]})
    if labels is None:
        raise DataError(f"{path}: the dimension {dimension!r} has no coordinate that names the basins")
    names = [label(v) for v in labels.values]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: basin {name} appears {names.count(name)} times on {dimension!r}")
    for basin in () if basins is None else basins:
        if basin not in names:
            raise unknown_basin(basin, names, str(path))
    at = [names.index(b) for b in basins] if basins is not None else [*range(len(names))]
    data = data.isel({dimension: at}).drop_vars(str(labels.name))
    if dimension != "basin":
        data = renamed(data, dimension, "basin", str(path))
    return data.assign_coords(basin=[names[i] for i in at])
