"""Adaptation over basins in small form: what each arm trains, how rates are chosen, and that a study goes on."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from learning import BOUNDS, make_sites

import pydiffgeo as dg

FOLDER = Path(__file__).parents[2] / "benchmarks" / "basins"
SETTINGS = {"engine": "sundials", "solver": "implicit_euler", "step": 1.0}


@pytest.fixture
def adaptation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    module: ModuleType = pytest.importorskip("adaptation")
    return module


def plan(adaptation: ModuleType):
    training = dg.nn.Training(steps=1, batch=3, window=20, warmup=10, inner_steps=2, settings=SETTINGS)
    few = dg.nn.Training(
        steps=2,
        batch=3,
        window=20,
        warmup=10,
        inner_steps=2,
        weight_decay=0.0,
        tuning=20,
        check_every=2,
        settings=SETTINGS,
    )
    return adaptation.Plan(
        ("slope", "noise"),
        {"f": 0.03},
        BOUNDS,
        {},
        training,
        few,
        ("2000-01-01", "2000-03-31"),
        ("2000-01-01", "2000-03-31"),
        ("2000-03-01", "2000-06-28"),
        (0.01, 0.1),
        1,
        (4,),
    )


def test_the_other_climate_is_where_an_attribute_is_largest(adaptation: ModuleType) -> None:
    home, away = adaptation.of_another_climate(make_sites(), "slope", 3)
    assert away == ["site 6", "site 7", "site 8"]
    assert home == [f"site {i}" for i in range(6)]


def test_each_arm_moves_what_it_says(adaptation: ModuleType, tmp_path: Path) -> None:
    data, now = make_sites(), plan(adaptation)
    sites, file = data.take(data.names[:3]), tmp_path / "base.npz"
    before = adaptation.base(now, data.take(data.names[3:]), 0, file).state_dict()
    moved = {}
    for arm in adaptation.ARMS:
        network, seen, count = adaptation.adapted(now, file, sites, arm, 0.05, 0)
        after = network.state_dict()
        changed = {
            n for n, v in before.items() if n.split(".")[0] in ("layers", "head") and not torch.equal(v, after[n])
        }
        moved[arm] = (changed, count)
        assert seen.solves == 6
    heads, layers = {"head.weight", "head.bias"}, {"layers.0.weight", "layers.0.bias"}
    # Two inputs, four hidden, six values.
    values = before["head.bias"].numel()
    assert moved["full"] == (heads | layers, 12 + 5 * values)
    assert moved["last layer"] == (heads, 5 * values)
    assert moved["matrix"] == ({"head.weight", "layers.0.weight"}, (4 + 2) + (values + 4))
    assert moved["tucker"] == ({"head.weight", "layers.0.weight"}, (4 + 2 + 1) + (values + 4 + 1))
    assert moved["anew"][1] == moved["full"][1]


def test_a_study_in_small_form(adaptation: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, now = make_sites(), plan(adaptation)
    study = adaptation.Study(now, data, ["site 7", "site 8"], tmp_path, one_base=True)
    table = study.run([0, 1], 1)
    assert [*table] == [adaptation.AS_IT_IS, *adaptation.ARMS]
    assert all([*seeds] == ["0", "1"] and [*seeds["1"]] == ["site 7", "site 8"] for seeds in table.values())
    for arm in adaptation.ARMS:
        tried = {k: v for k, v in study.kept.items() if k.startswith(f"{arm},")}
        # Two rates by one seed, and the better of them by the other; only that one was ever scored.
        assert len(tried) == 3
        best = min((v["held back"], k.split(", ")[1]) for k, v in tried.items() if k.endswith(" 0"))[1]
        assert {k.split(", ")[1] for k, v in tried.items() if "nse" in v} == {best}
    text = capsys.readouterr().out
    assert "floor" in text
    # With one base both seeds adapt the same network.
    assert table[adaptation.AS_IT_IS]["0"] == table[adaptation.AS_IT_IS]["1"]
    files = {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.npz")}
    assert not (tmp_path / "base_1.npz").exists()
    again = adaptation.Study(now, data, ["site 7", "site 8"], tmp_path, one_base=True).run([0, 1], 1)
    assert again == table
    assert {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.npz")} == files
    assert np.isfinite([v for seeds in table.values() for s in seeds.values() for v in s.values()]).all()
