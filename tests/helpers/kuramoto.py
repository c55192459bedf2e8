"""A library of powers and derivatives on a line, and pairs of states of Kuramoto and Sivashinsky's equation."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pydiffgeo.discover import Term
from pydiffgeo.testbeds import KuramotoSivashinsky


def powers_and_derivatives(
    system: KuramotoSivashinsky, u: Tensor, cut: Callable[[Tensor], Tensor] = lambda v: v
) -> list[Term]:
    """u^p d^q u/dx^q, p and q from 0 to 4: 24 terms."""
    made = []
    for p in range(5):
        for q in range(5):
            if p or q:
                values = u**p * (system.derivative(u, q) if q else 1.0)
                made.append(Term(" ".join([f"u^{p}"] * (p > 0) + [f"D{q}u"] * (q > 0)), cut(values)))
    return made


def pairs(system: KuramotoSivashinsky, samples: int, dt: float, seed: int = 1) -> tuple[Tensor, Tensor]:
    """States on the attractor, and those `dt` later."""
    before = system.advance(system.start(samples, seed=seed), 0.05, 2000)
    return before, system.advance(before, dt / 4, 4)
