"""Soil under leaves: how wide stomata open for photosynthesis says how much water roots are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from numpy.typing import ArrayLike

from ..errors import ModelError
from ..model import (
    CoupledModel,
    ForcingVariable,
    IntegratedFlux,
    Link,
    Model,
    Output,
    Parameter,
    Place,
    State,
    Values,
    column,
    couple,
    single_cell,
)
from ..model.remember import remembered
from ..processes import leaf, plant_water
from ..processes.soil.retention import Closure
from ..processes.soil.roots import S_SHAPE, with_roots
from .richards import RichardsColumn

DAY = 86400.0
PRESSURE = 101.3  # kPa
WATER = 1.8e-5  # m3/mol
MEDLYN = "Medlyn et al. 2011, Glob. Change Biol. 17"
LEAF = (
    Parameter(
        "V_cmax25",
        "umol m-2 s-1",
        "carboxylation capacity at 25 degC",
        60.0,
        0.0,
        open_low=True,
        typical=(20.0, 150.0),
        source="Farquhar et al. 1980",
    ),
    Parameter(
        "J_by_V",
        "1",
        "electron transport capacity by that of carboxylation",
        1.67,
        0.0,
        open_low=True,
        typical=(1.6, 2.1),
        source="Farquhar et al. 1980",
    ),
    Parameter(
        "g_0",
        "mol m-2 s-1",
        "conductance of closed stomata",
        0.01,
        0.0,
        open_low=True,
        typical=(1e-3, 0.05),
        source=MEDLYN,
    ),
    Parameter(
        "g_1",
        "kPa0.5",
        "how far stomata open for what is assimilated",
        4.0,
        0.0,
        open_low=True,
        typical=(1.0, 7.0),
        source=MEDLYN,
    ),
    Parameter("leaf_area", "1", "leaf area by ground area", 3.0, 0.0, typical=(0.0, 8.0)),
)


TUZET = "Tuzet et al. 2003, Plant Cell Environ. 26"
# 1.9 and 3.2 per MPa, of which a metre of water is 0.0098.
PLANT = (
    Parameter(
        "psi_f",
        "m",
        "potential of half closed leaves",
        -194.0,
        high=0.0,
        open_high=True,
        typical=(-400.0, -80.0),
        source=TUZET,
    ),
    Parameter(
        "s_f", "m-1", "steepness of their closing", 0.0314, 0.0, open_low=True, typical=(0.01, 0.1), source=TUZET
    ),
    Parameter(
        "leaf_supply",
        "d-1",
        "hydraulic conductance from roots to leaves, by leaf area",
        3e-5,
        0.0,
        open_low=True,
        log=True,
        typical=(5e-6, 2e-4),
        source="2 mmol m-2 s-1 MPa-1: Duursma 2015, PLoS ONE 10",
    ),
)


def _supply(cell: Place) -> torch.Tensor:
    """Conductance (1/d) of all roots and stems on a square metre."""
    return torch.clamp(cell.leaf_area, min=1e-3) * cell.leaf_supply


def _canopy(wilts: bool) -> Model:
    def closure(cell: Place, forcing: Place) -> Values:
        able = leaf.capacity(forcing.air_temperature, forcing.light, cell.V_cmax25, cell.J_by_V * cell.V_cmax25)
        held = {"leaf_potential": plant_water.potential(cell.plant_water, _supply(cell))} if wilts else {}
        turgor = plant_water.turgor(held["leaf_potential"], cell.psi_f, cell.s_f) if wilts else 1.0
        found = leaf.exchange(able, forcing.CO2, forcing.vapour_deficit, cell.g_0, cell.g_1, turgor)
        transpired = found.conductance * forcing.vapour_deficit / PRESSURE
        return {
            "C_i": found.C_i,
            "assimilation": found.assimilation,
            "conductance": found.conductance,
            "demand": WATER * DAY * cell.leaf_area * transpired,
            **held,
        }

    def source(cell: Place, forcing: Place) -> Values:
        # A mole for every million of umol.
        gained = {"assimilated": DAY * 1e-6 * cell.leaf_area * cell.assimilation, "demand": cell.demand}
        return gained | ({"plant_water": -cell.demand, "transpired": cell.demand} if wilts else {})

    shown = ("C_i", "assimilation", "conductance", *(("leaf_potential",) if wilts else ()))
    outputs = {
        "C_i": Output("C_i", "umol mol-1", "CO2 inside the leaves"),
        "assimilation": Output("assimilation", "umol m-2 s-1", "net assimilation of a leaf"),
        "conductance": Output("conductance", "mol m-2 s-1", "stomatal conductance to water vapour"),
        "leaf_potential": Output("leaf_potential", "m", "water potential of the leaves"),
    }

    def output(cell: Place) -> Values:
        values = {"C_i": cell.C_i, "assimilation": cell.assimilation, "conductance": cell.conductance}
        return values | ({"leaf_potential": cell.leaf_potential} if wilts else {})

    held = (
        (State("plant_water", "m", "water in plants, less that at a potential of zero", default=0.0),) if wilts else ()
    )
    return Model(
        name="Canopy",
        graph=single_cell(),
        states=(
            State("transpired", "m", "water given to the air since the start", default=0.0, low=0.0),
            State("assimilated", "mol m-2", "carbon assimilated since the start", default=0.0, stored=False),
            *held,
        ),
        parameters=(*LEAF, *(PLANT if wilts else ())),
        forcings=(
            ForcingVariable("air_temperature", "degC", "temperature of air and leaves", low=-60.0, high=60.0),
            ForcingVariable("vapour_deficit", "kPa", "what the air lacks to be saturated", low=0.0),
            ForcingVariable("light", "umol m-2 s-1", "photosynthetic light on the leaves", low=0.0),
            ForcingVariable("CO2", "umol mol-1", "of the air", low=1.0, default=400.0),
        ),
        fluxes=(
            IntegratedFlux(
                "demand", "m", "what leaves transpire" if wilts else "what leaves would transpire from wet soil"
            ),
        ),
        outputs=tuple(outputs[name] for name in shown),
        closure=closure,
        source=source,
        output=output,
        reference=f"Farquhar et al. 1980, Planta 149; {MEDLYN}" + (f"; {TUZET}" if wilts else ""),
    )


@remembered
def VegetatedColumn(
    depth: float = 1.0,
    cells: int = 40,
    *,
    root_depth: float = 0.3,
    top: Literal["flux", "head", "atmosphere"] = "atmosphere",
    bottom: Literal["free_drainage", "head", "flux", "no_flow", "seepage_face"] = "free_drainage",
    closure: str | Closure = "van_genuchten",
    thickness: ArrayLike | None = None,
    stress: Literal["uptake", "leaves"] = "uptake",
) -> CoupledModel:
    """`RichardsColumn` under a canopy of C3 leaves, as one system of the regions `soil` and `canopy`.

    Photosynthesis and stomatal conductance are found together (`processes.leaf.exchange`); leaves are as warm as the air, all
    in the same light. Roots are spread over `root_depth`.

    Args:
        depth, cells, top, bottom, closure, thickness, root_depth: as for `RichardsColumn`.
        stress: what dry soil does. "uptake": leaves follow the weather alone, and roots give less than they ask for by the
            S-shaped stress of van Genuchten 1987: `demand` is then more than what is transpired, and assimilation is that of
            unstressed leaves. "leaves": leaves draw water up by their own potential, through the conductance of the plant,
            and close as it falls (Tuzet et al. 2003), so that assimilation falls with it; plants hold the water of a quarter
            of an hour, `plant_water`.

    Raises:
        ModelError: an unknown stress; as `RichardsColumn`.

    Sources: Farquhar et al. 1980, Planta 149; Medlyn et al. 2011, Glob. Change Biol. 17; van Genuchten 1987; Tuzet et al. 2003,
    Plant Cell Environ. 26.
    """
    if stress not in ("uptake", "leaves"):
        raise ModelError(f"VegetatedColumn: stress={stress!r} is not one of ['uptake', 'leaves']")
    wilts = stress == "leaves"
    graph = with_roots(column(depth, cells, thickness), root_depth)
    soil = RichardsColumn(depth, cells, top=top, bottom=bottom, closure=closure, thickness=thickness)
    share = S_SHAPE.share

    def uptake(left: Place, right: Place, face: Place) -> Values:
        return {"theta->transpired": right.demand * face.roots * share(left)}

    def drawn(left: Place, right: Place, face: Place) -> Values:
        return {"theta->plant_water": face.roots * plant_water.uptake(left.head, right.leaf_potential, _supply(right))}

    link = Link(
        "uptake",
        "soil",
        "canopy",
        [(k, 0) for k in range(soil.graph.cells)],
        drawn if wilts else uptake,
        geometry={"roots": graph.cell["root_density"] * graph.cell["thickness"]},
    )
    rooted = soil if wilts else replace(soil, parameters=(*soil.parameters, *S_SHAPE.parameters))
    return couple("VegetatedColumn", {"soil": rooted, "canopy": _canopy(wilts)}, (link,))
