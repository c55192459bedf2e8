"""What a model is: names with units and bounds, and local functions on a graph, in plain PyTorch.

A local function sees namespaces. `cell` holds the states, the parameters, the closure values and
the geometry of one cell; `left` and `right` are the two cells of a face, `face` its geometry and
face parameters; `forcing` holds the forcings at the present time. It returns a dictionary whose keys are
states (a rate of change, or a flux density across a face) or named integrated fluxes.

    closure(cell[, forcing])   -> {name: value}        secondary variables, once per cell
    source(cell, forcing)      -> {state: rate of change, flux: amount per time and volume}
    flux(left, right, face[, forcing]) -> {state: flux density from left to right, flux: ...}
    boundary(cell, forcing, face) -> {state: flux density into the cell,
                                      boundary state: rate of change, flux: amount per time, area}
    output(cell)               -> {name: value}        algebraic outputs at the output times

Between `closure` and the others stand `stages` (`help(pydiffgeo.Stage)`): local functions on cells, faces and
boundaries, and sums of face values into cells, in an order; each reads what was assigned before it.
They may call networks of the model, as `cell.name(x, ...)`, `left.name(x, ...)` or `face.name(x, ...)`.

The same functions are traced for the engines and called on plain tensors for the outputs.
"""

from .balance import Quantity, quantities, single
from .coupling import CoupledModel, couple
from .declaration import Model
from .forcing import Times, TimeSeries, align, check_times, interval_values, merge_breaks
from .graph import Graph, column, single_cell
from .grid import raster
from .links import Link
from .reaches import network
from .stages import Reduction, Stage
from .variables import (
    Boundary,
    Constraint,
    ForcingVariable,
    IntegratedFlux,
    Limit,
    Local,
    Output,
    Parameter,
    Place,
    State,
    Values,
)

__all__ = [
    "Boundary",
    "Constraint",
    "CoupledModel",
    "ForcingVariable",
    "Graph",
    "IntegratedFlux",
    "Limit",
    "Link",
    "Local",
    "Model",
    "Output",
    "Parameter",
    "Place",
    "Quantity",
    "Reduction",
    "Stage",
    "State",
    "TimeSeries",
    "Times",
    "Values",
    "align",
    "check_times",
    "column",
    "couple",
    "interval_values",
    "merge_breaks",
    "network",
    "quantities",
    "raster",
    "single",
    "single_cell",
]
