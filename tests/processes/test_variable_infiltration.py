"""Soils of many capacities against the distribution that they come from, and the base flow of ARNO by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pydiffgeo.processes.variable_infiltration import arno_base_flow, saturated_share


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("b", [0.1, 0.4, 2.0])
@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
def test_the_saturated_share_is_that_of_a_pareto_distribution(b: float, level: float) -> None:
    """Places whose capacity is below the water level are full: filled with a spread of places, one by one."""
    capacities = 300 * (1 - (1 - (np.arange(200000) + 0.5) / 200000) ** (1 / b))
    held = np.minimum(capacities, 300 * level).mean()
    found = saturated_share(of(held), of(300 / (1 + b)), of(b)).item()
    assert found == pytest.approx((capacities < 300 * level).mean(), abs=0.02)


def test_it_is_all_of_a_full_soil_and_nothing_of_a_dry_one() -> None:
    assert saturated_share(of(100.0), of(100.0), of(0.3)).item() == 1.0
    assert saturated_share(of(120.0), of(100.0), of(0.3)).item() == 1.0
    assert saturated_share(of(0.0), of(100.0), of(0.3)).item() == pytest.approx(0.0, abs=1e-3)
    storage = of(100.0).requires_grad_()
    assert torch.isfinite(torch.autograd.grad(saturated_share(storage, of(100.0), of(0.1)), storage)[0])


def test_base_flow_of_arno() -> None:
    given = of(300.0), of(0.1), of(10.0), of(0.8)
    # A share of 0.1 of 10 mm/d is reached at 240 mm; half of that at half of it.
    assert arno_base_flow(of(240.0), *given).item() == pytest.approx(1.0)
    assert arno_base_flow(of(120.0), *given).item() == pytest.approx(0.5)
    assert arno_base_flow(of(300.0), *given).item() == pytest.approx(10.0)
    # Half way to full: 1 * 270 / 240 + (10 - 1 / 0.8) / 4.
    assert arno_base_flow(of(270.0), *given).item() == pytest.approx(1.125 + 8.75 / 4)
