"""Solutes in aquifers, against exact solutions, balances and symmetries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, ModelError, SolverError
from pydiffgeo.groundwater import Drain, Evapotranspiration, GeneralHead, GivenHead, Recharge, River, Well

SoluteAquifer = dg.models.SoluteAquifer
TIGHT: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-10}
# A row of two metres' thickness in which water moves at 0.5 m/d, with D = 0.5 m2/d, as v = D = 0.5 in the references.
POROSITY, DEPTH, K = 0.25, 2.0, 10.0
ROW = {"K": K, "S_s": 1e-8, "porosity": POROSITY, "longitudinal_dispersivity": 1.0}


def row(engine: str, cells: int, times: list[float], values: dict[str, float], **choices: Any) -> dg.Solution:
    grid = dg.raster((1, 1, cells), (1.0, 40.0 / cells), layers=DEPTH)
    model = SoluteAquifer(grid, boundaries=[Well([0]), GivenHead([cells - 1])], **choices)
    q = 0.5 * POROSITY
    return dg.solve(
        model,
        {**ROW, **values},
        forcing={"well_rate": q * DEPTH, "given_head": 0.0, "well_concentration": 1.0},
        times=[0.0, *times],
        initial={"head": torch.from_numpy(q / K * (grid.coordinates["x"][-1] - grid.coordinates["x"]))},
        engine=engine,
        **TIGHT,
    )


def at(sol: dg.Solution, x: float, k: int) -> float:
    """Concentration by a parabola through three middles."""
    places, c = sol.model.graph.coordinates["x"], sol.outputs["concentration"][k].numpy()
    i = int(np.clip(np.searchsorted(places, x) - 1, 0, len(places) - 3))
    return float(np.polyval(np.polyfit(places[i : i + 3] - x, c[i : i + 3], 2), 0.0))


@pytest.mark.parametrize(
    ("retardation", "expected"),
    # Inlet of the third kind: the well brings what it brings.
    [(1.0, {(5.0, 10.0): 0.4837716419, (10.0, 20.0): 0.4930580737}), (2.0, {(5.0, 10.0): 0.1070357597})],
)
def test_a_front_in_uniform_flow(engine: str, retardation: float, expected: dict[Any, float]) -> None:
    choices: dict[str, Any] = {"sorption": "linear"} if retardation > 1 else {}
    values = {"K_d": POROSITY / 1.5, "bulk_density": 1.5} if retardation > 1 else {}
    coarse, fine = (row(engine, n, [10.0, 20.0], values, **choices) for n in (120, 240))
    for (x, t), true in expected.items():
        k = 1 if t == 10 else 2
        errors = [at(sol, x, k) - true for sol in (coarse, fine)]
        # Second order: what two grids extrapolate to is the exact answer.
        assert abs(errors[1] - (errors[0] - errors[1]) / 3) < 3e-5
        assert abs(errors[1]) < 0.3 * abs(errors[0])
    # Amounts balance to rounding.
    for unit, closure in fine.balances.items():
        assert closure.abs() < 1e-13 * 50, unit


def test_one_concentration_stays_one_while_cells_dry_and_get_wet_again(engine: str) -> None:
    thickness = np.array([[6.0, 3.0, 8.0, 5.0, 7.0]])
    model = SoluteAquifer(
        dg.raster((1, 1, 5), (50.0, 50.0), layers=thickness[None]),
        "convertible",
        top=10.0,
        boundaries=(River([4]), Well([0, 2]), Recharge(), Drain([1]), GeneralHead([0])),
        sorption="langmuir",
    )
    sol = dg.solve(
        model,
        {
            "K": 5.0,
            "S_s": 1e-4,
            "S_y": 0.2,
            "river_conductance": 50.0,
            "river_bed": 4.0,
            "drain_conductance": 3.0,
            "drain_elevation": 8.5,
            "general_conductance": 0.5,
            "longitudinal_dispersivity": 5.0,
        },
        forcing={
            "river_stage": [3.5, 3.5, 12.0, 12.0],
            "well_rate": [[-30.0, -60.0], [-30.0, -60.0], [0.0, 0.0], [0.0, -10.0]],
            "recharge_rate": 1e-4,
            "general_head": 8.0,
            **{f"{name}_concentration": 2.5 for name in ("river", "well", "recharge", "general")},
        },
        times=[0.0, 20.0, 60.0, 100.0, 160.0],
        initial={"head": 8.0, "concentration": 2.5},
        engine=engine,
        rtol=1e-8,
        atol=1e-10,
    )
    assert sol.outputs["saturation"].min() < 0.05
    torch.testing.assert_close(sol.outputs["concentration"], torch.full((5, 5), 2.5), rtol=1e-6, atol=0.0)
    moved = {unit: sum(v.abs().sum() for v in sol.fluxes.values()) for unit in sol.balances}
    for unit, closure in sol.balances.items():
        assert closure.abs() < 1e-11 * moved[unit], unit


def test_a_plume_spreads_along_and_across_the_flow() -> None:
    # A cloud of normal shape stays one: its variances grow by 2 D t, and it goes with the water.
    shape, dx, end = (16, 36), 3.0, 15.0
    grid = dg.raster((1, *shape), (dx, dx), layers=1.0)
    column = grid.cell["column"].astype(int)
    edges = [np.flatnonzero(column == k).tolist() for k in (0, shape[1] - 1)]
    model = SoluteAquifer(grid, boundaries=[GivenHead(edges[0], "west"), GivenHead(edges[1], "east")])
    x, y = grid.coordinates["x"], grid.coordinates["y"]
    v, q, s = 1.0, 0.25, 6.0

    def cloud(t: float) -> np.ndarray:
        along, across = s**2 + 2 * 4.0 * v * t, s**2 + 2 * 0.5 * v * t
        square = (x - 36 - v * t) ** 2 / along + (y - 24) ** 2 / across
        return s**2 / np.sqrt(along * across) * np.exp(-square / 2)

    sol = dg.solve(
        model,
        {
            "K": 10.0,
            "S_s": 1e-8,
            "porosity": q / v,
            "longitudinal_dispersivity": 4.0,
            "transverse_dispersivity": 0.5,
        },
        forcing={"west_head": q / 10.0 * (x[-1] - x[0]), "east_head": 0.0},
        times=[0.0, end],
        initial={
            "head": torch.from_numpy(q / 10.0 * (x.max() - x)),
            "concentration": torch.from_numpy(cloud(0.0)),
        },
        engine="sundials",
        rtol=1e-6,
        atol=1e-8,
    )
    c, true = sol.outputs["concentration"][-1].numpy(), cloud(end)
    assert abs(c - true).max() < 0.03 * true.max()
    mass, far = c.sum(), ((y - 24) ** 2 * c).sum() / c.sum()
    assert mass == pytest.approx(cloud(0.0).sum(), rel=1e-3)
    assert far == pytest.approx(s**2 + 2 * 0.5 * v * end, rel=0.01)


def test_rows_and_columns_are_alike() -> None:
    def concentrations(turned: bool) -> torch.Tensor:
        size: tuple[Any, Any] = ([10.0, 20.0, 15.0], [8.0, 12.0, 10.0, 9.0])
        shape = (3, 4)
        grid = dg.raster(shape[::-1] if turned else shape, size[::-1] if turned else size)
        ends: tuple[Any, Any] = ([(0, 0)], [(3, 2) if turned else (2, 3)])
        model = SoluteAquifer(grid, boundaries=[Well(ends[0]), GivenHead(ends[1]), Recharge()])
        sol = dg.solve(
            model,
            {
                "K": 5.0,
                "S_s": 1e-4,
                "longitudinal_dispersivity": 3.0,
                "transverse_dispersivity": 0.5,
                "diffusion": 1e-3,
            },
            forcing={"well_rate": 5.0, "given_head": 0.0, "recharge_rate": 1e-3, "well_concentration": 1.0},
            times=[0.0, 30.0],
            initial={"head": 0.0},
            engine="sundials",
        )
        found = model.graph.on_grid(sol.outputs["concentration"][-1])
        return found.T if turned else found

    torch.testing.assert_close(concentrations(True), concentrations(False), rtol=1e-6, atol=1e-9)


def test_chains_decay_and_evaporation_leaves_solutes_behind() -> None:
    grid = dg.raster((1, 1, 1), (10.0, 10.0), layers=5.0)
    model = SoluteAquifer(
        grid,
        "unconfined",
        top=5.0,
        boundaries=[Evapotranspiration()],
        decay="total",
        species=("a", "b"),
        sorption="linear",
    )
    values = {"K": 1.0, "S_y": 0.2, "porosity": 0.3, "decay_a": 0.3, "decay_b": 0.1, "bulk_density": 1.5}
    values |= {"K_d_a": 0.2, "K_d_b": 0.4, "evapotranspiration_surface": 0.0, "evapotranspiration_depth": 1.0}
    sol = dg.solve(
        model,
        values,
        forcing={"evapotranspiration_rate": 0.01},
        times=[0.0, 5.0],
        initial={"head": 4.0, "concentration_a": 2.0},
        engine="sundials",
        **TIGHT,
    )
    # Pores: 0.3 of 5 m, less 0.2 of what the head is short of the top; soil 7.5 (per litre of water, 1.5 kg).
    start = 2.0 * (1.3 + 7.5 * 0.2)
    a, b = np.exp(-0.3 * 5), 0.3 / (0.1 - 0.3) * (np.exp(-0.3 * 5) - np.exp(-0.1 * 5))
    assert sol.states["solute_a"][-1].item() == pytest.approx(start * a, rel=1e-6)
    pores = 1.3 - 0.01 * 5
    assert sol.outputs["concentration_b"][-1].item() == pytest.approx(start * b / (pores + 7.5 * 0.4), rel=1e-6)


def test_a_solute_that_decays_comes_to_rest_by_the_exact_profile(engine: str) -> None:
    rate, errors = 0.05, []
    for cells in (100, 200):
        grid = dg.raster((1, 1, cells), (1.0, 60.0 / cells), layers=DEPTH)
        model = SoluteAquifer(grid, boundaries=[Well([0]), GivenHead([cells - 1])], decay="dissolved")
        rest = dg.groundwater.steady(
            model,
            {**ROW, "decay": rate},
            forcing={"well_rate": 0.5 * POROSITY * DEPTH, "given_head": 0.0, "well_concentration": 1.0},
            initial={"head": 0.0},
            engine=engine,
        )
        # Inlet of the third kind into a half-space: van Genuchten and Alves 1982, solution C2, after a long time.
        root = np.sqrt(1 + 4 * rate * 1.0 / 0.5)
        x = grid.coordinates["x"]
        true = 2 / (1 + root) * np.exp(x * (1 - root) / 2)
        near = x < 30
        errors.append(abs(rest.outputs["concentration"].numpy() - true)[near].max())
        assert all(net.abs() < 1e-9 for net in rest.balances.values())
    assert errors[1] < 1e-3
    assert errors[1] < 0.3 * errors[0]


def test_solutes_at_rest_under_a_water_table_are_those_after_a_long_time() -> None:
    grid = dg.raster((1, 2, 6), (50.0, 50.0), layers=10.0)
    model = SoluteAquifer(
        grid, "convertible", top=10.0, boundaries=[River([0, 6]), Recharge(), GeneralHead([5])], decay="total"
    )
    K = torch.linspace(3.0, 8.0, 12).requires_grad_()
    values: dict[str, Any] = {"river_conductance": 200.0, "river_bed": 4.0, "general_conductance": 60.0, "decay": 2e-3}
    values |= {"S_y": 0.15, "S_s": 1e-4, "longitudinal_dispersivity": 20.0, "transverse_dispersivity": 2.0}
    forcing: dict[str, Any] = {"river_stage": 7.0, "recharge_rate": 1e-3, "general_head": 13.0}
    forcing |= {"recharge_concentration": 1.0, "general_concentration": 3.0}

    def rest(K: torch.Tensor) -> dg.SteadySolution:
        return dg.groundwater.steady(
            model, {**values, "K": K}, forcing=forcing, initial={"head": 9.0}, engine="sundials"
        )

    found = rest(K)
    head, c = found.outputs["head"].detach(), found.outputs["concentration"]
    assert 6 < head.min() < 10 < head.max()
    later = dg.solve(
        model,
        {**values, "K": K.detach()},
        forcing=forcing,
        times=[0.0, 2e5],
        initial={"head": head - 0.1, "concentration": 0.0},
        engine="sundials",
        **TIGHT,
    )
    torch.testing.assert_close(later.outputs["head"][-1], head, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(later.outputs["concentration"][-1], c.detach(), rtol=1e-5, atol=0.0)
    # Heads alone do not depend on what the water carries.
    assert isinstance(model, dg.models.solute_aquifer.CarryingModel)
    alone = {
        k: v for k, v in values.items() if k not in ("decay", "longitudinal_dispersivity", "transverse_dispersivity")
    }
    flow = {k: v for k, v in forcing.items() if not k.endswith("concentration")}
    still = dg.groundwater.steady(
        model.water, {**alone, "K": K.detach()}, forcing=flow, initial={"head": 9.0}, engine="sundials"
    )
    torch.testing.assert_close(still.outputs["head"], head, rtol=1e-9, atol=0.0)
    (slope,) = torch.autograd.grad(c.sum(), K)
    way = torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        up, down = (rest(K.detach() + e * way).outputs["concentration"].sum() for e in (1e-4, -1e-4))
    assert (slope @ way).item() == pytest.approx((up - down).item() / 2e-4, rel=1e-5)


def test_nothing_that_flushes_has_no_steady_state_of_its_own() -> None:
    model = SoluteAquifer(dg.raster((1, 1, 3), layers=2.0), boundaries=[Well([0], "well")])
    with pytest.raises(SolverError) as caught:
        dg.groundwater.steady(model, {"K": 1.0}, forcing={"well_rate": 0.0}, initial={"head": 1.0}, engine="sundials")
    assert caught.value.solution.status[0] is dg.Status.SINGULAR


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"sorption": "some"}, "sorption='some' is not one of"),
        ({"species": "ab"}, "species must be a tuple of names"),
        ({"species": ("a", "b")}, "members of a chain decay"),
        ({"kind": "open"}, "kind='open' is not one of"),
    ],
)
def test_what_does_not_fit_is_named(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SoluteAquifer(dg.raster((1, 1, 3), layers=2.0), **choices)


def test_more_cannot_drain_than_pores_hold() -> None:
    model = SoluteAquifer(dg.raster((1, 1, 3), layers=2.0), "unconfined", boundaries=[Recharge()])
    with pytest.raises(BoundsError, match="S_y <= porosity"):
        dg.solve(
            model,
            {"K": 1.0, "S_y": 0.3, "porosity": 0.2},
            forcing={"recharge_rate": 0.0},
            times=[0.0, 1.0],
            initial={"head": 0.0},
            engine="sundials",
        )
