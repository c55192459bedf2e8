"""Steady states, budgets and capture of aquifers: against transient runs, balances, and a little more pumping."""

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.groundwater import (
    Drain,
    Evapotranspiration,
    GeneralHead,
    GivenHead,
    Recharge,
    River,
    Well,
)

Aquifer = dg.models.Aquifer


PARTS = {
    "K": torch.tensor([8.0, 3.0, 5.0, 4.0, 6.0, 9.0]),
    "S_y": 0.15,
    "S_s": 1e-4,
    "general_conductance": 20.0,
    "drain_conductance": 30.0,
    "drain_elevation": 4.0,
    "evapotranspiration_surface": 9.0,
    "evapotranspiration_depth": 4.0,
}
PUT = {
    "given_head": 6.0,
    "general_head": 7.0,
    "recharge_rate": 2e-3,
    "evapotranspiration_rate": 3e-3,
    "well_rate": -20.0,
}


def parts() -> dg.Model:
    conditions = (
        GivenHead([0]),
        GeneralHead([5]),
        Drain([3]),
        Recharge(each=True),
        Evapotranspiration(each=True),
        Well([4]),
    )
    return Aquifer(dg.raster((1, 2, 3), (40.0, 60.0), layers=10.0), "convertible", top=10.0, boundaries=conditions)


def test_a_steady_state_is_where_a_transient_run_stays(engine: str) -> None:
    rest = dg.steady(parts(), PARTS, forcing=PUT, initial={"head": 6.0}, engine=engine)
    assert abs(float(rest.balance)) < 1e-12
    onwards = dg.solve(
        parts(),
        PARTS,
        forcing=PUT,
        times=[0.0, 100.0],
        initial={"head": rest.outputs["head"]},
        engine=engine,
        atol=1e-9,
    )
    torch.testing.assert_close(onwards.outputs["head"][-1], rest.outputs["head"], rtol=0, atol=1e-6)
    terms = dg.groundwater.budget(rest)
    assert set(terms) == {"given", "general", "drain", "recharge", "evapotranspiration", "well"}
    net = torch.stack([*terms.values()]).sum(0)
    torch.testing.assert_close(net[0], net[1])
    # Not in the cell with the given head.
    assert terms["recharge"][0].item() == pytest.approx(2e-3 * 5 * 2400)


def test_steady_heads_do_not_depend_on_storage(engine: str) -> None:
    # Half of the cells end full, half with a water table, some of them at their very top.
    rng = np.random.default_rng(2)
    model = Aquifer(
        dg.raster((1, 8, 8), (100.0, 100.0), layers=10.0),
        "convertible",
        top=10.0,
        boundaries=(GivenHead([(0, i, 0) for i in range(8)]), Recharge()),
    )
    K = torch.from_numpy(np.exp(rng.normal(size=(1, 8, 8)))).requires_grad_()

    def solved(**storage: float) -> dg.SteadySolution:
        forcing = {"given_head": 7.0, "recharge_rate": 9e-5}
        return dg.groundwater.steady(model, {"K": K, **storage}, forcing=forcing, initial={"head": 9.0}, engine=engine)

    rest = solved(S_s=1e-5, S_y=0.2)
    assert (rest.outputs["head"] > 10).sum() > 10
    assert (rest.outputs["head"] < 10).sum() > 10
    assert torch.equal(rest.outputs["head"], solved().outputs["head"])
    at = torch.from_numpy(model.graph.cell["bottom"].copy())
    torch.testing.assert_close(rest.states["water"], rest.outputs["head"] - at)
    (slope,) = torch.autograd.grad(rest.outputs["head"].mean(), K)
    # Better conductors lower the mound: by as much as heads above the given one, were all of it confined.
    fall = -(slope * K).sum().item() / (rest.outputs["head"].mean().item() - 7.0)
    assert 0.5 < fall < 1
    with pytest.raises(dg.errors.InputError, match="model must be an Aquifer"):
        dg.groundwater.steady(dg.models.ExpHydro())


def test_budgets_of_zones_close() -> None:
    grid = dg.raster((1, 2, 3), (40.0, 60.0), layers=10.0)
    model = Aquifer(grid, boundaries=(GeneralHead([0, 5]), Well([4])), face_flows=True)
    sol = dg.solve(
        model,
        {"K": 2.0, "general_conductance": 5.0},
        forcing={"general_head": [[3.0, 1.0], [2.0, 5.0]], "well_rate": -1.0},
        times=[0.0, 1.0, 30.0],
        initial={"head": 2.0},
        engine="sundials",
        rtol=1e-9,
        atol=1e-12,
    )
    terms = dg.groundwater.budget(sol, [[[7, 7, 3], [7, 3, 3]]])
    assert {*terms} == {"general", "well", "storage", "other zones"}
    net = torch.stack([v[..., 0] - v[..., 1] for v in terms.values()]).sum(0)
    assert net.shape == (2, 2)
    assert net.abs().max() < 1e-8
    torch.testing.assert_close(terms["other zones"][:, 0, 0], terms["other zones"][:, 1, 1])
    torch.testing.assert_close(terms["well"][:, 0], torch.tensor([[0.0, 1.0], [0.0, 29.0]]))
    with pytest.raises(dg.errors.ShapeError, match="zones must be whole numbers"):
        dg.groundwater.budget(sol, [1, 2])
    summed = Aquifer(grid, boundaries=(GeneralHead([0]), Recharge()))
    rest = dg.steady(
        summed,
        {"K": 1.0, "general_conductance": 1.0},
        forcing={"general_head": 0.0, "recharge_rate": 1.0},
        initial={"head": 0.0},
        engine="sundials",
    )
    with pytest.raises(dg.errors.InputError, match="'recharge' is kept as one sum"):
        dg.groundwater.budget(rest, [0, 0, 0, 1, 1, 1])


def test_capture_is_what_a_little_more_pumping_takes_from_the_river(engine: str) -> None:
    grid = dg.raster((1, 4, 4), (100.0, 100.0), layers=20.0)
    conditions = (River([0, 4, 8, 12]), GeneralHead([3, 7]), Well(range(16), "anywhere", each=False))
    model = Aquifer(grid, boundaries=conditions)

    def solved(rates: torch.Tensor) -> dg.SteadySolution:
        values = {
            "K": torch.linspace(1, 3, 16),
            "river_conductance": 40.0,
            "river_bed": 1.0,
            "general_conductance": 15.0,
        }
        forcing = {"river_stage": 5.0, "general_head": 8.0, "anywhere_rate": rates}
        return dg.steady(model, values, forcing=forcing, initial={"head": 5.0}, engine=engine)

    rates = torch.zeros(16, requires_grad=True)
    rest = solved(rates)
    of_river = dg.groundwater.capture(rest, "river", rates)
    torch.testing.assert_close(of_river + dg.groundwater.capture(rest, ["general"], rates), torch.ones(16))
    pumped = torch.zeros(16)
    pumped[6] = -1.0
    # A linear problem: as much for one unit as for a little.
    more = solved(pumped).fluxes["river"].sum() - rest.fluxes["river"].sum()
    assert of_river[6].item() == pytest.approx(more.item(), rel=1e-9)
    assert dg.groundwater.drawdown(solved(pumped), rest).argmax() == 6
    with pytest.raises(dg.errors.UnknownNameError, match="no flux 'lake'"):
        dg.groundwater.capture(rest, "lake", rates)


def test_capture_over_time_is_a_share_of_what_was_pumped() -> None:
    model = Aquifer(dg.raster((1, 1, 5), (10.0, 10.0), layers=10.0), boundaries=(GeneralHead([0]), Well([3])))
    rate = torch.tensor(-2.0, requires_grad=True)
    sol = dg.solve(
        model,
        {"K": 1.0, "S_s": 1e-3, "general_conductance": 3.0},
        forcing={"general_head": 0.0, "well_rate": rate},
        times=[0.0, 1.0, 5.0],
        initial={"head": 0.0},
        engine="sundials",
        rtol=1e-9,
        atol=1e-12,
    )
    share = dg.groundwater.capture(sol, "general", rate)
    assert share.item() == pytest.approx(sol.fluxes["general"].sum().item() / 10, rel=1e-6)


def test_budgets_of_water_and_of_solutes_close_each_by_itself() -> None:
    grid = dg.raster((1, 1, 4), (40.0, 60.0), layers=10.0)
    model = dg.models.SoluteAquifer(
        grid, boundaries=(GeneralHead([0, 3]), Well([1])), decay="dissolved", species=("mother", "daughter")
    )
    sol = dg.solve(
        model,
        {"K": 2.0, "general_conductance": 5.0, "decay_mother": 0.02, "decay_daughter": 0.01},
        forcing={
            "general_head": [[3.0, 1.0]] * 2,
            "well_rate": -1.0,
            "general_concentration_mother": 2.0,
            "general_concentration_daughter": 0.5,
        },
        times=[0.0, 10.0, 30.0],
        initial={"head": 2.0},
        engine="sundials",
        rtol=1e-9,
        atol=1e-12,
    )
    water = dg.groundwater.budget(sol)
    assert {*water} == {"general", "well", "storage"}
    # The heads at the boundary do not change: what comes in is what the well takes and what leaves.
    assert torch.stack([v[..., 0] - v[..., 1] for v in water.values()]).sum(0).abs().max() < 1e-7
    mother, daughter = (dg.groundwater.budget(sol, of=f"solute_{s}") for s in ("mother", "daughter"))
    assert {*mother} == {"general", "well", "storage"}
    assert {*daughter} == {"general", "well", "storage", "decayed"}
    # Water that comes in brings its concentration.
    torch.testing.assert_close(mother["general"][:, 0], 2.0 * water["general"][:, 0])
    torch.testing.assert_close(daughter["general"][:, 0], 0.5 * water["general"][:, 0])
    # What the mother loses by decay the daughter gains: the two together close.
    both = [v[..., 0] - v[..., 1] for terms in (mother, daughter) for v in terms.values()]
    assert torch.stack(both).sum(0).abs().max() < 1e-7
    by_zone = dg.groundwater.budget(sol, [0, 0, 1, 1], of="solute_mother")
    assert by_zone["well"][:, 1].abs().max() == 0
    torch.testing.assert_close(by_zone["general"].sum(-2), mother["general"])
    with pytest.raises(dg.errors.UnknownNameError, match=r"no state 'solute'; there are \['water', 'solute_mother'"):
        dg.groundwater.budget(sol, of="solute")
