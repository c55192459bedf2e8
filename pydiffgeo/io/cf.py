"""Series of basins from any file that follows the CF conventions: NetCDF or Zarr, with dimensions basin and time.

data = open_cf("basins.nc", variables={"runoff": "discharge"})
data = open_cf("basins.zarr", dimensions=("gauge", "date"), units={"runoff": "mm d-1"})
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..basin import Array, unknown_basin
from ..errors import DataError, UnitError
from .arguments import check_arguments, check_labels, check_path
from .axis import Calendar, Gaps, check_times, decode, regular, unpacked
from .classic import check_whole
from .quantities import AREA_UNIT, AREAS, SERIES, check_names, find_variable, names_of
from .units import check_known, convert, is_volume_rate, require

Names = Mapping[str, "str | Sequence[str]"]
# km2 of each basin, or one number for a single one.
Areas = Mapping[str, float] | float


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
) -> xr.Dataset:
    """Series and attributes of basins from a NetCDF file or a Zarr store.

    Series are found by their CF standard names, then by common names, and come under the names and in
    the units of `quantities.SERIES`: `precipitation` in mm d-1, `runoff` in mm d-1, and so on. A volume
    per time becomes runoff with the area of the basin. Fill values become NaN. Variables without a time
    axis come along unchanged.

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
        missing: numbers that stand for missing values besides the fill values of the file.
        area: of each basin, km2; where not given, from the variable `area` of the file.
        quantities: those of `SERIES` to look for, beside `variables`; all of them where not given.

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
    check_arguments(variables=variables, units=units, dimensions=dimensions, missing=missing, area=area,
                    quantities=quantities)  # fmt: skip
    file = str(path)
    with open_raw(path) as raw:
        data = decode(raw, dimensions[1], file, calendar)
        data = unpacked(_by_basin(data, *dimensions, path, basins), file)
    # What another reader said of its files is not where this one has it from.
    data = data.drop_vars([name for name in data.coords if name == "files"])
    if dimensions[1] != "time":
        data = renamed(data, dimensions[1], "time", file)
    return series_of(
        data, file, variables=variables, units=units or {}, gaps=gaps, missing=missing, area=area, quantities=quantities
    )


def renamed(data: xr.Dataset, old: str, new: str, file: str) -> xr.Dataset:
    """`data` with a dimension renamed; raises `DataError` where the file calls something else so."""
    if new in data.variables or new in data.dims:
        raise DataError(f"{file}: {old!r} is to be {new!r}, but the file has another {new!r}")
    return data.rename({old: new})


def open_raw(path: str | Path) -> xr.Dataset:
    """A NetCDF file or Zarr store as it is stored, open: to be closed by the caller; values are read when looked at.

    Raises:
        DataError: it cannot be opened, or is cut off.
        MissingPackageError: the package for it is not installed.
    """
    path = check_path(path)
    if os.path.isdir(path) or path.suffix == ".zarr":
        require("zarr", f"{path}: reading Zarr")
        refuse_pickles(path)
        kind, options = "Zarr", {"engine": "zarr", "chunks": None}
    else:
        kind, options = "NetCDF", {}
        check_whole(path)
    try:
        return xr.open_dataset(path, decode_cf=False, **options)  # type: ignore[arg-type]
    except OSError as error:
        raise DataError(f"{path}: cannot be opened as {kind} ({error})") from error
    # Libraries raise RuntimeError, KeyError and their own kinds where a file is cut off.
    except Exception as error:
        if kind == "NetCDF" and not any(map(find_spec, ("netCDF4", "h5netcdf"))):
            require("h5netcdf", f"{path}: reading NetCDF")
        raise DataError(f"{path}: cannot be opened as {kind} ({error})") from error


def refuse_pickles(store: Path) -> None:
    """Raises `DataError` where an array of a Zarr store holds Python objects: decoding these can run code."""
    for pattern in (".zmetadata", "zarr.json", "*/.zarray", "*/zarr.json"):
        for file in store.glob(pattern):
            try:
                found = [*_codecs(json.loads(file.read_bytes()))]
            except (OSError, ValueError, RecursionError) as error:
                raise DataError(f"{store}: cannot be opened as Zarr ({file.name}: {error})") from error
            if bad := [c for c in found if "pickle" in c.lower()]:
                raise DataError(
                    f"{store}: {file.relative_to(store)} has the codec {bad[0]!r}, which can run code; not read"
                )


def _codecs(metadata: Any) -> Iterator[str]:
    """What codecs are called anywhere in the metadata of a store."""
    for value in metadata if isinstance(metadata, list) else []:
        yield from _codecs(value)
    for key, value in metadata.items() if isinstance(metadata, dict) else []:
        if key in ("id", "name", "object_codec_id") and isinstance(value, str):
            yield value
        elif key != "attributes" and not key.endswith(".zattrs"):
            yield from _codecs(value)


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
        stated = [_label(labels.values)] if labels is not None and labels.ndim == 0 else None
        one = [*(basins if basins is not None else stated or [path.stem])]
        if len(one) != 1:
            raise DataError(f"{path}: has no dimension {dimension!r}, so it holds one basin, not {len(one)}")
        if stated is not None and one != stated:
            raise unknown_basin(one[0], stated, str(path))
        return data.drop_vars([str(labels.name)] if labels is not None else []).expand_dims({"basin": [*one]})
    if labels is None:
        raise DataError(f"{path}: the dimension {dimension!r} has no coordinate that names the basins")
    names = [_label(v) for v in labels.values]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: basin {name} appears {names.count(name)} times on {dimension!r}")
    for basin in basins or ():
        if basin not in names:
            raise unknown_basin(basin, names, str(path))
    at = [names.index(b) for b in basins] if basins is not None else [*range(len(names))]
    data = data.isel({dimension: at}).drop_vars(str(labels.name))
    if dimension != "basin":
        data = renamed(data, dimension, "basin", str(path))
    return data.assign_coords(basin=[names[i] for i in at])


def _label(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def series_of(
    data: xr.Dataset,
    file: str,
    *,
    variables: Names | None,
    units: Mapping[str, str],
    gaps: Gaps,
    missing: Sequence[float],
    area: Areas | None,
    quantities: Sequence[str] | None,
) -> xr.Dataset:
    """The quantities in a decoded dataset with dimensions basin and time; see `open_cf`."""
    check_names(variables, data, file)
    chosen: dict[str, tuple[str, ...]] = {k: names_of(v) for k, v in (variables or {}).items()}
    # What the user says is one quantity is not taken for another one as well.
    rest = data.drop_vars([names[0] for names in chosen.values() if len(names) == 1])
    for quantity in SERIES if quantities is None else quantities:
        if quantity not in chosen and (found := find_variable(rest, quantity, file)) is not None:
            chosen[quantity] = (found,)
    if not chosen:
        raise DataError(
            f"{file}: none of its variables is known; say which holds what: variables={{'runoff': ...}}; "
            f"it has {sorted(map(str, data.data_vars))}"
        )
    check_times(data["time"].values, file)
    result = xr.Dataset(coords={"basin": data["basin"], "time": data["time"].variable})
    for name, static in data.variables.items():
        if static.dims == ("basin",) and name != "basin":
            if name in units and static.dtype.kind in "fiu":
                said = check_known(units[str(name)], file=file, variable=str(name))
                static = xr.Variable(static.dims, static.values, {**static.attrs, "units": said})
            result[name] = static
    result = result.set_coords([c for c in data.coords if c in result])
    for quantity, names in chosen.items():
        columns: list[Array] = []
        target = SERIES[quantity].unit if quantity in SERIES else None
        for name in names:
            variable = data[name]
            if {*variable.dims} != {"basin", "time"}:
                raise DataError(f"{file}: {name} has the dimensions {variable.dims}; they must be basin and time")
            unit = units.get(quantity, units.get(name, variable.attrs.get("units")))
            values = numbers(variable.transpose("basin", "time").values, file, name, missing)
            # What pydiffgeo has no unit for stays in that of the first variable.
            target = target or check_known(unit, file=file, variable=name)
            columns.append(_in_unit(values, quantity, name, unit, target, result, file, area))
        attributes = SERIES[quantity].attributes() if quantity in SERIES else _carried(data[names[0]], quantity, target)
        result[quantity] = (("basin", "time"), np.mean(columns, axis=0), attributes)
    axis = regular(result["time"].values, file, gaps)
    if len(axis) != result.sizes["time"]:
        result = result.reindex(time=axis)
    result["time"].attrs = {"standard_name": "time", "long_name": "time", "axis": "T"}
    result["basin"].attrs = {"long_name": "basin identifier", "cf_role": "timeseries_id"}
    taken = {name for names in chosen.values() for name in names}
    left_out = [str(n) for n, v in data.data_vars.items() if "time" in v.dims and n not in taken]
    result.attrs = {"source": file, "left_out": ", ".join(left_out)}
    return result


def numbers(values: Any, file: str, name: str, missing: Sequence[float]) -> Array:
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
    return np.where(np.isin(values, missing), np.nan, values) if len(missing) else values


def _carried(variable: xr.DataArray, quantity: str, unit: str | None) -> dict[str, str]:
    kept = {k: str(v) for k, v in variable.attrs.items() if k in ("long_name", "standard_name", "cell_methods")}
    return {"long_name": quantity, **kept, "units": str(unit)}


def _in_unit(
    values: Array, quantity: str, name: str, unit: Any, target: str, data: xr.Dataset, file: str, area: Areas | None
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
            raise UnitError(
                f"{file}: {name} is a volume per time, which becomes runoff with the area of the basin, but {static[0]} "
                f"has no attribute 'units'; state its unit: units={{'{static[0]}': 'km2'}} if that is what it is in",
                file=file, variable=static[0],
            )  # fmt: skip
        areas = convert(data[static[0]].values, unit, AREA_UNIT, file=file, variable=static[0])
    for basin, value in zip(basins, areas, strict=True):
        if not (np.isfinite(value) and value > 0):
            raise DataError(f"{file}: basin {basin} has no area, which {name} needs to become runoff (got {value:g})")
    return areas
