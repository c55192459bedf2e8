"""Programs on tensors: what PyTorch evaluates before a solve (prepared values) and after it (outputs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function` on tensors and plain numbers."""
    return lambda *args: function(*(torch.as_tensor(a, dtype=torch.float64) for a in args))


RULES: dict[str, Callable[..., Any]] = {
    "add": torch.add, "sub": lambda a, b: a - b, "mul": torch.mul, "div": lambda a, b: a / b,
    "pow": _tensors(torch.pow), "neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "log": torch.log,
    "sqrt": torch.sqrt, "tanh": torch.tanh, "sin": torch.sin, "cos": torch.cos,
    "minimum": _tensors(torch.minimum), "maximum": _tensors(torch.maximum),
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "and": torch.logical_and, "or": torch.logical_or,
    "not": torch.logical_not, "where": lambda c, a, b: torch.where(c, *map(torch.as_tensor, (a, b))),
}  # fmt: skip
