"""Jumps of a chain to members of weighted ensembles, wherever it is.

A chain that follows a bent valley step by step takes long to come round. Members of a weighted ensemble lie anywhere in the
valley, and their density `q` is known: with the posterior `p`, one at `x'` is taken from `x` with the probability
`min(1, p(x') q(x) / (p(x) q(x')))`, which leaves the posterior as it is. Numbers of errors stay what they are in a jump. Between jumps
other steps move them, and reach what the members do not.

Where two points lead to the same draw of a member, a search finds but one of them, and `q` is too large at the other. As with
weights, what lies beyond a fold of the map is never jumped to, and never jumped away from.

Sources: Tierney 1994, Ann. Stat. 22(4) (independence chains); Bardsley, Solonen, Haario and Laine 2014, SIAM J. Sci.
Comput. 36(4), A1895 (with randomize-then-optimize for the proposals).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from .density import Density
from .inverse_problem import BATCH
from .mode import Mode
from .weighted_members import Members, Residuals, directions, fitted, measured


@dataclass(frozen=True, eq=False)
class Jumps:
    """Where chains may jump to, one member for each chain and step.

    Attributes:
        residuals: with errors that are held at the mode. basis: of each chain, `(chains, rows, n)`.
        members: one step after the other, `(steps chains)`.
        chances: uniform numbers, `(steps, chains)`.
    """

    residuals: Residuals
    basis: Tensor
    members: Members
    chances: Tensor

    def jumped(self, target: Density, z: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Coordinates `(chains, n + e)` after a jump from `z`, and which chains have taken it, `(chains,)`."""
        count, n = z.shape[0], self.members.x.shape[1]
        x, free = target.parts(z.detach())
        there = self.members.of(np.arange(step * count, (step + 1) * count))
        here = measured(self.residuals, self.basis, x)[0]
        gain = self._weight(target, there, free) - self._weight(target, here, free)
        taken = torch.log(self.chances[step]) < torch.nan_to_num(gain, nan=-torch.inf)
        away = (there.x - target.centre[..., :n]).unsqueeze(-1)
        at = torch.linalg.solve_triangular(target.root[..., :n, :n].expand(count, n, n), away, upper=False).squeeze(-1)
        return torch.where(taken[:, None], torch.cat([at, z[:, n:]], dim=1), z), taken

    def _weight(self, target: Density, members: Members, free: Tensor) -> Tensor:
        """Logarithms of posterior over density `(chains,)`: one that could not be drawn is not worth staying away from."""
        potential = target.of_errors(free, members.simulated) + target.problem.prior(members.x)
        return torch.where(torch.isfinite(members.density), -potential - members.density, torch.nan).detach()


def jumps_of(
    residuals: Residuals, basis: Tensor, start: Array, steps: int, random: torch.Generator, *, batch: int = BATCH
) -> Jumps:
    """Members for so many steps of chains, whose searches go from `start`, `(chains, n)`, `batch` of them at once."""
    chains = len(start)
    whose = np.tile(np.arange(chains), steps)
    parts = [
        fitted(residuals.of(part), basis[part], start[part], random)
        for part in np.split(whose, range(batch, len(whose), batch))
    ]
    members = Members(*(torch.cat([getattr(p, k) for p in parts]) for k in ("x", "simulated", "density")))
    chances = torch.rand(steps, chains, generator=random, dtype=torch.float64)
    return Jumps(residuals, basis, members, chances)


def jumps_of_mode(mode: Mode, steps: int, random: torch.Generator) -> Jumps:
    """Of a chain about a mode."""
    at = mode.problem.x[None]
    residuals = Residuals(mode.problem, mode.errors.held(mode.simulated))
    return jumps_of(residuals, directions(residuals, at), at, steps, random)
