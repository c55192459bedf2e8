"""Posteriors of linear problems, which are normal: every method must give the closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from identified import DESIGN, at, linear, product_reservoir

import pydiffgeo as dg
from pydiffgeo.calibration import Prior
from pydiffgeo.errors import InputError, UnknownNameError
from pydiffgeo.identify import (
    ErrorModel,
    at_mode,
    laplace,
    of_function,
    predict,
    profiles,
    randomised_maximum_likelihood,
    sample,
    tell,
)
from pydiffgeo.identify.density import density
from pydiffgeo.transforms import Transforms, bounded

PRIORS = {"b": Prior(-1.0, 0.1)}


def closed_form(priors: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the linear problem."""
    a, y = DESIGN.numpy() / 0.5, linear().record.observed.numpy() / 0.5
    information, right = a.T @ a, a.T @ y
    if priors:
        information[1, 1] += 1 / 0.1**2
        right[1] += -1.0 / 0.1**2
    return np.linalg.solve(information, right), np.linalg.inv(information)


@pytest.mark.parametrize("priors", [False, True])
def test_laplace_is_exact(priors: bool) -> None:
    found, (mean, covariance) = laplace(linear(priors=PRIORS if priors else None)), closed_form(priors)
    assert found.problem.x == pytest.approx(mean, abs=1e-7)
    assert found.covariance == pytest.approx(covariance, rel=1e-9)
    low, _, high = found.intervals(0.9)["a"]
    assert high - low == pytest.approx(2 * 1.6448536 * np.sqrt(covariance[0, 0]), rel=1e-6)
    assert found.numbers["values_the_data_determine"] < 3 if priors else 3.0


def test_profiles_cross_where_the_normal_distribution_does() -> None:
    mean, covariance = closed_form(False)
    for i, profile in enumerate(profiles(linear(), points=6).values()):
        reach = 1.6448536 * np.sqrt(covariance[i, i])
        low, best, high = profile.interval(0.9)
        assert (low, best, high) == pytest.approx((mean[i] - reach, mean[i], mean[i] + reach), abs=1e-4)


def test_a_value_that_only_acts_in_a_product_has_no_end() -> None:
    """Its profile is flat but for the bounds, where the prior alone speaks."""
    site = at(product_reservoir("sundials"), a=0.8, c=0.9, k=0.2)
    seen = site.simulate(torch.from_numpy(site.x[None]))[0]
    problem = of_function(site.function, site.names, site.x, seen, 0.1, transforms=site.transforms)
    found = tell(problem)
    assert found.spectrum.rank == 2
    assert found.verdicts["k"] == "known"
    assert found.verdicts["a"] == found.verdicts["c"] == "not known from these data"
    assert "1 does not change what is observed at all" in found.sentences[0]


def test_an_ensemble_has_mean_and_covariance_of_the_posterior() -> None:
    mean, covariance = closed_form(True)
    found = randomised_maximum_likelihood(linear(priors=PRIORS), 300)
    assert found.draws is not None
    spread = np.sqrt(np.diag(covariance))
    assert np.abs(found.draws.mean(0) - mean).max() < 4 * spread.max() / np.sqrt(300)
    assert found.covariance == pytest.approx(covariance, abs=0.3 * spread.max() ** 2)


def test_errors_that_grow_do_not_lead_an_ensemble_astray() -> None:
    """Of many observations of a slope the posterior is normal: an ensemble has its mean and spread."""
    random, n = np.random.default_rng(8), 300
    t = torch.linspace(1.0, 20.0, n, dtype=torch.float64)
    seen = 2.0 * t + 0.3 * 2.0 * t * torch.from_numpy(random.normal(size=n))
    problem = of_function(lambda x: x * t, ["slope"], [2.0], seen, 0.05, errors=ErrorModel(1.0, 0.3, 0.0))
    mode = at_mode(problem)
    found = randomised_maximum_likelihood(mode, 200, seed=1)
    assert found.draws is not None
    spread = 0.3 * 2.0 / np.sqrt(n)
    assert abs(found.draws.mean() - mode.problem.x[0]) < spread
    assert found.draws.std() == pytest.approx(spread, rel=0.25)


def test_sampling_has_mean_and_covariance_of_the_posterior() -> None:
    pytest.importorskip("pyro", reason="full sampling needs pyro-ppl")
    mean, covariance = closed_form(True)
    found = sample(linear(priors=PRIORS), draws=80, warmup=40, chains=2, seed=1)
    assert found.numbers["largest_R_hat"] < 1.2
    spread = np.sqrt(np.diag(covariance))
    assert np.abs((found.draws.mean(0) - mean) / spread).max() < 0.5
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(spread, rel=0.35)


def daily() -> dg.identify.InverseProblem:
    """A slope and a level, of which errors that grow and last were seen; all numbers of the errors are unknown."""
    random, phi, n = np.random.default_rng(11), 0.6, 300
    t = 5.0 * torch.from_numpy(random.gamma(0.5, 1.0, n))
    e = np.zeros(n)
    for i in range(n):
        e[i] = (phi * e[i - 1] if i else 0.0) + np.sqrt(1 - phi**2) * random.normal()
    seen = (1.0 + 2.0 * t) + (0.5 + 0.2 * (1.0 + 2.0 * t)) * torch.from_numpy(e)
    priors = {"level": Prior(0.0, 5.0), "slope": Prior(0.0, 5.0)}
    return of_function(
        lambda x: x[:, :1] + x[:, 1:] * t,
        ["level", "slope"],
        [1.0, 2.0],
        seen,
        0.5,
        errors=ErrorModel(None, None, None),
        priors=priors,
    )


def test_values_and_numbers_of_errors_are_whitened_together() -> None:
    """In the coordinates of the sampler the density bends about equally in all directions."""
    target = density(at_mode(daily()))
    z = torch.zeros(5, dtype=torch.float64)
    bend = torch.autograd.functional.hessian(lambda v: target(v[None])[0], z)
    sizes = torch.linalg.eigvalsh(bend)
    assert float(sizes[0]) > 0.3
    assert float(sizes[-1]) < 2.0
    # Size and growth, one for the other, and size and duration: each by itself would be far narrower.
    root = target.root[2:, 2:]
    covariance = root @ root.T
    assert float(covariance[0, 1]) < -0.3 * float(torch.sqrt(covariance[0, 0] * covariance[1, 1]))


def test_chains_meet_where_errors_grow_and_last() -> None:
    pytest.importorskip("pyro", reason="full sampling needs pyro-ppl")
    found = sample(daily(), draws=120, warmup=60, chains=2, seed=3)
    assert found.numbers["largest_R_hat"] < 1.06
    assert found.numbers["smallest_effective_sample_size"] > 40
    assert found.errors["autocorrelation"].mean() == pytest.approx(0.6, abs=0.12)
    assert found.errors["growth"].mean() == pytest.approx(0.2, abs=0.08)


def test_estimated_errors_are_those_of_least_squares() -> None:
    """Unknown size: the variance with n - p degrees of freedom."""
    problem = linear(ErrorModel(size=None), error=0.5)
    found = at_mode(problem)
    a, y = DESIGN.numpy(), problem.record.observed.numpy()
    rest = y - a @ np.linalg.lstsq(a, y, rcond=None)[0]
    assert found.problem.errors.size == pytest.approx(np.sqrt(rest @ rest / 37) / 0.5, rel=1e-4)


def test_lasting_errors_are_found_and_widen_intervals() -> None:
    """The mean of an autoregressive series: its standard error is that of n (1 - phi) / (1 + phi) independent ones."""
    random, phi, n = np.random.default_rng(2), 0.8, 2000
    e = np.zeros(n)
    for i in range(1, n):
        e[i] = phi * e[i - 1] + np.sqrt(1 - phi**2) * random.normal()
    problem = of_function(lambda x: x.expand(-1, n), ["mean"], [0.0], 5.0 + e, 1.0, errors=ErrorModel(None, 0.0, None))
    found = laplace(problem)
    assert found.problem.errors.autocorrelation == pytest.approx(phi, abs=0.04)
    assert found.problem.errors.size == pytest.approx(1.0, abs=0.12)
    phi, size = found.problem.errors.autocorrelation, found.problem.errors.size
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(size * np.sqrt((1 + phi) / (1 - phi) / n), rel=0.02)


def test_fitted_values_do_not_hide_how_long_errors_last() -> None:
    """Of short series with eight fitted values, residuals are less alike than errors; the estimate is not."""
    random, phi, n, members = np.random.default_rng(7), 0.7, 100, 40
    t = np.arange(n) / n
    design = torch.from_numpy(np.stack([np.cos(np.pi * k * t) for k in range(8)], 1))
    found, naive = list[float](), list[float]()
    for _ in range(members):
        e = random.normal(size=n)
        for i in range(1, n):
            e[i] = phi * e[i - 1] + np.sqrt(1 - phi**2) * e[i]
        names = [f"c{k}" for k in range(8)]
        asked = ErrorModel(None, 0.0, None)
        problem = of_function(lambda x: x @ design.T, names, np.zeros(8), e, 1.0, errors=asked)
        found.append(float(at_mode(problem).problem.errors.autocorrelation or 0.0))
        rest = e - design.numpy() @ np.linalg.lstsq(design.numpy(), e, rcond=None)[0]
        naive.append(float(rest[1:] @ rest[:-1] / (rest @ rest)))
    # A standard error is about 0.012; what is left of the bias is that of series so short.
    assert np.mean(naive) < phi - 0.12
    assert np.mean(found) == pytest.approx(phi, abs=0.06)


def test_errors_that_grow_are_found() -> None:
    random, n = np.random.default_rng(4), 2000
    t = torch.linspace(0.0, 20.0, n, dtype=torch.float64)
    seen = 2.0 * t + (0.5 + 0.2 * 2.0 * t) * torch.from_numpy(random.normal(size=n))
    problem = of_function(lambda x: x * t, ["slope"], [1.5], seen, 0.5, errors=ErrorModel(1.0, None, 0.0))
    found = laplace(problem)
    assert found.problem.errors.growth == pytest.approx(0.2, rel=0.1)
    assert abs(found.problem.x[0] - 2.0) < 3 * np.sqrt(found.covariance[0, 0])


def test_predictions_hold_nine_observations_in_ten() -> None:
    problem = linear()
    found = predict(laplace(problem), draws=400)
    assert 0.8 < found.coverage(problem.record.observed.numpy()) <= 1.0
    # Of a new observation: the error and what is unknown of the values.
    covariance = closed_form(False)[1]
    spread = np.sqrt(0.25 + np.einsum("ti,ij,tj->t", DESIGN.numpy(), covariance, DESIGN.numpy()))
    assert (found.observed_high - found.observed_low).mean() == pytest.approx((2 * 1.645 * spread).mean(), rel=0.05)


def test_what_nobody_knows_is_refused_in_words() -> None:
    flat = of_function(lambda x: x[:, :1] + x[:, 1:2] + torch.zeros(5), ["a", "b"], [0.0, 0.0], torch.arange(5.0), 1.0)
    with pytest.raises(InputError, match="some combination"):
        laplace(flat)
    with pytest.raises(UnknownNameError, match="laplace"):
        tell(linear(), "bayes")
    with pytest.raises(InputError, match="met exactly"):
        at_mode(of_function(lambda x: x.expand(-1, 4), ["a"], [1.0], torch.ones(4), 1.0, errors=ErrorModel(None)))


def test_intervals_of_what_data_do_not_know_reach_from_bound_to_bound() -> None:
    """Equally likely everywhere between its bounds, a value lies in the middle nine tenths of them nine times in ten."""
    bounds = (2.0, 4.0)
    free = Transforms((bounded(dg.Parameter("a", "1", "a", 3.0, typical=bounds)),))
    nothing = of_function(lambda x: 0.0 * x + torch.zeros(1, 5), ["a"], [0.0], torch.zeros(5), 1.0, transforms=free)
    low, _, high = laplace(nothing).intervals(0.9)["a"]
    assert (low, high) == pytest.approx((2.1, 3.9), abs=0.02)
