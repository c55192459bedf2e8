"""Vertical flow of water in variably saturated soil: Richards' equation in moisture form."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..checks import is_number
from ..closures import CLOSURES, POROSITY, Closure
from ..errors import ModelError
from ..graph import Graph, column
from ..model import Boundary, ForcingVariable, IntegratedFlux, Limit, Local, Model, Output, Parameter, State
from . import surface
from .remember import remembered

STRESS = (
    Parameter("h_50", "m", "head at which roots take up half the demand", -8.0, high=0.0, open_high=True,
              typical=(-50.0, -1.0), source="van Genuchten 1987"),
    Parameter("p_50", "1", "steepness of the stress function", 3.0, 0.0, open_low=True, typical=(1.5, 4.0),
              source="van Genuchten 1987"),
)  # fmt: skip


@remembered
def RichardsColumn(
    depth: float = 1.0,
    cells: int = 100,
    *,
    top: Literal["flux", "head", "atmosphere"] = "flux",
    bottom: Literal["free_drainage", "head", "flux", "no_flow", "seepage_face"] = "free_drainage",
    closure: str | Closure = "van_genuchten",
    face_conductivity: Literal["arithmetic", "geometric", "upstream"] = "arithmetic",
    thickness: Any = None,
    root_depth: float | None = None,
    max_ponding: float = 0.0,
    air_dry: float = -150.0,
    max_head: float | None = None,
) -> Model:
    """A soil column; the state is the volumetric water content, augmented by elastic storage.

    Args:
        depth: depth of the column (m).
        cells: number of cells, the first at the surface.
        top: what is given at the surface: the flux into the soil (forcing `flux`, m/d), the head
            (forcing `head`, m), or the weather (forcings `precipitation`, `potential_evaporation`).
        bottom: unit gradient, a head (`bottom_head`, m), a downward flux (`bottom_flux`, m/d), none, or a
            seepage face, the open base of a lysimeter: no flow until it is saturated, then head zero.
        closure: "van_genuchten", "gardner", "haverkamp", or a `Closure`.
        face_conductivity: mean of the two conductivities at a face.
        thickness: cell thicknesses `(cells,)`; uniform where not given.
        root_depth: e-folding depth (m) of root density; switches on root water uptake, driven by
            the forcing `potential_transpiration` (m/d) and limited by dryness.
        max_ponding: depth of water (m) the surface holds before it runs off (top="atmosphere").
        air_dry: head (m) of air-dry soil, at which the surface stops giving water to the air (Feddes et al. 1974).
        max_head: pressure head (m) beyond which water contents are taken for mistakes; twice the depth of the
            column and ten metres of water where not given. Water contents must lie between `theta_r` and
            `theta_s`, and above that by no more than the elastic storage `S_s` times this head, at the start and
            after every step of a solve; so must a given flux at the surface between what the soil can take when
            wet and give when the surface is air-dry.

    Raises:
        ModelError: an unknown choice, or a geometry that makes no sense.

    Source: Richards 1931, Physics 1; mass-conservative moisture form as in Celia et al. 1990,
    Water Resour. Res. 26.
    """
    soil = closure if isinstance(closure, Closure) else _choice("closure", closure, CLOSURES)
    if not (is_number(max_ponding) and max_ponding >= 0):
        raise ModelError(f"RichardsColumn: max_ponding must be zero or positive, got {max_ponding!r}")
    if not (is_number(air_dry) and air_dry < 0):
        raise ModelError(f"RichardsColumn: air_dry must be a negative head, got {air_dry!r}")
    if max_head is not None and not (is_number(max_head) and max_head > 0):
        raise ModelError(f"RichardsColumn: max_head must be a positive head, got {max_head!r}")
    mean = _choice("face_conductivity", face_conductivity, MEANS)
    graph = _with_roots(column(depth, cells, thickness), root_depth)
    upper = _choice("top", top, surface.TOPS)(soil, graph, surface.Surface(max_ponding, air_dry))
    lower = _choice("bottom", bottom, BOTTOMS)(soil, graph, air_dry)

    def closure_values(cell: SimpleNamespace) -> dict[str, Any]:
        head, conductivity = soil.head_and_conductivity(cell.theta, cell)
        return {"head": head, "K": conductivity}

    def darcy(left: SimpleNamespace, right: SimpleNamespace, face: SimpleNamespace) -> dict[str, Any]:
        # Buckingham-Darcy flux, positive downwards (Buckingham 1907).
        gradient = (left.head - right.head) / face.distance + 1.0
        return {"theta": mean(left.K, right.K, gradient) * gradient}

    def uptake(cell: SimpleNamespace, forcing: SimpleNamespace) -> dict[str, Any]:
        # S-shaped stress response, van Genuchten 1987 (USSL Research Report 121), eq 3.
        suction = torch.clamp(-cell.head, min=1e-9)
        stress = 1.0 / (1.0 + (suction / -cell.h_50) ** cell.p_50)
        rate = forcing.potential_transpiration * cell.root_density * stress
        return {"theta": -rate, "transpiration": rate}

    def initial(given: Mapping[str, Tensor], cell: SimpleNamespace) -> dict[str, Tensor]:
        states = {k: v for k, v in given.items() if k != "head"}
        if "head" in given:
            states["theta"] = soil.water_content(given["head"], cell)
        return states

    names = {p.name for p in soil.parameters}
    roots = root_depth is not None
    transpiration = IntegratedFlux("transpiration", "m", "root water uptake", -1)
    demand = ForcingVariable("potential_transpiration", "m d-1", "transpiration of unstressed roots", low=0.0)
    return Model(
        name="RichardsColumn",
        graph=graph,
        states=(
            State(
                "theta",
                "1",
                "volumetric water content with elastic storage",
                low=0.0,
                through=("head", 0.1 * depth / cells),
            ),
        ),
        parameters=soil.parameters + (STRESS if roots else ()),
        forcings=upper.forcings + lower.forcings + ((demand,) if roots else ()),
        fluxes=upper.fluxes + lower.fluxes + ((transpiration,) if roots else ()),
        outputs=(
            Output("head", "m", "pressure head"),
            Output("hydraulic_conductivity", "m d-1", "unsaturated hydraulic conductivity"),
        ),
        closure=closure_values,
        source=uptake if roots else None,
        flux=darcy,
        output=lambda cell: {"head": cell.head, "hydraulic_conductivity": cell.K},
        boundaries=upper.boundaries + lower.boundaries,
        constraints=(POROSITY,) if {"theta_r", "theta_s"} <= names else (),
        limits=(
            _water_content(names, 2 * depth + 10.0 if max_head is None else max_head),
            *upper.limits,
            *lower.limits,
        ),
        initial=initial,
        initial_names=("head",),
        reference=f"Richards 1931; {soil.source}",
    )


def _water_content(names: set[str], max_head: float) -> Limit:
    """Between the residual and the saturated water content, with elastic storage up to `max_head`.

    A closure without such parameters sets no bounds.
    """

    def range_of(cell: SimpleNamespace) -> dict[str, Any]:
        low = {"low": cell.theta_r} if "theta_r" in names else {}
        high = {"high": cell.theta_s + cell.S_s * max_head} if {"theta_s", "S_s"} <= names else {}
        return {"value": cell.theta, **low, **high}

    return Limit(
        "theta",
        "1",
        range_of,
        remedy=f"above theta_s water is stored under a positive head, up to max_head={max_head:g}",
    )


def _choice(what: str, value: Any, table: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or value not in table:
        raise ModelError(f"RichardsColumn: {what}={value!r} is not one of {sorted(table)}")
    return table[value]


def _with_roots(graph: Graph, root_depth: float | None) -> Graph:
    """Adds `root_density` (1/m), exponential in depth and summing to one over the column."""
    if root_depth is None:
        return graph
    if not (is_number(root_depth) and root_depth > 0):
        raise ModelError(f"RichardsColumn: root_depth must be positive, got {root_depth!r}")
    density = np.exp(-graph.cell["depth"] / root_depth)
    density /= (density * graph.cell["thickness"]).sum()
    return Graph(graph.cells, graph.faces, {**graph.cell, "root_density": density}, graph.face, graph.coordinates)


MEANS: dict[str, Any] = {
    "arithmetic": lambda a, b, gradient: 0.5 * (a + b),
    "geometric": lambda a, b, gradient: torch.sqrt(a * b),
    "upstream": lambda a, b, gradient: torch.where(gradient > 0.0, a, b),
}


def _bottom(
    graph: Graph, function: Local, forcings: tuple[ForcingVariable, ...] = (), limits: tuple[Limit, ...] = ()
) -> surface.Side:
    drainage = IntegratedFlux("drainage", "m", "water leaving through the base", -1)
    geometry = {"distance": graph.cell["thickness"][-1] / 2}
    return surface.Side((Boundary("bottom", (graph.cells - 1,), function, geometry),), forcings, (drainage,), limits)


def _free_drainage(soil: Closure, graph: Graph, air_dry: float) -> surface.Side:
    return _bottom(graph, lambda cell, forcing, face: {"theta": -cell.K, "drainage": cell.K})


def _given_head(soil: Closure, graph: Graph, air_dry: float) -> surface.Side:
    def function(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> dict[str, Any]:
        conductivity = 0.5 * (cell.K + soil.conductivity(forcing.bottom_head, cell))
        out = conductivity * ((cell.head - forcing.bottom_head) / face.distance + 1.0)
        return {"theta": -out, "drainage": out}

    return _bottom(graph, function, (ForcingVariable("bottom_head", "m", "head at the base"),))


def _given_flux(soil: Closure, graph: Graph, air_dry: float) -> surface.Side:
    def range_of(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> dict[str, Any]:
        head, conductivity = soil.head_and_conductivity(cell.theta, cell)
        supply = 0.5 * conductivity * ((head - air_dry) / face.distance + 1.0)
        return {"value": forcing.bottom_flux, "high": torch.clamp(supply, min=0.0)}

    remedy = "bottom='head', 'seepage_face' and 'free_drainage' take what the soil gives"
    return _bottom(
        graph,
        lambda cell, forcing, face: {"theta": -forcing.bottom_flux, "drainage": forcing.bottom_flux},
        (ForcingVariable("bottom_flux", "m d-1", "downward flux through the base"),),
        (Limit("bottom_flux", "m d-1", range_of, "bottom", remedy),),
    )


def _seepage_face(soil: Closure, graph: Graph, air_dry: float) -> surface.Side:
    """Nothing leaves until the base is saturated; then its head is zero, as at the open end of a lysimeter."""

    def function(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> dict[str, Any]:
        # At rest the head at the base is that of the cell and the way down to it: what leaves sets in from zero.
        out = 0.5 * (cell.K + cell.K_s) * torch.clamp(cell.head / face.distance + 1.0, min=0.0)
        return {"theta": -out, "drainage": out}

    return _bottom(graph, function)


BOTTOMS: dict[str, Any] = {
    "free_drainage": _free_drainage,
    "head": _given_head,
    "flux": _given_flux,
    "no_flow": lambda soil, graph, air_dry: surface.Side((), (), ()),
    "seepage_face": _seepage_face,
}
