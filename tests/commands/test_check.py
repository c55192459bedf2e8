"""`pydiffgeo check`: the gradients of a calibration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calibration import write_basins, write_config
from checking import FINE, linear, store

import pydiffgeo as dg
from pydiffgeo.commands import cli
from pydiffgeo.engines.registry import choose_engine
from pydiffgeo.errors import DataError, InputError, UnknownSiteError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("basins")
    write_basins(path)
    return path


def test_the_command_checks_a_calibration(folder: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    priors = "[model.priors]\nf = { mean = 0.03, spread = 0.5, log = true }\nS_max = { mean = 400.0, spread = 1.0 }\n\n[solve]"
    config = write_config(folder, ("[solve]", priors), ('engine = "sundials"', f'engine = "{engine}"'))
    assert cli.main(["check", str(config), "--days", "30", "--json", str(folder / "c.json")]) == 0
    shown = capsys.readouterr().out
    assert f"Gradients of ExpHydro by {engine}" in shown
    assert "loss: nse of 01000001 with priors" in shown
    assert "OK: gradients agree for 4 of 4 groups" in shown
    plain = json.loads((folder / "c.json").read_text())
    assert plain["ok"]
    assert [g["name"] for g in plain["groups"]] == [f"calibrated {k}" for k in ("f", "S_max", "D_f", "water_storage")]
    assert [(r["rtol"], r["atol"]) for r in plain["runs"]] == [(1e-6, 1e-6), (1e-8, 1e-8), (1e-10, 1e-10)]
    assert not list(folder.glob(".c.json*"))


def test_the_command_says_what_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(folder))
    kind = type(choose_engine("sundials")[0])
    original = kind.backward

    def wrong(*args: Any) -> Any:
        found = original(*args)
        # S_max meets a state, so that all of its gradient comes this way.
        found.p[:, 1] *= 1.01
        return found

    monkeypatch.setattr(kind, "backward", wrong)
    assert cli.main(["check", config, "--basin", "01000002", "--days", "30", "--rtols", "1e-8"]) == 1
    shown = capsys.readouterr().out
    assert "nse of 01000002" in shown
    assert shown.splitlines()[-1] == "WRONG OR TOO LOOSE: the gradient to calibrated S_max"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--days", "0"], "days must be a whole number, 1 or more, that 64 bits hold, got 0"),
        (["--basin", "7"], "basins has no '7'; there are ['01000001', '01000002']"),
        (["--rtols", "-1"], "rtols must be positive numbers below 1, got -1.0"),
        (["--json", "absent/c.json"], "absent/c.json: there is no folder absent"),
    ],
)
def test_errors_of_the_command(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(write_config(folder)), *arguments]) == 1
    assert words in capsys.readouterr().err
    assert cli.main(["check", str(folder / "absent.toml")]) == 1


def test_errors_of_files_are_typed(folder: Path) -> None:
    config = write_config(folder)
    with pytest.raises(UnknownSiteError):
        dg.hydrology.check_file(config, basin="7")
    with pytest.raises(DataError, match="there is no folder"):
        dg.hydrology.check_file(config, output=folder / "absent" / "c.json")
    site = dg.calibration.Site(
        "one",
        store(linear),
        range(4),
        {},
        (dg.observe.Observation("storage", "value", [3.0], [1.0], error=1.0),),
        {"k": (0.1, 1.0)},
        settings={"engine": "sundials"},
    )
    assert dg.calibration.check_site(site, rtols=FINE).ok
    with pytest.raises(InputError, match="nothing to compare with"):
        dg.calibration.check_site(site, duration=1.0)
    with pytest.raises(InputError, match="duration must be a positive number"):
        dg.calibration.check_site(site, duration=-1.0)
