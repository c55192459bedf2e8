"""A solute that steady flow carries down a column."""

from __future__ import annotations

from ..errors import ModelError
from ..model import Boundary, ForcingVariable, IntegratedFlux, Model, Parameter, Place, State, Values, column
from ..model.remember import remembered
from ..processes import solute


@remembered
def SoluteColumn(depth: float, cells: int, scheme: str = "upwind") -> Model:
    """Solute carried by steady flow downwards; `scheme` "central" or "upwind" for the advective flux.

    Raises:
        ModelError: another scheme.
    """

    if scheme not in ("central", "upwind"):
        raise ModelError(f"SoluteColumn: scheme={scheme!r} is not one of ['central', 'upwind']")

    def top(cell: Place, forcing: Place, face: Place) -> Values:
        into = solute.inflow(forcing.inlet, cell, face)
        return {"c": into, "inflow": into}

    def base(cell: Place, forcing: Place, face: Place) -> Values:
        return {"c": -cell.velocity * cell.c, "outflow": cell.velocity * cell.c}

    graph = column(depth, cells)
    return Model(
        name="SoluteColumn",
        graph=graph,
        states=(State("c", "1", "concentration", default=0.0),),
        parameters=(
            Parameter("velocity", "m d-1", "pore-water velocity", 0.1, 0.0),
            Parameter("dispersion", "m2 d-1", "dispersion coefficient", 0.01, 0.0, open_low=True),
        ),
        forcings=(ForcingVariable("inlet", "1", "concentration at the surface"),),
        fluxes=(
            IntegratedFlux("inflow", "m", "solute entering", +1),
            IntegratedFlux("outflow", "m", "solute leaving", -1),
        ),
        flux=lambda left, right, face: {"c": solute.advection_dispersion(left, right, face, upwind=scheme == "upwind")},
        boundaries=(
            Boundary("top", (0,), top, {"distance": graph.cell["thickness"][0] / 2}),
            Boundary("base", (cells - 1,), base),
        ),
        reference="Ogata and Banks 1961, US Geological Survey Professional Paper 411-A",
    )
