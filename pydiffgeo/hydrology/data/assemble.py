"""The quantities of a decoded dataset: found, in the units of pydiffgeo, on a time axis without gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ...arrays import Array
from ...errors import DataError, TimeAxisError, UnitError
from ...io.axis import check_times, regular
from ...io.packed import without
from ...io.units import check_known, convert, is_volume_rate
from .arguments import Areas, Choice
from .quantities import AREA_UNIT, AREAS, SERIES, check_names, find_variable, is_sum, names_of

NANOSECONDS = 86400e9  # in a day


def series_of(data: xr.Dataset, file: str, choice: Choice) -> xr.Dataset:
    """The quantities in a decoded dataset with dimensions basin and time; see `open_cf`."""
    check_names(choice.variables, data, file)
    units = choice.units or {}
    chosen: dict[str, tuple[str, ...]] = {k: names_of(v) for k, v in (choice.variables or {}).items()}
    # What the user says is one quantity is not taken for another one as well.
    rest = data.drop_vars([names[0] for names in chosen.values() if len(names) == 1])
    for quantity in SERIES if choice.quantities is None else choice.quantities:
        if quantity not in chosen and (holder := find_variable(rest, quantity, file)) is not None:
            chosen[quantity] = (holder,)
    if not chosen:
        raise DataError(
            f"{file}: none of its variables is known; say which holds what: variables={{'runoff': ...}}; "
            f"it has {sorted(map(str, data.data_vars))}"
        )
    check_times(data["time"].values, file)
    bounds = data["time"].attrs.get("bounds")
    zone = data["time"].attrs.get("time_zone")
    result = xr.Dataset(coords={"basin": data["basin"], "time": data["time"].variable})
    for name, static in data.variables.items():
        if static.dims == ("basin",) and name != "basin":
            if name in units and static.dtype.kind in "fiu":
                said = check_known(units[str(name)], file=file, variable=str(name))
                static = xr.Variable(static.dims, static.values, {**static.attrs, "units": said})
            result[name] = static
    result = result.set_coords([c for c in data.coords if c in result])
    result["time"].attrs = {}
    for quantity, names in chosen.items():
        columns: list[Array] = []
        target = SERIES[quantity].unit if quantity in SERIES else None
        for name in names:
            variable = data[name]
            if {*variable.dims} != {"basin", "time"}:
                raise DataError(f"{file}: {name} has the dimensions {variable.dims}; they must be basin and time")
            unit = units.get(quantity, units.get(name, variable.attrs.get("units")))
            values = numbers(variable.transpose("basin", "time").values, file, name, choice.missing)
            if is_sum(variable, quantity, unit, has_bounds=bounds is not None):
                values, unit = values / periods_of(data, bounds, file, name), f"{unit} d-1"
            # What pydiffgeo has no unit for stays in that of the first variable.
            target = target or check_known(unit, file=file, variable=name)
            columns.append(_in_unit(values, quantity, name, unit, target, result, file, choice.area))
        attributes = SERIES[quantity].attributes() if quantity in SERIES else _carried(data[names[0]], quantity, target)
        result[quantity] = (("basin", "time"), np.mean(columns, axis=0), attributes)
    axis = regular(result["time"].values, file, choice.gaps)
    if len(axis) != result.sizes["time"]:
        result = result.reindex(time=axis)
    about = {"time_zone": zone} if zone else {}
    result["time"].attrs = {"standard_name": "time", "long_name": "time", "axis": "T", **about}
    result["basin"].attrs = {"long_name": "basin identifier", "cf_role": "timeseries_id"}
    taken = {name for names in chosen.values() for name in names}
    left_out = [str(n) for n, v in data.data_vars.items() if "time" in v.dims and n not in taken]
    result.attrs = {"source": file, "left_out": ", ".join(left_out)}
    return result


def numbers(values: ArrayLike, file: str, name: str, missing: Sequence[float]) -> Array:
    """`values` as numbers, with NaN for those that are `missing`.

    Raises:
        DataError: they are not numbers.
    """
    try:
        if np.asarray(values).dtype.kind in "mMc":
            raise TypeError(f"but {np.asarray(values).dtype}")
        values = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: {name} does not hold numbers ({error})") from error
    return without(values, missing)


def periods_of(data: xr.Dataset, bounds: str | None, file: str, name: str) -> Array:
    """How many days each value of `data` is a sum over, `(time,)`.

    Raises:
        TimeAxisError: the file has neither bounds of time nor steps.
    """
    if bounds is not None:
        return np.diff(data[bounds].values.astype("datetime64[ns]"), axis=1)[:, 0].astype(np.float64) / NANOSECONDS
    steps = np.diff(data["time"].values.astype("datetime64[ns]")).astype(np.float64)
    if len(steps) == 0:
        raise TimeAxisError(
            f"{file}: {name} is a sum over time, but a single time without bounds is as long as nobody knows", file=file
        )
    return np.full(data.sizes["time"], steps.min() / NANOSECONDS)


def _carried(variable: xr.DataArray, quantity: str, unit: str | None) -> dict[str, str]:
    kept = {k: str(v) for k, v in variable.attrs.items() if k in ("long_name", "standard_name", "cell_methods")}
    return {"long_name": quantity, **kept, "units": str(unit)}


def _in_unit(
    values: Array, quantity: str, name: str, unit: object, target: str, data: xr.Dataset, file: str, area: Areas | None
) -> Array:
    """`values` `(basin, time)` in the unit `target`; runoff as a volume per time is divided by the area."""
    if quantity == "runoff" and is_volume_rate(unit):
        areas = areas_of(data, file, name, area)
        volume = convert(values, unit, "m3 d-1", file=file, variable=name)
        # A cubic metre on a square kilometre is a thousandth of a millimetre.
        return np.asarray(volume / areas[:, None] / 1000)
    return convert(values, unit, target, file=file, variable=name)


def areas_of(data: xr.Dataset, file: str, name: str, area: Areas | None) -> Array:
    """Area of each basin of `data`, km2 `(basin,)`.

    Raises:
        DataError: a basin has none, or one that is not positive.
        UnitError: the variable that holds it states no unit, or one that is not known.
    """
    basins = [str(b) for b in data["basin"].values]
    if isinstance(area, Mapping):
        areas = np.array([float(area.get(b, np.nan)) for b in basins])
    elif area is not None:
        areas = np.full(len(basins), float(area))
    else:
        static = [a for a in AREAS if a in data and data[a].dims == ("basin",)]
        if not static:
            raise DataError(
                f"{file}: {name} is a volume per time, which becomes runoff with the area of the basin; "
                f"there is none: no variable {' or '.join(AREAS)}, and no argument area (km2)"
            )
        unit = data[static[0]].attrs.get("units")
        if unit is None:
            message = (
                f"{file}: {name} is a volume per time, which becomes runoff with the area of the basin, but {static[0]} "
                f"has no attribute 'units'; state its unit: units={{'{static[0]}': 'km2'}} if that is what it is in"
            )
            raise UnitError(message, file=file, variable=static[0])
        areas = convert(data[static[0]].values, unit, AREA_UNIT, file=file, variable=static[0])
    for basin, value in zip(basins, areas, strict=True):
        if not (np.isfinite(value) and value > 0):
            raise DataError(f"{file}: basin {basin} has no area, which {name} needs to become runoff (got {value:g})")
    return areas
