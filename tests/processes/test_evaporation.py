"""Evaporation from a catchment against formulas in plain numbers."""

from __future__ import annotations

import math

import pytest
import torch

from pydiffgeo.processes.evaporation import from_store, hamon


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_hamon_on_a_warm_day() -> None:
    # 20 degC and 12 h: 0.611 exp(346 / 257.3) = 2.3444 kPa; 29.8 * 12 * 2.3444 / 293.2 = 2.8594 mm/d.
    assert hamon(of(20.0), of(12.0)).item() == pytest.approx(2.8594, abs=1e-4)


@pytest.mark.parametrize("temperature", [-20.0, 0.0, 35.0])
def test_hamon_rises_with_light_and_vapour_pressure(temperature: float) -> None:
    pressure = 0.611 * math.exp(17.3 * temperature / (temperature + 237.3))
    assert hamon(of(temperature), of(9.5)).item() == pytest.approx(
        29.8 * 9.5 * pressure / (temperature + 273.2), rel=1e-12
    )
    assert hamon(of(temperature), of(0.0)).item() == 0.0


def test_a_store_gives_by_its_filling() -> None:
    assert from_store(of(300.0), of(4.0), of(400.0)).item() == pytest.approx(3.0, rel=1e-12)
    assert from_store(of(480.0), of(4.0), of(400.0)).item() == pytest.approx(4.0, rel=1e-12)
    # At the full store both halves of the step meet, and at the empty one nothing is given.
    assert from_store(of(400.0), of(4.0), of(400.0)).item() == pytest.approx(4.0, rel=1e-12)
    assert abs(from_store(of(0.0), of(4.0), of(400.0)).item()) < 1e-20
