"""Heat in the groundwater of hillslopes: a second state of a convertible aquifer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from ..model import Boundary, ForcingVariable, IntegratedFlux, Model, Output, Parameter, Place, State, Values
from ..processes import heat
from ..processes.groundwater.dispersion import pore_water
from ..processes.groundwater.storage import storage_of
from ..processes.heat import MINERAL_CAPACITY, WATER_CAPACITY, WATT
from .solute_aquifer import LEAST, roomy

CONDUCTIVITY = Parameter(
    "thermal_conductivity",
    "W m-1 K-1",
    "thermal conductivity of the saturated aquifer",
    2.0,
    0.0,
    open_low=True,
    typical=(0.5, 4.0),
    source="Johansen 1975 as in Farouki 1981: a porosity of 0.3, 0.4 of the grains quartz",
)
POROSITY = Parameter("porosity", "1", "water-filled porosity of a full cell", 0.3, 0.0, 1.0, open_low=True)
Flow = Callable[..., Values]


def warm_aquifer(water: Model) -> Model:
    """An aquifer of convertible cells in one layer with wells alone, whose grains and water hold heat (MJ/m2 of plan area).

    Water and grains of a cell are of one temperature; heat goes with the flow and is conducted where there is water. Wells
    withdraw water as warm as the cell, and bring it with the forcing `well_temperature`.

    Sources: as `processes.heat`: de Vries 1963 for what grains and water hold, Bredehoeft and Papadopulos 1965 for the flow.
    """
    seen, between, told, begin = (cast(Flow, f) for f in (water.closure, water.flux, water.output, water.initial))
    store = storage_of(("convertible",))
    (well,) = water.boundaries
    pumped = cast(Flow, well.function)

    def capacity(cell: Place, stored: Tensor) -> Tensor:
        full = store.water(cell.bottom + cell.thickness, cell)
        held = torch.clamp(pore_water(cell, stored, full), min=LEAST * cell.thickness)
        return MINERAL_CAPACITY * (1.0 - cell.porosity) * cell.thickness + WATER_CAPACITY * held

    def closure(cell: Place) -> Values:
        return {**seen(cell), "temperature": cell.heat / capacity(cell, cell.water)}

    def wet(cell: Place) -> Tensor:
        return cell.thickness * torch.clamp(cell.saturation, LEAST, 1.0)

    def flux(left: Place, right: Place, face: Place) -> Values:
        moved = between(left, right, face)
        conducting = WATT * 0.5 * (wet(left) * left.thermal_conductivity + wet(right) * right.thermal_conductivity)
        warmth = heat.fitted(left.temperature, right.temperature, conducting, moved["water"], face.distance)
        return {**moved, "heat": warmth}

    def withdrawn(cell: Place, forcing: Place, face: Place) -> Values:
        values = pumped(cell, forcing, face)
        load = heat.carried(values["water"], forcing.well_temperature, cell.temperature)
        return {**values, "heat": load, "well_heat": load}

    def initial(given: Values, cell: Place) -> Values:
        states = {**begin({k: v for k, v in given.items() if k != "temperature"}, cell)}
        if "temperature" in given:
            states["heat"] = given["temperature"] * capacity(cell, states["water"])
        return states

    return replace(
        water,
        states=(*water.states, State("heat", "MJ m-2", "heat of water and grains above 0 degC", default=0.0)),
        parameters=(*water.parameters, POROSITY, CONDUCTIVITY),
        forcings=(
            *water.forcings,
            ForcingVariable("well_temperature", "degC", "of water that wells bring", default=10.0),
        ),
        fluxes=(*water.fluxes, IntegratedFlux("well_heat", "MJ", "heat brought by wells", 1)),
        outputs=(*water.outputs, Output("temperature", "degC", "temperature of the groundwater")),
        closure=closure,
        flux=flux,
        output=lambda cell: {**told(cell), "temperature": cell.temperature},
        boundaries=(Boundary(well.name, well.cells, withdrawn, well.geometry),),
        constraints=(*water.constraints, *roomy(water.graph)),
        initial=initial,
        initial_names=(*water.initial_names, "temperature"),
    )
