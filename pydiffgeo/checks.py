"""Checks of plain settings: numbers, counts and switches, named in the message where they are none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path
from typing import Literal, TypeGuard

import numpy as np
from torch import Tensor

from .errors import InputError, MissingPackageError


def shown(value: object) -> str:
    """What a message says of a value: not all of a long one, nor the numbers of a tensor, which may have none yet."""
    if isinstance(value, Tensor):
        return f"a tensor of type {value.dtype} and shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a finite real number that a float can hold; truth values are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def is_whole(value: object, least: float = -math.inf) -> TypeGuard[int]:
    """Whether `value` is a whole number, `least` or more, that 64 bits hold; truth values are none."""
    return (
        isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least and abs(int(value)) < 2**63
    )


def is_pair(value: object) -> bool:
    """Whether `value` is two finite numbers, in a tuple, list or array."""
    return isinstance(value, (tuple, list, np.ndarray)) and len(value) == 2 and all(map(is_number, value))


def check_positive(**values: object) -> None:
    """Raises `InputError` unless all are positive numbers."""
    for name, value in values.items():
        if not (is_number(value) and value > 0):
            raise InputError(f"{name} must be a positive number, got {shown(value)}")


def check_within(low: float, high: float, expected: str, **values: object) -> None:
    """Raises `InputError` unless all are numbers from `low` to `high`; `expected` says what they should be."""
    for name, value in values.items():
        if not (is_number(value) and low <= value <= high):
            raise InputError(f"{name} must be {expected}, got {shown(value)}")


def check_whole(least: int, **values: object) -> None:
    """Raises `InputError` unless all are whole numbers, `least` or more."""
    for name, value in values.items():
        if not is_whole(value, least):
            raise InputError(f"{name} must be a whole number, {least} or more, that 64 bits hold, got {shown(value)}")


def check_switch(**values: object) -> None:
    """Raises `InputError` unless all are True or False."""
    for name, value in values.items():
        if not isinstance(value, (bool, np.bool_)):
            raise InputError(f"{name} must be True or False, got {shown(value)}")


def check_names(what: str, names: object, *, least: int = 0) -> tuple[str, ...]:
    """Names as a tuple; raises `InputError` unless they are several texts, each once. A single text is none."""
    texts = tuple(names) if isinstance(names, Iterable) and not isinstance(names, (str, bytes)) else None
    if texts is None or len(texts) < least or not all(isinstance(n, str) for n in texts):
        raise InputError(f"{what} must be a list of names, {least} or more, got {shown(names)}")
    for name in texts:
        if texts.count(name) > 1:
            raise InputError(f"{what} names {name!r} more than once")
    return texts


def netcdf_writer(path: Path) -> Literal["netcdf4", "h5netcdf"]:
    """What xarray is to write a NetCDF file with; raises `MissingPackageError`, which names `path`, where nothing is installed."""
    if find_spec("netCDF4"):
        return "netcdf4"
    if find_spec("h5netcdf"):
        return "h5netcdf"
    raise MissingPackageError(f"{path}: writing NetCDF needs h5netcdf or netCDF4: pip install 'pydiffgeo[io]'")
