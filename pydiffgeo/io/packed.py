"""Stored numbers as what they mean: fill values, valid ranges, and packing by scale and offset.

Source: NetCDF Users Guide, appendix A (attribute conventions), and CF conventions 1.10, sections 2.5.1 and 8.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import Array, Mask
from ..errors import DataError

# Numbers as they are stored, of any type.
Stored = NDArray[np.integer | np.floating]
# What the NetCDF library puts where nothing was written, in files that state no fill value (netcdf.h).
DEFAULT_FILL = {"f4": 9.969209968386869e36, "f8": 9.969209968386869e36, "i2": 1 - 2**15, "i4": 1 - 2**31}
DEFAULT_FILL |= {"i8": 2 - 2**63, "u2": 2**16 - 1, "u4": 2**32 - 1, "u8": 2**64 - 2}
_FILLS = ("_FillValue", "missing_value")
_RANGES = ("valid_min", "valid_max", "valid_range")
# The attributes that say what stored numbers mean.
USED = (*_FILLS, *_RANGES, "scale_factor", "add_offset", "_Unsigned")


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
            stated = sorted({*USED} & {*variable.attrs})
            raise DataError(f"{file}: {name} cannot be unpacked as its attributes {stated} say ({error})") from error
        kept = {k: v for k, v in variable.attrs.items() if k not in USED}
        changed[name] = xr.Variable(variable.dims, values, kept)
    return data.assign(changed)


def meant(stored: Stored, attributes: Mapping[str, object]) -> Stored:
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
    for key in _FILLS:
        for fill in _numbers(attributes, key).ravel().tolist():
            missing |= _is(stored, values, fill)
    if "_FillValue" not in attributes and (unwritten := DEFAULT_FILL.get(stored.dtype.str[1:])) is not None:
        missing |= stored == np.array(unwritten, stored.dtype)
    for key in _RANGES:
        if key in attributes:
            missing |= _outside(stored, values, key, _numbers(attributes, key))
    if missing.any():
        values = np.where(missing, np.nan, values.astype(np.float64))
    return values


def equal(values: Stored, number: float) -> Mask:
    """Where `values` are a `number` that is written in another precision, such as -99.9 in single and double."""
    single = np.float32
    with np.errstate(over="ignore"):
        near = values.astype(single) == single(number)
    # Zero, and what is too large or too small for single precision, is only itself.
    usual = np.isfinite(single(number)) and abs(number) >= np.finfo(single).tiny
    return np.asarray((values == number) | (near & usual))


def _is(stored: Stored, values: Stored, fill: float) -> Mask:
    """Where stored numbers are a fill value, of whatever type."""
    if math.isnan(fill):
        return np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, bool)
    if stored.dtype.kind == "f":
        return equal(stored, float(fill))
    if stored.dtype.kind == "u" and fill < 0 and float(fill).is_integer():
        fill = int(fill) + 2 ** (8 * stored.dtype.itemsize)  # the same bits
    span = np.iinfo(stored.dtype.str)
    if float(fill).is_integer() and span.min <= int(fill) <= span.max:
        return np.asarray(stored == int(fill))
    # No stored integer can be that: it is meant of the numbers that they stand for.
    return equal(np.asarray(values, np.float64), float(fill))


def _outside(stored: Stored, values: Stored, key: str, limits: Stored) -> Mask:
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


def _numbers(attributes: Mapping[str, object], key: str) -> Stored:
    """An attribute as an array of numbers; empty where it is absent."""
    if key not in attributes:
        return np.empty(0)
    numbers = np.atleast_1d(np.asarray(attributes[key]))
    if numbers.dtype.kind not in "fiub":
        raise ValueError(f"{key} is {attributes[key]!r}, not numbers")
    return numbers


def _number(attributes: Mapping[str, object], key: str, default: float) -> float:
    """An attribute as one number; `default` where it is absent."""
    numbers = _numbers(attributes, key)
    if numbers.size > 1:
        raise ValueError(f"{key} is {numbers.tolist()}, not a number")
    return float(numbers[0]) if numbers.size else default


def without(values: Array, missing: Sequence[float]) -> Array:
    """`values` with NaN for numbers that are `missing`, of whatever precision."""
    gone = np.zeros(values.shape, bool)
    for number in missing:
        gone |= equal(values, float(number))
    return np.where(gone, np.nan, values)
