"""Routing against coefficients of the books and limits that can be told."""

from __future__ import annotations

import math

import pytest
import torch

from pydiffgeo.processes.routing import cunge_weight, diffusive_depth, fitting, muskingum, root_of_slope


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


def test_muskingum_keeps_its_storage() -> None:
    K, X, storage, inflow = 9000.0, 0.25, 4.0e5, 30.0
    out = muskingum(number(storage / K), number(inflow), number(X)).item()
    assert K * (X * inflow + (1 - X) * out) == pytest.approx(storage)
    # A sudden unit of inflow into an empty reach: -X / (1 - X).
    assert muskingum(number(0.0), number(1.0), number(X)).item() == pytest.approx(-1 / 3)


def test_the_weight_of_cunge() -> None:
    # Q 50 m3/s, B 30 m, S 5e-4, c 1.5 m/s, L 5 km.
    found = cunge_weight(*map(number, (50.0, 30.0, 0.0005, 1.5, 5000.0)))
    assert found.item() == pytest.approx(0.2777777778, rel=1e-9)
    # The diffusion of a reach, c L (1/2 - X), is then the hydraulic one.
    assert 1.5 * 5000 * (0.5 - found.item()) == pytest.approx(50 / (2 * 30 * 0.0005))


@pytest.mark.parametrize("peclet", [1e-6, 1e-3, 0.019, 0.021, 0.5, 3.0, 40.0, 1e4])
def test_fitting_is_coth(peclet: float) -> None:
    x = number(peclet).requires_grad_()
    found = fitting(x)
    exact = 1 / math.tanh(peclet / 2) - 2 / peclet if peclet > 1e-2 else peclet / 6 - peclet**3 / 360
    assert found.item() == pytest.approx(exact, rel=1e-9)
    found.backward()
    assert x.grad.isfinite()


def test_depth_at_a_face() -> None:
    def depth(left: float, right: float, slope: float, distance: float) -> float:
        return diffusive_depth(*map(number, (left, right, slope, distance))).item()

    assert depth(1.0, 2.0, 1e-9, 100.0) == pytest.approx(1.5, rel=1e-6)  # still water: the mean
    assert depth(1.0, 2.0, 0.1, 1e5) == pytest.approx(1.0, rel=1e-3)  # a steep, long reach: upstream
    assert depth(2.0, 1.0, -0.1, 1e5) == pytest.approx(1.0, rel=1e-3)
    assert depth(1e-9, 1.0, 0.01, 1000.0) < 1e-8  # dry: nothing is passed on


def test_the_root_of_a_slope() -> None:
    for slope in (1e-5, 1e-3, 0.05):
        assert root_of_slope(number(slope)).item() == pytest.approx(math.sqrt(slope), rel=3e-5)
        assert root_of_slope(number(-slope)).item() == pytest.approx(-math.sqrt(slope), rel=3e-5)
    assert root_of_slope(number(0.0)).item() == 0.0
