"""What a model has to beat: climatology, persistence and linear regression on the drivers.

Each is fitted on a window of a record with equal time steps and predicts another window, both slices of the same
record. Predictions are float64 tensors `(steps,)`, ready for the measures of `losses`. Gaps are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Array, Numbers
from ..days import days_of_year
from ..errors import InputError, ShapeError, UnknownNameError
from ..losses.measures import MEASURES

YEAR = 366


@dataclass(frozen=True, eq=False)
class Climatology:
    """The mean of each day of the year, smoothed over the days around it.

    Attributes:
        means: `(366,)` from 1 January of a leap year, in the unit of the observations; NaN for a day that
            had no observation near it.
    """

    means: Array

    @classmethod
    def fit(cls, dates: ArrayLike, observed: ArrayLike, window: slice = slice(None), *, width: int = 31) -> Climatology:
        """Averages the observations of `window` whose day of the year lies within a window of `width` days.

        Every observation counts the same, so days with many gaps borrow from their neighbours, as does
        29 February. The year is a circle.

        Args:
            dates: `(n,)`, anything NumPy turns into days.
            observed: `(n,)`, NaN where missing.
            width: an odd number of days; 1 does not smooth.

        Raises:
            InputError: (or a subclass) shapes or width do not fit, or nothing was observed.
        """
        if width % 2 != 1 or not 1 <= width < YEAR:
            raise InputError(f"width must be an odd number of days below {YEAR}, got {width}")
        days, values = days_of_year(dates), _series("observed", observed)
        _same_length(dates=days, observed=values)
        days, values = days[window], values[window]
        seen = ~np.isnan(values)
        if not seen.any():
            raise InputError("a climatology needs at least one observation in its window")
        total = np.bincount(days[seen], values[seen], YEAR)
        count = np.bincount(days[seen], minlength=YEAR).astype(np.float64)
        shifts = range(-(width // 2), width // 2 + 1)
        total, count = (np.sum([np.roll(x, k) for k in shifts], axis=0) for x in (total, count))
        return cls(np.divide(total, count, out=np.full(YEAR, np.nan), where=count > 0))

    def predict(self, dates: ArrayLike, window: slice = slice(None)) -> Tensor:
        """The climatology on the dates of a window, `(steps,)`.

        Raises:
            InputError: a date has a day of the year near which nothing was observed.
        """
        chosen = self.means[days_of_year(dates)[window]]
        if np.isnan(chosen).any():
            missing = np.asarray(dates, "datetime64[D]")[window][np.isnan(chosen)]
            raise InputError(
                f"nothing was observed around the day of the year of {missing[0]} and {len(missing) - 1} other dates; "
                "fit a longer window, or a larger width"
            )
        return torch.from_numpy(chosen)


@dataclass(frozen=True)
class Persistence:
    """The last known value, `lead` steps ahead: what is known at step `t - lead` is predicted for `t`."""

    lead: int = 1

    def __post_init__(self) -> None:
        if self.lead < 1:
            raise InputError(f"the lead time must be one step or more, got {self.lead}")

    def predict(self, observed: ArrayLike, window: slice = slice(None)) -> Tensor:
        """Predictions for a window, `(steps,)`, from the latest observation up to `lead` steps before each.

        Args:
            observed: the whole record `(n,)`, that ahead of the window included; NaN where missing.

        Raises:
            InputError: nothing was observed early enough for the first step of the window.
        """
        values = _series("observed", observed)
        # The latest step with an observation, up to and including each; -1 before the first.
        latest = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
        source = np.arange(len(values))[window] - self.lead
        last = np.where(source >= 0, latest[np.maximum(source, 0)], -1)
        if (last < 0).any():
            step = int(np.arange(len(values))[window][last < 0][0])
            raise InputError(f"nothing was observed {self.lead} steps or more before step {step}; begin later")
        return torch.from_numpy(values[last])


@dataclass(frozen=True, eq=False)
class LinearRegression:
    """Ordinary least squares on drivers at the present and earlier steps.

    Attributes:
        lags: name of the driver -> steps back.
        means: name -> mean of the driver in the fitted window, which stands for it where it is missing.
        coefficients: intercept, then one for each driver and lag in the order of `lags`.
    """

    lags: Mapping[str, tuple[int, ...]]
    means: Mapping[str, float]
    coefficients: Array

    @classmethod
    def fit(
        cls,
        drivers: Mapping[str, ArrayLike],
        observed: ArrayLike,
        window: slice = slice(None),
        *,
        lags: int | Mapping[str, Sequence[int]] = 0,
    ) -> LinearRegression:
        """Fits the steps of `window` at which the observation and all lagged drivers are known.

        Args:
            drivers: name -> `(n,)`, the whole record; NaN where missing.
            observed: `(n,)`.
            lags: the largest lag, for all drivers from 0 on, or name -> lags. Lags reach back ahead of the window.

        Of coefficients that the data cannot tell apart, the smallest are taken, in units of the root mean square of
        their driver (`numpy.linalg.lstsq`).

        Raises:
            InputError: (or a subclass) shapes, names or lags do not fit, or fewer steps are complete than there
                are coefficients.
        """
        if not drivers:
            raise InputError("a regression needs at least one driver")
        chosen = {k: range(lags + 1) for k in drivers} if isinstance(lags, int) else lags
        table = {k: tuple(int(lag) for lag in v) for k, v in chosen.items()}
        if not any(table.values()) or any(lag < 0 for v in table.values() for lag in v):
            raise InputError(f"lags must be zero or more, and at least one, got {lags!r}")
        x, y = _design(drivers, table), _series("observed", observed)
        _same_length(drivers=x, observed=y)
        x, y = x[window], y[window]
        complete = ~np.isnan(x).any(1) & ~np.isnan(y)
        if complete.sum() < x.shape[1]:
            raise InputError(f"{x.shape[1]} coefficients need as many complete steps; there are {complete.sum()}")
        means = {k: float(np.nanmean(_series(k, drivers[k])[window])) for k in table}
        # What counts as the same direction must not depend on the units of the drivers.
        size = np.sqrt((x[complete] ** 2).mean(0))
        size = np.where(size > 0, size, 1.0)
        coefficients = np.linalg.lstsq(x[complete] / size, y[complete], rcond=None)[0] / size
        return cls(table, means, coefficients.astype(np.float64))

    def predict(self, drivers: Mapping[str, ArrayLike], window: slice = slice(None)) -> Tensor:
        """Predictions for a window, `(steps,)`; a driver that is missing takes its mean in the fitted window.

        Raises:
            UnknownNameError: a driver is not given.
        """
        x = _design(drivers, self.lags)[window]
        fill = np.array([1.0, *(self.means[k] for k, lags in self.lags.items() for _ in lags)])
        return torch.from_numpy(np.where(np.isnan(x), fill, x) @ self.coefficients)


@dataclass(frozen=True)
class Comparison:
    """A model against one baseline in one measure.

    Attributes:
        mean, spread: of the scores over seeds; the spread is their sample standard deviation.
        verdict: "better" or "worse" only beyond the spread over seeds, else "no different".
    """

    measure: str
    baseline: str
    mean: float
    spread: float
    baseline_score: float
    verdict: Literal["better", "worse", "no different"]

    def __str__(self) -> str:
        return (
            f"{self.measure} {self.mean:.4g} +- {self.spread:.2g} is {self.verdict} "
            f"{'from' if self.verdict == 'no different' else 'than'} {self.baseline} ({self.baseline_score:.4g})"
        )


def compare(
    scores_by_seed: Mapping[str, Sequence[float]],
    baseline_scores: Mapping[str, Mapping[str, float]],
    *,
    spreads: float = 2.0,
) -> tuple[Comparison, ...]:
    """Compares the scores of several seeds with those of baselines, in the direction each measure has.

    "better" takes two things: every seed beats the baseline, and the mean does so by more than `spreads` sample
    standard deviations over seeds. The first guards against few seeds, the second against a lucky few; "worse" is
    the same the other way round. Scores with a target count by their distance from it.

    Args:
        scores_by_seed: name of a measure in `losses.MEASURES` -> one score per seed, two or more.
        baseline_scores: name of a baseline -> name of a measure -> its score. Measures in only one are left out.

    Raises:
        UnknownNameError: a measure is not in `losses.MEASURES`.
        InputError: fewer than two seeds, a score that is not finite (a seed that failed: give it its worst score, or leave
            it out and say so), or nothing in common to compare.
    """
    if not spreads >= 0:
        raise InputError(f"spreads must be zero or more, got {spreads}")
    comparisons = []
    for name, listed in scores_by_seed.items():
        if name not in MEASURES:
            raise UnknownNameError(f"{name!r} is not a measure; there are {sorted(MEASURES)}")
        scores = np.asarray(listed, np.float64)
        if scores.ndim != 1 or len(scores) < 2:
            raise InputError(f"{name}: a spread needs the scores of two seeds or more, got {listed!r}")
        bad = MEASURES[name].badness(scores)
        for baseline, table in baseline_scores.items():
            if name not in table:
                continue
            if not (np.isfinite(scores).all() and np.isfinite(table[name])):
                raise InputError(f"{name}: the score of a seed, or of {baseline}, is not finite")
            # Positive where the seed is better.
            lead = MEASURES[name].badness(table[name]) - bad
            beyond = abs(lead.mean()) > spreads * lead.std(ddof=1)
            verdict: Literal["better", "worse", "no different"] = "no different"
            if beyond and (lead > 0).all():
                verdict = "better"
            elif beyond and (lead < 0).all():
                verdict = "worse"
            mean, spread = float(scores.mean()), float(scores.std(ddof=1))
            comparisons.append(Comparison(name, baseline, mean, spread, float(table[name]), verdict))
    if not comparisons:
        raise InputError("no measure is given both for the seeds and for a baseline")
    return tuple(comparisons)


def _series(name: str, values: Numbers) -> Array:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    array = array.astype(np.float64)
    if array.ndim != 1:
        raise ShapeError(f"{name} must have the shape (n,), got {array.shape}")
    if np.isinf(array).any():
        raise InputError(f"{name} must be finite or NaN; at least one value is infinite")
    return array


def _same_length(**arrays: Sized) -> None:
    if len({len(a) for a in arrays.values()}) > 1:
        raise ShapeError(f"lengths must agree, got { {k: len(a) for k, a in arrays.items()} }")


def _design(drivers: Mapping[str, ArrayLike], lags: Mapping[str, tuple[int, ...]]) -> Array:
    """A column of ones and each driver `lag` steps earlier, `(n, 1 + lagged drivers)`; NaN ahead of the record."""
    missing = sorted({*lags} - {*drivers})
    if missing:
        raise UnknownNameError(f"the drivers {missing} are not given; there are {sorted(drivers)}")
    series = {k: _series(k, drivers[k]) for k in lags}
    _same_length(**series)
    n = len(next(iter(series.values())))
    columns = [np.ones(n)]
    for name, steps in lags.items():
        columns += [np.concatenate([np.full(min(lag, n), np.nan), series[name][: max(n - lag, 0)]]) for lag in steps]
    return np.stack(columns, axis=1)
