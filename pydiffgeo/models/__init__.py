"""Ready models, one to a file, composed of `processes`."""

from .aquifer import Aquifer
from .bucket_kit import Flux, Store, buckets
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

__all__ = [
    "GR4J",
    "HBV",
    "Aquifer",
    "Catchment",
    "DiffusionRaster",
    "ExpHydro",
    "Flux",
    "HeatColumn",
    "LinearReservoir",
    "NashCascade",
    "RichardsColumn",
    "RichardsSection",
    "River",
    "Snow17",
    "SoluteAquifer",
    "SoluteColumn",
    "Store",
    "VegetatedColumn",
    "WaterHeatColumn",
    "buckets",
]
