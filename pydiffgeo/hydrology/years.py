"""Errors of observations by which the years of a record count alike, or more nearly so."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Dates, Numbers
from ..checks import check_within
from ..errors import InputError
from ..losses.masked import as_like, constant, mean, require

# A year without variation counts as one with this part of the variance of the record, or it alone would decide.
LEAST = 0.1


def even_years(dates: ArrayLike, observed: Numbers, evenness: float = 0.5) -> Tensor:
    """Errors `(n,)` of observations, in their unit, that follow how much each year varies.

    Squared residuals of a whole record are those of its few wet years. With the error of a year
    `sigma (sigma_year / sigma)^evenness`, where `sigma` are standard deviations of the observations, dry years count
    more: with an evenness of 1 all years alike, as in a mean of the efficiencies of single years, but for the driest;
    with 0 as they vary.

    Source: Fowler et al. 2018, Water Resour. Res. 54, who let years count alike; in between is our choice.

    Args:
        dates: `(n,)` in order, anything NumPy turns into days; years begin on the day of the first.
        observed: `(n,)`, NaN where missing.
        evenness: from 0 to 1.

    Raises:
        InputError: (or a subclass) shapes or numbers that do not fit, or observations that do not vary.
    """
    check_within(0.0, 1.0, "a number from 0 to 1", evenness=evenness)
    values = as_like(observed, torch.zeros((), dtype=torch.float64), "observed")
    try:
        days = np.asarray(dates, "datetime64[D]")
    except (TypeError, ValueError) as error:
        raise InputError(f"dates must be days, got {type(dates).__name__} ({error})") from error
    if days.ndim != 1 or values.shape != days.shape or not days.size or np.isnat(days).any():
        raise InputError(
            f"dates {days.shape} and observed {tuple(values.shape)} must be series of one length, without missing dates"
        )
    valid = ~torch.isnan(values)
    require(valid.any() and not constant(values, valid), "even_years needs observations that vary")
    variance, year = _variance(values, valid), _years(days)
    each = torch.stack([_variance(values, valid & (year == y)) for y in range(int(year.max()) + 1)])
    share = (each[year] / variance + LEAST) / (1 + LEAST)
    return (variance * share**evenness).sqrt()


def _variance(values: Tensor, valid: Tensor) -> Tensor:
    """Variance of what is valid; that of nothing is zero."""
    if not valid.any():
        return torch.zeros((), dtype=torch.float64)
    return mean((values - mean(values, valid)) ** 2, valid)


def _years(days: Dates) -> Tensor:
    """Number of whole years since the first day, `(n,)`."""
    months = days.astype("datetime64[M]")
    day = (days - months.astype("datetime64[D]")).astype(np.int64)
    since = (months - months[0]).astype(np.int64) - (day < day[0])
    require((since >= 0).all(), "dates must be in order")
    return torch.from_numpy(since // 12)
