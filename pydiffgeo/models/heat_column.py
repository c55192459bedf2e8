"""Temperature of a column of soil or rock, through which water may flow and in which it may freeze."""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import ModelError
from ..model import (
    Boundary,
    Constraint,
    ForcingVariable,
    IntegratedFlux,
    Model,
    Output,
    Parameter,
    Place,
    State,
    Values,
    column,
)
from ..model.remember import remembered
from ..processes import heat
from ..processes.freezing import enthalpy, from_enthalpy, mixed, three_zones

SOIL = "Farouki 1981, CRREL Monograph 81-1"
PARAMETERS = (
    Parameter(
        "conductivity",
        "MJ m-1 d-1 K-1",
        "thermal conductivity",
        0.1,
        0.0,
        open_low=True,
        typical=(0.017, 0.26),
        source=SOIL,
    ),
    Parameter("capacity", "MJ m-3 K-1", "heat capacity", 2.0, 0.0, open_low=True, typical=(1.0, 4.0), source=SOIL),
)
FREEZING = (
    Parameter(
        "frozen_conductivity",
        "MJ m-1 d-1 K-1",
        "thermal conductivity of frozen soil",
        0.2,
        0.0,
        open_low=True,
        typical=(0.017, 0.35),
        source=SOIL,
    ),
    Parameter(
        "frozen_capacity",
        "MJ m-3 K-1",
        "heat capacity of frozen soil",
        1.8,
        0.0,
        open_low=True,
        typical=(0.7, 3.0),
        source=SOIL,
    ),
    Parameter(
        "latent_heat",
        "MJ m-3",
        "heat of fusion of the water that freezes, 334 MJ for each m3",
        100.0,
        0.0,
        typical=(0.0, 170.0),
        source=SOIL,
    ),
    Parameter(
        "T_frozen",
        "degC",
        "temperature below which no more water freezes",
        -0.5,
        high=0.0,
        open_high=True,
        typical=(-4.0, -0.05),
        source="Lunardini 1985, CRREL Monograph 85-1",
    ),
)
FLUX = ForcingVariable("water_flux", "m d-1", "water that flows down (Darcy's velocity)")


@remembered
def HeatColumn(
    depth: float = 1.0,
    cells: int = 6,
    *,
    base: bool = False,
    flow: Literal["none", "parameter", "forcing"] = "none",
    freezing: Literal["none", "linear", "three_zones"] = "none",
    thickness: ArrayLike | None = None,
) -> Model:
    """Heat in a column under a given surface temperature; metres, days, MJ.

    The state is heat per volume, zero at 0 degC; `temperature` may be given as the initial condition instead.

    Args:
        base: hold the base at the forcing `base_temperature`; otherwise nothing is conducted through it.
        flow: whether water carries heat, down where its flux is positive: `water_flux` (m/d), a parameter or a forcing.
            Water comes in as warm as the surface, or as the base; the steady profile between two cells is exact
            (Bredehoeft and Papadopulos 1965, Water Resour. Res. 1).
        freezing: "linear": water freezes evenly between 0 degC and `T_frozen`, and conductivity follows it.
            "three_zones": the conductivity between is the mean of thawed and frozen, as in Lunardini's solution.
        thickness: of the cells, as in `dg.column`.

    Raises:
        ModelError: an unknown choice.

    Sources: Fourier's law; Carslaw and Jaeger 1959; Stallman 1965, J. Geophys. Res. 70; Lunardini 1985.
    """
    for what, value, known in (
        ("flow", flow, ("none", "parameter", "forcing")),
        ("freezing", freezing, ("none", "linear", "three_zones")),
    ):
        if value not in known:
            raise ModelError(f"HeatColumn: {what}={value!r} is not one of {[*known]}")
    flows, given, freezes, zones = flow != "none", flow == "forcing", freezing != "none", freezing == "three_zones"

    def closure(cell: Place) -> Values:
        if not freezes:
            return {"temperature": cell.heat / cell.capacity, "conducting": cell.conductivity}
        thawed = from_enthalpy(cell.heat, cell.capacity, cell.frozen_capacity, cell.latent_heat, cell.T_frozen)
        mean = three_zones if zones else mixed
        return {
            "temperature": thawed.temperature,
            "liquid": thawed.liquid,
            "conducting": mean(thawed.liquid, cell.conductivity, cell.frozen_conductivity),
        }

    def moved(behind: Tensor, ahead: Tensor, conductivity: Tensor, water: Tensor | None, distance: Tensor) -> Tensor:
        if water is None:
            return conductivity * (behind - ahead) / distance
        return heat.fitted(behind, ahead, conductivity, water, distance)

    def flux(left: Place, right: Place, face: Place, forcing: Place) -> Values:
        conductivity = 2 / (1 / left.conducting + 1 / right.conducting)
        water = (forcing.water_flux if given else left.water_flux) if flows else None
        return {"heat": moved(left.temperature, right.temperature, conductivity, water, face.distance)}

    def top(cell: Place, forcing: Place, face: Place) -> Values:
        water = (forcing.water_flux if given else cell.water_flux) if flows else None
        into = moved(forcing.surface_temperature, cell.temperature, cell.conducting, water, face.distance)
        return {"heat": into, "ground_heat_flux": into}

    def below(cell: Place, forcing: Place, face: Place) -> Values:
        water = (forcing.water_flux if given else cell.water_flux) if flows else None
        if base or water is None:
            out = moved(cell.temperature, forcing.base_temperature, cell.conducting, water, face.distance)
        else:
            # What flows up through the base is as warm as the last cell: no gradient there.
            out = heat.carried(water, cell.temperature, cell.temperature)
        return {"heat": -out, "heat_loss": out}

    def initial(values: Values, cell: Place) -> Values:
        states = {k: v for k, v in values.items() if k != "temperature"}
        if "temperature" in values:
            T = values["temperature"]
            constants = (cell.capacity, cell.frozen_capacity, cell.latent_heat, cell.T_frozen) if freezes else ()
            states["heat"] = enthalpy(T, *constants) if freezes else T * cell.capacity
        return states

    graph = column(depth, cells, thickness)
    sizes = graph.cell["thickness"]
    boundaries = [Boundary("top", (0,), top, {"distance": sizes[0] / 2})]
    forcings = [ForcingVariable("surface_temperature", "degC", "temperature of the surface")]
    fluxes = [IntegratedFlux("ground_heat_flux", "MJ m-2", "heat into the soil", +1)]
    if base or flows:
        boundaries.append(Boundary("base", (cells - 1,), below, {"distance": sizes[-1] / 2}))
        fluxes.append(IntegratedFlux("heat_loss", "MJ m-2", "heat through the base", -1))
    if base:
        forcings.append(ForcingVariable("base_temperature", "degC", "temperature of the base"))
    outputs = [Output("temperature", "degC", "soil temperature")]
    if freezes:
        outputs.append(Output("liquid", "1", "share of the water that freezes which is liquid"))

    def output(cell: Place) -> Values:
        return {"temperature": cell.temperature, **({"liquid": cell.liquid} if freezes else {})}

    water_flux = Parameter("water_flux", "m d-1", FLUX.description, 0.0, typical=(-1.0, 1.0))
    return Model(
        name="HeatColumn",
        graph=graph,
        states=(State("heat", "MJ m-3", "heat content above 0 degC", default=0.0),),
        parameters=(*PARAMETERS, *(FREEZING if freezes else ()), *((water_flux,) if flow == "parameter" else ())),
        forcings=(*forcings, *((FLUX,) if given else ())),
        fluxes=tuple(fluxes),
        outputs=tuple(outputs),
        closure=closure,
        flux=flux,
        output=output,
        boundaries=tuple(boundaries),
        constraints=(STEADY,) if flow == "parameter" else (),
        initial=initial,
        initial_names=("temperature",),
        reference="Fourier's law; Carslaw and Jaeger 1959",
    )


# Water that flows faster in one cell than in the next would come from nowhere.
STEADY = Constraint(
    "water_flux is that of all cells", ("water_flux",), lambda p: (p.water_flux - p.water_flux[..., :1]).abs() < 1e-12
)
