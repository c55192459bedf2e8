"""Physics that cannot be: states and fluxes outside of what a soil can hold, take or give are never solved in silence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.base import Status
from pydiffgeo.errors import ModelError

CELLS = 20
SAND = {"theta_r": 0.045, "theta_s": 0.43, "alpha": 14.5, "n": 2.68, "K_s": 7.128}
LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.1, "S_s": 1e-4}


def column(**choices: Any) -> dg.Model:
    return dg.models.RichardsColumn(1.0, CELLS, **choices)


def solved(model: dg.Model, soil: dict[str, Any], head: float, times: Any, **settings: Any) -> dg.Solution:
    return dg.solve(model, soil, initial={"head": head}, times=times, **settings)


def failing(engine: str, model: dg.Model, soil: dict[str, Any], head: float, times: Any, **forcing: Any) -> dg.Solution:
    """A solution whose only member left its range; nothing else was tried on it."""
    settings: dict[str, Any] = {"engine": engine, "throw": False, "max_seconds": 60.0}
    solution = solved(model, soil, head, times, forcing=forcing, **settings)
    assert solution.status == [Status.OUT_OF_RANGE]
    assert not solution.stats["fallbacks"]
    return solution


@pytest.mark.parametrize("theta", [0.44, 0.5, 45.0, 0.05, 0.0])
def test_an_initial_water_content_that_the_soil_cannot_have_is_refused(engine: str, theta: float) -> None:
    given = torch.full((CELLS,), 0.3, dtype=torch.float64)
    given[7] = theta
    with pytest.raises(dg.errors.InputError, match=rf"'theta' in cell 7 is {theta:g}, .*\[0\.078, 0\.4312\]"):
        dg.solve(column(), LOAM, forcing={"flux": 0.0}, initial={"theta": given}, times=[0.0, 1.0], engine=engine)


def test_bounds_of_initial_states_are_those_of_the_parameters_of_each_cell_and_member() -> None:
    wet = torch.full((2, CELLS), 0.45, dtype=torch.float64)
    theta_s = torch.full((2, CELLS), 0.46, dtype=torch.float64)
    theta_s[1, 3] = 0.44
    with pytest.raises(dg.errors.BoundsError, match="cell 3 of member 1 is 0"):
        dg.solve(column(), LOAM | {"theta_s": theta_s}, forcing={"flux": 0.0}, initial={"theta": wet}, times=[0.0, 1.0])


def test_a_solve_may_begin_with_what_another_ended_with(engine: str) -> None:
    # Under a metre of water: theta_s and elastic storage, to the tolerance.
    model = column(top="head", bottom="no_flow")
    end = solved(model, LOAM, -0.5, [0.0, 50.0], forcing={"head": 1.0}, engine=engine, rtol=1e-4).states["theta"][-1]
    assert end.max() > LOAM["theta_s"]
    again = dg.solve(
        model, LOAM, forcing={"head": 1.0}, initial={"theta": end}, times=[0.0, 50.0], engine=engine, rtol=1e-4
    )
    torch.testing.assert_close(again.states["theta"][-1], end, rtol=1e-4, atol=1e-6)


def test_heads_beyond_what_is_likely_have_to_be_asked_for(engine: str) -> None:
    with pytest.raises(dg.errors.InputError, match="max_head=12"):
        solved(column(), LOAM, 40.0, [0.0, 1.0], forcing={"flux": 0.0}, engine=engine)
    model = column(max_head=50.0, bottom="head")
    solution = solved(model, LOAM, 40.0, [0.0, 10.0], forcing={"flux": 0.0, "bottom_head": 40.0}, engine=engine)
    # At rest below a lid: the head falls by the height above the base.
    depth = torch.from_numpy(model.graph.coordinates["depth"].copy())
    torch.testing.assert_close(solution.outputs["head"][-1], 39.0 + depth, rtol=1e-4, atol=1e-4)


def test_rain_beyond_what_soil_takes_ends_the_solve_when_it_ponds(engine: str) -> None:
    conductivity = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    model = column()
    solution = failing(engine, model, LOAM | {"K_s": conductivity}, -1.0, range(0, 11, 2), flux=0.5)
    assert torch.isnan(solution.states["theta"][1:]).all()
    (message,) = solution.failures()
    assert "'flux' in cell 0 at 0.01" in message
    assert "0.5 m d-1" in message
    assert "top='atmosphere'" in message
    # It fails after the first water that the first cell has room for, and before it would be full without any outflow.
    begun = float(message.split(" at ")[1].split(" ")[0])
    m = 1 - 1 / LOAM["n"]
    start = LOAM["theta_r"] + (LOAM["theta_s"] - LOAM["theta_r"]) * (1 + (3.6 * 1.0) ** 1.56) ** -m
    assert 0.5 * (0.05 * (LOAM["theta_s"] - start)) / 0.5 < begun < 0.1
    (gradient,) = torch.autograd.grad(solution.fluxes["drainage"].nan_to_num().sum(), conductivity)
    assert gradient == 0.0


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_rain_that_soil_takes_is_solved(engine: str, share: float) -> None:
    rain = share * LOAM["K_s"]
    solution = solved(column(), LOAM, -1.0, [0.0, 50.0, 60.0], forcing={"flux": rain}, engine=engine)
    assert solution.fluxes["drainage"][-1].item() == pytest.approx(10 * rain, rel=1e-5)
    assert (solution.states["theta"] <= LOAM["theta_s"] + LOAM["S_s"] * 1.0).all()


def test_evaporation_that_dry_sand_cannot_give_ends_the_solve(engine: str) -> None:
    solution = failing(engine, column(bottom="no_flow"), SAND, -1.0, [0.0, 0.5, 1.0], flux=-0.005)
    assert "'flux' in cell 0" in solution.reasons[0]
    assert "-0.005 m d-1" in solution.reasons[0]


def test_a_moist_soil_gives_until_it_is_dry(engine: str) -> None:
    model = column(bottom="no_flow")
    solution = failing(engine, model, LOAM, -0.4, [0.0, 0.5, 20.0], flux=-0.005)
    assert torch.isfinite(solution.states["theta"][1]).all()
    assert torch.isnan(solution.states["theta"][2]).all()
    assert solution.fluxes["infiltration"][0].item() == pytest.approx(-0.0025, rel=1e-9)


def test_a_flux_through_the_base_has_its_limits(engine: str) -> None:
    both = column(bottom="flux")
    solution = failing(engine, both, LOAM, -1.0, [0.0, 10.0], flux=0.0, bottom_flux=0.01)
    assert f"'bottom_flux' in cell {CELLS - 1}" in solution.reasons[0]
    # What is pressed into a closed column finds no room: theta_s (1 - storage) is all that fits.
    solution = failing(engine, both, LOAM, -1.0, [0.0, 10.0, 100.0], flux=0.0, bottom_flux=-0.01)
    assert "'theta'" in solution.reasons[0]
    assert "max_head" in solution.reasons[0]


def test_a_base_lets_through_what_gravity_takes(engine: str) -> None:
    # Sand under -0.3 m: with the gradient of gravity alone it conducts K (van Genuchten 1980, eq 8). Through half a
    # thick cell suction alone would bring less.
    m = 1 - 1 / SAND["n"]
    se = (1 + (SAND["alpha"] * 0.3) ** SAND["n"]) ** -m
    conductivity = SAND["K_s"] * se**0.5 * (1 - (1 - se ** (1 / m)) ** m) ** 2
    solution = solved(
        dg.models.RichardsColumn(2.0, 4, bottom="flux"),
        SAND,
        -0.3,
        [0.0, 0.01],
        forcing={"flux": 0.0, "bottom_flux": conductivity},
        engine=engine,
    )
    assert solution.fluxes["drainage"].item() == pytest.approx(0.01 * conductivity, rel=1e-9)


def test_a_closed_column_that_is_filled_ends_when_it_is_full(engine: str) -> None:
    rain = 0.02
    solution = failing(engine, column(bottom="no_flow"), LOAM, -1.0, [0.0, 1.0, 100.0], flux=rain)
    begun = float(solution.reasons[0].split(" at ")[1].split(" ")[0])
    m = 1 - 1 / LOAM["n"]
    room = (LOAM["theta_s"] - LOAM["theta_r"]) * (1 - (1 + 3.6**1.56) ** -m)
    assert begun == pytest.approx(room / rain, rel=2e-3)


def test_one_member_out_of_range_leaves_the_others_alone(engine: str) -> None:
    conductivity = torch.tensor([[0.1], [1.0], [0.2]], dtype=torch.float64, requires_grad=True)
    solution = solved(
        column(), LOAM | {"K_s": conductivity}, -1.0, [0.0, 1.0, 2.0], forcing={"flux": 0.5}, engine=engine, throw=False
    )
    assert solution.ok.tolist() == [False, True, False]
    alone = solved(column(), LOAM | {"K_s": 1.0}, -1.0, [0.0, 1.0, 2.0], forcing={"flux": 0.5}, engine=engine)
    torch.testing.assert_close(solution.states["theta"][1], alone.states["theta"], rtol=1e-8, atol=1e-10)
    (gradient,) = torch.autograd.grad(solution.states["theta"].nan_to_num().sum(), conductivity)
    assert gradient[0] == gradient[2] == 0.0
    assert gradient[1] != 0.0


@pytest.mark.parametrize("solver", ["auto", "cvodes-bdf"])
def test_a_solver_asked_for_by_name_says_the_same(solver: str) -> None:
    solution = solved(
        column(), LOAM, -1.0, [0.0, 1.0], forcing={"flux": 0.5}, engine="sundials", solver=solver, throw=False
    )
    assert solution.status == [Status.OUT_OF_RANGE]
    with pytest.raises(dg.errors.SolverError, match="'flux' in cell 0"):
        solved(column(), LOAM, -1.0, [0.0, 1.0], forcing={"flux": 0.5}, engine="sundials")


@pytest.mark.parametrize("solver", ["Rodas5P", "FBDF"])
def test_solvers_of_julia_say_the_same(julia_engine: str, solver: str) -> None:
    solution = solved(
        column(), LOAM, -1.0, [0.0, 1.0], forcing={"flux": 0.5}, engine=julia_engine, solver=solver, throw=False
    )
    assert solution.status == [Status.OUT_OF_RANGE]
    assert "'flux' in cell 0" in solution.reasons[0]


def test_a_model_of_ones_own_has_ranges_too(engine: str) -> None:
    def tank(low: bool) -> dg.Model:
        def full(cell: Any) -> dict[str, Any]:
            return {"value": cell.water, "high": cell.brim} | ({"low": 0.0} if low else {})

        return dg.Model(
            name="Tank",
            graph=dg.single_cell(),
            states=(dg.State("water", "mm", "water", default=1.0),),
            parameters=(dg.Parameter("brim", "mm", "what it holds", 5.0),),
            forcings=(dg.ForcingVariable("inflow", "mm d-1", "inflow"),),
            source=lambda cell, forcing: {"water": forcing.inflow},
            limits=(dg.Limit("water", "mm", full, remedy="close the tap"),),
        )

    model = tank(low=True)
    solution = dg.solve(model, forcing={"inflow": 1.0}, times=[0.0, 3.0, 10.0], engine=engine, throw=False)
    assert solution.status == [Status.OUT_OF_RANGE]
    assert solution.states["water"][1].item() == pytest.approx(4.0)
    assert "'water' in cell 0 at " in solution.reasons[0]
    assert "[0, 5] mm; close the tap" in solution.reasons[0]
    assert 4.0 <= float(solution.reasons[0].split(" at ")[1].split(" ")[0]) <= 10.0
    solution = dg.solve(model, forcing={"inflow": -1.0}, times=[0.0, 3.0], engine=engine, throw=False)
    assert solution.status == [Status.OUT_OF_RANGE]
    free = dg.solve(tank(low=False), forcing={"inflow": -1.0}, times=[0.0, 3.0], engine=engine)
    assert free.states["water"][-1].item() == pytest.approx(-2.0)
    with pytest.raises(dg.errors.InputError, match=r"'water' in cell 0 is 6 mm.*\[0, 5\] mm"):
        dg.solve(model, forcing={"inflow": 0.0}, initial={"water": 6.0}, times=[0.0, 1.0], engine=engine)
    wrong = dg.Limit("water", "mm", lambda cell: {"height": cell.water})
    mistaken = dg.Model(name="M", graph=dg.single_cell(), states=model.states, limits=(wrong,))
    with pytest.raises(dg.errors.ModelError, match="needs 'value'"):
        dg.solve(mistaken, times=[0.0, 1.0], engine=engine)
    with pytest.raises(dg.errors.ModelError, match="boundary 'lid'"):
        dg.Model(name="M", graph=dg.single_cell(), states=model.states, limits=(dg.Limit("w", "1", None, "lid"),))


@pytest.mark.parametrize("head", [-1.0, -140.0, -151.0, -1e4])
def test_nothing_evaporates_without_demand_and_nothing_infiltrates_without_rain(engine: str, head: float) -> None:
    model = column(top="atmosphere", bottom="no_flow")
    solution = solved(
        model,
        LOAM,
        head,
        [0.0, 365.0, 730.0],
        forcing={"precipitation": 0.0, "potential_evaporation": 0.0},
        engine=engine,
    )
    for flux in ("evaporation", "infiltration", "runoff"):
        assert (solution.fluxes[flux] == 0.0).all(), flux
    demand = solved(
        model,
        LOAM,
        head,
        [0.0, 365.0, 730.0],
        forcing={"precipitation": 0.0, "potential_evaporation": 1e-4},
        engine=engine,
    ).fluxes
    assert (demand["evaporation"] >= 0.0).all()
    assert (demand["evaporation"] <= 365.0 * 1e-4 * (1 + 1e-9)).all()
    assert (demand["infiltration"] == 0.0).all()
    assert (demand["evaporation"][0].item() > 0.02) == (head == -1.0)


@pytest.mark.parametrize(
    ("choices", "parts"),
    [
        ({"top": "rain"}, ["top='rain'", "'atmosphere'"]),
        ({"bottom": "drain"}, ["bottom='drain'", "'free_drainage'"]),
        ({"closure": "van genuchten"}, ["closure='van genuchten'", "'van_genuchten'"]),
        ({"face_conductivity": "logarithmic"}, ["face_conductivity='logarithmic'", "'geometric'"]),
        ({"root_depth": 0.0}, ["root_depth must be positive", "0.0"]),
        ({"depth": -1.0}, ["depth must be positive", "-1.0"]),
    ],
)
def test_choices_of_the_column(choices: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        dg.models.RichardsColumn(**choices)
    for part in parts:
        assert part in str(caught.value)
