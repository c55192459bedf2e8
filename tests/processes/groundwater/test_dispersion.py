"""Dispersion against the tensor of Scheidegger, turned by hand, and pores against volumes worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pydiffgeo.processes.groundwater.dispersion import mechanical, pore_water


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0, 90.0, 200.0])
def test_the_diagonal_of_the_tensor(angle: float) -> None:
    q, longitudinal, transverse = 0.3, 10.0, 1.5
    a = np.radians(angle)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    tensor = turn @ np.diag([longitudinal * q, transverse * q]) @ turn.T
    x, y, al, at = (
        torch.tensor(v, dtype=torch.float64) for v in (q * np.cos(a), q * np.sin(a), longitudinal, transverse)
    )
    assert mechanical(x, [(y, at)], al).item() == pytest.approx(tensor[0, 0])
    assert mechanical(y, [(x, at)], al).item() == pytest.approx(tensor[1, 1])


def test_still_water_does_not_disperse_and_has_a_gradient() -> None:
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    found = mechanical(zero, [(zero, zero)], torch.tensor(10.0, dtype=torch.float64))
    assert 0 <= found.item() < 1e-10
    found.backward()
    assert zero.grad is not None
    assert torch.isfinite(zero.grad)


def test_pores_change_as_much_as_the_stored_water() -> None:
    cell = SimpleNamespace(porosity=torch.tensor(0.3), thickness=torch.tensor(5.0))
    full = torch.tensor(0.2 * 5.0)
    assert pore_water(cell, full, full).item() == pytest.approx(1.5)  # type: ignore[arg-type]
    # Dry: what does not drain is still there.
    assert pore_water(cell, torch.tensor(0.0), full).item() == pytest.approx(0.5)  # type: ignore[arg-type]
