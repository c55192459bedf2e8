"""The ready models by name: what commands list, write configurations of, and run. A model appears by one entry in `READY`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..model import Model
from ..toml_table import parsed
from .aquifer import Aquifer
from .aquifer_tables import Built, aquifer_of, solute_aquifer_of
from .bucket_kit import buckets
from .bucket_tables import buckets_of
from .catchment import Catchment
from .diffusion_raster import DiffusionRaster
from .exphydro import ExpHydro
from .gr4j import GR4J
from .hbv import HBV
from .heat_column import HeatColumn
from .linear_reservoir import LinearReservoir
from .nash_cascade import NashCascade
from .richards import RichardsColumn
from .richards_section import RichardsSection
from .river import River
from .snow17 import Snow17
from .solute_aquifer import SoluteAquifer
from .solute_column import SoluteColumn
from .vegetated_column import VegetatedColumn
from .water_heat_column import WaterHeatColumn


@dataclass(frozen=True)
class Ready:
    """A ready model, with an example of it that can be solved as it is.

    Attributes:
        make: returns the model, and says what it is. build: does so from plain values, as a configuration holds them, where
            `make` takes others; it may return a `Built`.
        arguments: of the example, where they are not the defaults; as text of TOML where they are more than a few numbers.
        parameters, initial, forcing: numbers, where the model has no default, or one that shows little.
    """

    make: Callable[..., Model]
    arguments: Mapping[str, object] | str = field(default_factory=dict)
    initial: Mapping[str, float] = field(default_factory=dict)
    forcing: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)
    build: Callable[..., Model | Built] | None = None

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def text(self) -> str:
        """What it is, in a line."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]

    @property
    def builder(self) -> Callable[..., Model | Built]:
        """What makes the model from plain values."""
        return self.build or self.make

    def model(self) -> Model:
        """The model of the example."""
        given = self.arguments
        made = self.builder(**(parsed(given)["arguments"] if isinstance(given, str) else given))
        return made.model if isinstance(made, Built) else made


_WET = {"precipitation": 3.0, "potential_evapotranspiration": 1.5}
_WEATHER = {"precipitation": 3.0, "temperature": 8.0, "daylength": 12.0}
_AIR = {"air_temperature": 20.0, "vapour_deficit": 1.0, "light": 800.0}
_SOIL_AND_AIR = {"precipitation": 0.004, "potential_evaporation": 0.001, **_AIR}

AQUIFER = """\
[arguments]
kind = ["convertible", "confined"]  # of each layer, or of all: "confined", "unconfined", "convertible"
top = 20.0                          # elevation of the top of the first layer; or { file = "top.asc" }
# mean = "harmonic"                 # how two cells conduct together; see help(dg.models.Aquifer)
# upstream = true                   # cells dry and get wet again, as with Newton's formulation in MODFLOW 6
# vertical = "constant"             # conductance between layers; or "saturated"
# perched = false
# face_flows = false                # keep the flow through every face too
# units = ["m", "d"]                # of length and of time, for names only

[arguments.grid]                    # fields may come from files everywhere: { file = "active.asc" }, { file = "f.nc", variable = "v" }
shape = [2, 6, 8]                   # layers, rows, columns
spacing = [100.0, 100.0]            # height of rows and width of columns: one number, or a list
layers = [20.0, 30.0]               # thickness of each layer, or of each cell
# active =                          # mask of the cells, ones and zeros

# What water is exchanged with: GivenHead, GeneralHead, River, Drain, Well, Recharge, Evapotranspiration. Names of parameters,
# forcings and fluxes begin with `name`. `cells`: a list of [layer, row, column] from 0 on, a row, column or layer of the grid,
# or { file = "wells.csv" } with columns layer, row and column, or x and y, and what there is at each place, such as
# conductance or rate; a column `name` names the places.
[[arguments.boundaries]]
kind = "River"
name = "river"
cells = { layer = 0, column = 0 }

[[arguments.boundaries]]
kind = "GivenHead"
name = "lake"
cells = { layer = 1, column = -1 }

[[arguments.boundaries]]
kind = "Well"
name = "well"
cells = [[1, 2, 4]]

[[arguments.boundaries]]
kind = "Recharge"                   # of the uppermost cells, where none are given
name = "recharge"
"""
SOLUTE = AQUIFER.replace(
    "# face_flows",
    """# sorption = "none"                 # or "linear", "langmuir", "freundlich"
# decay = "none"                    # or "dissolved", "total"
# dispersion = "diagonal"           # or "full": the whole tensor
# species = []                      # names of several solutes
# face_flows""",
)
CATCHMENT = """\
[arguments]
# hillslope_cells = 2               # from divide to bank, each under a soil column of its own
# soil_depth = 2.0                  # m
# soil_cells = 10
# root_depth = 0.3                  # m
# closure = "van_genuchten"         # or "haverkamp", "gardner"
# aquifer_thickness = 10.0          # m; as the two below for all, or a list of one for each reach
# relief = 10.0                     # m, how much higher the ground is at the divide than at the bank
# incision = 1.0                    # m, depth of the river bed below the bank
# routing = "kinematic"             # or "diffusive", "muskingum_cunge"

[arguments.reaches]                 # or: reaches = { file = "reaches.csv" } in [arguments], with these columns
id = ["a", "b"]
downstream = ["b", ""]              # the reach that each flows into; none at outlets
length = [2000.0, 3000.0]           # m
slope = [4e-3, 2e-3]                # 1
width = [2.0, 4.0]                  # m; a column called like a parameter of the river stands for it
area = [2e6, 3e6]                   # m2 that drain to each reach directly
"""
RIVER = """\
[arguments]
# routing = "kinematic"             # or "diffusive", "muskingum", "muskingum_cunge"
# temperature = "none"              # or "equilibrium", "weather"

[arguments.reaches]                 # or: reaches = { file = "reaches.csv" } in [arguments], with these columns
id = ["a", "b", "c"]
downstream = ["c", "c", ""]         # the reach that each flows into; none at outlets
length = [4000.0, 3000.0, 6000.0]   # m
slope = [2e-3, 3e-3, 1e-3]          # 1
width = [8.0, 6.0, 15.0]            # m; a column called like a parameter stands for it
"""
SECTION = """\
[arguments]
shape = [8, 10]                     # rows, from the surface down, and columns
spacing = [0.1, 0.2]                # height of rows and width of columns (m): one number, or a list
top = "flux"                        # of each side: "no_flow", "flux", "head", "water_level", "seepage_face"
bottom = "free_drainage"            # the base may drain freely as well
right = "seepage_face"
# left = "no_flow"
# closure = "van_genuchten"
# face_conductivity = "arithmetic"
# active =                          # mask of the shape, which places are soil: { file = "active.csv" }
"""
BUCKETS = """\
[arguments]
name = "TwoStores"
# Each rate is a formula (mm/d) of stores, parameters, forcings and the fluxes above it, with + - * / ** and exp, log, sqrt,
# tanh, min, max, smooth_ramp(x, width), withdrawal(demand, supply, width), ... (pydiffgeo.processes.smoothing). What leads
# out of the basin, or comes from outside, is added up under its name: precipitation, evapotranspiration, runoff.
stores = [
  { name = "soil", description = "water in the soil", default = 80.0 },
  { name = "ground", description = "groundwater", default = 20.0 },
]
parameters = [
  { name = "S_max", unit = "mm", description = "capacity of the soil", default = 200.0, low = 0.0, open_low = true, typical = [20.0, 600.0] },
  { name = "beta", unit = "1", description = "power of the filling in recharge", default = 2.0, low = 0.0, typical = [1.0, 6.0] },
  { name = "K", unit = "d-1", description = "recession of groundwater", default = 0.05, low = 0.0, typical = [0.002, 0.5] },
]
fluxes = [
  { name = "recharge", rate = "precipitation * (soil / S_max)**beta", source = "precipitation", target = "ground" },
  { name = "wetting", rate = "precipitation - recharge", source = "precipitation", target = "soil" },
  { name = "drying", rate = "withdrawal(potential_evapotranspiration * soil / S_max, soil, 0.01)", source = "soil", target = "evapotranspiration" },
  { name = "base_flow", rate = "K * ground", source = "ground", target = "runoff" },
]
"""

READY: dict[str, Ready] = {
    ready.name: ready
    for ready in (
        Ready(
            Aquifer,
            AQUIFER,
            {"head": 15.0},
            {"river_stage": 10.0, "lake_head": 14.0, "well_rate": -500.0, "recharge_rate": 5e-4},
            {"K": 5.0, "river_conductance": 100.0, "river_bed": 8.0},
            aquifer_of,
        ),
        Ready(
            Catchment,
            CATCHMENT,
            {"soil_head": -1.0, "aquifer_head": -0.5},
            {
                "precipitation": 0.004,
                "temperature": 8.0,
                "potential_evaporation": 0.001,
                "potential_transpiration": 0.002,
            },
        ),
        Ready(DiffusionRaster, {"n": 10}),
        Ready(ExpHydro, forcing=_WEATHER),
        Ready(GR4J, initial={"production_store": 150.0, "routing_store": 40.0}, forcing=_WET),
        Ready(HBV, initial={"soil_moisture": 100.0}, forcing={**_WET, "temperature": 8.0}),
        Ready(HeatColumn, forcing={"surface_temperature": 10.0}),
        Ready(LinearReservoir, forcing={"rain": 5.0}),
        Ready(NashCascade, {"n": 3}, initial={"storage": 10.0}),
        Ready(RichardsColumn, {"cells": 20}, initial={"head": -1.0}, forcing={"flux": 0.005}),
        Ready(RichardsSection, SECTION, {"head": -1.0}, {"top_flux": 0.01}),
        Ready(River, RIVER, forcing={"lateral_inflow": 2.0}),
        Ready(Snow17, forcing={"precipitation": 3.0, "temperature": -2.0, "day_of_year": 15.0}),
        Ready(
            SoluteAquifer,
            SOLUTE,
            {"head": 15.0, "concentration": 0.0},
            {
                "river_stage": 10.0,
                "lake_head": 14.0,
                "well_rate": -500.0,
                "recharge_rate": 5e-4,
                "river_concentration": 1.0,
            },
            {"K": 5.0, "river_conductance": 100.0, "river_bed": 8.0},
            solute_aquifer_of,
        ),
        Ready(SoluteColumn, {"depth": 1.0, "cells": 20}, forcing={"inlet": 1.0}),
        Ready(VegetatedColumn, {"cells": 20}, {"head": -1.0}, _SOIL_AND_AIR),
        Ready(
            WaterHeatColumn,
            {"cells": 20},
            {"head": -1.0, "temperature": 8.0},
            {"flux": 0.005, "surface_temperature": 12.0},
        ),
        Ready(buckets, BUCKETS, forcing=_WET, build=buckets_of),
    )
}
