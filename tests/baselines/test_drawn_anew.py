"""Floors of medians, against what sampling theory says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError, UnknownNameError


def test_the_floor_of_a_median_is_that_of_theory() -> None:
    # The median of n normal numbers has a standard deviation of sigma sqrt(pi / 2n).
    scores = 0.3 * np.random.default_rng(5).normal(size=2000)
    assert dg.baselines.median_floor(scores) == pytest.approx(2 * 0.3 * math.sqrt(math.pi / 2 / 2000), rel=0.15)


def test_what_is_common_to_both_falls_out() -> None:
    random = np.random.default_rng(1)
    hard = random.normal(size=60)
    apart = dg.baselines.median_floor(hard, hard - 0.2 + 0.01 * random.normal(size=60))
    assert apart < 0.03 < 0.2 < dg.baselines.median_floor(hard)
    assert dg.baselines.median_floor(hard, hard - 0.2) == pytest.approx(0.0, abs=1e-12)
    hard[3] = np.nan
    assert dg.baselines.median_floor(hard, hard - 0.2) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ShapeError, match="60 sites"):
        dg.baselines.median_floor(hard, hard[:5])
    with pytest.raises(InputError, match="two sites or more"):
        dg.baselines.median_floor([0.3, np.nan])


def test_one_bad_year_among_ten() -> None:
    days = np.arange("2000-09-01", "2010-12-01", dtype="datetime64[D]")
    observed = torch.zeros(3, len(days), dtype=torch.float64)
    bad = torch.from_numpy((days >= np.datetime64("2004-10-01")) & (days < np.datetime64("2005-10-01")))
    simulated = observed + 2.0 * bad
    # Drawn K times, binomial with 1/10 of 10: mean squared error 4 K / 10.
    expected = 2 * 4 / 10 * math.sqrt(10 * 0.1 * 0.9)
    found = dg.baselines.years_floor(simulated, observed, days, "mse", draws=2000)
    assert found == pytest.approx(expected, rel=0.08)
    # Years that are all alike have no floor; parts of years are left out.
    simulated = observed + 2.0
    simulated[:, :20] = 99.0
    assert dg.baselines.years_floor(simulated, observed, days, "mse", draws=50) == pytest.approx(0.0, abs=1e-12)


def test_what_cannot_be_is_refused() -> None:
    days = np.arange("2000-10-01", "2001-12-01", dtype="datetime64[D]")
    series = torch.rand(2, len(days), dtype=torch.float64)
    with pytest.raises(InputError, match="hold 1 whole years from month 10"):
        dg.baselines.years_floor(series, series, days)
    with pytest.raises(UnknownNameError, match="'nice' is no measure"):
        dg.baselines.years_floor(series, series, days, "nice")
    with pytest.raises(ShapeError, match="series must have the shape"):
        dg.baselines.years_floor(series, series[:, :9], days)
