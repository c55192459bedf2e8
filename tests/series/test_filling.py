"""Forecasts that learn, and embeddings: of whom, by what, and as attributes of a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from series_sites import PERIOD, VARIABLES, make_series

import pydiffgeo as dg
from pydiffgeo.errors import InputError, UnknownNameError


@pytest.fixture(scope="module")
def pair() -> tuple[dg.series.SeriesModel, dg.nn.SiteData]:
    data = make_series(8)
    model = dg.series.SeriesModel(VARIABLES, data.inputs, width=12)
    plan = dg.series.Pretraining(steps=80, batch=16, window=60, learning_rate=1e-2, weights={"precipitation": 0.1})
    dg.series.pretrain(model, data, plan, period=PERIOD, progress=False)
    return model, data


def test_a_forecast_of_a_day_is_better_than_the_climatology(pair) -> None:
    model, data = pair
    late = torch.from_numpy(data.dates > np.datetime64(PERIOD[1]))
    ahead = dg.series.forecast(model, data, (1,))[1][:, :, 2].roll(1, 1)
    usual = model.normals(data).at(data.dates)[:, :, 2]
    error, without = ((p - data.observed)[:, late].square().mean().sqrt() for p in (ahead, usual))
    assert error < 0.7 * without
    with pytest.raises(InputError, match="leads"):
        dg.series.forecast(model, data, (0,))


def test_filling_touches_nothing_that_was_seen(pair) -> None:
    model, data = pair
    warm = data.forcing["temperature"].clone()
    warm[2, 100:150] = torch.nan
    filled = dg.series.fill(model, replace(data, forcing={**data.forcing, "temperature": warm}))
    assert torch.equal(filled.observed, data.observed)
    seen = ~torch.isnan(warm)
    assert torch.equal(filled.forcing["temperature"][seen], warm[seen])
    # Within what temperatures vary by around their season, 2 degrees.
    gap = filled.forcing["temperature"][2, 100:150] - data.forcing["temperature"][2, 100:150]
    assert gap.square().mean().sqrt() < 3.0


def test_embeddings_tell_sites_apart_and_see_only_what_is_shown(pair) -> None:
    model, data = pair
    table = dg.series.embed(model, data, size=2)
    assert table.sites == data.names
    assert table.columns == ("embedding_0", "embedding_1")
    # The first component follows what the sites differ by.
    assert abs(np.corrcoef(table.values[:, 0], data.attributes[:, 0])[0, 1]) > 0.8
    np.testing.assert_allclose(table.values.mean(0), 0.0, atol=1e-9)
    # With runoff hidden, its values and normals have no influence.
    other = replace(data, observed=data.observed * 3.0 + 1.0)
    one, two = (dg.series.embed(model, d, hidden=("runoff",)).values for d in (data, other))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (8, 24)
    assert not np.array_equal(dg.series.embed(model, data).values, dg.series.embed(model, other).values)


def test_the_components_are_those_of_the_training(pair) -> None:
    model, data = pair
    kept, out = data.take(data.names[:6]), data.take(data.names[6:])
    whole = dg.series.embed(model, data, size=3, like=kept)
    np.testing.assert_allclose(dg.series.embed(model, out, size=3, like=kept).values, whole.values[6:], atol=1e-6)
    with pytest.raises(InputError, match="components at most"):
        dg.series.embed(model, out, size=2)
    with pytest.raises(UnknownNameError, match="no 'snow'"):
        dg.series.embed(model, data, hidden=("snow",))


def test_embeddings_are_attributes_of_a_network(pair) -> None:
    model, data = pair
    richer = data.joined(dg.series.embed(model, data, hidden=("runoff",), size=2))
    assert richer.inputs == ("slope", "embedding_0", "embedding_1")
    network = dg.nn.ParameterNetwork(dg.models.ExpHydro(), richer.inputs).normalise(richer.attributes)
    assert network(richer.attributes)["f"].shape == (8, 1)
    with pytest.raises(InputError, match="'embedding_0' is there already"):
        richer.joined(dg.series.embed(model, data, size=1))
