"""Water in plants, by the published formula written another way."""

from __future__ import annotations

import math

import pytest
import torch

from pydiffgeo.processes import plant_water


def test_leaves_close_along_a_logistic_curve() -> None:
    at = torch.tensor([0.0, -100.0, -194.0, -400.0])
    share = plant_water.turgor(at, torch.tensor(-194.0), torch.tensor(0.0314))
    # In MPa: 1.9 and 3.2, as in Tuzet et al. 2003, table 1.
    for psi, found in zip((9.80665e-3 * at).tolist(), share.tolist(), strict=True):
        assert found == pytest.approx((1 + math.exp(-3.2 * 1.9)) / (1 + math.exp(-3.2 * (1.9 + psi))), rel=0.02)
    assert share[0] == 1.0
    assert share[2] == pytest.approx(0.5, abs=2e-3)


def test_roots_take_up_and_let_nothing_out() -> None:
    head, conductance = torch.tensor([-10.0, -50.0, -90.0]), torch.tensor(1e-4)
    found = plant_water.uptake(head, torch.tensor(-60.0), conductance)
    assert found.tolist() == pytest.approx([1e-4 * (50 - 0.05), 1e-4 * (10 - 0.05), 0.0])
    # What is held at a potential is what is brought in a quarter of an hour, to ten percent.
    held = torch.tensor(-60.0 * 1e-4 / 96)
    assert plant_water.potential(held, conductance).item() == pytest.approx(-60.0, rel=0.1)
