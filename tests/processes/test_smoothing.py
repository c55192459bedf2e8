"""Rounded limits and steps: where they lie, how steep they are, and that nothing is made of nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pydiffgeo.processes.smoothing import (
    smooth_clip,
    smooth_maximum,
    smooth_minimum,
    smooth_ramp,
    smooth_step,
    withdrawal,
)

EPS = float(np.finfo(np.float64).eps)


def slopes(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    x = at.clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


def test_smooth_step() -> None:
    step = smooth_step(A)
    # The logistic function of ten times its argument.
    for x, found in zip(A[::80].tolist(), step[::80].tolist(), strict=True):
        assert found == pytest.approx(1 / (1 + math.exp(-10 * x)), rel=1e-12)
    torch.testing.assert_close(step + smooth_step(-A), torch.ones_like(A))


WIDTH = 0.01
A = torch.linspace(-1, 1, 801, dtype=torch.float64)
SUPPLY = torch.logspace(-9, 0, 401, dtype=torch.float64)


def test_smooth_minimum() -> None:
    b = torch.zeros_like(A)
    low = smooth_minimum(A, b, WIDTH)
    assert (low <= torch.minimum(A, b) + EPS).all()
    # Furthest off where both are equal, by half a width; like width^2 / (4 |a - b|) far from there.
    assert (torch.minimum(A, b) - low).max().item() == pytest.approx(WIDTH / 2)
    assert (torch.minimum(A, b) - low).argmax() == 400
    assert low[0].item() == pytest.approx(-1 - WIDTH**2 / 4, abs=WIDTH**3)
    torch.testing.assert_close(smooth_minimum(b, A, WIDTH), low)
    slope = slopes(lambda a: smooth_minimum(a, torch.zeros_like(a), WIDTH), A)
    assert ((slope >= 0) & (slope <= 1)).all()
    assert slope[400].item() == pytest.approx(0.5)


def test_nothing_is_withdrawn_where_there_is_no_supply_or_no_demand() -> None:
    demand, supply = (x.flatten() for x in torch.meshgrid(A[400:], SUPPLY, indexing="ij"))
    taken = withdrawal(demand, supply, WIDTH)
    assert ((taken >= -EPS) & (taken <= torch.minimum(demand, supply) + EPS)).all()
    assert (torch.minimum(demand, supply) - taken).max().item() < 0.6 * WIDTH
    nothing = torch.zeros_like(A[400:])
    assert (withdrawal(A[400:], nothing, WIDTH) == 0).all()
    assert (withdrawal(nothing, A[400:], WIDTH) == 0).all()
    slope = slopes(lambda s: withdrawal(torch.full_like(s, 0.5), s, WIDTH), SUPPLY)
    assert ((slope >= -1e-9) & (slope <= 1 + 1e-9)).all()
    # What is scarce is taken whole, and slopes exist where there is neither demand nor supply.
    assert slope[0].item() == pytest.approx(1.0, abs=1e-3)
    assert slopes(lambda s: withdrawal(s, s, WIDTH), torch.zeros(1, dtype=torch.float64)).item() == 0.0


def test_smooth_ramp() -> None:
    ramp = smooth_ramp(A, WIDTH)
    assert (ramp[A <= 0] == 0).all()
    torch.testing.assert_close(ramp[A >= WIDTH], A[A >= WIDTH] - WIDTH / 2)
    assert smooth_ramp(torch.tensor(WIDTH / 2), WIDTH).item() == pytest.approx(WIDTH / 8)
    fine = torch.linspace(-WIDTH, 2 * WIDTH, 3001, dtype=torch.float64)
    slope = slopes(lambda x: smooth_ramp(x, WIDTH), fine)
    torch.testing.assert_close(slope, torch.clamp(fine / WIDTH, 0, 1), rtol=0, atol=1e-12)


def test_smooth_maximum_and_clip_are_exact_away_from_their_kinks() -> None:
    zero = torch.zeros_like(A)
    for rounded, exact in (
        (smooth_maximum(A, zero, WIDTH), torch.maximum(A, zero)),
        (smooth_clip(A, 0.5, WIDTH), A.clamp(0, 0.5)),
    ):
        near = torch.minimum(A.abs(), (A - 0.5).abs()) < WIDTH / 2
        torch.testing.assert_close(rounded[~near], exact[~near], rtol=0, atol=1e-15)
        assert (rounded - exact).abs().max().item() == pytest.approx(WIDTH / 8)
    slope = slopes(lambda a: smooth_clip(a, 0.5, WIDTH), A)
    assert slope[400].item() == pytest.approx(0.5)
    assert slope[600].item() == pytest.approx(0.5)
