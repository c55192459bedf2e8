"""What is normal at a site, and that it follows from the days of the period alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from series_sites import DAYS, PERIOD, VARIABLES, make_series

import pydiffgeo as dg
from pydiffgeo.errors import InputError, UnknownNameError
from pydiffgeo.series.normals import FLOOR, normals_of, usual_of, values_of

INSIDE = np.datetime64("2003-01-01") > DAYS


def settled(data: dg.nn.SiteData) -> dg.series.SeriesModel:
    """A model that has a period and usual normals, and has not been trained."""
    model = dg.series.SeriesModel(VARIABLES, data.inputs, width=8)
    cut = data.between(*PERIOD)
    model.settle(usual_of(values_of(cut, VARIABLES), cut.dates), cut.attributes, PERIOD)
    return model


def test_climatology_and_spread_of_a_known_series() -> None:
    # A cosine of the year with white noise: the moving window of 61 days takes little off its swing.
    random, year = np.random.default_rng(1), 2 * np.pi * np.arange(len(DAYS)) / 365.25
    values = torch.from_numpy((5 + 2 * np.cos(year) + random.normal(0, 0.5, len(DAYS)))[None, :, None])
    normals = normals_of(values, DAYS, usual_of(values, DAYS))
    swing = 2 * np.sinc(61 / 365.25)
    np.testing.assert_allclose(normals.at(DAYS)[0, :, 0], 5 + swing * np.cos(year), atol=0.15)
    assert normals.spread.item() == pytest.approx(0.5, rel=0.05)
    anomalies = normals.anomalies(values, DAYS)
    assert anomalies.mean().item() == pytest.approx(0.0, abs=0.02)
    assert anomalies.std().item() == pytest.approx(1.0, abs=0.02)


def test_no_day_outside_of_the_period_has_any_influence() -> None:
    data = make_series(3)
    model = settled(data)
    before = model.normals(data)
    late = torch.from_numpy(~INSIDE)
    other = replace(data, observed=torch.where(late, 1e6, data.observed))
    after = model.normals(other)
    assert torch.equal(before.climatology, after.climatology)
    assert torch.equal(before.spread, after.spread)
    # Nor are normals found elsewhere where the record does not hold the period: then the usual ones are taken.
    alone = model.normals(data.between("2003-01-01", "2003-12-31"))
    assert not alone.own.any()
    assert torch.equal(alone.climatology[1], model.usual.climatology)
    # Given the days of the period beside it, they are those of the site.
    beside = model.normals(data.between("2003-01-01", "2003-12-31"), climate=data)
    assert torch.equal(beside.climatology, before.climatology)
    with pytest.raises(InputError, match="sites of the data in their order"):
        model.normals(data, climate=data.take(["site 0"]))


def test_a_site_without_observations_takes_what_is_usual_and_a_dry_one_a_least_spread() -> None:
    data = make_series(4)
    observed = data.observed.clone()
    observed[1] = torch.nan
    observed[2] = 0.0
    model = settled(data)
    normals = model.normals(replace(data, observed=observed))
    assert normals.own[:, 2].tolist() == [True, False, True, True]
    assert torch.equal(normals.climatology[1, :, 2], model.usual.climatology[:, 2])
    assert normals.spread[2, 2].item() == pytest.approx(FLOOR * model.usual.spread[2].item())
    with pytest.raises(UnknownNameError, match="no series 'snow'"):
        values_of(data, ("snow",))


def test_a_season_never_observed_takes_the_usual_course() -> None:
    data = make_series(3)
    winter = np.isin(DAYS.astype("datetime64[M]").astype(int) % 12, (0, 1, 2, 3, 4))
    observed = data.observed.clone()
    observed[0, torch.from_numpy(winter)] = torch.nan
    normals = settled(data).normals(replace(data, observed=observed))
    assert torch.isfinite(normals.climatology).all()
