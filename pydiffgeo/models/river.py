"""A river: water, and its heat, on a network of reaches."""

from __future__ import annotations

from typing import Literal

import torch
from numpy.typing import ArrayLike

from ..errors import ModelError
from ..model import Boundary, ForcingVariable, Graph, IntegratedFlux, Model, Output, Parameter, Place, State, Values
from ..model.reaches import DiGraph, Table
from ..model.remember import remembered
from . import river_heat
from .reach_table import columns_of, river_graph
from .river_routing import DAY, ROUTINGS, Routing

# Depth (m) of water below which a reach loses less than its leakage: a wet bed.
WET = 1e-3

SECTIONS = "Bindas et al. 2024, Water Resour. Res. 60"
CHANNEL = (
    Parameter(
        "manning_n",
        "s m-1/3",
        "Manning's roughness",
        0.035,
        0.0,
        open_low=True,
        log=True,
        typical=(0.015, 0.25),
        source="Chow 1959, table 5-6; range of river routing models that learn it",
    ),
    Parameter(
        "width",
        "m",
        "top width at a depth of one metre",
        21.0,
        0.0,
        open_low=True,
        log=True,
        typical=(1.0, 200.0),
        source=SECTIONS,
    ),
    Parameter(
        "width_exponent",
        "1",
        "how the top width grows with depth: 0 a rectangle, 1 a triangle",
        0.0,
        0.0,
        1.0,
        typical=(0.0, 1.0),
        source=SECTIONS,
    ),
    Parameter("leakage", "m d-1", "water that the wet bed loses to the ground", 0.0, 0.0, typical=(0.0, 1.0)),
)


def River(
    reaches: Table | DiGraph | Graph,
    *,
    routing: Literal["kinematic", "diffusive", "muskingum", "muskingum_cunge"] = "kinematic",
    temperature: Literal["none", "equilibrium", "weather"] = "none",
) -> Model:
    """Discharge, and the temperature of the water where asked for, on reaches that join.

    The state of a reach is the water it holds (m3). Forcings are `lateral_inflow` (m3/s) along each reach, and `inflow`
    (m3/s) at its upper end. The flux `discharge` keeps every reach: its integral over an interval, divided by the
    interval, is the exact mean that a gauge reports, `sol.fluxes["discharge"][..., graph.index("B")]`.

    Args:
        reaches: a table with the columns `id`, `downstream`, `length` (m) and `slope` (1), as for `dg.network`; or a
            graph of networkx, or of `dg.network`, with these attributes. Columns called like a parameter (`width`, ...)
            stand for it.
        routing: "kinematic": Manning's uniform flow; the upwind scheme diffuses like c L / 2.
            "diffusive": the slope of the water surface drives it, so that water backs up; second order where its own
            diffusion is resolved, upwind where it is not.
            "muskingum": linear storage, with the parameters `travel_time` and `X`.
            "muskingum_cunge": storage by Manning's uniform flow of the weighted discharge, X from Cunge's matched
            diffusion. Both compute outflows from the sources down, as often as reaches follow one another, and give
            negative flow before a steep rise where X > 0: that is in their equations.
        temperature: "equilibrium": a linear exchange with the forcing `equilibrium_temperature`; "weather": the heat
            budget of the surface, with the forcings `radiation`, `air_temperature`, `humidity` and `wind`.

    `leakage` takes from a wet bed, less below a depth of a millimetre, and nothing from a dry one.

    Raises:
        ModelError: an unknown choice; a table that is no river, or lacks a column; names it.

    Sources: Manning 1891; Lighthill and Whitham 1955; Hayami 1951; McCarthy 1938; Cunge 1969, as named in
    `processes.channel` and `processes.routing`.
    """
    for what, value, known in (("routing", routing, ROUTINGS), ("temperature", temperature, river_heat.KINDS)):
        if not isinstance(value, str) or value not in known:
            raise ModelError(f"River: {what}={value!r} is not one of {[*known]}")
    if routing == "muskingum" and temperature != "none":
        raise ModelError("River: temperature needs a channel, of which routing='muskingum' knows nothing")
    table = columns_of(reaches)
    return _river(table if isinstance(table, dict) else river_graph(table), routing, temperature)


@remembered
def _river(reaches: dict[str, ArrayLike] | Graph, routing: str, temperature: str) -> Model:
    graph = reaches if isinstance(reaches, Graph) else river_graph(reaches)
    way: Routing = ROUTINGS[routing](graph)
    values_of, discharge, channel = way.closure, way.discharge, way.channel
    warm = river_heat.KINDS[temperature]

    def closure(cell: Place, forcing: Place) -> Values:
        return {**values_of(cell), **warm.closure(cell, forcing)}

    def source(cell: Place, forcing: Place) -> Values:
        gain = DAY * (forcing.inflow + forcing.lateral_inflow)
        lost = _leakage(cell) if channel else 0.0 * cell.storage
        return {
            "storage": gain - lost,
            "inflow": gain,
            "losses": lost,
            "discharge": DAY * cell.discharge,
            **warm.source(cell, forcing, lost),
        }

    def flux(left: Place, right: Place, face: Place) -> Values:
        water = DAY * discharge(left, right, face)
        return {"storage": water, **warm.carried(water, left, right)}

    def outlet(cell: Place, forcing: Place, face: Place) -> Values:
        water = DAY * cell.discharge
        return {"storage": -water, "outflow": water, **warm.outlet(water, cell)}

    shown = ("discharge", *(("depth", "velocity") if channel else ()), *warm.shown)

    def output(cell: Place) -> Values:
        shape = {"depth": cell.depth, "velocity": cell.discharge / cell.wetted_area} if channel else {}
        return {"discharge": cell.discharge, **shape, **warm.output(cell)}

    parameters = ((*CHANNEL, *way.parameters) if way.channel else way.parameters) + warm.parameters
    return Model(
        name="River",
        graph=graph,
        states=(State("storage", "m3", "water in the reach", default=0.0, low=0.0), *warm.states),
        # A column of the table with the name of a parameter stands for it.
        parameters=tuple(p for p in parameters if p.name not in graph.cell),
        forcings=(
            ForcingVariable("lateral_inflow", "m3 s-1", "inflow along the reach", low=0.0, on="cell", default=0.0),
            ForcingVariable("inflow", "m3 s-1", "inflow at the upper end", low=0.0, on="cell", default=0.0),
            *warm.forcings,
        ),
        fluxes=(
            IntegratedFlux("inflow", "m3", "water entering, at upper ends and along reaches", +1),
            IntegratedFlux("outflow", "m3", "water leaving at outlets", -1),
            IntegratedFlux("losses", "m3", "water lost to the ground", -1),
            IntegratedFlux("discharge", "m3", "water that has left each reach", on="cell"),
            *warm.fluxes,
        ),
        outputs=tuple(OUTPUTS[name] for name in shown),
        closure=closure,
        stages=way.stages,
        source=source,
        flux=flux,
        output=output,
        boundaries=(Boundary("outlet", graph.outlets, outlet),),
        initial=river_heat.initial if warm.states else None,
        initial_names=("temperature",) if warm.states else (),
        reference=f"{way.source}; Manning 1891" if way.channel else way.source,
    )


OUTPUTS = {
    "discharge": Output("discharge", "m3 s-1", "flow out of the reach"),
    "depth": Output("depth", "m", "depth of water"),
    "velocity": Output("velocity", "m s-1", "mean velocity"),
    "temperature": Output("temperature", "degC", "temperature of the water"),
}


def _leakage(cell: Place) -> torch.Tensor:
    """Water (m3/d) lost through the bed, as wide as the water."""
    wet = torch.clamp(cell.storage / (cell.length * cell.top_width), min=0.0)
    return cell.leakage * cell.length * cell.top_width * wet / (wet + WET)
