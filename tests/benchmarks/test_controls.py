"""The controls of learning over basins, in small form: what networks are given, and that a study ends in scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from learning import make_sites

import pydiffgeo as dg

FOLDER = Path(__file__).parents[2] / "benchmarks" / "basins"


@pytest.fixture
def controls(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    module: ModuleType = pytest.importorskip("controls")
    return module


def sites(count: int = 6) -> dg.nn.SiteData:
    """Made-up basins with the weather that HBV needs, and a place."""
    made = make_sites()
    made = made.take(made.names[:count])
    place = torch.stack([40.0 + torch.arange(count), -90.0 - torch.arange(count)], dim=1).double()
    demand = torch.clamp(made.forcing["temperature"], min=0.0) * 0.15
    return replace(
        made,
        attributes=torch.cat([made.attributes, place], dim=1),
        inputs=(*made.inputs, "gauge_lat", "gauge_lon"),
        forcing=made.forcing | {"potential_evapotranspiration": demand},
    )


def test_what_networks_are_given(controls: ModuleType) -> None:
    data = sites()
    own = controls.given(data, "attributes", 0)
    assert own.inputs == data.inputs[:-2]
    assert torch.equal(own.attributes, data.attributes[:, :-2])
    assert controls.given(data, "place", 0).attributes.tolist() == data.attributes[:, -2:].tolist()
    shuffled = controls.given(data, "shuffled", 3).attributes
    assert sorted(shuffled.tolist()) == sorted(own.attributes.tolist())
    assert not (shuffled == own.attributes).all(dim=1).any()
    random = [controls.given(data, "random", seed).attributes for seed in (0, 0, 1)]
    assert torch.equal(random[0], random[1])
    assert not torch.equal(random[0], random[2])


def test_scores_of_a_perfect_and_a_halved_series(controls: ModuleType) -> None:
    observed = torch.rand(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    observed[3] = torch.nan
    same, half = controls.scores(observed, observed), controls.scores(0.5 * observed, observed)
    assert (same["nse"], same["low_rmse"], same["bfi_error"]) == (1.0, 0.0, 0.0)
    low = observed[~observed.isnan()].sort().values[:120]
    assert half["low_rmse"] == pytest.approx((0.5 * low).square().mean().sqrt().item(), rel=0.01)
    assert half["bfi_error"] == pytest.approx(0.0, abs=1e-12)
    assert half["fhv"] == pytest.approx(-50.0)


@pytest.mark.parametrize("varying", [(), ("BETA", "K0")])
def test_a_study_in_small_form(
    controls: ModuleType, varying: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = dg.nn.Training(steps=2, batch=3, window=40, warmup=20, settings={"engine": "sundials", "rtol": 1e-3})
    plan = controls.Plan(
        "hbv",
        {},
        training,
        ("2000-01-01", "2000-04-30"),
        ("2000-05-01", "2000-06-28"),
        varying,
        hidden=(4,),
        folds=3,
        used=1,
        warmup=30,
    )
    table = controls.study(sites(), plan, ("attributes", "place"), (0,), tmp_path)
    for part, count in (("held out", 2), ("trained", 4)):
        for control in ("attributes", "place"):
            basins = table[control][part]["0"]
            assert len(basins) == count
            assert all(np.isfinite(b["nse"]) and np.isfinite(b["bfi_error"]) for b in basins.values())
    said = capsys.readouterr().out
    own, other = (np.median([b["nse"] for b in table[c]["held out"]["0"].values()]) for c in ("attributes", "place"))
    assert f"attributes above place, held out, seeds 0: {own - other:+.3f}" in said
    # A second run reads what was trained.
    again = controls.study(sites(), plan, ("attributes",), (0,), tmp_path)
    assert json.dumps(again["attributes"]) == json.dumps(table["attributes"])
