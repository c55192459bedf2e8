"""The benchmarks of pretrained models of series in small form: what is hidden, who is scored, and what networks are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from series_sites import PERIOD, make_series

import pydiffgeo as dg

FOLDER = Path(__file__).parents[2] / "benchmarks" / "basins"
LATE = ("2003-01-01", "2003-12-31")


@pytest.fixture
def hidden_series(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    module: ModuleType = pytest.importorskip("hidden_series")
    return module


@pytest.fixture
def embeddings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    module: ModuleType = pytest.importorskip("embeddings")
    return module


def plan(hidden_series: ModuleType):
    training = dg.series.Pretraining(steps=4, batch=4, window=40, leads=(0, 1, 3, 7))
    return hidden_series.Plan(training, PERIOD, LATE, 8)


def test_half_of_the_days_of_evaluation_are_hidden_and_none_before(hidden_series: ModuleType) -> None:
    data, now = make_series(8), plan(hidden_series)
    hidden = hidden_series.hide(data, now)
    late = data.dates >= np.datetime64(LATE[0])
    assert not hidden[:, ~torch.from_numpy(late)].any()
    assert hidden[:, torch.from_numpy(late)].double().mean().item() == pytest.approx(0.5, abs=0.12)
    assert torch.equal(hidden, hidden_series.hide(data, now))


def test_interpolation_is_linear(hidden_series: ModuleType) -> None:
    nan = torch.nan
    row = torch.tensor([[1.0, nan, nan, 4.0, nan]], dtype=torch.float64)
    assert hidden_series.interpolated(row).tolist() == [[1.0, 2.0, 3.0, 4.0, 4.0]]


def test_errors_of_a_model_that_is_the_climatology(hidden_series: ModuleType, tmp_path: Path) -> None:
    data, now = make_series(6), plan(hidden_series)
    kept, out = list(data.names[:4]), list(data.names[4:])
    model = hidden_series.trained(data.take(kept), now, "mixed", 0, tmp_path / "a.npz")
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    found = hidden_series.errors(model, data.take(out), now)
    assert [*found] == ["hidden", "1 d ahead", "3 d ahead", "7 d ahead"]
    for who in found.values():
        torch.testing.assert_close(who["model"], who["climatology"])
        assert who["model"].shape == (2,)


def test_a_study_in_small_form(hidden_series: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, now = make_series(6), plan(hidden_series)
    found = hidden_series.study(data, now, list(data.names[:4]), list(data.names[4:]), (0, 1), tmp_path)
    assert {*found} == {"mixed", "forecasts alone"}
    text = capsys.readouterr().out
    assert "floor" in text
    assert "mixed over forecasts alone, 7 d ahead" in text
    table = hidden_series.rows(found)
    ratio = next(r for r in table if (r["task"], r["rival"], r["objective"]) == ("hidden", "climatology", "mixed"))
    who = found["mixed"]["1"]["hidden"]
    assert ratio["ratio"][1] == pytest.approx((who["model"].mean() / who["climatology"].mean()).sqrt().item())


def test_what_networks_are_given(embeddings: ModuleType) -> None:
    data = make_series(4)
    table = dg.io.SiteTable(data.names, ("embedding_0", "embedding_1"), np.arange(8.0).reshape(4, 2))
    assert embeddings.given(data, table, "attributes", 0) is data
    both, alone, random = (embeddings.given(data, table, kind, 1) for kind in ("both", "embedding", "random"))
    assert both.inputs == random.inputs == ("slope", "embedding_0", "embedding_1")
    assert alone.inputs == table.columns
    np.testing.assert_array_equal(alone.attributes, table.values)
    np.testing.assert_array_equal(both.attributes[:, 1:], table.values)
    assert not np.allclose(random.attributes[:, 1:], table.values)


def test_a_study_of_embeddings_in_small_form(
    embeddings: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from adaptation import Plan

    made = make_series(5)
    hours = torch.full_like(made.observed, 12.0)
    data = replace(made, forcing={**made.forcing, "daylength": hours})
    settings = {"engine": "sundials", "solver": "implicit_euler", "step": 1.0}
    training = dg.nn.Training(steps=1, batch=3, window=20, warmup=10, inner_steps=2, settings=settings)
    late = ("2003-11-01", "2003-12-31")
    now = Plan(("slope",), {}, {}, {}, training, training, PERIOD, PERIOD, late, hidden=(4,))
    kept = list(data.names[:3])
    models = {}
    for seed in (0, 1):
        models[seed] = dg.series.SeriesModel(("precipitation", "temperature", "runoff"), ("slope",), width=8, seed=seed)
        dg.series.pretrain(
            models[seed],
            data.take(kept),
            dg.series.Pretraining(steps=1, batch=2, window=20),
            period=PERIOD,
            progress=False,
        )
    table = embeddings.study(data, now, models, kept, ("attributes", "both"), 2, tmp_path)
    assert {kind: {s: [*v] for s, v in seeds.items()} for kind, seeds in table.items()} == {
        kind: {s: list(data.names[3:]) for s in ("0", "1")} for kind in ("attributes", "both")
    }
    assert "floor" in capsys.readouterr().out
    assert dg.io.read_site_table(tmp_path / "embedding_1.csv").sites == data.names
