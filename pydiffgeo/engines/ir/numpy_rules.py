"""Programs on NumPy arrays, those of derivatives, which have powers taken apart, as well."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ...arrays import Array

_OWN_NAMES = (
    *("abs", "exp", "log", "sqrt", "tanh", "sin", "cos", "minimum", "maximum", "where"),
    *("expm1", "log1p", "sinh", "cosh"),
)


def _erf(x: Array) -> Array:
    return torch.erf(torch.from_numpy(np.array(x, np.float64))).numpy()  # NumPy has none


RULES: dict[str, Callable[..., Array]] = {
    **{op: getattr(np, op) for op in _OWN_NAMES},
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "neg": np.negative},
    **{"lt": np.less, "le": np.less_equal, "and": np.logical_and, "or": np.logical_or, "not": np.logical_not},
    **{"atan": np.arctan, "erf": _erf, "frozen": lambda x: x},
    "lnabs": lambda x: np.log(np.abs(x)),
    "raise": lambda x, y, logarithm: np.power(x, y),
}
