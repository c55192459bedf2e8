"""Invariants, exact solutions of parts, order of convergence, and the published growth of perturbations."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pydiffgeo.errors import InputError, ShapeError
from pydiffgeo.testbeds import KuramotoSivashinsky


def wave(system: KuramotoSivashinsky, number: int) -> tuple[torch.Tensor, float]:
    x = torch.arange(system.cells, dtype=torch.float64) / system.cells * system.length
    k = 2 * math.pi * number / system.length
    return torch.sin(k * x), k


def test_derivatives_of_a_wave() -> None:
    system = KuramotoSivashinsky(30.0, 64)
    u, k = wave(system, 3)
    x = torch.arange(64, dtype=torch.float64) / 64 * 30
    for order, expected in (
        (1, k * torch.cos(k * x)),
        (2, -(k**2) * u),
        (3, -(k**3) * torch.cos(k * x)),
        (4, k**4 * u),
    ):
        torch.testing.assert_close(system.derivative(u, order), expected, atol=1e-10, rtol=0)


def test_linear_parts_are_exact() -> None:
    """A wave grows at b k^2 - d k^4 and travels with c k^2."""
    system = KuramotoSivashinsky(30.0, 64, advection=0.0, diffusion=0.7, dispersion=0.4, hyperdiffusion=1.3)
    u, k = wave(system, 3)
    x = torch.arange(64, dtype=torch.float64) / 64 * 30
    rate, t = 0.7 * k**2 - 1.3 * k**4, 1.5
    # u_t = -c u_xxx: sin(k x) goes to sin(k x + c k^3 t).
    expected = math.exp(rate * t) * torch.sin(k * x + 0.4 * k**3 * t)
    torch.testing.assert_close(system.advance(u, 0.5, 3), expected, atol=1e-12, rtol=0)


def test_the_mean_is_kept_and_members_do_not_meet() -> None:
    system = KuramotoSivashinsky(100.0, 256)
    u = system.start(3, seed=1) + 0.2
    later = system.advance(u, 0.05, 400)
    torch.testing.assert_close(later.mean(-1), u.mean(-1), atol=1e-12, rtol=0)
    torch.testing.assert_close(later[1:2], system.advance(u[1:2], 0.05, 400), atol=1e-6, rtol=0)


def test_order_four() -> None:
    system = KuramotoSivashinsky(100.0, 256, cubic=0.1)
    u = system.advance(system.start(seed=2), 0.05, 1000)
    fine = system.advance(u, 0.2 / 128, 10 * 128)
    errors = [float((system.advance(u, 0.2 / n, 10 * n) - fine).abs().max()) for n in (8, 16, 32)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    # Stiff parts lower the order of large steps.
    assert orders[1] > 3.5


def test_the_attractor_has_its_published_size() -> None:
    """Spread about 1.3 for long lines, and stable for long times, far beyond where the imaginary part would have grown."""
    system = KuramotoSivashinsky(100.0, 128)
    u = system.advance(system.start(8, seed=3), 0.25, 800)
    spreads = []
    for _ in range(10):
        u = system.advance(u, 0.25, 200)
        spreads.append(float((u - u.mean(-1, True)).std()))
    assert 1.2 < sum(spreads) / len(spreads) < 1.45


def test_gradients() -> None:
    system = KuramotoSivashinsky(22.0, 16)
    u = system.start(seed=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: system.advance(v, 0.1, 3), (u,))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="even number of cells"):
        KuramotoSivashinsky(10.0, 9)
    with pytest.raises(ShapeError, match=r"\(\.\.\., 64\)"):
        KuramotoSivashinsky(10.0, 64).advance(torch.zeros(1, 32), 0.1)
