"""Water in a vertical section of variably saturated soil: Richards' equation in two dimensions, in moisture form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from types import SimpleNamespace
from typing import Literal, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import ModelError
from ..model import (
    Boundary,
    ForcingVariable,
    Graph,
    IntegratedFlux,
    Model,
    Output,
    Place,
    State,
    Values,
    raster,
)
from ..model.remember import remembered
from ..processes.soil.faces import MEANS
from ..processes.soil.retention import CLOSURES, POROSITY, Closure

Side = Literal["no_flow", "flux", "head", "water_level", "seepage_face", "free_drainage"]
# Of a head (m), with the parameters of a cell.
Conductivity: TypeAlias = Callable[[Tensor, Place], Tensor]
# What means of two cells see of each: how far it is to the face, in the place of a thickness.
space = cast(Callable[..., Place], SimpleNamespace)
KINDS = ("no_flow", "flux", "head", "water_level", "seepage_face", "free_drainage")


@remembered
def RichardsSection(
    shape: Sequence[int],
    spacing: Sequence[float | ArrayLike],
    *,
    top: Side = "flux",
    bottom: Side = "no_flow",
    left: Side = "no_flow",
    right: Side = "no_flow",
    closure: str | Closure = "van_genuchten",
    face_conductivity: Literal["arithmetic", "geometric", "upstream", "harmonic", "cell_arithmetic"] = "arithmetic",
    active: ArrayLike | None = None,
) -> Model:
    """A hillslope or a sand box of unit breadth: `shape = (rows, columns)`, rows from the surface down; metres and days.

    The state is the volumetric water content with elastic storage, the flux between cells K (grad psi + e_z) downwards;
    `head` may be given at the start.

    Args:
        spacing: `(dz, dx)`, each a number or one for each row, or column.
        top, bottom, left, right: what is at each side, along the outermost cells of the raster:
            "flux": the forcing `<side>_flux` into the soil (m/d), for each cell of the side;
            "head": the pressure head `<side>_head` (m) there, for each cell;
            "water_level": water that stands as deep as `<side>_level` (m) below the surface of the soil: hydrostatic
            heads below that, above it a seepage face;
            "seepage_face": water leaves where the soil is saturated, at a head of zero, and none comes in;
            "free_drainage": a unit gradient downwards, of the base alone.
        closure, face_conductivity: as for `RichardsColumn`.
        active: mask of the shape, which places are soil; sides are those of the raster, not of the mask.

    Raises:
        ModelError: an unknown choice.

    Sources: Richards 1931, Physics 1; seepage faces as in Neuman 1973, J. Hydraul. Div. 99, rounded by the way to the
    face.
    """
    given = {"top": top, "bottom": bottom, "left": left, "right": right}
    for name, kind in given.items():
        if kind not in KINDS:
            raise ModelError(f"RichardsSection: {name}={kind!r} is not one of {[*KINDS]}")
    if "free_drainage" in (top, left, right):
        raise ModelError("RichardsSection: only the bottom drains freely")
    if isinstance(closure, str) and closure not in CLOSURES:
        raise ModelError(f"RichardsSection: closure={closure!r} is not one of {[*CLOSURES]}")
    if face_conductivity not in MEANS:
        raise ModelError(f"RichardsSection: face_conductivity={face_conductivity!r} is not one of {[*MEANS]}")
    soil = closure if isinstance(closure, Closure) else CLOSURES[closure]
    graph, mean = raster(shape, spacing, active=active), MEANS[face_conductivity]

    def values_of(cell: Place) -> Values:
        head, conductivity = soil.head_and_conductivity(cell.theta, cell)
        return {"head": head, "K": conductivity}

    def darcy(left: Place, right: Place, face: Place) -> Values:
        downwards = torch.where(face.direction > 0.5, 1.0, 0.0)
        gradient = (left.head - right.head) / face.distance + downwards
        near = space(K=left.K, K_s=left.K_s, thickness=face.left_distance)
        far = space(K=right.K, K_s=right.K_s, thickness=face.right_distance)
        return {"theta": mean(near, far, gradient) * gradient}

    def initial(values: Values, cell: Place) -> Values:
        states = {k: v for k, v in values.items() if k != "head"}
        return states | ({"theta": soil.water_content(values["head"], cell)} if "head" in values else {})

    sides = [(name, kind) for name, kind in given.items() if kind != "no_flow"]
    names = {p.name for p in soil.parameters}
    return Model(
        name="RichardsSection",
        graph=graph,
        states=(
            State(
                "theta",
                "1",
                "volumetric water content with elastic storage",
                low=0.0,
                error_control=("head", 0.1 * float(np.min(graph.face["distance"]))),
            ),
        ),
        parameters=soil.parameters,
        forcings=tuple(FORCINGS[kind](name) for name, kind in sides if kind in FORCINGS),
        fluxes=tuple(IntegratedFlux(f"{name}_inflow", "m2", f"water in through the {name}", +1) for name, _ in sides),
        outputs=(
            Output("head", "m", "pressure head"),
            Output("hydraulic_conductivity", "m d-1", "unsaturated hydraulic conductivity"),
        ),
        closure=values_of,
        flux=darcy,
        output=lambda cell: {"head": cell.head, "hydraulic_conductivity": cell.K},
        boundaries=tuple(_boundary(graph, spacing, soil, name, kind) for name, kind in sides),
        constraints=(POROSITY,) if names >= {"theta_r", "theta_s"} else (),
        initial=initial,
        initial_names=("head",),
        reference=f"Richards 1931; {soil.source}",
    )


FORCINGS: Mapping[str, Callable[[str], ForcingVariable]] = {
    "flux": lambda side: ForcingVariable(
        f"{side}_flux", "m d-1", f"water into the soil at the {side}", on=f"boundary:{side}"
    ),
    "head": lambda side: ForcingVariable(f"{side}_head", "m", f"pressure head at the {side}", on=f"boundary:{side}"),
    "water_level": lambda side: ForcingVariable(f"{side}_level", "m", f"depth of the water at the {side}"),
}


def _boundary(graph: Graph, spacing: Sequence[float | ArrayLike], soil: Closure, side: str, kind: str) -> Boundary:
    """The cells of a side, the way from their middles to it, and its depth."""
    rows, columns = cast("tuple[int, int]", graph.shape)
    axis, last = ("row", rows - 1) if side in ("top", "bottom") else ("column", columns - 1)
    at = np.flatnonzero(graph.cell[axis] == (0 if side in ("top", "left") else last))
    if not len(at):
        raise ModelError(f"RichardsSection: no cell is active along the {side}")
    height, width = (
        np.broadcast_to(np.asarray(d, np.float64), (n,))[graph.cell[name][at].astype(int)]
        for d, n, name in zip(spacing, (rows, columns), ("row", "column"), strict=True)
    )
    # Into the soil gravity helps at the top, and hinders at the bottom.
    gravity = {"top": 1.0, "bottom": -1.0}.get(side, 0.0)
    geometry = {
        "area": width if gravity else height,
        "distance": height / 2 if gravity else width / 2,
        "gravity": gravity,
        "height": height if not gravity else 1e-6,
        "depth": graph.cell["y"][at] - gravity * height / 2,
    }
    function = partial(FUNCTIONS[kind], soil.conductivity, side)
    return Boundary(side, tuple(at.tolist()), function, geometry)


def _flux(conductivity: Conductivity, side: str, cell: Place, forcing: Place, face: Place) -> Values:
    into = attrgetter(f"{side}_flux")(forcing)
    return {"theta": into, f"{side}_inflow": into}


def _darcy(conductivity: Conductivity, head: Tensor, cell: Place, face: Place) -> Tensor:
    """Flux into a cell from a side with a pressure head, with the mean of both conductivities."""
    mean = 0.5 * (cell.K + conductivity(head, cell))
    return mean * ((head - cell.head) / face.distance + face.gravity)


def _head(conductivity: Conductivity, side: str, cell: Place, forcing: Place, face: Place) -> Values:
    into = _darcy(conductivity, attrgetter(f"{side}_head")(forcing), cell, face)
    return {"theta": into, f"{side}_inflow": into}


def _leaving(head: Tensor, cell: Place, face: Place) -> Tensor:
    """What seeps out of a cell with a head above zero, whose way to the face makes it set in from nothing."""
    return 0.5 * (cell.K + cell.K_s) * torch.clamp(head / face.distance - face.gravity, min=0.0)


def _seepage_face(conductivity: Conductivity, side: str, cell: Place, forcing: Place, face: Place) -> Values:
    into = -_leaving(cell.head, cell, face)
    return {"theta": into, f"{side}_inflow": into}


def _water_level(conductivity: Conductivity, side: str, cell: Place, forcing: Place, face: Place) -> Values:
    head = face.depth - attrgetter(f"{side}_level")(forcing)
    # The share of the cell's side that is under water: levels rise without a jump, and still water stands still.
    share = torch.clamp(head / face.height + 0.5, 0.0, 1.0)
    entering = 0.5 * (cell.K + cell.K_s) * ((head - cell.head) / face.distance + face.gravity)
    # Above the water, the middle of what is left stands half of the other part higher than that of the cell.
    leaving = _leaving(cell.head - 0.5 * share * face.height, cell, face)
    into = share * entering - (1.0 - share) * leaving
    return {"theta": into, f"{side}_inflow": into}


def _free_drainage(conductivity: Conductivity, side: str, cell: Place, forcing: Place, face: Place) -> Values:
    return {"theta": -cell.K, f"{side}_inflow": -cell.K}


FUNCTIONS: Mapping[str, Callable[..., Values]] = {
    "flux": _flux,
    "head": _head,
    "water_level": _water_level,
    "seepage_face": _seepage_face,
    "free_drainage": _free_drainage,
}
