"""Data in and out, through xarray: folders of CAMELS-US and Caravan, CF files in NetCDF or Zarr, results.

data = dg.hydrology.open_camels("basin_dataset_public_v1p2", basins=["12010000"], product="daymet")
data = dg.hydrology.open_caravan("Caravan", basins=["camels_12010000"])
data = dg.hydrology.open_cf("basins.nc", variables={"runoff": "discharge"})
dg.io.write_dataset("result.nc", dg.io.solution_dataset(sol), dg.io.provenance(sol))
"""

from .archive import read_archive, write_archive
from .modflow import ModflowAquifer, open_modflow
from .results import Variable, provenance, read_dataset, write_dataset, write_netcdf, write_whole
from .site_table import SiteTable, read_site_table, write_site_table
from .solutions import solution_dataset

__all__ = [
    "ModflowAquifer",
    "SiteTable",
    "Variable",
    "open_modflow",
    "provenance",
    "read_archive",
    "read_dataset",
    "read_site_table",
    "solution_dataset",
    "write_archive",
    "write_dataset",
    "write_netcdf",
    "write_site_table",
    "write_whole",
]
