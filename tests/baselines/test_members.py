"""Rankings against means of few and of many members, on an ensemble whose forced response is known."""

from __future__ import annotations

import numpy as np
import pytest
from ensembles import noise, pattern, warming

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError

YEARS, PLACES, MEMBERS, LATE = 120, 200, 50, slice(-21, None)


def test_the_floor_is_that_of_a_mean_of_independent_runs() -> None:
    random = np.random.default_rng(3)
    sd = random.uniform(0.5, 2.0, 400)
    runs = random.normal(0, sd, (60, 400))
    weights = random.uniform(0.1, 1.0, 400)
    expected = np.sqrt(np.average(sd**2, weights=weights))
    assert dg.baselines.noise_floor(runs, 1, weights=weights) == pytest.approx(expected, rel=0.05)
    sizes = np.array([1, 2, 5, 10, 50])
    floors = [dg.baselines.noise_floor(runs, int(n)) for n in sizes]
    assert np.polyfit(np.log(sizes), np.log(floors), 1)[0] == pytest.approx(-0.5, abs=1e-12)
    # It is what the true response scores.
    scored = [np.sqrt(np.mean(random.normal(0, sd, (5, 400)).mean(0) ** 2)) for _ in range(50)]
    assert np.mean(scored) == pytest.approx(dg.baselines.noise_floor(runs, 5), rel=0.05)


def ensemble(bend: float, random: np.random.Generator):
    """Members of two scenarios of a response that bends by a share of the signal at four degrees."""
    slopes, weights = pattern(PLACES, random)
    made = {}
    for name, last in (("train", 4.0), ("test", 2.6)):
        mean = warming(YEARS, last)
        curve = mean[:, None] * slopes + bend * (mean[:, None] ** 2 - 4.0 * mean[:, None]) / 4.0 * slopes
        made[name] = (mean, curve, noise(MEMBERS, YEARS, PLACES, random))
    return made, weights


def test_the_error_of_pattern_scaling_is_its_own_and_that_of_the_target() -> None:
    """The forced response is a pattern: what is left is noise learnt from n members, and noise of an n-member target."""
    made, weights = ensemble(0.0, np.random.default_rng(4))
    (mean, curve, wiggle), (late, late_curve, late_wiggle) = made["train"], made["test"]
    truth = late_curve[LATE].mean(0)
    rows = []
    for n in (1, 3, 10, 50):
        own, true, target_noise = [], [], []
        for draw in range(4):
            drawn = np.random.default_rng(draw).choice(MEMBERS, n, replace=False)
            fit = dg.baselines.PatternScaling.fit({"train": (mean, curve + wiggle[drawn].mean(0))}, weights=weights)
            predicted = fit.predict("test", late)[LATE].mean(0).numpy()
            target = truth + late_wiggle[drawn][:, LATE].mean((0, 1))
            square = [(predicted - target) ** 2, (predicted - truth) ** 2, (target - truth) ** 2]
            for kept, value in zip((own, true, target_noise), square, strict=True):
                kept.append(np.average(value, weights=weights))
        rows.append([n, *(np.sqrt(np.mean(x)) for x in (own, true, target_noise))])
    sizes, own, true, target_noise = np.array(rows).T
    np.testing.assert_allclose(own, np.sqrt(true**2 + target_noise**2), rtol=0.1)
    assert np.polyfit(np.log(sizes), np.log(target_noise), 1)[0] == pytest.approx(-0.5, abs=0.05)
    floors = [dg.baselines.noise_floor(late_wiggle[:, LATE].mean(1), int(n), weights=weights) for n in sizes]
    np.testing.assert_allclose(target_noise, floors, rtol=0.15)


def rivals(made, weights):
    """Pattern scaling, and a flexible learner: a parabola in each place; both from the members drawn."""
    (mean, curve, wiggle), (late, _, _) = made["train"], made["test"]

    def scaling(drawn):
        fit = dg.baselines.PatternScaling.fit({"train": (mean, curve + wiggle[drawn].mean(0))}, weights=weights)
        return fit.predict("test", late)[LATE].mean(0).numpy()

    def parabola(drawn):
        found = np.polynomial.polynomial.polyfit(mean, curve + wiggle[drawn].mean(0), 2)
        return np.polynomial.polynomial.polyval(late[LATE], found).mean(1)

    return {"scaling": scaling, "parabola": parabola}


def test_a_mild_bend_is_seen_with_many_members_and_not_with_few() -> None:
    made, weights = ensemble(0.1, np.random.default_rng(5))
    _, truth, wiggle = made["test"]
    runs = (truth + wiggle)[:, LATE].mean(1)
    few, many = (
        dg.baselines.rank_by_members(runs, rivals(made, weights), n=n, draws=20, weights=weights) for n in (3, 50)
    )
    # Three members: the bends that it learns are noise, if anything.
    assert ("parabola", "scaling") not in few.apart
    assert many.apart == (("parabola", "scaling"),)
    assert "parabola is better than scaling" in str(many)
    assert many.error["parabola"].mean() < many.error["scaling"].mean()
    # Nobody beats the floor by more than chance; with few members it is most of the error.
    assert few.floor == pytest.approx(many.floor * np.sqrt(50 / 3), rel=1e-12)


def test_equal_rivals_cannot_be_told_apart() -> None:
    runs = np.random.default_rng(6).normal(size=(30, 50))
    found = dg.baselines.rank_by_members(runs, {"a": np.zeros(50), "b": np.zeros(50)})
    assert found.apart == ()
    assert "a cannot be told apart from b" in str(found)


@pytest.mark.parametrize(
    ("members", "given", "choices", "error", "message"),
    [
        (np.ones((1, 4)), {"a": np.ones(4), "b": np.ones(4)}, {}, ShapeError, "two or more"),
        (np.full((3, 4), np.nan), {"a": np.ones(4), "b": np.ones(4)}, {}, InputError, "members must be finite"),
        (np.ones((3, 4)), {"a": np.ones(4)}, {}, InputError, "two rivals"),
        (np.ones((3, 4)), {"a": np.ones(4), "b": np.ones(5)}, {}, ShapeError, r"b must be finite, of the shape \(4,\)"),
        (np.ones((3, 4)), {"a": np.ones(4), "b": np.ones(4)}, {"n": 0}, InputError, "n"),
        (np.ones((3, 4)), {"a": np.ones(4), "b": np.ones(4)}, {"confidence": 0.4}, InputError, "confidence"),
    ],
)
def test_what_does_not_fit_is_refused(members, given, choices, error, message: str) -> None:
    with pytest.raises(error, match=message):
        dg.baselines.rank_by_members(members, given, **choices)
