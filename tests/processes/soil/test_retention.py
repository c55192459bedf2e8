"""Soil hydraulic closures: the published curves, their inverses, saturation, and slopes that stay finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from pydiffgeo.processes.soil.retention import CLOSURES, CORNER, DRIEST, NEAR, Closure

# Rounding of doubles.
EPS = float(np.finfo(np.float64).eps)
HAVERKAMP_SAND = {
    "theta_r": 0.075,
    "theta_s": 0.287,
    "A_theta": 1.611e6 * 0.01**3.96,
    "B_theta": 3.96,
    "A_K": 1.175e6 * 0.01**4.74,
    "B_K": 4.74,
    "K_s": 8.16,
    "S_s": 1e-4,
}
SOILS: dict[str, tuple[str, dict[str, float]]] = {
    "loam": ("van_genuchten", {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496, "S_s": 1e-4}),
    "sand": (
        "van_genuchten",
        {"theta_r": 0.093, "theta_s": 0.301, "alpha": 5.47, "n": 4.264, "K_s": 5.04, "S_s": 1e-6},
    ),
    "clay": ("van_genuchten", {"theta_r": 0.068, "theta_s": 0.38, "alpha": 0.8, "n": 1.09, "K_s": 0.048, "S_s": 1e-4}),
    "gardner": ("gardner", {"theta_r": 0.06, "theta_s": 0.4, "alpha": 3.0, "K_s": 0.24, "S_s": 1e-4}),
    "haverkamp": ("haverkamp", HAVERKAMP_SAND),
    # Of an air-entry head of five centimetres.
    "brooks_corey": (
        "brooks_corey",
        {"theta_r": 0.04, "theta_s": 0.42, "alpha": 20.0, "lambda_": 0.6, "K_s": 0.5, "S_s": 1e-4},
    ),
}


def soil(name: str) -> tuple[Closure, SimpleNamespace]:
    closure, values = SOILS[name]
    assert {*values} == {p.name for p in CLOSURES[closure].parameters}
    return CLOSURES[closure], SimpleNamespace(**{k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def heads() -> Tensor:
    """From bone dry to five metres of water, dense around saturation."""
    dry = -torch.logspace(4, -7, 400, dtype=torch.float64)
    return torch.cat([dry, numbers(0.0), torch.logspace(-7, math.log10(5), 200, dtype=torch.float64)])


def contents(values: SimpleNamespace, driest: float = 1e-6) -> Tensor:
    """Water contents from the effective saturation `driest` to well above `theta_s`, dense at its corners."""
    span = values.theta_s - values.theta_r
    share = torch.cat(
        [
            torch.logspace(math.log10(driest), -0.01, 400, dtype=torch.float64),
            1 - torch.logspace(-2, -7, 400, dtype=torch.float64),
            numbers(1.0),
        ]
    )
    above = torch.logspace(-8, -2, 300, dtype=torch.float64)
    return torch.cat([values.theta_r + span * share, values.theta_s + above])


def slopes(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    x = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    return slope


def test_every_closure_is_tested() -> None:
    assert {closure for closure, _ in SOILS.values()} == {*CLOSURES}


@pytest.mark.parametrize("name", SOILS)
def test_head_of_the_water_content_is_the_head(name: str) -> None:
    closure, values = soil(name)
    h = heads()
    theta = closure.water_content(h, values)
    # Far drier than any soil, `DRIEST` holds the head; the inverse ends there.
    meaningful = theta > values.theta_r + 10 * DRIEST * (values.theta_s - values.theta_r)
    assert meaningful[h >= -4.0].all()
    h, theta = h[meaningful], theta[meaningful]
    found = closure.head_and_conductivity(theta, values)[0]
    slope = slopes(lambda t: closure.head_and_conductivity(t, values)[0], theta)
    # No worse than what one rounding of theta makes of the head.
    assert ((found - h).abs() <= 20 * EPS * (h.abs() + values.theta_s * slope) + 1e-12 * h.abs()).all()


@pytest.mark.parametrize("name", SOILS)
def test_conductivity_of_a_head_is_that_of_its_water_content(name: str) -> None:
    closure, values = soil(name)
    h = heads()[heads() >= -4.0]
    theta = closure.water_content(h, values)
    expected = closure.head_and_conductivity(theta, values)[1]
    # Gardner's conductivity follows the published exponential up to saturation itself.
    tolerance = 2 * NEAR if name == "gardner" else 1e-5
    torch.testing.assert_close(closure.conductivity(h, values), expected, rtol=tolerance, atol=0)


def van_genuchten(h: float, theta_r: float, theta_s: float, alpha: float, n: float, K_s: float) -> tuple[float, float]:
    """Eqs 3 and 8 (through 7) of van Genuchten 1980, written to lose no digits."""
    m = 1 - 1 / n
    wet = (1 + (alpha * -h) ** n) ** -m
    y = -math.expm1(m * math.log1p(-(wet ** (1 / m))))
    return theta_r + (theta_s - theta_r) * wet, K_s * wet**0.5 * y**2


def gardner(h: float, theta_r: float, theta_s: float, alpha: float, K_s: float) -> tuple[float, float]:
    """Srivastava and Yeh 1991, eqs 1 and 2."""
    return theta_r + (theta_s - theta_r) * math.exp(alpha * h), K_s * math.exp(alpha * h)


def haverkamp(
    h: float, theta_r: float, theta_s: float, A_theta: float, B_theta: float, A_K: float, B_K: float, K_s: float
) -> tuple[float, float]:
    """Haverkamp et al. 1977, eqs 13 and 14."""
    return theta_r + (theta_s - theta_r) * A_theta / (A_theta + (-h) ** B_theta), K_s * A_K / (A_K + (-h) ** B_K)


def brooks_corey(
    h: float, theta_r: float, theta_s: float, alpha: float, lambda_: float, K_s: float
) -> tuple[float, float]:
    """Brooks and Corey 1964, eqs 2 and 12, in terms of suction."""
    drier = alpha * -h
    return theta_r + (theta_s - theta_r) * drier**-lambda_, K_s * drier ** -(2 + 3 * lambda_)


PUBLISHED = {"van_genuchten": van_genuchten, "gardner": gardner, "haverkamp": haverkamp, "brooks_corey": brooks_corey}


@pytest.mark.parametrize("name", SOILS)
@pytest.mark.parametrize("h", [-0.1, -0.3, -1.0, -2.0])
def test_curves_are_the_published_ones(name: str, h: float) -> None:
    closure, values = soil(name)
    given = {k: v for k, v in SOILS[name][1].items() if k != "S_s"}
    theta, conductivity = PUBLISHED[closure.name](h, **given)
    assert closure.water_content(numbers(h), values).item() == pytest.approx(theta, rel=1e-12)
    head, found = closure.head_and_conductivity(numbers(theta), values)
    # In dry soil a rounding of theta is worth a few more digits of the effective saturation.
    worth = theta / (theta - given["theta_r"])
    assert head.item() == pytest.approx(h, rel=1e-12 * worth)
    assert found.item() == pytest.approx(conductivity, rel=1e-12 * worth)
    assert closure.conductivity(numbers(h), values).item() == pytest.approx(conductivity, rel=1e-12 * worth)


def test_loam_at_one_metre_of_suction_in_plain_numbers() -> None:
    closure, values = soil("loam")
    # (3.6 * 1)^1.56 = 7.37635..., Se = 8.37635^-0.358974 = 0.466308..., theta = 0.078 + 0.352 Se.
    wet = 8.37635**-0.358974
    assert closure.water_content(numbers(-1.0), values).item() == pytest.approx(0.078 + 0.352 * wet, rel=1e-5)


@pytest.mark.parametrize("name", SOILS)
def test_head_and_conductivity_rise_with_water(name: str) -> None:
    closure, values = soil(name)
    head, conductivity = closure.head_and_conductivity(contents(values), values)
    assert (head.diff() > 0).all()
    assert (conductivity.diff() >= 0).all()
    assert (conductivity >= 0).all()
    torch.testing.assert_close(conductivity.max(), values.K_s, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", SOILS)
def test_slope_of_the_head_is_bounded_in_wet_soil(name: str) -> None:
    closure, values = soil(name)
    theta = contents(values, 0.3)
    slope = slopes(lambda t: closure.head_and_conductivity(t, values)[0], theta)
    at_near = slopes(
        lambda t: closure.head_and_conductivity(t, values)[0],
        values.theta_r + (values.theta_s - values.theta_r) * numbers(1 - 2 * NEAR),
    )
    below = slope[theta < values.theta_s]
    assert (slope <= 1 / values.S_s + 2 * at_near + below[0]).all()
    assert (below <= 2 * at_near + below[0]).all()
    # Above its rounded corner, storage is elastic.
    assert (slope[theta > values.theta_s + CORNER] >= 1 / values.S_s).all()


@pytest.mark.parametrize("name", SOILS)
def test_curves_join_smoothly_at_saturation(name: str) -> None:
    closure, values = soil(name)
    joints = values.theta_s + torch.stack(
        [-NEAR * (values.theta_s - values.theta_r), numbers(0.0)[0], numbers(CORNER)[0]]
    )
    left, right = joints - 1e-12, joints + 1e-12
    # Conductivities that are powers or exponentials reach K_s with a kink, as published; all else has a continuous slope.
    for which in (0,) if name in ("gardner", "brooks_corey") else (0, 1):

        def curve(t: Tensor, which: int = which) -> Tensor:
            return closure.head_and_conductivity(t, values)[which]

        slope = slopes(curve, left)
        scale = slope.abs().max()
        assert ((curve(right) - curve(left)).abs() <= 1e-11 * scale).all()
        assert ((slopes(curve, right) - slope).abs() <= 0.01 * slope.abs() + 1e-5 * scale).all()
        # Where the published curve ends, what goes on from it has its slope.
        assert slopes(curve, right)[0].item() == pytest.approx(slope[0].item(), rel=2e-5)
    jump = closure.head_and_conductivity(right, values)[1] - closure.head_and_conductivity(left, values)[1]
    assert (jump.abs() <= 1e-8 * values.K_s).all()


@pytest.mark.parametrize("name", SOILS)
def test_gradients_are_finite_everywhere(name: str) -> None:
    closure, values = soil(name)
    ends = torch.stack([values.theta_r, values.theta_s, 0 * values.theta_r, values.theta_s + CORNER])
    theta = torch.cat([ends, contents(values, 1e-14), torch.linspace(0, 0.6, 601, dtype=torch.float64)])
    for function, at in (
        (lambda t, s: closure.head_and_conductivity(t, s)[0], theta),
        (lambda t, s: closure.head_and_conductivity(t, s)[1], theta),
        (closure.water_content, heads()),
        (closure.conductivity, heads()),
    ):
        inputs = [at.clone().requires_grad_()]
        spread = {k: torch.full_like(at, v.item()).requires_grad_() for k, v in vars(values).items()}
        inputs += [*spread.values()]
        value = function(inputs[0], SimpleNamespace(**spread))
        assert torch.isfinite(value).all()
        gradients = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
        assert gradients[0] is not None
        assert all(torch.isfinite(g).all() for g in gradients if g is not None)
