"""Scores of daily runoff in training and evaluation, of a model and of what it has to beat."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..baselines import Climatology, LinearRegression, Persistence
from ..errors import InputError
from ..losses.measures import MEASURES
from .basin import BasinData

SCORES = ("nse", "kge", "bias", "rmse", "log_nse", "fhv", "flv")
UNITS = {"1": "1", "%": "percent", "{unit}": "mm d-1", "{unit}^2": "mm2 d-2"}
BASELINES = ("climatology", "persistence", "linear regression")


def score(name: str, simulated: Tensor, observed: Tensor) -> float:
    """A measure by name, or NaN where it is not defined for these series."""
    try:
        return float(MEASURES[name].function(simulated, observed))
    except InputError:
        return float("nan")


def scores(name: str, simulated: Tensor, observed: Tensor, periods: tuple[slice, ...]) -> list[float]:
    """A measure of series `(days,)` in each period."""
    return [score(name, simulated[days], observed[days]) for days in periods]


def baseline_scores(name: str, data: BasinData, train: slice, evaluation: slice) -> list[list[float]]:
    """A measure of each of `BASELINES`, fitted in training, in both periods; NaN where it can predict nothing.

    Persistence is a day ahead; the regression is on precipitation and temperature of the day and the three before.
    """
    observed = torch.from_numpy(data.runoff.copy())
    table = []
    for baseline in BASELINES:
        row = []
        for days in (train, evaluation):
            try:
                predicted, days = _prediction(baseline, data, train, days)
                row.append(score(name, predicted, observed[days]))
            except InputError:
                row.append(float("nan"))
        table.append(row)
    return table


def _prediction(baseline: str, data: BasinData, train: slice, days: slice) -> tuple[Tensor, slice]:
    """What a baseline predicts for `days`, and the days for which it can."""
    if baseline == "climatology":
        return Climatology.fit(data.dates, data.runoff, train).predict(data.dates, days), days
    if baseline == "persistence":
        # Up to the first day with an observation there is nothing to persist.
        seen = np.flatnonzero(~np.isnan(data.runoff))
        days = slice(max(days.start, int(seen[0]) + 1 if len(seen) else days.stop), days.stop)
        return Persistence().predict(data.runoff, days), days
    drivers = {k: getattr(data, k) for k in ("precipitation", "temperature")}
    return LinearRegression.fit(drivers, data.runoff, train, lags=3).predict(drivers, days), days
