"""An ensemble by randomised maximum likelihood: each member is fitted to other errors of the data and of the priors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..checks import check_whole
from ..errors import SolverError
from .inverse_problem import InverseProblem
from .mode import Mode, at_mode, descend
from .posterior import Posterior, covariance_of, effective
from .weighted_members import Residuals, directions, drawn


def randomised_maximum_likelihood(
    problem: InverseProblem | Mode, members: int = 100, *, weighted: bool = True, seed: int = 0
) -> Posterior:
    """Draws of the posterior by as many searches: exact where what is observed is linear in the variables.

    Errors are drawn and added to the observations, the middle of each prior is moved by a draw of it, and each member goes by
    Gauss-Newton steps from the mode to its own best fit. All members are solved together.

    Members of the plain method crowd where the model is curved, and their intervals are too narrow. With weights, draws are
    fitted along those directions alone in which the variables can move residuals at the mode: the density of a member is then
    known, and it is given the weight that corrects it (see `weighted_members`). Errors that grow with what is simulated
    keep the sizes that they have at the mode in all searches: with errors added twice, a member would else find that they are
    larger, and simulate more. The weights are those of errors that grow.

    Args:
        weighted: unset, the plain method, which PEST++ does with an ensemble in place of the Jacobian (iES).

    Returns:
        `numbers` holds how many members there are, how many failed, and as how many alike ones the weighted are good.

    Raises:
        SolverError: no member could be fitted. InputError: see `at_mode`; with weights, neither data nor priors say anything
            about some direction.

    Sources: Kitanidis 1995, Water Resour. Res. 31(10); Oliver, He and Reynolds 1996; Chen and Oliver 2013, Comput.
    Geosci. 17; Bardsley, Solonen, Haario and Laine 2014, SIAM J. Sci. Comput. 36(4).
    """
    check_whole(2, members=members)
    check_whole(0, seed=seed)
    mode = problem if isinstance(problem, Mode) else at_mode(problem)
    random = torch.Generator().manual_seed(seed)
    x, weights = (_weighted if weighted else _plain)(mode, members, random)
    good = weights > 0
    if good.sum() < 2:
        raise SolverError(
            f"{mode.problem.name}: {int(good.sum())} of {members} members of the ensemble could be fitted"
        )
    draws, weights = x[good], weights[good] / weights[good].sum()
    numbers = {"members": float(len(draws)), "failed": float(members - len(draws))}
    if weighted:
        numbers["effective_members"] = effective(weights)
    numbers["values_the_data_determine"] = mode.determined
    covariance = np.cov(draws.T, aweights=weights).reshape(draws.shape[1], -1)
    return Posterior("rml", mode, covariance, draws, numbers, weights=weights if weighted else None)


def _weighted(mode: Mode, members: int, random: torch.Generator) -> tuple[Array, Array]:
    """Members `(members, n)` and their weights `(members,)`, zero for those that failed."""
    covariance_of(mode)
    residuals = Residuals(mode.problem, mode.errors.held(mode.simulated))
    basis = directions(residuals, mode.problem.x[None]).expand(members, -1, -1)
    x, weights = drawn(residuals, basis, np.repeat(mode.problem.x[None], members, 0), mode.errors, random)
    return x, np.exp(weights - max(float(weights.max()), -1e300))


def _plain(mode: Mode, members: int, random: torch.Generator) -> tuple[Array, Array]:
    """The same by searches of the whole misfit, all weights alike."""
    errors, simulated = mode.errors.held(mode.simulated), mode.simulated.expand(members, -1)
    observed = mode.problem.record.observed + errors.noise(simulated, random)
    shift = _prior_draws(mode.problem, members, random)
    start = np.repeat(mode.problem.x[None], members, 0)
    state = descend(mode.problem, errors, start, observed=observed, shift=shift, tolerance=1e-6)
    return np.asarray(state["x"]), np.isfinite(state["loss"]).astype(float)


def _prior_draws(problem: InverseProblem, members: int, random: torch.Generator) -> Tensor:
    """By how much the priors of each member are moved, `(members, n)`; see `InverseProblem.prior`."""
    normal = torch.randn(members, len(problem.names), generator=random, dtype=torch.float64)
    share = torch.rand(normal.shape, generator=random, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
    for i, name in enumerate(problem.names):
        if name not in problem.priors:
            normal[:, i] = torch.logit(share[:, i]) if problem.transforms is not None else 0.0
    return normal
