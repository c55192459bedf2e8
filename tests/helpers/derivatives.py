"""Gradients of the cases, by adjoints and by finite differences."""

from __future__ import annotations

from itertools import pairwise

import torch
from cases import Case, loss

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
TIGHTER = {"rtol": 1e-11, "atol": 1e-13}
# Losses are of order one; finite differences cannot tell gradients apart that are smaller than this.
RESOLVED = 3e-3


def adjoint(case: Case, **settings) -> dict[str, torch.Tensor]:
    tensors = {k: v.requires_grad_() for k, v in case.tensors().items()}
    loss(case.solve(tensors, case.model(), **settings)).backward()
    return {k: v.grad for k, v in tensors.items()}


def directional(case: Case, model, tensors, name: str, direction: torch.Tensor, **settings) -> float:
    """d(loss)/d(tensor) along `direction`: central differences, extrapolated (Richardson), steps swept.

    Of the extrapolated values over a range of steps, the one that changes least from its neighbour
    balances truncation against the noise of the solver.
    """

    def at(h: float) -> float:
        moved = {**tensors, name: tensors[name] + h * direction}
        with torch.no_grad():
            return loss(case.solve(moved, model, **settings)).item()

    central = [(at(h) - at(-h)) / (2 * h) for h in (2e-2, 1e-2, 5e-3, 2.5e-3, 1.25e-3, 6.25e-4)]
    first = [(4 * b - a) / 3 for a, b in pairwise(central)]
    second = [(16 * b - a) / 15 for a, b in pairwise(first)]
    changes = [abs(b - a) for a, b in pairwise(second)]
    return second[changes.index(min(changes)) + 1]
