"""Dates without time zones, and calendars of consecutive days."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Dates, Indices
from .errors import DataError, InputError


def moment(what: str, value: object, unit: str) -> np.datetime64:
    """A date as `datetime64[unit]`, of the year 1 to 9999.

    Raises:
        DataError: it is none; a number, of which nobody knows since when it counts; or one in a time zone.
    """
    wrong = f"{what} must be a date such as 1980-10-01, got {value!r}"
    zoned = getattr(value, "tzinfo", None) is not None or (
        isinstance(value, str) and re.search(r":\d\d(\.\d*)?\s*(Z|[+-]\d{2}(:?\d{2})?)$|\dZ$", value.strip())
    )
    if zoned:
        raise DataError(
            f"{what} must be a date without a time zone, got {value!r}; leave the zone out to use its clock"
        )
    if not isinstance(value, (str, dt.date, np.datetime64)):
        raise DataError(wrong)
    try:
        date: np.datetime64 = np.array([value], f"datetime64[{unit}]")[0]
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(wrong) from error
    if np.isnat(date) or not -719162 <= date.astype("datetime64[D]").astype(np.int64) <= 2932896:
        raise DataError(wrong)
    return date


def day(what: str, value: object) -> np.datetime64:
    """A date as `datetime64[D]`; raises `DataError` where it is none, see `moment`."""
    return moment(what, value, "D")


def check_calendar(dates: object, source: str) -> Dates:
    """`dates` as `datetime64[D]`; raises `DataError` unless they are consecutive days."""
    days = np.asarray(dates)
    if days.dtype.kind != "M":
        read = [day(f"{source}: a day", d.item() if isinstance(d, np.generic) else d) for d in days.ravel()]
        days = np.array(read, "datetime64[D]").reshape(days.shape)
    days = days.astype("datetime64[D]")
    if days.ndim != 1 or len(days) == 0:
        raise DataError(f"{source}: there are no days")
    if np.isnat(days).any():
        raise DataError(f"{source}: entry {int(np.flatnonzero(np.isnat(days))[0])} of the time axis is missing")
    steps = np.diff(days).astype(np.int64)
    if (steps != 1).any():
        at = int(np.flatnonzero(steps != 1)[0])
        if steps[at] == 0:
            what = f"the day {days[at]} appears twice"
        elif steps[at] < 0:
            what = f"{days[at + 1]} follows {days[at]}: the days are not sorted"
        else:
            what = f"{days[at + 1]} follows {days[at]}: {steps[at] - 1} days are missing"
        raise DataError(f"{source}: the data must be daily and without gaps, but {what}")
    return days


def days_of_year(dates: ArrayLike) -> Indices:
    """Place of each date in a leap year, 0 to 365, so that 1 March is the same in every year.

    Raises:
        InputError: they are no days `(n,)`, or one is missing.
    """
    days = np.asarray(dates, "datetime64[D]")
    if days.ndim != 1 or np.isnat(days).any():
        raise InputError(f"dates must be days (n,) without gaps, got shape {days.shape}")
    month, since = days.astype("datetime64[M]"), days - days.astype("datetime64[M]").astype("datetime64[D]")
    starts = np.cumsum([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    return np.asarray(starts[month.astype(np.int64) % 12] + since.astype(np.int64))
