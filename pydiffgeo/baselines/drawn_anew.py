"""Floors of scores that have no members: how far a median moves when its sites, or its years, are drawn anew.

Two rows of a table that lie nearer than the floor cannot be told apart by these sites and years (Efron and Tibshirani 1993, "An
Introduction to the Bootstrap", chapter 6: standard errors by drawing with replacement).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Array, Dates, Indices
from ..checks import check_whole
from ..days import check_calendar
from ..errors import InputError, ShapeError, UnknownNameError
from ..losses.measures import MEASURES

# A floor is so many standard deviations.
SPREADS = 2.0


def median_floor(scores: ArrayLike, rival: ArrayLike | None = None, *, draws: int = 1000, seed: int = 0) -> float:
    """Two standard deviations of a median over sites, with the sites drawn anew, in the unit of the scores.

    Args:
        scores: `(sites,)`, NaN where a site has none: it is left out.
        rival: scores of another at the same sites; the floor is then that of the difference of the medians, each draw having the
            same sites in both. What is common to both, such as sites that nobody can predict, falls out.

    Raises:
        ShapeError: the shapes do not fit. InputError: fewer than two sites have scores.
    """
    rows = np.atleast_2d(np.asarray(scores, np.float64))
    if rival is not None:
        other = np.asarray(rival, np.float64)
        if other.shape != rows.shape[1:]:
            raise ShapeError(f"the rival must have the scores of {rows.shape[1]} sites, got the shape {other.shape}")
        rows = np.stack([rows[0], other])
    if rows.shape[0] > 2 or np.ndim(scores) != 1:
        raise ShapeError(f"scores must have the shape (sites,), got {np.shape(scores)}")
    check_whole(2, draws=draws)
    check_whole(0, seed=seed)
    rows = rows[:, np.isfinite(rows).all(0)]
    if rows.shape[1] < 2:
        raise InputError("a median over sites drawn anew needs the scores of two sites or more")
    drawn = np.random.default_rng(seed).integers(0, rows.shape[1], (draws, rows.shape[1]))
    medians: Array = np.median(rows[:, drawn], axis=2)
    lead = medians[0] - medians[1] if len(medians) == 2 else medians[0]
    return float(SPREADS * lead.std(ddof=1))


def years_floor(
    simulated: Tensor,
    observed: Tensor,
    dates: Dates,
    measure: str = "nse",
    *,
    first_month: int = 10,
    draws: int = 100,
    seed: int = 0,
) -> float:
    """Two standard deviations of a median score over sites, with whole years drawn anew, the same for all sites.

    What is left of a score's uncertainty when the sites are given: the weather of the years that happened to be scored.

    Args:
        simulated, observed: `(sites, days)`, NaN where not observed. dates: `(days,)`, consecutive.
        measure: a name in `losses.MEASURES` that needs nothing else.
        first_month: in which years begin; days ahead of the first whole year and after the last are left out.

    Raises:
        ShapeError: the shapes do not fit. UnknownNameError: there is no such measure. InputError: fewer than two whole years.
    """
    days = check_calendar(dates, "dates")
    if simulated.shape != observed.shape or observed.ndim != 2 or observed.shape[1] != len(days):
        raise ShapeError(
            f"series must have the shape (sites, {len(days)}), got {tuple(simulated.shape)} and {tuple(observed.shape)}"
        )
    if measure not in MEASURES or MEASURES[measure].needs:
        raise UnknownNameError(f"{measure!r} is no measure of two series; there are {sorted(MEASURES)}")
    check_whole(1, first_month=first_month)
    check_whole(2, draws=draws)
    check_whole(0, seed=seed)
    years = _whole_years(days, first_month)
    if len(years) < 2:
        raise InputError(
            f"{days[0]} to {days[-1]} hold {len(years)} whole years from month {first_month}; two are needed"
        )
    random, medians = np.random.default_rng(seed), []
    for _ in range(draws):
        at = torch.from_numpy(np.concatenate([years[i] for i in random.integers(0, len(years), len(years))]))
        scores = MEASURES[measure].function(simulated[:, at], observed[:, at])
        medians.append(torch.nanmedian(scores).item())
    return float(SPREADS * np.std(medians, ddof=1))


def _whole_years(days: Dates, first_month: int) -> list[Indices]:
    """Numbers of the days of each whole year."""
    month = days.astype("datetime64[M]").astype(np.int64)
    year = (month - (first_month - 1)) // 12
    found = []
    for one in np.unique(year):
        at = np.flatnonzero(year == one)
        first = np.datetime64(int(one) * 12 + first_month - 1, "M").astype("datetime64[D]")
        last = np.datetime64((int(one) + 1) * 12 + first_month - 1, "M").astype("datetime64[D]")
        if len(at) == (last - first).astype(np.int64):
            found.append(at)
    return found
