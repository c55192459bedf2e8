"""Linear pattern scaling against lines known beforehand, and against an independent regression."""

from __future__ import annotations

import numpy as np
import pytest
from ensembles import noise, pattern, warming

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError


def test_a_pattern_without_noise_is_found_and_carried_to_another_scenario() -> None:
    slopes, weights = pattern(12, np.random.default_rng(1))
    slopes = slopes.reshape(3, 4)
    drivers = {"low": warming(40, 1.5), "high": warming(50, 4.0)}
    scenarios = {name: (2.0 * d + 5.0, d[:, None, None] * slopes + 0.3) for name, d in drivers.items()}
    found = dg.baselines.PatternScaling.fit(scenarios, weights=weights.reshape(3, 4))
    np.testing.assert_allclose(found.slope, slopes, rtol=1e-12)
    np.testing.assert_allclose(np.average(found.slope, weights=weights.reshape(3, 4)), 1.0, rtol=1e-12)
    middle = warming(30, 2.5)
    np.testing.assert_allclose(found.mean(2.0 * middle + 5.0), middle + 0.3, rtol=1e-12)
    np.testing.assert_allclose(
        found.predict("middle", 2.0 * middle + 5.0), middle[:, None, None] * slopes + 0.3, rtol=1e-12
    )


def test_with_noise_it_is_two_regressions_in_a_chain() -> None:
    random = np.random.default_rng(2)
    slopes, weights = pattern(5, random)
    driver = warming(80, 3.0)
    field = driver[:, None] * slopes + noise(1, 80, 5, random)[0]
    found = dg.baselines.PatternScaling.fit({"a": (driver, field)}, weights=weights)
    mean = field @ weights / weights.sum()
    first = np.polyfit(driver, mean, 1)
    test = warming(20, 1.0)
    for place in range(5):
        line = np.polyfit(mean, field[:, place], 1)
        np.testing.assert_allclose(
            found.predict("b", test)[:, place], np.polyval(line, np.polyval(first, test)), rtol=1e-9
        )
    # Each place's line on the mean of all: the pattern has a mean of one with the weights, and else it has not.
    assert np.average(found.slope, weights=weights) == pytest.approx(1.0, abs=1e-12)
    assert abs(found.slope.mean() - 1.0) > 1e-3


def test_a_second_field_is_scaled_by_the_mean_of_the_first() -> None:
    driver = warming(30, 2.0)
    temperature, rain = driver[:, None] * np.array([0.5, 1.5]), driver[:, None] * np.array([-3.0, 0.2]) + 1.0
    found = dg.baselines.PatternScaling.fit({"a": (driver, temperature, rain)})
    np.testing.assert_allclose(found.slope, [-3.0, 0.2], rtol=1e-12)
    np.testing.assert_allclose(found.intercept, [1.0, 1.0], rtol=1e-12)


def test_the_scenario_of_the_fit_is_no_test() -> None:
    driver = warming(30, 2.0)
    found = dg.baselines.PatternScaling.fit({"ssp245": (driver, driver[:, None] * [1.0, 1.0])})
    for name, given in (("ssp245", 0.9 * driver), ("another name", driver)):
        with pytest.raises(InputError, match=f"{name} is no test: the pattern was fitted on ssp245"):
            found.predict(name, given)


@pytest.mark.parametrize(
    ("scenarios", "weights", "error", "message"),
    [
        ({}, None, InputError, "at least one scenario"),
        ({"a": ([0.0, 1.0], np.ones((3, 2)))}, None, ShapeError, "a: the driver must have the shape"),
        ({"a": ([0.0, np.nan], np.ones((2, 2)))}, None, InputError, "the driver of a must be finite"),
        ({"a": ([1.0, 1.0], [[1.0], [2.0]])}, None, InputError, "the driver does not vary"),
        ({"a": ([0.0, 1.0], [[1.0], [1.0]])}, None, InputError, "the mean over the area does not vary"),
        ({"a": ([0.0, 1.0], [[1.0], [2.0]])}, [1.0, 1.0], ShapeError, "weights must have the shape"),
        ({"a": ([0.0, 1.0], [[1.0], [2.0]])}, [-1.0], InputError, "weights must not be negative"),
    ],
)
def test_what_does_not_fit_is_refused(scenarios, weights, error, message: str) -> None:
    with pytest.raises(error, match=message):
        dg.baselines.PatternScaling.fit(scenarios, weights=weights)
