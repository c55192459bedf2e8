"""Every measure of the registry against NumPy, with gaps and batches, and how the registry says to read it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pydiffgeo.hydrology.scores import UNITS
from pydiffgeo.losses.measures import LOSSES
from pydiffgeo.losses.measures import MEASURES as REGISTRY

# Arguments that some measures need.
EXTRA = {"sigma": 0.7, "sigma_0": 0.5, "sigma_1": 0.2}
NAN = float("nan")


def flows(seed: int, n: int, members: int | None = None) -> np.ndarray:
    """Positive series without ties."""
    return np.random.default_rng(seed).lognormal(0.0, 1.0, n if members is None else (members, n))


def extra(name: str) -> dict[str, float]:
    return {k: EXTRA[k] for k in REGISTRY[name].needs}


def with_gaps(values: np.ndarray, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A copy with NaN at a fifth of the times, and the times that are left."""
    gone = np.random.default_rng(seed).random(len(values)) < 0.2
    return np.where(gone, np.nan, values), ~gone


def by_numpy(name: str, s: np.ndarray, o: np.ndarray) -> float:
    """The same formulas without torch, masks or batches."""
    n = len(o)
    down_s, down_o, p = np.sort(s)[::-1], np.sort(o)[::-1], np.arange(1, n + 1) / (n + 1)
    cv_s, cv_o = s.std() / s.mean(), o.std() / o.mean()
    r = np.corrcoef(s, o)[0, 1]
    log_s, log_o = np.log(s + o.mean() / 100), np.log(o + o.mean() / 100)
    # Exceeded with probability 0.2 is the quantile 0.8, on the same plotting positions.
    slope = [np.diff(np.log(np.quantile(q, [0.3, 0.8], method="weibull")))[0] for q in (s, o)]
    low = [np.log(q[p >= 0.7] / q[-1]).sum() for q in (down_s, down_o)]
    sigma = 0.5 + 0.2 * s
    return {
        "nse": lambda: 1 - ((s - o) ** 2).sum() / ((o - o.mean()) ** 2).sum(),
        "log_nse": lambda: 1 - ((log_s - log_o) ** 2).sum() / ((log_o - log_o.mean()) ** 2).sum(),
        "kge": lambda: 1 - np.hypot(np.hypot(r - 1, s.std() / o.std() - 1), s.mean() / o.mean() - 1),
        "kge_2012": lambda: 1 - np.hypot(np.hypot(r - 1, cv_s / cv_o - 1), s.mean() / o.mean() - 1),
        "mse": lambda: np.square(s - o).mean(),
        "rmse": lambda: np.linalg.norm(s - o) / n**0.5,
        "mae": lambda: np.abs(s - o).mean(),
        "bias": lambda: s.sum() / o.sum() - 1,
        "percent_bias": lambda: 100 * (s.mean() - o.mean()) / o.mean(),
        "fhv": lambda: 100 * (down_s[p < 0.02].sum() / down_o[p < 0.02].sum() - 1),
        "fms": lambda: 100 * (slope[0] / slope[1] - 1),
        "flv": lambda: -100 * (low[0] / low[1] - 1),
        "gaussian_log_likelihood": lambda: np.log(
            np.exp(-(((s - o) / 0.7) ** 2) / 2) / (0.7 * (2 * np.pi) ** 0.5)
        ).sum(),
        "heteroscedastic_log_likelihood": lambda: (
            -(((s - o) / sigma) ** 2) / 2 - np.log(sigma * (2 * np.pi) ** 0.5)
        ).sum(),
    }[name]()


@pytest.mark.parametrize("name", REGISTRY)
def test_every_measure_agrees_with_numpy(name):
    s, (o, kept) = flows(1, 130), with_gaps(flows(2, 130))
    value = REGISTRY[name].function(torch.from_numpy(s), o, **extra(name))
    assert value.item() == pytest.approx(by_numpy(name, s[kept], o[kept]), rel=1e-11)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_gradient_is_finite_and_right_with_gaps_and_batches(name):
    s, o = flows(3, 60, 2), np.stack([flows(4, 60), with_gaps(flows(6, 60))[0]])
    o[:, 58:] = np.nan
    if name == "fhv":
        o[1] = flows(6, 60)
    s[:, 59] = np.nan
    o[:, 59] = np.nan
    whole = torch.from_numpy(s).requires_grad_()

    def inner(part: torch.Tensor) -> torch.Tensor:
        x = torch.cat([part, torch.full((2, 1), NAN, dtype=torch.float64)], dim=1)
        return REGISTRY[name].function(x, o, **extra(name))

    value = REGISTRY[name].function(whole, o, **extra(name))
    assert value.shape == (2,)
    (gradient,) = torch.autograd.grad(value.sum(), whole)
    assert torch.isfinite(gradient).all()
    assert (gradient[torch.from_numpy(np.isnan(o))] == 0).all()
    assert torch.autograd.gradcheck(inner, whole[:, :59].detach().requires_grad_())


@pytest.mark.parametrize("name", REGISTRY)
def test_a_perfect_simulation_has_the_perfect_value_and_a_finite_gradient(name):
    measure, o = REGISTRY[name], torch.from_numpy(with_gaps(flows(7, 130))[0])
    s = torch.nan_to_num(o, nan=3.0).requires_grad_()
    loss = measure.loss(s, o, **extra(name))
    (gradient,) = torch.autograd.grad(loss, s)
    assert torch.isfinite(gradient).all()
    worse = measure.loss(s.detach() * 1.3 + 0.1, o, **extra(name))
    assert loss < worse
    if measure.perfect is not None:
        assert measure.function(s, o).item() == pytest.approx(measure.perfect, abs=1e-11)
        assert loss.item() == pytest.approx(0, abs=1e-11)


def test_the_registry_says_how_to_read_a_measure():
    assert REGISTRY["nse"].better == "higher"
    assert REGISTRY["nse"].badness(0.75) == 0.25
    assert REGISTRY["rmse"].badness(2.0) == 2.0
    assert REGISTRY["fhv"].badness(-12.0) == REGISTRY["fhv"].badness(12.0) == 12.0
    assert REGISTRY["gaussian_log_likelihood"].badness(-3.0) == 3.0
    assert all(name == m.name and m.better in ("higher", "lower", "target") for name, m in REGISTRY.items())
    assert not {"bias", "percent_bias", "flv", "gaussian_log_likelihood"} & {*LOSSES}
    # A result states the unit of its loss.
    assert {REGISTRY[name].unit for name in LOSSES} <= {*UNITS}


def test_a_dry_simulation_has_every_score_and_a_finite_gradient():
    o = torch.from_numpy(flows(1, 80))
    for name, m in REGISTRY.items():
        s = torch.zeros(80, dtype=torch.float64, requires_grad=True)
        value = m.function(s, o, **extra(name))
        (gradient,) = torch.autograd.grad(value, s)
        assert torch.isfinite(value), name
        assert torch.isfinite(gradient).all(), name
