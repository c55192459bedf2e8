"""How well a simulated series agrees with an observed one; gaps in the observations are left out.

dg.losses.nse(simulated, observed)        # `(...,)` from `(..., time)`, differentiable
dg.losses.flow_duration_curve(flow, [0.1, 0.9])    # when a flow occurs does not matter
dg.losses.MEASURES["kge"]                 # a measure with its best value and what is better
"""

from .flow_duration import fhv, flow_duration_curve, flv, fms, rms_log_ratio
from .measures import (
    LOSSES,
    MEASURES,
    KGEComponents,
    Measure,
    bias,
    gaussian_log_likelihood,
    heteroscedastic_log_likelihood,
    kge,
    kge_2012,
    kge_components,
    log_nse,
    mae,
    mse,
    nse,
    percent_bias,
    rmse,
)

__all__ = [
    "LOSSES",
    "MEASURES",
    "KGEComponents",
    "Measure",
    "bias",
    "fhv",
    "flow_duration_curve",
    "flv",
    "fms",
    "gaussian_log_likelihood",
    "heteroscedastic_log_likelihood",
    "kge",
    "kge_2012",
    "kge_components",
    "log_nse",
    "mae",
    "mse",
    "nse",
    "percent_bias",
    "rms_log_ratio",
    "rmse",
]
