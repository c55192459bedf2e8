"""What happens at the base of a soil column."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from ...model import Boundary, ForcingVariable, Graph, IntegratedFlux, Limit, Local, Place, Values
from .retention import Closure
from .surface import Side, evaporation_supply


def _bottom(
    graph: Graph, function: Local, forcings: tuple[ForcingVariable, ...] = (), limits: tuple[Limit, ...] = ()
) -> Side:
    drainage = IntegratedFlux("drainage", "m", "water leaving through the base", -1)
    geometry = {"distance": graph.cell["thickness"][-1] / 2}
    return Side((Boundary("bottom", (graph.cells - 1,), function, geometry),), forcings, (drainage,), limits)


def _free_drainage(soil: Closure, graph: Graph, air_dry: float) -> Side:
    return _bottom(graph, lambda cell, forcing, face: {"theta": -cell.K, "drainage": cell.K})


def _given_head(soil: Closure, graph: Graph, air_dry: float) -> Side:
    def function(cell: Place, forcing: Place, face: Place) -> Values:
        conductivity = 0.5 * (cell.K + soil.conductivity(forcing.bottom_head, cell))
        out = conductivity * ((cell.head - forcing.bottom_head) / face.distance + 1.0)
        return {"theta": -out, "drainage": out}

    return _bottom(graph, function, (ForcingVariable("bottom_head", "m", "head at the base"),))


def _given_flux(soil: Closure, graph: Graph, air_dry: float) -> Side:
    def range_of(cell: Place, forcing: Place, face: Place) -> Values:
        head, conductivity = soil.head_and_conductivity(cell.theta, cell)
        # Gravity helps it down, as it holds it back at the surface.
        supply = evaporation_supply(head, conductivity, soil, air_dry, cell, face) + conductivity
        return {"value": forcing.bottom_flux, "high": supply}

    remedy = "bottom='head', 'seepage_face' and 'free_drainage' take what the soil gives"
    return _bottom(
        graph,
        lambda cell, forcing, face: {"theta": -forcing.bottom_flux, "drainage": forcing.bottom_flux},
        (ForcingVariable("bottom_flux", "m d-1", "downward flux through the base"),),
        (Limit("bottom_flux", "m d-1", range_of, "bottom", remedy),),
    )


def _seepage_face(soil: Closure, graph: Graph, air_dry: float) -> Side:
    """Nothing leaves until the base is saturated; then its head is zero, as at the open end of a lysimeter."""

    def function(cell: Place, forcing: Place, face: Place) -> Values:
        # At rest the head at the base is that of the cell and the way down to it: what leaves sets in from zero.
        out = 0.5 * (cell.K + cell.K_s) * torch.clamp(cell.head / face.distance + 1.0, min=0.0)
        return {"theta": -out, "drainage": out}

    return _bottom(graph, function)


BOTTOMS: Mapping[str, Callable[[Closure, Graph, float], Side]] = {
    "free_drainage": _free_drainage,
    "head": _given_head,
    "flux": _given_flux,
    "no_flow": lambda soil, graph, air_dry: Side((), (), ()),
    "seepage_face": _seepage_face,
}
