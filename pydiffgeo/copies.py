"""How things are pickled, saved by `torch.save`, copied, and sent to workers: by what they were made from."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from types import FunctionType, MethodType
from typing import TypeVar

from typing_extensions import Self

from .errors import ModelError

T = TypeVar("T")


class Made:
    """A dataclass that is pickled and copied by its fields: what is made of them is checked, and frozen, as at first."""

    def _fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, f.name) for f in fields(self) if f.init)  # type: ignore[arg-type]

    def _functions(self) -> Mapping[str, object]:
        """Functions among the fields, by the names that a message calls them."""
        return {}

    def __reduce__(self) -> tuple[object, ...]:
        check_functions(getattr(self, "name", type(self).__name__), self._functions())
        return type(self), self._fields()

    def __copy__(self) -> Self:
        return type(self)(*self._fields())

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Functions are never copied, so that none needs to be one that can be pickled.
        return type(self)(*copy.deepcopy(self._fields(), memo))


def check_functions(owner: str, functions: Mapping[str, object]) -> None:
    """Raises `ModelError` that names the first function which cannot be pickled: one that its module does not name."""
    for what, function in functions.items():
        within = _unnamed(function)
        if within is not None:
            code = getattr(within, "__code__", None)
            where = f", line {code.co_firstlineno} of {code.co_filename}" if code else ""
            raise ModelError(
                f"{owner}: {what} cannot be pickled, so that it can neither be saved nor sent to another process: "
                f"{getattr(within, '__qualname__', repr(within))}{where}, is a lambda or a function within a function; "
                "define it by `def` at the top of a module, or let the model be pickled as a call of what makes it, by "
                "`Model.made_by`"
            )


def _unnamed(function: object) -> object:
    """The function, or one that it is made of, that cannot be found again by its name; None where all can."""
    if isinstance(function, partial):
        return _unnamed(function.func)
    if isinstance(function, MethodType):
        return _unnamed(type(function.__self__))
    if not isinstance(function, FunctionType | type):
        return None if function is None else _unnamed(type(function))
    named: object = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        named = getattr(named, name, None)
    return None if named is function else function


def call(function: Callable[..., T], arguments: tuple[object, ...], choices: Mapping[str, object]) -> T:
    """What unpickling calls to make a thing anew."""
    return function(*arguments, **choices)
