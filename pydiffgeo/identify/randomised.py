"""An ensemble by randomised maximum likelihood: each member is fitted to other errors of the data and of the priors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..checks import check_whole
from ..errors import SolverError
from .inverse_problem import InverseProblem
from .mode import Mode, at_mode, descend
from .posterior import Posterior


def randomised_maximum_likelihood(problem: InverseProblem | Mode, members: int = 100, *, seed: int = 0) -> Posterior:
    """Draws of the posterior by as many searches: exact where what is observed is linear in the variables.

    Errors are drawn for the best simulation and added to the observations, and the middle of each prior is moved by a draw of
    it; each member then goes by Gauss-Newton steps from the mode to its own. All members are solved together. Errors that grow
    with what is simulated keep the sizes that they have at the mode: with errors added twice, a member would else find that
    they are larger, and simulate more.

    It is what PEST++ does with an ensemble in place of the Jacobian (iES).

    Raises:
        SolverError: no member could be fitted. InputError: see `at_mode`.

    Sources: Kitanidis 1995, Water Resour. Res. 31(10); Oliver, He and Reynolds 1996; Chen and Oliver 2013, Comput.
    Geosci. 17.
    """
    check_whole(2, members=members)
    check_whole(0, seed=seed)
    mode = problem if isinstance(problem, Mode) else at_mode(problem)
    random = torch.Generator().manual_seed(seed)
    errors, simulated = mode.errors.held(mode.simulated), mode.simulated.expand(members, -1)
    observed = mode.problem.record.observed + errors.noise(simulated, random)
    shift = _prior_draws(mode.problem, members, random)
    state = descend(
        mode.problem,
        errors,
        np.repeat(mode.problem.x[None], members, 0),
        observed=observed,
        shift=shift,
        tolerance=1e-6,
    )
    good = np.isfinite(state["loss"])
    if good.sum() < 2:
        raise SolverError(
            f"{mode.problem.name}: {int(good.sum())} of {members} members of the ensemble could be fitted"
        )
    draws = state["x"][good]
    numbers = {
        "members": float(len(draws)),
        "failed": float(members - len(draws)),
        "values_the_data_determine": mode.determined,
    }
    return Posterior("rml", mode, np.cov(draws.T).reshape(draws.shape[1], -1), draws, numbers)


def _prior_draws(problem: InverseProblem, members: int, random: torch.Generator) -> Tensor:
    """By how much the priors of each member are moved, `(members, n)`; see `InverseProblem.prior`."""
    normal = torch.randn(members, len(problem.names), generator=random, dtype=torch.float64)
    share = torch.rand(normal.shape, generator=random, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
    for i, name in enumerate(problem.names):
        if name not in problem.priors:
            normal[:, i] = torch.logit(share[:, i]) if problem.transforms is not None else 0.0
    return normal
