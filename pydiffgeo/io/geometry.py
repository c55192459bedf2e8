"""Where the cells of a solution are, for figures: rows and columns of a grid, the reach below, cells of boundaries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..model import CoupledModel, Graph, Model

# A variable of a dataset: dimensions, values and attributes.
Entry = tuple[str | tuple[str, ...], object, Mapping[str, str]]
AXES = {"layer": "layer, from 0 at the top", "row": "row of the grid", "column": "column of the grid"}
# Geometry of cells that figures show, as they are called in a file; the unit of length is that of coordinates.
SHOWN = {
    "thickness": ("cell_thickness", "thickness of the cell"),
    "bottom": ("cell_bottom", "elevation of the bottom of the cell"),
    "length": ("reach_length", "length of the reach"),
}


def geometry(model: Model, unit: Mapping[str, str]) -> dict[str, Entry]:
    """Variables along cells and places of boundaries; `unit` is the attribute of a length, or says that nobody knows it."""
    if isinstance(model, CoupledModel):
        return {}
    graph, found = model.graph, dict[str, Entry]()
    if graph.cells > 1:
        if graph.shape is not None:
            found |= {
                name: ("cell", graph.cell[name].astype(np.int64), {"units": "1", "long_name": text})
                for name, text in AXES.items()
                if name in graph.cell
            }
        for name, (key, text) in SHOWN.items():
            if name in graph.cell and "depth" not in graph.coordinates:
                found[key] = ("cell", graph.cell[name].copy(), {**unit, "long_name": text})
        if "slope" in graph.cell:
            found["reach_slope"] = ("cell", graph.cell["slope"].copy(), {"units": "1", "long_name": "slope of the bed"})
        below = _below(graph)
        if below is not None:
            text = "number of the cell that each flows into, from 0; -1 at outlets"
            found["downstream"] = ("cell", below, {"units": "1", "long_name": text})
    for flux in model.fluxes:
        cells = [cell for b in model.boundaries if b.name == flux.name for cell in b.cells]
        if flux.on == "boundary" and cells:
            text = f"number of the cell of each place of {flux.name}, from 0"
            found[f"{flux.name}_at"] = (f"{flux.name}_place", np.array(cells), {"units": "1", "long_name": text})
    return found


def with_labels(data: xr.Dataset, places: Mapping[str, int]) -> xr.Dataset:
    """The dataset of a solution with names of the places of boundaries, where all of them have one.

    Args:
        places: name -> number of its cell.
    """
    names = {cell: name for name, cell in places.items()}
    for key in map(str, data.data_vars):
        cells = data[key].values
        place = key.removesuffix("_at") + "_place"
        if key.endswith("_at") and data[key].dims == (place,) and all(int(cell) in names for cell in cells):
            labels = [names[int(cell)] for cell in cells]
            data = data.assign_coords({place: (place, labels, {"long_name": "name of the place"})})
    return data


def _below(graph: Graph) -> np.ndarray | None:
    """The cell that each flows into, -1 where none; None where the graph is no tree of named reaches."""
    if graph.labels is None or len(np.unique(graph.faces[:, 0])) < len(graph.faces):
        return None
    below = np.full(graph.cells, -1)
    below[graph.faces[:, 0]] = graph.faces[:, 1]
    return below
