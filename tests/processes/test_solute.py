"""Solutes against fluxes worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from pydiffgeo.processes.solute import carried as transported
from pydiffgeo.processes.solute import decay_chain, diffusion, fitted, inflow


def cell(**values: float) -> SimpleNamespace:
    return SimpleNamespace(**{k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})


FACE = SimpleNamespace(distance=0.2)


def test_diffusion_goes_down_the_gradient() -> None:
    # Mean diffusivity 2, a fall of 0.3 over 0.2.
    assert diffusion(cell(D=1.0, c=0.5), cell(D=3.0, c=0.2), FACE).item() == pytest.approx(3.0)


@pytest.mark.parametrize(("upwind", "carried"), [(True, 0.5), (False, 0.35)])
def test_water_carries_and_disperses(upwind: bool, carried: float) -> None:
    found = transported(*map(torch.tensor, (0.5, 0.2, 0.1, 0.02, 0.2)), upwind=upwind).item()
    assert found == pytest.approx(0.1 * carried + 0.02 * 1.5)


def test_what_comes_in_is_what_enters_and_what_spreads() -> None:
    side = cell(velocity=0.1, dispersion=0.02)
    assert inflow(1.0, torch.tensor(0.4), side, FACE).item() == pytest.approx(0.1 + 0.02 * 3.0)


@pytest.mark.parametrize("peclet", [-30.0, -1.0, -1e-3, 0.0, 1e-4, 0.019, 0.021, 2.0, 300.0])
def test_a_fitted_flux_is_that_of_the_steady_profile(peclet: float) -> None:
    dispersion, distance, left, right = 0.02, 0.1, 0.7, 0.2
    velocity = peclet * dispersion / distance
    found = fitted(*map(torch.tensor, (left, right, velocity, dispersion, distance))).item()
    # v c - D c' is constant where c = a + b exp(v x / D).
    rise = math.expm1(peclet) if abs(peclet) > 1e-12 else 0.0
    exact = velocity * (left - (right - left) / rise) if rise else dispersion * (left - right) / distance
    assert found == pytest.approx(exact, rel=1e-8)


def test_chains_pass_on_what_decays() -> None:
    amounts, rates = tuple(map(torch.tensor, (4.0, 2.0, 1.0))), tuple(map(torch.tensor, (0.5, 0.25, 0.0)))
    assert [x.item() for x in decay_chain(amounts, rates)] == pytest.approx([-2.0, 2.0 - 0.5, 0.5])
