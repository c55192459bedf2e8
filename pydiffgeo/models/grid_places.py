"""Cells of a raster by columns of a table: numbers, rows and columns, or distances from its corner."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Indices
from ..checks import is_whole, shown
from ..errors import ModelError
from ..model import Graph

# Columns of a table that say where something is; all others are of what is there.
PLACE = ("cell", "layer", "row", "column", "x", "y")


def cells_at(graph: Graph, given: Mapping[str, object], what: str) -> Indices:
    """Numbers of the cells of a table `(rows,)`, or of all cells that a few whole numbers select.

    Args:
        given: columns `cell`; or `row`, `column` and with layers `layer`; or `x` and `y`, distances from the corner of the
            first cell along columns and along rows, and `layer`. All counts begin at 0. With single whole numbers instead of
            columns, those of all cells there: `{"column": 0}` is the first column; negative ones count from the end.

    Raises:
        ModelError: there is no such cell; begins with `what`.
    """
    at = {name: given[name] for name in PLACE if name in given}
    if at and all(is_whole(value) for value in at.values()) and not {*at} & {"cell", "x", "y"}:
        return _selected(graph, {k: int(v) for k, v in at.items() if is_whole(v)}, what)
    columns = {name: _numbers(value, f"{what}: {name}") for name, value in at.items()}
    if "cell" in columns:
        numbers = columns["cell"].astype(int)
        wrong = (numbers < 0) | (numbers >= graph.cells)
    elif {"x", "y"} <= {*columns}:
        numbers, wrong = _around(graph, columns, what)
    elif {"row", "column"} <= {*columns}:
        numbers, wrong = _on_grid(graph, columns, what)
    else:
        raise ModelError(f"{what} needs columns cell, or row and column, or x and y; it has {[*given]}")
    if wrong.any():
        row = int(np.argmax(wrong))
        place = {k: float(v[row]) for k, v in columns.items()}
        raise ModelError(f"{what}: there is no cell at {place} (row {row} of its table)")
    return numbers


def _numbers(value: object, what: str) -> Array:
    try:
        array = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ModelError(f"{what} must be numbers, one for each place, got {shown(value)}")
    return array


def _shape(graph: Graph, what: str) -> tuple[int, ...]:
    if graph.shape is None:
        raise ModelError(f"{what}: the model has no grid, and so no rows and columns")
    return graph.shape


def _table(graph: Graph, shape: tuple[int, ...]) -> Indices:
    """The number of the cell at each place, -1 where there is none."""
    table = np.full(shape, -1)
    table[np.ones(shape, bool) if graph.active is None else graph.active] = np.arange(graph.cells)
    return table


def _axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    return ("layer", "row", "column")[-len(shape) :]


def _selected(graph: Graph, at: Mapping[str, int], what: str) -> Indices:
    shape = _shape(graph, what)
    chosen: list[slice | int] = []
    for axis, size in zip(_axes(shape), shape, strict=True):
        number = at.get(axis)
        if number is not None and not -size <= number < size:
            raise ModelError(f"{what}: {axis} {number} is not one of {size}")
        chosen.append(slice(None) if number is None else number)
    if strange := {*at} - {*_axes(shape)}:
        raise ModelError(f"{what}: the grid {shape} has no {sorted(strange)[0]}")
    numbers = np.atleast_1d(_table(graph, shape)[tuple(chosen)]).ravel()
    if not (numbers >= 0).any():
        raise ModelError(f"{what}: there is no active cell at {dict(at)}")
    return numbers[numbers >= 0]


def _on_grid(graph: Graph, columns: Mapping[str, Array], what: str) -> tuple[Indices, np.ndarray]:
    shape = _shape(graph, what)
    places = []
    for axis in _axes(shape):
        given = columns.get(axis, np.zeros(len(columns["row"])))
        if len(given) != len(columns["row"]):
            raise ModelError(f"{what}: {axis} has {len(given)} entries for {len(columns['row'])} rows")
        places.append(given.astype(int))
    place = np.stack(places)
    inside = ((place >= 0) & (place < np.array(shape)[:, None])).all(0)
    numbers = _table(graph, shape)[(*np.where(inside, place, 0),)]
    return numbers, ~inside | (numbers < 0)


def _around(graph: Graph, columns: Mapping[str, Array], what: str) -> tuple[Indices, np.ndarray]:
    shape = _shape(graph, what)
    found: dict[str, Array] = {k: v for k, v in columns.items() if k == "layer"}
    beyond = np.zeros(len(columns["x"]), bool)
    for axis, along, size in (("row", "y", shape[-2]), ("column", "x", shape[-1])):
        edges = _edges(graph.cell[axis].astype(int), graph.cell[along], size, what)
        number = np.searchsorted(edges, columns[along], side="right") - 1
        beyond |= (number < 0) | (number >= size)
        found[axis] = np.clip(number, 0, size - 1).astype(np.float64)
    numbers, wrong = _on_grid(graph, found, what)
    return numbers, wrong | beyond


def _edges(number: Indices, centre: Array, size: int, what: str) -> Array:
    """Where the rows, or columns, of a raster end, `(size + 1,)`: each centre lies in the middle of two."""
    centres = np.full(size, np.nan)
    centres[number] = centre
    if np.isnan(centres).any():
        raise ModelError(f"{what}: x and y need a cell in each row and column of the grid; give row and column")
    edges = np.zeros(size + 1)
    for k in range(size):
        edges[k + 1] = 2 * centres[k] - edges[k]
    return edges


def mask_of(values: ArrayLike, what: str) -> np.ndarray:
    """A mask from truth values, or from numbers: zero and NaN are no cell; raises `ModelError`."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ModelError(f"{what} must be a mask of ones and zeros, got {shown(values)}")
    return array if array.dtype == np.bool_ else np.isfinite(array) & (array != 0)
