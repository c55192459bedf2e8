"""Balances of every case, on every engine. Exact solutions and published problems: test_verification.py."""

from __future__ import annotations

import pytest
from cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_every_case_closes_its_balance(name: str, engine: str) -> None:
    case = CASES[name]
    sol = case.solve(case.tensors(), case.model(), engine=engine)
    signed = [f.name for f in case.model().fluxes if f.balance]
    throughput = sum(sol.fluxes[k].abs().sum().item() for k in signed)
    # Integrated fluxes are states of the solve: the balance closes to round-off of what is stored.
    assert sol.balance.item() < 1e-8 * throughput
    assert sol.balance.item() < 1e-13 * (throughput + sol.storage.abs().max().item())
