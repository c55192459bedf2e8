"""The measurement that is chosen is the one that, made, leaves the smallest variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from identified import at, parallel_reservoirs

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, InputError, UnknownNameError
from pydiffgeo.identify import at_mode, best_place, design, laplace, of_site


def candidates() -> list[dg.observe.Observation]:
    return [
        dg.observe.Observation(name, "value", [day], [np.nan], error=0.1)
        for name in ("S_1", "S_2")
        for day in (2.0, 6.0, 11.0)
    ]


def test_the_reduction_is_what_a_further_observation_does() -> None:
    problem = at(parallel_reservoirs("sundials", (0.1, 0.3)), k_1=0.1, k_2=0.3)
    mode = at_mode(problem, search=False)
    found = design(mode, candidates(), "k_2", count=2)
    before = laplace(mode).covariance[1, 1]
    for i, one in enumerate(candidates()):
        seen = dg.observe.Observation(one.name, "value", one.times, [1.0], error=0.1)
        more = of_site(replace(problem.site, observations=(*problem.site.observations, seen)), problem.x)
        after = laplace(at_mode(more, search=False)).covariance[1, 1]
        assert found.reduction[i] == pytest.approx(1 - after / before, rel=1e-3, abs=1e-6)
    assert found.chosen[0] == int(found.reduction.argmax())
    assert found.remaining[1] < found.remaining[0] < 1
    assert "S_2, at" in found.table()


def test_a_prediction_can_be_what_is_wanted() -> None:
    problem = at(parallel_reservoirs("sundials", (0.1, 0.3)), k_1=0.1, k_2=0.3)
    wanted = dg.observe.Observation("S_1", "value", [11.0], [np.nan], error=1.0)
    found = design(at_mode(problem, search=False), candidates(), wanted)
    assert found.candidates[found.chosen[0]].startswith("S_1")


def test_wrong_questions_are_refused() -> None:
    problem = at(parallel_reservoirs("sundials", (0.1, 0.3)), k_1=0.1, k_2=0.3)
    mode = at_mode(problem, search=False)
    with pytest.raises(UnknownNameError, match="k_3"):
        design(mode, candidates(), "k_3")
    with pytest.raises(InputError, match="candidate"):
        design(mode, [], "k_1")


def one_reading(at: np.ndarray) -> dg.observe.Observation:
    return dg.observe.Observation("S_2", "value", at, [np.nan], error=0.1)


def test_the_best_time_is_at_least_as_good_as_any_of_a_fine_list() -> None:
    """Of one reading of a store, at any time: a list a hundred times as dense holds nothing better."""
    mode = at_mode(at(parallel_reservoirs("sundials", (0.1, 0.3)), k_1=0.1, k_2=0.3), search=False)
    found = best_place(mode, one_reading, [(1.0, 11.5)], "k_2", points=4, rounds=5)
    listed = design(mode, [one_reading(np.array([t])) for t in np.linspace(1.0, 11.5, 400)], "k_2")
    assert found.remaining <= listed.remaining[0] * (1 + 1e-4)
    assert found.looked_at < 100
    # What is said of it is what the same measurement is worth in a list.
    assert found.remaining == pytest.approx(design(mode, [found.observation], "k_2").remaining[0], rel=1e-6)
    assert 1.0 <= found.at[0] <= 11.5
    assert f"{found.at[0]:.4g}" in found.words


def test_bounds_of_places_must_grow() -> None:
    mode = at_mode(at(parallel_reservoirs("sundials", (0.1, 0.3)), k_1=0.1, k_2=0.3), search=False)
    with pytest.raises(BoundsError, match="free number 0"):
        best_place(mode, one_reading, [(3.0, 3.0)], "k_2")
    with pytest.raises(InputError, match="at least one"):
        best_place(mode, one_reading, [], "k_2")
