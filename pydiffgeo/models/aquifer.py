"""Groundwater flow in one layer or several, confined or under a water table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import ModelError
from ..model import (
    Boundary,
    Constraint,
    Graph,
    IntegratedFlux,
    Limit,
    Local,
    Model,
    Output,
    Parameter,
    Place,
    State,
    Values,
)
from ..model.remember import remembered
from ..processes.groundwater.conditions import Condition, GivenHead, Recharge, Units
from ..processes.groundwater.conductance import MEANS
from ..processes.groundwater.flow import Darcy
from ..processes.groundwater.storage import KINDS, Storage, storage_of
from .aquifer_grid import cells_of, prepared
from .aquifer_stages import net_inflow, passed_on, with_given_heads

Kind = Literal["confined", "unconfined", "convertible"]
# A cell that owes more water than this share of what it holds when it is full has not been solved well.
OWED = 1e-3
# The state of a cell with a given head, which acts on nothing, comes so fast (per time) to the water that belongs to it.
SETTLING = 1.0
SOURCE = "Langevin et al. 2017, USGS Techniques and Methods 6-A55; upstream saturation: Niswonger et al. 2011, 6-A37"


@remembered
def Aquifer(
    grid: Graph,
    kind: Kind | Sequence[Kind] = "confined",
    *,
    top: ArrayLike = 0.0,
    boundaries: Sequence[Condition] = (),
    mean: Literal["harmonic", "logarithmic", "amt-lmk", "amt-hmk"] = "harmonic",
    upstream: bool = True,
    vertical: Literal["constant", "saturated", "dewatered"] = "constant",
    perched: bool = False,
    pinched: ArrayLike | None = None,
    face_flows: bool = False,
    units: Units = ("m", "d"),
) -> Model:
    """An aquifer on a raster of any outline; the state is water per plan area, so that balances close to rounding.

    Args:
        grid: of `dg.raster`; with `layers` they are the thickness of the aquifer, without it is 1, and `K` is
            transmissivity.
        kind: of all layers, or of each. "confined": the whole thickness conducts and water is stored elastically
            (`S_s`). "unconfined": there is a water table, which no top bounds (`S_y`). "convertible": confined where the
            head is above the top of the cell, unconfined below.
        top: elevation of the top of the first layer: one number, or one for each place `(rows, columns)`.
        boundaries: `GivenHead`, `GeneralHead`, `River`, `Drain`, `Well`, `Recharge`, `Evapotranspiration` of
            `pydiffgeo.groundwater`; several may share cells. Nothing else crosses the outline.
        mean: how the two cells of a horizontal face conduct together, see `processes/groundwater/conductance.py`.
        upstream: how much of a face conducts where there is a water table. True: the share that is saturated in the cell
            with the higher head (the Newton formulation of MODFLOW 6), so that cells dry and get wet again and no dry
            cell loses water. False: the saturated thickness of each cell enters the mean (MODFLOW without Newton); a
            dry cell then takes up very little.
        vertical: conductance between layers: "constant", that of both half cells, or "saturated", where of the upper one
            only what is saturated resists (VARIABLECV in MODFLOW 6), or "dewatered": of the lower one too (DEWATERED).
        perched: what falls on a layer whose head is below its top is driven by the elevation of that top.
        pinched: mask of the grid: places that hold no cell, since a layer thins out, through which the cells above and
            below touch (idomain -1 in MODFLOW 6).
        face_flows: integrate the flow through every face too, as the flux "flow".
        units: of length and of time, for names only: any will do.

    Parameters are `K` along rows, `horizontal_anisotropy` (along columns by along rows), `vertical_anisotropy` (downwards
    by along rows), `S_s`, `S_y`, and those of the boundaries. `initial={"head": ...}`. Steady states,
    in which storage does not matter and from whose heads a transient run may start, are best found by
    `pydiffgeo.groundwater.steady`.

    Raises:
        ModelError: an unknown choice, cells that are not there, or a grid that is no raster.

    Source: Langevin et al. 2017, USGS Techniques and Methods 6-A55; Niswonger et al. 2011, 6-A37.
    """
    kinds = (kind,) if isinstance(kind, str) else tuple(kind)
    for each in kinds:
        _choice("kind", each, KINDS)
    _choice("mean", mean, MEANS)
    _choice("vertical", vertical, ("constant", "saturated", "dewatered"))
    if strange := [b for b in boundaries if not isinstance(b, Condition)]:
        raise ModelError(f"Aquifer: boundaries must be conditions such as River or Well, got {strange[0]!r}")
    names = [b.name for b in boundaries]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ModelError(f"Aquifer: two boundaries are called {twice[0]!r}; give each a name of its own")
    plain = prepared(grid, kinds, top, pinched)
    places = [cells_of(grid, b) for b in boundaries]
    graph, given = _with_given_heads(plain, boundaries, places)
    store, water_table, layers = storage_of(kinds), {*kinds} != {"confined"}, bool((graph.face["direction"] > 1).any())
    darcy = Darcy(MEANS[mean], water_table, upstream, layers, vertical != "constant", vertical == "dewatered", perched)

    held = tuple(b for b in boundaries if isinstance(b, GivenHead))
    dries = water_table and layers
    passing = tuple(b for b in boundaries if isinstance(b, Recharge) and b.highest_wet and dries)
    # Local functions see whether there are any, and not which: that they are traced once.
    is_held, passes = bool(held), bool(passing)

    def seen(head: Tensor, cell: Place) -> Values:
        return {"head": head} | ({"saturation": store.saturation(head, cell)} if water_table else {})

    def closure(cell: Place) -> Values:
        head = store.head(cell.water, cell)
        return {"own_head": head} if is_held else seen(head, cell)

    def between(left: Place, right: Place, face: Place) -> Tensor:
        flow = darcy(left, right, face)
        return flow + torch.where(face.direction > 1, left.passed_on, 0.0) if passes else flow

    def flux(left: Place, right: Place, face: Place) -> Values:
        flow = face.between if is_held else between(left, right, face)
        return {"water": flow} | ({"flow": flow} if face_flows else {})

    def initial(values: Values, cell: Place) -> Values:
        states = {k: v for k, v in values.items() if k != "head"}
        if "head" in values:
            water = store.water(values["head"], cell)
            # A head below its bottom is that of a dry cell, which owes no water.
            states["water"] = torch.where(_free(cell) > 0, torch.clamp(water, min=0.0), water) if water_table else water
        return states

    stages = with_given_heads(held, seen) if held else ()
    stages += passed_on(passing, int(graph.cell["layer"].max()) + 1) if passing else ()
    stages += net_inflow(lambda left, right, face: {"between": between(left, right, face)}) if held else ()
    volume, length = f"{units[0]}3", units[0]
    fluxes = [
        IntegratedFlux(b.name, volume, f"into the aquifer: {type(b).__name__}", 1, on="boundary" if b.each else "total")
        for b in boundaries
    ]
    if face_flows:
        fluxes.append(IntegratedFlux("flow", volume, "through each face, from left to right, or down", on="face"))
    saturation = (Output("saturation", "1", "share of the thickness that is saturated"),) if water_table else ()
    return Model(
        name="Aquifer",
        graph=graph,
        states=(State("water", length, "water per plan area"),),
        parameters=(*_parameters(kinds, layers, units), *(p for b in boundaries for p in b.parameters(units))),
        forcings=tuple(f for b in boundaries for f in b.forcings(units)),
        fluxes=tuple(fluxes),
        outputs=(Output("head", length, "hydraulic head"), *saturation),
        closure=closure,
        stages=stages,
        flux=flux,
        output=lambda cell: {"head": cell.head} | ({"saturation": cell.saturation} if water_table else {}),
        boundaries=tuple(
            Boundary(b.name, at, _inflow(b, store, water_table), {"outside": 1 - given[list(at)]})
            for b, at in zip(boundaries, places, strict=True)
        ),
        constraints=_constraints(graph, kinds),
        limits=(_dry(length),) if water_table else (),
        initial=initial,
        initial_names=("head",),
        time_unit=units[1],
        reference=SOURCE,
    )


def _choice(what: str, value: object, known: Sequence[str] | Mapping[str, object]) -> None:
    if not isinstance(value, str) or value not in known:
        raise ModelError(f"Aquifer: {what}={value!r} is not one of {[*known]}")


def _with_given_heads(
    graph: Graph, boundaries: Sequence[Condition], places: Sequence[tuple[int, ...]]
) -> tuple[Graph, np.ndarray]:
    """The graph, whose cells know which of them have a given head; raises `ModelError` where one has several."""
    given = np.zeros(graph.cells)
    for b, at in zip(boundaries, places, strict=True):
        if isinstance(b, GivenHead):
            np.add.at(given, list(at), 1.0)
    if (given > 1).any():
        raise ModelError(f"Aquifer: cell {graph.place(int(np.argmax(given)))} has more than one given head")
    cell = {**graph.cell, "given": given}
    return Graph(graph.cells, graph.faces, cell, graph.face, graph.coordinates, graph.shape, graph.active), given


def _inflow(condition: Condition, store: Storage, water_table: bool) -> Local:
    """The function of a boundary. No condition acts where a head is given, nor takes water that is not there."""

    name, given = condition.name, isinstance(condition, GivenHead)

    def function(cell: Place, forcing: Place, face: Place) -> Values:
        into = condition.inflow(cell, forcing, face)
        if given:
            into = into + SETTLING * cell.volume * (store.water(cell.held, cell) - cell.water)
        else:
            if water_table:
                into = torch.where(into < 0, into * condition.available(cell.saturation), into)
            into = into * face.outside
        return {"water": into, name: into}

    return function


def _parameters(kinds: Sequence[str], layers: bool, units: Units) -> tuple[Parameter, ...]:
    length, time = units
    positive = partial(Parameter, low=0.0, open_low=True, log=True)
    across, down = "conductivity along columns by that along rows", "vertical conductivity by that along rows"
    found = [
        positive("K", f"{length} {time}-1", "hydraulic conductivity along rows", typical=(1e-3, 1e3)),
        positive("horizontal_anisotropy", "1", across, 1.0, typical=(0.1, 10.0)),
    ]
    if layers:
        found.append(positive("vertical_anisotropy", "1", down, 0.1, typical=(0.01, 1.0)))
    if {*kinds} != {"unconfined"}:
        found.append(positive("S_s", f"{length}-1", "specific storage", 1e-5, typical=(1e-6, 1e-3)))
    if {*kinds} != {"confined"}:
        found.append(Parameter("S_y", "1", "specific yield", 0.2, 0.0, 1.0, open_low=True, typical=(0.01, 0.35)))
    return tuple(found)


def _constraints(graph: Graph, kinds: Sequence[str]) -> tuple[Constraint, ...]:
    if "convertible" not in kinds:
        return ()
    thickness = np.where(graph.cell["kind"] == KINDS.index("convertible"), graph.cell["thickness"], 0.0)
    whole = torch.from_numpy(thickness)
    return (Constraint("S_s * thickness <= S_y", ("S_s", "S_y"), lambda place: place.S_s * whole <= place.S_y),)


def _dry(length: str) -> Limit:
    """Cells with a water table, and no given head, hold some water, or none."""

    def range_of(cell: Place) -> Values:
        return {"value": _free(cell) * cell.water, "low": -OWED * cell.S_y * cell.thickness}

    remedy = "more left a dry cell than came: upstream=True lets no dry cell lose water"
    return Limit("water", length, range_of, remedy=remedy)


def _free(cell: Place) -> Tensor:
    """One for cells with a water table and no given head, zero for others."""
    return torch.where(cell.kind == KINDS.index("confined"), 0.0, 1 - cell.given)
