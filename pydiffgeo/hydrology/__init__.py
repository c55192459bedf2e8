"""Basins and their daily runoff: data of CAMELS-US, Caravan and CF files, calibration by a TOML file, scores.

data = dg.hydrology.open_camels("basin_dataset_public_v1p2", basins=["12010000"], product="daymet")
data = dg.hydrology.open_caravan("Caravan", basins=["camels_12010000"])
data = dg.hydrology.open_cf("basins.nc", variables={"runoff": "discharge"})
dg.hydrology.calibrate_file("basin.toml")
dg.hydrology.train_file("network.toml")
"""

from .base_flow import base_flow_index
from .basin import BasinData
from .calibrate.check_toml import check_file
from .calibrate.from_toml import calibrate_file
from .calibrate.settings import read_settings
from .data.basin_series import basin_data, daily
from .data.basin_table import open_table
from .data.basins_as_sites import site_data
from .data.camels import open_camels
from .data.caravan import open_caravan
from .data.cf import open_cf
from .data.collection import open_collection
from .data.evaporative_demand import potential_evaporation
from .data.gauges import open_grdc, open_usgs
from .data.point_series import open_ismn, open_wells
from .learn.configured_training import LearningSettings, read_learning
from .learn.learning import Learnt, train_file, train_networks
from .named_models import basin_model
from .prediction_dataset import predictions
from .years import even_years

__all__ = [
    "BasinData",
    "LearningSettings",
    "Learnt",
    "base_flow_index",
    "basin_data",
    "basin_model",
    "calibrate_file",
    "check_file",
    "daily",
    "even_years",
    "open_camels",
    "open_caravan",
    "open_cf",
    "open_collection",
    "open_grdc",
    "open_ismn",
    "open_table",
    "open_usgs",
    "open_wells",
    "potential_evaporation",
    "predictions",
    "read_learning",
    "read_settings",
    "site_data",
    "train_file",
    "train_networks",
]
