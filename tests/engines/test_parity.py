"""The two engines must agree on states, fluxes and gradients of every case."""

from __future__ import annotations

import pytest
from cases import CASES, loss

SETTINGS = {"rtol": 1e-8, "atol": 1e-10}
# Losses are of order one: where all of an input changes one by less than this, its gradient is noise.
NOTHING = 1e-10


@pytest.mark.parametrize("name", CASES)
def test_engines_agree(name: str, julia_engine: str) -> None:
    case = CASES[name]
    results = {}
    for engine in ("sundials", julia_engine):
        tensors = {k: v.requires_grad_() for k, v in case.tensors().items()}
        sol = case.solve(tensors, case.model(), engine=engine, **SETTINGS)
        loss(sol).backward()
        results[engine] = sol, {k: v.grad for k, v in tensors.items()}
    (sol_a, grad_a), (sol_b, grad_b) = results.values()
    for name_a, value in sol_a.states.items():
        assert (sol_b.states[name_a] - value).abs().max() <= 1e-6 * max(1.0, value.abs().max().item())
    for group, gradient in grad_a.items():
        difference = (grad_b[group] - gradient).abs().max().item()
        allowed = 1e-4 * gradient.abs().max().item() + NOTHING / tensors[group].abs().max().item()
        assert difference <= allowed, (group, difference, allowed)
