"""The model itself: the climatology at first, what forecasts may see, files, and the same weights from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from series_sites import PERIOD, VARIABLES, make_series

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError
from pydiffgeo.io import read_archive, write_archive

BRIEF = dg.series.Pretraining(steps=3, batch=4, window=40)


def pretrained(data: dg.nn.SiteData, **settings: object) -> dg.series.SeriesModel:
    model = dg.series.SeriesModel(VARIABLES, data.inputs, width=8, seed=1)
    dg.series.pretrain(model, data, BRIEF, period=PERIOD, progress=False)
    return model


def test_with_the_last_layer_at_zero_it_is_exactly_the_climatology() -> None:
    data = make_series()
    model = pretrained(data)
    normals = model.normals(data)
    assert not torch.equal(dg.series.reconstruct(model, data), normals.at(data.dates))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    assert torch.equal(dg.series.reconstruct(model, data), normals.at(data.dates))
    for lead, found in dg.series.forecast(model, data).items():
        assert torch.equal(found, normals.at(data.dates + lead))


def test_a_new_model_begins_there() -> None:
    model = dg.series.SeriesModel(VARIABLES, ["slope"], width=8)
    assert not model.head.weight.any()
    assert not model.head.bias.any()


def test_a_forecast_sees_no_later_day() -> None:
    data = make_series(3)
    model = pretrained(data)
    before = dg.series.forecast(model, data, (1, 7))
    # Another last year, which is not in the period of the normals.
    at = 1200
    changed = data.observed.clone()
    changed[:, at + 1 :] = 50.0
    forcing = {k: torch.cat([v[:, : at + 1], v[:, at + 1 :] + 3.0], 1) for k, v in data.forcing.items()}
    other = dg.nn.SiteData(data.names, data.dates, forcing, changed, data.attributes, data.inputs, data.flux)
    after = dg.series.forecast(model, other, (1, 7))
    for lead in (1, 7):
        assert torch.equal(before[lead][:, : at + 1], after[lead][:, : at + 1])
        assert not torch.equal(before[lead][:, at + 1], after[lead][:, at + 1])
    # A reconstruction sees both sides.
    both = [dg.series.reconstruct(model, d)[:, at - 5] for d in (data, other)]
    assert not torch.equal(*both)


def test_weights_follow_from_the_seed_whatever_else_is_drawn() -> None:
    first = dg.series.SeriesModel(VARIABLES, ["slope"], width=8, seed=4)
    torch.rand(3)
    before = torch.random.get_rng_state()
    again = dg.series.SeriesModel(VARIABLES, ["slope"], width=8, seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    other = dg.series.SeriesModel(VARIABLES, ["slope"], width=8, seed=5)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.token.weight, other.token.weight)


def test_a_saved_model_is_the_same(tmp_path: Path) -> None:
    data = make_series(4)
    model = pretrained(data)
    path = model.save(tmp_path / "model.npz")
    # Plain arrays and text: nothing is unpickled.
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fU" for name in file.files)
    again = dg.series.SeriesModel.load(path)
    assert again.period == PERIOD
    assert torch.equal(dg.series.reconstruct(again, data), dg.series.reconstruct(model, data))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = pretrained(make_series(4)).save(tmp_path / "model.npz")
    about, arrays = read_archive(path)
    for wrong in ({**about, "format": 99}, {**about, "width": 12}, {"format": 1}):
        with pytest.raises(DataError, match=r"model\.npz: is no model of series"):
            dg.series.SeriesModel.load(write_archive(path, wrong, arrays))
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="is no model of series"):
        dg.series.SeriesModel.load(path)


def test_bad_settings_are_named() -> None:
    with pytest.raises(InputError, match="multiple of four"):
        dg.series.SeriesModel(VARIABLES, [], width=10)
    with pytest.raises(InputError, match="variables"):
        dg.series.SeriesModel([], ["slope"])
    with pytest.raises(InputError, match="no period yet"):
        dg.series.reconstruct(dg.series.SeriesModel(VARIABLES, ["slope"]), make_series(2))
    data = make_series(4)
    with pytest.raises(InputError, match="takes the attributes"):
        dg.series.fill(
            pretrained(data),
            dg.nn.SiteData(data.names, data.dates, data.forcing, data.observed, data.attributes, ("height",), "runoff"),
        )
