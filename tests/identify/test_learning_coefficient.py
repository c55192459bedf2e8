"""Local learning coefficients against quadrature and the half number of weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pydiffgeo.errors import InputError, ShapeError
from pydiffgeo.identify import local_learning_coefficient
from pydiffgeo.identify.learning_coefficient import _reflected

N = 1000
X = 2 * torch.randn(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def crossing(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (x * w[0] * w[1]) ** 2


def test_a_crossing_of_two_lines_is_that_of_quadrature() -> None:
    grid = np.abs(np.linspace(-1, 1, 2001))
    k = N / math.log(N) * float((X**2).mean()) * np.outer(grid**2, grid**2)
    truth = (k * np.exp(-k)).sum() / np.exp(-k).sum()
    assert truth == pytest.approx(0.38, abs=0.01)  # below the 1/2 that infinitely many data would give
    options = {"gamma": 0.0, "box": 1.0, "chains": 24, "step": 4e-3, "again": False}
    found = local_learning_coefficient(crossing, torch.zeros(2), X, draws=1200, burn_in=500, **options)
    assert found.value == pytest.approx(truth, abs=0.08)
    assert found.trusted


def test_of_a_regular_model_it_is_half_the_number_of_weights() -> None:
    a = torch.randn(N, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.randn(N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    best = torch.linalg.lstsq(a, y[:, None]).solution[:, 0]
    options = {"draws": 400, "burn_in": 150, "chains": 20, "step": 1e-3, "again": False}
    found = local_learning_coefficient(lambda w, a, y: 0.5 * (y - a @ w) ** 2, best, a, y, **options)
    assert found.value == pytest.approx(2.0, abs=0.15)
    few = local_learning_coefficient(
        lambda w, a, y: 0.5 * (y - a @ w) ** 2, best, a, y, **{**options, "step": 2e-4, "draws": 800}, batch=200
    )
    assert few.value == pytest.approx(2.0, abs=0.4)


def test_what_is_no_minimum_is_not_trusted() -> None:
    a = torch.randn(N, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    options = {"draws": 150, "burn_in": 100, "chains": 4, "step": 1e-3, "again": False}
    found = local_learning_coefficient(lambda w, a: 0.5 * (a @ (w - 1)) ** 2, torch.zeros(2), a, gamma=0.0, **options)
    assert found.value < 0
    assert "no minimum" in found.doubts[0]


def test_walls_of_the_box_reflect() -> None:
    w = torch.tensor([-1.2, -0.5, 0.0, 0.7, 1.3, 3.2])
    assert _reflected(w, 1.0) == pytest.approx(torch.tensor([-0.8, -0.5, 0.0, 0.7, 0.7, -0.8]))


def test_wrong_questions_are_refused() -> None:
    with pytest.raises(ShapeError, match="one length"):
        local_learning_coefficient(crossing, torch.zeros(2))
    with pytest.raises(InputError, match="1000 data"):
        local_learning_coefficient(crossing, torch.zeros(2), X, batch=2000)
