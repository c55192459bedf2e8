"""A recession taken out of a store is found from noisy, sparse observations, put back and refined; nothing where nothing lacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.assimilate import Problem, SmoothedRecord, smooth_record
from pydiffgeo.discover import (
    Candidate,
    discover,
    mended_record,
    record_increments,
    record_lacks,
    record_library,
    refine,
    with_terms,
)
from pydiffgeo.errors import InputError, UnknownNameError

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

TRUE, DAYS = 1e-3, 400


def store(square: float) -> dg.Model:
    return dg.Model(
        name="Store",
        graph=dg.single_cell(),
        states=(dg.State("storage", "mm", "water", default=30.0, low=0.0),),
        parameters=(dg.Parameter("k", "d-1", "recession", 0.02, 0.0),),
        forcings=(dg.ForcingVariable("rain", "mm d-1", "rain", low=0.0),),
        source=lambda cell, forcing: {
            "storage": forcing.rain - cell.k * cell.storage - square * cell.storage**2,
        },
    )


CANDIDATES = (
    Candidate("S", lambda cell, forcing: cell.storage, "mm"),
    Candidate("S^2", lambda cell, forcing: cell.storage**2, "mm2"),
    Candidate("S^3", lambda cell, forcing: cell.storage**3, "mm3"),
    Candidate("P", lambda cell, forcing: forcing.rain, "mm d-1"),
    Candidate("P S", lambda cell, forcing: forcing.rain * cell.storage, "mm2 d-1"),
)


def problem(model: dg.Model) -> Problem:
    """Storage every third day with an error of three millimetres, of some forty."""
    random, times = np.random.default_rng(3), np.arange(DAYS + 1.0)
    wave = 1 + 0.9 * np.sin(2 * np.pi * np.arange(DAYS) / 100)
    rain = np.where(random.random(DAYS) < 0.3, random.exponential(10.0, DAYS), 0.0) * wave
    sol = dg.solve(store(TRUE), forcing={"rain": rain}, times=times, engine="sundials", rtol=1e-8)
    at = np.arange(3, DAYS + 1, 3)
    values = sol.states["storage"][at, 0].detach() + 3.0 * torch.from_numpy(random.normal(size=len(at)))
    seen = dg.observe.Observation("storage", "value", times[at], values, 3.0)
    settings = {"engine": "sundials", "rtol": 1e-5}
    return Problem(
        model,
        times,
        {"rain": rain},
        [seen],
        uncertain={"storage": 3.0},
        model_error={"storage": 0.5},
        settings=settings,
    )


@pytest.fixture(scope="module")
def lacking() -> SmoothedRecord:
    return smooth_record(problem(store(0.0)))


def test_a_missing_recession_is_found_from_noisy_storage_and_refined(lacking: SmoothedRecord) -> None:
    amiss = record_increments(lacking, "storage", width=10)
    library = record_library(CANDIDATES, lacking, "storage", width=10)
    found = discover(library, amiss, unit="mm d-1", tolerance=0.02, all_of=2)
    assert found.verdict == "found", found
    assert found.terms == pytest.approx({"S^2": -TRUE}, rel=0.1)
    assert abs(found.terms["S^2"] + TRUE) < 3 * found.errors["S^2"]
    # What was used is said.
    for part in ("weak-constraint 4D-Var", "storage (133 values, errors about 3)", "averaging kernel", "10 intervals"):
        assert part in found.treatment
    mended = with_terms(lacking.problem.model, "storage", found, CANDIDATES)
    refined = refine(mended, lacking.problem, ["c_1"])
    assert abs(refined.values["c_1"] + TRUE) < 3 * refined.errors["c_1"]
    assert refined.values["c_1"] == pytest.approx(-TRUE, rel=0.05)
    assert refined.after == pytest.approx(1.0, abs=0.4)
    # A second term is numbered on.
    again = with_terms(mended, "storage", found, CANDIDATES)
    assert [p.name for p in again.parameters] == ["k", "c_1", "c_2"]


def test_what_a_record_lacks_is_asked_and_mended_in_two_calls(lacking: SmoothedRecord) -> None:
    lacks = record_lacks(lacking, CANDIDATES)
    assert [*lacks] == ["storage"]
    found = lacks["storage"]
    assert (found.verdict, [*found.terms]) == ("found", ["S^2"])
    assert found.units["S^2"] == "mm-1 d-1"
    # Of five candidates: each alone, and all pairs.
    assert sorted(len(point.terms) for point in found.sweep) == [1] * 5 + [2] * 10
    model, refined = mended_record(lacking, lacks, CANDIDATES)
    assert [p.name for p in model.parameters] == ["k", "c_1"]
    assert refined.values == {"c_1": pytest.approx(-TRUE, rel=0.05)}
    assert abs(refined.values["c_1"] + TRUE) < 3 * refined.errors["c_1"]
    # A start that is far off, and known to be uncertain, is not paid for by the coefficient.
    far = replace(lacking.problem, initial={"storage": 90.0}, uncertain={"storage": 30.0})
    fixed, free = refine(model, far, ["c_1"]), refine(model, far, ["c_1"], free_start=True)
    assert abs(free.values["c_1"] + TRUE) < abs(fixed.values["c_1"] + TRUE)
    assert free.values["c_1"] == pytest.approx(refined.values["c_1"], rel=0.02)
    assert free.after < fixed.after
    with pytest.raises(InputError, match="most"):
        record_lacks(lacking, CANDIDATES, most=0)


def test_a_record_that_was_not_fitted_is_not_believed(lacking: SmoothedRecord) -> None:
    for change, why in (
        ({"converged": False, "iterations": 7}, "had not converged after 7 steps"),
        ({"reduced_chi_squared": 9.0}, "misses the observations by 3 of their errors"),
    ):
        seen = record_lacks(replace(lacking, **change), CANDIDATES)["storage"]
        assert seen.verdict == "not trustworthy"
        assert why in seen.why


def test_means_over_more_intervals_have_less_noise(lacking: SmoothedRecord) -> None:
    each, ten = (record_increments(lacking, "storage", width=width) for width in (1, 10))
    assert ten.floor / ten.size < 0.7 * each.floor / each.size
    assert ten.values.shape == (40, 1)


def test_a_whole_model_lacks_nothing() -> None:
    record = smooth_record(problem(store(TRUE)))
    amiss = record_increments(record, "storage", width=10)
    found = discover(record_library(CANDIDATES, record, "storage", width=10), amiss, tolerance=0.02, all_of=2)
    assert found.verdict in ("no error found", "not trustworthy")
    assert record.model_error["storage"] < 0.1


def test_what_cannot_be_asked_of_a_record_is_refused(lacking: SmoothedRecord) -> None:
    with pytest.raises(UnknownNameError, match="'snow' is no state whose model may be wrong"):
        record_increments(lacking, "snow")
    with pytest.raises(InputError, match="no two means over 300"):
        record_increments(lacking, "storage", width=300)
    with pytest.raises(UnknownNameError, match="reads what is not given"):
        record_library([Candidate("lake", lambda cell, forcing: cell.lake)], lacking, "storage")
    with pytest.raises(UnknownNameError, match="no parameter 'c_1'"):
        refine(lacking.problem.model, lacking.problem, ["c_1"])
    with pytest.raises(InputError, match="at least one parameter"):
        refine(lacking.problem.model, lacking.problem, [])
    blank = replace(store(0.0), parameters=(dg.Parameter("k", "d-1", "recession"),))
    with pytest.raises(InputError, match=r"\['k'\] have no value to begin from"):
        refine(blank, lacking.problem, ["k"])
