"""States, parameters and forcings estimated from observations as they come: ensemble filters, smoothers and 4D-Var.

problem = dg.assimilate.Problem(model, times, forcing, [probe], uncertain={"theta": 0.05}, forcing_error={"rain": 0.3})
found = dg.assimilate.assimilate(problem, dg.assimilate.Ensemble(members=40), window=5)
found.analysis, found.analysis_sd, found.innovations
"""

from .assimilation import Assimilation
from .ensemble import gaspari_cohn, stochastic_update, transform_update
from .methods import Ensemble, Variational
from .record_smoother import SmoothedRecord, smooth_record
from .uncertain_model import Problem
from .windows import assimilate

__all__ = [
    "Assimilation",
    "Ensemble",
    "Problem",
    "SmoothedRecord",
    "Variational",
    "assimilate",
    "gaspari_cohn",
    "smooth_record",
    "stochastic_update",
    "transform_update",
]
