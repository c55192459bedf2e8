"""Training by what is hidden: it learns, is the same from the same seed, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from series_sites import PERIOD, VARIABLES, make_series

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError, UnknownNameError
from pydiffgeo.series import Masks, Pretraining, SeriesModel, pretrain

BRIEF = Pretraining(steps=6, batch=4, window=30, spacings=(1, 2), seed=3)


def weights(model: SeriesModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_hidden_runoff_of_new_sites_is_found_better_than_by_climatology_or_interpolation() -> None:
    data = make_series(12)
    out = [f"site {i}" for i in (2, 5, 9)]
    model = SeriesModel(VARIABLES, data.inputs, width=16)
    plan = Pretraining(steps=120, batch=16, window=90, learning_rate=1e-2, weights={"precipitation": 0.1})
    pretrain(model, data.take([n for n in data.names if n not in out]), plan, period=PERIOD, progress=False)
    apart = data.take(out)
    hidden = np.zeros(apart.observed.shape, bool)
    late = apart.dates > np.datetime64(PERIOD[1])
    for i, row in enumerate(hidden):
        row[late] = dg.series.gaps(np.random.default_rng(i), int(late.sum()), shortest=5, longest=40)
        row[-2:] = False
    gone = torch.from_numpy(hidden)
    shown = replace(apart, observed=torch.where(gone, torch.nan, apart.observed))
    filled = dg.series.fill(model, shown)
    # What was seen stays as it is, what was not is there.
    assert torch.equal(filled.observed[~gone], apart.observed[~gone])
    assert torch.isfinite(filled.observed).all()
    line = torch.stack(
        [
            torch.from_numpy(np.interp(np.arange(len(row)), np.flatnonzero(~gap), row[~gap]))
            for row, gap in zip(apart.observed.numpy(), hidden, strict=True)
        ]
    )
    climatology = model.normals(shown).at(apart.dates)[:, :, 2]
    error = {
        name: (found - apart.observed)[gone].square().mean().sqrt().item()
        for name, found in {"model": filled.observed, "line": line, "climatology": climatology}.items()
    }
    assert error["model"] < 0.8 * error["line"]
    assert error["model"] < 0.8 * error["climatology"]


def test_the_same_call_gives_the_same_weights_and_another_seed_others() -> None:
    data, found = make_series(5), []
    for seed in (3, 3, 4):
        model = SeriesModel(VARIABLES, data.inputs, width=8)
        torch.rand(seed)
        pretrain(model, data, replace(BRIEF, seed=seed), period=PERIOD, progress=False)
        found.append(weights(model))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_days_outside_of_the_period_have_no_part_in_it() -> None:
    data, found = make_series(5), []
    late = torch.from_numpy(data.dates > np.datetime64(PERIOD[1]))
    for observed in (data.observed, torch.where(late, 1e3, data.observed)):
        model = SeriesModel(VARIABLES, data.inputs, width=8)
        pretrain(model, replace(data, observed=observed), BRIEF, period=PERIOD, progress=False)
        found.append(weights(model))
    assert same(*found)


class Stopped(Exception):
    pass


def test_what_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    data = make_series(5)

    def new() -> SeriesModel:
        return SeriesModel(VARIABLES, data.inputs, width=8)

    whole = new()
    seen = pretrain(whole, data, BRIEF, period=PERIOD, progress=False)

    def stop(step: int, loss: float) -> None:
        if step == 3:
            raise Stopped

    file = tmp_path / "checkpoint.npz"
    with pytest.raises(Stopped):
        pretrain(new(), data, BRIEF, period=PERIOD, checkpoint=file, progress=False, callback=stop)
    again, steps = new(), []
    rest = pretrain(
        again, data, BRIEF, period=PERIOD, checkpoint=file, progress=False, callback=lambda n, loss: steps.append(n)
    )
    assert steps == [4, 5, 6]
    assert rest.loss == seen.loss
    assert same(weights(again), weights(whole))
    with pytest.raises(DataError, match=r"another training.*plan"):
        pretrain(new(), data, replace(BRIEF, batch=5), period=PERIOD, checkpoint=file, progress=False)
    with pytest.raises(DataError, match=r"another training.*data"):
        pretrain(new(), data.take(data.names[:4]), BRIEF, period=PERIOD, checkpoint=file, progress=False)
    file.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        pretrain(new(), data, BRIEF, period=PERIOD, checkpoint=file, progress=False)


def test_forecasts_alone_leave_what_reads_the_future_as_it_was() -> None:
    data = make_series(4)
    model = SeriesModel(VARIABLES, data.inputs, width=8)
    before = model.future.weight_hh_l0.detach().clone()
    pretrain(model, data, replace(BRIEF, leads=(1, 7), weight_decay=0.0), period=PERIOD, progress=False)
    assert torch.equal(model.future.weight_hh_l0, before)
    both = SeriesModel(VARIABLES, data.inputs, width=8)
    pretrain(both, data, replace(BRIEF, leads=(0, 7), weight_decay=0.0), period=PERIOD, progress=False)
    assert not torch.equal(both.future.weight_hh_l0, before)


def test_a_basin_without_a_gauge_is_trained_for() -> None:
    data = make_series(4)
    observed = data.observed.clone()
    observed[3] = torch.nan
    data = replace(data, observed=observed)
    model = SeriesModel(VARIABLES, data.inputs, width=8)
    pretrain(model, data, replace(BRIEF, masks=Masks(gaps=0, variables=0, basins=1)), period=PERIOD, progress=False)
    assert torch.isfinite(dg.series.fill(model, data).observed).all()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"leads": ()}, "leads"),
        ({"leads": (-1,)}, "leads"),
        ({"spacings": (0,)}, "spacings"),
        ({"reconstruction": 1.5}, "reconstruction"),
        ({"weights": {"runoff": -1.0}}, "runoff"),
        ({"average": 1.0}, "average"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_bad_numbers_are_named(wrong: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Pretraining(**wrong)


def test_what_does_not_fit_is_refused() -> None:
    data = make_series(4)
    model = SeriesModel(VARIABLES, data.inputs, width=8)
    with pytest.raises(InputError, match="the model takes"):
        pretrain(SeriesModel(VARIABLES, ["height"]), data, BRIEF, progress=False)
    with pytest.raises(UnknownNameError, match="weights: the model has no 'snow'"):
        pretrain(model, data, replace(BRIEF, weights={"snow": 1.0}), progress=False)
    with pytest.raises(UnknownNameError, match="'runoff' was observed"):
        pretrain(SeriesModel(["temperature"], data.inputs), data, BRIEF, progress=False)
    with pytest.raises(InputError, match="fewer than window and leads need"):
        pretrain(model, data, BRIEF, period=("2000-01-01", "2000-02-20"), progress=False)
    with pytest.raises(DataError, match="'runoff': no site has a year"):
        pretrain(model, replace(data, observed=torch.full_like(data.observed, torch.nan)), BRIEF, progress=False)
