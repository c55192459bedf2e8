"""Water and heat in a column of soil: what flows carries its heat along, and may freeze."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..model import Boundary, ForcingVariable, IntegratedFlux, Model, Output, Parameter, Place, State, Values
from ..model.remember import remembered
from ..processes import heat
from ..processes.freezing import enthalpy, from_enthalpy, mixed
from ..processes.heat import WATER_CAPACITY, WATT
from ..processes.smoothing import smooth_ramp
from ..processes.soil.retention import CLOSURES, CORNER, Closure
from .richards import RichardsColumn

# Local functions of water, whose values are tensors.
Flow: TypeAlias = Callable[..., Values]

LATENT = 334.0  # MJ to freeze a cubic metre of water
ICE_CAPACITY = 2.05  # MJ/m3/K of a cubic metre of water that is frozen
# By what power of ten ice holds up water, for pores full of it (Lundin 1990, J. Hydrol. 118; Hansson et al. 2004).
IMPEDANCE = 7.0

# Head (m) under which soil that is full of ice would heave, which it does not here: one degree below zero draws water
# as 125 m of suction do (Clapeyron).
HEAVE = 125.0

QUARTZ = Parameter(
    "quartz", "1", "share of quartz in the grains", 0.4, 0.0, 1.0, typical=(0.1, 0.9), source="Farouki 1981"
)
FREEZING = (
    Parameter(
        "T_frozen",
        "degC",
        "temperature below which no more water freezes",
        -1.0,
        high=0.0,
        open_high=True,
        typical=(-4.0, -0.1),
        source="Lunardini 1985",
    ),
    Parameter("unfrozen", "1", "water content that stays liquid in frozen soil", 0.1, 0.0, 1.0, typical=(0.02, 0.3)),
)


@remembered
def WaterHeatColumn(
    depth: float = 1.0,
    cells: int = 40,
    *,
    top: Literal["flux", "head", "atmosphere"] = "flux",
    bottom: Literal["free_drainage", "head", "flux", "no_flow", "seepage_face"] = "free_drainage",
    closure: str | Closure = "van_genuchten",
    face_conductivity: Literal["arithmetic", "geometric", "upstream", "harmonic", "cell_arithmetic"] = "arithmetic",
    thickness: ArrayLike | None = None,
    root_depth: float | None = None,
    base_temperature: bool = False,
    freezing: bool = False,
) -> Model:
    """`RichardsColumn` with a second state, heat (MJ/m3, zero at 0 degC); `temperature` may be given at the start.

    Heat is conducted (Johansen 1975), and carried by the very flux that moves the water, so that no heat is made: water
    and soil of one temperature stay at it. Rain is as warm as the surface; what leaves is as warm as the soil, and what
    comes in from below as the last cell. Latent heat of evaporation is not taken from the soil: the temperature of the
    surface is given, and has felt it.

    Args:
        base_temperature: hold the base at the forcing `base_temperature`; otherwise nothing is conducted through it.
        freezing: water freezes evenly between 0 degC and `T_frozen`, down to what stays `unfrozen`. Suction is that of
            the liquid water, which is drawn to where it freezes, and ice holds it up (Hansson et al. 2004, Vadose Zone J.
            3, for the idea). The volume of ice is taken for that of its water, and soil does not heave: pores full of ice press
            back, and a solve in which they do so by more than `HEAVE` is out of range.
        top, bottom, closure, face_conductivity, thickness, root_depth: as for `RichardsColumn`.

    Raises:
        ModelError: as `RichardsColumn`.

    Sources: Richards 1931; de Vries 1963; Johansen 1975 as in Farouki 1981, CRREL Monograph 81-1.
    """
    water = RichardsColumn(
        depth,
        cells,
        top=top,
        bottom=bottom,
        closure=closure,
        face_conductivity=face_conductivity,
        thickness=thickness,
        root_depth=root_depth,
        max_head=HEAVE if freezing else None,
    )
    hydraulics = (closure if isinstance(closure, Closure) else CLOSURES[closure]).head_and_conductivity
    darcy, drawn, begin = cast(Flow, water.flux), cast(Flow, water.source), water.initial
    assert begin is not None

    def constants(theta: Tensor, cell: Place) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        thawed = heat.soil_capacity(theta, cell.theta_s)
        freezes = torch.clamp(theta - cell.unfrozen, min=0.0)
        return thawed, thawed - (WATER_CAPACITY - ICE_CAPACITY) * freezes, LATENT * freezes, cell.T_frozen

    def values_of(cell: Place) -> Values:
        if not freezing:
            head, K = hydraulics(cell.theta, cell)
            found = {"temperature": cell.heat / heat.soil_capacity(cell.theta, cell.theta_s)}
        else:
            thawed = from_enthalpy(cell.heat, *constants(cell.theta, cell))
            ice = (1.0 - thawed.liquid) * torch.clamp(cell.theta - cell.unfrozen, min=0.0)
            head, K = hydraulics(cell.theta - ice, cell)
            # Pores that are full of water and ice press as those that are full of water.
            head = head + smooth_ramp(cell.theta - cell.theta_s, CORNER) / cell.S_s
            K = K * 10.0 ** (-IMPEDANCE * ice / cell.theta_s)
            found = {"temperature": thawed.temperature, "ice": ice}
        liquid = 1.0 - found["ice"] / cell.theta if freezing else None
        conducting = WATT * _conductivity(cell.theta / cell.theta_s, liquid, cell)
        return {"head": head, "K": K, "conductivity": conducting, **found}

    def flux(left: Place, right: Place, face: Place) -> Values:
        moved = darcy(left, right, face)
        conductivity = 2.0 / (1.0 / left.conductivity + 1.0 / right.conductivity)
        warmth = heat.fitted(left.temperature, right.temperature, conductivity, moved["theta"], face.distance)
        return {**moved, "heat": warmth}

    def source(cell: Place, forcing: Place) -> Values:
        taken = drawn(cell, forcing)
        lost = -WATER_CAPACITY * taken["theta"] * cell.temperature
        return {**taken, "heat": -lost, "heat_transpired": lost}

    def above(function: Flow, cell: Place, forcing: Place, face: Place) -> Values:
        values = function(cell, forcing, face)
        outside = forcing.surface_temperature
        into = heat.fitted(outside, cell.temperature, cell.conductivity, values["theta"], face.distance)
        return {**values, "heat": into, "ground_heat_flux": into}

    def below(function: Flow, cell: Place, forcing: Place, face: Place) -> Values:
        values = function(cell, forcing, face)
        out = -WATER_CAPACITY * values["theta"] * cell.temperature
        return {**values, "heat": -out, "heat_drained": out}

    def base(cell: Place, forcing: Place, face: Place) -> Values:
        into = heat.conduction_from(forcing.base_temperature, cell, face)
        return {"heat": into, "base_heat_flux": into}

    def initial(given: Values, cell: Place) -> Values:
        states = {**begin({k: v for k, v in given.items() if k != "temperature"}, cell)}
        if "temperature" in given:
            T, theta = given["temperature"], states["theta"]
            whole = enthalpy(T, *constants(theta, cell)) if freezing else T * heat.soil_capacity(theta, cell.theta_s)
            states["heat"] = whole
        return states

    sides = [
        replace(b, function=partial(above if b.name == "top" else below, cast(Flow, b.function)))
        for b in water.boundaries
    ]
    fluxes = [IntegratedFlux("ground_heat_flux", "MJ m-2", "heat into the soil, conducted and with water", +1)]
    if any(b.name == "bottom" for b in water.boundaries):
        fluxes.append(IntegratedFlux("heat_drained", "MJ m-2", "heat leaving with water through the base", -1))
    forcings = [ForcingVariable("surface_temperature", "degC", "temperature of the surface, and of rain")]
    if base_temperature:
        half = {"distance": water.graph.cell["thickness"][-1] / 2}
        sides.append(Boundary("base", (water.graph.cells - 1,), base, half))
        forcings.append(ForcingVariable("base_temperature", "degC", "temperature of the base"))
        fluxes.append(IntegratedFlux("base_heat_flux", "MJ m-2", "heat conducted in through the base", +1))
    if water.source is not None:
        fluxes.append(IntegratedFlux("heat_transpired", "MJ m-2", "heat leaving with water that roots take up", -1))
    outputs = [Output("temperature", "degC", "soil temperature")]
    if freezing:
        outputs.append(Output("ice", "1", "water that is frozen, as a share of the volume"))

    def output(cell: Place) -> Values:
        frozen = {"ice": cell.ice} if freezing else {}
        return {"head": cell.head, "hydraulic_conductivity": cell.K, "temperature": cell.temperature, **frozen}

    return replace(
        water,
        name="WaterHeatColumn",
        states=(*water.states, State("heat", "MJ m-3", "heat content above 0 degC", default=0.0)),
        parameters=(*water.parameters, QUARTZ, *(FREEZING if freezing else ())),
        forcings=(*water.forcings, *forcings),
        fluxes=(*water.fluxes, *fluxes),
        outputs=(*water.outputs, *outputs),
        closure=values_of,
        flux=flux,
        source=source if water.source is not None else None,
        output=output,
        boundaries=tuple(sides),
        initial=initial,
        initial_names=("head", "temperature"),
        reference=f"{water.reference}; Johansen 1975",
    )


def _conductivity(saturation: Tensor, liquid: Tensor | None, cell: Place) -> Tensor:
    """Of thawed and frozen soil (W/m/K), by the share of water that is liquid."""
    thawed = heat.johansen(saturation, cell.theta_s, cell.quartz)
    if liquid is None:
        return thawed
    dry = heat.dry_conductivity(cell.theta_s)
    # Kersten's number of frozen soil is its saturation.
    frozen = dry + (heat.saturated_conductivity(cell.theta_s, cell.quartz, liquid) - dry) * saturation
    return mixed(liquid, thawed, frozen)
