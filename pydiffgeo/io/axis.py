"""Time axes: dates of a file, checked; gaps filled; series of several files brought to one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..basin import Array, Dates, day
from ..errors import DataError, TimeAxisError
from .units import require

Gaps = Literal["fill", "refuse"]
Calendar = Literal["refuse", "convert"]
STANDARD = ("standard", "gregorian", "proleptic_gregorian")
# More times than a record in steps of minutes has: a single stray one would fill the memory.
LONGEST = 50_000_000
CONVERTIBLE = ("noleap", "365_day", "360_day")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raises `DataError` unless an argument is one of the `allowed`."""
    if value not in allowed:
        raise DataError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def decode(data: xr.Dataset, time: str, file: str, calendar: Calendar = "refuse") -> xr.Dataset:
    """Fill values become NaN, once values are looked at, and the time axis dates of the standard calendar.

    Args:
        data: a dataset opened with `decode_cf=False`.
        calendar: what to do with calendars of 365 or 360 days: refuse them, or convert them. Days of a
            year without 29 February keep their dates. Days of a year of 360 are spread over the real one.
            Days that are left over are gaps.

    Raises:
        TimeAxisError: there is no time axis, or it has no dates, or a calendar that cannot be used.
        MissingPackageError: cftime is needed and not installed.
    """
    check_choice("calendar", calendar, ("refuse", "convert"))
    if time not in data.variables or data[time].dims != (time,):
        raise TimeAxisError(f"{file}: no time axis {time!r}; dimensions are {sorted(map(str, data.dims))}", file=file)
    attributes = data[time].attrs
    # Absent means standard, by the CF conventions.
    name = str(attributes.get("calendar", "standard")).lower()
    if name not in (*STANDARD, *CONVERTIBLE) or (name in CONVERTIBLE and calendar == "refuse"):
        hint = '; calendar="convert" brings it to the standard calendar' if name in CONVERTIBLE else ""
        raise TimeAxisError(
            f"{file}: {time!r} is in the calendar {name!r}, not the standard one{hint}", file=file, calendar=name
        )
    if " since " not in str(attributes.get("units", "")) and data[time].dtype.kind != "M":
        raise TimeAxisError(
            f"{file}: {time!r} does not hold dates, but {data[time].dtype} in {attributes.get('units', 'no unit')!r}; "
            f"its units must be such as 'days since 1980-01-01'",
            file=file,
        )
    if name in CONVERTIBLE:
        require("cftime", f"{file}: the calendar {name!r}")
    try:
        # Day lengths in seconds are numbers here, never time deltas.
        data = xr.decode_cf(data, decode_timedelta=False)
        if name in CONVERTIBLE:
            spread = name == "360_day"
            data = data.convert_calendar("standard", dim=time, align_on="year" if spread else None, use_cftime=False)
    # Attributes of a file can be anything, and what they break differs: a KeyError or LookupError as well.
    except Exception as error:
        raise TimeAxisError(f"{file}: {time!r} cannot be decoded as dates ({error})", file=file) from error
    if data[time].dtype.kind != "M":
        raise TimeAxisError(f"{file}: {time!r} reaches beyond the dates that can be represented", file=file)
    if name == "360_day":
        # Spread days carry times of day that mean nothing.
        days = data[time].values.astype("datetime64[D]")
        if (np.diff(days) == np.timedelta64(0, "D")).any() and len(np.unique(data[time].values)) == len(days):
            raise TimeAxisError(
                f"{file}: steps of less than a day cannot be converted from the calendar {name!r}",
                file=file, calendar=name,
            )  # fmt: skip
        data = data.assign_coords({time: days.astype("datetime64[ns]")})
    return data


def unpacked(data: xr.Dataset, file: str) -> xr.Dataset:
    """`data` in memory.

    Raises:
        DataError: its values cannot be read, or not unpacked as their attributes say.
    """
    try:
        return data.load()
    # What libraries raise where a file is damaged differs.
    except Exception as error:
        raise DataError(
            f"{file}: values cannot be read, or not unpacked as the attributes of their variable say ({error})"
        ) from error


def check_times(times: Any, file: str) -> None:
    """Raises `TimeAxisError` unless `times` rise, without repetition or missing entries."""
    times = np.asarray(times)
    if times.ndim != 1 or len(times) == 0:
        raise TimeAxisError(f"{file}: there are no times", file=file)
    if np.isnat(times).any():
        at = int(np.flatnonzero(np.isnat(times))[0])
        raise TimeAxisError(f"{file}: entry {at} of the time axis is missing", file=file)
    steps = np.diff(times).astype(np.int64)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0])
        first, second = _short(times[at]), _short(times[at + 1])
        what = f"{first} appears twice" if steps[at] == 0 else f"{second} follows {first}: the times are not sorted"
        raise TimeAxisError(f"{file}: {what}", file=file)


def regular(times: Any, file: str, gaps: Gaps = "fill") -> Dates:
    """The axis of `times` without gaps, at their smallest step, `datetime64[ns]`.

    Raises:
        TimeAxisError: times repeat or are unsorted; there are gaps to be refused; or steps differ
            otherwise than by gaps.
    """
    check_choice("gaps", gaps, ("fill", "refuse"))
    check_times(times, file)
    times = np.asarray(times).astype("datetime64[ns]")
    if len(times) < 2:
        return times
    steps = np.diff(times).astype(np.int64)
    step = int(steps.min())
    if (steps % step).any():
        at = int(np.flatnonzero(steps % step)[0])
        raise TimeAxisError(
            f"{file}: steps of {_length(step)} and, after {_short(times[at])}, of {_length(int(steps[at]))}: "
            f"the time axis is not regular",
            file=file,
        )
    if gaps == "refuse" and (steps > step).any():
        at = int(np.flatnonzero(steps > step)[0])
        raise TimeAxisError(
            f"{file}: {_short(times[at + 1])} follows {_short(times[at])}: {int(steps[at]) // step - 1} "
            f'times are missing; gaps="fill" puts NaN there',
            file=file,
        )
    count = int((times[-1] - times[0]).astype(np.int64)) // step + 1
    if count > LONGEST:
        raise TimeAxisError(
            f"{file}: the smallest step, {_length(step)} after {_short(times[int(steps.argmin())])}, would make "
            f"{count} times out of {len(times)}",
            file=file,
        )
    return times[0] + np.arange(count) * np.timedelta64(step, "ns")


def together(
    series: Sequence[tuple[Dates, Mapping[str, Array]]], files: Sequence[str], gaps: Gaps = "fill"
) -> tuple[Dates, dict[str, Array]]:
    """Series of several basins on one time axis, from the first time of any to the last.

    Args:
        series: for each basin its times `(time,)` and name -> values `(time,)`.
        files: what each was read from, for messages.

    Returns:
        The common times `(time,)` and name -> `(basin, time)`; NaN where a basin has none.

    Raises:
        TimeAxisError: as `regular`; or the steps of two basins do not meet.
    """
    if not series:
        raise DataError("there are no basins")
    axes = [regular(times, file, gaps) for (times, _), file in zip(series, files, strict=True)]
    every = np.unique(np.concatenate(axes))
    steps = [int(np.diff(a[:2]).astype(np.int64)[0]) for a in axes if len(a) > 1]
    for axis, file in zip(axes, files, strict=True):
        step = int(np.diff(axis[:2]).astype(np.int64)[0]) if len(axis) > 1 else min(steps, default=1)
        offset = int((axis[0] - every[0]).astype(np.int64))
        if step != min(steps, default=step) or offset % step:
            raise TimeAxisError(
                f"{file}: its times, every {_length(step)} from {_short(axis[0])}, do not meet those of the other basins, "
                f"every {_length(min(steps))} from {_short(every[0])}",
                file=file,
            )
    # Two basins far apart in time leave a gap between them that no single one of them has.
    common = regular(every, files[0], "fill")
    names = dict.fromkeys(name for _, values in series for name in values)
    joined = {name: np.full((len(series), len(common)), np.nan) for name in names}
    for row, (times, values) in enumerate(series):
        at = np.searchsorted(common, np.asarray(times).astype("datetime64[ns]"))
        for name, column in values.items():
            joined[name][row, at] = column
    return common, joined


def _short(time: Any) -> str:
    """A date without the zeros of its time of day."""
    text = str(np.datetime64(time, "s"))
    return text.removesuffix("T00:00:00")


def _length(nanoseconds: int) -> str:
    hours = nanoseconds / 3.6e12
    return f"{hours / 24:g} d" if hours % 24 == 0 else f"{hours:g} h"


def days_within(days: Any, start: Any, end: Any, source: str) -> Any:
    """Which `days` lie from `start` to `end`, both included, `(days,)`; None is no limit.

    Raises:
        DataError: none does.
    """
    inside = np.ones(len(days), bool)
    if start is not None:
        inside &= days >= day("start", start)
    if end is not None:
        inside &= days <= day("end", end)
    if not inside.any():
        raise DataError(f"{source}: the days run from {days[0]} to {days[-1]}, none within {start} to {end}")
    return inside
