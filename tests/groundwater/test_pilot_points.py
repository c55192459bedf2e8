"""Fields from pilot points, against the kriging of GSTools and the density of a normal distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError

gstools = pytest.importorskip("gstools", reason="gstools is not installed")
GRID = dg.raster((6, 9), (50.0, 40.0))
AT = np.array([[30.0, 40.0], [300.0, 60.0], [180.0, 150.0], [60.0, 250.0], [340.0, 280.0]])
VALUES = torch.tensor([0.3, -0.5, 1.1, 0.2, 0.8], dtype=torch.float64)
TURNED = {"dim": 2, "var": 0.4, "len_scale": [300.0, 80.0], "angles": 0.4}


def other(kind: str, variogram: Any, at: np.ndarray, **more: Any) -> tuple[np.ndarray, np.ndarray]:
    """Field and variance by GSTools itself."""
    cells = [GRID.coordinates[k] for k in "xy"]
    return getattr(gstools.krige, kind)(variogram, at.T, VALUES.numpy(), **more)(cells)


@pytest.mark.parametrize("nugget", [0.0, 0.05])
def test_it_is_the_kriging_of_gstools(nugget: float) -> None:
    variogram = gstools.Exponential(**TURNED, nugget=nugget)
    for kind, mean in (("Ordinary", None), ("Simple", 0.4)):
        own = dg.groundwater.pilot_points(GRID, AT, variogram, mean=mean)
        field, variance = other(kind, variogram, AT, **({} if mean is None else {"mean": mean}))
        np.testing.assert_allclose(own.field(VALUES), field, atol=1e-10)
        np.testing.assert_allclose(own.variance, variance - nugget, atol=1e-10)


def test_a_cell_at_a_point_has_its_value_and_a_constant_stays_one() -> None:
    at = np.stack([GRID.coordinates[k][[4, 20, 50]] for k in "xy"], axis=1)
    own = dg.groundwater.pilot_points(GRID, at, gstools.Matern(dim=2, var=0.3, len_scale=100.0, nu=1.5))
    field = own.field(VALUES[:3])
    np.testing.assert_allclose(field[[4, 20, 50]], VALUES[:3])
    np.testing.assert_allclose(own.variance[[4, 20, 50]], 0.0, atol=1e-12)
    torch.testing.assert_close(own.field(torch.full((2, 3), 0.7)), torch.full((2, GRID.cells), 0.7))


def test_gradients_of_heads_reach_the_points() -> None:
    own = dg.groundwater.pilot_points(GRID, AT, gstools.Exponential(**TURNED))
    model = dg.models.Aquifer(GRID, boundaries=[dg.groundwater.GivenHead([0]), dg.groundwater.Recharge()])

    def head(values: torch.Tensor) -> torch.Tensor:
        forcing = {"given_head": 1.0, "recharge_rate": 1e-3}
        K = {"K": 10 ** own.field(values)}
        return dg.groundwater.steady(
            model, K, forcing=forcing, initial={"head": 1.0}, engine="sundials", rtol=1e-12, atol=1e-13
        ).outputs["head"][-1]

    leaf = VALUES.clone().requires_grad_()
    head(leaf).backward()
    assert leaf.grad is not None
    # All points up by one are ten times the conductivity: the head above the given one goes as its inverse.
    assert leaf.grad.sum().item() == pytest.approx(-np.log(10) * (head(VALUES) - 1).item(), rel=1e-8)


@pytest.mark.parametrize("mean", [0.4, None])
def test_deviations_are_those_of_the_prior(mean: float | None) -> None:
    own = dg.groundwater.pilot_points(
        GRID, AT, gstools.Gaussian(dim=2, var=0.4, len_scale=90.0, nugget=0.01), mean=mean
    )
    values = torch.stack([VALUES, VALUES.flip(0)])
    about = [mean] * 2
    if mean is None:  # the most likely one, by generalised least squares
        inverse = own.covariance.inverse()
        about = [((inverse @ v).sum() / inverse.sum()).item() for v in values]
    for v, m, z in zip(values, about, own.deviations(values), strict=True):
        prior = torch.distributions.MultivariateNormal(torch.full_like(v, m), own.covariance)
        constant = prior.log_prob(torch.full_like(v, m))
        assert 0.5 * z.square().sum().item() == pytest.approx((constant - prior.log_prob(v)).item())


def test_layers_in_three_dimensions_and_by_themselves() -> None:
    grid = dg.raster((2, 3, 4), (10.0, 10.0), layers=[4.0, 6.0])
    at = [[5.0, 5.0, 2.0], [35.0, 25.0, 7.0]]
    deep = dg.groundwater.pilot_points(grid, at, gstools.Exponential(dim=3, var=1.0, len_scale=20.0))
    assert deep.weights.shape == (24, 2)
    np.testing.assert_allclose(deep.weights[[0, 23]], np.eye(2), atol=1e-12)
    mask = grid.on_grid(grid.cell["layer"]) > 0
    below = dg.groundwater.pilot_points(grid, [r[:2] for r in at], gstools.Exponential(dim=2, len_scale=20.0), to=mask)
    assert below.field(VALUES[:2]).shape == (12,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"places": [[1.0, 2.0, 3.0]]}, r"places must be coordinates \(points, 2\), x, y"),
        ({"places": [[1.0, 2.0], [5.0, 5.0], [1.0, 2.0]]}, "points 0 and 2 are both at"),
        ({"variogram": 3.0}, "covariance model of GSTools"),
        ({"variogram": gstools.Gaussian(dim=2, len_scale=1e5)}, "near to each other"),
        ({"variogram": gstools.Gaussian(dim=3)}, "no z"),
        ({"mean": "low"}, "mean must be a number"),
        ({"to": [True]}, "to must be a mask"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    given = {"places": AT, "variogram": gstools.Exponential(**TURNED), **change}
    with pytest.raises(InputError, match=message):
        dg.groundwater.pilot_points(GRID, given.pop("places"), given.pop("variogram"), **given)


def test_there_is_one_value_for_each_point() -> None:
    with pytest.raises(ShapeError, match="5"):
        dg.groundwater.pilot_points(GRID, AT, gstools.Exponential(**TURNED)).field(VALUES[:4])
