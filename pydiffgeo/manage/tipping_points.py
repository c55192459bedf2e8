"""Where a map from step to step stands still, and which of these points are thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class FixedPoint:
    """Where a map from a state to the next one stands still.

    Attributes:
        state: that leads to itself. slope: of the map there; beyond one, states move away: a tipping point.
    """

    state: float
    slope: float

    @property
    def stable(self) -> bool:
        """Whether small deviations shrink from step to step."""
        return abs(self.slope) < 1


def fixed_points(after: Callable[[Tensor], Tensor], low: float, high: float, *, points: int = 2001) -> list[FixedPoint]:
    """Fixed points of a map between two states, rising; of pairs closer than the points of the search, none is seen.

    Args:
        after: states `(n,)` to the next ones `(n,)`, differentiable.
    """
    if not low < high:
        raise InputError(f"low must lie below high, got {low} and {high}")
    x = torch.linspace(low, high, points, dtype=torch.float64)
    with torch.no_grad():
        gap = after(x) - x
    if not torch.isfinite(gap).all():
        raise InputError(f"the map is not finite at {float(x[~torch.isfinite(gap)][0]):g}")
    left, right = x[:-1], x[1:]
    crossed = (gap[:-1].sign() != gap[1:].sign()) & (gap[:-1] != 0)
    a, b, sign = left[crossed], right[crossed], gap[:-1][crossed].sign()
    # Halved until nothing lies between.
    with torch.no_grad():
        for _ in range(60):
            middle = (a + b) / 2
            below = (after(middle) - middle).sign() == sign
            a, b = torch.where(below, middle, a), torch.where(below, b, middle)
    exact = x[gap == 0]
    found = torch.cat([exact[:1] if gap[0] == 0 else exact[:0], b])
    found = found.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(after(found).sum(), found)
    return [FixedPoint(float(s), float(g)) for s, g in zip(found.detach(), slopes, strict=True)]
