"""Programs on tensors: what PyTorch evaluates before a solve (prepared values) and after it (outputs)."""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import Tensor


def _tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function` on tensors and plain numbers."""
    return lambda *args: function(*(torch.as_tensor(a, dtype=torch.float64) for a in args))


RULES: dict[str, Callable[..., Tensor]] = {
    **{op: getattr(torch, op) for op in ("add", "mul", "neg", "abs", "exp", "log", "sqrt", "tanh", "sin", "cos")},
    **{op: getattr(torch, op) for op in ("expm1", "log1p", "erf", "atan", "sinh", "cosh")},
    # `torch.sub` and the like take no number first.
    **{"sub": operator.sub, "div": operator.truediv, "lt": operator.lt, "le": operator.le},
    **{op: _tensors(getattr(torch, op)) for op in ("pow", "minimum", "maximum")},
    **{"and": torch.logical_and, "or": torch.logical_or, "not": torch.logical_not},
    "frozen": lambda a: a.detach(),
    "where": lambda c, a, b: torch.where(c, torch.as_tensor(a), torch.as_tensor(b)),
}
