"""Both engines against the reference gradients of `benchmarks/reference_gradients`."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "reference_gradients"
sys.path.insert(0, str(FOLDER))
import layers  # noqa: E402
from problems import PROBLEMS  # noqa: E402
from statement import differences  # noqa: E402

sys.path.remove(str(FOLDER))

# Absolute tolerances go with the smallest states that matter.
SMALLEST = {"robertson": 1e-5, "pollu": 1e-6, "van_der_pol": 1e-3}
TIGHT = 1e-9
# Steps are not placed at kinks: an adjoint that passes dozens of them is less accurate than its states.
KINKED = {"hbv": 5e-6}
# One backward solve of the large column is enough.
ONLY = {"van_genuchten": ("loss",)}
# A group whose whole effect on an output is below this share of it is not resolved by any solve.
RESOLVED = 1e-9


@cache
def document(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def errors(name: str, engine: str, rtol: float, atol: float) -> dict[str, float]:
    """Largest relative error of values and of each group of derivatives, over all outputs of a problem."""
    values, gradients = layers.solve(name, PROBLEMS[name], ONLY.get(name, ()), engine=engine, rtol=rtol, atol=atol)
    found: dict[str, float] = {}
    for key, value in values.items():
        output = document(name)["outputs"][key]
        reference = {k: np.ravel(v) for k, v in output["derivatives"].items()}
        unresolved = {
            k
            for k, v in document(name)["inputs"].items()
            if np.abs(reference[k]).max() * max(np.abs(v["value"]).max(), 1.0) < RESOLVED * abs(output["value"])
        }
        rows = {"value": abs(value / output["value"] - 1)}
        for group, error in (rows | differences(PROBLEMS[name], gradients[key], reference)).items():
            if group not in unresolved:
                found[group] = max(error, found.get(group, 0.0))
    return found


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_file_states_its_problem_and_how_well_two_ways_agree(name: str) -> None:
    filed, problem = document(name), PROBLEMS[name]
    assert filed["equations"] == [*problem.equations]
    assert filed["times"] == [*problem.times]
    assert {k: v["value"] for k, v in filed["inputs"].items()} == {k: v.value for k, v in problem.inputs.items()}
    assert {k: v["statement"] for k, v in filed["outputs"].items()} == problem.outputs
    for row in filed["obtained"]["agreement"].values():
        assert max(row.values()) < 1e-8
    assert filed["obtained"].get("change_from_a_coarser_tolerance", 0.0) < 1e-8


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_at_a_tight_tolerance(name: str, engine: str) -> None:
    found = errors(name, engine, TIGHT, 1e-3 * TIGHT * SMALLEST.get(name, 1.0))
    assert max(found.values()) < KINKED.get(name, 1e-6), found


@pytest.mark.parametrize("name", PROBLEMS)
def test_requested_1e_4_gives_1e_4(name: str, engine: str, record_property) -> None:
    found = errors(name, engine, 1e-4, 1e-6 * SMALLEST.get(name, 1.0))
    for group, error in found.items():
        record_property(group, f"{error:.1e}")
    print(name, engine, {k: f"{v:.1e}" for k, v in found.items()})
    assert max(found.values()) <= 1e-4, found
