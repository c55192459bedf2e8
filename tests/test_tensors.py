"""Fields in the shape of the grid and flat ones are the same; what may be either is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, ShapeError, UnknownNameError
from pydiffgeo.inputs import Inputs, check_inputs

NAN = float("nan")
BENT = np.array([[True, True, True], [True, False, True]])
FIELD = np.array([[1.0, 2.0, 3.0], [4.0, NAN, 5.0]])
FLAT = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def store(graph: dg.Graph) -> dg.Model:
    """Water that comes as rain, and leaves in proportion to what is there."""
    return dg.Model(
        name="Store",
        graph=graph,
        states=(dg.State("water", "m", "water", default=1.0),),
        parameters=(
            dg.Parameter("k", "d-1", "rate of loss", 0.5, low=0.0),
            dg.Parameter("c", "d-1", "conductance of faces", 0.0, low=0.0, on="face"),
        ),
        forcings=(
            dg.ForcingVariable("rain", "m d-1", "rain", on="cell", default=0.0),
            dg.ForcingVariable("demand", "m d-1", "demand", default=0.0),
        ),
        fluxes=(dg.IntegratedFlux("loss", "m", "what leaves", balance=-1),),
        source=lambda cell, forcing: {
            "water": forcing.rain - forcing.demand - cell.k * cell.water,
            "loss": cell.k * cell.water + forcing.demand - forcing.rain,
        },
        flux=lambda left, right, face: {"water": face.c * (left.water - right.water)},
        outputs=(dg.Output("twice", "m", "twice the water"),),
        output=lambda cell: {"twice": 2 * cell.water},
    )


MODEL = store(dg.raster((2, 3), active=BENT))


def packed(model: dg.Model = MODEL, intervals: int = 2, **given: Any) -> Inputs:
    parameters = {k: given.pop(k) for k in ("k", "c") if k in given}
    initial = {k: given.pop(k) for k in ("water",) if k in given}
    return check_inputs(model, parameters, given, np.arange(intervals + 1.0), initial)


def equal(a: Inputs, b: Inputs) -> None:
    assert a.batch == b.batch
    assert torch.equal(a.p, b.p)
    assert torch.equal(a.f, b.f)
    assert torch.equal(a.states["water"], b.states["water"])


MEMBERS = np.arange(1.0, 5.0)


@pytest.mark.parametrize("name", ["k", "water"])
def test_fields_of_parameters_and_states(name: str) -> None:
    equal(packed(**{name: FIELD}), packed(**{name: FLAT}))
    equal(packed(**{name: torch.from_numpy(FIELD)}), packed(**{name: FLAT}))
    equal(packed(**{name: MEMBERS[:, None, None] * FIELD}), packed(**{name: MEMBERS[:, None] * FLAT}))
    assert packed(**{name: FIELD}).batch is None
    assert packed(**{name: FIELD[None]}).batch == 1


def test_fields_of_forcings() -> None:
    steps = np.array([1.0, 0.5])
    field, flat = steps[:, None, None] * FIELD, steps[:, None] * FLAT
    equal(packed(rain=field), packed(rain=flat))
    batch = MEMBERS[:, None, None, None] * field
    equal(packed(rain=batch), packed(rain=MEMBERS[:, None, None] * flat))
    for kind, nodes in (("constant", 3), ("linear", 2)):
        times = np.linspace(0.0, 2.0, nodes)
        equal(*(packed(rain=dg.TimeSeries(times, values, kind)) for values in (field, flat)))


def test_fields_in_three_dimensions() -> None:
    active = np.stack([BENT, ~BENT])
    model = store(dg.raster((2, 2, 3), layers=1.0, active=active))
    field = np.where(active, np.arange(12.0).reshape(2, 2, 3), NAN)
    flat = field[active]
    equal(packed(model, k=field, water=field[None]), packed(model, k=flat, water=flat[None]))
    equal(packed(model, rain=np.stack([field, field])), packed(model, rain=np.stack([flat, flat])))
    equal(packed(model, rain=np.stack([field, field])[None]), packed(model, rain=np.stack([flat, flat])[None]))


def test_values_outside_of_the_outline_do_not_matter_and_others_do() -> None:
    # The last place has the number 4 among the cells.
    bad = np.where(np.arange(6).reshape(2, 3) == 5, NAN, FIELD)
    for given, entry in (
        ({"k": bad}, "(1, 2)"),
        ({"k": np.stack([FIELD, bad])}, "(1, 1, 2)"),
        ({"water": bad}, "(1, 2)"),
        ({"rain": np.stack([FIELD, bad])}, "(1, 1, 2)"),
        ({"k": np.where(FLAT == 5, NAN, FLAT)}, "(4,)"),
    ):
        with pytest.raises(BoundsError) as caught:
            packed(**given)
        assert f"entry {entry} is nan" in str(caught.value)
    k = torch.from_numpy(FIELD).requires_grad_()
    sol = dg.solve(MODEL, {"k": k}, times=[0.0, 1.0], engine="sundials", rtol=1e-10, atol=1e-12)
    sol.states["water"][-1].sum().backward()
    expected = torch.where(torch.from_numpy(BENT), -torch.exp(-k.detach()), 0.0)
    torch.testing.assert_close(k.grad, expected, rtol=1e-7, atol=0.0)


def test_solutions_on_the_grid() -> None:
    solve = {"times": [0.0, 1.0, 2.0], "engine": "sundials"}
    sol = dg.solve(MODEL, {"k": FIELD}, **solve)
    for name, values in (("water", sol.states["water"]), ("twice", sol.outputs["twice"])):
        field = sol.on_grid(name)
        assert field.shape == (3, 2, 3)
        assert torch.equal(torch.isnan(field[0]), torch.from_numpy(~BENT))
        assert torch.equal(MODEL.graph.on_cells(field), values)
    np.testing.assert_array_equal(sol.on_grid("k"), FIELD)
    batch = dg.solve(MODEL, {"k": np.array([[0.1], [0.2]])}, **solve)
    assert batch.on_grid("water").shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(batch.on_grid("k"), np.where(BENT, [[[0.1]], [[0.2]]], NAN))
    with pytest.raises(UnknownNameError, match=r"'c'.*'water', 'twice', 'k'"):
        sol.on_grid("c")
    column = dg.solve(store(dg.column(1.0, 2)), **solve)
    with pytest.raises(ShapeError, match="no grid"):
        column.on_grid("water")


def test_gradients_of_fields_can_be_checked() -> None:
    rain = np.stack([0.1 * FIELD, 0.2 * FIELD])
    report = dg.check_gradients(
        MODEL,
        {"k": FIELD},
        forcing={"rain": rain},
        initial={"water": FIELD},
        times=[0.0, 1.0, 2.0],
        engine="sundials",
        rtols=[1e-8],
        only=["k", "rain", "water"],
    )
    assert report.ok, str(report)


ROW, LINE = store(dg.raster((1, 4))), store(dg.raster((4, 1)))
# Three cells, and rows of three: a field looks like two members.
SPARSE = store(dg.raster((2, 3), active=[[True, False, True], [False, True, False]]))


def test_one_row_is_the_same_either_way() -> None:
    assert packed(ROW, k=np.ones((1, 4))).batch == 1
    assert packed(ROW, intervals=1, rain=np.ones((1, 1, 4))).batch == 1


@pytest.mark.parametrize(
    ("model", "given", "parts"),
    [
        (LINE, {"k": np.ones((4, 1))}, ["'k'", "(4, 1)", "a batch of 4 members", "(4,)", "(batch, 4, 1)"]),
        (LINE, {"water": np.ones((4, 1))}, ["initial 'water'", "(4, 1)", "(4,)", "(batch, 4, 1)"]),
        (SPARSE, {"k": np.ones((2, 3))}, ["'k'", "(2, 3)", "a batch of 2 members", "(3,)", "(batch, 2, 3)"]),
        (SPARSE, {"rain": np.ones((2, 2, 3))}, ["'rain'", "(2, 2, 3)", "(2, 3)", "(batch, 2, 2, 3)"]),
    ],
)
def test_what_may_be_a_field_or_a_batch_is_refused(model: dg.Model, given: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ShapeError) as caught:
        packed(model, **given)
    for part in parts:
        assert part in str(caught.value)


def test_the_ways_out_are_ways_out() -> None:
    equal(packed(LINE, k=np.ones((4, 4, 1))), packed(LINE, k=np.ones((4, 4))))
    equal(packed(SPARSE, rain=np.ones((1, 2, 2, 3))), packed(SPARSE, rain=np.ones((1, 2, 3))))
    assert packed(LINE, k=np.ones((3, 1))).batch == 3
    assert packed(SPARSE, k=np.ones((4, 3))).batch == 4


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"k": np.ones((3, 2))}, ["'k'", "(3, 2)", "(5,)", "(batch, 5)", "(2, 3)", "(batch, 2, 3)", "cells=5"]),
        ({"water": np.ones((2, 3, 2))}, ["'water'", "(2, 3, 2)", "(2, 3)", "(batch, 2, 3)"]),
        ({"c": np.ones((2, 3))}, ["'c'", "(2, 3)", "faces=4"]),
        ({"rain": np.ones((3, 2, 3))}, ["'rain'", "(3, 2, 3)", "(2, 2, 3)", "(batch, 2, 2, 3)", "(2, 5)"]),
        ({"rain": np.ones((2, 3))}, ["'rain'", "(2, 3)", "2 values"]),
        ({"demand": np.ones((2, 2, 3))}, ["'demand'", "(2, 2, 3)"]),
    ],
)
def test_other_shapes_are_refused_with_those_of_the_grid(given: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ShapeError) as caught:
        packed(**given)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("model", [MODEL, store(dg.network(5, [(0, 1), (1, 2)]))])
def test_series_of_cells_are_no_batch(model: dg.Model) -> None:
    of_cells = np.arange(10.0).reshape(5, 2)
    with pytest.raises(ShapeError) as caught:
        packed(model, rain=of_cells)
    for part in ("'rain'", "(5, 2)", "batch of 5 members", "(intervals, cells) = (2, 5)", "transposed", "(5, 2, 1)"):
        assert part in str(caught.value)
    assert packed(model, rain=of_cells.T).batch is None
    # The same as a batch, said in words; with something else that has such a batch; and of another size.
    batch = packed(model, rain=of_cells[:, :, None])
    assert batch.batch == 5
    assert torch.equal(batch.f[:, :, 0, 0], torch.from_numpy(of_cells))
    equal(packed(model, rain=of_cells, k=np.ones((5, 1))), packed(model, rain=of_cells[:, :, None], k=np.ones((5, 1))))
    assert packed(model, rain=of_cells, demand=np.ones((5, 2))).batch == 5
    assert packed(model, rain=of_cells[:4]).batch == 4


def test_one_field_is_no_batch_of_series() -> None:
    with pytest.raises(ShapeError, match=r"'rain'.*\(2, 3\).*fields on the grid as \(intervals, 2, 3\)"):
        packed(intervals=3, rain=np.ones((2, 3)))
    assert packed(intervals=3, rain=np.ones((2, 3)), k=np.ones((2, 1))).batch == 2
