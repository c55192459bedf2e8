"""Members of an ensemble whose density is known, so that each can be given the weight it has in the posterior.

With whitened residuals `F(x)` of data and priors, of which the posterior density is `exp(-|F|^2 / 2)`, and an orthonormal basis
`Q` of the columns of their Jacobian at the mode, a member solves `Q'F(x) = xi` for a draw `xi` of a standard normal
distribution. Its density is `|det Q'J(x)| exp(-|Q'F|^2 / 2)`, and the ratio of the two its weight. Where `F` is linear, all
weights are alike.

Source: Bardsley, Solonen, Haario and Laine 2014, SIAM J. Sci. Comput. 36(4), A1895 (randomize-then-optimize).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Indices
from ..calibration.search import Evaluation
from .error_model import Errors
from .inverse_problem import InverseProblem
from .mode import damped, rows_of

# Half the sum of squares by which a member may miss its draw, of standard normal ones.
MISSED = 1e-6
# Gains that end the search for a member, by the same measure.
SETTLED = 1e-9
# A variable further out is at its bound.
FAR = 600.0


@dataclass(frozen=True, eq=False)
class Residuals:
    """Whitened residuals of data and priors.

    Attributes:
        problem: whose. errors: of each member, with sizes that do not depend on what is simulated.
        observed: of each member, `(members, m)`, where they have their own.
    """

    problem: InverseProblem
    errors: Errors
    observed: Tensor | None = None

    def of(self, members: Indices) -> Residuals:
        """Those of some members."""
        own = None if self.observed is None else self.observed[members]
        return Residuals(self.problem, rows_of(self.errors, members), own)

    def at(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Residuals `(members, m + n)`, their Jacobian `(members, m + n, n)`, what is observed `(members, m)`, and which members
        were solved `(members,)`.
        """
        value, slope, ok = self.problem.linearised(x)
        data = -self.errors.innovations(value, self.observed) / self.errors.size
        leaf = x.detach().clone().requires_grad_()
        scores = prior_scores(self.problem, leaf)
        along = torch.zeros_like(x)
        if scores.requires_grad:
            (along,) = torch.autograd.grad(scores.sum(), leaf)
        jacobian = torch.cat([self.errors.rows(value, slope), torch.diag_embed(along)], dim=1)
        return torch.cat([data, scores.detach()], dim=1), jacobian, value, ok


def prior_scores(problem: InverseProblem, x: Tensor) -> Tensor:
    """Of variables `(members, n)`, numbers that are standard normal before the data come; zero where nothing is known then."""
    values, columns = problem.values(x), list[Tensor]()
    for i, name in enumerate(problem.names):
        if name in problem.priors:
            columns.append(problem.priors[name].deviation(values[:, i]))
        elif problem.transforms is not None:
            # The normal score of the share of the way between the bounds, by the nearer one.
            low = x[:, i] < 0
            score = torch.special.ndtri(torch.sigmoid(torch.where(low, x[:, i], -x[:, i]).clamp(min=-FAR)))
            columns.append(torch.where(low, score, -score))
        else:
            columns.append(torch.zeros_like(x[:, i]))
    return torch.stack(columns, dim=1)


def directions(residuals: Residuals, x: Array) -> Tensor:
    """An orthonormal basis of what changes in the residuals of each member at first, `(members, m + n, n)`, so oriented that
    `det Q'J` is positive there.
    """
    basis, triangle = torch.linalg.qr(residuals.at(torch.from_numpy(np.array(x)))[1])
    turned = torch.where(torch.linalg.det(triangle) < 0, -1.0, 1.0)
    basis[:, :, 0] *= turned[:, None]
    return basis


@dataclass(frozen=True, eq=False)
class Members:
    """Draws of known density.

    Attributes:
        x: `(members, n)`. simulated: what is observed of each, `(members, m)`.
        density: logarithm of the density at each, but for a constant, `(members,)`; minus infinity for one that could not be
            solved, or lies beyond a fold of the map.
    """

    x: Tensor
    simulated: Tensor
    density: Tensor

    def of(self, members: Indices) -> Members:
        """Some of them."""
        return Members(self.x[members], self.simulated[members], self.density[members])


def measured(residuals: Residuals, basis: Tensor, x: Tensor) -> tuple[Members, Tensor]:
    """With what density members would be drawn at `x`, `(members, n)`, and of which draws, `(members, n)`."""
    full, jacobian, value, ok = residuals.at(x)
    projected = torch.einsum("mri,mr->mi", basis, full)
    sign, size = torch.linalg.slogdet(torch.einsum("mri,mrj->mij", basis, jacobian))
    density = size - 0.5 * (projected**2).sum(1)
    return Members(x, value, torch.where(ok & (sign > 0), density, -torch.inf)), projected


def fitted(residuals: Residuals, basis: Tensor, x: Array, random: torch.Generator) -> Members:
    """Members that are drawn.

    Args:
        basis: `(members, m + n, n)`, from `directions`.
        x: where members start from, `(members, n)`.
    """
    aim = torch.randn(x.shape, generator=random, dtype=torch.float64)

    def evaluate(trial: Array, active: Indices) -> Evaluation:
        full, jacobian, _, ok = residuals.of(active).at(torch.from_numpy(np.array(trial)))
        rest = torch.einsum("mri,mr->mi", basis[active], full) - aim[active]
        rows = torch.einsum("mri,mrj->mij", basis[active], jacobian)
        loss = torch.where(ok, 0.5 * (rest**2).sum(1), torch.inf)
        gradient = torch.einsum("mij,mi->mj", rows, rest)
        normal = 0.5 * torch.einsum("mki,mkj->mij", rows, rows)
        why = "" if bool(ok.all()) else "a solve failed"
        return Evaluation(loss.numpy(), gradient.numpy(), None, normal.numpy(), why, np.ones(len(trial)))

    found = torch.from_numpy(np.asarray(damped(evaluate, x, SETTLED)["x"]))
    members, projected = measured(residuals, basis, found)
    missed = 0.5 * ((projected - aim) ** 2).sum(1) >= MISSED
    return Members(members.x, members.simulated, torch.where(missed, -torch.inf, members.density))


def drawn(residuals: Residuals, basis: Tensor, x: Array, real: Errors, random: torch.Generator) -> tuple[Array, Array]:
    """Members `(members, n)` and the logarithms of their weights `(members,)`, but for a constant.

    The weight of one that cannot be solved, or lies beyond a fold of the map, is minus infinity.

    Args:
        basis, x: as `fitted` takes them.
        real: errors of the posterior, with sizes that may depend on what is simulated.
    """
    members = fitted(residuals, basis, x, random)
    potential = real.potential(members.simulated, residuals.observed) + residuals.problem.prior(members.x)
    good = torch.isfinite(members.density)
    return members.x.numpy(), torch.where(good, -potential - members.density, -torch.inf).numpy()
