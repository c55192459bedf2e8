"""Searches for steady states that are hard, or for states that are not there: what failed says so, and which state is to blame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from one_state import one_state

import pydiffgeo as dg
from pydiffgeo import Status
from pydiffgeo.errors import SolverError


def single(rate: Callable[[Any], Any], start: float = 0.0, **more: Any) -> dg.Model:
    """One state that changes at a given rate."""
    return one_state(lambda cell, forcing: {"y": rate(cell.y)}, start=start, **more)


def search(model: dg.Model, engine: str, **more: Any) -> dg.SteadySolution:
    return dg.steady(model, engine=engine, throw=False, **more)


def test_continuation_goes_where_newton_stalls(engine: str) -> None:
    # From zero Newton's method steps to one and back; damped, it ends at 0.816, where the slope is zero.
    found = search(single(lambda y: -(y**3) + 2 * y - 2), engine)
    assert found.stats["continuation"] == [True]
    assert float(found.states["y"]) == pytest.approx(float(np.real(np.roots([1, 0, -2, 2])[0])), rel=1e-14)


def test_damping_suffices_where_newton_overshoots(engine: str) -> None:
    found = search(single(lambda y: 1 - torch.tanh(y) - 0.9, start=6.0), engine)
    assert float(found.states["y"]) == pytest.approx(np.arctanh(0.1), rel=1e-12)


def test_a_flat_start_is_left_in_time(engine: str) -> None:
    # Below a threshold nothing drains, and no rate depends on the state.
    found = search(single(lambda y: 1 - torch.clamp(y - 100, min=0), low=0.0), engine)
    assert found.stats["continuation"] == [True]
    assert float(found.states["y"]) == pytest.approx(101.0, rel=1e-14)


@pytest.mark.parametrize("cells", [4, 5, 10])
def test_a_closed_field_is_a_family(cells: int, engine: str) -> None:
    c = torch.linspace(0, 1, cells**2)
    found = search(dg.models.DiffusionRaster(cells), engine, initial={"c": c})
    assert found.status == [Status.SINGULAR]
    assert f"'c' in {cells**2} of {cells**2} cells" in found.reasons[0]
    assert torch.isnan(found.states["c"]).all()


def test_what_fills_for_ever_has_no_steady_state(engine: str) -> None:
    model = dg.Model(
        name="Filled",
        graph=dg.column(1.0, 20),
        states=(dg.State("water", "1", "water", default=0.0), dg.State("heat", "1", "heat", default=0.0)),
        source=lambda cell, forcing: {"water": 1.0 + 0.0 * cell.water, "heat": 1.0 - cell.heat},
        flux=lambda left, right, face: {"water": left.water - right.water},
    )
    with pytest.raises(SolverError, match="'water' in 20 of 20 cells may be; 'water' in cell") as caught:
        dg.steady(model, engine=engine)
    assert caught.value.solution.status == [Status.SINGULAR]
    assert "heat" not in str(caught.value)


def test_the_state_that_does_not_come_to_rest_is_named(engine: str) -> None:
    model = dg.Model(
        name="Pair",
        graph=dg.network(2, [(0, 1)]),
        states=(dg.State("a", "1", "a", default=1.0), dg.State("b", "1", "b", default=0.0)),
        source=lambda cell, forcing: {"a": 1.0 - cell.a, "b": 1.0 + cell.b**2},
    )
    found = search(model, engine)
    assert found.status == [Status.CONVERGENCE]
    assert "'b' in cell" in found.reasons[0]
    assert "still changes by" in found.reasons[0]


def test_few_iterations_are_too_few(engine: str) -> None:
    found = search(single(lambda y: 1 - torch.exp(y), start=5.0), engine, max_iterations=2)
    assert found.status == [Status.CONVERGENCE]
    assert found.stats["iterations"] == [2]


def test_time_that_is_over_is_told(engine: str) -> None:
    found = search(single(lambda y: 1 - torch.exp(y), start=5.0), engine, max_seconds=1e-9)
    assert found.status == [Status.TIME_LIMIT]


def test_members_that_fail_leave_the_others_alone(engine: str) -> None:
    model = one_state(
        lambda cell, forcing: {"y": torch.sqrt(cell.a) - cell.y, "through": cell.y},
        "a",
        start=1.0,
        fluxes=(dg.IntegratedFlux("through", "1", "through"),),
        outputs=(dg.Output("twice", "1", "twice"),),
        output=lambda cell: {"twice": 2 * torch.log(cell.y)},
    )
    a = torch.tensor([[4.0], [-1.0], [9.0]], requires_grad=True)
    found = search(model, engine, parameters={"a": a})
    assert found.status == [Status.SUCCESS, Status.NOT_FINITE, Status.SUCCESS]
    assert "the rate of 'y' in cell 0 is nan" in found.reasons[1]
    assert found.ok.tolist() == [True, False, True]
    torch.testing.assert_close(found.states["y"][found.ok, 0], torch.tensor([2.0, 3.0]))
    assert torch.isnan(found.states["y"][1]).all()
    assert torch.isnan(found.fluxes["through"][1])
    (found.states["y"][found.ok].sum() + found.outputs["twice"][found.ok].sum()).backward()
    # d(sqrt a)/da = 1 / (2 sqrt a), and d(2 log sqrt a)/da = 1 / a.
    torch.testing.assert_close(a.grad, torch.tensor([[0.25 + 0.25], [0.0], [1 / 6 + 1 / 9]]))


def test_bounds_of_a_state_are_not_left(engine: str) -> None:
    # Of the two steady states, -1 and 4, one is a possible storage; and from zero Newton's method goes to the other.
    found = search(single(lambda y: (y + 1) * (4 - y), start=0.0, low=0.0), engine)
    assert float(found.states["y"]) == pytest.approx(4.0, rel=1e-14)
    none = search(single(lambda y: -1.0 - 0.1 * y, start=1.0, low=0.0), engine)
    assert none.status == [Status.CONVERGENCE]
    assert "'y' in cell 0" in none.reasons[0]


def test_a_steady_state_out_of_a_limit_is_none(engine: str) -> None:
    limit = dg.Limit("y", "m", lambda cell: {"value": cell.y, "high": 1.0 + 0.0 * cell.y}, remedy="ask for less")
    found = search(single(lambda y: 2.0 - y, limits=(limit,)), engine)
    assert found.status == [Status.OUT_OF_RANGE]
    assert "'y' in cell 0 in the steady state is 2 m" in found.reasons[0]
    assert "ask for less" in found.reasons[0]


@pytest.mark.parametrize("bottom", ["free_drainage", "head", "seepage_face"])
def test_dry_soil_is_wetted_and_saturated(bottom: Any, engine: str) -> None:
    # 0.5 m/d on soil that conducts 0.2 m/d when saturated: what drains is that or, above a water table at the surface of
    # the base, more by the depth of a ponded surface at most.
    column = dg.models.RichardsColumn(depth=1.0, cells=20, top="atmosphere", bottom=bottom)
    forcing = {"precipitation": 0.5, "potential_evaporation": 0.002}
    forcing |= {"bottom_head": 0.0} if bottom == "head" else {}
    found = search(column, engine, parameters={"K_s": 0.2, "n": 1.5}, forcing=forcing, initial={"head": -10.0})
    assert found.status == [Status.SUCCESS]
    assert found.stats["continuation"] == [True]
    assert float(found.fluxes["drainage"]) == pytest.approx(0.2, rel=1e-3)
    assert abs(float(found.balance)) < 1e-9
