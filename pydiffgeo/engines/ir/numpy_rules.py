"""Programs on NumPy arrays, those of derivatives, which have powers taken apart, as well."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...arrays import Array

_OWN_NAMES = ("abs", "exp", "log", "sqrt", "tanh", "sin", "cos", "minimum", "maximum", "where")
RULES: dict[str, Callable[..., Array]] = {
    **{op: getattr(np, op) for op in _OWN_NAMES},
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "neg": np.negative},
    **{"lt": np.less, "le": np.less_equal, "and": np.logical_and, "or": np.logical_or, "not": np.logical_not},
    "lnabs": lambda x: np.log(np.abs(x)),
    "raise": lambda x, y, logarithm: np.power(x, y),
}
