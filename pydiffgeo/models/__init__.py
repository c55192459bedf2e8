"""Ready models, one process per file."""

from .exphydro import ExpHydro
from .richards import RichardsColumn

__all__ = ["ExpHydro", "RichardsColumn"]
