"""Adjoints against extrapolated finite differences, for every group of inputs of every case."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from cases import CASES, Case, loss

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


@pytest.mark.parametrize("name", CASES)
def test_adjoint_equals_finite_differences(name: str, engine: str) -> None:
    case = CASES[name]
    gradients = adjoint(case, engine=engine, **TIGHT)
    model, tensors = case.model(), case.tensors()
    generator = torch.Generator().manual_seed(0)
    for group, gradient in gradients.items():
        value = tensors[group]
        # A random direction, each entry in proportion to its size, tests all entries at once.
        size = value.abs().clamp(min=1e-3 * value.abs().max())
        direction = (torch.rand(value.shape, generator=generator) + 0.5) * size
        expected = directional(case, model, tensors, group, direction, engine=engine, **TIGHTER)
        found = (gradient * direction).sum().item()
        scale = max(abs(expected), (gradient * direction).abs().max().item(), RESOLVED)
        assert abs(found - expected) <= 1e-5 * scale, (group, found, expected)


@pytest.mark.parametrize("name", ["richards-flux-free", "exphydro"])
def test_gradient_error_falls_with_the_tolerance(name: str, engine: str) -> None:
    case = CASES[name]
    reference = adjoint(case, engine=engine, **TIGHT)
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        found = adjoint(case, engine=engine, rtol=rtol, atol=rtol / 100)
        errors.append(
            max(((found[k] - g).abs().max() / g.abs().max()).item() for k, g in reference.items() if g.abs().max() > 0)
        )
    assert errors[2] < errors[0] / 30, errors
    assert errors[2] < 1e-5, errors
