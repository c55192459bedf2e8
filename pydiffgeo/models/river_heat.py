"""Temperature of the water in `River`: what each kind of exchange with sun, air and bed adds to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model import ForcingVariable, IntegratedFlux, Parameter, Place, State, Values
from ..processes import heat, stream_heat
from ..processes.heat import WATER_CAPACITY, WATT
from .river_routing import DAY, section_of

# Depth (m) of water that takes the temperature of what is above it, where there is less than that.
FILM = 1e-3

Reference = Callable[[Place], Tensor]


@dataclass(frozen=True)
class Warmth:
    """Nothing, or heat as a second state; `above` is the temperature (degC) that a dry reach has."""

    states: tuple[State, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    forcings: tuple[ForcingVariable, ...] = ()
    fluxes: tuple[IntegratedFlux, ...] = ()
    shown: tuple[str, ...] = ()
    above: Reference = lambda forcing: forcing.air_temperature
    exchange: Callable[[Place, Place], Tensor] = lambda cell, forcing: cell.heat

    def closure(self, cell: Place, forcing: Place) -> Values:
        if not self.states:
            return {}
        film = FILM * cell.length * section_of(cell).top_width
        water = torch.clamp(cell.storage, min=0.0)
        film = film * torch.exp(-water / film)
        return {"temperature": (cell.heat / WATER_CAPACITY + film * self.above(forcing)) / (water + film)}

    def source(self, cell: Place, forcing: Place, lost: Tensor) -> Values:
        """Heat (MJ/d) with water that enters and is lost, and across the surface and the bed."""
        if not self.states:
            return {}
        entering = (
            WATER_CAPACITY
            * DAY
            * (forcing.inflow * forcing.inflow_temperature + forcing.lateral_inflow * forcing.lateral_temperature)
        )
        exchanged = WATT * cell.length * cell.top_width * self.exchange(cell, forcing)
        leaked = WATER_CAPACITY * lost * cell.temperature
        return {
            "heat": entering + exchanged - leaked,
            "heat_inflow": entering,
            "heat_exchange": exchanged,
            "heat_losses": leaked,
        }

    def output(self, cell: Place) -> Values:
        return {"temperature": cell.temperature} if self.states else {}

    def carried(self, water: Tensor, left: Place, right: Place) -> Values:
        return {"heat": heat.carried(water, left.temperature, right.temperature)} if self.states else {}

    def outlet(self, water: Tensor, cell: Place) -> Values:
        if not self.states:
            return {}
        leaving = WATER_CAPACITY * water * cell.temperature
        return {"heat": -leaving, "heat_outflow": leaving}


def initial(given: Values, cell: Place) -> Values:
    """Heat of the water that there is, by its `temperature` (degC)."""
    states = {k: v for k, v in given.items() if k != "temperature"}
    if "temperature" in given:
        # Without `storage` reaches are dry.
        states["heat"] = WATER_CAPACITY * given["temperature"] * given.get("storage", 0.0 * given["temperature"])
    return states


STATES = (State("heat", "MJ", "heat of the water above 0 degC", default=0.0),)
FLUXES = (
    IntegratedFlux("heat_inflow", "MJ", "heat entering with water", +1),
    IntegratedFlux("heat_outflow", "MJ", "heat leaving with water at outlets", -1),
    IntegratedFlux("heat_exchange", "MJ", "heat through surface and bed", +1),
    IntegratedFlux("heat_losses", "MJ", "heat leaving with water lost to the ground", -1),
)
ENTERING = (
    ForcingVariable("inflow_temperature", "degC", "of the inflow at upper ends", on="cell", default=10.0),
    ForcingVariable("lateral_temperature", "degC", "of the inflow along reaches", on="cell", default=10.0),
)


def _linear(cell: Place, forcing: Place) -> Tensor:
    return cell.exchange * (forcing.equilibrium_temperature - cell.temperature)


EQUILIBRIUM = Warmth(
    STATES,
    (
        Parameter(
            "exchange",
            "W m-2 K-1",
            "heat exchange by difference from equilibrium",
            25.0,
            0.0,
            typical=(15.0, 60.0),
            source="Edinger et al. 1968, Water Resour. Res. 4",
        ),
    ),
    (*ENTERING, ForcingVariable("equilibrium_temperature", "degC", "at which water and weather exchange nothing")),
    FLUXES,
    ("temperature",),
    lambda forcing: forcing.equilibrium_temperature,
    _linear,
)


def _budget(cell: Place, forcing: Place) -> Tensor:
    weather = stream_heat.Weather(
        forcing.radiation, forcing.air_temperature, forcing.humidity, forcing.wind, cell.shade
    )
    below = stream_heat.bed(cell.temperature, cell.ground_temperature, cell.bed_conductivity, cell.bed_depth)
    falling = stream_heat.friction(torch.clamp(cell.discharge, min=0.0), cell.slope, cell.top_width)
    return stream_heat.surface(cell.temperature, weather) + below + falling


BED = "Webb and Zhang 1997, Hydrol. Process. 11"
WEATHER = Warmth(
    STATES,
    (
        Parameter("shade", "1", "share of the sky that banks and trees hide", 0.3, 0.0, 1.0, typical=(0.0, 0.9)),
        Parameter("ground_temperature", "degC", "of the ground below the bed", 10.0, -5.0, 40.0, typical=(2.0, 20.0)),
        Parameter("bed_conductivity", "W m-1 K-1", "thermal conductivity of the bed", 1.65, 0.0, typical=(0.8, 3.0)),
        Parameter(
            "bed_depth",
            "m",
            "depth at which the ground has its temperature",
            1.0,
            0.0,
            open_low=True,
            typical=(0.3, 5.0),
        ),
    ),
    (
        *ENTERING,
        ForcingVariable("radiation", "W m-2", "shortwave radiation", low=0.0),
        ForcingVariable("air_temperature", "degC", "air temperature", low=-80.0, high=80.0),
        ForcingVariable("humidity", "1", "relative humidity", low=0.0, high=1.0),
        ForcingVariable("wind", "m s-1", "wind", low=0.0),
    ),
    FLUXES,
    ("temperature",),
    lambda forcing: forcing.air_temperature,
    _budget,
)

KINDS: Mapping[str, Warmth] = {"none": Warmth(), "equilibrium": EQUILIBRIUM, "weather": WEATHER}
