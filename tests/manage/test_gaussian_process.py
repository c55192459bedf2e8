"""Gaussian processes against their closed formulas, and what is known where there are no data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError

pytest.importorskip("gpytorch", reason="GPyTorch is not installed")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def record(n: int = 25) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(0)
    x = random.uniform(4, 8, n)
    return torch.tensor(x), torch.tensor(np.sin(x) + 0.1 * random.normal(size=n))


def covariance(a, b, length, amplitude):
    return amplitude**2 * np.exp(-((a[:, None] - b[None]) ** 2) / (2 * length**2))


def test_posterior_and_predictions_are_those_of_the_formulas() -> None:
    x, y = record()
    found = dg.manage.GaussianProcess.fit(x, y, amplitude=1.5, points=12)
    at = np.array([0.0, 5.0, 7.3])
    logs, means, variances = [], [], []
    for length, noise in zip(found.length.numpy(), found.noise.numpy(), strict=True):
        k = covariance(x.numpy(), x.numpy(), length, 1.5) + noise**2 * np.eye(len(x))
        solved, sign_log = np.linalg.solve(k, y.numpy()), np.linalg.slogdet(k)[1]
        # Inverse gamma (10, 10) and (5, 5), as densities of the logarithms.
        prior = -10 * np.log(length) - 10 / length - 5 * np.log(noise) - 5 / noise
        logs.append(-0.5 * y.numpy() @ solved - 0.5 * sign_log + prior)
        cross = covariance(at, x.numpy(), length, 1.5)
        means.append(cross @ solved)
        variances.append(1.5**2 - np.einsum("ij,ji->i", cross, np.linalg.solve(k, cross.T)) + noise**2)
    weights = np.exp(np.array(logs) - max(logs))
    np.testing.assert_allclose(found.weights, weights / weights.sum(), rtol=1e-6)
    after = found.after(torch.tensor(at))
    np.testing.assert_allclose(after.mean, means, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(after.variance, variances, rtol=1e-6)
    mean = found.weights.numpy() @ np.array(means)
    spread = found.weights.numpy() @ (np.array(variances) + (np.array(means) - mean) ** 2)
    np.testing.assert_allclose(found.sd(torch.tensor(at)), np.sqrt(spread), rtol=1e-6)


def test_where_the_record_is_silent_little_is_known() -> None:
    found = dg.manage.GaussianProcess.fit(*record())
    near, far = found.sd(torch.tensor([6.0, 20.0]).double())
    assert near < 0.5
    assert far == pytest.approx(1.0, abs=0.15)
    assert found.mean(torch.tensor([20.0]).double()).abs() < 1e-3


@pytest.mark.parametrize(
    ("x", "y", "choices", "error", "message"),
    [
        ([1.0, 2.0], [1.0], {}, ShapeError, "one shape"),
        ([1.0, torch.nan], [1.0, 2.0], {}, InputError, "finite"),
        ([1.0, 2.0], [1.0, 2.0], {"noise_range": (1.0, 0.5)}, InputError, "noise_range"),
        ([1.0, 2.0, 3.0], [0.1, 0.2, 0.1], {"length_range": (0.5, 0.9)}, InputError, "an end of length_range"),
    ],
)
def test_what_does_not_fit_is_refused(x, y, choices, error, message: str) -> None:
    with pytest.raises(error, match=message):
        dg.manage.GaussianProcess.fit(torch.tensor(x), torch.tensor(y), **choices)
