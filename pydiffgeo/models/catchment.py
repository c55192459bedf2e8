"""A catchment: soil under snow over groundwater that feeds a river, reach by reach, as one system."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Mask
from ..checks import is_number, is_whole, shown
from ..errors import ModelError
from ..model import CoupledModel, Graph, Link, Model, Parameter, couple
from ..model.reaches import Table
from ..model.remember import remembered
from ..processes import hillslope
from ..processes.groundwater.conditions import Well
from ..processes.soil.retention import Closure
from .aquifer import Aquifer
from .hillslope_soil import hillslope_soil
from .reach_table import columns_of
from .river import River
from .warm_aquifer import warm_aquifer

BED = Parameter(
    "bed_leakance",
    "d-1",
    "hydraulic conductivity of the river bed by its thickness",
    1.0,
    0.0,
    open_low=True,
    log=True,
    typical=(1e-2, 1e2),
    source="Harbaugh 2005, USGS Techniques and Methods 6-A16, chapter 6",
)


def Catchment(
    reaches: Table,
    *,
    hillslope_cells: int = 2,
    soil_depth: float = 2.0,
    soil_cells: int = 10,
    root_depth: float = 0.3,
    closure: str | Closure = "van_genuchten",
    aquifer_thickness: ArrayLike = 10.0,
    relief: ArrayLike = 10.0,
    incision: ArrayLike = 1.0,
    routing: Literal["kinematic", "diffusive", "muskingum_cunge"] = "kinematic",
    temperature: Literal["none", "equilibrium", "weather"] = "none",
) -> CoupledModel:
    """Regions `soil`, `aquifer` and `river`; every reach drains two equal hillslopes, from its banks to the divide.

    The plan of a hillslope is a rectangle, its area shared among `hillslope_cells` cells of groundwater, numbered from the
    divide of the first reach to its bank and on to the next reach, each under a soil column of its own: snow (degree days, HBV),
    Richards' equation with roots, and water on the surface, which runs off to the reach. At the base the column exchanges
    water with the water table by Darcy's law, down or up; where the table rises into the soil, that is where water is stored,
    and groundwater is confined below (a convertible `Aquifer`). Groundwater flows from the divide to the reach, and through
    its bed as in MODFLOW; none crosses a divide, or runs along the valley.

    Forcings are `precipitation` (m/d) and `temperature` (degC), for all or for each column, `potential_evaporation` and
    `potential_transpiration` (m/d). From outside come `lateral_inflow` and `inflow` (m3/s) of the reaches, and `well_rate` (m3/d,
    negative where water is withdrawn) of the cells of groundwater; none where they are not given. `initial` takes `soil_head` (m) and `aquifer_head` (m above the bank of the reach). Parameters are those of `RichardsColumn`, of
    the snow, `K`, `S_y` and `aquifer_S_s` of the aquifer, and of `River` with `bed_leakance`; fields of soil are for all
    cells `(columns * soil_cells,)`, column by column. All amounts are in m3, and balance `"all (m3)"` closes them.

    Args:
        reaches: columns `id`, `downstream`, `length` (m), `slope` (1) as for `River`, and `area` (m2) that drains to each
            reach directly.
        hillslope_cells: from divide to bank.
        soil_depth, soil_cells, root_depth, closure: of each column, as for `RichardsColumn`.
        aquifer_thickness: of the aquifer below the soil (m); a number, or one for each reach, as the two below.
        relief: how much higher the ground is at the divide than at the bank (m); it rises evenly.
        incision: depth of the river bed below the bank (m).
        routing: as for `River`.
        temperature: of the river, as for `River`. Unless it is "none", soil and groundwater hold heat too, as in
            `WaterHeatColumn`, without freezing; their surface is as warm as the air where it is bare, and at 0 degC under
            snow. What seeps and runs off carries its heat to the river; balance `"all (MJ)"` closes it. `initial` takes
            `soil_temperature`, `aquifer_temperature` and `river_temperature` (degC). Evaporation takes no heat.

    Raises:
        ModelError: a column that is not there, an area that is not positive, a bed below the aquifer; as the three models.

    Sources: those of the three models; exchange at the base of the soil and at the river bed: `processes.hillslope`.
    """
    columns = columns_of(reaches)
    if not isinstance(columns, dict):
        raise ModelError(f"Catchment: reaches must be a table of columns, got {shown(reaches)}")
    made = _catchment(
        columns,
        hillslope_cells,
        soil_depth,
        soil_cells,
        root_depth,
        closure,
        aquifer_thickness,
        relief,
        incision,
        routing,
        temperature,
    )
    assert isinstance(made, CoupledModel)
    return made


@remembered
def _catchment(
    table: dict[str, ArrayLike],
    hillslope_cells: int,
    soil_depth: float,
    soil_cells: int,
    root_depth: float,
    closure: str | Closure,
    aquifer_thickness: ArrayLike,
    relief: ArrayLike,
    incision: ArrayLike,
    routing: Literal["kinematic", "diffusive", "muskingum_cunge"],
    temperature: Literal["none", "equilibrium", "weather"],
) -> CoupledModel:
    if not is_whole(hillslope_cells, 1):
        raise ModelError(f"Catchment: hillslope_cells must be at least 1, got {shown(hillslope_cells)}")
    if not (is_number(soil_depth) and soil_depth > 0):
        raise ModelError(f"Catchment: soil_depth must be positive, got {shown(soil_depth)}")
    if "area" not in table:
        raise ModelError(f"Catchment: the table of reaches has no column 'area'; it has {[*table]}")
    river = River(
        {name: values for name, values in table.items() if name != "area"}, routing=routing, temperature=temperature
    )
    river = replace(river, parameters=(*river.parameters, BED))
    slopes = _slopes(river.graph, table["area"], hillslope_cells, aquifer_thickness, relief, incision, soil_depth)
    warm = temperature != "none"
    aquifer = warm_aquifer(_aquifer(slopes)) if warm else _aquifer(slopes)
    soil = hillslope_soil(slopes.area, soil_depth, soil_cells, root_depth, closure, warm)
    count = len(slopes.area)
    column = np.arange(count)
    banks = np.arange(hillslope_cells - 1, count, hillslope_cells)
    links: tuple[Link, ...] = (
        Link(
            "recharge",
            "soil",
            "aquifer",
            [(int(c) * soil_cells + soil_cells - 1, int(c)) for c in column],
            hillslope.recharge,
            area=slopes.area,
            geometry={"base": slopes.top},
        ),
        Link(
            "surface_runoff",
            "soil",
            "river",
            [(int(c), int(c) // hillslope_cells) for c in column],
            hillslope.surface_runoff,
            area=slopes.area,
            left_boundary="top",
        ),
        Link(
            "seepage",
            "aquifer",
            "river",
            [(int(c), r) for r, c in enumerate(banks)],
            hillslope.seepage,
            geometry={
                "bed": -slopes.incision,
                "banks": 2.0 * river.graph.cell["length"],
                "half": slopes.width[banks] / 2,
            },
        ),
    )
    if warm:
        functions = (hillslope.recharge_heat, hillslope.runoff_heat, hillslope.seepage_heat)
        links += tuple(
            replace(link, name=f"{link.name}_heat", function=function, unit="MJ")
            for link, function in zip(links, functions, strict=True)
        )
    regions = {"soil": soil, "aquifer": aquifer, "river": river}
    reference = "; ".join(m.reference for m in regions.values())
    return couple("Catchment", regions, links, reference=reference)


@dataclass(frozen=True)
class _Slopes:
    """Cells of all hillslopes, from each divide to its bank; elevations (m) are above the bank.

    Attributes:
        area: of each (m2). width: from side to side towards the bank (m). length: along the reach, on both of its banks (m).
        top: elevation at which soil ends and aquifer begins. thickness: of the aquifer (m).
        incision: of each reach (m).
    """

    area: Array
    width: Array
    length: Array
    top: Array
    thickness: Array
    incision: Array


def _slopes(
    reaches: Graph,
    area: ArrayLike,
    cells: int,
    thickness: ArrayLike,
    relief: ArrayLike,
    incision: ArrayLike,
    soil_depth: float,
) -> _Slopes:
    given = {"area": area, "aquifer_thickness": thickness, "relief": relief, "incision": incision}
    found = {name: _each(name, values, reaches) for name, values in given.items()}
    low = found["incision"] >= soil_depth + found["aquifer_thickness"]
    if low.any():
        raise ModelError(
            f"Catchment: the bed of reach {_label(reaches, low)} lies at or below the bottom of its aquifer; give it less "
            "incision, or a thicker aquifer"
        )
    length = 2.0 * reaches.cell["length"]
    width = found["area"] / length / cells
    each = {name: np.repeat(values, cells) for name, values in {**found, "length": length, "width": width}.items()}
    height = (cells - 0.5 - np.tile(np.arange(cells), reaches.cells)) / cells
    return _Slopes(
        each["area"] / cells,
        each["width"],
        each["length"],
        each["relief"] * height - soil_depth,
        each["aquifer_thickness"],
        found["incision"],
    )


def _each(name: str, values: ArrayLike, reaches: Graph) -> Array:
    """One for each reach; raises `ModelError` where it is not."""
    try:
        spread = np.broadcast_to(np.asarray(values, np.float64), (reaches.cells,))
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"Catchment: {name} must be a number, or one for each of {reaches.cells} reaches, got {shown(values)}"
        ) from error
    wrong = ~np.isfinite(spread) | ((spread < 0) if name in ("relief", "incision") else (spread <= 0))
    if wrong.any():
        value = spread[int(np.argmax(wrong))]
        raise ModelError(f"Catchment: {name} of reach {_label(reaches, wrong)} is {value:g}, out of its range")
    return spread


def _label(reaches: Graph, wrong: Mask) -> str:
    at = int(np.argmax(wrong))
    return repr(at if reaches.labels is None else reaches.labels[at])


def _aquifer(slopes: _Slopes) -> Model:
    """A raster whose rows are the reaches and whose columns lead to the bank; nothing flows from row to row."""
    rows = len(slopes.incision)
    columns = len(slopes.area) // rows
    number = np.arange(len(slopes.area)).reshape(rows, columns)
    faces = np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1)
    left = faces[:, 0]
    row, column = np.divmod(number.ravel(), columns)
    thickness, half = slopes.thickness, slopes.width[left] / 2
    cell = {
        "volume": slopes.area * thickness,
        "thickness": thickness,
        "z": thickness / 2,
        "row": row,
        "column": column,
    }
    face = {
        "area": slopes.length[left] * thickness[left],
        "distance": 2 * half,
        "left_distance": half,
        "right_distance": half,
        "direction": np.zeros(len(left)),
    }
    grid = Graph(len(slopes.area), faces, cell, face, {}, (rows, columns))
    wells = Well(range(grid.cells))
    model = Aquifer(grid, "convertible", top=slopes.top.reshape(rows, columns), boundaries=(wells,))
    return replace(model, forcings=tuple(replace(f, default=0.0) for f in model.forcings))
