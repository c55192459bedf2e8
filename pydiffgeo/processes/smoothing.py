"""Rounded limits and steps: solvers and adjoints meet a continuous slope where one thing gives way to another."""

from __future__ import annotations

import torch
from torch import Tensor


def smooth_step(x: Tensor) -> Tensor:
    """Step from 0 to 1 over differences of about one unit of `x` (Hoege et al. 2022, eq 7)."""
    return 0.5 * (torch.tanh(5.0 * x) + 1.0)


def smooth_minimum(a: Tensor, b: Tensor, width: float) -> Tensor:
    """The lesser of `a` and `b`, rounded over differences of about `width`; never above either.

    Rounding leaves solvers and adjoints a continuous slope where a limit begins to act.
    """
    return 0.5 * (a + b - torch.sqrt((a - b) ** 2 + width**2))


def withdrawal(demand: Tensor, supply: Tensor, width: Tensor | float) -> Tensor:
    """The lesser of two rates that are not negative, rounded like `smooth_minimum`, but zero where either is.

    What a store without supply goes on losing by rounding, however little, takes it below empty in the end, and what
    nobody asked for is not to be taken up either.
    """
    return 2 * demand * supply / (demand + supply + torch.sqrt((demand - supply) ** 2 + width**2))


def smooth_ramp(x: Tensor, width: float) -> Tensor:
    """Zero for negative `x`, `x - width / 2` above `width`, a parabola between: exact at rest."""
    inside = torch.clamp(x, 0.0, width)
    return inside**2 / (2 * width) + torch.clamp(x - width, min=0.0)


def smooth_maximum(a: Tensor, b: Tensor, width: float) -> Tensor:
    """The greater of `a` and `b`: exact where they differ by half a `width`, with a continuous slope between."""
    return a + smooth_ramp(b - a + width / 2, width)


def smooth_clip(x: Tensor, high: float, width: float) -> Tensor:
    """`x` between 0 and `high`, exact but within half a `width` of either, with a continuous slope."""
    return smooth_ramp(x + width / 2, width) - smooth_ramp(x - high + width / 2, width)
