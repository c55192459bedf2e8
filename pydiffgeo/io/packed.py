"""Stored numbers as what they mean: fill values, valid ranges, and packing by scale and offset.

Source: NetCDF Users Guide, appendix A (attribute conventions), and CF conventions 1.10, sections 2.5.1 and 8.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import Array
from ..errors import DataError

Mask = NDArray[np.bool_]
# What the NetCDF library puts where nothing was written, in files that state no fill value (netcdf.h).
DEFAULT_FILL = {"f4": 9.969209968386869e36, "f8": 9.969209968386869e36, "i2": -32767, "i4": -2147483647,
                "i8": -9223372036854775806, "u2": 65535, "u4": 4294967295, "u8": 18446744073709551614}  # fmt: skip
USED = (
    "_FillValue",
    "missing_value",
    "valid_min",
    "valid_max",
    "valid_range",
    "scale_factor",
    "add_offset",
    "_Unsigned",
)


def unpacked(data: xr.Dataset, file: str) -> xr.Dataset:
    """`data` in memory, with NaN for fill values and what lies outside valid ranges, and numbers unpacked.

    Fill values are compared in the type of the data; valid ranges are those of packed numbers, unless they are
    floating-point ones of numbers packed as integers.

    Raises:
        DataError: values cannot be read, or not unpacked as the attributes of their variable say.
    """
    try:
        data = data.load()
    # What libraries raise where a file is damaged differs.
    except Exception as error:
        raise DataError(f"{file}: values cannot be read ({error})") from error
    changed = {}
    for name, variable in data.variables.items():
        stored = variable.values
        if name in data.dims or stored.dtype.kind not in "fiu":
            continue
        try:
            values = meant(stored, variable.attrs)
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(
                f"{file}: {name} cannot be unpacked as its attributes {sorted({*USED} & {*variable.attrs})} say ({error})"
            ) from error
        kept = {k: v for k, v in variable.attrs.items() if k not in USED}
        changed[name] = xr.Variable(variable.dims, values, kept)
    return data.assign(changed)


def meant(stored: NDArray[Any], attributes: Any) -> NDArray[Any]:
    """What stored numbers mean: unpacked, NaN where they are missing; as they are where no attribute says more.

    Raises:
        ValueError, TypeError: an attribute does not hold numbers, or too many.
    """
    if stored.dtype.kind == "i" and str(attributes.get("_Unsigned", "")).lower() == "true":
        stored = stored.view(f"u{stored.dtype.itemsize}")
    elif stored.dtype.kind == "u" and str(attributes.get("_Unsigned", "")).lower() == "false":
        stored = stored.view(f"i{stored.dtype.itemsize}")
    scale, offset = (_number(attributes, k, default) for k, default in (("scale_factor", 1.0), ("add_offset", 0.0)))
    packed = "scale_factor" in attributes or "add_offset" in attributes
    if packed and (scale == 0 or not np.isfinite([scale, offset]).all()):
        raise ValueError(f"a scale of {scale:g} and an offset of {offset:g} mean nothing")
    values = stored.astype(np.float64) * scale + offset if packed else stored
    missing = np.zeros(stored.shape, bool)
    for key in ("_FillValue", "missing_value"):
        for fill in np.ravel(_numbers(attributes, key)):
            missing |= _is(stored, values, fill)
    if "_FillValue" not in attributes and (fill := DEFAULT_FILL.get(stored.dtype.str[1:])) is not None:
        missing |= stored == np.array(fill, stored.dtype)
    for key in ("valid_min", "valid_max", "valid_range"):
        if key in attributes:
            missing |= _outside(stored, values, key, _numbers(attributes, key))
    if missing.any():
        values = np.where(missing, np.nan, values.astype(np.float64))
    return values


def equal(values: Array, number: float) -> Mask:
    """Where `values` are a `number` that is written in another precision, such as -99.9 in single and double."""
    single = np.float32
    with np.errstate(over="ignore"):
        near = values.astype(single) == single(number)
    # Zero, and what is too large or too small for single precision, is only itself.
    usual = np.isfinite(single(number)) and abs(number) >= np.finfo(single).tiny
    return np.asarray((values == number) | (near & usual))


def _is(stored: NDArray[Any], values: NDArray[Any], fill: Any) -> Mask:
    """Where stored numbers are a fill value, of whatever type."""
    if np.isnan(fill):
        return np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, bool)
    if stored.dtype.kind == "f":
        return equal(stored, float(fill))
    if stored.dtype.kind == "u" and fill < 0 and float(fill).is_integer():
        fill = int(fill) + 2 ** (8 * stored.dtype.itemsize)  # the same bits
    span = np.iinfo(stored.dtype)
    if float(fill).is_integer() and span.min <= int(fill) <= span.max:
        return np.asarray(stored == int(fill))
    # No stored integer can be that: it is meant of the numbers that they stand for.
    return equal(np.asarray(values, np.float64), float(fill))


def _outside(stored: NDArray[Any], values: NDArray[Any], key: str, limits: NDArray[Any]) -> Mask:
    """Where numbers lie outside a valid range: stored ones, or those meant, as its type says."""
    if limits.size != (2 if key == "valid_range" else 1) or np.isnan(limits.astype(np.float64)).any():
        raise ValueError(f"{key} is {limits.tolist()}")
    of_meant = stored.dtype.kind in "iu" and limits.dtype.kind == "f"
    compared = values if of_meant else stored
    if compared.dtype.kind == "f":
        # A limit is a value that may be, in the coarser of its own precision and that of the data.
        kind = np.float32 if np.dtype(np.float32) in (compared.dtype, limits.dtype) else np.float64
        compared, limits = compared.astype(kind), limits.astype(kind)
    elif compared.dtype.kind == "u" and (limits < 0).any():
        limits = limits.astype(np.int64) + np.where(limits < 0, 2 ** (8 * stored.dtype.itemsize), 0)
    limits = limits.ravel()
    low = limits[0] if key != "valid_max" else None
    high = limits[-1] if key != "valid_min" else None
    if low is not None and high is not None and low > high:
        raise ValueError(f"{key} is {limits.tolist()}")
    below = np.zeros(stored.shape, bool) if low is None else compared < low
    above = np.zeros(stored.shape, bool) if high is None else compared > high
    return np.asarray(below | above)


def _numbers(attributes: Any, key: str) -> NDArray[Any]:
    """An attribute as an array of numbers; empty where it is absent."""
    if key not in attributes:
        return np.empty(0)
    found = np.atleast_1d(np.asarray(attributes[key]))
    if found.dtype.kind not in "fiub":
        raise ValueError(f"{key} is {attributes[key]!r}, not numbers")
    return found


def _number(attributes: Any, key: str, default: float) -> float:
    found = _numbers(attributes, key)
    if found.size > 1:
        raise ValueError(f"{key} is {found.tolist()}, not a number")
    return float(found[0]) if found.size else default


def without(values: Array, missing: Sequence[float]) -> Array:
    """`values` with NaN for numbers that are `missing`, of whatever precision."""
    gone = np.zeros(values.shape, bool)
    for number in missing:
        gone |= equal(values, float(number))
    return np.where(gone, np.nan, values)
