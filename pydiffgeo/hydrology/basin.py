"""Daily forcing and runoff of one basin: the data and their checks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..arrays import Array, Dates
from ..days import check_calendar, day
from ..errors import DataError, InputError, UnknownSiteError
from ..model import Model
from ..processes.evaporation import hamon

FORCINGS = ("precipitation", "temperature", "daylength")
# What basin models may be forced with: measured, or computed of what is.
DRIVERS = (*FORCINGS, "potential_evapotranspiration")
QUANTITIES = (*FORCINGS, "runoff")
# What a daily value can be; observed runoff may be missing, forcing may not.
RANGES = {
    "precipitation": (0.0, 5000.0, "mm d-1"),
    "temperature": (-100.0, 100.0, "degC"),
    "daylength": (0.0, 24.0, "h"),
    "runoff": (0.0, 5000.0, "mm d-1"),
}


@dataclass(frozen=True, eq=False)
class BasinData:
    """Daily series of one basin, all `(days,)`; checked when it is made.

    Attributes:
        basin: identifier of the basin.
        dates: consecutive days, `datetime64[D]`.
        precipitation: mm/d. temperature: daily mean of the air, degC. daylength: h.
        runoff: observed, mm/d; NaN where missing.
        source: the file or files it was read from.

    Raises:
        DataError: days that are missing, repeated or out of order; forcing that is NaN; values out of
            range. Names the source, the quantity and the date.
    """

    basin: str
    dates: Dates
    precipitation: Array
    temperature: Array
    daylength: Array
    runoff: Array
    source: str

    def __post_init__(self) -> None:
        dates = check_calendar(self.dates, self.source)
        object.__setattr__(self, "dates", dates)
        for name in QUANTITIES:
            values = _numbers(name, getattr(self, name), self.source)
            check_values(name, values, dates, f"{self.source}: basin {self.basin}")
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.dates)

    @property
    def potential_evapotranspiration(self) -> Array:
        """By Hamon's formula from temperature and daylength, mm/d, as EXP-HYDRO has it."""
        temperature, hours = torch.from_numpy(self.temperature.copy()), torch.from_numpy(self.daylength.copy())
        return hamon(temperature, hours).numpy()

    def forcing(self, model: Model) -> dict[str, Array]:
        """The series that `model` is forced with, name -> `(days,)`.

        Raises:
            InputError: it wants one that basins do not have.
        """
        for name in (wanted := [f.name for f in model.forcings]):
            if name not in DRIVERS:
                raise InputError(f"{model.name} is forced with {name!r}; basins have {', '.join(DRIVERS)}")
        return {name: getattr(self, name) for name in wanted}

    def between(self, start: object, end: object) -> BasinData:
        """The days from `start` to `end`, both included.

        Raises:
            DataError: the data do not cover them.
        """
        first, last = day("start", start), day("end", end)
        if not first <= last or first < self.dates[0] or last > self.dates[-1]:
            raise DataError(
                f"{self.source}: basin {self.basin} has data from {self.dates[0]} to {self.dates[-1]}, "
                f"which does not cover {first} to {last}"
            )
        days = slice(int((first - self.dates[0]).astype(int)), int((last - self.dates[0]).astype(int)) + 1)
        return replace(self, dates=self.dates[days], **{name: getattr(self, name)[days] for name in QUANTITIES})


def _numbers(name: str, values: object, source: str) -> Array:
    """`values` as numbers, NaN where they are masked."""
    try:
        if np.asarray(values).dtype.kind in "mMSU":
            raise TypeError("dates or text")
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{source}: {name} does not hold numbers ({error})") from error


def check_values(name: str, values: Array, dates: Dates, source: str) -> None:
    """Raises `DataError` where a quantity has the wrong length, gaps, or values out of range."""
    if values.shape != dates.shape:
        raise DataError(f"{source}: {name} has {values.shape} values for {len(dates)} days")
    low, high, unit = RANGES[name]
    missing = np.isnan(values)
    if name != "runoff" and missing.any():
        raise DataError(
            f"{source}: {name} is NaN on {dates[missing][0]} ({missing.sum()} such days); forcing must be complete"
        )
    wrong = ~missing & ~((values >= low) & (values <= high))
    if wrong.any():
        raise DataError(
            f"{source}: {name} is {values[wrong][0]:g} on {dates[wrong][0]} ({wrong.sum()} such days); "
            f"allowed is [{low:g}, {high:g}] {unit}"
        )


def label(value: object) -> str:
    """The label of a basin as text, without the blanks and zero bytes that fixed lengths pad it with."""
    value = value.item() if isinstance(value, np.ndarray) else value
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \t\n\0")


def unknown_basin(basin: str, known: Iterable[str], source: str) -> UnknownSiteError:
    """The error for a basin that is not there; lists the closest that are."""
    names = sorted(set(known))
    close = difflib.get_close_matches(str(basin), names, n=3) or names[:3]
    hint = f"close ones are {', '.join(close)}" if names else "it has none"
    return UnknownSiteError(f"{source}: no basin {basin!r} among {len(names)}; {hint}")


def daylength(latitude: float, dates: Dates) -> Array:
    """Hours that the centre of the sun is above the horizon at `latitude` (degrees) on `dates`.

    That is the definition of Daymet, whose day lengths CAMELS-US holds; the two agree to a quarter of an hour.

    Source: Forsythe et al. 1995, Ecol. Model. 80, eqs 1 to 3 (the CBM model, p = 0).
    """
    day = (dates - dates.astype("datetime64[Y]")).astype(np.float64) + 1
    angle = 0.2163108 + 2 * np.arctan(0.9671396 * np.tan(0.00860 * (day - 186)))
    declination = np.arcsin(0.39795 * np.cos(angle))
    phi = np.deg2rad(latitude)
    cosine = np.tan(phi) * np.tan(declination)
    return 24 - 24 / np.pi * np.arccos(np.clip(cosine, -1.0, 1.0))


def mean_of(columns: Mapping[str, Array]) -> Array:
    """Mean of several columns, such as the daily extremes of temperature."""
    return np.mean(list(columns.values()), axis=0)
