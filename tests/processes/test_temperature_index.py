"""The fluxes of SNOW-17 against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pydiffgeo.processes.temperature_index import air_pressure, cover, heat_loss, melt_factor, possible_melt


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_melt_factors_of_the_seasons() -> None:
    # Four steps of six hours; the extremes a quarter of a year after and before 21 March.
    assert melt_factor(of(80.0), of(1.0), of(0.2)).item() == pytest.approx(4 * 0.6)
    assert melt_factor(of(80.0 + 91.5), of(1.0), of(0.2)).item() == pytest.approx(4.0)
    assert melt_factor(of(80.0 - 91.5), of(1.0), of(0.2)).item() == pytest.approx(0.8)


def test_pressure_of_a_standard_atmosphere() -> None:
    # Sea level: 29.9 inches of mercury. 1612.5 m by the formula of the operational code: 33.86 (29.9 - 5.4019 + 0.1743).
    assert air_pressure(of(0.0)).item() == pytest.approx(33.86 * 29.9)
    assert air_pressure(of(1612.5)).item() == pytest.approx(835.4, rel=1e-3)


def test_melt_of_dry_days_and_of_heavy_rain() -> None:
    given = of(0.0), of(0.1), of(850.0)
    assert possible_melt(of(0.0), of(5.0), of(3.0), *given).item() == pytest.approx(15.0)
    assert possible_melt(of(0.0), of(-5.0), of(3.0), *given).item() == 0.0
    # Five millimetres of rain at 4 degC bring 0.0125 x 5 x 4 mm more.
    assert possible_melt(of(5.0), of(4.0), of(3.0), *given).item() == pytest.approx(12.25)
    vapour = 0.9 * 2.7489e8 * math.exp(-4278.63 / 252.792)
    heat = 24 * 0.0612 * (2.83**4 - 55.55) + 4 * 8.5 * 0.1 * (vapour - 6.11 + 0.00057 * 850 * 10)
    assert possible_melt(of(20.0), of(10.0), of(3.0), *given).item() == pytest.approx(2.5 + heat, rel=1e-9)
    # Saturated air of 10 degC holds 12.27 hPa.
    assert vapour == pytest.approx(0.9 * 12.27, rel=2e-3)


def test_cover_by_the_curve_and_by_new_snow() -> None:
    curve = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

    def at(water: float, fresh: float = 0.0) -> float:
        return cover(of(water), of(water), of(400.0), of(fresh), curve, 1.0).item()

    assert at(400.0) == at(500.0) == pytest.approx(1.0)
    assert at(120.0) == pytest.approx(0.3)
    assert at(20.0) == pytest.approx(0.075)
    assert at(0.0) == 0.0
    # Ten millimetres of new snow cover what was bare.
    assert at(130.0, 10.0) == pytest.approx(1.0, abs=1e-6)


def test_heat_is_lost_where_air_is_colder_than_the_pack() -> None:
    # 0.15 mm/degC in six hours at the largest factor; half of it at half the factor.
    assert heat_loss(of(-2.0), of(-6.0), of(4.0), of(0.15), of(1.0)).item() == pytest.approx(2.4)
    assert heat_loss(of(-2.0), of(-6.0), of(2.0), of(0.15), of(1.0)).item() == pytest.approx(1.2)
    assert heat_loss(of(-2.0), of(3.0), of(4.0), of(0.15), of(1.0)).item() == pytest.approx(-1.2)
