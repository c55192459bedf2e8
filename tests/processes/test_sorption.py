"""Isotherms: what is dissolved and what is sorbed add up to all there is."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.processes.sorption import freundlich, langmuir, linear

THETA, RHO = torch.tensor(0.35), torch.tensor(1.5)


@pytest.mark.parametrize("c", [1e-9, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e3])
def test_totals_give_back_the_concentration(c: float) -> None:
    K_d, K_L, S_max, K_F, n = map(torch.tensor, (0.8, 2.0, 0.5, 0.9, 0.6))
    water = THETA * c
    assert linear(water + RHO * K_d * c, THETA, RHO, K_d).item() == pytest.approx(c, rel=1e-12)
    held = RHO * S_max * K_L * c / (1 + K_L * c)
    assert langmuir(water + held, THETA, RHO, K_L, S_max).item() == pytest.approx(c, rel=1e-9)
    assert freundlich(water + RHO * K_F * c**n, THETA, RHO, K_F, n).item() == pytest.approx(c, rel=1e-9)


@pytest.mark.parametrize("n", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("K_F", [1e-3, 0.9, 100.0])
def test_freundlich_at_the_corners_of_its_range(n: float, K_F: float) -> None:
    for c in (1e-6, 1e-2, 1.0, 100.0):
        total = THETA * c + RHO * K_F * c**n
        found = freundlich(total, THETA, RHO, torch.tensor(K_F), torch.tensor(n))
        # Where hardly anything is dissolved, digits of c are lost in the sum.
        assert found.item() == pytest.approx(c, rel=1e-6)


def test_slopes_at_a_clean_soil() -> None:
    total = torch.zeros((), requires_grad=True)
    found = freundlich(total, THETA, RHO, torch.tensor(0.9), torch.tensor(0.7))
    assert found.item() == 0.0
    (slope,) = torch.autograd.grad(found, total)
    assert 0 <= slope.item() < 1 / THETA.item()
