"""Temperature of a column of soil or rock."""

from __future__ import annotations

from ..model import Boundary, ForcingVariable, IntegratedFlux, Model, Output, Parameter, Place, State, Values, column
from ..model.remember import remembered
from ..processes import heat


@remembered
def HeatColumn(depth: float = 1.0, cells: int = 6, *, base: bool = False) -> Model:
    """Heat conduction under a given surface temperature (Fourier's law); metres, days, MJ.

    Args:
        base: hold the base at the forcing `base_temperature`; insulated otherwise.
    """

    def top(cell: Place, forcing: Place, face: Place) -> Values:
        into = heat.conduction_from(forcing.surface_temperature, cell, face)
        return {"heat": into, "ground_heat_flux": into}

    def below(cell: Place, forcing: Place, face: Place) -> Values:
        out = -heat.conduction_from(forcing.base_temperature, cell, face)
        return {"heat": -out, "heat_loss": out}

    graph = column(depth, cells)
    thickness = graph.cell["thickness"]
    boundaries = [Boundary("top", (0,), top, {"distance": thickness[0] / 2})]
    forcings = [ForcingVariable("surface_temperature", "degC", "temperature of the surface")]
    fluxes = [IntegratedFlux("ground_heat_flux", "MJ m-2", "heat into the soil", +1)]
    if base:
        boundaries.append(Boundary("base", (cells - 1,), below, {"distance": thickness[-1] / 2}))
        forcings.append(ForcingVariable("base_temperature", "degC", "temperature of the base"))
        fluxes.append(IntegratedFlux("heat_loss", "MJ m-2", "heat through the base", -1))
    return Model(
        name="HeatColumn",
        graph=graph,
        states=(State("heat", "MJ m-3", "heat content above 0 degC", default=0.0),),
        parameters=(
            Parameter("conductivity", "MJ m-1 d-1 K-1", "thermal conductivity", 0.1, 0.0, open_low=True),
            Parameter("capacity", "MJ m-3 K-1", "heat capacity", 2.0, 0.0, open_low=True),
        ),
        forcings=tuple(forcings),
        fluxes=tuple(fluxes),
        outputs=(Output("temperature", "degC", "soil temperature"),),
        closure=lambda cell: {"temperature": cell.heat / cell.capacity},
        flux=lambda left, right, face: {"heat": heat.conduction(left, right, face)},
        output=lambda cell: {"temperature": cell.temperature},
        boundaries=tuple(boundaries),
        reference="Fourier's law; Carslaw and Jaeger 1959",
    )
