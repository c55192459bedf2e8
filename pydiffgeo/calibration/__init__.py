"""Calibration of one or many sites by gradient: bounded values, priors, multi-start, checkpoints.

site = dg.calibration.Site("plot 1", model, times, forcing, observations, bounds={"K_s": (0.01, 1.0), "n": None})
found = dg.calibration.calibrate([site], dg.calibration.Strategy(method="gauss_newton"))
print(found.values("plot 1"))
"""

from .check import check_file, check_site
from .config import calibrate_file
from .dataset import site_dataset
from .found import Calibration
from .objective import Prior
from .progress import Step
from .run import calibrate
from .settings import read_settings
from .site import Site
from .strategy import Strategy

__all__ = [
    "Calibration",
    "Prior",
    "Site",
    "Step",
    "Strategy",
    "calibrate",
    "calibrate_file",
    "check_file",
    "check_site",
    "read_settings",
    "site_dataset",
]
