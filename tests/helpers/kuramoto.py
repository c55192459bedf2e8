"""A library of powers and derivatives on a line, and pairs of states of Kuramoto and Sivashinsky's equation."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pydiffgeo.discover import Term
from pydiffgeo.testbeds import KuramotoSivashinsky


def powers_and_derivatives(
    system: KuramotoSivashinsky, u: Tensor, cut: Callable[[Tensor], Tensor] = lambda v: v
) -> list[Term]:
    """The terms of the test bed, through a filter."""
    return [Term(name, cut(values)) for name, values in system.terms(u).items()]


def pairs(system: KuramotoSivashinsky, samples: int, dt: float, seed: int = 1) -> tuple[Tensor, Tensor]:
    """States on the attractor, and those `dt` later."""
    before = system.advance(system.start(samples, seed=seed), 0.05, 2000)
    return before, system.advance(before, dt / 4, 4)
