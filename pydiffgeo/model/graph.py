"""Graphs of control volumes: where cells are, which of them share a face, and how large both are.

A graph knows nothing of a process. Engines see only its numbers: the pair of cells of each face and
named geometry values of cells and faces, which local functions read as `cell.volume`,
`face.distance` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import is_number, is_pair, is_whole, shown
from ..copies import Made
from ..errors import ModelError

Array = NDArray[np.float64]


# Numbers of cells that no memory holds are mistakes.
MOST = 1_000_000_000


def _frozen(values: ArrayLike, size: int, what: str) -> Array:
    """A read-only float64 copy of `values`, spread over `size` entries."""
    try:
        given = np.asarray(values)
        if given.size and given.dtype.kind not in "iuf":
            raise TypeError(given.dtype)
        given = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{what} must be numbers, got {shown(values)}") from error
    if given.shape not in ((), (size,)):
        raise ModelError(f"{what} needs one value or {size} of them, got shape {given.shape}")
    array = np.array(np.broadcast_to(given, (size,)))
    if not np.isfinite(array).all():
        raise ModelError(f"{what} must be finite, got {array}")
    array.setflags(write=False)
    return array


def _faces(pairs: Any) -> NDArray[np.int64]:
    """Numbers of the two cells of each face, `(faces, 2)`."""
    try:
        given = np.asarray(pairs)
        if given.size == 0:
            return np.empty((0, 2), np.int64)
        if given.dtype.kind in "iu" and given.ndim == 2 and given.shape[1] == 2:
            return np.array(given, np.int64)
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
    faces: NDArray[np.int64]
    cell: Mapping[str, Any]
    face: Mapping[str, Any]
    coordinates: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_whole(self.cells, 1) or self.cells > MOST:
            raise ModelError(f"a graph needs at least one cell, and at most {MOST}, got cells={shown(self.cells)}")
        faces = _faces(self.faces)
        if faces.size and (faces.min() < 0 or faces.max() >= self.cells):
            raise ModelError(f"faces name cells outside 0..{self.cells - 1}")
        if (faces[:, 0] == faces[:, 1]).any():
            raise ModelError("a face must join two different cells")
        faces.setflags(write=False)
        cell = {k: _frozen(v, self.cells, f"cell.{k}") for k, v in self.cell.items()}
        face = {k: _frozen(v, len(faces), f"face.{k}") for k, v in self.face.items()}
        for what, values in (("cell.volume", cell.get("volume")), ("face.area", face.get("area"))):
            if values is None or (values <= 0).any():
                raise ModelError(f"{what} must be given and positive, got {values}")
        object.__setattr__(self, "faces", faces)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "face", face)


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
    """  # fmt: skip
    return Graph(
        cells,
        _faces(edges),
        {"volume": volume},
        {"area": 1.0, **geometry},
    )
