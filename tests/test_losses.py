"""Losses against hand-made numbers, their gradients, missing observations, and their errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pydiffgeo.errors import InputError, ShapeError
from pydiffgeo.losses.measures import (
    LOSSES,
    bias,
    fhv,
    flv,
    fms,
    gaussian_log_likelihood,
    heteroscedastic_log_likelihood,
    kge,
    kge_2012,
    kge_components,
    log_nse,
    mae,
    mse,
    nse,
    percent_bias,
    rmse,
)

MEASURES = [nse, kge, bias, rmse, mse, mae, percent_bias, log_nse, kge_2012]
CURVES = [fhv, fms, flv]
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


def flows(seed: int, n: int, members: int | None = None) -> np.ndarray:
    """Positive series without ties."""
    return np.random.default_rng(seed).lognormal(0.0, 1.0, n if members is None else (members, n))


@pytest.mark.parametrize("measure", CURVES)
def test_duration_curves_ignore_order_and_keep_nan_visible(measure):
    s, o = torch.from_numpy(flows(8, 100)), torch.from_numpy(flows(9, 100))
    assert measure(s.flip(0), o).item() == pytest.approx(measure(s, o).item(), rel=1e-12)
    s[3] = NAN
    assert torch.isnan(measure(s, o))
    o[3] = NAN
    assert torch.isfinite(measure(s, o))


def test_components_say_what_is_wrong():
    o = torch.from_numpy(flows(1, 40))
    wet = kge_components(1.2 * o, o)
    assert [round(x.item(), 12) for x in wet] == [1, 1.2, 1.2]
    assert kge_components(1.2 * o, o, version=2012).variability.item() == pytest.approx(1)
    assert kge_components(-o, o).correlation.item() == pytest.approx(-1)
    with pytest.raises(InputError, match="2009 and 2012"):
        kge_components(o, o, version=2010)


def test_logarithms_of_low_flows():
    s, o = series(0, 1, 2, 3), series(0, 2, 1, 5)
    assert torch.isfinite(log_nse(s, o))
    assert log_nse(s, o).item() == pytest.approx(log_nse(1000 * s, 1000 * o).item(), rel=1e-12)
    negative = series(-1, 1, 2, 3).requires_grad_()
    assert log_nse(negative, o).item() == log_nse(s, o).item()
    (gradient,) = torch.autograd.grad(log_nse(negative, o), negative)
    assert torch.isfinite(gradient).all()
    for wrong, message in ((series(0, 0, 0, 0), "not all zero"), (series(-1, 1, 2, 3), "negative")):
        for measure in (log_nse, fms, flv):
            with pytest.raises(InputError, match=message):
                measure(s, wrong)
    with pytest.raises(InputError, match="fraction"):
        log_nse(s, o, fraction=0.0)


@pytest.mark.parametrize("measure", [kge, kge_2012])
def test_round_off_in_a_constant_simulation_is_no_variation(measure):
    s, o = torch.full((60,), 0.1, dtype=torch.float64).requires_grad_(), flows(1, 60)
    value = measure(s, o)
    assert value.item() == pytest.approx(1 - (2 + (0.1 / o.mean() - 1) ** 2) ** 0.5)
    (gradient,) = torch.autograd.grad(value, s)
    assert gradient.abs().max() < 1


def test_constant_observations_are_named_even_where_round_off_hides_them():
    flat = torch.full((60,), 0.1, dtype=torch.float64)
    s = torch.from_numpy(flows(1, 60))
    for measure in (nse, log_nse, kge, kge_2012):
        with pytest.raises(InputError, match="all equal"):
            measure(s, flat)
    with pytest.raises(InputError, match="low flows are all equal"):
        flv(s, flat)
    with pytest.raises(InputError, match="slope"):
        fms(s, flat)
    with pytest.raises(InputError, match="50 valid observations, not 49"):
        fhv(s[:49], s[:49])


def test_plain_numbers_are_not_rounded_to_single_precision():
    s, o = flows(1, 20), flows(2, 20)
    assert mse(torch.from_numpy(s), o.tolist()).item() == pytest.approx(((s - o) ** 2).mean(), rel=1e-14)


def test_likelihoods_reach_their_error_model():
    s, o = torch.from_numpy(flows(1, 30, 2)), flows(2, 30)
    sigma = torch.tensor([[0.5], [2.0]], dtype=torch.float64, requires_grad=True)
    growth = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: gaussian_log_likelihood(s, o, x), sigma)
    assert torch.autograd.gradcheck(lambda a, b: heteroscedastic_log_likelihood(s, o, a, b), (sigma, growth))
    same = heteroscedastic_log_likelihood(s, o, sigma, 0.0)
    assert torch.allclose(same, gaussian_log_likelihood(s, o, sigma), rtol=1e-14)
    # One observation is enough where the error is known.
    one = gaussian_log_likelihood(series(1, 2), series(NAN, 2), 1.0)
    assert one.item() == pytest.approx(-0.5 * np.log(2 * np.pi))
    with pytest.raises(InputError, match=r"at least 1 valid observation is needed; there are 0"):
        gaussian_log_likelihood(series(1, 2), series(NAN, NAN), 1.0)
    with pytest.raises(InputError, match="sigma must be positive"):
        gaussian_log_likelihood(s, o, 0.0)
    with pytest.raises(InputError, match="sigma_1 must be zero or more"):
        heteroscedastic_log_likelihood(s, o, 1.0, -0.1)
    with pytest.raises(ShapeError, match="sigma"):
        gaussian_log_likelihood(s, o, torch.ones(3))


def test_the_flow_duration_curve_of_two_flows_ends_with_the_lower():
    found = fms(torch.tensor([6.0, 2.0], dtype=torch.float64), [8.0, 4.0])
    assert found.item() == pytest.approx(100 * (np.log(6 / 2) / np.log(8 / 4) - 1), rel=1e-12)
