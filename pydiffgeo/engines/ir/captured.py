"""Whether what local functions can see is still what it was, so that they need not be traced at every solve.

A local function sees its own code, what it closes over, its defaults, and globals. Where all of that is numbers, text,
functions of the same kind, frozen dataclasses, and containers of these, one look at each tells whether anything has
changed. Where anything else is in sight (a tensor, a module of a network, any object with attributes of its own), only
tracing tells.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import types
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...model import Model

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MISSING = object()
FROZEN = attrgetter("__dataclass_params__.frozen")
# Numbers and the like, which cannot change; whoever puts another one in their place is seen. Not what is derived from
# them, which may have methods.
FIXED = {type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device}
# Packages that stay what they are.
LASTING = ("torch", "math", "operator", "builtins", "_operator")
# So do these modules of our own; what their functions call or read is given by the user, and in sight as well.
OWN = ("pydiffgeo.engines.ir.implicit", "pydiffgeo.model.by_name")
# Functions of Python through which anything may be read, or called another time with another result.
OPEN = {
    *("globals", "locals", "vars", "getattr", "setattr", "delattr", "next", "iter"),
    *("eval", "exec", "compile", "__import__", "open", "input", "print", "breakpoint"),
}
# Methods that no arithmetic calls: what dataclasses write themselves, and what copies and pickles.
UNCALLED = {
    *("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__post_init__", "__replace__"),
    *("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__copy__", "__deepcopy__"),
}

# Of torch: what is another one at each call.
CHANGING = {
    *("rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "randperm", "normal", "bernoulli"),
    *("poisson", "multinomial", "dropout", "seed", "initial_seed", "get_rng_state", "distributions"),
    *("empty", "empty_like", "load"),
}


class _OutOfSightError(Exception):
    """Something was met that can change without being seen."""


class Captured:
    """What some functions could see at one moment.

    Args:
        functions: local functions, and whatever they are called through.
    """

    def __init__(self, functions: Iterable[object]) -> None:
        self._cells: list[tuple[types.CellType, object]] = []
        self._entries: list[tuple[Mapping[str, object], str, object]] = []
        self._sizes: list[tuple[Mapping[str, object], int]] = []
        self._codes: list[tuple[types.FunctionType, types.CodeType, object, object]] = []
        self._seen: dict[tuple[int, frozenset[str] | None], object] = {}
        for function in functions:
            self._walk(function, None)

    def unchanged(self) -> bool:
        """Is all of it still the same?"""
        try:
            return (
                all(cell.cell_contents is value for cell, value in self._cells)
                and all(holder.get(key, MISSING) is value for holder, key, value in self._entries)
                and all(len(holder) == size for holder, size in self._sizes)
                and all(
                    f.__code__ is code and f.__defaults__ is defaults and f.__kwdefaults__ is named
                    for f, code, defaults, named in self._codes
                )
            )
        except ValueError:  # a cell that has been emptied
            return False

    def _walk(self, value: object, attributes: frozenset[str] | None) -> None:
        """Goes on to all that is seen of `value` by code that reads these attributes; None where that is unknown."""
        if type(value) in FIXED or isinstance(value, np.generic):
            return
        partly = isinstance(value, types.ModuleType) or dataclasses.is_dataclass(value)
        key = id(value), attributes if partly else None
        if key in self._seen:
            return
        self._seen[key] = value
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self._walk(value.__func__, None)
            self._walk(value.__self__, None)
        elif isinstance(value, functools.partial):
            for held in (value.func, value.args, value.keywords):
                self._walk(held, None)
        elif isinstance(value, types.ModuleType):
            self._module(value, attributes)
        elif type(value) is tuple or type(value) is frozenset:
            for item in value:
                self._walk(item, None)
        elif type(value) is dict:
            self._sizes.append((value, len(value)))
            for name, item in value.items():
                self._entry(value, name, item, None)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type | Model):
            self._dataclass(value, attributes)
        elif not _lasting(value):
            raise _OutOfSightError

    def _entry(self, holder: Mapping[str, object], key: str, value: object, attributes: frozenset[str] | None) -> None:
        self._entries.append((holder, key, value))
        self._walk(value, attributes)

    def _function(self, function: types.FunctionType) -> None:
        if _lasting(function):
            return
        names, attributes = _reads(function.__code__)
        if function.__dict__ or not CHANGING.isdisjoint(names | attributes):
            raise _OutOfSightError
        self._codes.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))
        for defaults in (function.__defaults__ or (), function.__kwdefaults__ or {}):
            self._walk(defaults, None)
        for cell in function.__closure__ or ():
            self._cells.append((cell, cell.cell_contents))
            self._walk(cell.cell_contents, attributes)
        for name in names:
            # Names of Python's own are not there; a global that hides one later is seen.
            value = function.__globals__.get(name, MISSING)
            self._entry(function.__globals__, name, value, attributes)
            if value is MISSING and name in OPEN:
                raise _OutOfSightError

    def _module(self, module: types.ModuleType, attributes: frozenset[str] | None) -> None:
        if module.__name__.split(".")[0] in LASTING:
            return
        if attributes is None:
            raise _OutOfSightError
        for name in attributes:
            self._entry(vars(module), name, vars(module).get(name, MISSING), attributes)

    def _dataclass(self, value: DataclassInstance, attributes: frozenset[str] | None) -> None:
        if not FROZEN(value) or not hasattr(value, "__dict__"):
            raise _OutOfSightError
        own = {f.name for f in dataclasses.fields(value)} | (set(vars(value)) if attributes is None else attributes)
        for name in own:
            self._entry(vars(value), name, vars(value).get(name, MISSING), None)
        members = {k: v for kind in reversed(type(value).__mro__[:-1]) for k, v in vars(kind).items()}
        called = set(members) if attributes is None else {k for k in members if k in attributes or k[:2] == "__"}
        waiting = [*called - UNCALLED]
        while waiting:
            name = waiting.pop()
            self._entries += [(vars(kind), name, vars(kind).get(name, MISSING)) for kind in type(value).__mro__[:-1]]
            member = members[name]
            for way in ("fget", "func", "__func__"):  # of properties, cached ones, and methods of classes
                member = getattr(member, way, member)
            if name[:2] != "__" or isinstance(member, types.FunctionType):
                self._walk(member, None)
            if isinstance(member, types.FunctionType):
                more = {k for k in _reads(member.__code__)[1] if k in members} - called
                called |= more
                waiting += more


def captured(functions: Iterable[object]) -> Captured | None:
    """What functions can see now; None where something is in sight that can change unseen."""
    try:
        return Captured(functions)
    # Cells may be empty, and objects of others may do anything when looked at.
    except (_OutOfSightError, ValueError, AttributeError, TypeError):
        return None


def _lasting(value: object) -> bool:
    """Is it a function or type of a package that stays what it is?"""
    if value is MISSING:
        return True
    if not isinstance(value, types.FunctionType | types.BuiltinFunctionType | type | types.MethodDescriptorType):
        return False
    if isinstance(value, types.BuiltinFunctionType) and value.__name__ in OPEN:
        return False
    # Named tuples hold what they are given.
    if isinstance(value, type) and (issubclass(value, BaseException) or hasattr(value, "_fields")):
        return True
    home = getattr(value, "__module__", None) or getattr(getattr(value, "__self__", None), "__name__", "") or ""
    return value is types.SimpleNamespace or home.split(".")[0] in LASTING or home in OWN


@functools.lru_cache(maxsize=4096)
def _reads(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the globals and of the attributes that code reads, its inner functions included.

    Raises:
        _OutOfSightError: it imports something, or changes what it or others see.
    """
    names, attributes = set(), set()
    for step in dis.get_instructions(code):
        if step.opname.startswith(("IMPORT_", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR")):
            raise _OutOfSightError
        if step.opname == "STORE_DEREF" and step.argval in code.co_freevars:
            raise _OutOfSightError
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            more, others = _reads(inner)
            names |= more
            attributes |= others
    return frozenset(names), frozenset(attributes)
