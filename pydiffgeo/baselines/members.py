"""Scores against the mean of an ensemble: their floor, and whether its size tells rivals apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Indices
from ..checks import check_whole
from ..errors import InputError, ShapeError
from .pattern_scaling import area_mean

# A prediction `(*places)`; or what gives one from the members that it may learn from.
Rival = ArrayLike | Callable[[Indices], ArrayLike]


@dataclass(frozen=True, eq=False)
class MemberRanking:
    """Rivals in order of their error, with what chance there is in it.

    Attributes:
        members: in the mean that was the target of each draw.
        floor: error that the true forced response would have, from the target's noise alone.
        error: rival -> root mean square errors over the places, one for each draw.
        beats: (better, worse) -> share of draws in which the first had the smaller error, best first.
        apart: the pairs of `beats` that can be told apart: the share is at least `confidence`.
    """

    members: int
    floor: float
    error: Mapping[str, Array]
    beats: Mapping[tuple[str, str], float]
    confidence: float

    @property
    def apart(self) -> tuple[tuple[str, str], ...]:
        """Pairs of which the first is better than the second, beyond chance."""
        return tuple(pair for pair, share in self.beats.items() if share >= self.confidence)

    def __str__(self) -> str:
        lines = [f"against means of {self.members} members (floor of internal variability {self.floor:.4g}):"]
        lines += [f"  {n}: {e.mean():.4g} ({e.min():.4g} to {e.max():.4g})" for n, e in self.error.items()]
        for (a, b), share in self.beats.items():
            told = "is better than" if share >= self.confidence else "cannot be told apart from"
            lines.append(f"  {a} {told} {b} (smaller error in {share:.0%} of draws)")
        return "\n".join(lines)


def noise_floor(members: ArrayLike, n: int | None = None, *, weights: ArrayLike | None = None) -> float:
    """Root mean square of the noise in a mean of `n` members, over the places.

    What scores better than this against such a mean has learnt its noise. It falls as one over the root of `n`.

    Args:
        members: `(members, *places)`, two or more runs that differ by internal variability alone.
        n: members in the mean; all of them if None.
        weights: area of each place, `(*places)`.

    Raises:
        InputError: (or a subclass) fewer than two members, or a number is not finite.
    """
    runs = _runs(members)
    count = len(runs) if n is None else n
    check_whole(1, n=count)
    return float(np.sqrt(area_mean(runs.var(0, ddof=1)[None], weights)[0] / count))


def rank_by_members(
    members: ArrayLike,
    rivals: Mapping[str, Rival],
    *,
    n: int | None = None,
    draws: int = 200,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> MemberRanking:
    """Ranks predictions of a mean over members, with members drawn anew: the target is itself uncertain.

    Each draw takes `n` members with replacement, and every rival is scored against their mean; one that learns from
    members learns from those drawn. Rivals whose order changes with the draw cannot be told apart by so few members.

    Args:
        members: `(members, *places)`: runs of the test scenario that differ by internal variability alone.
        rivals: name -> prediction `(*places)`, or a function of the numbers of the members drawn, `(n,)`.
        n: members in the mean; all of them if None. weights: area of each place, `(*places)`.
        confidence: share of draws in which the better one must be better. seed: of the draws.

    Raises:
        InputError: (or a subclass) fewer than two members or rivals, or numbers that do not fit; names the rival.
    """
    runs = _runs(members)
    count = len(runs) if n is None else n
    check_whole(1, n=count, draws=draws)
    if len(rivals) < 2:
        raise InputError("a ranking needs two rivals or more")
    if not 0.5 < confidence <= 1:
        raise InputError(f"confidence must lie above a half, up to one, got {confidence}")
    random = np.random.default_rng(seed)
    errors: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(draws):
        drawn = random.integers(0, len(runs), count)
        target = runs[drawn].mean(0)
        for name, rival in rivals.items():
            predicted = np.asarray(rival(drawn) if callable(rival) else rival, np.float64)
            if predicted.shape != target.shape or not np.isfinite(predicted).all():
                raise ShapeError(f"{name} must be finite, of the shape {target.shape}, got {predicted.shape}")
            errors[name].append(float(np.sqrt(area_mean((predicted - target)[None] ** 2, weights)[0])))
    order = sorted(rivals, key=lambda name: np.mean(errors[name]))
    error = {name: np.array(errors[name]) for name in order}
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    beats = {(a, b): float((error[a] < error[b]).mean()) for a, b in pairs}
    return MemberRanking(count, noise_floor(runs, count, weights=weights), error, beats, float(confidence))


def _runs(members: ArrayLike) -> Array:
    runs = np.asarray(members, np.float64)
    if runs.ndim < 2 or len(runs) < 2:
        raise ShapeError(f"members must have the shape (members, *places), two or more, got {runs.shape}")
    if not np.isfinite(runs).all():
        raise InputError("members must be finite")
    return runs
