"""One basin of a dataset, complete enough to calibrate."""

from __future__ import annotations

from typing import Any

import xarray as xr

from ..basin import QUANTITIES, RANGES, BasinData, daylength, unknown_basin
from ..errors import DataError
from .axis import days_within
from .units import convert


def basin_data(data: xr.Dataset, basin: str, *, start: Any = None, end: Any = None) -> BasinData:
    """The daily series of one basin of a dataset as `open_cf`, `open_camels` or `open_caravan` return it.

    Temperature is the mean of the daily extremes where there is no other; daylength is computed from the
    attribute `gauge_lat` where the dataset has none.

    Args:
        data: with the dimensions `(basin, time)`.
        basin: its label.
        start, end: first and last day to take; all of them where not given.

    Raises:
        DataError: there is no such basin or quantity; forcing has gaps; values are out of range.
    """
    if not isinstance(data, xr.Dataset):
        raise DataError(f"the data must be a dataset as open_cf returns it, got {type(data).__name__}")
    source = str(data.attrs.get("source", "the dataset"))
    for dimension in ("basin", "time"):
        if dimension not in data.dims or dimension not in data.coords:
            raise DataError(f"{source}: no dimension {dimension!r} with labels; it has {sorted(map(str, data.dims))}")
    if data["time"].dtype.kind != "M":
        raise DataError(f"{source}: 'time' does not hold dates, but {data['time'].dtype}")
    labels = [str(b) for b in data["basin"].values]
    if basin not in labels:
        raise unknown_basin(basin, labels, source)
    one = data.isel(basin=labels.index(basin))
    days = one["time"].values.astype("datetime64[D]")
    inside = days_within(days, start, end, source)

    def values(name: str, unit: str) -> Any:
        return convert(one[name].values[inside], one[name].attrs.get("units"), unit, file=source, variable=name)

    series = {}
    for quantity in QUANTITIES:
        unit = RANGES[quantity][2]
        if quantity in one:
            series[quantity] = values(quantity, unit)
        elif quantity == "temperature" and {"temperature_min", "temperature_max"} <= {*one.data_vars}:
            series[quantity] = (values("temperature_min", unit) + values("temperature_max", unit)) / 2
        elif quantity == "daylength" and "gauge_lat" in one:
            series[quantity] = daylength(float(one["gauge_lat"]), days[inside])
        else:
            raise DataError(f"{source}: no variable {quantity!r}; it has {sorted(map(str, data.data_vars))}")
    return BasinData(basin, days[inside], source=source, **series)
