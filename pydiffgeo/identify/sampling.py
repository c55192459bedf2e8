"""Draws of the whole posterior by the No-U-Turn sampler of Pyro about the mode, whose chains jump as well."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..checks import check_whole
from ..errors import MissingPackageError
from .density import Density, density
from .inverse_problem import InverseProblem
from .jumps import Jumps, jumps_of_mode
from .mode import Mode, at_mode
from .posterior import Posterior


def no_u_turn(
    potential: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    draws: int,
    warmup: int,
    seed: int,
    depth: int = 6,
    accept: float = 0.8,
    jump: Callable[[Tensor], Tensor | None] | None = None,
) -> tuple[Array, int]:
    """One chain of the No-U-Turn sampler: draws `(draws, n)` and how many trajectories diverged.

    Args:
        potential: minus the log density `()` of coordinates `(n,)`, which should be nearly standard normal.
        start: `(n,)`. depth: of the tree, at most.
        jump: makes a step of another kind from coordinates `(n,)` ahead of each trajectory, which leaves the density as it is;
            None where the chain stays.

    Raises:
        MissingPackageError: Pyro is not installed.

    Source: Hoffman and Gelman 2014, J. Mach. Learn. Res. 15.
    """
    try:
        from pyro.infer import MCMC, NUTS
    except ModuleNotFoundError as error:
        raise MissingPackageError("full sampling needs Pyro: pip install 'pydiffgeo[sampling]'") from error

    class Alternating(NUTS):
        def sample(self, params: dict[str, Tensor]) -> dict[str, Tensor]:
            if jump is not None and (moved := jump(params["z"])) is not None:
                self.clear_cache()
                params = {"z": moved}
            found: dict[str, Tensor] = super().sample(params)
            return found

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        kernel = Alternating(
            potential_fn=lambda z: potential(z["z"]), max_tree_depth=depth, target_accept_prob=accept, full_mass=True
        )
        chain = MCMC(kernel, draws, warmup, initial_params={"z": start}, disable_progbar=True)
        chain.run()
        found = chain.get_samples()["z"].detach().numpy()
        diverged = len(chain.diagnostics()["divergences"]["chain 0"])
    return np.asarray(found), diverged


def sample(
    problem: InverseProblem | Mode,
    *,
    draws: int = 250,
    warmup: int = 150,
    chains: int = 4,
    jumps: bool = True,
    seed: int = 0,
) -> Posterior:
    """Draws of the posterior of the values, and of what is unknown of the errors.

    Coordinates are those in which Laplace's approximation is standard normal; each chain starts from a draw of it. Ahead of each
    trajectory a chain may jump to a member of a weighted ensemble, across valleys that it would follow for long (see `jumps`).

    Args:
        draws: of each chain, after `warmup` ones in which the steps are found.
        jumps: unset, chains only follow their trajectories.

    Returns:
        `numbers` holds the largest R-hat (split; trust draws where it is below 1.05), the smallest effective sample size, how
        many trajectories diverged and the share of jumps that was taken.

    Raises:
        MissingPackageError: Pyro is not installed. SolverError, InputError: see `at_mode`.
    """
    check_whole(2, draws=draws, chains=chains)
    check_whole(10, warmup=warmup)
    check_whole(0, seed=seed)
    mode = problem if isinstance(problem, Mode) else at_mode(problem)
    target = density(mode)
    random = torch.Generator().manual_seed(seed)
    starts = torch.randn(chains, len(target.centre), generator=random, dtype=torch.float64)
    taken, runs = list[bool](), list[tuple[Array, int]]()
    for i, start in enumerate(starts):
        jump = _jump(target, jumps_of_mode(mode, warmup + draws, random), taken) if jumps else None
        runs.append(
            no_u_turn(lambda z: target(z[None])[0], start, draws=draws, warmup=warmup, seed=seed * 1000 + i, jump=jump)
        )
    z = np.stack([run[0] for run in runs])
    rhat, effective = diagnostics(z)
    x, free = target.parts(torch.from_numpy(z.reshape(-1, z.shape[-1])))
    drawn = target.errors(free)
    kept = {name: getattr(drawn, name).numpy()[:, 0] for name in mode.asked.unknown}
    numbers = {
        "largest_R_hat": float(rhat.max()),
        "smallest_effective_sample_size": float(effective.min()),
        "diverged": float(sum(run[1] for run in runs)),
        "values_the_data_determine": mode.determined,
    }
    if jumps:
        numbers["share_of_jumps_taken"] = float(np.mean(taken))
    return Posterior("sampling", mode, np.cov(x.numpy().T).reshape(x.shape[1], -1), x.numpy(), numbers, kept)


def _jump(target: Density, members: Jumps, taken: list[bool]) -> Callable[[Tensor], Tensor | None]:
    """The next jump of a chain each time it is called; whether it was taken is added to `taken`."""
    steps = itertools.count()

    def jump(z: Tensor) -> Tensor | None:
        there, went = members.jumped(target, z[None], next(steps))
        taken.append(bool(went))
        return there[0] if taken[-1] else None

    return jump


def diagnostics(chains: Array) -> tuple[Array, Array]:
    """Split R-hat and effective sample size `(n,)` of chains `(chains, draws, n)` (Gelman et al. 2013, section 11.4)."""
    from pyro.ops.stats import effective_sample_size, split_gelman_rubin

    given = torch.from_numpy(np.ascontiguousarray(chains))
    return np.asarray(split_gelman_rubin(given).numpy()), np.asarray(effective_sample_size(given).numpy())
