"""Adjoints against extrapolated finite differences, for every group of inputs of every case."""

from __future__ import annotations

import pytest
import torch
from cases import CASES
from derivatives import RESOLVED, TIGHT, TIGHTER, adjoint, directional


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
