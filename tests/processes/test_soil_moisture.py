"""Soil moisture accounting against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.processes.soil_moisture import capillary_rise, evapotranspiration, excess, recharge


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_recharge_is_a_power_of_the_filling_and_all_of_it_when_full() -> None:
    assert recharge(of(150.0), of(10.0), of(250.0), of(2.0)).item() == pytest.approx(3.6)
    assert recharge(of(150.0), of(10.0), of(250.0), of(1.0)).item() == pytest.approx(6.0)
    assert recharge(of(260.0), of(10.0), of(250.0), of(2.0)).item() == 10.0
    assert recharge(of(0.0), of(10.0), of(250.0), of(1.0)).item() == pytest.approx(0.0, abs=1e-7)


def test_what_is_above_field_capacity_leaves() -> None:
    assert excess(of(260.0), of(250.0), 1.0).item() == 10.0
    assert excess(of(260.0), of(250.0), 0.1).item() == pytest.approx(100.0)
    assert excess(of(240.0), of(250.0), 1.0).item() == 0.0


def test_evapotranspiration_of_the_ten_day_case_and_of_wet_and_dry_soil() -> None:
    # 0.3 mm/d x 150 / (0.7 x 250).
    assert evapotranspiration(of(150.0), of(0.3), of(250.0), of(0.7), of(1.0), 1.0).item() == pytest.approx(0.257142857)
    assert evapotranspiration(of(87.5), of(4.0), of(250.0), of(0.7), of(3.0), 1.0).item() == pytest.approx(4 / 8)
    assert evapotranspiration(of(200.0), of(4.0), of(250.0), of(0.7), of(3.0), 1.0).item() == 4.0
    # Of half a millimetre no more than that in a day.
    assert evapotranspiration(of(0.5), of(4.0), of(250.0), of(0.2), of(0.1), 1.0).item() == 0.5


@pytest.mark.parametrize("moisture", [0.0, -1e-9])
def test_a_dry_soil_gives_nothing_and_has_finite_slopes(moisture: float) -> None:
    values = [of(v).requires_grad_() for v in (moisture, 4.0, 250.0, 0.7, 0.3)]
    given = evapotranspiration(*values, 1.0)
    assert given.item() <= 0.0
    slopes = torch.autograd.grad(given + recharge(values[0], values[1], values[2], values[4]), values)
    assert all(torch.isfinite(s) for s in slopes)


def test_water_rises_into_what_the_soil_lacks() -> None:
    # 0.3 1/d x 40 mm x (1 - 150 / 250).
    assert capillary_rise(of(150.0), of(40.0), of(250.0), of(0.3)).item() == pytest.approx(4.8)
    assert capillary_rise(of(300.0), of(40.0), of(250.0), of(0.3)).item() == 0.0
