"""Soil under leaves: how wide stomata open for photosynthesis says how much water roots are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from numpy.typing import ArrayLike

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
from ..processes import leaf
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


def _canopy() -> Model:
    def closure(cell: Place, forcing: Place) -> Values:
        able = leaf.capacity(forcing.air_temperature, forcing.light, cell.V_cmax25, cell.J_by_V * cell.V_cmax25)
        found = leaf.exchange(able, forcing.CO2, forcing.vapour_deficit, cell.g_0, cell.g_1)
        transpired = found.conductance * forcing.vapour_deficit / PRESSURE
        return {
            "C_i": found.C_i,
            "assimilation": found.assimilation,
            "conductance": found.conductance,
            "demand": WATER * DAY * cell.leaf_area * transpired,
        }

    def source(cell: Place, forcing: Place) -> Values:
        # A mole for every million of umol.
        return {"assimilated": DAY * 1e-6 * cell.leaf_area * cell.assimilation, "demand": cell.demand}

    return Model(
        name="Canopy",
        graph=single_cell(),
        states=(
            State("transpired", "m", "water given to the air since the start", default=0.0, low=0.0),
            State("assimilated", "mol m-2", "carbon assimilated since the start", default=0.0, stored=False),
        ),
        parameters=LEAF,
        forcings=(
            ForcingVariable("air_temperature", "degC", "temperature of air and leaves", low=-60.0, high=60.0),
            ForcingVariable("vapour_deficit", "kPa", "what the air lacks to be saturated", low=0.0),
            ForcingVariable("light", "umol m-2 s-1", "photosynthetic light on the leaves", low=0.0),
            ForcingVariable("CO2", "umol mol-1", "of the air", low=1.0, default=400.0),
        ),
        fluxes=(IntegratedFlux("demand", "m", "what leaves would transpire from wet soil"),),
        outputs=(
            Output("C_i", "umol mol-1", "CO2 inside the leaves"),
            Output("assimilation", "umol m-2 s-1", "net assimilation of a leaf"),
            Output("conductance", "mol m-2 s-1", "stomatal conductance to water vapour"),
        ),
        closure=closure,
        source=source,
        output=lambda cell: {"C_i": cell.C_i, "assimilation": cell.assimilation, "conductance": cell.conductance},
        reference=f"Farquhar et al. 1980, Planta 149; {MEDLYN}",
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
) -> CoupledModel:
    """`RichardsColumn` under a canopy of C3 leaves, as one system of the regions `soil` and `canopy`.

    Photosynthesis and stomatal conductance are found together (`processes.leaf.exchange`), from the weather alone; what
    the leaves would transpire is asked of the roots, which are spread over `root_depth` and limited by the S-shaped
    stress of van Genuchten 1987. Leaves are as warm as the air, all in the same light, and do not feel the stress: where
    soil is dry, `demand` is more than what is transpired, and assimilation is that of unstressed leaves.

    Args:
        depth, cells, top, bottom, closure, thickness, root_depth: as for `RichardsColumn`.

    Raises:
        ModelError: as `RichardsColumn`.

    Sources: Farquhar et al. 1980, Planta 149; Medlyn et al. 2011, Glob. Change Biol. 17; van Genuchten 1987.
    """
    graph = with_roots(column(depth, cells, thickness), root_depth)
    soil = RichardsColumn(depth, cells, top=top, bottom=bottom, closure=closure, thickness=thickness)
    share = S_SHAPE.share

    def uptake(left: Place, right: Place, face: Place) -> Values:
        return {"theta->transpired": right.demand * face.roots * share(left)}

    link = Link(
        "uptake",
        "soil",
        "canopy",
        [(k, 0) for k in range(soil.graph.cells)],
        uptake,
        geometry={"roots": graph.cell["root_density"] * graph.cell["thickness"]},
    )
    rooted = replace(soil, parameters=(*soil.parameters, *S_SHAPE.parameters))
    return couple("VegetatedColumn", {"soil": rooted, "canopy": _canopy()}, (link,))
