"""Rasters of any outline, with unequal cells and in layers: geometry worked out by hand, and what is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import ModelError, ShapeError

NAN = float("nan")
# Two rows of three: the middle of the second one is no cell.
BENT = np.array([[True, True, True], [True, False, True]])


def test_cells_of_unequal_size_and_a_gap() -> None:
    graph = dg.raster((2, 3), ([10.0, 20.0], [4.0, 2.0, 6.0]), active=BENT)
    # Cells 0 1 2 above cells 3 - 4: faces down the columns, then those along the rows.
    assert graph.cells == 5
    assert graph.faces.tolist() == [[0, 3], [2, 4], [0, 1], [1, 2]]
    expected = {
        "area": [4, 6, 10, 10],
        "distance": [15, 15, 3, 4],
        "left_distance": [5, 5, 2, 1],
        "right_distance": [10, 10, 1, 3],
        "direction": [1, 1, 0, 0],
    }
    assert {k: v.tolist() for k, v in graph.face.items()} == expected
    cell = {
        "volume": [40, 20, 60, 80, 120],
        "y": [5, 5, 5, 20, 20],
        "x": [2, 5, 9, 2, 9],
        "row": [0, 0, 0, 1, 1],
        "column": [0, 1, 2, 0, 2],
    }
    assert {k: v.tolist() for k, v in graph.cell.items()} == cell
    assert graph.shape == (2, 3)
    assert not graph.active.flags.writeable


def test_layers_of_unequal_thickness() -> None:
    # Two layers of one row of two: thin and thick beside each other.
    thickness = np.array([[[1.0, 3.0]], [[2.0, 4.0]]])
    graph = dg.raster((2, 1, 2), (5.0, [2.0, 6.0]), layers=thickness)
    assert graph.faces.tolist() == [[0, 2], [1, 3], [0, 1], [2, 3]]
    assert graph.face["direction"].tolist() == [2, 2, 0, 0]
    assert graph.face["left_distance"].tolist() == [0.5, 1.5, 1, 1]
    assert graph.face["right_distance"].tolist() == [1, 2, 3, 3]
    assert graph.face["distance"].tolist() == [1.5, 3.5, 4, 4]
    # Between centres 4 apart the face is 1 from the left one: thickness there is 1.5, and 2.5.
    assert graph.face["area"].tolist() == [10, 30, 5 * 1.5, 5 * 2.5]
    assert graph.cell["volume"].tolist() == [10, 90, 20, 120]
    assert graph.cell["z"].tolist() == [0.5, 1.5, 2, 5]
    assert graph.cell["layer"].tolist() == [0, 0, 1, 1]
    assert graph.coordinates["z"].tolist() == [0.5, 1.5, 2, 5]


@pytest.mark.parametrize("layers", [[1.0, 2.0], torch.tensor([1.0, 2.0]), np.full((2, 3, 4), [[[1.0]], [[2.0]]])])
def test_layers_in_every_form(layers: Any) -> None:
    graphs = [dg.raster(shape, (3.0, 5.0), layers=layers) for shape in ((2, 3, 4), (3, 4))]
    for graph in graphs:
        assert graph.shape == (2, 3, 4)
        assert len(graph.faces) == 12 + 2 * 8 + 2 * 9
        assert graph.cell["volume"].sum() == 12 * 15 * 3.0
    even = dg.raster((2, 3, 4), layers=0.5)
    np.testing.assert_array_equal(even.cell["z"], np.repeat([0.25, 0.75], 12))
    # An outline of all layers, and a place without a cell cuts what lies above from what lies below.
    outline = np.ones((3, 4), bool)
    outline[0, 0] = False
    assert dg.raster((2, 3, 4), layers=layers, active=outline).cells == 22
    hole = np.ones((3, 1, 1), bool)
    hole[1] = False
    assert len(dg.raster((3, 1, 1), layers=1.0, active=hole).faces) == 0


def test_a_full_raster_of_even_cells_is_the_plain_one() -> None:
    plain = dg.raster((3, 4), (50.0, 0.1))
    for other in (
        dg.raster((3, 4), (50.0, 0.1), active=np.ones((3, 4), bool)),
        dg.raster((3, 4), (np.full(3, 50.0), np.full(4, 0.1))),
    ):
        assert np.array_equal(plain.faces, other.faces)
        assert other.active is None
        for a, b in ((plain.cell, other.cell), (plain.face, other.face)):
            assert {*a} == {*b}
            for name in a:
                np.testing.assert_allclose(a[name], b[name], rtol=1e-15, atol=1e-15)


def test_places_of_cells() -> None:
    graph = dg.raster((2, 3), active=BENT)
    assert [graph.place(i) for i in range(5)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)]
    assert dg.raster((2, 3, 4), layers=1.0).place(23) == (1, 2, 3)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_to_the_grid_and_back(lead: tuple[int, ...]) -> None:
    graph = dg.raster((2, 3), active=BENT)
    values = torch.arange(5.0).expand(*lead, 5).clone().requires_grad_()
    field = graph.on_grid(values)
    assert torch.equal(torch.isnan(field), torch.from_numpy(~BENT).expand(*lead, 2, 3))
    np.testing.assert_array_equal(field[(0,) * len(lead)].detach(), [[0, 1, 2], [3, NAN, 4]])
    assert torch.equal(graph.on_cells(field), values)
    graph.on_cells(field).square().sum().backward()
    assert torch.equal(values.grad, 2 * values.detach())
    array = graph.on_grid(values.detach().numpy())
    np.testing.assert_array_equal(array, field.detach())
    np.testing.assert_array_equal(graph.on_cells(array), values.detach())
    assert graph.on_cells(BENT).all()  # masks as well
    full = dg.raster((2, 3))
    assert torch.equal(full.on_cells(full.on_grid(torch.arange(6.0))), torch.arange(6.0))


def test_fields_of_a_batch_may_be_mapped_over() -> None:
    graph = dg.raster((2, 3), active=BENT)
    values = torch.rand(4, 5)
    assert torch.equal(torch.vmap(graph.on_grid)(values).nan_to_num(), graph.on_grid(values).nan_to_num())
    assert torch.equal(torch.vmap(graph.on_cells)(graph.on_grid(values)), values)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_grids_come_back_as_they_were(way: Callable[[dg.Graph], dg.Graph]) -> None:
    graph = dg.raster((2, 3), active=BENT)
    back = way(graph)
    assert back.shape == (2, 3)
    assert np.array_equal(back.active, BENT)
    assert not back.active.flags.writeable


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: dg.raster((2, 2), ([1.0, 2.0, 3.0], 1.0)), ["spacing", "dy for 2", "[1.0, 2.0, 3.0]"]),
        (lambda: dg.raster((2, 2), (1.0, [1.0, 0.0])), ["spacing", "dx for 2", "0.0"]),
        (lambda: dg.raster((2, 2), (1.0, [1.0, NAN])), ["spacing", "dx", "nan"]),
        (lambda: dg.raster((2, 2), active=np.ones((2, 3), bool)), ["active", "(2, 2)", "(2, 3)"]),
        (lambda: dg.raster((2, 2), active=np.ones((2, 2))), ["active", "boolean", "float64"]),
        (lambda: dg.raster((2, 2), active=[[True], [True, False]]), ["active", "boolean"]),
        (lambda: dg.raster((2, 2), active=np.zeros((2, 2), bool)), ["active has no cell"]),
        (lambda: dg.raster((2, 2, 2)), ["shape must be (rows, columns)", "layers"]),
        (lambda: dg.raster((2, 2), layers=3.0), ["shape must be (layers, rows, columns)"]),
        (lambda: dg.raster((2, 2, 2), layers=[1.0, 2.0, 3.0]), ["layers", "(2,)", "(2, 2, 2)", "(3,)"]),
        (lambda: dg.raster((2, 2, 2), layers="x"), ["layers must be numbers"]),
        (lambda: dg.raster((1, 1, 2), layers=[[[1.0, 0.0]]]), ["layers", "cell (0, 0, 1)", "0", "active"]),
        (lambda: dg.raster((1, 1, 2), layers=[[[1.0, NAN]]]), ["layers", "cell (0, 0, 1)", "nan"]),
        (lambda: dg.Graph(3, [(0, 1)], {"volume": 1.0}, {"area": 1.0}, shape=(2, 2)), ["(2, 2)", "4 cells", "cells=3"]),
        (lambda: dg.Graph(2, [(0, 1)], {"volume": 1.0}, {"area": 1.0}, active=BENT), ["active", "shape"]),
    ],
)
def test_grids_that_make_no_sense(make: Callable[[], dg.Graph], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: dg.raster((2, 3)).on_grid(np.ones(5)), ["(..., 6)", "(5,)"]),
        (lambda: dg.raster((2, 3)).on_cells(np.ones((3, 2))), ["(..., 2, 3)", "(3, 2)"]),
        (lambda: dg.column(1.0, 3).on_grid(np.ones(3)), ["no grid"]),
    ],
)
def test_fields_that_do_not_fit(call: Callable[[], Any], parts: list[str]) -> None:
    with pytest.raises(ShapeError) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)
