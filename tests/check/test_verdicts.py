"""Parts of the check of gradients: differences, verdicts and groups; what it refuses; and the command."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from checking import FINE, linear, outcomes, store

import pydiffgeo as dg
from pydiffgeo.check.gradient_report import Derivative
from pydiffgeo.check.verdicts import judge
from pydiffgeo.errors import InputError, ShapeError, UnknownNameError

# --- parts -----------------------------------------------------------------------------------------


def derivative(adjoint: float | None, forward: float | None, differences: float | None, **other: Any) -> Derivative:
    sizes = [abs(v) for v in (adjoint, forward, differences) if v is not None]
    given = {"rtol": 1e-8, "uncertainty": 1e-9, "scale": max(sizes, default=0.0)} | other
    return Derivative(adjoint=adjoint, forward=forward, differences=differences, **given)


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        (derivative(1.0, 1.0, 1.0), "agrees", "agrees to 1e-09"),
        (derivative(1.0, 1.0, 1.0 + 3e-7), "agrees", "agrees to 3e-07"),
        (
            derivative(1.2, 1.3, 1.3),
            "differs",
            "adjoint 1.2, forward 1.3, differences 1.3: the adjoint of this model is wrong",
        ),
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
)
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
        dg.models.ExpHydro(),
        forcing={"precipitation": [0.0, 8.0, 0.0], "temperature": [4.0, -1.0, 3.0], "daylength": 10.0},
        times=range(4),
        initial={"snow_storage": 0.0, "water_storage": 900.0},
        engine="sundials",
        rtols=FINE,
    )
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
)
def test_errors_name_the_culprit(settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        dg.check_gradients(store(linear), **({"times": range(3), "engine": "sundials"} | settings))


# --- the command -----------------------------------------------------------------------------------
