"""Ready models, one to a file, composed of `processes`."""

from .diffusion_raster import DiffusionRaster
from .exphydro import ExpHydro
from .heat_column import HeatColumn
from .linear_reservoir import LinearReservoir
from .nash_cascade import NashCascade
from .richards import RichardsColumn
from .richards_section import RichardsSection
from .river import River
from .solute_column import SoluteColumn
from .vegetated_column import VegetatedColumn
from .water_heat_column import WaterHeatColumn

__all__ = [
    "DiffusionRaster",
    "ExpHydro",
    "HeatColumn",
    "LinearReservoir",
    "NashCascade",
    "RichardsColumn",
    "RichardsSection",
    "River",
    "SoluteColumn",
    "VegetatedColumn",
    "WaterHeatColumn",
]
