"""Losses against hand-made numbers, their gradients, missing observations, and their errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pydiffgeo import losses
from pydiffgeo.errors import InputError, ShapeError
from pydiffgeo.hydrology.scores import UNITS

MEASURES = [
    losses.nse,
    losses.kge,
    losses.bias,
    losses.rmse,
    losses.mse,
    losses.mae,
    losses.percent_bias,
    losses.log_nse,
    losses.kge_2012,
]
CURVES = [losses.fhv, losses.fms, losses.flv]
# Arguments that some measures need.
EXTRA = {"sigma": 0.7, "sigma_0": 0.5, "sigma_1": 0.2}
NAN = float("nan")


def series(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_values_worked_out_by_hand():
    s, o = series(1, 2, 3, 6), series(1, 3, 3, 5)
    assert losses.mse(s, o).item() == pytest.approx(0.5)
    assert losses.rmse(s, o).item() == pytest.approx(0.5**0.5)
    assert losses.nse(s, o).item() == pytest.approx(1 - 2 / 8)
    assert losses.bias(series(2, 4), series(1, 4)).item() == pytest.approx(0.2)


def test_kge_is_made_of_correlation_spread_and_mean():
    random = np.random.default_rng(1)
    o, s = random.gamma(1.0, 2.0, 200), random.gamma(2.0, 1.5, 200)
    parts = np.corrcoef(s, o)[0, 1] - 1, s.std() / o.std() - 1, s.mean() / o.mean() - 1
    assert losses.kge(torch.from_numpy(s), o).item() == pytest.approx(1 - np.linalg.norm(parts), rel=1e-12)


def test_reference_points():
    o = series(1, 4, 2, 8)
    assert losses.nse(o, o).item() == 1
    assert losses.kge(o, o).item() == pytest.approx(1, abs=1e-12)
    mean = torch.full_like(o, o.mean().item())
    assert losses.nse(mean, o).item() == pytest.approx(0, abs=1e-15)
    # A constant simulation with the right mean: no correlation, no spread (Knoben et al. 2019).
    assert losses.kge(mean, o).item() == pytest.approx(1 - 2**0.5)
    assert losses.bias(1.1 * o, o).item() == pytest.approx(0.1)


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
        losses.nse(series(1, 2, 3), flat)
    with pytest.raises(InputError, match="all equal"):
        losses.kge(series(1, 2, 3), flat)
    with pytest.raises(InputError, match="mean zero"):
        losses.kge(series(1, 2, 3), series(-1, 0, 1))
    with pytest.raises(InputError, match="add up to zero"):
        losses.bias(series(1, 2, 3), series(-1, 0, 1))
    with pytest.raises(InputError, match="infinite"):
        losses.mse(series(1, 2, 3), series(1, 2, float("inf")))


def test_shapes_must_fit():
    with pytest.raises(ShapeError, match="same number of times"):
        losses.nse(torch.ones(3), torch.ones(4))
    with pytest.raises(ShapeError, match="does not broadcast"):
        losses.nse(torch.ones(3), torch.ones(2, 3))


def test_losses_are_small_for_good_simulations():
    o = series(1, 4, 2, 8)
    for name, loss in losses.LOSSES.items():
        assert loss(o + 0.01, o) < loss(o + 1.0, o), name
        assert loss(o, o).item() == pytest.approx(0, abs=1e-12), name


def flows(seed: int, n: int, members: int | None = None) -> np.ndarray:
    """Positive series without ties."""
    return np.random.default_rng(seed).lognormal(0.0, 1.0, n if members is None else (members, n))


def extra(name: str) -> dict[str, float]:
    return {k: EXTRA[k] for k in losses.MEASURES[name].needs}


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


@pytest.mark.parametrize("name", losses.MEASURES)
def test_every_measure_agrees_with_numpy(name):
    s, (o, kept) = flows(1, 130), with_gaps(flows(2, 130))
    value = losses.MEASURES[name].function(torch.from_numpy(s), o, **extra(name))
    assert value.item() == pytest.approx(by_numpy(name, s[kept], o[kept]), rel=1e-11)


@pytest.mark.parametrize("name", losses.MEASURES)
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
        return losses.MEASURES[name].function(x, o, **extra(name))

    value = losses.MEASURES[name].function(whole, o, **extra(name))
    assert value.shape == (2,)
    (gradient,) = torch.autograd.grad(value.sum(), whole)
    assert torch.isfinite(gradient).all()
    assert (gradient[torch.from_numpy(np.isnan(o))] == 0).all()
    assert torch.autograd.gradcheck(inner, whole[:, :59].detach().requires_grad_())


@pytest.mark.parametrize("name", losses.MEASURES)
def test_a_perfect_simulation_has_the_perfect_value_and_a_finite_gradient(name):
    measure, o = losses.MEASURES[name], torch.from_numpy(with_gaps(flows(7, 130))[0])
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
    assert losses.MEASURES["nse"].better == "higher"
    assert losses.MEASURES["nse"].badness(0.75) == 0.25
    assert losses.MEASURES["rmse"].badness(2.0) == 2.0
    assert losses.MEASURES["fhv"].badness(-12.0) == losses.MEASURES["fhv"].badness(12.0) == 12.0
    assert losses.MEASURES["gaussian_log_likelihood"].badness(-3.0) == 3.0
    assert all(name == m.name and m.better in ("higher", "lower", "target") for name, m in losses.MEASURES.items())
    assert not {"bias", "percent_bias", "flv", "gaussian_log_likelihood"} & {*losses.LOSSES}
    # A result states the unit of its loss.
    assert {losses.MEASURES[name].unit for name in losses.LOSSES} <= {*UNITS}


def test_components_say_what_is_wrong():
    o = torch.from_numpy(flows(1, 40))
    wet = losses.kge_components(1.2 * o, o)
    assert [round(x.item(), 12) for x in wet] == [1, 1.2, 1.2]
    assert losses.kge_components(1.2 * o, o, version=2012).variability.item() == pytest.approx(1)
    assert losses.kge_components(-o, o).correlation.item() == pytest.approx(-1)
    with pytest.raises(InputError, match="2009 and 2012"):
        losses.kge_components(o, o, version=2010)


def test_logarithms_of_low_flows():
    s, o = series(0, 1, 2, 3), series(0, 2, 1, 5)
    assert torch.isfinite(losses.log_nse(s, o))
    assert losses.log_nse(s, o).item() == pytest.approx(losses.log_nse(1000 * s, 1000 * o).item(), rel=1e-12)
    negative = series(-1, 1, 2, 3).requires_grad_()
    assert losses.log_nse(negative, o).item() == losses.log_nse(s, o).item()
    (gradient,) = torch.autograd.grad(losses.log_nse(negative, o), negative)
    assert torch.isfinite(gradient).all()
    for wrong, message in ((series(0, 0, 0, 0), "not all zero"), (series(-1, 1, 2, 3), "negative")):
        for measure in (losses.log_nse, losses.fms, losses.flv):
            with pytest.raises(InputError, match=message):
                measure(s, wrong)
    with pytest.raises(InputError, match="fraction"):
        losses.log_nse(s, o, fraction=0.0)


def test_a_dry_simulation_has_every_score_and_a_finite_gradient():
    o = torch.from_numpy(flows(1, 80))
    for name, m in losses.MEASURES.items():
        s = torch.zeros(80, dtype=torch.float64, requires_grad=True)
        value = m.function(s, o, **extra(name))
        (gradient,) = torch.autograd.grad(value, s)
        assert torch.isfinite(value), name
        assert torch.isfinite(gradient).all(), name


@pytest.mark.parametrize("measure", [losses.kge, losses.kge_2012])
def test_round_off_in_a_constant_simulation_is_no_variation(measure):
    s, o = torch.full((60,), 0.1, dtype=torch.float64).requires_grad_(), flows(1, 60)
    value = measure(s, o)
    assert value.item() == pytest.approx(1 - (2 + (0.1 / o.mean() - 1) ** 2) ** 0.5)
    (gradient,) = torch.autograd.grad(value, s)
    assert gradient.abs().max() < 1


def test_constant_observations_are_named_even_where_round_off_hides_them():
    flat = torch.full((60,), 0.1, dtype=torch.float64)
    s = torch.from_numpy(flows(1, 60))
    for measure in (losses.nse, losses.log_nse, losses.kge, losses.kge_2012):
        with pytest.raises(InputError, match="all equal"):
            measure(s, flat)
    with pytest.raises(InputError, match="low flows are all equal"):
        losses.flv(s, flat)
    with pytest.raises(InputError, match="slope"):
        losses.fms(s, flat)
    with pytest.raises(InputError, match="50 valid observations, not 49"):
        losses.fhv(s[:49], s[:49])


def test_plain_numbers_are_not_rounded_to_single_precision():
    s, o = flows(1, 20), flows(2, 20)
    assert losses.mse(torch.from_numpy(s), o.tolist()).item() == pytest.approx(((s - o) ** 2).mean(), rel=1e-14)


def test_likelihoods_reach_their_error_model():
    s, o = torch.from_numpy(flows(1, 30, 2)), flows(2, 30)
    sigma = torch.tensor([[0.5], [2.0]], dtype=torch.float64, requires_grad=True)
    growth = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.gaussian_log_likelihood(s, o, x), sigma)
    assert torch.autograd.gradcheck(lambda a, b: losses.heteroscedastic_log_likelihood(s, o, a, b), (sigma, growth))
    same = losses.heteroscedastic_log_likelihood(s, o, sigma, 0.0)
    assert torch.allclose(same, losses.gaussian_log_likelihood(s, o, sigma), rtol=1e-14)
    # One observation is enough where the error is known.
    one = losses.gaussian_log_likelihood(series(1, 2), series(NAN, 2), 1.0)
    assert one.item() == pytest.approx(-0.5 * np.log(2 * np.pi))
    with pytest.raises(InputError, match=r"at least 1 valid observation is needed; there are 0"):
        losses.gaussian_log_likelihood(series(1, 2), series(NAN, NAN), 1.0)
    with pytest.raises(InputError, match="sigma must be positive"):
        losses.gaussian_log_likelihood(s, o, 0.0)
    with pytest.raises(InputError, match="sigma_1 must be zero or more"):
        losses.heteroscedastic_log_likelihood(s, o, 1.0, -0.1)
    with pytest.raises(ShapeError, match="sigma"):
        losses.gaussian_log_likelihood(s, o, torch.ones(3))
