"""Graphs of control volumes: where cells are, which of them share a face, and how large both are.

A graph knows nothing of a process. Engines see only its numbers: the pair of cells of each face and
named geometry values of cells and faces, which local functions read as `cell.volume`,
`face.distance` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Indices
from ..checks import is_number, is_pair, is_whole, shown
from ..copies import Made
from ..errors import ModelError

# Numbers of cells that no memory holds are mistakes.
MOST = 1_000_000_000


def _frozen(values: ArrayLike, size: int, what: str) -> Array:
    """A read-only float64 copy of `values`, spread over `size` entries."""
    try:
        numbers = np.asarray(values)
        if numbers.size and numbers.dtype.kind not in "iuf":
            raise TypeError(numbers.dtype)
        numbers = numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{what} must be numbers, got {shown(values)}") from error
    if numbers.shape not in ((), (size,)):
        raise ModelError(f"{what} needs one value or {size} of them, got shape {numbers.shape}")
    array = np.array(np.broadcast_to(numbers, (size,)))
    if not np.isfinite(array).all():
        raise ModelError(f"{what} must be finite, got {array}")
    array.setflags(write=False)
    return array


def _faces(pairs: ArrayLike) -> Indices:
    """Numbers of the two cells of each face, `(faces, 2)`."""
    try:
        cells = np.asarray(pairs)
        if cells.size == 0:
            return np.empty((0, 2), np.int64)
        if cells.dtype.kind in "iu" and cells.ndim == 2 and cells.shape[1] == 2:
            return np.array(cells, np.int64)
    except ValueError:  # rows of different lengths
        pass
    raise ModelError(f"faces must be pairs of whole numbers (faces, 2), the cells that they join, got {shown(pairs)}")


@dataclass(frozen=True, eq=False)
class Graph(Made):
    """Cells joined by directed faces.

    Attributes:
        cells: number of cells.
        faces: integer array `(faces, 2)`: the left and the right cell of each face. A positive flux
            leaves the left cell and enters the right one.
        cell: geometry of the cells, name -> array `(cells,)` or one number; must hold `volume`.
        face: geometry of the faces, name -> array `(faces,)` or one number; must hold `area`.
        coordinates: name -> array `(cells,)` of cell centres, for labels and plots.
    """

    cells: int
    faces: Indices
    cell: Mapping[str, Array]
    face: Mapping[str, Array]
    coordinates: Mapping[str, Array]

    # Written out because it takes more than the attributes hold: single numbers, and pairs in lists.
    def __init__(
        self,
        cells: int,
        faces: ArrayLike,
        cell: Mapping[str, ArrayLike],
        face: Mapping[str, ArrayLike],
        coordinates: Mapping[str, Array] | None = None,
    ) -> None:
        if not is_whole(cells, 1) or cells > MOST:
            raise ModelError(f"a graph needs at least one cell, and at most {MOST}, got cells={shown(cells)}")
        pairs = _faces(faces)
        if pairs.size and (pairs.min() < 0 or pairs.max() >= cells):
            raise ModelError(f"faces name cells outside 0..{cells - 1}")
        if (pairs[:, 0] == pairs[:, 1]).any():
            raise ModelError("a face must join two different cells")
        pairs.setflags(write=False)
        of_cells = {k: _frozen(v, cells, f"cell.{k}") for k, v in cell.items()}
        of_faces = {k: _frozen(v, len(pairs), f"face.{k}") for k, v in face.items()}
        for what, values in (("cell.volume", of_cells.get("volume")), ("face.area", of_faces.get("area"))):
            if values is None or (values <= 0).any():
                raise ModelError(f"{what} must be given and positive, got {values}")
        held = {"cells": cells, "faces": pairs, "cell": of_cells, "face": of_faces, "coordinates": coordinates or {}}
        for name, value in held.items():
            object.__setattr__(self, name, value)


def single_cell(volume: float = 1.0) -> Graph:
    """One cell without faces: a bucket or a basin."""
    return Graph(1, np.empty((0, 2), np.int64), {"volume": volume}, {"area": 1.0})


def column(depth: float, cells: int, thickness: ArrayLike | None = None) -> Graph:
    """A vertical chain of cells of unit cross-section, the first one at the surface.

    Args:
        depth: total depth (length unit of the model).
        cells: number of cells.
        thickness: thickness of each cell `(cells,)`, top to bottom; uniform where not given.

    Cells carry `volume` (thickness times unit area), `thickness` and `depth` of the centre; faces
    carry `area` and `distance` between the two centres.
    """
    if not (is_number(depth) and depth > 0):
        raise ModelError(f"depth must be positive, got {depth!r}")
    if not is_whole(cells, 1) or cells > MOST:
        raise ModelError(f"cells must be at least 1, and at most {MOST}, got {shown(cells)}")
    dz = _frozen(depth / cells if thickness is None else thickness, cells, "thickness")
    if (dz <= 0).any() or not np.isclose(dz.sum(), depth):
        raise ModelError(f"thickness must be positive and add up to depth={depth}, got {dz}")
    centre = np.cumsum(dz) - dz / 2
    upper = np.arange(cells - 1)
    return Graph(
        cells,
        np.stack([upper, upper + 1], axis=1),
        {"volume": dz, "thickness": dz, "depth": centre},
        {"area": 1.0, "distance": np.diff(centre)},
        {"depth": centre},
    )


def raster(shape: tuple[int, int], spacing: tuple[float, float] = (1.0, 1.0)) -> Graph:
    """A raster of `shape = (rows, columns)` cells of size `spacing`, of unit thickness.

    Cell `(i, j)` has the number `i * columns + j`. Cells carry `volume`, `y` and `x`; faces carry
    `area` and `distance`.
    """
    if not (is_pair(shape) and all(is_whole(n, 1) and n <= MOST for n in shape) and shape[0] * shape[1] <= MOST):
        raise ModelError(f"shape must be (rows, columns), whole numbers of at least 1, got {shape!r}")
    if not (is_pair(spacing) and min(spacing) > 0):
        raise ModelError(f"spacing must be (dy, dx), both positive, got {spacing!r}")
    rows, columns = shape
    dy, dx = spacing
    number = np.arange(rows * columns).reshape(rows, columns)
    down = np.stack([number[:-1].ravel(), number[1:].ravel()], axis=1)
    right = np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1)
    y, x = np.meshgrid((np.arange(rows) + 0.5) * dy, (np.arange(columns) + 0.5) * dx, indexing="ij")
    return Graph(
        rows * columns,
        np.concatenate([down, right]),
        {"volume": dx * dy, "y": y.ravel(), "x": x.ravel()},
        {
            "area": np.repeat([dx, dy], [len(down), len(right)]),
            "distance": np.repeat([dy, dx], [len(down), len(right)]),
        },
        {"y": y.ravel(), "x": x.ravel()},
    )


def network(cells: int, edges: Sequence[tuple[int, int]], volume: ArrayLike = 1.0, **geometry: ArrayLike) -> Graph:
    """A directed network: each edge `(from, to)` is a face that carries flux downstream.

    `geometry` gives further values for the edges, name -> array `(edges,)`.
    """
    return Graph(cells, _faces(edges), {"volume": volume}, {"area": 1.0, **geometry})
