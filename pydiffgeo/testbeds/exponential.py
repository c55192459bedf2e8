"""Exponential time differencing, fourth order: stiff linear parts exactly, all else by Runge-Kutta."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Etdrk4:
    """Coefficients of ETDRK4 (Cox and Matthews 2002, equations 26 to 29; by contour integrals, Kassam and Trefethen 2005).

    Attributes:
        whole, half: exp(L dt) and exp(L dt/2). stage: of the stages. first, middle, last: of the four slopes.
    """

    whole: Tensor
    half: Tensor
    stage: Tensor
    first: Tensor
    middle: Tensor
    last: Tensor

    @classmethod
    def of(cls, linear: Tensor, dt: float, points: int = 32) -> Etdrk4:
        """Of a diagonal linear part, `(*modes)`, real or complex, and a step."""
        z = dt * linear
        turn = torch.exp(1j * math.pi * (torch.arange(points, dtype=torch.float64) + 0.5) / points)
        # On half a circle the mean of a real function is twice its real part; for complex ones the whole is needed.
        circle = z[..., None] + torch.cat([turn, turn.conj()])
        e, e2 = torch.exp(circle), torch.exp(circle / 2)
        parts = (
            (e2 - 1) / circle,
            (-4 - circle + e * (4 - 3 * circle + circle**2)) / circle**3,
            (2 + circle + e * (circle - 2)) / circle**3,
            (-4 - 3 * circle - circle**2 + e * (4 - circle)) / circle**3,
        )
        stage, first, middle, last = (dt * part.mean(-1) for part in parts)
        if not linear.is_complex():
            stage, first, middle, last = stage.real, first.real, middle.real, last.real
        return cls(torch.exp(z), torch.exp(z / 2), stage, first, middle, last)

    def step(self, v: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
        """Modes `(..., *modes)` a step later; `slope` is the part that is not linear."""
        n = slope(v)
        a = self.half * v + self.stage * n
        na = slope(a)
        b = self.half * v + self.stage * na
        nb = slope(b)
        c = self.half * a + self.stage * (2 * nb - n)
        return self.whole * v + self.first * n + 2 * self.middle * (na + nb) + self.last * slope(c)
