"""What happens at the soil surface: a given flux, a given head, or the weather with ponding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...model import Boundary, ForcingVariable, Graph, IntegratedFlux, Limit, Local, Place, State, Values
from ..smoothing import smooth_ramp, withdrawal
from .retention import Closure

# Limits of the atmosphere begin to act over this difference of rates (m/d): a hundredth of a
# millimetre a day, far below what rain or evaporation is known to.
ROUNDING = 1e-5
# The soil begins to limit evaporation over this share of the demand.
DRYING = 0.02
# Time (d) in which water on the surface is passed on to the soil or runs off: about a minute and a half.
PASSAGE = 1e-3
# Depth of water (m) that the surface holds before it presses on the soil or runs off: a wet film.
FILM = 1e-5
# Added to suctions, as a share of that of air-dry soil, so that wet soil has one as well.
SHIFT = 1e-3
# The factor in suction over which the exponent is taken.
STEP = 1.25
# A given flux may ask for a little more than the soil takes: water as deep as this share of half the first cell.
ALLOWANCE = 0.25


@dataclass(frozen=True)
class Surface:
    """What one may choose of a surface: the depth (m) of water it holds, and the head (m) of air-dry soil."""

    max_ponding: float
    air_dry: float


@dataclass(frozen=True)
class Side:
    """What one side of the column adds to the model."""

    boundaries: tuple[Boundary, ...]
    forcings: tuple[ForcingVariable, ...]
    fluxes: tuple[IntegratedFlux, ...]
    limits: tuple[Limit, ...] = ()


def _top(graph: Graph, function: Local, *states: State) -> tuple[Boundary, ...]:
    return (Boundary("top", (0,), function, {"distance": graph.cell["thickness"][0] / 2}, states),)


def infiltration_capacity(head: Tensor, conductivity: Tensor, pond: Tensor, cell: Place, face: Place) -> Tensor:
    """Flux into soil under water of depth `pond`: Darcy's law with the mean of cell and saturated surface."""
    return 0.5 * (conductivity + cell.K_s) * ((pond - head) / face.distance + 1.0)


def evaporation_supply(
    head: Tensor, conductivity: Tensor, soil: Closure, air_dry: float, cell: Place, face: Place
) -> Tensor:
    """Flux that soil with this head and conductivity brings up to an air-dry surface.

    Conductivity falls by orders of magnitude on the way, so that a mean of the two ends says little. What counts is
    its integral over the head, K times a length: Gardner 1958, Soil Sci. 85. Here K falls like a power of suction, with
    the exponent that it has near the cell. Gravity acts as in his soil with that length.
    """
    shift = -SHIFT * air_dry
    suction = torch.clamp(-head, min=0.0)
    drier = soil.conductivity(-suction - (STEP - 1) * (suction + shift), cell)
    none = 1e-100 * cell.K_s
    power = torch.clamp(torch.log((conductivity + none) / (drier + none)) / math.log(STEP) - 1.0, min=0.5)
    length = (suction + shift) / power * (1.0 - ((suction + shift) / (shift - air_dry)) ** power)
    # Where there is no way left to air-dry soil, nothing flows.
    return conductivity / (torch.exp(face.distance / torch.clamp(length, min=face.distance / 50.0)) - 1.0)


def given_flux(soil: Closure, graph: Graph, surface: Surface) -> Side:
    """Flux into the soil, as long as it can take or give that much between a wet and an air-dry surface."""

    def range_of(cell: Place, forcing: Place, face: Place) -> Values:
        head, conductivity = soil.head_and_conductivity(cell.theta, cell)
        # Of a surface that conducts as well as it can: a first cell on its way to saturation holds nothing up.
        capacity = infiltration_capacity(head, cell.K_s, ALLOWANCE * face.distance, cell, face)
        supply = evaporation_supply(head, conductivity, soil, surface.air_dry, cell, face)
        # Without a flux the surface is a lid, under which soil may be under pressure, or as dry as can be.
        return {"value": forcing.flux, "low": -supply, "high": torch.clamp(capacity, min=0.0)}

    remedy = "top='atmosphere' takes rain and evaporation, and limits them to what the soil can take and give"
    return Side(
        _top(graph, lambda cell, forcing, face: {"theta": forcing.flux, "infiltration": forcing.flux}),
        (ForcingVariable("flux", "m d-1", "flux into the soil"),),
        (IntegratedFlux("infiltration", "m", "water entering through the surface", +1),),
        (Limit("flux", "m d-1", range_of, "top", remedy),),
    )


def given_head(soil: Closure, graph: Graph, surface: Surface) -> Side:
    """Head at the surface; the conductivity there is the mean of surface and first cell."""

    def function(cell: Place, forcing: Place, face: Place) -> Values:
        conductivity = 0.5 * (cell.K + soil.conductivity(forcing.head, cell))
        into = conductivity * ((forcing.head - cell.head) / face.distance + 1.0)
        return {"theta": into, "infiltration": into}

    return Side(
        _top(graph, function),
        (ForcingVariable("head", "m", "head at the surface"),),
        (IntegratedFlux("infiltration", "m", "water entering through the surface", +1),),
    )


def atmosphere(soil: Closure, graph: Graph, surface: Surface) -> Side:
    """Rain infiltrates up to the capacity of the soil; the rest ponds, and runs off above `max_ponding`.

    Evaporation takes what is wet on the surface first, then what the soil can bring up against an
    air-dry surface. Without demand there is none, and without water on the surface nothing infiltrates.
    """

    def function(cell: Place, forcing: Place, face: Place) -> Values:
        wet = forcing.precipitation + smooth_ramp(cell.pond, FILM) / PASSAGE
        from_surface = withdrawal(forcing.potential_evaporation, wet, ROUNDING)
        capacity = infiltration_capacity(cell.head, cell.K, smooth_ramp(cell.pond, FILM), cell, face)
        # Where the soil is under pressure, it gives off water.
        into = withdrawal(wet - from_surface, torch.clamp(capacity, min=0.0), ROUNDING) + torch.clamp(capacity, max=0.0)
        supply = evaporation_supply(cell.head, cell.K, soil, surface.air_dry, cell, face)
        demand = forcing.potential_evaporation - from_surface
        from_soil = withdrawal(demand, supply, ROUNDING + DRYING * demand)
        runoff = smooth_ramp(cell.pond - surface.max_ponding, FILM) / PASSAGE
        return {
            "theta": into - from_soil,
            "pond": forcing.precipitation - from_surface - into - runoff,
            "precipitation": forcing.precipitation,
            "infiltration": into,
            "evaporation": from_surface + from_soil,
            "runoff": runoff,
        }

    return Side(
        _top(graph, function, State("pond", "m", "depth of water on the surface", default=0.0, low=0.0)),
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
