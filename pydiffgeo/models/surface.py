"""What happens at the soil surface: a given flux, a given head, or the weather with ponding."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..closures import Closure, smooth_minimum, smooth_ramp, withdrawal
from ..graph import Graph
from ..model import Boundary, ForcingVariable, IntegratedFlux, Local, State

# Limits of the atmosphere begin to act over this difference of rates (m/d): a hundredth of a
# millimetre a day, far below what rain or evaporation is known to.
ROUNDING = 1e-5
# Time (d) in which water on the surface is passed on to the soil or runs off: about a minute and a half.
PASSAGE = 1e-3
# Depth of water (m) that the surface holds before it presses on the soil or runs off: a wet film.
FILM = 1e-5
# Head (m) of air-dry soil, at which the surface stops giving water to the air (Feddes et al. 1974).
AIR_DRY = -150.0


@dataclass(frozen=True)
class Side:
    """What one side of the column adds to the model."""

    boundaries: tuple[Boundary, ...]
    forcings: tuple[ForcingVariable, ...]
    fluxes: tuple[IntegratedFlux, ...]


def _top(graph: Graph, function: Local, *states: State) -> tuple[Boundary, ...]:
    return (Boundary("top", (0,), function, {"distance": graph.cell["thickness"][0] / 2}, states),)


def given_flux(soil: Closure, graph: Graph, max_ponding: float) -> Side:
    """Flux into the soil, whatever the soil makes of it."""
    return Side(
        _top(graph, lambda cell, forcing, face: {"theta": forcing.flux, "infiltration": forcing.flux}),
        (ForcingVariable("flux", "m d-1", "flux into the soil"),),
        (IntegratedFlux("infiltration", "m", "water entering through the surface", +1),),
    )


def given_head(soil: Closure, graph: Graph, max_ponding: float) -> Side:
    """Head at the surface; the conductivity there is the mean of surface and first cell."""

    def function(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> dict[str, Any]:
        conductivity = 0.5 * (cell.K + soil.conductivity(forcing.head, cell))
        into = conductivity * ((forcing.head - cell.head) / face.distance + 1.0)
        return {"theta": into, "infiltration": into}

    return Side(
        _top(graph, function),
        (ForcingVariable("head", "m", "head at the surface"),),
        (IntegratedFlux("infiltration", "m", "water entering through the surface", +1),),
    )


def atmosphere(soil: Closure, graph: Graph, max_ponding: float) -> Side:
    """Rain infiltrates up to the capacity of the soil; the rest ponds, and runs off above `max_ponding`.

    Evaporation takes what is wet on the surface first, then what the soil can bring up against an
    air-dry surface.
    """

    def function(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> dict[str, Any]:
        wet = forcing.precipitation + cell.pond / PASSAGE
        from_surface = smooth_minimum(forcing.potential_evaporation, wet, ROUNDING)
        conductivity = 0.5 * (cell.K + cell.K_s)
        capacity = conductivity * ((smooth_ramp(cell.pond, FILM) - cell.head) / face.distance + 1.0)
        into = smooth_minimum(wet - from_surface, capacity, ROUNDING)
        supply = 0.5 * cell.K * ((cell.head - AIR_DRY) / face.distance - 1.0)
        from_soil = withdrawal(forcing.potential_evaporation - from_surface, smooth_ramp(supply, ROUNDING), ROUNDING)
        runoff = smooth_ramp(cell.pond - max_ponding, FILM) / PASSAGE
        return {
            "theta": into - from_soil,
            "pond": forcing.precipitation - from_surface - into - runoff,
            "precipitation": forcing.precipitation,
            "infiltration": into,
            "evaporation": from_surface + from_soil,
            "runoff": runoff,
        }

    return Side(
        _top(graph, function, State("pond", "m", "depth of water on the surface", default=0.0)),
        (
            ForcingVariable("precipitation", "m d-1", "rain", low=0.0),
            ForcingVariable("potential_evaporation", "m d-1", "evaporation of a wet surface", low=0.0),
        ),
        (
            IntegratedFlux("precipitation", "m", "rain on the surface", +1),
            IntegratedFlux("infiltration", "m", "water entering the soil"),
            IntegratedFlux("evaporation", "m", "water leaving to the air from surface and soil", -1),
            IntegratedFlux("runoff", "m", "water running off the surface", -1),
        ),
    )


TOPS = {"flux": given_flux, "head": given_head, "atmosphere": atmosphere}
