"""The local learning coefficient: how fast the volume of nearly as good weights grows with the loss that is allowed.

For a regular model it is half the number of weights; what is less are degeneracies, those beyond second order among them.
The estimate is `n beta (mean of L_n over draws - L_n(w*))` with `n beta = n / log n`, over draws of the density
`exp(-n beta L_n(w) - gamma / 2 |w - w*|^2)`.

Sources: Lau et al. 2025, AISTATS (arXiv 2308.12108), section 4, for the estimate and stochastic gradient Langevin dynamics;
Roberts and Tweedie 1996, Bernoulli 2(4), for the steps that are accepted or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..checks import check_positive, check_whole, check_within
from ..errors import InputError, ShapeError

# Minus the log likelihood of each datum `(rows,)` at weights `(w,)`.
Loss = Callable[..., Tensor]
# An estimate that moves by more than this part when steps are halved and draws doubled is not to be trusted.
MOVES = 0.2
# Chains that differ from each other by more than this have not met (split R-hat of their losses).
MIXED = 1.2
# Steps that are accepted so often explore best (Roberts and Rosenthal 1998, J. R. Stat. Soc. B 60).
ACCEPTED = 0.574


@dataclass(frozen=True, eq=False)
class LearningCoefficient:
    """An estimate with its checks.

    Attributes:
        value: mean over the chains. chains: of each, `(chains,)`.
        again: with half the step and twice the draws; NaN where that was not asked for.
        accepted: share of steps; 1 where all are taken.
        mixed: split R-hat of the losses of the chains.
        step: variance of the noise of a step.
    """

    value: float
    chains: Array
    again: float
    accepted: float
    mixed: float
    step: float

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the estimate is not to be trusted; empty where there is no reason."""
        found = []
        if self.value < 0 or self.again < 0:
            found.append("it is negative: the weights are at no minimum of this loss")
        if np.isfinite(self.again) and abs(self.again - self.value) > MOVES * abs(self.value):
            found.append(f"it moves to {self.again:.3g} with half the step and twice the draws")
        if not np.isfinite(self.value):
            found.append("chains left every bound: take smaller steps")
        if self.accepted < 0.1:
            found.append(f"only {100 * self.accepted:.2g} % of the steps are accepted")
        if self.mixed > MIXED:
            found.append(f"chains have not met (R-hat {self.mixed:.2f}): take more draws")
        return tuple(found)

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the estimate."""
        return not self.doubts


def local_learning_coefficient(
    loss: Loss,
    weights: Tensor,
    *data: Tensor,
    step: float = 1e-4,
    draws: int = 2000,
    burn_in: int = 500,
    chains: int = 10,
    gamma: float = 1.0,
    batch: int | None = None,
    box: float | None = None,
    again: bool = True,
    seed: int = 0,
) -> LearningCoefficient:
    """The local learning coefficient of a loss at a minimum.

    Without `batch`, steps see all data and are accepted or not, so that their size has no effect on what is found; it is adapted
    in the burn-in. With it they are those of stochastic gradient Langevin dynamics, and `step` matters.

    Args:
        loss: `loss(w, *rows of data)` returns minus the log likelihood of each row, `(rows,)`, with weights `(w,)`; chains
            are vectorised by `torch.vmap`.
        weights: a minimum `(w,)`, of this very loss.
        data: tensors whose first dimension are the data.
        step: variance of the noise of a step. draws: after the `burn_in`, of each chain.
        gamma: pull back to the weights, for what is flat to infinity.
        box: half the width of a box about zero, in which all weights stay; for a uniform density in place of the pull.
        again: whether to check with half the step and twice the draws.

    Raises:
        ShapeError: weights are no vector, or data differ in length. InputError: other numbers do not fit.
    """
    check_whole(1, draws=draws, chains=chains)
    check_whole(0, burn_in=burn_in, seed=seed)
    check_positive(step=step)
    check_within(0.0, math.inf, "zero or positive", gamma=gamma)
    if weights.ndim != 1 or not data or len({len(d) for d in data}) > 1 or len(data[0]) < 3:
        raise ShapeError("weights must be (w,), and data tensors with one length, of 3 or more")
    if batch is not None:
        check_whole(1, batch=batch)
        if batch > len(data[0]):
            raise InputError(f"batch must be at most the {len(data[0])} data, got {batch}")
    given = _Target(loss, weights.detach().double(), data, gamma, batch, box)
    first = _run(given, step, draws, burn_in, chains, seed)
    second = _run(given, first.step / 2, 2 * draws, 2 * burn_in, chains, seed + 1) if again else None
    return LearningCoefficient(
        first.value, first.chains, second.value if second else float("nan"), first.accepted, first.mixed, first.step
    )


@dataclass(frozen=True, eq=False)
class _Target:
    loss: Loss
    weights: Tensor
    data: tuple[Tensor, ...]
    gamma: float
    batch: int | None
    box: float | None

    @property
    def heat(self) -> float:
        """`n beta`."""
        return len(self.data[0]) / math.log(len(self.data[0]))

    def at(self, w: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean losses `(chains,)` and minus the gradient of the log density `(chains, w)`."""
        data = self.data if rows is None else tuple(d[rows] for d in self.data)

        def one(v: Tensor) -> Tensor:
            return self.loss(v, *data).mean()

        slope, value = torch.func.vmap(torch.func.grad_and_value(one))(w)
        return value.detach(), self.heat * slope.detach() + self.gamma * (w - self.weights)

    def energy(self, w: Tensor, value: Tensor) -> Tensor:
        total = self.heat * value + 0.5 * self.gamma * ((w - self.weights) ** 2).sum(1)
        return total if self.box is None else torch.where((w.abs() <= self.box).all(1), total, torch.inf)


def _run(target: _Target, step: float, draws: int, burn_in: int, chains: int, seed: int) -> LearningCoefficient:
    random = torch.Generator().manual_seed(seed)
    w = target.weights.repeat(chains, 1)
    least = float(target.at(w[:1], None)[0])
    kept, accepted, adjusted = torch.zeros(draws, chains, dtype=torch.float64), 0.0, target.batch is None
    value, pull = target.at(w, _rows(target, random))
    for i in range(burn_in + draws):
        noise = torch.randn(w.shape, generator=random, dtype=torch.float64)
        new = w - 0.5 * step * pull + math.sqrt(step) * noise
        if not adjusted:
            w = new if target.box is None else _reflected(new, target.box)
            value, pull = target.at(w, _rows(target, random))
        else:
            there, back = target.at(new, None)
            # The density of the way there and of the way back.
            forward, backward = (noise**2).sum(1), ((w - new + 0.5 * step * back) ** 2).sum(1) / step
            gain = target.energy(w, value) - target.energy(new, there) + 0.5 * (forward - backward)
            taken = torch.rand(chains, generator=random, dtype=torch.float64) < torch.exp(gain.clamp(max=0.0))
            w, value, pull = (
                torch.where(taken[:, None], new, w),
                torch.where(taken, there, value),
                torch.where(taken[:, None], back, pull),
            )
            share = float(taken.double().mean())
            if i < burn_in:
                step *= math.exp((share - ACCEPTED) * 2 / math.sqrt(i + 1))
            accepted += share / draws if i >= burn_in else 0.0
        if i >= burn_in:
            kept[i - burn_in] = value
    each = (target.heat * (kept.mean(0) - least)).numpy()
    return LearningCoefficient(
        float(each.mean()), each, float("nan"), accepted if adjusted else 1.0, _split(kept.numpy()), step
    )


def _rows(target: _Target, random: torch.Generator) -> Tensor | None:
    if target.batch is None:
        return None
    return torch.randint(len(target.data[0]), (target.batch,), generator=random)


def _reflected(w: Tensor, box: float) -> Tensor:
    """Folded back at the walls of the box."""
    # A triangle wave of the period four.
    return box - (((w + box) % (4 * box)) - 2 * box).abs()


def _split(losses: Array) -> float:
    """Split R-hat of losses `(draws, chains)` (Gelman et al. 2013, Bayesian Data Analysis, section 11.4)."""
    half = len(losses) // 2
    if half < 2:
        return float("nan")
    parts = np.concatenate([losses[:half], losses[half : 2 * half]], axis=1)
    within, between = parts.var(0, ddof=1).mean(), parts.mean(0).var(ddof=1)
    return float(np.sqrt((half - 1) / half + between / within)) if within > 0 else 1.0
