"""Losses against hand-made numbers, their gradients, missing observations, and their errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pydiffgeo.errors import InputError, ShapeError
from pydiffgeo.losses import LOSSES, bias, kge, mse, nse, rmse

MEASURES = [nse, kge, bias, rmse, mse]
NAN = float("nan")


def series(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_values_worked_out_by_hand():
    s, o = series(1, 2, 3, 6), series(1, 3, 3, 5)
    assert mse(s, o).item() == pytest.approx(0.5)
    assert rmse(s, o).item() == pytest.approx(0.5**0.5)
    assert nse(s, o).item() == pytest.approx(1 - 2 / 8)
    assert bias(series(2, 4), series(1, 4)).item() == pytest.approx(0.2)


def test_kge_is_made_of_correlation_spread_and_mean():
    random = np.random.default_rng(1)
    o, s = random.gamma(1.0, 2.0, 200), random.gamma(2.0, 1.5, 200)
    parts = np.corrcoef(s, o)[0, 1] - 1, s.std() / o.std() - 1, s.mean() / o.mean() - 1
    assert kge(torch.from_numpy(s), o).item() == pytest.approx(1 - np.linalg.norm(parts), rel=1e-12)


def test_reference_points():
    o = series(1, 4, 2, 8)
    assert nse(o, o).item() == 1
    assert kge(o, o).item() == pytest.approx(1, abs=1e-12)
    mean = torch.full_like(o, o.mean().item())
    assert nse(mean, o).item() == pytest.approx(0, abs=1e-15)
    # A constant simulation with the right mean: no correlation, no spread (Knoben et al. 2019).
    assert kge(mean, o).item() == pytest.approx(1 - 2**0.5)
    assert bias(1.1 * o, o).item() == pytest.approx(0.1)


@pytest.mark.parametrize("measure", MEASURES)
def test_missing_observations_are_left_out(measure):
    s, o = series(1, 2, 9, 4, 6), series(1, 3, NAN, 3, 5)
    kept = torch.tensor([0, 1, 3, 4])
    s.requires_grad_()
    value = measure(s, o)
    assert value.item() == pytest.approx(measure(s[kept], o[kept]).item(), rel=1e-12)
    (gradient,) = torch.autograd.grad(value, s)
    assert gradient[2] == 0
    assert torch.isfinite(gradient).all()
    assert (gradient[kept] != 0).any()


@pytest.mark.parametrize("measure", MEASURES)
def test_nan_simulated_where_nothing_was_observed_does_no_harm(measure):
    s = series(1, 2, NAN, 4).requires_grad_()
    value = measure(s, series(1, 3, NAN, 3))
    (gradient,) = torch.autograd.grad(value, s)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("measure", MEASURES)
def test_nan_simulated_where_something_was_observed_stays_visible(measure):
    assert torch.isnan(measure(series(1, NAN, 3), series(1, 2, 4)))


@pytest.mark.parametrize("measure", MEASURES)
def test_gradient_matches_finite_differences(measure):
    random = np.random.default_rng(2)
    s = torch.from_numpy(random.gamma(2.0, 1.0, (3, 12))).requires_grad_()
    o = torch.from_numpy(random.gamma(2.0, 1.0, 12))
    assert torch.autograd.gradcheck(lambda x: measure(x, o), s)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_perfect_or_constant_simulation_has_a_finite_gradient(measure):
    o = series(1, 4, 2, 8)
    for s in (o.clone(), torch.full_like(o, 3.0)):
        (gradient,) = torch.autograd.grad(measure(s.requires_grad_(), o), s)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("measure", MEASURES)
def test_members_do_not_influence_each_other(measure):
    random = np.random.default_rng(3)
    s, o = torch.from_numpy(random.random((2, 3, 9))), torch.from_numpy(random.random(9))
    together = measure(s, o)
    assert together.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            assert together[i, j].item() == pytest.approx(measure(s[i, j], o).item(), rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_at_least_two_observations_are_needed(measure):
    with pytest.raises(InputError, match=r"at least 2 valid observations.* 1 among 3"):
        measure(series(1, 2, 3), series(NAN, 2, NAN))
    # One member without enough of them is enough for an error.
    with pytest.raises(InputError, match="there are 0"):
        measure(torch.ones(2, 3), torch.tensor([[1.0, 2, 3], [NAN, NAN, NAN]]))


def test_undefined_measures_say_so():
    flat = series(2, 2, 2)
    with pytest.raises(InputError, match="all equal"):
        nse(series(1, 2, 3), flat)
    with pytest.raises(InputError, match="all equal"):
        kge(series(1, 2, 3), flat)
    with pytest.raises(InputError, match="mean zero"):
        kge(series(1, 2, 3), series(-1, 0, 1))
    with pytest.raises(InputError, match="add up to zero"):
        bias(series(1, 2, 3), series(-1, 0, 1))
    with pytest.raises(InputError, match="infinite"):
        mse(series(1, 2, 3), series(1, 2, float("inf")))


def test_shapes_must_fit():
    with pytest.raises(ShapeError, match="same number of times"):
        nse(torch.ones(3), torch.ones(4))
    with pytest.raises(ShapeError, match="does not broadcast"):
        nse(torch.ones(3), torch.ones(2, 3))


def test_losses_are_small_for_good_simulations():
    o = series(1, 4, 2, 8)
    for name, loss in LOSSES.items():
        assert loss(o + 0.01, o) < loss(o + 1.0, o), name
        assert loss(o, o).item() == pytest.approx(0, abs=1e-12), name
