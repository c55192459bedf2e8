"""The density of the posterior, in coordinates in which it is nearly normal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .error_model import LONGEST, ErrorModel, Errors
from .inverse_problem import InverseProblem
from .mode import Mode
from .posterior import covariance_of

# Minus the log density of what cannot be solved: such a step is refused.
REFUSED = 1e12
# Growth of errors where the search for it begins to be blind; the widest spread of a transformed number of errors.
LEAST, WIDEST = 1e-3, 1.5


@dataclass(frozen=True, eq=False)
class Density:
    """Minus the log posterior of variables and unknown numbers of errors, in coordinates that are nearly normal.

    Attributes:
        problem: whose values are drawn. asked: what of the errors is drawn as well.
        centre: `(n + e,)`. root: `(n + e, n + e)`, a root of their covariance near the mode. Or those of each member.
        observed: of each member, `(members, m)`, where they have their own.
    """

    problem: InverseProblem
    asked: ErrorModel
    centre: Tensor
    root: Tensor
    observed: Tensor | None = None

    def parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Variables `(members, n)` and numbers of errors `(members, e)`, transformed, of coordinates `(members, n + e)`."""
        at = self.centre + torch.einsum("...ij,...j->...i", self.root, z)
        count = len(self.problem.names)
        return at[:, :count], at[:, count:]

    def errors(self, free: Tensor) -> Errors:
        """Those of each member."""
        given = Errors.of(self.problem.errors, self.problem.record)
        numbers = {"size": given.size, "growth": given.growth, "autocorrelation": given.autocorrelation}
        for i, name in enumerate(self.asked.unknown):
            column = free[:, i : i + 1]
            numbers[name] = LONGEST * torch.sigmoid(column) if name == "autocorrelation" else torch.exp(column)
        return Errors(given.record, **numbers)

    def __call__(self, z: Tensor) -> Tensor:
        """`(members,)`. The size of errors is equally likely on a logarithmic scale, how long they last on a plain one; their
        growth has an exponential prior with mean one.
        """
        x, free = self.parts(z)
        simulated = self.problem.function(x)
        ok = torch.isfinite(simulated.detach()).all(1)
        potential = self.of_errors(free, torch.where(ok[:, None], simulated, 1.0)) + self.problem.prior(x)
        return torch.where(ok, potential, REFUSED)

    def of_errors(self, free: Tensor, simulated: Tensor) -> Tensor:
        """The part of the errors `(members,)`: their prior and the likelihood of what is simulated, `(members, m)`."""
        potential = self.errors(free).potential(simulated, self.observed)
        for i, name in enumerate(self.asked.unknown):
            column = free[:, i]
            if name == "autocorrelation":
                potential = potential + column + 2 * torch.nn.functional.softplus(-column)
            elif name == "growth":
                potential = potential + torch.exp(column) - column
        return potential


def density(mode: Mode) -> Density:
    """The posterior density about a mode.

    Numbers of errors go together: errors that are larger grow less, and those that last longer leave their size more open. Their
    block of the covariance is therefore the inverse of the second derivatives of the density to all of them, at what is simulated
    at the mode; to first order they have nothing to do with the values.
    """
    covariance, found = covariance_of(mode), mode.problem.errors
    centres = list[float]()
    for name in mode.asked.unknown:
        value = float(getattr(found, name) or 0.0)
        if name == "autocorrelation":
            share = min(max(value / LONGEST, 0.01), 0.99)
            centres.append(math.log(share / (1 - share)))
        else:
            centres.append(math.log(max(value, LEAST)))
    values, numbers = torch.from_numpy(mode.problem.x), torch.tensor(centres, dtype=torch.float64)
    spread = torch.from_numpy(np.linalg.cholesky(covariance))
    target = Density(
        mode.problem, mode.asked, torch.cat([values, numbers]), torch.block_diag(spread, torch.eye(len(numbers)))
    )
    return replace(target, root=torch.block_diag(spread, _root_of_errors(target, mode.simulated, numbers)))


def _root_of_errors(target: Density, simulated: Tensor, numbers: Tensor) -> Tensor:
    """A root `(e, e)` of the covariance of the transformed numbers of errors about `numbers`, `(e,)`."""
    if not len(numbers):
        return numbers.new_zeros(0, 0)

    def potential(free: Tensor) -> Tensor:
        return target.of_errors(free[None], simulated[None])[0]

    bend = torch.autograd.functional.hessian(potential, numbers)
    sizes, vectors = torch.linalg.eigh(torch.nan_to_num(bend))
    # Where the density is flat or bends the other way, what is left is about the spread of the prior.
    return torch.linalg.cholesky((vectors / sizes.clamp(min=1 / WIDEST**2)) @ vectors.T)
