"""Stochastic dynamic programming on a grid: the best action in each state, and what any policy is worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import is_number
from ..errors import InputError, ShapeError, SolverError


@dataclass(frozen=True, eq=False)
class Policy:
    """What to do in each state.

    Attributes:
        states: `(states,)`, rising. actions: `(states,)`, in the unit of the actions.
        choices: `(states,)`, the numbers of those actions. value: `(states,)`, expected discounted reward from there on.
    """

    states: Tensor
    actions: Tensor
    choices: Tensor
    value: Tensor

    def __call__(self, state: Tensor) -> Tensor:
        """Actions `(n,)` in states `(n,)`, those of the nearest state of the grid."""
        edges = (self.states[1:] + self.states[:-1]) / 2
        return self.actions[torch.bucketize(state.contiguous(), edges)]


@dataclass(frozen=True, eq=False)
class DecisionProblem:
    """States, actions, where each action leads with what probability, and what it earns.

    Attributes:
        states: `(states,)`, rising. actions: `(actions,)`.
        transitions: `(actions, states, states)`, from the second to the third; rows are probabilities.
        reward: `(actions, states)`, of an action in a state.
        discount: what the reward of the next step counts today, at least zero and below one.

    Raises:
        InputError: (or a subclass) shapes do not fit, rows do not sum to one, or a number is not finite.
    """

    states: Tensor
    actions: Tensor
    transitions: Tensor
    reward: Tensor
    discount: float

    def __post_init__(self) -> None:
        n, m = len(self.states), len(self.actions)
        if tuple(self.transitions.shape) != (m, n, n) or tuple(self.reward.shape) != (m, n):
            raise ShapeError(
                f"{m} actions in {n} states need transitions {(m, n, n)} and rewards {(m, n)}, "
                f"got {tuple(self.transitions.shape)} and {tuple(self.reward.shape)}"
            )
        if n < 2 or not (self.states.diff() > 0).all():
            raise InputError("states must be two or more, and rise")
        if not is_number(self.discount) or not 0 <= self.discount < 1:
            raise InputError(f"discount must be at least zero and below one, got {self.discount!r}")
        if not torch.isfinite(self.reward).all():
            raise InputError("rewards must be finite")
        wrong = ((self.transitions.sum(-1) - 1).abs() > 1e-9) | (self.transitions < 0).any(-1)
        if wrong.any():
            action, state = wrong.nonzero()[0].tolist()
            raise InputError(f"the row of action {action} in state {state} is no distribution: it must sum to one")

    def solve(self, *, most: int = 1000) -> Policy:
        """The best policy, by policy iteration (Howard 1960): exact on the grid.

        Of actions that are worth the same, the first is taken.

        Raises:
            SolverError: policies go on changing after `most` rounds.
        """
        choices = self.reward.argmax(0)
        for _ in range(most):
            value = self.value(choices)
            worth = self.reward + self.discount * self.transitions @ value
            # Round-off must not make a difference between equals, nor keep the search going.
            best = worth.max(0).values
            slack = 1e-11 * (1.0 + best.abs())
            new = (worth >= best - slack).to(torch.int8).argmax(0)
            if (worth.gather(0, choices[None])[0] >= best - slack).all():
                return Policy(self.states, self.actions[new], new, self.value(new))
            choices = new
        raise SolverError(f"the policy still changes after {most} rounds")

    def value(self, policy: Tensor | Policy) -> Tensor:
        """Expected discounted reward of a policy, or of numbers of actions `(states,)`, from each state `(states,)` on."""
        rows, reward = self._under(policy)
        here = torch.eye(len(self.states), dtype=rows.dtype)
        return torch.linalg.solve(here - self.discount * rows, reward)

    def crash_probability(self, policy: Tensor | Policy, crashed: Tensor, steps: int) -> Tensor:
        """Probability `(states,)` to have been in one of the `crashed` states, `(states,)` of truth values, within `steps`."""
        rows, _ = self._under(policy)
        reached = crashed.to(rows.dtype)
        for _ in range(steps):
            reached = torch.where(crashed, 1.0, rows @ reached)
        return reached

    def cost(self, policy: Tensor | Policy) -> Tensor:
        """Share of the best value that a policy forgoes, `(states,)`: of caution, or of ignorance; zero where none is to be had."""
        best, own = self.solve().value, self.value(policy)
        return torch.where(best.abs() > 0, (best - own) / best.abs().clamp(min=1e-300), 0.0)

    def _under(self, policy: Tensor | Policy) -> tuple[Tensor, Tensor]:
        """Rows `(states, states)` and rewards `(states,)` of a policy."""
        choices = policy.choices if isinstance(policy, Policy) else policy
        each = torch.arange(len(self.states))
        if choices.shape != each.shape:
            raise ShapeError(f"a policy has an action for each of {len(each)} states, got {tuple(choices.shape)}")
        return self.transitions[choices, each], self.reward[choices, each]
