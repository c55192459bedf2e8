"""Baselines on records with known answers, their gaps and errors, and what counts as better."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.baselines import Climatology, LinearRegression, Persistence, compare
from pydiffgeo.errors import InputError, ShapeError, UnknownNameError
from pydiffgeo.hydrology.basin import BasinData
from pydiffgeo.hydrology.scores import _prediction

NAN = float("nan")
# Two leap years and four others.
DATES = np.arange("2000-01-01", "2006-01-01", dtype="datetime64[D]")
TRAIN = slice(0, 4 * 365 + 1)
VALIDATION = slice(4 * 365 + 1, None)


def by_date(width: int, dates: np.ndarray, values: np.ndarray, day: dt.date) -> float:
    """The mean of all observations within half a width of a day of the year, by the calendar."""

    def place(d: dt.date) -> int:
        return (dt.date(2000, d.month, d.day) - dt.date(2000, 1, 1)).days

    near = []
    for d, v in zip(dates.tolist(), values, strict=True):
        apart = abs(place(d) - place(day))
        if min(apart, 366 - apart) <= width // 2 and not np.isnan(v):
            near.append(v)
    return float(np.mean(near))


@pytest.mark.parametrize("width", [3, 7, 31])
def test_climatology_agrees_with_a_count_by_the_calendar(width):
    random = np.random.default_rng(1)
    values = random.gamma(2.0, 1.0, len(DATES))
    values[random.random(len(DATES)) < 0.2] = NAN
    fitted = Climatology.fit(DATES, values, TRAIN, width=width)
    predicted = fitted.predict(DATES, VALIDATION)
    assert predicted.dtype == torch.float64
    assert len(predicted) == 366 + 365
    for day in ("2004-01-01", "2004-02-29", "2004-03-01", "2005-03-01", "2005-07-14", "2005-12-31"):
        at = int(np.flatnonzero(DATES[VALIDATION] == np.datetime64(day))[0])
        expected = by_date(width, DATES[TRAIN], values[TRAIN], dt.date.fromisoformat(day))
        assert predicted[at].item() == pytest.approx(expected, rel=1e-12)


def test_climatology_knows_a_season_and_looks_at_training_alone():
    season = 3 + np.cos(2 * np.pi * (DATES - DATES[0]).astype(float) / 365.25)
    predicted = Climatology.fit(DATES, season, TRAIN, width=1).predict(DATES, VALIDATION)
    assert dg.losses.nse(predicted, season[VALIDATION]).item() > 0.999
    later = season.copy()
    later[VALIDATION] = 1e6
    assert torch.equal(Climatology.fit(DATES, later, TRAIN, width=1).predict(DATES, VALIDATION), predicted)
    # Smoothing rounds the season off a little.
    smooth = Climatology.fit(DATES, season, TRAIN).means
    assert 3.9 < smooth.max() < 4


def test_climatology_says_where_it_knows_nothing():
    spring = slice(60, 120)
    fitted = Climatology.fit(DATES, np.ones(len(DATES)), spring, width=11)
    assert fitted.predict(DATES, slice(55, 125)).tolist() == [1] * 70
    with pytest.raises(InputError, match="day of the year of 2000-05-05 and 4 other dates"):
        fitted.predict(DATES, slice(60, 130))
    with pytest.raises(InputError, match="at least one observation"):
        Climatology.fit(DATES, np.full(len(DATES), NAN))
    with pytest.raises(InputError, match="odd number"):
        Climatology.fit(DATES, np.ones(len(DATES)), width=30)
    with pytest.raises(ShapeError, match="lengths"):
        Climatology.fit(DATES, np.ones(3))
    with pytest.raises(InputError, match="infinite"):
        Climatology.fit(DATES[:2], [1.0, np.inf])


def test_persistence_carries_the_last_known_value():
    observed = [1.0, 2.0, NAN, NAN, 5.0, 6.0, NAN]
    assert Persistence().predict(observed, slice(1, None)).tolist() == [1, 2, 2, 2, 5, 6]
    assert Persistence(3).predict(observed, slice(3, 7)).tolist() == [1, 2, 2, 2]
    assert Persistence().predict(torch.tensor(observed), slice(-1, None)).tolist() == [6]
    with pytest.raises(InputError, match="1 steps or more before step 0"):
        Persistence().predict(observed)
    with pytest.raises(InputError, match="before step 1"):
        Persistence().predict([NAN, NAN, 1.0], slice(1, None))
    with pytest.raises(InputError, match="lead"):
        Persistence(0)


def test_persistence_begins_on_the_day_after_the_first_that_was_seen():
    runoff = np.where(np.arange(10) < 3, np.nan, np.arange(10.0))
    days = np.arange("2000-01-01", "2000-01-11", dtype="datetime64[D]")
    zero = np.zeros(10)
    data = BasinData("b", days, zero, zero, zero + 10.0, runoff, "a file")
    found, predicted = _prediction("persistence", data, slice(0, 10), slice(0, 10))
    assert predicted == slice(4, 10)
    np.testing.assert_array_equal(found, np.arange(3.0, 9.0))


def test_persistence_does_not_look_ahead():
    observed = np.random.default_rng(2).random(30)
    changed = observed.copy()
    changed[18:] = 9.0
    for lead in (1, 3):
        before = Persistence(lead).predict(observed, slice(10, 18 + lead))
        assert torch.equal(Persistence(lead).predict(changed, slice(10, 18 + lead)), before)


@pytest.fixture
def weather() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {"rain": random.gamma(0.5, 4.0, 400), "temperature": random.normal(8.0, 6.0, 400)}


def test_regression_finds_a_linear_law_with_lags(weather):
    rain, temperature = weather["rain"], weather["temperature"]
    flow = 1 + 0.5 * rain - 0.1 * temperature
    flow[1:] += 0.3 * rain[:-1]
    flow[2:] += 0.1 * rain[:-2]
    flow[::7] = NAN
    window = slice(0, 250)
    fitted = LinearRegression.fit(weather, flow, window, lags={"rain": (0, 1, 2), "temperature": (0,)})
    assert np.allclose(fitted.coefficients, [1, 0.5, 0.3, 0.1, -0.1], atol=1e-12)
    predicted = fitted.predict(weather, slice(250, None))
    assert dg.losses.nse(predicted, flow[250:]).item() == pytest.approx(1)
    # The normal equations, solved by themselves, on other lags and with noise.
    noisy = flow + np.random.default_rng(4).normal(0, 1, 400)
    other = LinearRegression.fit(weather, noisy, slice(20, 250), lags=1)
    x = np.stack([np.ones(399), rain[1:], rain[:-1], temperature[1:], temperature[:-1]], axis=1)[19:249]
    good = ~np.isnan(noisy[20:250])
    normal = np.linalg.solve(x[good].T @ x[good], x[good].T @ noisy[20:250][good])
    assert np.allclose(other.coefficients, normal, rtol=1e-9)


def test_regression_fills_missing_drivers_with_their_mean(weather):
    flow = 2 * weather["rain"]
    rain = weather["rain"].copy()
    rain[[30, 300]] = NAN
    fitted = LinearRegression.fit({"rain": rain}, flow, slice(0, 200))
    predicted = fitted.predict({"rain": rain}, slice(200, None))
    assert torch.isfinite(predicted).all()
    assert predicted[100].item() == pytest.approx(2 * np.nanmean(rain[:200]))
    # The first steps of a record have no earlier drivers.
    assert torch.isfinite(LinearRegression.fit({"rain": rain}, flow, lags=2).predict({"rain": rain})).all()


def test_regression_on_drivers_that_cannot_be_told_apart(weather):
    twins = {"a": weather["rain"], "b": weather["rain"]}
    fitted = LinearRegression.fit(twins, 4 * weather["rain"])
    assert np.allclose(fitted.coefficients, [0, 2, 2], atol=1e-10)


def test_regressions_that_make_no_sense_are_named(weather):
    flow = np.ones(400)
    for call, kind, message in (
        (lambda: LinearRegression.fit({}, flow), InputError, "at least one driver"),
        (lambda: LinearRegression.fit(weather, flow, lags=-1), InputError, "lags"),
        (lambda: LinearRegression.fit(weather, flow, lags={"snow": (0,)}), UnknownNameError, "snow"),
        (lambda: LinearRegression.fit(weather, flow[:9]), ShapeError, "lengths"),
        (lambda: LinearRegression.fit(weather, flow, slice(0, 2)), InputError, "3 coefficients .* there are 2"),
        (lambda: LinearRegression.fit(weather, flow).predict({"rain": flow}), UnknownNameError, "temperature"),
    ):
        with pytest.raises(kind, match=message):
            call()


def verdict(measure: str, scores: list[float], baseline: float, **options: float) -> str:
    (found,) = compare({measure: scores}, {"climatology": {measure: baseline}}, **options)
    return found.verdict


def test_better_is_beyond_the_spread_over_seeds():
    assert verdict("nse", [0.80, 0.82, 0.81], 0.70) == "better"
    assert verdict("nse", [0.80, 0.82, 0.81], 0.90) == "worse"
    # One seed does not beat it; all do, but by less than the spread.
    assert verdict("nse", [0.95, 0.9, 0.69, 0.93], 0.70) == "no different"
    assert verdict("nse", [0.72, 0.95], 0.70) == "no different"
    assert verdict("nse", [0.72, 0.95], 0.70, spreads=0.0) == "better"
    # Lower is better, and nearer to the target.
    assert verdict("rmse", [1.0, 1.1, 1.05], 2.0) == "better"
    assert verdict("percent_bias", [-1.0, 1.0, 0.5], 10.0) == "better"
    assert verdict("percent_bias", [-20.0, 20.0, 21.0], 10.0) == "worse"
    assert verdict("gaussian_log_likelihood", [-10.0, -11.0], -50.0) == "better"
    # Without any spread an equal score is still no better.
    assert verdict("kge", [0.5, 0.5], 0.5) == "no different"
    assert verdict("kge", [0.5, 0.5], 0.4) == "better"


def test_a_comparison_covers_what_both_have_and_reads_as_a_sentence():
    scores = {"nse": [0.8, 0.82], "rmse": [1.0, 1.2]}
    baselines = {"climatology": {"nse": 0.5}, "persistence": {"nse": 0.9, "rmse": 1.1, "kge": 0.3}}
    found = compare(scores, baselines)
    assert [(c.measure, c.baseline, c.verdict) for c in found] == [
        ("nse", "climatology", "better"),
        ("nse", "persistence", "worse"),
        ("rmse", "persistence", "no different"),
    ]
    assert str(found[0]) == "nse 0.81 +- 0.014 is better than climatology (0.5)"
    assert str(found[2]).endswith("is no different from persistence (1.1)")
    for given, base, kind, message in (
        ({"nse": [0.8]}, {"a": {"nse": 0.1}}, InputError, "two seeds"),
        ({"nse": [0.8, NAN]}, {"a": {"nse": 0.1}}, InputError, "not finite"),
        ({"r2": [0.8, 0.9]}, {"a": {"r2": 0.1}}, UnknownNameError, "not a measure"),
        ({"nse": [0.8, 0.9]}, {"a": {"kge": 0.1}}, InputError, "no measure"),
    ):
        with pytest.raises(kind, match=message):
            compare(given, base)
    with pytest.raises(InputError, match="spreads"):
        compare(scores, baselines, spreads=-1.0)


def test_a_regression_does_not_depend_on_the_units_of_its_drivers():
    random = np.random.default_rng(1)
    rain, warmth = random.gamma(0.5, 8.0, 300), 280 + random.normal(size=300)
    flow = 1 + 0.5 * rain - 0.2 * warmth
    for unit in (1.0, 1e-15, 1e9):
        drivers = {"rain": unit * rain, "warmth": warmth}
        predicted = LinearRegression.fit(drivers, flow, lags=1).predict(drivers, slice(5, 300))
        np.testing.assert_allclose(predicted, flow[5:], rtol=1e-9)
