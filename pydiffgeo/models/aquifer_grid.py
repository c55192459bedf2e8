"""The grid of an aquifer: elevations of its cells, widths of its faces, and cells by their places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Indices
from ..checks import shown
from ..errors import ModelError
from ..model import Graph
from ..processes.groundwater.conditions import Condition, Evapotranspiration, Recharge
from ..processes.groundwater.storage import KINDS


def prepared(grid: Graph, kinds: Sequence[str], top: ArrayLike, pinched: ArrayLike | None = None) -> Graph:
    """The grid with plan areas as `volume`, since water is stored per plan area, and widths as `area` of its sides.

    Cells get `thickness`, `bottom`, `kind`, the number of their kind of storage, and whether they are `above_another`;
    faces join cells above and below `pinched` places.

    Raises:
        ModelError: no raster, not as many kinds as layers, or elevations or places that do not fit.
    """
    if not isinstance(grid, Graph) or grid.shape is None or "direction" not in grid.face:
        raise ModelError(f"Aquifer: grid must be a raster (dg.raster), got {shown(grid)}")
    cell: dict[str, Array] = dict(grid.cell)
    layer = cell.get("layer", np.zeros(grid.cells)).astype(int)
    thickness = cell.get("thickness", np.ones(grid.cells))
    count = grid.shape[0] if "layer" in cell else 1
    if len(kinds) not in (1, count):
        raise ModelError(f"Aquifer: kind must be one, or one for each of {count} layers, got {kinds}")
    number = np.array([KINDS.index(kind) for kind in kinds])
    plan = cell["volume"] / thickness
    left, right = grid.faces.T
    face: dict[str, Array] = dict(grid.face)
    near, far = face["left_distance"], face["right_distance"]
    between = (thickness[left] * far + thickness[right] * near) / (near + far)
    face["area"] = np.where(face["direction"] > 1, face["area"], face["area"] / between)
    faces = grid.faces
    if pinched is not None and len(across := _across(grid, pinched)):
        upper, lower = across.T
        more = {
            "area": plan[upper],
            "distance": (thickness[upper] + thickness[lower]) / 2,
            "left_distance": thickness[upper] / 2,
            "right_distance": thickness[lower] / 2,
            "direction": np.full(len(across), 2.0),
        }
        faces = np.concatenate([faces, across])
        face = {name: np.concatenate([values, more[name]]) for name, values in face.items()}
    cell |= {
        "volume": plan,
        "thickness": thickness,
        "bottom": _elevation(top, grid) - (cell["z"] + thickness / 2 if "z" in cell else 1.0),
        "kind": np.broadcast_to(number, (count,))[layer].astype(float),
        "above_another": np.bincount(faces[:, 0], face["direction"] > 1, grid.cells).astype(float),
    }
    return Graph(grid.cells, faces, cell, face, grid.coordinates, grid.shape, grid.active)


def _across(grid: Graph, pinched: ArrayLike) -> Indices:
    """Pairs of cells above and below places that hold none, `(faces, 2)`."""
    assert grid.shape is not None
    places, table = np.asarray(pinched), _numbers(grid)
    if places.dtype != np.bool_ or places.shape != grid.shape or len(grid.shape) != 3:
        kind = f"{places.dtype} of shape {places.shape}"
        raise ModelError(f"Aquifer: pinched must be a boolean mask of a grid with layers, {grid.shape}, got {kind}")
    if (places & (table >= 0)).any():
        place = tuple(int(i) for i in np.argwhere(places & (table >= 0))[0])
        raise ModelError(f"Aquifer: pinched place {place} is a cell of the grid; give it as not active")
    # The cell above, as long as only pinched places are between, and whether there is one.
    above, thin = np.full(grid.shape[1:], -1), np.zeros(grid.shape[1:], bool)
    pairs = list[Indices]()
    for own, through in zip(table, places, strict=True):
        joined = (own >= 0) & (above >= 0) & thin
        pairs.append(np.stack([above[joined], own[joined]], axis=1))
        above, thin = np.where(own >= 0, own, np.where(through, above, -1)), through
    return np.concatenate(pairs)


def _numbers(grid: Graph) -> Indices:
    """The number of the cell at each place, -1 where there is none."""
    assert grid.shape is not None
    table = np.full(grid.shape, -1)
    table[np.ones(grid.shape, bool) if grid.active is None else grid.active] = np.arange(grid.cells)
    return table


def uppermost(grid: Graph) -> tuple[int, ...]:
    """The uppermost cell of each place `(row, column)`: the one with the lowest number."""
    places = np.stack([grid.cell["row"], grid.cell["column"]], 1)
    _, highest = np.unique(places, axis=0, return_index=True)
    return tuple(sorted(highest.tolist()))


def cells_of(grid: Graph, condition: Condition) -> tuple[int, ...]:
    """Numbers of the cells of a condition, given so or as places on the grid.

    Raises:
        ModelError: there is no such cell, or none is named.
    """
    what = f"Aquifer: {type(condition).__name__} {condition.name!r}"
    if condition.cells is None:
        if isinstance(condition, (Recharge, Evapotranspiration)):
            return uppermost(grid)
        raise ModelError(f"{what} needs cells")
    table = _numbers(grid)
    try:
        given = np.asarray(condition.cells)
    except ValueError:  # places of different lengths
        given = np.empty(0)
    if given.dtype == np.bool_ and given.shape == grid.shape:
        numbers = table[given]
    elif given.dtype.kind in "iu" and given.ndim == 1:
        numbers = np.where((given >= 0) & (given < grid.cells), given, -1)
    elif given.dtype.kind in "iu" and given.ndim == 2 and given.shape[1] == table.ndim:
        inside = np.asarray(((given >= 0) & (given < table.shape)).all(1))
        numbers = np.where(inside, table[(*np.where(inside[:, None], given, 0).T,)], -1)
    else:
        places = ["numbers", f"places of a grid {grid.shape}", "a mask of it"]
        raise ModelError(f"{what} needs cells, as {', '.join(places)}; got {shown(condition.cells)}")
    if not len(numbers):
        raise ModelError(f"{what} needs cells, got none")
    if (numbers < 0).any():
        culprit = shown(given[int(np.argmin(numbers))].tolist()) if given.dtype != np.bool_ else "some of its mask"
        raise ModelError(f"{what}: {culprit} is no cell of a grid {grid.shape} with {grid.cells} cells")
    return tuple(numbers.tolist())


def _elevation(top: ArrayLike, grid: Graph) -> Array:
    """Elevation of the top of the first layer at every cell."""
    assert grid.shape is not None
    try:
        values = np.asarray(top, np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"Aquifer: top must be elevations, got {shown(top)}") from error
    if values.shape not in ((), grid.shape[-2:]):
        raise ModelError(f"Aquifer: top must be one elevation or {grid.shape[-2:]}, got shape {values.shape}")
    place = grid.cell["row"].astype(int), grid.cell["column"].astype(int)
    at = np.broadcast_to(values, grid.shape[-2:])[place]
    if not np.isfinite(at).all():
        raise ModelError("Aquifer: top must be finite in every cell")
    return np.asarray(at)
