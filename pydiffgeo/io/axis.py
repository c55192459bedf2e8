"""Time axes: checked; gaps filled; series of several files brought to one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Dates, Mask
from ..days import day
from ..errors import DataError
from .dates import check_choice, nanoseconds, wrong_times

Gaps = Literal["fill", "refuse"]
# More times than a record in steps of minutes has: a single stray one would fill the memory.
LONGEST = 50_000_000


def check_times(times: ArrayLike, file: str) -> None:
    """Raises `TimeAxisError` unless `times` rise, without repetition or missing entries."""
    times = np.asarray(times)
    if times.ndim != 1 or len(times) == 0:
        raise wrong_times(file, "there are no times")
    if np.isnat(times).any():
        raise wrong_times(file, f"entry {np.flatnonzero(np.isnat(times))[0]} of the time axis is missing")
    steps = np.diff(times).astype(np.int64)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0])
        first, second = _short(times[at]), _short(times[at + 1])
        what = f"{first} appears twice" if steps[at] == 0 else f"{second} follows {first}: the times are not sorted"
        raise wrong_times(file, what)


def regular(times: ArrayLike, file: str, gaps: Gaps = "fill") -> Dates:
    """The axis of `times` without gaps, at their smallest step, `datetime64[ns]`.

    Raises:
        TimeAxisError: times repeat or are unsorted; there are gaps to be refused; or steps differ
            otherwise than by gaps.
    """
    check_choice("gaps", gaps, ("fill", "refuse"))
    check_times(times, file)
    times = nanoseconds(times, file)
    if len(times) < 2:
        return times
    steps = np.diff(times).astype(np.int64)
    step = int(steps.min())
    if (steps % step).any():
        at = int(np.flatnonzero(steps % step)[0])
        raise wrong_times(
            file,
            f"steps of {length_of(step)} and, after {_short(times[at])}, of {length_of(int(steps[at]))}: "
            "the time axis is not regular; where its times are rounded, say to what: rounding='1 h', or another step",
        )
    if gaps == "refuse" and (steps > step).any():
        at = int(np.flatnonzero(steps > step)[0])
        what = f"{_short(times[at + 1])} follows {_short(times[at])}: {int(steps[at]) // step - 1} times are missing"
        raise wrong_times(file, f'{what}; gaps="fill" puts NaN there')
    count = int((times[-1] - times[0]).astype(np.int64)) // step + 1
    if count > LONGEST:
        smallest = f"{length_of(step)} after {_short(times[int(steps.argmin())])}"
        raise wrong_times(file, f"the smallest step, {smallest}, would make {count} times out of {len(times)}")
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
            own, other = f"every {length_of(step)} from {_short(axis[0])}", f"every {length_of(min(steps))}"
            raise wrong_times(
                file, f"its times, {own}, do not meet those of the other basins, {other} from {_short(every[0])}"
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


def _short(time: np.datetime64) -> str:
    """A date without the zeros of its time of day."""
    return str(time.astype("datetime64[s]")).removesuffix("T00:00:00")


def length_of(nanoseconds: int) -> str:
    """A step of time in days, or hours."""
    hours = nanoseconds / 3.6e12
    return f"{hours / 24:g} d" if hours % 24 == 0 else f"{hours:g} h"


def days_within(days: Dates, start: object, end: object, source: str) -> Mask:
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
