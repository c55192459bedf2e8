"""Conductances against Darcy's law between two wells, integrated by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pydiffgeo.processes.groundwater.conductance import MEANS, across, down, logarithmic_mean


def place(**values: float) -> SimpleNamespace:
    return SimpleNamespace(**{k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})


LEFT = place(K=3.0, horizontal_anisotropy=0.5, vertical_anisotropy=0.1)
RIGHT = place(K=8.0, horizontal_anisotropy=0.25, vertical_anisotropy=0.05)
THICKNESS = torch.tensor(10.0, dtype=torch.float64), torch.tensor(4.0, dtype=torch.float64)


def conducts(mean: str, direction: float) -> float:
    face = place(direction=direction, left_distance=20.0, right_distance=30.0)
    return across(MEANS[mean], LEFT, RIGHT, face, THICKNESS).item()


def test_harmonic_is_two_resistances_in_series() -> None:
    # Transmissivities 30 and 32 along rows, 15 and 8 along columns.
    assert conducts("harmonic", 0.0) == pytest.approx(1 / (20 / 30 + 30 / 32))
    assert conducts("harmonic", 1.0) == pytest.approx(1 / (20 / 15 + 30 / 8))


def test_logarithmic_is_darcys_law_with_a_transmissivity_that_changes_linearly() -> None:
    # The resistance of a unit width is the integral of 1 / T from 15 to 8, over 50 m.
    x, weights = np.polynomial.legendre.leggauss(40)
    resistance = 25 * (weights / (11.5 - 3.5 * x)).sum()
    assert conducts("logarithmic", 1.0) == pytest.approx(1 / resistance, rel=1e-12)


def test_arithmetic_thickness() -> None:
    assert conducts("amt-lmk", 0.0) == pytest.approx(7 * 5 / np.log(8 / 3) / 50)
    assert conducts("amt-hmk", 0.0) == pytest.approx(7 / (20 / 3 + 30 / 8))


@pytest.mark.parametrize("ratio", [1.0, 1 + 1e-9, 1.01, 1.0199, 1.0201, 0.98, 3.0, 1e-6])
def test_logarithmic_mean_where_both_are_alike(ratio: float) -> None:
    a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    mean = logarithmic_mean(a, 2 * torch.tensor(ratio, dtype=torch.float64))
    expected = 2.0 if ratio == 1 else 2 * (ratio - 1) / np.log1p(ratio - 1)
    assert mean.item() == pytest.approx(expected, rel=1e-13 if abs(ratio - 1) > 1e-3 else 1e-9)
    mean.backward()
    log = np.log(ratio)
    slope = (ratio - 1 - log) / log**2 if abs(ratio - 1) > 1e-3 else 0.5
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(slope, rel=1e-6)


def test_layers_are_in_series_and_of_the_upper_one_only_what_is_wet_resists() -> None:
    face = place(left_distance=5.0, right_distance=2.0)
    # Vertical conductivities 0.3 and 0.4.
    assert down(LEFT, RIGHT, face).item() == pytest.approx(1 / (5 / 0.3 + 2 / 0.4))
    assert down(LEFT, RIGHT, face, 0.5).item() == pytest.approx(1 / (2.5 / 0.3 + 2 / 0.4))
    assert down(LEFT, RIGHT, face, 0.0).item() == pytest.approx(0.4 / 2)
