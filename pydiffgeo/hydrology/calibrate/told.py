"""What the record of each basin tells of its values, for the result of a calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...calibration.result import CalibrationResult
from ...identify import ErrorModel, Findings, Prediction, of_calibration, predict, tell
from ...observe import Observation
from .basins import Basin
from .settings import Settings

# Errors of daily runoff: their size is not stated, they grow with it and last for days.
OF_RUNOFF = ErrorModel(size=None, growth=None, autocorrelation=None)
# Draws of the posterior with which the whole record is solved.
DRAWS = 60


@dataclass(frozen=True, eq=False)
class Told:
    """Findings of a basin, and between which values its daily runoff is expected over the whole record."""

    findings: Findings
    runoff: Prediction


def told(settings: Settings, basin: Basin, calibrated: CalibrationResult) -> Told:
    """By the method of the settings.

    Raises:
        PydiffgeoError: as `identify.tell` and `identify.predict` do.
    """
    problem = of_calibration(calibrated, basin.site.name, errors=OF_RUNOFF)
    found = tell(problem, settings.uncertainty, seed=settings.strategy.seed)
    start = basin.warmup + np.arange(len(basin.data))
    # Errors of an ordinary year, where those of years differ.
    error = torch.cat([one.error.reshape(-1) for one in basin.site.observations]).median()
    days = Observation("runoff", "flux_mean", np.stack([start, start + 1], axis=1), basin.observed, error=error)
    seed = settings.strategy.seed
    return Told(found, predict(found.posterior, [days], site=basin.whole, draws=DRAWS, level=found.level, seed=seed))
