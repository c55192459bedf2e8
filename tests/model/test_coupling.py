"""Regions solved as one system: what flows between them, names, balances, gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import pydiffgeo as dg


def store(name: str, unit: str = "m", *, rain: bool = False, leaves: bool = False) -> dg.Model:
    """A linear store; `k` is its outflow over its content."""
    fluxes = [dg.IntegratedFlux("rainfall", unit, "what falls", +1)] if rain else []
    fluxes += [dg.IntegratedFlux("outflow", unit, "what leaves", -1)] if leaves else []

    def source(cell: dg.model.Place, forcing: dg.model.Place) -> dict[str, torch.Tensor]:
        rates = {"storage": 0.0 * cell.storage}
        if rain:
            rates |= {"storage": rates["storage"] + forcing.rain, "rainfall": forcing.rain}
        if leaves:
            rates |= {"storage": rates["storage"] - cell.k * cell.storage, "outflow": cell.k * cell.storage}
        return rates

    return dg.Model(
        name=name,
        graph=dg.single_cell(),
        states=(dg.State("storage", unit, "content", default=0.0),),
        parameters=(dg.Parameter("k", "d-1", "outflow over content", 0.5, low=0.0),),
        forcings=(dg.ForcingVariable("rain", f"{unit} d-1", "rain", default=0.0),) if rain else (),
        fluxes=tuple(fluxes),
        outputs=(dg.Output("twice", unit, "twice the content"),),
        source=source,
        output=lambda cell: {"twice": 2 * cell.storage},
    )


def cascade() -> dg.CoupledModel:
    """Three stores of different makers, one after the other: a Nash cascade."""

    def drains(left: dg.model.Place, right: dg.model.Place, face: dg.model.Place) -> dict[str, torch.Tensor]:
        return {"storage->storage": left.k * left.storage}

    return dg.couple(
        "Cascade",
        {"upper": store("Upper", rain=True), "middle": store("Middle"), "lower": store("Lower", leaves=True)},
        links=(
            dg.Link("first", "upper", "middle", [(0, 0)], drains),
            dg.Link("second", "middle", "lower", [(0, 0)], drains),
        ),
    )


def test_three_regions_are_a_nash_cascade(engine: str) -> None:
    times = np.linspace(0.0, 12.0, 13)
    sol = dg.solve(
        cascade(),
        dict.fromkeys(("upper_k", "middle_k", "lower_k"), 0.5),
        initial={"upper_storage": 1.0},
        times=times,
        engine=engine,
        rtol=1e-9,
        atol=1e-11,
    )
    # The gamma distribution of Nash 1957: what has left three stores of residence time 2 d.
    t = times / 2
    left = 1 - np.exp(-t) * (1 + t + t**2 / 2)
    np.testing.assert_allclose(sol.fluxes["outflow"].cumsum(0), left[1:], rtol=1e-7, atol=1e-9)
    assert {*sol.balances} == {"upper (m)", "middle (m)", "lower (m)", "all (m)"}
    assert all(error < 1e-12 for error in sol.balances.values())
    torch.testing.assert_close(sol.fluxes["first_from_upper"], sol.fluxes["first_to_middle"], rtol=1e-12, atol=0.0)
    torch.testing.assert_close(sol.outputs["lower_twice"], 2 * sol.states["lower_storage"])


def test_gradients_reach_all_regions(engine: str) -> None:
    report = dg.check_gradients(
        cascade(),
        dict.fromkeys(("upper_k", "middle_k", "lower_k"), 0.5),
        forcing={"rain": [0.3, 0.0, 0.1]},
        initial=dict.fromkeys(("upper_storage", "middle_storage", "lower_storage"), 0.4),
        times=range(4),
        engine=engine,
    )
    assert report.ok, str(report)


def field(engine: str, **values: object) -> dg.Solution:
    """Two columns of soil over a strip of aquifer that feeds a river."""
    n = 6
    aquifer = dg.Model(
        name="Aquifer",
        graph=dg.column(60.0, n),
        states=(dg.State("head", "m", "head", default=1.0),),
        parameters=(
            dg.Parameter("T", "m2 d-1", "transmissivity", 20.0),
            dg.Parameter("S_y", "1", "specific yield", 0.2),
        ),
        fluxes=(dg.IntegratedFlux("baseflow", "m2", "to the river", -1),),
        flux=lambda left, right, face: {"head": left.T / left.S_y * (left.head - right.head) / face.distance},
        boundaries=(
            dg.Boundary(
                "river",
                (n - 1,),
                lambda cell, forcing, face: {
                    "head": -0.5 / cell.S_y * (cell.head - 0.8),
                    "baseflow": 0.5 / cell.S_y * (cell.head - 0.8),
                },
            ),
        ),
    )
    upper = dg.Model(
        name="Soil",
        graph=dg.column(1.0, 4),
        states=(dg.State("theta", "m3 m-3", "water content", default=0.3),),
        parameters=(dg.Parameter("K_s", "m d-1", "conductivity", 0.5),),
        forcings=(dg.ForcingVariable("rain", "m d-1", "rain", default=0.0),),
        fluxes=(dg.IntegratedFlux("infiltration", "m", "rain", +1),),
        closure=lambda cell: {"K": cell.K_s * cell.theta**4},
        flux=lambda left, right, face: {"theta": left.K + 0.01 * (left.theta - right.theta) / face.distance},
        boundaries=(
            dg.Boundary("top", (0,), lambda cell, forcing, face: {"theta": forcing.rain, "infiltration": forcing.rain}),
        ),
    )
    model = dg.couple(
        "Field",
        {"left_soil": upper, "right_soil": upper, "aquifer": aquifer},
        links=[
            dg.Link(
                f"recharge_{side}",
                f"{side}_soil",
                "aquifer",
                [(3, i) for i in cells],
                lambda left, right, face: {"theta->head": left.K},
                area=1 / 3,
                right_area=10.0 / 0.2,
            )
            for side, cells in (("left", range(3)), ("right", range(3, 6)))
        ],
    )
    return dg.solve(
        model,
        forcing={"rain": [0.02, 0.0, 0.05, 0.0]},
        times=range(5),
        engine=engine,
        rtol=1e-8,
        atol=1e-10,
        **values,  # type: ignore[arg-type]
    )


def test_columns_over_an_aquifer_close_their_balances(engine: str) -> None:
    k = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    sol = field(engine, parameters={"left_soil_K_s": k, "right_soil_K_s": 0.3})
    assert {*sol.balances} == {"left_soil (m)", "right_soil (m)", "aquifer (m2)"}
    assert all(error < 1e-12 for error in sol.balances.values())
    assert sol.states["left_soil_theta"].shape == (5, 4)
    assert sol.states["head"].shape == (5, 6)
    sol.fluxes["baseflow"].sum().backward()
    assert k.grad is not None
    ends = [
        field(engine, parameters={"left_soil_K_s": 0.5 + d, "right_soil_K_s": 0.3}).fluxes["baseflow"].sum().item()
        for d in (-1e-3, 1e-3)
    ]
    assert k.grad.item() == pytest.approx((ends[1] - ends[0]) / 2e-3, rel=1e-4)


def test_a_solution_of_regions_is_a_dataset(engine: str) -> None:
    data = dg.io.solution_dataset(field(engine))
    assert data.left_soil_theta.dims == ("time", "left_soil_cell")
    assert data["head"].dims == ("time", "aquifer_cell")
    assert data.recharge_left_to_aquifer.dims == ("interval",)


def test_julia_agrees_with_the_embedded_engine_on_regions(julia_engine: str) -> None:
    ours, other = field(julia_engine), field("sundials")
    for name in ours.states:
        torch.testing.assert_close(ours.states[name], other.states[name], rtol=1e-6, atol=1e-8)


def test_names_are_qualified_where_they_clash() -> None:
    model = cascade()
    assert [s.name for s in model.states] == ["upper_storage", "middle_storage", "lower_storage"]
    assert [f.name for f in model.forcings] == ["rain"]
    assert [f.name for f in model.fluxes][:2] == ["rainfall", "outflow"]
    assert "upper_storage" in model.describe()


def one(**changes: object) -> dg.CoupledModel:
    link = {
        "name": "l",
        "left": "a",
        "right": "b",
        "pairs": [(0, 0)],
        "function": lambda left, right, face: {"storage->storage": left.storage},
    }
    return dg.couple("Two", {"a": store("A"), "b": store("B")}, [dg.Link(**{**link, **changes})])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left": "c"}, "joins 'c'; the regions are"),
        ({"pairs": [(0, 1)]}, "outside 0..0 of 'b'"),
        ({"function": lambda left, right, face: {"storage": left.storage}}, "must be called 'state of a->state of b'"),
        ({"function": lambda left, right, face: {"storage->head": left.storage}}, "'b' has no state 'head'"),
        ({"function": lambda left, right, face: {"storage->storage": left.content}}, "content"),
    ],
    ids=lambda value: "link" if isinstance(value, dict) else "message",
)
def test_links_that_do_not_fit_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(dg.errors.ModelError, match=message):
        dg.solve(one(**changes), times=[0, 1], engine="sundials")


def test_regions_count_time_alike() -> None:
    with pytest.raises(dg.errors.ModelError, match="different time units"):
        dg.couple("Two", {"a": store("A"), "b": replace(store("B"), time_unit="s")})


def test_fields_of_a_region_have_the_shape_of_its_grid() -> None:
    plate = dg.Model(
        name="Plate",
        graph=dg.raster((2, 3), (1.0, 1.0)),
        states=(dg.State("heat", "J", "content", default=1.0),),
        parameters=(dg.Parameter("k", "d-1", "exchange", 0.1),),
        flux=lambda left, right, face: {"heat": left.k * (left.heat - right.heat)},
    )
    model = dg.couple("Two plates", {"a": plate, "b": plate})
    start = torch.arange(6.0, dtype=torch.float64).reshape(2, 3)
    sol = dg.solve(model, {"a_k": 0.1 + start / 10}, initial={"b_heat": start}, times=[0, 1], engine="sundials")
    torch.testing.assert_close(sol.on_grid("b_heat")[0], start)
    torch.testing.assert_close(sol.on_grid("a_k"), 0.1 + start / 10)


def warm(name: str, *, fed: bool = False) -> dg.Model:
    """A store of water and its heat, in m and MJ, with rain of 10 degC."""

    def source(cell: dg.model.Place, forcing: dg.model.Place) -> dict[str, torch.Tensor]:
        rain = 0.1 + 0.0 * cell.water
        values = {"water": rain, "heat": 41.8 * rain} if fed else {"water": 0.0 * rain, "heat": 0.0 * rain}
        return values | ({"rain": rain, "heat_of_rain": 41.8 * rain} if fed else {})

    water = dg.IntegratedFlux("rain", "m", "", +1), dg.IntegratedFlux("heat_of_rain", "MJ m-2", "", +1)
    return dg.Model(
        name=name,
        graph=dg.single_cell(),
        states=(dg.State("water", "m", "", default=1.0), dg.State("heat", "MJ m-2", "", default=20.0)),
        fluxes=water if fed else (),
        source=source,
    )


def pours(left: dg.model.Place, right: dg.model.Place, face: dg.model.Place) -> dict[str, torch.Tensor]:
    return {"water->water": 0.3 * left.water}


def warms(left: dg.model.Place, right: dg.model.Place, face: dg.model.Place) -> dict[str, torch.Tensor]:
    return {"heat->heat": 0.3 * left.heat}


def test_each_quantity_has_its_links_and_its_balance(engine: str) -> None:
    regions = {"upper": warm("Upper", fed=True), "lower": warm("Lower", fed=True)}
    links = (
        dg.Link("water", "upper", "lower", [(0, 0)], pours),
        dg.Link("heat", "upper", "lower", [(0, 0)], warms, unit="MJ m-2"),
    )
    sol = dg.solve(dg.couple("Warm", regions, links), times=[0.0, 1.0, 3.0], engine=engine, rtol=1e-9, atol=1e-11)
    # An outflow in proportion to what is there, fed evenly.
    left = 0.1 / 0.3 + (1 - 0.1 / 0.3) * np.exp(-0.3 * 3.0)
    assert sol.states["upper_water"][-1].item() == pytest.approx(left, rel=1e-7)
    flowed, warmth = sol.fluxes["water_to_lower"].sum().item(), sol.fluxes["heat_to_lower"].sum().item()
    assert flowed == pytest.approx(1.0 + 0.1 * 3.0 - left, rel=1e-7)
    left = 4.18 / 0.3 + (20 - 4.18 / 0.3) * np.exp(-0.3 * 3.0)
    assert warmth == pytest.approx(20.0 + 4.18 * 3.0 - left, rel=1e-7)
    units = {f.name: f.unit for f in sol.model.fluxes}
    assert (units["water_to_lower"], units["heat_to_lower"]) == ("m", "MJ m-2")
    expected = {f"{where} ({unit})" for where in ("upper", "lower", "all") for unit in ("m", "MJ m-2")}
    assert {*sol.balances} == expected
    assert max(error.item() for error in sol.balances.values()) < 1e-10


def test_a_link_that_mixes_quantities_is_refused() -> None:
    regions = {"upper": warm("Upper", fed=True), "lower": warm("Lower", fed=True)}

    def both(left: dg.model.Place, right: dg.model.Place, face: dg.model.Place) -> dict[str, torch.Tensor]:
        return pours(left, right, face) | warms(left, right, face)

    mixed = dg.couple("Warm", regions, [dg.Link("all", "upper", "lower", [(0, 0)], both)])
    with pytest.raises(dg.errors.ModelError, match="link 'all' returns 'heat->heat', and 'heat' does not belong"):
        dg.solve(mixed, times=[0.0, 1.0], engine="sundials")
    with pytest.raises(
        dg.errors.ModelError, match=r"link 'all' carries 'MJ'; 'upper' has balances in \['m', 'MJ m-2'\]"
    ):
        dg.couple("Warm", regions, [dg.Link("all", "upper", "lower", [(0, 0)], warms, unit="MJ")])
