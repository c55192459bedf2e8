"""The ready models by name: what commands list, write configurations of, and run. A model appears by one line in `READY`.

Those that take a graph, such as `Aquifer`, are not here: a configuration cannot write one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..model import Model
from .diffusion_raster import DiffusionRaster
from .exphydro import ExpHydro
from .gr4j import GR4J
from .hbv import HBV
from .heat_column import HeatColumn
from .linear_reservoir import LinearReservoir
from .nash_cascade import NashCascade
from .richards import RichardsColumn
from .snow17 import Snow17
from .solute_column import SoluteColumn
from .water_heat_column import WaterHeatColumn


@dataclass(frozen=True)
class Ready:
    """A ready model, with an example of it that can be solved as it is.

    Attributes:
        make: returns the model. arguments: of the example, where they are not the defaults.
        initial, forcing: numbers, where the model has no default, or one that shows little.
    """

    make: Callable[..., Model]
    arguments: Mapping[str, object] = field(default_factory=dict)
    initial: Mapping[str, float] = field(default_factory=dict)
    forcing: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def text(self) -> str:
        """What it is, in a line."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]

    def model(self) -> Model:
        """The model of the example."""
        return self.make(**self.arguments)


_WET = {"precipitation": 3.0, "potential_evapotranspiration": 1.5}
_WEATHER = {"precipitation": 3.0, "temperature": 8.0, "daylength": 12.0}

READY: dict[str, Ready] = {
    ready.name: ready
    for ready in (
        Ready(DiffusionRaster, {"n": 10}),
        Ready(ExpHydro, forcing=_WEATHER),
        Ready(GR4J, initial={"production_store": 150.0, "routing_store": 40.0}, forcing=_WET),
        Ready(HBV, initial={"soil_moisture": 100.0}, forcing={**_WET, "temperature": 8.0}),
        Ready(HeatColumn, forcing={"surface_temperature": 10.0}),
        Ready(LinearReservoir, forcing={"rain": 5.0}),
        Ready(NashCascade, {"n": 3}, initial={"storage": 10.0}),
        Ready(RichardsColumn, {"cells": 20}, initial={"head": -1.0}, forcing={"flux": 0.005}),
        Ready(Snow17, forcing={"precipitation": 3.0, "temperature": -2.0, "day_of_year": 15.0}),
        Ready(SoluteColumn, {"depth": 1.0, "cells": 20}, forcing={"inlet": 1.0}),
        Ready(
            WaterHeatColumn,
            {"cells": 20},
            {"head": -1.0, "temperature": 8.0},
            {"flux": 0.005, "surface_temperature": 12.0},
        ),
    )
}
