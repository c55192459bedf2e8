"""Balances of every case, on every engine. Exact solutions and published problems: test_verification.py."""

from __future__ import annotations

import pytest
import torch
from cases import CASES

from pydiffgeo.model import quantities


@pytest.mark.parametrize("name", CASES)
def test_every_case_closes_its_balance(name: str, engine: str) -> None:
    case = CASES[name]
    sol = case.solve(case.tensors(), case.model(), engine=engine)
    # Integrated fluxes are states of the solve: balances close to round-off of what is stored.
    for quantity in quantities(sol.model):
        throughput = sum(sol.fluxes[f.name].abs().sum().item() for f in quantity.fluxes)
        stored = sum(
            (sol.states[name] * torch.from_numpy(w.copy())).sum(-1).abs() for name, w in quantity.weights.items()
        )
        assert sol.balances[quantity.unit].item() < 1e-8 * throughput
        assert sol.balances[quantity.unit].item() < 1e-13 * (throughput + stored.max().item())
