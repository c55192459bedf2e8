"""What is normal at a site: the climatology of each variable and the spread around it, from the days of training alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Dates
from ..baselines import Climatology
from ..days import days_of_year
from ..errors import UnknownNameError
from ..nn import SiteData

# Days of the moving window around each day of the year.
WIDTH = 61
# Observations that a site needs for normals of its own.
LEAST = 365
# Smallest spread of a variable, as a share of the usual one: a river that is dry for years has next to none.
FLOOR = 0.01


@dataclass(frozen=True, eq=False)
class Usual:
    """Means over the sites of a training: what is taken for normal where a site has too few observations.

    Attributes:
        climatology: `(366, variables)`, in the units of the variables. spread: `(variables,)`.
    """

    climatology: Tensor
    spread: Tensor


@dataclass(frozen=True, eq=False)
class Normals:
    """Climatology and spread of sites.

    Attributes:
        climatology: `(sites, 366, variables)`, from 1 January of a leap year, in the units of the variables.
        spread: `(sites, variables)`, standard deviation of what departs from it.
        own: `(sites, variables)`, whether they are those of the site itself; else they are the usual ones.
    """

    climatology: Tensor
    spread: Tensor
    own: Tensor

    def of(self, sites: Tensor) -> Normals:
        """Those of some sites, by their numbers."""
        return Normals(self.climatology[sites], self.spread[sites], self.own[sites])

    def without(self, bare: Tensor, variable: int, usual: Usual) -> Normals:
        """The same with the usual ones of a variable in place of those of the sites `bare`, `(sites,)`."""
        this = torch.arange(len(usual.spread)) == variable
        lost = bare.unsqueeze(1) & this
        climatology = torch.where(lost.unsqueeze(1), usual.climatology, self.climatology)
        return Normals(climatology, torch.where(lost, usual.spread, self.spread), self.own & ~lost)

    def at(self, dates: Dates) -> Tensor:
        """The climatology on some dates, `(sites, days, variables)`."""
        return self.climatology[:, torch.from_numpy(days_of_year(dates))]

    def on(self, places: Tensor) -> Tensor:
        """The climatology on days of the year of each site, 0 to 365 `(sites, days)`; `(sites, days, variables)`."""
        return self.climatology.gather(1, places.unsqueeze(2).expand(-1, -1, self.climatology.shape[2]))

    def anomalies(self, values: Tensor, dates: Dates) -> Tensor:
        """Departures from the climatology in units of their spread; of values `(sites, days, variables)`, NaN kept."""
        return (values - self.at(dates)) / self.spread.unsqueeze(1)

    def course(self, normal: Tensor) -> Tensor:
        """A climatology `(sites, days, variables)` as departures from the mean of the year, in units of the spread."""
        return (normal - self.climatology.mean(1, keepdim=True)) / self.spread.unsqueeze(1)


def values_of(data: SiteData, variables: tuple[str, ...]) -> Tensor:
    """Forcings and what was observed side by side, `(sites, days, variables)`, NaN where missing.

    Raises:
        UnknownNameError: a variable is neither a forcing of the data nor the flux that was observed.
    """
    known = {**data.forcing, data.flux: data.observed}
    if missing := [name for name in variables if name not in known]:
        raise UnknownNameError(f"the data have no series {missing[0]!r}; they have {[*known]}")
    return torch.stack([known[name].to(torch.float64) for name in variables], dim=2)


def usual_of(values: Tensor, dates: Dates) -> Usual:
    """What is normal over all sites with enough observations of a variable, `(sites, days, variables)`; NaN if none has."""
    found = [_of_site(v, dates) for v in values.numpy()]
    climatology = torch.from_numpy(np.stack([c for c, _ in found])).nanmean(0)
    spread = torch.from_numpy(np.stack([s for _, s in found])).nanmean(0)
    # What never departs from its climatology has anomalies of zero, in whatever unit.
    return Usual(climatology, torch.where(spread == 0, 1.0, spread))


def normals_of(values: Tensor, dates: Dates, usual: Usual) -> Normals:
    """Normals of sites from the values of some days, `(sites, days, variables)`."""
    if len(dates) == 0:
        sites = len(values)
        own = torch.zeros(sites, len(usual.spread), dtype=torch.bool)
        return Normals(usual.climatology.expand(sites, -1, -1), usual.spread.expand(sites, -1), own)
    found = [_of_site(v, dates) for v in values.numpy()]
    climatology = torch.from_numpy(np.stack([c for c, _ in found]))
    spread = torch.from_numpy(np.stack([s for _, s in found]))
    own = ~torch.isnan(spread)
    # A day of the year that was never observed, nor its neighbours, takes the usual course at the level of the site.
    level = torch.nan_to_num((climatology - usual.climatology).nanmean(1, keepdim=True))
    climatology = torch.where(torch.isnan(climatology), usual.climatology + level, climatology)
    spread = torch.where(own, torch.maximum(spread, FLOOR * usual.spread), usual.spread)
    return Normals(torch.where(own.unsqueeze(1), climatology, usual.climatology), spread, own)


def _of_site(values: Array, dates: Dates) -> tuple[Array, Array]:
    """Climatology `(366, variables)` and spread `(variables,)` of one site; NaN where too little was observed."""
    climatology = np.full((366, values.shape[1]), np.nan)
    spread = np.full(values.shape[1], np.nan)
    places = days_of_year(dates)
    for i, series in enumerate(values.T):
        if np.isfinite(series).sum() >= LEAST:
            climatology[:, i] = Climatology.fit(dates, series, width=WIDTH).means
            spread[i] = np.sqrt(np.nanmean((series - climatology[places, i]) ** 2))
    return climatology, spread
