"""Digests of values: the same for the same question, whatever holds it, and another one for any other.

Numbers count by their value, so a list, a NumPy array, a tensor, a pandas Series and an xarray DataArray of
the same numbers are one. Functions count by what they do: their code, and what they close over.
"""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Protocol, TypeGuard

import numpy as np
import torch

from .arrays import AnyArray
from .errors import InputError

# Modules that do not change while a program runs; functions of these are known by their names.
FIXED = {*sys.stdlib_module_names, "torch", "numpy", "scipy"}


def digest(*parts: object) -> str:
    """A digest of any values: numbers and what holds them, text, dates, mappings, dataclasses, modules, functions.

    Raises:
        InputError: something in them cannot be told from others of its kind; names it.
    """
    state = hashlib.sha256()
    for part in parts:
        for written in _written(part, {}):
            state.update(written)
    return state.hexdigest()[:32]


def _written(value: object, seen: dict[int, int]) -> Iterator[bytes]:
    """A value as bytes that no other value is written as; `seen` knows what encloses it."""
    if value is None or isinstance(value, bool | str | bytes | complex | PurePath | np.bool_):
        # A truth value is told from a number: `True` for a switch is not 1.
        yield f"{type(value).__name__}:{value!r};".encode()
        return
    if isinstance(value, int) and abs(value) >= 2**63:
        yield f"whole:{value};".encode()
        return
    if isinstance(value, Enum):
        yield f"{type(value).__qualname__}.{value.name};".encode()
        return
    if isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | np.ufunc) or _fixed(value):
        yield f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)};".encode()
        return
    array = _as_array(value)
    if array is not None:
        yield _numbers(array)
        return
    if id(value) in seen:  # a value within itself
        yield f"again {seen[id(value)]};".encode()
        return
    seen[id(value)] = len(seen)
    try:
        yield f"{_kind(value)}(".encode()
        for part in _parts(value):
            yield from _written(part, seen)
        yield b");"
    finally:
        del seen[id(value)]


def _fixed(value: object) -> TypeGuard[types.FunctionType]:
    """Is it a function of a library that does not change?"""
    return isinstance(value, types.FunctionType) and value.__module__.split(".")[0] in FIXED


class _Labelled(Protocol):
    """A table of pandas, or an array of xarray; neither is imported for this."""

    def to_dict(self, orient: str = ..., /) -> object: ...


def _labelled(value: object) -> TypeGuard[_Labelled]:
    return type(value).__module__.split(".")[0] in ("pandas", "xarray")


def _as_array(value: object) -> AnyArray | None:
    """Numbers or dates as an array, None where `value` is something else."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().resolve_conj().numpy()
    # What pandas and xarray hold converts itself.
    holder = _labelled(value) and hasattr(value, "__array__")
    table = holder and (getattr(value, "ndim", 1) == 0 or type(value).__name__ in ("DataFrame", "Dataset"))
    if (
        isinstance(value, int | float | np.ndarray | np.generic | range)
        or (holder and not table)
        or (isinstance(value, list | tuple) and value and all(isinstance(v, int | float | np.generic) for v in value))
    ):
        array = np.asarray(value)
    elif isinstance(value, list | tuple) and value and all(isinstance(v, list | tuple) for v in value):
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError):  # rows of different lengths
            return None
    elif hasattr(value, "__cuda_array_interface__") or hasattr(value, "__array_interface__"):
        array = np.asarray(value)
    else:
        return None
    return array if array.dtype.kind in "biufcmM" else None


def _numbers(array: AnyArray) -> bytes:
    """Shape and values; type and byte order do not matter, nor the sign of zero."""
    if array.dtype.kind in "mM":
        values = array.astype(f"{array.dtype.kind}8[ns]" if np.datetime_data(array.dtype.str)[0] != "generic" else "m8")
        return f"{array.dtype.kind}{array.shape}:".encode() + values.astype("<i8").tobytes()
    if array.dtype.kind == "c":
        return f"c{array.shape}:".encode() + (array.astype("<c16") + 0.0).tobytes()
    values = np.array(array, "<f8") + np.zeros(array.shape)
    if array.dtype.kind in "iu" and not (values.astype(array.dtype) == array).all():
        return f"i{array.shape}:".encode() + array.astype("<i8" if array.dtype.kind == "i" else "<u8").tobytes()
    return f"{array.shape}:".encode() + np.where(np.isnan(values), np.nan, values).tobytes()


def _kind(value: object) -> str:
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return "sequence"
    if isinstance(value, Mapping) and not is_dataclass(value):
        return "mapping"
    if isinstance(value, Set):
        return "set"
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _parts(value: object) -> Iterator[object]:
    """What makes up a value that is no number."""
    if _labelled(value):
        yield value.to_dict("list") if type(value).__name__ == "DataFrame" else value.to_dict()
    elif isinstance(value, list | tuple):
        yield from (len(value), *value)
    elif isinstance(value, np.ndarray):  # of objects or text
        yield from (value.shape, *value.ravel().tolist())
    elif isinstance(value, Mapping):
        pairs = [(digest(k), k, v) for k, v in value.items()]
        yield from ((k, v) for _, k, v in sorted(pairs, key=lambda pair: pair[0]))
    elif isinstance(value, Set):
        yield from sorted(digest(v) for v in value)
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, types.FunctionType):
        yield from _code(value.__code__)
        yield from (value.__defaults__, value.__kwdefaults__)
        yield from _around(value)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((f.name, getattr(value, f.name)) for f in fields(value))
    elif isinstance(value, torch.nn.Module):
        yield from (str(value), value.training, dict(value.state_dict()))
    elif getattr(value, "__dict__", None):
        yield vars(value)
        yield type(value).__call__ if callable(value) else None
    else:
        try:
            yield value.__reduce_ex__(4)  # what a copy is made from
        except Exception as error:
            raise InputError(
                f"{value!r} of type {type(value).__qualname__} cannot be told from others of its kind, so that a "
                "checkpoint would not know it again; use numbers, arrays, text, dates, dataclasses or functions"
            ) from error


def _code(code: types.CodeType) -> Iterator[object]:
    """What a function does, wherever it is written down; another version of Python may write it otherwise."""
    yield from (code.co_code, code.co_names, code.co_varnames, code.co_argcount, code.co_kwonlyargcount)
    for constant in code.co_consts:
        yield from _code(constant) if isinstance(constant, types.CodeType) else (constant,)


def _around(function: types.FunctionType) -> Iterator[tuple[str, object] | list[object]]:
    """What a function reads from around it: what it closes over, globals, attributes of modules that may change."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield (name, cell.cell_contents)
        except ValueError:  # a variable that has no value yet
            yield (name, "unbound")
    names = sorted(_names(function.__code__))
    for name in names:
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        yield (name, value)
        if isinstance(value, types.ModuleType) and value.__name__.split(".")[0] not in FIXED:
            read = [getattr(value, n) for n in names if hasattr(value, n)]
            yield [v for v in read if not isinstance(v, type | types.ModuleType)]


def _names(code: types.CodeType) -> set[str]:
    """Names of globals and attributes that a function and those within it read."""
    inner = [_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*inner)
