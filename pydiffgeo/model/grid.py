"""Rasters: grids of boxes in two or three dimensions, of any outline and of sizes that vary along each axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Array, Indices, Mask
from ..checks import is_number, is_whole, shown
from ..errors import ModelError
from .graph import MOST, Graph

# Rows and columns run along y and x. By how many axes from the last one, an axis is x, y or downwards.
X, Y, DOWN = 0, 1, 2


def raster(
    shape: Sequence[int],
    spacing: Sequence[float | ArrayLike] = (1.0, 1.0),
    *,
    active: ArrayLike | Tensor | None = None,
    layers: float | ArrayLike | Tensor | None = None,
) -> Graph:
    """A raster of `shape = (rows, columns)`, or with `layers` of `(layers, rows, columns)`, the first layer on top.

    Args:
        shape: numbers of cells along each axis. With `layers` as an array, `(rows, columns)` will do.
        spacing: `(dy, dx)`, each one number, or an array with the size of every row, or column.
        active: boolean mask of the shape: which places are cells. In three dimensions a mask `(rows, columns)` is that
            of all layers.
        layers: thickness of the layers: one number, one for each `(layers,)`, or one for each cell
            `(layers, rows, columns)`. Without it there is one layer of unit thickness, and two dimensions.

    Cells are numbered along the rows, then from row to row, then from layer to layer, those that are not active left
    out: cell `(i, j)` of a full raster has the number `i * columns + j`. Cells carry `volume`, `y`, `x`, `row` and
    `column`, in three dimensions also `z`, `layer` and `thickness`. Coordinates are those of centres, from the corner
    of the first cell; `z` is the depth below the top, which is flat.

    Faces join active cells that lie side by side, in three dimensions first those down, then those from row to row, and
    last those from column to column. They carry `area`, `distance` between centres, `left_distance` and
    `right_distance` from the centres to the face, and `direction`: 0 along x, from column to column, 1 along y, 2 down.
    Fluxes are positive towards larger numbers. The area of a face between cells of unequal thickness is that of the
    thickness interpolated between their centres; distances along x and y are horizontal.

    Raises:
        ModelError: an argument does not fit; names it.
    """
    given = None if layers is None else _numbers(layers, "layers")
    size = _shape(shape, given)
    dy, dx = _spacing(spacing, size)
    mask = _active(active, size)
    centres = [_centres(dy, size[-2]), _centres(dx, size[-1])]
    sizes = [np.broadcast_to(np.asarray(d, np.float64), (n,)) for d, n in zip((dy, dx), size[-2:], strict=True)]
    at = np.nonzero(mask)
    row, column = at[-2:]
    y, x = centres[0][row], centres[1][column]
    widths = {Y: sizes[0][row], X: sizes[1][column]}
    cell: dict[str, ArrayLike] = {"volume": widths[X] * widths[Y], "y": y, "x": x, "row": row, "column": column}
    coordinates = {"y": y, "x": x}
    if given is not None:
        dz = _layers(given, mask)
        # A place without a cell may say nothing of its thickness; nothing below it hangs together with what is above.
        depth = np.cumsum(dz, axis=0) - dz / 2
        widths[DOWN], z = dz[at], depth[at]
        cell |= {"volume": widths[DOWN] * widths[X] * widths[Y], "z": z, "layer": at[0], "thickness": widths[DOWN]}
        coordinates["z"] = z
    faces, face = _faces(mask, widths)
    return Graph(len(row), faces, cell, face, coordinates, size, None if active is None else mask)


def _faces(mask: Mask, widths: dict[int, Array]) -> tuple[Indices, dict[str, Array]]:
    """Pairs of neighbours with their geometry; `widths` are those of the cells along each direction."""
    number = np.where(mask, np.cumsum(mask).reshape(mask.shape) - 1, -1)
    pairs, parts = list[Indices](), list[tuple[Array, ...]]()
    for axis in range(mask.ndim):
        direction = mask.ndim - 1 - axis
        before, after = (np.delete(number, end, axis).ravel() for end in (-1, 0))
        both = (before >= 0) & (after >= 0)
        left, right = before[both], after[both]
        near, far = widths[direction][left] / 2, widths[direction][right] / 2
        area = np.ones(len(left))
        for other, width in widths.items():
            # Across the direction only the thickness differs between neighbours.
            if other == DOWN and direction != DOWN:
                area = area * (width[left] * far + width[right] * near) / (near + far)
            elif other != direction:
                area = area * width[left]
        pairs.append(np.stack([left, right], axis=1))
        parts.append((area, near + far, near, far, np.full(len(left), float(direction))))
    names = ("area", "distance", "left_distance", "right_distance", "direction")
    columns = (np.concatenate(values) for values in zip(*parts, strict=True))
    return np.concatenate(pairs), dict(zip(names, columns, strict=True))


def _shape(shape: Sequence[int], thickness: Array | None) -> tuple[int, ...]:
    """The shape of the grid, of two numbers or, with layers, of three."""
    plain = isinstance(shape, (tuple, list, np.ndarray)) and all(is_whole(n, 1) and n <= MOST for n in shape)
    size = tuple(int(n) for n in shape) if plain else ()
    if thickness is not None and thickness.ndim and len(size) == 2:
        size = (len(thickness), *size)
    if len(size) != (2 if thickness is None else 3) or math.prod(size) > MOST:
        wanted = "(rows, columns)" if thickness is None else "(layers, rows, columns)"
        hint = "; three dimensions need layers=thicknesses" if thickness is None and len(size) == 3 else ""
        raise ModelError(
            f"shape must be {wanted}, whole numbers of at least 1 and at most {MOST} cells, got {shown(shape)}{hint}"
        )
    return size


def _numbers(values: object, what: str) -> Array:
    """Numbers as an array, which may hold NaN; raises `ModelError`."""
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
        if array.dtype.kind in "iuf":
            return np.array(array, np.float64)
    except (TypeError, ValueError, OverflowError):  # rows of different lengths
        pass
    raise ModelError(f"{what} must be numbers, got {shown(values)}")


def _spacing(spacing: Sequence[float | ArrayLike], size: tuple[int, ...]) -> tuple[float | Array, float | Array]:
    """Sizes along y and x: a number, or an array with one for each row, or column."""
    wanted = "spacing must be (dy, dx), each one positive number, or one for each row, or column"
    if not isinstance(spacing, (tuple, list, np.ndarray)) or len(spacing) != 2:
        raise ModelError(f"{wanted}; got {shown(spacing)}")
    sizes: list[float | Array] = []
    for given, name, count in zip(spacing, ("dy", "dx"), size[-2:], strict=True):
        if is_number(given):
            array: Array = np.array(float(given))
        else:
            array = _numbers(given, f"spacing {name}")
        if array.shape not in ((), (count,)) or not (np.isfinite(array) & (array > 0)).all():
            raise ModelError(f"{wanted}; {name} for {count} of them is {shown(given)}")
        sizes.append(array if array.ndim else float(array))
    return sizes[0], sizes[1]


def _centres(size: float | Array, count: int) -> Array:
    if isinstance(size, float):
        return np.asarray((np.arange(count) + 0.5) * size)
    return np.asarray(np.cumsum(size) - size / 2)


def _active(active: ArrayLike | Tensor | None, size: tuple[int, ...]) -> Mask:
    """The mask, of the shape of the grid."""
    if active is None:
        return np.ones(size, np.bool_)
    try:
        mask = np.asarray(active.detach().cpu() if isinstance(active, Tensor) else active)
    except ValueError:  # rows of different lengths
        mask = np.empty(0)
    if mask.dtype != np.bool_ or mask.shape not in (size, size[-2:]):
        kind = f"{mask.dtype} of shape {mask.shape}"
        either = f"{size} or {size[-2:]}" if len(size) == 3 else str(size)
        raise ModelError(f"active must be a boolean mask of shape {either}, got {kind}")
    if not mask.any():
        raise ModelError("active has no cell: all of it is False")
    return np.array(np.broadcast_to(mask, size))


def _layers(thickness: Array, mask: Mask) -> Array:
    """Thickness of every place `(layers, rows, columns)`; zero where there is no cell and none is known."""
    shape = mask.shape
    if thickness.shape not in ((), shape[:1], shape):
        raise ModelError(
            f"layers must be one thickness, one for each layer ({shape[0]},) or one for each cell {shape}, "
            f"got shape {thickness.shape}"
        )
    thickness = thickness if thickness.ndim != 1 else thickness[:, None, None]
    dz = np.array(np.broadcast_to(thickness, shape))
    good = np.isfinite(dz) & (dz > 0)
    if not (good | ~mask).all():
        where = tuple(int(i) for i in np.argwhere(~good & mask)[0])
        raise ModelError(
            f"layers must have a positive thickness in every active cell; cell {where} (layer, row, column) has "
            f"{dz[where]:g}; a layer that thins out is no cell there: give active"
        )
    return np.asarray(np.where(good, dz, 0.0))
