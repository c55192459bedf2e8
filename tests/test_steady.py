"""Steady states: exact ones, the limit of a long solve, gradients, batches, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.check.differences import difference
from pydiffgeo.errors import AdjointError, InputError, MissingNameError, ShapeError

ROWS, COLUMNS, SPACING = 9, 10, (2.0, 3.0)
CELLS = ROWS * COLUMNS
WEST, EAST = 20.0, 12.0


def plate(rows: int, columns: int) -> dg.Model:
    """Heat that is made in the cells and leaves across the first column."""
    return dg.Model(
        name="Plate",
        graph=dg.raster((rows, columns), SPACING),
        states=(dg.State("heat", "J m-3", "heat", default=0.0),),
        parameters=(
            dg.Parameter("D", "m2 d-1", "diffusivity", 1.0, 0.0, open_low=True),
            dg.Parameter("loss", "m d-1", "exchange with the outside", 0.5, 0.0),
        ),
        forcings=(dg.ForcingVariable("made", "J m-3 d-1", "source", on="cell", default=0.0),),
        fluxes=(dg.IntegratedFlux("made", "J", "made", 1), dg.IntegratedFlux("lost", "J", "lost", -1)),
        outputs=(dg.Output("twice", "J m-3", "twice the heat"),),
        source=lambda cell, forcing: {"heat": forcing.made, "made": forcing.made},
        flux=lambda left, right, face: {"heat": left.D * (left.heat - right.heat) / face.distance},
        output=lambda cell: {"twice": 2 * cell.heat},
        boundaries=(
            dg.Boundary(
                "side",
                tuple(range(0, rows * columns, columns)),
                lambda cell, forcing, face: {"heat": -cell.loss * cell.heat, "lost": cell.loss * cell.heat},
                {"area": SPACING[0]},
            ),
        ),
    )


def aquifer(cells: int = 30) -> dg.Model:
    """Unconfined flow (Dupuit 1863) between two heads; the state is the thickness of the water."""

    def towards(head: float) -> Any:
        def flow(cell: Any, forcing: Any, face: Any) -> dict[str, Any]:
            inflow = cell.K * 0.5 * (cell.h + head) * (head - cell.h) / face.half
            return {"h": inflow, "inflow": inflow}

        return flow

    half = {"half": 5.0}
    return dg.Model(
        name="Dupuit",
        graph=dg.raster((1, cells), (1.0, 10.0)),
        states=(dg.State("h", "m", "thickness", default=15.0, low=0.0),),
        parameters=(dg.Parameter("K", "m d-1", "conductivity", 3.0, 0.0, open_low=True),),
        forcings=(dg.ForcingVariable("recharge", "m d-1", "recharge", default=0.0),),
        fluxes=(dg.IntegratedFlux("inflow", "m3", "inflow", 1), dg.IntegratedFlux("recharge", "m3", "recharge", 1)),
        source=lambda cell, forcing: {"h": forcing.recharge, "recharge": forcing.recharge},
        flux=lambda left, right, face: {
            "h": 2 / (1 / left.K + 1 / right.K) * 0.5 * (left.h + right.h) * (left.h - right.h) / face.distance
        },
        boundaries=(
            dg.Boundary("west", (0,), towards(WEST), half),
            dg.Boundary("east", (cells - 1,), towards(EAST), half),
        ),
    )


def soil(cells: int = 20) -> dg.Model:
    return dg.models.RichardsColumn(depth=1.0, cells=cells, top="flux", bottom="free_drainage")


def field(seed: int, size: int, *batch: int) -> Tensor:
    return torch.rand(*batch, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (4, 5), (ROWS, COLUMNS)])
def test_a_linear_field_is_that_of_linear_algebra(rows: int, columns: int, engine: str) -> None:
    made, D, loss = field(1, rows * columns).numpy(), 1.7, 0.4
    (dy, dx), matrix = SPACING, np.zeros((rows * columns, rows * columns))
    for i in range(rows):
        for j in range(columns):
            here = i * columns + j
            for other, area, distance in ((here + columns, dx, dy), (here + 1, dy, dx)):
                if (other == here + 1 and j + 1 < columns) or (other == here + columns and i + 1 < rows):
                    matrix[[here, other], [here, other]] += D * area / distance
                    matrix[[here, other], [other, here]] -= D * area / distance
            matrix[here, here] += loss * dy if j == 0 else 0.0
    exact = np.linalg.solve(matrix, made * dx * dy)
    found = dg.steady(plate(rows, columns), {"D": D, "loss": loss}, forcing={"made": made}, engine=engine)
    np.testing.assert_allclose(found.states["heat"], exact, rtol=1e-11)
    np.testing.assert_allclose(found.outputs["twice"], 2 * exact, rtol=1e-11)
    np.testing.assert_allclose(found.fluxes["lost"], made.sum() * dx * dy, rtol=1e-11)
    assert abs(float(found.balance)) < 1e-11 * made.sum() * dx * dy
    assert found.stats["iterations"][0] <= 2
    assert found.stats["continuation"] == [False]
    assert found.stats["residual"][0] < 1e-12


def test_squared_heads_of_an_unconfined_aquifer_are_a_line(engine: str) -> None:
    found = dg.steady(aquifer(), engine=engine)
    x = (np.arange(30) + 0.5) / 30
    np.testing.assert_allclose(found.states["h"] ** 2, WEST**2 + (EAST**2 - WEST**2) * x, rtol=1e-12)
    assert abs(float(found.balance)) < 1e-10


def test_recharge_makes_a_parabola_of_squared_heads(engine: str) -> None:
    # (h^2)'' = -2 recharge / K, of which centred differences have no error.
    recharge, K, length = 0.01, 3.0, 300.0
    found = dg.steady(aquifer(), {"K": K}, forcing={"recharge": recharge}, engine=engine)
    x = (torch.arange(30) + 0.5) * 10.0
    exact = WEST**2 + (EAST**2 - WEST**2) * x / length + recharge / K * x * (length - x)
    # At the two ends the flux of half a cell is missing: a constant shift of the order of its width.
    assert float((found.states["h"] ** 2 - exact).abs().max()) < 0.3
    np.testing.assert_allclose(found.fluxes["recharge"], recharge * length, rtol=1e-12)
    np.testing.assert_allclose(found.fluxes["inflow"], -recharge * length, rtol=1e-9)


def test_steady_infiltration_goes_down_under_a_unit_gradient(engine: str) -> None:
    found = dg.steady(soil(), {"K_s": 0.2, "n": 1.5}, forcing={"flux": 0.01}, initial={"head": -1.0}, engine=engine)
    np.testing.assert_allclose(found.outputs["hydraulic_conductivity"], 0.01, rtol=1e-9)
    head = found.outputs["head"]
    np.testing.assert_allclose(head, float(head[0]), rtol=1e-9)
    np.testing.assert_allclose(found.fluxes["drainage"], 0.01, rtol=1e-12)
    assert abs(float(found.balance)) < 1e-14


def test_a_long_solve_comes_to_the_steady_state(engine: str) -> None:
    values: dict[str, Any] = {"initial": {"head": -1.0}, "engine": engine}
    forcing = {"flux": 0.004}
    found = dg.steady(soil(), {"K_s": 0.1}, forcing=forcing, **values)
    long = dg.solve(soil(), {"K_s": 0.1}, forcing=forcing, times=[0.0, 4000.0, 4001.0], rtol=1e-9, atol=1e-11, **values)
    np.testing.assert_allclose(found.states["theta"], long.states["theta"][-1], rtol=1e-7)
    np.testing.assert_allclose(found.outputs["head"], long.outputs["head"][-1], rtol=1e-6)
    np.testing.assert_allclose(found.fluxes["drainage"], long.fluxes["drainage"][-1], rtol=1e-7)


def loss_of(found: dg.SteadySolution) -> Tensor:
    total = torch.zeros(())
    for k, value in enumerate([*found.states.values(), *found.outputs.values(), *found.fluxes.values()]):
        total = total + (torch.sin(1.0 + k + torch.arange(value.numel())).reshape(value.shape) * value).sum()
    return total


# Model, its inputs, and where to begin.
GRADIENTS: dict[str, tuple[dg.Model, dict[str, Tensor], dict[str, Any]]] = {
    "plate": (plate(ROWS, COLUMNS), {"D": 1 + field(2, CELLS), "loss": torch.tensor(0.4), "made": field(3, CELLS)}, {}),
    "aquifer": (aquifer(), {"K": 3 + field(4, 30), "recharge": torch.tensor(0.002)}, {}),
    "soil": (
        soil(),
        {"K_s": 0.2 + 0.05 * field(5, 20), "n": torch.tensor(1.6), "flux": torch.tensor(0.01)},
        {"head": -1.0},
    ),
}


def at(name: str, values: dict[str, Tensor], engine: str) -> dg.SteadySolution:
    model, _, initial = GRADIENTS[name]
    forcings = {f.name for f in model.forcings}
    parameters = {k: v for k, v in values.items() if k not in forcings}
    forcing = {k: v for k, v in values.items() if k in forcings}
    return dg.steady(model, parameters, forcing=forcing, initial=initial, engine=engine)


def gradients(name: str, engine: str) -> dict[str, Tensor]:
    values = {k: v.clone().requires_grad_() for k, v in GRADIENTS[name][1].items()}
    loss_of(at(name, values, engine)).backward()
    return {k: v.grad for k, v in values.items() if v.grad is not None}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_differences(name: str, engine: str) -> None:
    found, values = gradients(name, engine), GRADIENTS[name][1]
    assert found.keys() == values.keys()
    for k, value in values.items():
        direction = value * torch.cos(torch.arange(value.numel())).reshape(value.shape)

        def moved(h: float, k: str = k, direction: Tensor = direction) -> float:
            with torch.no_grad():
                return loss_of(at(name, {**values, k: values[k] + h * direction}, engine)).item()

        exact = difference(moved)
        assert exact.error < 1e-7 * abs(exact.value)
        assert float((found[k] * direction).sum()) == pytest.approx(exact.value, rel=1e-7)


@pytest.mark.parametrize("name", GRADIENTS)
def test_engines_agree(name: str, engines: tuple[str, ...]) -> None:
    ends = [(at(name, GRADIENTS[name][1], engine), gradients(name, engine)) for engine in engines]
    for found, bars in ends[1:]:
        for k, v in ends[0][0].states.items():
            torch.testing.assert_close(found.states[k], v, rtol=1e-10, atol=1e-12)
        for k, v in ends[0][1].items():
            torch.testing.assert_close(bars[k], v, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", GRADIENTS)
def test_forward_mode_agrees_with_the_adjoint(name: str, engine: str) -> None:
    values, bars = GRADIENTS[name][1], gradients(name, engine)
    dots = {k: torch.cos(torch.arange(v.numel())).reshape(v.shape) for k, v in values.items()}
    _, along = torch.func.jvp(lambda v: loss_of(at(name, v, engine)), (values,), (dots,))
    torch.testing.assert_close(along, torch.stack([(bars[k] * dots[k]).sum() for k in values]).sum(), rtol=1e-9, atol=0)


def test_a_jacobian_takes_all_directions_together(engine: str) -> None:
    def heads(x: Tensor) -> Tensor:
        return dg.steady(aquifer(), {"K": x[:, :1]}, forcing={"recharge": x[:, 1]}, engine=engine).states["h"]

    x = torch.tensor([[3.0, 0.002], [2.0, 0.003]])
    _, J = dg.jacobian(heads, x)
    x.requires_grad_()
    for cell in (0, 17):
        (bar,) = torch.autograd.grad(heads(x)[:, cell].sum(), x)
        torch.testing.assert_close(J[:, cell], bar, rtol=1e-9, atol=1e-12)


def test_members_of_a_batch_are_solved_alone(engine: str) -> None:
    K, recharge = (2 + field(6, 30, 3)).requires_grad_(), torch.tensor([0.0, 0.001, 0.002]).requires_grad_()
    found = dg.steady(aquifer(), {"K": K}, forcing={"recharge": recharge}, engine=engine)
    assert found.states["h"].shape == (3, 30)
    assert found.fluxes["inflow"].shape == found.balance.shape == found.ok.shape == (3,)
    loss_of(found).backward()
    for m in range(3):
        alone = dg.steady(aquifer(), {"K": K[m].detach()}, forcing={"recharge": recharge[m].item()}, engine=engine)
        torch.testing.assert_close(found.states["h"][m], alone.states["h"], rtol=1e-12, atol=1e-12)
    assert K.grad is not None
    assert (K.grad.abs().sum(1) > 0).all()
    assert recharge.grad is not None
    assert recharge.grad.shape == (3,)


def test_forcing_may_vary_over_cells_members_or_both(engine: str) -> None:
    made = field(7, 12, 2)
    model = plate(3, 4)
    both = dg.steady(model, forcing={"made": made}, engine=engine).states["heat"]
    torch.testing.assert_close(dg.steady(model, forcing={"made": made[1]}, engine=engine).states["heat"], both[1])
    each = dg.steady(model, forcing={"made": torch.tensor([[1.0], [2.0]])}, engine=engine).states["heat"]
    torch.testing.assert_close(each[0], dg.steady(model, forcing={"made": 1.0}, engine=engine).states["heat"])
    torch.testing.assert_close(2 * each[0], each[1])


def test_where_a_search_begins_has_no_gradient(engine: str) -> None:
    start, K = torch.tensor(9.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    dg.steady(aquifer(), {"K": K}, forcing={"recharge": 0.001}, initial={"h": start}, engine=engine).states[
        "h"
    ].sum().backward()
    assert start.grad == 0
    assert K.grad is not None
    assert K.grad != 0


def test_second_derivatives_are_refused(engine: str) -> None:
    K = torch.tensor(3.0, requires_grad=True)
    total = dg.steady(aquifer(), {"K": K}, forcing={"recharge": 0.001}, engine=engine).states["h"].sum()
    (bar,) = torch.autograd.grad(total, K, create_graph=True)
    with pytest.raises(AdjointError, match="once"):
        bar.backward()


def test_transforms_of_functions_are_solved_as_a_batch(engine: str) -> None:
    def total(K: Tensor) -> Tensor:
        return dg.steady(aquifer(), {"K": K}, forcing={"recharge": 0.001}, engine=engine).states["h"].sum()

    K = torch.tensor([2.0, 3.0])
    each = torch.func.vmap(torch.func.grad(total))(K)
    torch.testing.assert_close(each, torch.stack([torch.func.grad(total)(k) for k in K]))


def test_what_was_found_can_be_sent_away() -> None:
    found = dg.steady(dg.models.ExpHydro(), forcing={"precipitation": 5.0, "temperature": 8.0, "daylength": 11.0})
    again = pickle.loads(pickle.dumps(found))
    assert again.stats == found.stats
    assert str(again) == str(found)
    assert all(torch.equal(again.fluxes[k], v) for k, v in found.fluxes.items())


def test_bad_input_names_the_culprit() -> None:
    with pytest.raises(InputError, match="'recharge' is a TimeSeries"):
        dg.steady(aquifer(), forcing={"recharge": dg.TimeSeries([0.0, 1.0], [0.1])})
    with pytest.raises(ShapeError, match="'recharge' has shape"):
        dg.steady(aquifer(), forcing={"recharge": torch.zeros(2, 30)})
    with pytest.raises(ShapeError, match="'made' has shape"):
        dg.steady(plate(3, 4), forcing={"made": torch.zeros(11)})
    with pytest.raises(MissingNameError, match="head"):
        dg.steady(soil(), forcing={"flux": 0.01})
    with pytest.raises(InputError, match="rtol"):
        dg.steady(aquifer(), rtol=0.0)
    with pytest.raises(InputError, match="max_iterations"):
        dg.steady(aquifer(), max_iterations=0)
