"""The Julia package as Python calls it: vectors cross as their address and size, and all calls go through one function.

juliacall would wrap each vector in a type of its own and compile the way of each function anew: two seconds of a first solve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays import Array

# What belongs to Julia: juliacall knows no types of it.
JuliaValue = Any


class Package:
    """`package.function(...)` calls a function of the Julia package; `module` is that package itself."""

    def __init__(self, module: JuliaValue) -> None:
        self.module = module
        self._door, self._numbers, self._integers = module.door, module.numbers_at, module.integers_at
        self._lent = module.lent_at

    def __getattr__(self, name: str) -> Callable[..., JuliaValue]:
        def call(*arguments: object) -> JuliaValue:
            return self._door(name, *map(self._crossed, arguments))

        return call

    def lent(self, values: Array) -> JuliaValue:
        """A contiguous vector as one of Julia in the same memory: for a call that `values` outlives and that keeps nothing of it."""
        return self._lent(values.ctypes.data, values.size)

    def _crossed(self, value: object) -> object:
        """A vector of NumPy as one of Julia, a copy; all else as it is."""
        if not isinstance(value, np.ndarray) or value.ndim != 1:
            return value
        if value.dtype.kind in "iu":
            whole = np.ascontiguousarray(value, np.int64)
            return self._integers(whole.ctypes.data, whole.size)
        numbers = np.ascontiguousarray(value, np.float64)
        return self._numbers(numbers.ctypes.data, numbers.size)
