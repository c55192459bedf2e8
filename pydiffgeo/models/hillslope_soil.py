"""Soil columns side by side under snow: what the hillslopes of a catchment hold above their groundwater, heat too if asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import TypeAlias, cast

import numpy as np
import torch

from ..arrays import Array
from ..model import Boundary, ForcingVariable, Graph, IntegratedFlux, Model, Parameter, Place, Stage, State, Values
from ..processes import wet_snow
from ..processes.hillslope import heat_of_runoff
from ..processes.soil.retention import Closure
from .richards import RichardsColumn
from .water_heat_column import WaterHeatColumn

Flow: TypeAlias = Callable[..., Values]
space = cast(Callable[..., Place], SimpleNamespace)

# Degrees over which precipitation passes from snow to rain.
WIDTH = 1.0
# Days within which water leaves a ripe pack, and a store of it can be emptied.
RELEASE = 0.1
MILLIMETRE = 1e-3
# Snow (m of water) that covers the ground but for a third.
COVER = 5e-3
SNOW = "Bergstrom 1992, SMHI Reports RH 4; range of Seibert and Vis 2012, Hydrol. Earth Syst. Sci. 16"
ON = "boundary:top"
PARAMETERS = (
    Parameter(
        "TT", "degC", "temperature of snowfall and melt", 0.0, -20.0, 20.0, typical=(-2.5, 2.5), on=ON, source=SNOW
    ),
    Parameter("CFMAX", "mm d-1 degC-1", "degree-day factor", 3.0, 0.0, typical=(0.5, 10.0), on=ON, source=SNOW),
    Parameter(
        "CFR", "1", "share of it with which water refreezes", 0.05, 0.0, 1.0, typical=(0.0, 0.1), on=ON, source=SNOW
    ),
    Parameter("CWH", "1", "water that snow holds", 0.1, 0.0, 1.0, typical=(0.0, 0.2), on=ON, source=SNOW),
)


def hillslope_soil(
    area: Array, depth: float, cells: int, root_depth: float, closure: str | Closure, warm: bool = False
) -> Model:
    """`RichardsColumn` once for each plan area (m2), with the snow routine of HBV on top and a closed base.

    What neither infiltrates nor evaporates stays in the `pond` of its column: whoever joins the columns to a river takes it
    from there. Amounts are in m3. Snow neither sublimates nor shields the soil from the demand of the air.

    Args:
        area: of each column (m2), `(columns,)`.
        depth, cells, root_depth, closure: as for `RichardsColumn`.
        warm: with heat, as in `WaterHeatColumn`. The surface, and the water on it, is as warm as the air where it is bare,
            and at 0 degC under snow.

    Raises:
        ModelError: as `RichardsColumn`.
    """
    column = WaterHeatColumn if warm else RichardsColumn
    soil = column(depth, cells, top="atmosphere", bottom="no_flow", root_depth=root_depth, closure=closure)
    (top,) = soil.boundaries
    surface = cast(Flow, top.function)

    def under_snow(cell: Place, forcing: Place, face: Place) -> Values:
        T, snow, liquid, release = forcing.temperature, MILLIMETRE * face.CFMAX, cell.snow_water, RELEASE
        rain = forcing.precipitation * wet_snow.rain_share(T, face.TT, WIDTH)
        melt = wet_snow.melt(cell.snow, T, face.TT, snow, release)
        refreezing = wet_snow.refreezing(liquid, T, face.TT, snow, face.CFR, release)
        drained = wet_snow.drainage(liquid, cell.snow, face.CWH, release)
        ground = {"precipitation": rain + drained, "potential_evaporation": forcing.potential_evaporation}
        if warm:
            ground["surface_temperature"] = face.surface_temperature
        values = surface(cell, space(**ground), face)
        return {
            **(heated(values, cell, face) if warm else {}),
            "theta": values["theta"],
            "pond": ground["precipitation"] - values["evaporation"] - values["theta"],
            "snow": forcing.precipitation - rain + refreezing - melt,
            "snow_water": melt - refreezing - drained,
            "precipitation": forcing.precipitation,
            "infiltration": values["infiltration"],
            "evaporation": values["evaporation"],
        }

    def heated(values: Values, cell: Place, face: Place) -> Values:
        # What runs off is as warm as the surface: its heat comes with it, and passes through the first cell to the river.
        passing = heat_of_runoff(cell.pond, face.surface_temperature)
        entering = {"ground_heat_flux": values["ground_heat_flux"], "runoff_heat_supply": passing}
        return {"heat": values["heat"] + passing, **entering}

    def ground_temperature(cell: Place, forcing: Place, face: Place) -> Values:
        bare = torch.exp(-(cell.snow + cell.snow_water) / COVER)
        return {"surface_temperature": bare * forcing.temperature}

    states = (
        *top.states,
        State("snow", "m", "frozen water in the snow pack", default=0.0, low=0.0),
        State("snow_water", "m", "liquid water in the snow pack", default=0.0, low=0.0),
    )
    columns = len(area)
    distance = top.geometry["distance"][0]
    above = Boundary(
        "top", tuple(range(0, columns * cells, cells)), under_snow, {"area": area, "distance": distance}, states
    )
    own = [f for f in soil.forcings if f.name != "surface_temperature"]
    forcings = [replace(f, on=ON) if f.name == "precipitation" else f for f in own]
    fluxes = [replace(f, unit="MJ" if f.unit.startswith("MJ") else "m3") for f in soil.fluxes if f.name != "runoff"]
    if warm:
        fluxes.append(IntegratedFlux("runoff_heat_supply", "MJ", "heat of the water that runs off", +1))
    temperature = ForcingVariable("temperature", "degC", "air temperature", low=-100.0, high=100.0, on=ON)
    return replace(
        soil,
        name="HillslopeSoil",
        graph=_side_by_side(soil.graph, area),
        parameters=(*soil.parameters, *PARAMETERS),
        forcings=(*forcings, temperature),
        fluxes=tuple(fluxes),
        stages=(Stage("ground", ground_temperature, on="top"),) if warm else (),
        boundaries=(above,),
        reference=f"{soil.reference}; {SNOW}",
    )


def _side_by_side(column: Graph, area: Array) -> Graph:
    """One column for each plan area, the cells of the first one first."""
    columns, cells = len(area), column.cells
    extensive, first = ("volume", "area"), cells * np.arange(columns)

    def spread(values: Mapping[str, Array], count: int) -> dict[str, Array]:
        return {k: np.tile(v, columns) * (np.repeat(area, count) if k in extensive else 1.0) for k, v in values.items()}

    faces = (column.faces[None] + first[:, None, None]).reshape(-1, 2)
    cell = spread(column.cell, cells) | {"column": np.repeat(np.arange(float(columns)), cells)}
    return Graph(columns * cells, faces, cell, spread(column.face, len(column.faces)))
