"""The days that values of a file belong to: time zones, bounds, labels and rounding of its time axis.

Dates are those of the clock that the file states: a day in local time stays that day.
"""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ..arrays import Dates, Indices
from ..errors import DataError, TimeAxisError, UnitError
from .packed import USED, meant
from .units import convert, require

Calendar = Literal["refuse", "convert"]
Labels = Literal["start", "end"]
STANDARD = ("standard", "gregorian", "proleptic_gregorian")
CONVERTIBLE = ("noleap", "365_day", "360_day")
# `days since 2000-01-01 00:00:00 +10:00`, or with the name of a zone.
_SINCE = re.compile(
    r"(?P<unit>.*?\bsince\s+)(?P<date>[+-]?\d{1,4}-\d{1,2}-\d{1,2})"
    r"(?P<clock>[T ]\s*\d{1,2}(?::\d{1,2}){0,2}(?:\.\d*)?)?\s*(?P<zone>[A-Za-z]+|[+-]\d{1,2}(?::?\d{2})?)?\s*",
    re.IGNORECASE,
)
# Times that miss a whole second by less are meant to be whole: days in floating point are often off by so much.
_BREATH = 0.1
# In hours, for changes between summer and winter time.
_DAY_LENGTHS = (23, 25)


@dataclass(frozen=True)
class Dating:
    """How the time axis of a file is to be understood; see `open_cf`."""

    calendar: Calendar = "refuse"
    labels: Labels | None = None
    rounding: str | None = None

    def __post_init__(self) -> None:
        check_choice("calendar", self.calendar, ("refuse", "convert"))
        if self.labels is not None:
            check_choice("labels", self.labels, ("start", "end"))
        _ = self.step

    @property
    def step(self) -> float | None:
        """What times are rounded to, seconds.

        Raises:
            DataError: the argument is no length of time that divides a day.
        """
        if self.rounding is None:
            return None
        text, seconds = self.rounding if isinstance(self.rounding, str) else "", 0.0
        if (stated := re.fullmatch(r"\s*(\d+\.?\d*)\s*([A-Za-z]+)\s*", text)) is not None:
            with suppress(UnitError):
                seconds = round(float(convert(float(stated[1]), stated[2], "s", file="", variable="rounding")), 3)
        if not seconds >= 1 or 86400 % seconds or seconds % 1:
            raise DataError(
                f"rounding must be whole seconds that divide a day, such as '1 h' or '15 min', got {self.rounding!r}"
            )
        return seconds


def wrong_times(file: str, what: str, calendar: str | None = None) -> TimeAxisError:
    """The error for the time axis of a file; `calendar`, where that is what is wrong."""
    return TimeAxisError(f"{file}: {what}", file=file, calendar=calendar)


def nanoseconds(dates: ArrayLike, source: str) -> Dates:
    """`dates` as `datetime64[ns]`, which holds those of the years 1678 to 2261.

    Raises:
        TimeAxisError: one lies outside, and would come back as another.
    """
    dates = np.asarray(dates)
    exact = dates.astype("datetime64[ns]")
    wrapped = ~np.isnat(dates) & (exact.astype("datetime64[D]") != dates.astype("datetime64[D]"))
    if wrapped.any():
        first = dates[wrapped].ravel()[0]
        raise wrong_times(source, f"{first} lies outside the dates that can be represented, 1678 to 2261")
    return exact


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raises `DataError` unless an argument is one of the `allowed`."""
    if value not in allowed:
        raise DataError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def decode(data: xr.Dataset, time: str, file: str, how: Dating) -> xr.Dataset:
    """The time axis as the starts of the intervals that values belong to; numbers stay packed, see `unpacked`.

    Of intervals of a day it is the day that holds the greater part of each. Bounds decide, where the file has them;
    they stay as a coordinate. The attribute `time_zone` of the axis says what the file does.

    Args:
        data: a dataset opened with `decode_cf=False`.
        how: of calendars of 365 or 360 days, converted: days of a year without 29 February keep their dates,
            days of a year of 360 are spread over the real one, and days that are left over are gaps.

    Raises:
        TimeAxisError: there is no time axis, or it has no dates, or a calendar that cannot be used; bounds make
            no sense, or rounding would move times too far.
        MissingPackageError: cftime is needed and not installed.
    """
    if time not in data.variables or data[time].dims != (time,):
        raise wrong_times(file, f"no time axis {time!r}; dimensions are {sorted(map(str, data.dims))}")
    attributes = data[time].attrs
    # Absent means standard, by the CF conventions.
    calendar = str(attributes.get("calendar", "standard")).lower()
    if calendar not in (*STANDARD, *CONVERTIBLE) or (calendar in CONVERTIBLE and how.calendar == "refuse"):
        hint = '; calendar="convert" brings it to the standard calendar' if calendar in CONVERTIBLE else ""
        raise wrong_times(file, f"{time!r} is in the calendar {calendar!r}, not the standard one{hint}", calendar)
    if " since " not in str(attributes.get("units", "")) and data[time].dtype.kind != "M":
        stored = f"{data[time].dtype} in {attributes.get('units', 'no unit')!r}"
        raise wrong_times(
            file, f"{time!r} does not hold dates, but {stored}; its units must be such as 'days since 1980-01-01'"
        )
    if calendar in CONVERTIBLE:
        require("cftime", f"{file}: the calendar {calendar!r}")
    try:
        data, bounds, zone = _local(data, time, file, how)
        with warnings.catch_warnings():
            # Dates out of range are refused below.
            warnings.simplefilter("ignore", xr.SerializationWarning)
            # Day lengths in seconds are numbers here, never time deltas; fill values are compared by `unpacked`.
            data = xr.decode_cf(data, decode_timedelta=False, mask_and_scale=False)
        clock = _Clock(data[time].values, calendar)
        times = clock.read(data[time].values)
        edges = None if bounds is None else clock.read(data[bounds].values)
    except TimeAxisError:
        raise
    # Attributes of a file can be anything, and what they break differs: a KeyError or LookupError as well.
    except Exception as error:
        raise wrong_times(file, f"{time!r} cannot be decoded as dates ({error})") from error
    if not clock.plain and calendar not in CONVERTIBLE:
        raise wrong_times(file, f"{time!r} reaches beyond the dates that can be represented")
    missing = times == clock.missing
    if not missing.any():
        times = _rounded(times, clock.second, how, file)
        if edges is not None:
            edges = _checked(times, _rounded(edges, clock.second, how, file), f"the bounds {bounds!r}", file)
            times = _starts(edges, clock.second)
        elif how.labels == "end":
            times = _before(times, file)
    kept = {k: v for k, v in attributes.items() if k not in ("units", "calendar", *USED)}
    data = data.assign_coords({time: (time, clock.write(times), {**kept, **({"time_zone": zone} if zone else {})})})
    if edges is not None:
        data = data.assign_coords({bounds: (data[bounds].dims, clock.write(edges))})
    return _converted(data, time, file, calendar) if calendar in CONVERTIBLE else data


def _local(data: xr.Dataset, time: str, file: str, how: Dating) -> tuple[xr.Dataset, str | None, str]:
    """`data` with the zone taken out of the units of time, the name of its bounds, and the zone."""
    attributes = data[time].attrs
    if "climatology" in attributes:
        raise wrong_times(file, f"{time!r} is that of a climatology, not of days")
    bounds = str(attributes["bounds"]) if "bounds" in attributes else None
    if bounds is not None and bounds not in data.variables:
        if how.labels is None:
            raise wrong_times(
                file,
                f"{time!r} has the bounds {bounds!r}, which the file lacks; say whether its times are those of "
                'the start or the end of intervals: labels="start" or labels="end"',
            )
        bounds = None
    data, zones = data.copy(), list[str]()
    for name in (time, *([bounds] if bounds else [])):
        variable = data[name].variable.copy(deep=False)
        variable.attrs = dict(variable.attrs)
        if name == bounds and (variable.dims[:1] != (time,) or variable.ndim != 2 or variable.shape[1] != 2):
            dims = variable.dims
            raise wrong_times(file, f"the bounds {bounds!r} have the dimensions {dims}; they must be {time!r} and two")
        if variable.dtype.kind in "fiu":
            variable = xr.Variable(variable.dims, meant(variable.values, variable.attrs), variable.attrs)
            for used in USED:
                variable.attrs.pop(used, None)
        units = variable.attrs.get("units")
        if (since := _SINCE.fullmatch(str(units))) is not None:
            variable.attrs["units"] = since["unit"] + since["date"] + (since["clock"] or "")
            zones.append((since["zone"] or "").upper())
        data[name] = variable
    if len({*zones}) > 1:
        own, other = (zone or "UTC" for zone in zones)
        raise wrong_times(file, f"{time!r} is in the time zone {own}, and its bounds in {other}")
    return data, bounds, zones[0] if zones else ""


class _Clock:
    """Dates as whole numbers, counted from a midnight: nanoseconds, or microseconds of other calendars."""

    def __init__(self, dates: NDArray[np.generic], calendar: str) -> None:
        self.plain = dates.dtype.kind == "M"
        self.calendar, self.second = calendar, 10**9 if self.plain else 10**6
        self.missing = np.iinfo(np.int64).min
        self.units = "microseconds since 1700-01-01"

    def read(self, dates: NDArray[np.generic]) -> Indices:
        if self.plain:
            return nanoseconds(dates, "the time axis").astype(np.int64)
        import cftime

        return np.asarray(cftime.date2num(dates, self.units, calendar=self.calendar)).astype(np.int64)

    def write(self, numbers: Indices) -> NDArray[np.generic]:
        if self.plain:
            return numbers.astype("datetime64[ns]")
        import cftime

        return np.asarray(cftime.num2date(numbers, self.units, calendar=self.calendar))


def _rounded(times: Indices, second: int, how: Dating, file: str) -> Indices:
    """`times` without the errors of floating point, and rounded to what the user says."""
    if how.step is not None:
        step = int(how.step) * second
        nearest = (times + step // 2) // step * step
        if (4 * np.abs(times - nearest) > step).any():
            moved = "would move times by more than a quarter of it; they have other steps"
            raise wrong_times(file, f"rounding={how.rounding!r} {moved}")
        return nearest
    nearest = (times + second // 2) // second * second
    return nearest if (np.abs(times - nearest) <= _BREATH * second).all() else times


def _checked(times: Indices, edges: Indices, what: str, file: str) -> Indices:
    """Bounds `(time, 2)`, the earlier first; raises `TimeAxisError` where they cannot be."""
    edges = np.sort(edges, axis=1)
    wrong = (
        ("are missing at", edges[:, 0] == np.iinfo(np.int64).min),
        ("are empty at", edges[:, 0] == edges[:, 1]),
        ("do not hold", (times < edges[:, 0]) | (times > edges[:, 1])),
        ("overlap those before at", np.r_[False, edges[1:, 0] < edges[:-1, 1]] & np.r_[False, np.diff(times) > 0]),
    )
    for how, where in wrong:
        if where.any():
            raise wrong_times(file, f"{what} {how} entry {int(np.flatnonzero(where)[0])} of the time axis")
    return edges


def _starts(edges: Indices, second: int) -> Indices:
    """What an interval is called: its start; of a day, the date of its middle, which is that of the greater part."""
    hours = (edges[:, 1] - edges[:, 0]) / (3600 * second)
    if ((hours >= _DAY_LENGTHS[0]) & (hours <= _DAY_LENGTHS[1])).all():
        day = 86400 * second
        # Of two halves, such as from noon to noon, the first.
        return ((edges[:, 0] + edges[:, 1] - 1) // 2 // day) * day
    return edges[:, 0]


def _before(times: Indices, file: str) -> Indices:
    """The starts of intervals that end at `times`, one step before."""
    steps = np.diff(times)
    if len(steps) == 0 or steps.min() <= 0:
        raise wrong_times(file, 'labels="end" needs two times at least, which rise and do not repeat')
    return times - steps.min()


def _converted(data: xr.Dataset, time: str, file: str, calendar: str) -> xr.Dataset:
    """`data` of a calendar of 365 or 360 days with dates of the standard one."""
    spread = calendar == "360_day"
    bounds = data[time].attrs.get("bounds")
    try:
        data = data.drop_vars([bounds] if bounds in data.coords else [])
        data = data.convert_calendar("standard", dim=time, align_on="year" if spread else None, use_cftime=False)
    except Exception as error:
        raise wrong_times(file, f"{time!r} cannot be converted to the standard calendar ({error})") from error
    if spread:
        # Spread days carry times of day that mean nothing.
        days = data[time].values.astype("datetime64[D]")
        if (np.diff(days) == np.timedelta64(0, "D")).any() and len(np.unique(data[time].values)) == len(days):
            refused = f"steps of less than a day cannot be converted from the calendar {calendar!r}"
            raise wrong_times(file, refused, calendar)
        data = data.assign_coords({time: days.astype("datetime64[ns]")})
    return data
