"""Graphs: what their constructors make, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydiffgeo as dg
from pydiffgeo.errors import ModelError


def test_column_of_uneven_cells() -> None:
    graph = dg.column(1.0, 4, [0.1, 0.2, 0.3, 0.4])
    assert graph.cells == 4
    assert graph.faces.tolist() == [[0, 1], [1, 2], [2, 3]]
    np.testing.assert_allclose(graph.cell["volume"], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(graph.cell["thickness"], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(graph.coordinates["depth"], [0.05, 0.2, 0.45, 0.8])
    np.testing.assert_allclose(graph.face["distance"], [0.15, 0.25, 0.35])
    np.testing.assert_allclose(graph.face["area"], [1.0, 1.0, 1.0])


def test_column_of_even_cells() -> None:
    graph = dg.column(2.0, 4)
    np.testing.assert_allclose(graph.cell["thickness"], [0.5] * 4)
    np.testing.assert_allclose(graph.cell["depth"], [0.25, 0.75, 1.25, 1.75])


def test_raster_counts_row_by_row() -> None:
    graph = dg.raster((2, 3), (10.0, 4.0))
    assert graph.cells == 6
    # Cells 0 1 2 above cells 3 4 5: first the faces down the columns, then those along the rows.
    assert graph.faces.tolist() == [[0, 3], [1, 4], [2, 5], [0, 1], [1, 2], [3, 4], [4, 5]]
    np.testing.assert_allclose(graph.face["area"], [4.0] * 3 + [10.0] * 4)
    np.testing.assert_allclose(graph.face["distance"], [10.0] * 3 + [4.0] * 4)
    np.testing.assert_allclose(graph.cell["volume"], [40.0] * 6)
    np.testing.assert_allclose(graph.coordinates["y"], [5.0] * 3 + [15.0] * 3)
    np.testing.assert_allclose(graph.coordinates["x"], [2.0, 6.0, 10.0] * 2)
    # Neighbours along a face are one cell apart, and only they are.
    for (a, b), distance in zip(graph.faces, graph.face["distance"], strict=True):
        steps = [abs(graph.coordinates[k][a] - graph.coordinates[k][b]) for k in "yx"]
        assert sorted(steps) == [0.0, distance]


def test_network_and_single_cell() -> None:
    graph = dg.network(3, [(0, 2), (1, 2)], volume=[1.0, 2.0, 3.0], length=[5.0, 6.0])
    assert graph.faces.tolist() == [[0, 2], [1, 2]]
    assert graph.cell["volume"].tolist() == [1.0, 2.0, 3.0]
    assert graph.face["length"].tolist() == [5.0, 6.0]
    assert graph.face["area"].tolist() == [1.0, 1.0]
    bucket = dg.single_cell(7.0)
    assert (bucket.cells, len(bucket.faces), bucket.cell["volume"].tolist()) == (1, 0, [7.0])


def test_geometry_cannot_be_changed() -> None:
    graph = dg.column(1.0, 2)
    for values in (graph.cell["volume"], graph.face["distance"], graph.faces):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 3


def graph(cells: int, faces: Any = (), volume: Any = 1.0, area: Any = 1.0, **cell: Any) -> dg.Graph:
    return dg.Graph(cells, np.array(faces, np.int64).reshape(-1, 2), {"volume": volume, **cell}, {"area": area})


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: dg.column(0.0, 3), ["depth must be positive", "0.0"]),
        (lambda: dg.column(float("nan"), 3), ["depth must be positive", "nan"]),
        (lambda: dg.column(1.0, 0), ["cells must be at least 1", "0"]),
        (lambda: dg.column(1.0, 2, [0.5, 0.6]), ["add up to depth=1.0", "0.6"]),
        (lambda: dg.column(1.0, 2, [1.5, -0.5]), ["thickness must be positive", "-0.5"]),
        (lambda: dg.column(1.0, 2, [0.5, float("nan")]), ["thickness must be finite", "nan"]),
        (lambda: dg.raster((0, 3)), ["shape must be", "(0, 3)"]),
        (lambda: dg.raster((2, 2), (1.0, -1.0)), ["spacing must be"]),
        (lambda: dg.network(2, [(0, 2)]), ["outside 0..1"]),
        (lambda: dg.network(2, [(-1, 0)]), ["outside 0..1"]),
        (lambda: dg.network(2, [(1, 1)]), ["join two different cells"]),
        (lambda: dg.network(2, [(0, 1)], volume=[1.0, 0.0]), ["cell.volume must be given and positive"]),
        (lambda: dg.network(2, [(0, 1)], length=float("inf")), ["face.length must be finite", "inf"]),
        (lambda: graph(2, [(0, 1)], area=-1.0), ["face.area must be given and positive"]),
        (lambda: dg.Graph(1, np.empty((0, 2), np.int64), {}, {"area": 1.0}), ["cell.volume must be given"]),
        (lambda: dg.Graph(2, np.array([[0, 1]]), {"volume": 1.0}, {}), ["face.area must be given"]),
    ],
)
def test_graphs_that_make_no_sense(make: Callable[[], dg.Graph], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)
