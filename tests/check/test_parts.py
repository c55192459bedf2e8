"""Parts of the check of gradients: differences, verdicts and groups; what it refuses; and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calibration import write_basins, write_config
from checking import FINE, linear, outcomes, store

import pydiffgeo as dg
from pydiffgeo.check.differences import difference
from pydiffgeo.check.gradient_report import Derivative
from pydiffgeo.check.verdicts import judge
from pydiffgeo.commands import cli
from pydiffgeo.engines.registry import choose_engine
from pydiffgeo.errors import BoundsError, DataError, InputError, ShapeError, UnknownNameError, UnknownSiteError

# --- parts -----------------------------------------------------------------------------------------


def test_differences_know_their_error() -> None:
    rng = np.random.default_rng(0)
    for noise in (0.0, 1e-12, 1e-9, 1e-6, 1e-4):
        for curve, slope in ((lambda h: math.exp(3 * h), 3.0), (lambda h: 1 / (1.2 - h), 1 / 1.44), (math.sin, 1.0)):
            for one_sided in (False, True):
                known: dict[float, float] = {}

                def at(h: float, curve=curve, known=known, noise=noise) -> float:
                    return known.setdefault(h, curve(h) + noise * rng.uniform(-1, 1))

                found = difference(at, one_sided, noise=noise)
                assert abs(found.value - slope) <= 5 * found.error + 1e-12, (noise, slope, one_sided, found)
                assert found.error <= max(1e-5, 3e3 * noise)
                assert found.sides is None


def test_differences_follow_a_bend_within_their_step() -> None:
    # Rounded over 1e-5, far less than the first step.
    found = difference(lambda h: 0.5 * (h + math.hypot(h, 1e-5)) - 0.5 * 1e-5, noise=1e-12)
    assert found.value == pytest.approx(0.5, abs=1e-3)
    ahead = difference(lambda h: 0.5 * (h + math.hypot(h, 1e-5)), one_sided=True, noise=1e-12)
    assert ahead.value == pytest.approx(0.5, abs=1e-2)


def test_differences_stay_within_bounds() -> None:
    def inside(h: float) -> float:
        if abs(h) > 0.003:
            raise BoundsError("out")
        return 2 * h

    assert difference(inside).value == pytest.approx(2)

    def nowhere(h: float) -> float:
        if h:
            raise BoundsError("out")
        return 0.0

    with pytest.raises(BoundsError):
        difference(nowhere)


def derivative(adjoint: float | None, forward: float | None, differences: float | None, **other: Any) -> Derivative:
    sizes = [abs(v) for v in (adjoint, forward, differences) if v is not None]
    given = {"rtol": 1e-8, "uncertainty": 1e-9, "scale": max(sizes, default=0.0)} | other
    return Derivative(adjoint=adjoint, forward=forward, differences=differences, **given)


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        (derivative(1.0, 1.0, 1.0), "agrees", "agrees to 1e-09"),
        (derivative(1.0, 1.0, 1.0 + 3e-7), "agrees", "agrees to 3e-07"),
        (derivative(1.2, 1.3, 1.3), "differs", "adjoint 1.2, forward 1.3, differences 1.3: the adjoint of this model is wrong"),
        (derivative(1.3, 1.2, 1.3), "differs", "forward mode of this model is wrong"),
        (derivative(1.2, 1.2, 1.3), "differs", "agree with each other: something is not differentiable"),
        (derivative(1.2, 1.4, 1.3), "differs", "the adjoint of this model and forward mode of this model are wrong"),
        (derivative(1.2, None, 1.3), "differs", "the adjoint of this model is wrong"),
        (derivative(1.2, 1.3, 1.3, sides=(1.0, 1.6)), "differs", "slopes of 1 and 1.6"),
        (derivative(1.0, 1.0, 1.01, uncertainty=5e-3), "agrees", "and differences resolve no more"),
        (derivative(0.0, 0.0, 0.0, uncertainty=0.0), "no effect", "has no effect on the loss"),
        (derivative(0.0, 0.0, 1e-9), "no effect", "has no effect on the loss"),
        (derivative(0.0, 0.0, 0.5), "differs", "adjoint 0, forward 0, differences 0.5"),
        (derivative(1e-8, 2e-8, 3e-8), "unresolved", "below what the tolerance resolves"),
        (derivative(1.0, 1.0, 0.7, uncertainty=0.3), "unresolved", "adjoint and forward mode agree to 1e-15"),
        (derivative(1.0, 0.9, 0.7, uncertainty=0.3), "differs", "differences cannot tell which is right"),
        (derivative(None, 1.0, 1.0, note="why"), "failed", "no gradient: why"),
        (derivative(1.0, 1.0, None, uncertainty=None, note="why"), "failed", "no finite differences: why"),
    ],
)  # fmt: skip
def test_verdicts(given: Derivative, outcome: str, words: str) -> None:
    found = judge([given], [1.0])
    assert found.outcome == outcome, found
    assert words in found.verdict


def test_an_error_that_falls_is_laid_to_the_tolerance() -> None:
    loose = derivative(2.0, 2.0, 1.0, rtol=1e-4)
    found = judge([loose, derivative(1.01, 1.01, 1.0, rtol=1e-6)], [1.0, 1.0])
    assert found.outcome == "differs"
    assert "falls with the tolerance" in found.verdict
    assert "falls" not in judge([loose, derivative(1.9, 1.9, 1.0, rtol=1e-6)], [1.0, 1.0]).verdict


def test_values_on_bounds_stay_or_move_inwards() -> None:
    report = dg.check_gradients(
        dg.models.ExpHydro(), forcing={"precipitation": [0.0, 8.0, 0.0], "temperature": [4.0, -1.0, 3.0], "daylength": 10.0},
        times=range(4), initial={"snow_storage": 0.0, "water_storage": 900.0}, engine="sundials", rtols=FINE,
    )  # fmt: skip
    found = {g.name: (g.entries, g.moved, g.one_sided) for g in report.groups}
    assert found["forcing precipitation"] == (3, 1, False)
    assert found["initial snow_storage"] == (1, 1, True)
    assert found["forcing daylength"] == (1, 1, False)
    assert report.ok, report
    assert outcomes(report)["initial snow_storage"] == "agrees"


# --- what cannot be checked ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"rtols": ()}, InputError, "rtols must be a sequence of at least one"),
        ({"rtols": 1e-6}, InputError, "rtols must be a sequence of at least one"),
        ({"rtols": (1e-6, 0.0)}, InputError, "rtols must be positive numbers below 1, got 0.0"),
        ({"rtols": (float("nan"),)}, InputError, "rtols must be positive numbers below 1, got nan"),
        ({"rtols": ("1e-6",)}, InputError, "rtols must be positive numbers below 1, got '1e-6'"),
        ({"atol_ratio": -1.0}, InputError, "atol_ratio must be a positive number, got -1.0"),
        ({"rtol": 1e-6}, InputError, "rtol is not among the settings of a check"),
        ({"throw": False}, InputError, "throw is not among the settings of a check"),
        ({"only": ()}, InputError, "there is nothing to differentiate"),
        ({"only": "k"}, InputError, "only must name at least one group"),
        ({"only": ["K"]}, UnknownNameError, "no group of inputs is called 'K'; there are .'parameter k'"),
        ({"parameters": {"q": 1.0}}, UnknownNameError, "unknown parameter 'q'"),
        ({"loss": lambda s: s.states["storage"][:, 0]}, ShapeError, r"scalar tensor, got one of shape \(3,\)"),
        ({"loss": lambda s: 1.0}, InputError, "scalar tensor, got float"),
        ({"loss": lambda s: torch.tensor(1.0)}, InputError, "does not depend on the solution"),
        ({"loss": lambda s: s.states["storage"].sum() * math.nan}, InputError, "the loss is nan"),
        ({"solver": "none"}, InputError, "solver 'none' is unknown"),
    ],
)  # fmt: skip
def test_errors_name_the_culprit(settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        dg.check_gradients(store(linear), **({"times": range(3), "engine": "sundials"} | settings))


# --- the command -----------------------------------------------------------------------------------


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
        found.p[:, 3] *= 1.01
        return found

    monkeypatch.setattr(kind, "backward", wrong)
    assert cli.main(["check", config, "--basin", "01000002", "--days", "30", "--rtols", "1e-8"]) == 1
    shown = capsys.readouterr().out
    assert "nse of 01000002" in shown
    assert shown.splitlines()[-1] == "WRONG OR TOO LOOSE: the gradient to calibrated D_f"


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
        "one", store(linear), range(4), {}, (dg.observe.Observation("storage", "value", [3.0], [1.0], error=1.0),),
        {"k": (0.1, 1.0)}, settings={"engine": "sundials"},
    )  # fmt: skip
    assert dg.calibration.check_site(site, rtols=FINE).ok
    with pytest.raises(InputError, match="nothing to compare with"):
        dg.calibration.check_site(site, duration=1.0)
    with pytest.raises(InputError, match="duration must be a positive number"):
        dg.calibration.check_site(site, duration=-1.0)
