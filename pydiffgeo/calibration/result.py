"""What a calibration has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..errors import InputError
from ..solve import Solution
from ..transforms import nearest_bound
from .loss_terms import Loss, told
from .objective import count, likelihood, power
from .search import State
from .site import Site

# Points this near to each other, in parts of each range, are taken for the same minimum.
APART = 0.05


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """What was found.

    Attributes:
        sites: name -> site, of all that were asked for.
        searches: name -> final state of its search, of those that succeeded; see `search`. `loss_history` and
            `tuning_history` hold the best value after each step of the refinement, `(steps, finalists)`.
        failures: name -> why, of the others.
    """

    sites: Mapping[str, Site]
    searches: Mapping[str, State]
    failures: Mapping[str, str]

    def x(self, site: str) -> Array:
        """The best point found, `(1, n)`, in the variables of the search."""
        state = self.searches[site]
        best = int(np.argmin(reached(state)))
        return np.asarray(state["best_x"][best : best + 1])

    def ensemble(self, site: str, within: float = 0.1) -> dict[str, Tensor]:
        """Values of all finalists that do nearly as well as the best: name -> `(members, 1)`.

        A record of a few decades often cannot tell very different values apart, and the mean of what they
        simulate is then often a better prediction than any one of them (equifinality: Beven 2006, J. Hydrol. 320).
        `sites[site].solve` takes these values. Finalists that came to the same point count once.

        Args:
            within: how much larger the loss of a member may be than the smallest, as a part of it. With priors, where the
                loss stands in a logarithm (see `Site`), that part of a loss with the deviations of the best.

        Raises:
            InputError: the loss is a likelihood, parts of which mean nothing.
        """
        if likelihood(self.sites[site].loss):
            raise InputError(
                f"site {site}: an ensemble needs a loss that is zero at best, not {told(self.sites[site].loss)!r}"
            )
        state = self.searches[site]
        losses = reached(state)
        limit = (1 + within) * losses.min()
        asked = self.sites[site]
        p = power(asked.loss)
        if asked.priors and p is not None and not np.isfinite(state["best_tuning"]).any():
            limit = losses.min() + count(asked.observations) / p * np.log1p(within)
        near = [int(i) for i in np.argsort(losses, kind="stable") if losses[i] <= limit]
        x = state["best_x"][near]
        return self.sites[site].values(x[apart(x, len(x))])

    def values(self, site: str) -> dict[str, float]:
        """The best values found: name -> number."""
        return {k: float(v) for k, v in self.sites[site].values(self.x(site)).items()}

    def on_bounds(self, site: str) -> dict[str, str]:
        """Of the best values, those within a hundredth of their range of a bound: name -> "lower" or "upper".

        There the bound decides, not the data: widen it, or ask whether the process is there at all.
        """
        values, items = self.values(site), self.sites[site].transforms.items
        near = {item.name: nearest_bound(values[item.name], item.low, item.high) for item in items}
        return {name: bound for name, bound in near.items() if bound is not None}

    def standard_errors(self, site: str) -> dict[str, float]:
        """How well the best values are known: name -> standard error, in the unit of the value.

        From the model linearised at the best point: the square roots of the diagonal of the inverse of `J'J`
        (Draper and Smith 1998, Applied Regression Analysis, ch. 24), with priors among the data. Errors count as
        independent; with the loss "gaussian" they are those of the observations, else that of the residuals.

        Raises:
            InputError: the loss is no sum of squares, or the data say nothing about some direction.
        """
        return self.sites[site].standard_errors(self.x(site))

    def solve(self, site: str) -> Solution:
        """The solution with the best values found, over the whole record.

        Raises:
            SolverError: it cannot be solved there.
        """
        with torch.no_grad():
            return self.sites[site].solve(self.sites[site].values(self.x(site)), throw=True)


def reached(state: State) -> Array:
    """What finalists are compared by: their smallest loss over what is held back, where anything is."""
    held_back = state["best_tuning"]
    return np.asarray(held_back if np.isfinite(held_back).any() else state["best_loss"])


def apart(x: Array, count: int) -> list[int]:
    """The first `count` rows of `x` that are not near to one before them."""
    chosen: list[int] = []
    share = 1 / (1 + np.exp(-x))
    for i in range(len(x)):
        if len(chosen) < count and all(np.abs(share[i] - share[j]).max() >= APART for j in chosen):
            chosen.append(i)
    return chosen


def training_loss(loss: Loss, priors: bool) -> str:
    """What a search makes small, in words."""
    return f"minus log posterior ({told(loss)} and priors)" if priors else f"training loss ({told(loss)})"


def prior_values(site: Site) -> dict[str, Tensor]:
    """What is calibrated, ahead of it: the means of the priors, and the middle of the range where there is none.

    A mean on a bound is as near to it as values of a search come, since the bound itself may not be allowed.
    """
    values: dict[str, Tensor] = site.values(np.zeros((1, len(site.transforms.items))))
    for item in site.transforms.items:
        if item.name in site.priors:
            low, high = item.forward(item.inverse(torch.tensor([item.low, item.high], dtype=torch.float64)))
            values[item.name] = torch.full_like(values[item.name], site.priors[item.name].mean).clamp(low, high)
    return values
