"""Any model from a TOML file: solved forward, with forcings from files, and written as NetCDF.

dg.simulation.run_file("column.toml")                 # what `pydiffgeo run column.toml` does
print(dg.simulation.template("RichardsColumn"))       # a configuration to start from
"""

from .configuration import Configuration, read_configuration
from .run import run, run_file
from .template import template

__all__ = ["Configuration", "read_configuration", "run", "run_file", "template"]
