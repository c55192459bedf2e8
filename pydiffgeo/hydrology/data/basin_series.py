"""One basin of a dataset, complete enough to calibrate; daily values of those that come more often."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...arrays import Array, Dates
from ...checks import is_number, shown
from ...errors import DataError
from ...io.axis import days_within, length_of, regular
from ...io.units import convert
from ..basin import FORCINGS, QUANTITIES, RANGES, BasinData, daylength, label, unknown_basin
from .quantities import SERIES

DAY = 86400 * 10**9  # in nanoseconds


def basin_data(
    data: xr.Dataset,
    basin: str,
    *,
    latitude: float | None = None,
    start: object = None,
    end: object = None,
    gauged: bool = True,
) -> BasinData:
    """The daily series of one basin of a dataset as `open_cf`, `open_camels` or `open_caravan` return it.

    The days are those from the first to the last one with forcing: a dataset of many basins spans them all.
    Temperature is the mean of the daily extremes where there is no other; daylength is computed from `latitude`,
    or else the attribute `gauge_lat`, where the dataset has none.

    Args:
        data: with the dimensions `(basin, time)`.
        basin: its label.
        latitude: of the basin, degrees.
        start, end: first and last day to take; all of them where not given.
        gauged: whether there must be runoff; else it is NaN where the dataset has none.

    Raises:
        DataError: there is no such basin or quantity; forcing has gaps; values are out of range.
    """
    if latitude is not None and not (is_number(latitude) and -90 <= latitude <= 90):
        raise DataError(f"latitude must be degrees from -90 to 90, got {shown(latitude)}")
    if not isinstance(data, xr.Dataset):
        raise DataError(f"the data must be a dataset as open_cf returns it, got {type(data).__name__}")
    source = str(data.attrs.get("source", "the dataset"))
    for dimension in ("basin", "time"):
        if dimension not in data.dims or dimension not in data.coords:
            raise DataError(f"{source}: no dimension {dimension!r} with labels; it has {sorted(map(str, data.dims))}")
    if data["time"].dtype.kind != "M":
        raise DataError(f"{source}: 'time' does not hold dates, but {data['time'].dtype}")
    labels = [label(b) for b in data["basin"].values]
    if basin not in labels:
        raise unknown_basin(basin, labels, source)
    one = data.isel(basin=labels.index(basin))
    if "files" in one.coords:  # of a folder with files of each basin
        source = str(one["files"].item())
    days = _days(one["time"], source)
    inside = days_within(days, start, end, source)

    def values(name: str, unit: str) -> Array:
        return convert(one[name].values[inside], one[name].attrs.get("units"), unit, file=source, variable=name)

    series = {}
    for quantity in QUANTITIES:
        unit = RANGES[quantity][2]
        if quantity in one:
            series[quantity] = values(quantity, unit)
        elif quantity == "temperature" and {"temperature_min", "temperature_max"} <= {*one.data_vars}:
            series[quantity] = (values("temperature_min", unit) + values("temperature_max", unit)) / 2
        elif quantity == "runoff" and not gauged:
            series[quantity] = np.full(int(inside.sum()), np.nan)
        elif quantity != "daylength":
            raise _absent(quantity, data, source, "")
    forced = ~np.all([np.isnan(series[k]) for k in FORCINGS if k in series], axis=0)
    if not forced.any():
        raise DataError(f"{source}: basin {basin} has no forcing from {days[inside][0]} to {days[inside][-1]}")
    first, last = np.flatnonzero(forced)[[0, -1]]
    days = days[inside][first : last + 1]
    series = {k: v[first : last + 1] for k, v in series.items()}
    if "daylength" not in series:
        if latitude is None and "gauge_lat" not in one:
            raise _absent("daylength", data, source, ", or a latitude to compute it from")
        series["daylength"] = daylength(float(one["gauge_lat"]) if latitude is None else latitude, days)
    return BasinData(basin, days, source=source, **series)


def _days(time: xr.DataArray, source: str) -> Dates:
    """The days of daily values, `datetime64[D]`.

    Raises:
        DataError: there are several values a day.
    """
    days = time.values.astype("datetime64[D]")
    steps = np.diff(time.values).astype("timedelta64[ns]").astype(np.int64)
    if len(steps) and 0 < steps.min() < DAY and (np.diff(days) == np.timedelta64(0, "D")).any():
        raise DataError(
            f"{source}: the values come every {length_of(int(steps.min()))}, and daily ones are needed: "
            f"daily(data) makes means of whole days"
        )
    return days


def daily(data: xr.Dataset) -> xr.Dataset:
    """Daily values of a dataset with several values a day, as `open_cf` returns it, whose times are starts of steps.

    Rates and temperatures become means, extremes of temperature the extreme of each day. A day that lacks a step has
    no value.

    Args:
        data: with the dimensions `(basin, time)`, and steps that divide a day.

    Raises:
        DataError: steps repeat, are unsorted or irregular, or longer than a day, or do not divide it.
    """
    source = str(data.attrs.get("source", "the dataset"))
    times = regular(data["time"].values, source, "fill")
    step = int(np.diff(times[:2]).astype(np.int64)[0]) if len(times) > 1 else DAY
    if step > DAY or DAY % step:
        raise DataError(f"{source}: steps of {length_of(step)} do not make whole days")
    every = data.reindex(time=times)
    days = xr.DataArray(times.astype("datetime64[D]").astype("datetime64[ns]"), dims="time", name="day")
    count = DAY // step
    made = {}
    for name, variable in every.data_vars.items():
        if "time" not in variable.dims:
            made[name] = variable
            continue
        groups = variable.groupby(days)
        how = SERIES[str(name)].method if name in SERIES else "mean"
        value = {"minimum": groups.min, "maximum": groups.max, "mean": groups.mean}[how]("time", skipna=False)
        whole = groups.count("time") == count
        made[name] = value.where(whole).rename(day="time").transpose(*variable.dims).assign_attrs(variable.attrs)
    result = xr.Dataset(made, attrs=data.attrs)
    result = result.assign_coords({k: v for k, v in data.coords.items() if "time" not in v.dims})
    result["time"].attrs = data["time"].attrs
    return result


def _absent(quantity: str, data: xr.Dataset, source: str, else_give: str) -> DataError:
    there = [*map(str, data.data_vars), *filter(None, str(data.attrs.get("left_out", "")).split(", "))]
    return DataError(
        f"{source}: no {quantity}; say which variable holds it{else_give}: variables = {{{quantity}: ...}}; "
        f"there are {', '.join(sorted(there))}"
    )
