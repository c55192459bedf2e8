"""One linear reservoir."""

from __future__ import annotations

from ..model import ForcingVariable, IntegratedFlux, Model, Parameter, Place, State, Values, single_cell
from ..model.remember import remembered
from ..processes import reservoir


@remembered
def LinearReservoir() -> Model:
    """One linear reservoir under rain: dS/dt = P - S / k."""

    def source(cell: Place, forcing: Place) -> Values:
        out = reservoir.linear(cell.storage, cell.k)
        return {"storage": forcing.rain - out, "rain": forcing.rain, "discharge": out}

    return Model(
        name="LinearReservoir",
        graph=single_cell(),
        states=(State("storage", "mm", "water in the reservoir", default=0.0),),
        parameters=(Parameter("k", "d", "residence time", 2.0, 0.0, open_low=True),),
        forcings=(ForcingVariable("rain", "mm d-1", "inflow", low=0.0),),
        fluxes=(IntegratedFlux("rain", "mm", "inflow", +1), IntegratedFlux("discharge", "mm", "outflow", -1)),
        source=source,
        reference="Maillet 1905; Nash 1957",
    )
