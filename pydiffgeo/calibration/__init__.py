"""Calibration of one or many sites by gradient: bounded values, priors, multi-start, checkpoints.

site = dg.calibration.Site("plot 1", model, times, forcing, observations, bounds={"K_s": (0.01, 1.0), "n": None})
found = dg.calibration.calibrate([site], dg.calibration.Strategy(method="gauss_newton"))
print(found.values("plot 1"))
"""

from .check_site import check_site
from .dataset import site_dataset
from .loss_terms import Term
from .multistart import calibrate
from .objective import Prior
from .progress import Step
from .result import CalibrationResult
from .site import Site
from .strategy import Strategy

__all__ = [
    "CalibrationResult",
    "Prior",
    "Site",
    "Step",
    "Strategy",
    "Term",
    "calibrate",
    "check_site",
    "site_dataset",
]
