"""GR4J: four parameters, a production and a routing store, and a unit hydrograph (Perrin et al. 2003), in state-space form."""

from __future__ import annotations

from functools import partial

from ..model import ForcingVariable, IntegratedFlux, Model, Parameter, Place, State, Values, single_cell
from ..model.by_name import values_of
from ..model.remember import remembered
from ..processes import gr4j_stores
from ..processes.reservoir import cascade

SOURCE = "Santos et al. 2018, Geosci. Model Dev. 11, of Perrin et al. 2003, J. Hydrol. 279"
# Usual ranges: those between which four fifths of the basins of Perrin et al. 2003 lie.
_parameter = partial(Parameter, source="Perrin et al. 2003, J. Hydrol. 279")
# Linear reservoirs that stand for both unit hydrographs: Santos et al. 2018, section 2.3.
RESERVOIRS = tuple(f"hydrograph_{i}" for i in range(1, 12))


@remembered
def GR4J() -> Model:
    """GR4J with its unit hydrographs as eleven reservoirs, in millimetres and days.

    The daily model updates one store after the other; here all of them change together: its parameters mean nearly the same,
    its numbers are others. Forcings are `precipitation` and `potential_evapotranspiration` (mm/d): there is no snow.
    `exchange` is what basins gain from, or lose to, groundwater of others.
    """
    return Model(
        name="GR4J",
        graph=single_cell(),
        states=(
            State("production_store", "mm", "water in the production store (S)", default=0.0, low=0.0),
            *(State(k, "mm", "water on its way through the unit hydrograph", default=0.0, low=0.0) for k in RESERVOIRS),
            State("routing_store", "mm", "water in the routing store (R)", default=0.0, low=0.0),
        ),
        parameters=(
            _parameter(
                "X1", "mm", "capacity of the production store", 350.0, 0.0, typical=(100.0, 1200.0), open_low=True
            ),
            _parameter("X2", "mm d-1", "exchange with groundwater beyond the basin", 0.0, typical=(-5.0, 3.0)),
            _parameter("X3", "mm", "capacity of the routing store", 90.0, 0.0, typical=(20.0, 300.0), open_low=True),
            _parameter("X4", "d", "time base of the unit hydrograph", 1.7, 0.0, typical=(1.1, 2.9), open_low=True),
        ),
        forcings=(
            ForcingVariable("precipitation", "mm d-1", "precipitation", low=0.0),
            ForcingVariable("potential_evapotranspiration", "mm d-1", "potential evapotranspiration", low=0.0),
        ),
        fluxes=(
            IntegratedFlux("precipitation", "mm", "precipitation", +1),
            IntegratedFlux("evapotranspiration", "mm", "actual evapotranspiration", -1),
            IntegratedFlux("runoff", "mm", "runoff at the outlet", -1),
            IntegratedFlux("exchange", "mm", "gain of both branches from groundwater beyond the basin", +1),
            IntegratedFlux("base_flow", "mm", "runoff of the routing store"),
        ),
        source=_source,
        reference=SOURCE,
    )


def _source(cell: Place, forcing: Place) -> Values:
    production, routing = cell.production_store, cell.routing_store
    net_rain, net_demand, at_once = gr4j_stores.net_weather(forcing.precipitation, forcing.potential_evapotranspiration)
    infiltration = gr4j_stores.infiltration(production, net_rain, cell.X1)
    evapotranspiration = gr4j_stores.evapotranspiration(production, net_demand, cell.X1)
    percolation = gr4j_stores.percolation(production, cell.X1)
    # One reservoir less than there are gives the cascade its peak at the time X4.
    residence = cell.X4 / (len(RESERVOIRS) - 1)
    effective = net_rain - infiltration + percolation
    rates, flow = cascade(effective, values_of(cell, RESERVOIRS), residence)
    gain = gr4j_stores.exchange(routing, cell.X2, cell.X3)
    routed = gr4j_stores.routed_flow(routing, cell.X3)
    past = (1.0 - gr4j_stores.ROUTED) * flow
    direct = gr4j_stores.direct_flow(past, gain)
    return {
        "production_store": infiltration - evapotranspiration - percolation,
        **dict(zip(RESERVOIRS, rates, strict=True)),
        "routing_store": gr4j_stores.ROUTED * flow + gain - routed,
        "precipitation": forcing.precipitation,
        "evapotranspiration": evapotranspiration + at_once,
        "runoff": routed + direct,
        # What the direct branch cannot lose it does not: the gain of that branch is what its runoff has more than its inflow.
        "exchange": gain + direct - past,
        "base_flow": routed,
    }
