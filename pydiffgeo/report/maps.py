"""Fields on a grid: heads, what was found or given of each cell, residuals at wells, and drawdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Indices
from ..plots import field_map, residual_map, series_panels
from .content import Content, DataArray, text_of, title_of, unit_of
from .instruments import instruments
from .parts import figure
from .simulated import instant

# Maps of layers and of parameters, and panels of wells.
LAYERS, FIELDS, WELLS = 3, 6, 12
# Heads that differ by less, as a part of their range, have not changed.
SAME = 1e-9


@dataclass(frozen=True)
class Grid:
    """The raster of a result: place of each cell, and edges of columns and rows, in `unit`."""

    row: Indices
    column: Indices
    layer: Indices
    x: Array
    y: Array
    unit: str | None

    @property
    def layers(self) -> int:
        return int(self.layer.max()) + 1

    def on_map(self, values: Array, layer: int) -> Array:
        """Values of cells as a field of a layer, NaN where there is none."""
        field = np.full((len(self.y) - 1, len(self.x) - 1), np.nan)
        own = self.layer == layer
        field[self.row[own], self.column[own]] = values[own]
        return field

    def centre(self, cell: int) -> tuple[float, float]:
        x, y = (
            float(edges[k] + edges[k + 1]) / 2 for edges, k in ((self.x, self.column[cell]), (self.y, self.row[cell]))
        )
        return x, y


def grid_of(content: Content) -> Grid | None:
    """The raster, or None where the cells of a result make up none."""
    data = content.data
    if not all(name in data and data[name].dims == ("cell",) for name in ("row", "column", "x", "y")):
        return None
    row, column = (data[name].values.astype(int) for name in ("row", "column"))
    layer = data["layer"].values.astype(int) if "layer" in data else np.zeros(len(row), int)
    unit = None if "units" not in data["x"].attrs else unit_of(data["x"])
    edges = [_edges(k, data[along].values.astype(float)) for k, along in ((column, "x"), (row, "y"))]
    return Grid(row, column, layer, edges[0], edges[1], unit)


def _edges(number: Indices, centre: Array) -> Array:
    """Edges of rows or columns, the first of which begins at zero, by their centres.

    Where one has no cell, and so no centre, edges lie between the centres that are known.
    """
    count = int(number.max()) + 1
    centres = np.full(count, np.nan)
    centres[number] = centre
    exact = np.zeros(count + 1)
    for k in range(count):
        exact[k + 1] = 2 * centres[k] - exact[k]
    if np.isfinite(exact).all() and (np.diff(exact) > 0).all():
        return exact
    known = np.flatnonzero(np.isfinite(centres))
    centres = np.interp(np.arange(count), known, centres[known])
    between = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])


def maps(content: Content) -> str:
    """Maps of heads, fields, residuals and drawdown, as HTML; empty where there is no grid."""
    grid = grid_of(content)
    if grid is None:
        return ""
    wells = dict(_wells(content))
    parts = [*_heads(content, grid, wells), *_fields(content, grid), *_residuals(content, grid)]
    return "\n".join(parts)


def _over_time(content: Content) -> list[DataArray]:
    """Variables of each cell in time; heads first."""
    found = [a for _, a in content.data.data_vars.items() if a.dims == ("time", "cell") and a.dtype.kind == "f"]
    return sorted(found, key=lambda a: (a.name != "head", a.name != "theta"))


def _wells(content: Content) -> Iterator[tuple[str, int]]:
    """Names and cells of wells."""
    for key, array in content.data.data_vars.items():
        name = str(key).removesuffix("_at")
        about = next((content.data[k] for k in (name, f"flux_{name}") if k in content.data), None)
        if name != key and about is not None and title_of(about).endswith("Well"):
            place = str(array.dims[0])
            labels = content.data[place].values if place in content.data.coords else None
            for k, cell in enumerate(array.values.astype(int)):
                own = name if len(array) == 1 else f"{name} {k}"
                yield own if labels is None else text_of(labels[k]), int(cell)


def _heads(content: Content, grid: Grid, wells: dict[str, int]) -> Iterator[str]:
    series = _over_time(content)
    if not series:
        return
    times, time_unit = content.times()
    array = series[0]
    values, name, unit = np.asarray(array.values, float), title_of(array), unit_of(array)
    last = instant(times, -1, time_unit)
    for layer in range(min(grid.layers, LAYERS)):
        at = {k: grid.centre(cell) for k, cell in wells.items() if grid.layer[cell] == layer}
        in_layer = f" in layer {layer}" if grid.layers > 1 else ""
        own = {"places": at, "name": str(array.name), "unit": unit, "length_unit": grid.unit}
        drawn = field_map(grid.x, grid.y, grid.on_map(values[-1], layer), contours=True, **own)  # type: ignore[arg-type]
        yield figure(drawn, f"{name.capitalize()}{in_layer} at the end, {last}.")
        fallen = values[0] - values[-1]
        if wells and np.nanmax(np.abs(fallen)) > SAME * max(np.ptp(values), 1e-300):
            own["name"] = "drawdown"
            drawn = field_map(grid.x, grid.y, grid.on_map(fallen, layer), zero=True, **own)  # type: ignore[arg-type]
            yield figure(
                drawn, f"Drawdown{in_layer}: how far {name} has fallen since the start; negative where it rose."
            )
    if wells:
        chosen = list(wells.items())[:WELLS]
        panels = {text: (times, None, times, values[0, cell] - values[:, cell]) for text, cell in chosen}
        more = f", the first {WELLS} of {len(wells)}" if len(wells) > WELLS else ""
        drawn = series_panels(panels, name="drawdown", unit=unit, time_unit=time_unit)
        yield figure(drawn, f"Drawdown at wells{more}, below {name} at the start.")


def _fields(content: Content, grid: Grid) -> Iterator[str]:
    """Parameters that differ from cell to cell."""
    skip = {"row", "column", "layer", "cell_thickness"}
    fields = [
        array
        for key, array in content.data.data_vars.items()
        if array.dims == ("cell",) and array.dtype.kind == "f" and str(key) not in skip and np.ptp(array.values) > 0
    ]
    for array in fields[:FIELDS]:
        for layer in range(min(grid.layers, LAYERS)):
            field = grid.on_map(np.asarray(array.values, float), layer)
            own = {"name": str(array.name), "unit": unit_of(array), "length_unit": grid.unit}
            in_layer = f" in layer {layer}" if grid.layers > 1 else ""
            drawn = field_map(grid.x, grid.y, field, **own)  # type: ignore[arg-type]
            yield figure(drawn, f"{title_of(array).capitalize()}{in_layer}.")


def _residuals(content: Content, grid: Grid) -> Iterator[str]:
    """Mean residuals of instruments that are in cells."""
    seen = [
        one for one in instruments(content) if one.cell is not None and np.isfinite(one.simulated - one.observed).any()
    ]
    for quantity, unit in dict.fromkeys((one.quantity, one.unit) for one in seen):
        if quantity not in {str(a.name) for a in _over_time(content)}:
            continue
        group = [one for one in seen if one.quantity == quantity and one.cell is not None]
        places = np.array([grid.centre(one.cell) for one in group if one.cell is not None])
        mean = np.array([np.nanmean(one.simulated - one.observed) for one in group])
        drawn = residual_map(
            grid.x, grid.y, (places[:, 0], places[:, 1]), mean, name="residual", unit=unit, length_unit=grid.unit
        )
        yield figure(drawn, f"Mean residual of {quantity} at each place, simulated less observed.")
