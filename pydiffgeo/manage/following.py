"""What happens when a policy is followed: runs, their rewards, and how many crash."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_whole
from ..errors import InputError

# Next states `(runs,)` of states, actions and a source of random numbers.
Step = Callable[[Tensor, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of runs that followed a policy.

    Attributes:
        states: `(runs, steps + 1)`. actions, rewards: `(runs, steps)`, as given by the policy, and what was earned.
        crashed: `(runs,)`, which runs ended in a crash.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    crashed: Tensor

    @property
    def total(self) -> Tensor:
        """Undiscounted reward of each run, `(runs,)`."""
        return self.rewards.sum(1)

    @property
    def crash_fraction(self) -> float:
        """Share of the runs that crashed."""
        return float(self.crashed.double().mean())

    @property
    def crash_interval(self) -> tuple[float, float]:
        """95 % interval of the probability to crash (Wilson 1927)."""
        n, p, z = len(self.crashed), self.crash_fraction, 1.959964
        middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return max(0.0, (middle - half) / (1 + z**2 / n)), min(1.0, (middle + half) / (1 + z**2 / n))


def follow(
    policy: Callable[[Tensor], Tensor],
    step: Step,
    reward: Callable[[Tensor, Tensor], Tensor],
    *,
    start: float,
    steps: int,
    crashed: Callable[[Tensor], Tensor],
    runs: int = 100,
    seed: int = 0,
) -> Outcome:
    """Runs of a process under a policy, all from one state; runs of equal seeds meet the same chance.

    Args:
        policy: actions `(runs,)` in states `(runs,)`. step: see `Step`. reward: of states and actions, each `(runs,)`.
        crashed: which last states `(runs,)` count as a crash.

    Raises:
        InputError: a state or reward is not finite; says after how many steps.
    """
    check_whole(1, steps=steps, runs=runs)
    random = torch.Generator().manual_seed(seed)
    states, actions, rewards = [torch.full((runs,), float(start), dtype=torch.float64)], [], []
    for number in range(steps):
        actions.append(policy(states[-1]))
        rewards.append(reward(states[-1], actions[-1]))
        states.append(step(states[-1], actions[-1], random))
        if not (torch.isfinite(states[-1]) & torch.isfinite(rewards[-1])).all():
            raise InputError(f"a state or reward is not finite after {number + 1} steps")
    return Outcome(torch.stack(states, 1), torch.stack(actions, 1), torch.stack(rewards, 1), crashed(states[-1]))
