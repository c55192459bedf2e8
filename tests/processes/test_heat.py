"""Conduction against Fourier's law over two half cells."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pydiffgeo.processes.heat import (
    carried,
    conduction,
    conduction_from,
    dry_conductivity,
    johansen,
    saturated_conductivity,
    soil_capacity,
)


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


def test_water_carries_the_heat_of_where_it_comes_from() -> None:
    behind, ahead = torch.tensor(12.0), torch.tensor(4.0)
    assert carried(torch.tensor(0.01), behind, ahead).item() == pytest.approx(4.18 * 0.01 * 12)
    assert carried(torch.tensor(-0.01), behind, ahead).item() == pytest.approx(-4.18 * 0.01 * 4)


def test_johansen_by_hand() -> None:
    porosity, quartz = torch.tensor(0.4), torch.tensor(0.6)
    # Bulk density 1620 kg/m3: (0.135 * 1620 + 64.7) / (2700 - 0.947 * 1620) = 283.4 / 1165.86.
    assert dry_conductivity(porosity).item() == pytest.approx(0.2430823, rel=1e-6)
    # Grains 7.7^0.6 2^0.4 = 4.490668; saturated 4.490668^0.6 0.57^0.4 = 1.966.
    grains = 7.7**0.6 * 2**0.4
    saturated = grains**0.6 * 0.57**0.4
    assert saturated_conductivity(porosity, quartz).item() == pytest.approx(saturated, rel=1e-12)
    frozen = saturated_conductivity(porosity, quartz, 0.25).item()
    assert frozen == pytest.approx(grains**0.6 * 0.57**0.1 * 2.2**0.3, rel=1e-12)
    # Half saturated: Kersten's number is 1 + log10(0.5) = 0.69897.
    half = johansen(torch.tensor(0.5), porosity, quartz).item()
    assert half == pytest.approx(0.2430823 + (saturated - 0.2430823) * 0.6989700, rel=1e-6)
    assert johansen(torch.tensor(0.02), porosity, quartz).item() == pytest.approx(0.2430823, rel=1e-6)
    # Coarse minerals without quartz conduct 3 W/m/K.
    assert saturated_conductivity(porosity, torch.tensor(0.1)).item() == pytest.approx(
        (7.7**0.1 * 3**0.9) ** 0.6 * 0.57**0.4
    )
    assert soil_capacity(torch.tensor(0.3), porosity).item() == pytest.approx(2.0 * 0.6 + 4.18 * 0.3)
