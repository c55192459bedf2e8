"""What a model has to beat."""

from __future__ import annotations

import numpy as np

from pydiffgeo.hydrology.basin import BasinData
from pydiffgeo.hydrology.scores import BASELINES, baseline_scores


def test_the_regression_that_a_model_has_to_beat_knows_the_three_days_before():
    random = np.random.default_rng(0)
    rain, n = random.gamma(0.5, 8.0, 400), 400
    dates = np.datetime64("2001-01-01") + np.arange(n)
    for lag, reached in ((0, True), (3, True), (4, False)):
        runoff = np.concatenate([np.ones(lag), 0.5 * rain[: n - lag]])
        data = BasinData("a", dates, rain, random.normal(size=n), np.full(n, 12.0), runoff, "made up")
        found = dict(zip(BASELINES, baseline_scores("nse", data, slice(10, 200), slice(200, n)), strict=True))
        train, evaluation = found["linear regression"]
        assert (min(train, evaluation) > 1 - 1e-9) == reached, lag
        assert reached or evaluation < 0.2
