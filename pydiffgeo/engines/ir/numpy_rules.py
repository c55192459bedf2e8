"""Programs on NumPy arrays, those of derivatives, which have powers taken apart, as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

RULES: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "neg": np.negative,
    "abs": np.abs, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
    "minimum": np.minimum, "maximum": np.maximum, "lt": np.less, "le": np.less_equal, "and": np.logical_and,
    "or": np.logical_or, "not": np.logical_not, "where": np.where,
    "lnabs": lambda x: np.log(np.abs(x)), "raise": lambda x, y, logarithm: np.power(x, y),
}  # fmt: skip
