"""Conduction against Fourier's law over two half cells."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pydiffgeo.processes.heat import conduction, conduction_from


def cell(temperature: float, conductivity: float) -> SimpleNamespace:
    values = {"temperature": temperature, "conductivity": conductivity}
    return SimpleNamespace(**{k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})


def test_the_flux_is_that_through_both_halves() -> None:
    left, right, distance = cell(12.0, 0.1), cell(4.0, 0.3), 0.5
    found = conduction(left, right, SimpleNamespace(distance=distance)).item()
    # With the temperature between the halves at which as much arrives as leaves.
    middle = (0.1 * 12.0 + 0.3 * 4.0) / 0.4
    assert found == pytest.approx(0.1 * (12.0 - middle) / (distance / 2))
    assert found == pytest.approx(0.3 * (middle - 4.0) / (distance / 2))
    assert conduction(right, left, SimpleNamespace(distance=distance)).item() == pytest.approx(-found)


def test_a_warm_side_heats() -> None:
    assert conduction_from(15.0, cell(5.0, 0.2), SimpleNamespace(distance=0.05)).item() == pytest.approx(40.0)
