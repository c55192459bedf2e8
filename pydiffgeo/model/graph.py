"""Graphs of control volumes: where cells are, which of them share a face, and how large both are.

A graph knows nothing of a process. Engines see only its numbers: the pair of cells of each face and
named geometry values of cells and faces, which local functions read as `cell.volume`,
`face.distance` and so on.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import AnyArray, Array, Indices, Mask
from ..checks import is_number, is_whole, shown
from ..copies import Made
from ..errors import ModelError, ShapeError, UnknownNameError

# Numbers of cells that no memory holds are mistakes.
MOST = 1_000_000_000


def frozen(values: ArrayLike, size: int, what: str) -> Array:
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


def face_pairs(pairs: ArrayLike) -> Indices:
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
        shape: of the grid that the cells make up, `(rows, columns)` or `(layers, rows, columns)`; None where they
            make up none. Cells are numbered along the last axis first.
        active: mask of `shape`, which places of the grid are cells; None where all are.
        labels: names of the cells, in their order; None where they have none.
    """

    cells: int
    faces: Indices
    cell: Mapping[str, Array]
    face: Mapping[str, Array]
    coordinates: Mapping[str, Array]
    shape: tuple[int, ...] | None
    active: Mask | None
    labels: tuple[Hashable, ...] | None

    # Written out because it takes more than the attributes hold: single numbers, and pairs in lists.
    def __init__(
        self,
        cells: int,
        faces: ArrayLike,
        cell: Mapping[str, ArrayLike],
        face: Mapping[str, ArrayLike],
        coordinates: Mapping[str, Array] | None = None,
        shape: Sequence[int] | None = None,
        active: Mask | None = None,
        labels: Sequence[Hashable] | None = None,
    ) -> None:
        if not is_whole(cells, 1) or cells > MOST:
            raise ModelError(f"a graph needs at least one cell, and at most {MOST}, got cells={shown(cells)}")
        pairs = face_pairs(faces)
        if pairs.size and (pairs.min() < 0 or pairs.max() >= cells):
            raise ModelError(f"faces name cells outside 0..{cells - 1}")
        if (pairs[:, 0] == pairs[:, 1]).any():
            raise ModelError("a face must join two different cells")
        pairs.setflags(write=False)
        of_cells = {k: frozen(v, cells, f"cell.{k}") for k, v in cell.items()}
        of_faces = {k: frozen(v, len(pairs), f"face.{k}") for k, v in face.items()}
        for what, values in (("cell.volume", of_cells.get("volume")), ("face.area", of_faces.get("area"))):
            if values is None or (values <= 0).any():
                raise ModelError(f"{what} must be given and positive, got {values}")
        held = {"cells": cells, "faces": pairs, "cell": of_cells, "face": of_faces, "coordinates": coordinates or {}}
        held |= {"shape": None if shape is None else tuple(shape), "active": _mask(active, shape, cells)}
        held |= {"labels": _names(labels, cells)}
        for name, value in held.items():
            object.__setattr__(self, name, value)

    @property
    def outlets(self) -> tuple[int, ...]:
        """Numbers of the cells that no face leaves: where a directed network ends."""
        return tuple(np.setdiff1d(np.arange(self.cells), self.faces[:, 0]).tolist())

    def index(self, label: Hashable) -> int:
        """The number of the cell of that name.

        Raises:
            UnknownNameError: there is none.
        """
        if self.labels is None:
            raise UnknownNameError(f"no cell is called {label!r}: the cells of this graph have no names")
        if label not in self.labels:
            close = difflib.get_close_matches(str(label), map(str, self.labels), n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UnknownNameError(f"no cell is called {label!r}; {hint}there are {shown(list(self.labels))}")
        return self.labels.index(label)

    def place(self, cell: int) -> tuple[int, ...]:
        """Where on the grid the cell of that number is: `(row, column)` or `(layer, row, column)`.

        Raises:
            ShapeError: the graph has no grid.
        """
        shape = self._grid()
        at = cell if self.active is None else np.flatnonzero(self.active)[cell]
        return tuple(int(i) for i in np.unravel_index(at, shape))

    @overload
    def on_grid(self, values: Tensor) -> Tensor: ...

    @overload
    def on_grid(self, values: ArrayLike) -> AnyArray: ...

    def on_grid(self, values: Tensor | ArrayLike) -> Tensor | AnyArray:
        """Values of cells `(..., cells)` as fields `(..., *shape)`, with NaN where the grid has no cell.

        A tensor gives a tensor with its gradients, all else an array.

        Raises:
            ShapeError: the graph has no grid, or the last dimension is not that of the cells.
        """
        shape, given = self._grid(), values if isinstance(values, Tensor) else np.asarray(values)
        if not given.shape or given.shape[-1] != self.cells:
            raise ShapeError(
                f"values on the cells of the grid need shape (..., {self.cells}), got {tuple(given.shape)}"
            )
        if self.active is None:
            return given.reshape((*given.shape[:-1], *shape))
        # Places without a cell take what stands behind the last one.
        place = np.where(self.active, np.cumsum(self.active).reshape(shape) - 1, self.cells)
        if isinstance(given, Tensor):
            given = given if given.dtype.is_floating_point else given.to(torch.float64)
            padded = torch.cat([given, torch.full_like(given[..., :1], np.nan)], dim=-1)
            found = padded.index_select(-1, torch.from_numpy(place.ravel()).to(given.device))
            return found.reshape((*given.shape[:-1], *shape))
        outside = np.full((*given.shape[:-1], 1), np.nan)
        return np.concatenate([given, outside], axis=-1)[..., place]

    @overload
    def on_cells(self, values: Tensor) -> Tensor: ...

    @overload
    def on_cells(self, values: ArrayLike) -> AnyArray: ...

    def on_cells(self, values: Tensor | ArrayLike) -> Tensor | AnyArray:
        """Fields `(..., *shape)` as values of the cells `(..., cells)`: the inverse of `on_grid`.

        A tensor gives a tensor with its gradients, all else an array. What stands where the grid has no cell is left
        out.

        Raises:
            ShapeError: the graph has no grid, or the last dimensions are not its shape.
        """
        shape, given = self._grid(), values if isinstance(values, Tensor) else np.asarray(values)
        lead = given.ndim - len(shape)
        if lead < 0 or tuple(given.shape[lead:]) != shape:
            text = ", ".join(map(str, shape))
            raise ShapeError(f"fields on the grid need shape (..., {text}), got {tuple(given.shape)}")
        flat = given.reshape((*given.shape[:lead], math.prod(shape)))
        if self.active is None:
            return flat
        at = np.flatnonzero(self.active)
        return (
            flat.index_select(-1, torch.from_numpy(at).to(flat.device)) if isinstance(flat, Tensor) else flat[..., at]
        )

    def _grid(self) -> tuple[int, ...]:
        if self.shape is None:
            raise ShapeError(f"the {self.cells} cells of this graph make up no grid; `dg.raster` makes one")
        return self.shape


def _mask(active: Mask | None, shape: Sequence[int] | None, cells: int) -> Mask | None:
    """A read-only copy of the mask, None where all are active; raises unless shape, mask and cells agree."""
    if shape is None:
        if active is not None:
            raise ModelError("active is a mask of shape, which was not given")
        return None
    if not all(is_whole(n, 1) for n in shape):
        raise ModelError(f"shape must be whole numbers of at least 1, got {shape!r}")
    if active is not None:
        active = np.array(active)
        if active.dtype != np.bool_ or active.shape != tuple(shape):
            raise ModelError(
                f"active must be a boolean mask of shape {tuple(shape)}, got {active.dtype} of shape {active.shape}"
            )
    count = math.prod(shape) if active is None else int(active.sum())
    if count != cells:
        raise ModelError(f"the grid of shape {tuple(shape)} has {count} cells, but cells={cells}")
    if active is None or active.all():
        return None
    active.setflags(write=False)
    return active


def _names(labels: Sequence[Hashable] | None, cells: int) -> tuple[Hashable, ...] | None:
    """Labels as a tuple; raises unless there is one for each cell, each once."""
    if labels is None:
        return None
    seen: set[Hashable] = set()
    for label in labels:
        if label in seen:
            raise ModelError(f"labels name {label!r} more than once")
        seen.add(label)
    if len(seen) != cells:
        raise ModelError(f"labels must name each of {cells} cells, got {len(seen)}")
    return tuple(labels)


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
    dz = frozen(depth / cells if thickness is None else thickness, cells, "thickness")
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
