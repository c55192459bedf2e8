"""Fields whose derivatives are known exactly, from scattered points; and what a network without features does not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.discover import Network, RadialBasis, RandomFeatures
from pydiffgeo.errors import InputError, ShapeError

N = 24
PERIODS = (3.0, 2.0)


def grid() -> torch.Tensor:
    x, y = torch.meshgrid(*(torch.arange(N, dtype=torch.float64) / N * p for p in PERIODS), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def field(points: torch.Tensor, dx: int = 0, dy: int = 0, highest: int = 3, seed: int = 1) -> torch.Tensor:
    """A derivative of a sum of waves of up to `highest` in each direction, falling off as they shorten, `(2, points)`."""
    random, made = np.random.default_rng(seed), torch.zeros(2, len(points), dtype=torch.float64)
    for i in range(-highest, highest + 1):
        for j in range(highest + 1):
            k, m = 2 * math.pi * i / PERIODS[0], 2 * math.pi * j / PERIODS[1]
            phase = k * points[:, 0] + m * points[:, 1] + (dx + dy) * math.pi / 2
            for member in range(2):
                size, turn = random.normal() / (1 + i * i + j * j), random.uniform(0, 6)
                made[member] += size * k**dx * m**dy * torch.cos(phase + turn)
    return made


def scattered(share: float = 0.5) -> torch.Tensor:
    return grid()[torch.from_numpy(np.random.default_rng(2).permutation(N * N)[: round(share * N * N)])]


def spectral(values: torch.Tensor, dx: int, dy: int) -> torch.Tensor:
    k, m = (2 * math.pi * torch.fft.fftfreq(N, p / N, dtype=torch.float64) for p in PERIODS)
    modes = torch.fft.fft2(values.reshape(-1, N, N)) * (1j * k[:, None]) ** dx * (1j * m) ** dy
    return torch.fft.ifft2(modes).real.reshape(values.shape)


def error(method, dx: int = 0, dy: int = 0, **choices) -> float:
    points, at = scattered(), grid()
    found = dg.discover.interpolate(points, field(points, **choices), at, method, periods=PERIODS)
    exact = field(at, dx, dy, **choices)
    return float((spectral(found.fields, dx, dy) - exact).std() / exact.std())


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (1, 0), (0, 2), (1, 2), (3, 0)])
def test_random_waves_have_the_derivatives_of_a_band_limited_field(dx: int, dy: int) -> None:
    assert error(RandomFeatures(1500, scale=6.0), dx, dy) < 1e-4


def test_radial_functions_lose_digits_with_every_derivative() -> None:
    errors = [error(RadialBasis(), dx=order) for order in (0, 1, 3)]
    assert errors[0] < 0.01
    assert errors[0] < errors[1] < errors[2] < 0.5


def test_a_network_sees_small_scales_with_features_alone() -> None:
    """Both networks have the same layers, steps and periods."""
    choices = {"widths": (32, 32), "steps": 200, "refinements": 100}
    with_features = error(Network(64, **choices), highest=5)
    assert with_features < 0.2
    assert error(Network(0, **choices), highest=5) > 2 * with_features


def test_points_kept_back_tell_the_error_without_the_truth() -> None:
    points = scattered()
    values = field(points)
    for method in (RandomFeatures(1500), RandomFeatures(40), RadialBasis()):
        told, real = dg.discover.held_out(points, values, method, periods=PERIODS), error(method)
        assert told < max(10 * real, 1e-3)
        assert told > real / 10


def test_noise_is_not_followed() -> None:
    """The ridge is that of cross-validation: what is left is less than the noise, at the points and between."""
    points, at = scattered(0.9), grid()
    noise = 0.02 * torch.randn(2, len(points), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = dg.discover.interpolate(points, field(points) + noise, at, RandomFeatures(1500), periods=PERIODS)
    assert float((found.fields - field(at)).std()) < 0.015


def test_fields_that_do_not_repeat() -> None:
    points = torch.rand(300, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    at = torch.linspace(0.05, 0.95, 50, dtype=torch.float64)[:, None]

    def rising(x: torch.Tensor) -> torch.Tensor:
        return (x + 0.3 * torch.sin(9 * x)).T

    ways = (
        RandomFeatures(200, scale=8.0),
        RadialBasis(neighbours=30),
        Network(16, 5.0, (24,)),
        Network(0, None, (24,)),
    )
    for method in ways:
        found = dg.discover.interpolate(points, rising(points), at, method)
        assert float((found.fields - rising(at)).abs().max()) < 0.02, method.words
        assert "300 points" in found.treatment


def test_what_does_not_fit_is_refused() -> None:
    points = torch.rand(10, 2, dtype=torch.float64)
    with pytest.raises(ShapeError, match="points and places"):
        dg.discover.interpolate(points, torch.rand(9), points, RadialBasis())
    with pytest.raises(InputError, match="one for each of 2 dimensions"):
        dg.discover.interpolate(points, torch.rand(10), points, RadialBasis(), periods=(1.0,))
    with pytest.raises(InputError, match="leave out gaps"):
        dg.discover.interpolate(points, torch.full((10,), torch.nan), points, RadialBasis())
    with pytest.raises(InputError, match="does not vary"):
        dg.discover.interpolate(points, torch.ones(10), points, RadialBasis())
    with pytest.raises(InputError, match="keeps back 0"):
        dg.discover.held_out(points, torch.rand(10), RadialBasis(), share=0.01)
