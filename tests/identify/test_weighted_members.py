"""Ensembles with weights: exact where the model is curved, with posteriors by quadrature beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Prior
from pydiffgeo.errors import InputError
from pydiffgeo.identify import at_mode, of_function, randomised_maximum_likelihood, tell
from pydiffgeo.identify.findings import in_words
from pydiffgeo.identify.posterior import Posterior, effective, quantiles
from pydiffgeo.identify.weighted_members import prior_scores
from pydiffgeo.transforms import Transforms, bounded

STANDARD = {"a": Prior(0.0, 1.0), "b": Prior(0.0, 1.0)}


def valley() -> dg.identify.InverseProblem:
    """b + a^2 / 2 was -2, give or take 0.5; both were standard normal before."""
    return of_function(
        lambda x: x[:, 1:] + 0.5 * x[:, :1] ** 2, ["a", "b"], [0.1, -1.0], [-2.0], 0.5, priors=STANDARD, name="valley"
    )


def by_quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of the posterior of the valley."""
    line = np.linspace(-6, 6, 601)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    a, b = points.T
    density = np.exp(-0.5 * (a**2 + b**2 + ((-2 - b - 0.5 * a**2) / 0.5) ** 2))
    mean = density @ points / density.sum()
    return mean, np.sqrt(density @ (points - mean) ** 2 / density.sum())


def test_weights_mend_what_the_plain_method_gets_wrong_in_a_bent_valley() -> None:
    mean, spread = by_quadrature()
    mode = at_mode(valley())
    found = randomised_maximum_likelihood(mode, 400)
    assert found.draws is not None
    assert found.weights is not None
    count = found.numbers["effective_members"]
    assert 200 < count < 400
    assert np.average(found.draws, axis=0, weights=found.weights) == pytest.approx(
        mean, abs=3 * spread.max() / np.sqrt(count)
    )
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(spread, rel=0.12)
    plain = randomised_maximum_likelihood(mode, 400, weighted=False)
    assert plain.weights is None
    assert plain.draws is not None
    assert plain.draws[:, 0].std() < 0.8 * spread[0]


def test_a_linear_model_gives_alike_weights() -> None:
    problem = of_function(lambda x: 2 * x[:, :1] - x[:, 1:], ["a", "b"], [0.0, 0.0], [1.0], 0.3, priors=STANDARD)
    found = randomised_maximum_likelihood(problem, 30)
    assert found.weights == pytest.approx(np.full(30, 1 / 30), rel=1e-3)


def test_a_value_between_bounds_has_its_posterior() -> None:
    """Of a value that was equally likely anywhere between 0 and 2 the square was seen: the posterior is a piece of a curve."""
    transforms = Transforms((bounded(dg.Parameter("a", "1", "a", 1.0), (0.0, 2.0)),))
    problem = of_function(lambda x: transforms.unpack(x)["a"] ** 2, ["a"], [0.0], [3.2], 1.0, transforms=transforms)
    found = randomised_maximum_likelihood(problem, 1000, seed=2)
    assert found.draws is not None
    assert found.weights is not None
    values = problem.values(torch.from_numpy(found.draws)).numpy()[:, 0]
    a = np.linspace(0, 2, 20001)
    density = np.exp(-0.5 * (a**2 - 3.2) ** 2)
    mean = density @ a / density.sum()
    assert found.weights @ values == pytest.approx(mean, abs=0.04)
    cumulative = np.cumsum(density) / density.sum()
    low, median, high = found.intervals(0.9)["a"]
    assert (low, median, high) == pytest.approx(np.interp([0.05, 0.5, 0.95], cumulative, a), abs=0.09)


def test_scores_are_normal_where_values_were_equally_likely() -> None:
    transforms = Transforms((bounded(dg.Parameter("a", "1", "a", 1.0), (0.0, 2.0)),))
    problem = of_function(lambda x: transforms.unpack(x)["a"], ["a"], [0.0], [1.0], 1.0, transforms=transforms)
    share = torch.tensor([[0.025], [0.5], [0.975], [1e-12]], dtype=torch.float64)
    x = torch.logit(share).requires_grad_()
    score = prior_scores(problem, x)
    assert score[:3, 0].tolist() == pytest.approx([-1.959964, 0.0, 1.959964], abs=1e-6)
    (slope,) = torch.autograd.grad(score.sum(), x)
    # At the middle the share changes by a quarter, and the score by one over the height of the normal distribution.
    assert float(slope[1]) == pytest.approx(0.25 * np.sqrt(2 * np.pi))
    assert bool(torch.isfinite(prior_scores(problem, torch.tensor([[-1e4], [1e4]], dtype=torch.float64))).all())


def test_quantiles_of_alike_draws_leave_room_for_a_further_one() -> None:
    draws = np.random.default_rng(0).normal(size=(19, 2))
    expected = np.quantile(draws, (0.05, 0.5, 0.95), axis=0, method="weibull")
    assert quantiles(draws, None, (0.05, 0.5, 0.95)) == pytest.approx(expected)
    assert quantiles(draws, np.full(19, 3.0), (0.05, 0.5, 0.95)) == pytest.approx(expected)


def test_weights_count_as_often_as_draws_would() -> None:
    draws = np.array([[0.0], [1.0], [2.0]])
    assert effective(np.array([2.0, 1.0, 1.0])) == pytest.approx(16 / 6)
    # The middle of all weight lies halfway between the middles of those of 0 and of 1, at 0.25 and 0.625.
    assert quantiles(draws, np.array([2.0, 1.0, 1.0]), (0.5,))[0, 0] == pytest.approx(2 / 3)
    posterior = Posterior("rml", at_mode(valley()), np.eye(1), draws, weights=np.array([0.0, 0.25, 0.75]))
    drawn = posterior.draw(400)
    assert set(drawn[:, 0]) == {1.0, 2.0}
    assert (drawn == 2.0).mean() == pytest.approx(0.75, abs=0.07)


def test_too_few_members_are_said_to_be_too_few() -> None:
    few, many = (tell(valley(), "rml", draws=count) for count in (12, 60))
    assert any(s.startswith("The ensemble counts as") and "take more of them" in s for s in few.sentences)
    assert not any(s.startswith("The ensemble counts as") for s in many.sentences)
    assert "from 60 weighted fits" in in_words(many)


def test_without_any_knowledge_of_a_direction_there_is_no_ensemble() -> None:
    problem = of_function(lambda x: x[:, :1] + x[:, 1:], ["a", "b"], [0.0, 0.0], [1.0], 0.3)
    with pytest.raises(InputError, match="neither data nor priors say anything"):
        randomised_maximum_likelihood(problem, 10)
