"""Optimisers for a batch of independent members, whose whole state is a handful of arrays.

A search proposes one `trial` per member, is told the loss and its gradient there, and proposes the
next. The state is never changed in place: whoever keeps the last one can stop at any moment, write
it to disk, and go on later as if nothing had happened.

Where an evaluation carries a `tuning` loss, of observations that are held back, the best point is the
one with the smallest of these, and a member that has not bettered it for `patience` steps is done: early stopping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Indices

# Name -> array. Every state has `trial`, `best_x` (members, n), `best_loss`, `done` (members,) and `step` ().
State = dict[str, NDArray]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is found at the trials of a search.

    Attributes:
        loss: `(members,)`; not finite where a trial failed.
        gradient: `(members, n)`.
        tuning: loss over observations that are held back, `(members,)`.
        normal: `J'J` of the residuals whose squares add up to the loss, `(members, n, n)`.
        why: why a trial failed, for one of those that did.
        size: what gains are parts of, `(members,)`; the loss where None. Minus the logarithm of a likelihood changes by a
            constant with the unit of the data, which must not decide when a search ends.
    """

    loss: Array
    gradient: Array
    tuning: Array | None = None
    normal: Array | None = None
    why: str = ""
    size: Array | None = None

    def of(self, member: int) -> float:
        """What the gain of a member is a part of."""
        return abs(float((self.loss if self.size is None else self.size)[member]))


def spread(trials: Evaluation, active: Indices, members: int, n: int) -> Evaluation:
    """What was found for some members, in arrays for all of them."""
    filled = {"loss": np.full(members, np.inf), "gradient": np.zeros((members, n))}
    if trials.tuning is not None:
        filled["tuning"] = np.full(members, np.inf)
    if trials.normal is not None:
        filled["normal"] = np.zeros((members, n, n))
    if trials.size is not None:
        filled["size"] = np.ones(members)
    for name, array in filled.items():
        array[active] = getattr(trials, name)
    return Evaluation(why=trials.why, **filled)


class Search(Protocol):
    """A method of optimisation."""

    @property
    def needs_normal(self) -> bool:
        """Whether evaluations must carry `normal`."""
        ...

    def start(self, x: Array) -> State:
        """The state of a search that begins at `x`, `(members, n)`."""
        ...

    def advance(self, state: State, trials: Evaluation) -> State:
        """The next state, given what was found at `state["trial"]`.

        Rows of members that are done are ignored. A loss that is not finite marks a failed trial.
        """
        ...


def common(x: Array) -> State:
    members = len(x)
    return {
        "trial": x.copy(),
        "best_x": x.copy(),
        "best_loss": np.full(members, np.inf),
        "best_tuning": np.full(members, np.inf),
        "stale": np.zeros(members, np.int64),
        "done": np.zeros(members, bool),
        "step": np.zeros((), np.int64),
    }


def descent(x: Array) -> State:
    """The state of a search that goes from one accepted point to the next."""
    members = len(x)
    return common(x) | {
        "x": x.copy(),
        "loss": np.full(members, np.inf),
        "gradient": np.zeros_like(x),
        # How many steps in a row gained little.
        "slow": np.zeros(members, np.int64),
    }


def advanced(state: State, trials: Evaluation, patience: int) -> State:
    """A copy of `state`, one step on, that remembers the best points seen."""
    new = {k: v.copy() for k, v in state.items()}
    searching, failed = ~new["done"], ~np.isfinite(trials.loss)
    if trials.tuning is None:
        better = trials.loss < new["best_loss"]
    else:
        held_back = np.where(failed, np.inf, trials.tuning)
        better = held_back < new["best_tuning"]
        new["best_tuning"] = np.where(searching & better, held_back, new["best_tuning"])
        new["stale"] = np.where(searching, np.where(better, 0, new["stale"] + 1), new["stale"])
        new["done"] |= new["stale"] >= patience
    better &= searching
    new["best_x"][better], new["best_loss"][better] = new["trial"][better], trials.loss[better]
    new["step"] += 1
    return new


@dataclass(frozen=True)
class Adam:
    """Adam, for each member by itself; a failed trial leads halfway back to the best point.

    Source: Kingma and Ba 2015, ICLR, algorithm 1.
    """

    learning_rate: float = 0.1
    decay: tuple[float, float] = (0.9, 0.999)
    patience: int = 10
    needs_normal = False

    def start(self, x: Array) -> State:
        return common(x) | {"first": np.zeros_like(x), "second": np.zeros_like(x), "count": np.zeros((len(x), 1))}

    def advance(self, state: State, trials: Evaluation) -> State:
        new = advanced(state, trials, self.patience)
        good = ~new["done"] & np.isfinite(trials.loss)
        bad = ~new["done"] & ~good
        b1, b2 = self.decay
        g = trials.gradient[good]
        new["count"][good] += 1
        new["first"][good] = b1 * new["first"][good] + (1 - b1) * g
        new["second"][good] = b2 * new["second"][good] + (1 - b2) * g**2
        count = new["count"][good]
        mean, square = new["first"][good] / (1 - b1**count), new["second"][good] / (1 - b2**count)
        # Relative to the largest entry, since a loss may have any unit; where all are zero there is no step.
        rms = np.sqrt(square)
        least = np.maximum(1e-8 * rms.max(axis=1, keepdims=True, initial=0.0), np.finfo(float).tiny)
        new["trial"][good] -= self.learning_rate * mean / (rms + least)
        new["trial"][bad] = (new["trial"][bad] + new["best_x"][bad]) / 2
        new["first"][bad] = 0.0
        # A member that fails where it starts has no point to go back to.
        new["done"] |= bad & ~np.isfinite(new["best_loss"])
        return new


@dataclass(frozen=True)
class BFGS:
    """Quasi-Newton steps with a backtracking line search, for each member by itself.

    With the few parameters of a basin the full inverse Hessian is kept. A member is done when
    `slow_steps` successive steps each gain less than `tolerance` of its loss, or when no step along the
    gradient gains anything.

    Source: Nocedal and Wright 2006, Numerical Optimization, algorithms 3.1 and 6.1; Hager and Zhang 2005, SIAM J.
    Optim. 16, eq 4.1 (a hundredth of the usual tolerance is the rise that they allow).
    """

    tolerance: float = 1e-4
    slow_steps: int = 3
    first_step: float = 0.5
    longest_step: float = 2.0
    shortest_step: float = 1e-4
    sufficient: float = 1e-4
    patience: int = 10
    needs_normal = False

    def start(self, x: Array) -> State:
        members, n = x.shape
        return descent(x) | {
            "direction": np.zeros_like(x),
            "length": np.zeros(members),
            # Whether nothing is known of the curvature yet: the scale of a step then means nothing.
            "fresh": np.ones(members, bool),
            **self._memory(members, n),
        }

    def advance(self, state: State, trials: Evaluation) -> State:
        new = advanced(state, trials, self.patience)
        for m in np.flatnonzero(~new["done"]):
            self._member(new, int(m), float(trials.loss[m]), trials.gradient[m], trials.of(int(m)))
        return new

    def _memory(self, members: int, n: int) -> State:
        """What is remembered of the curvature."""
        return {"inverse_hessian": np.broadcast_to(np.eye(n), (members, n, n)).copy()}

    def _forget(self, new: State, m: int) -> None:
        new["inverse_hessian"][m] = np.eye(new["x"].shape[1])

    def _learn(self, new: State, m: int, move: Array, bend: Array) -> None:
        """Takes in that a `move` changed the gradient by `bend`, with `move @ bend > 0` (eq 6.17)."""
        curvature, unit = float(move @ bend), np.eye(len(move))
        h = unit * (curvature / (bend @ bend)) if new["fresh"][m] else new["inverse_hessian"][m]
        side = unit - np.outer(move, bend) / curvature
        new["inverse_hessian"][m] = side @ h @ side.T + np.outer(move, move) / curvature

    def _direction(self, new: State, m: int, gradient: Array) -> Array:
        return np.asarray(-new["inverse_hessian"][m] @ gradient)

    def _member(self, new: State, m: int, loss: float, gradient: Array, size: float) -> None:
        old, slope = float(new["loss"][m]), float(new["gradient"][m] @ new["direction"][m])
        if not np.isfinite(old):
            new["done"][m] = not np.isfinite(loss)
            if not new["done"][m]:
                new["loss"][m], new["gradient"][m] = loss, gradient
                self._restart(new, m)
        elif self._good(loss - old, float(new["length"][m]), slope, float(gradient @ new["direction"][m]), size):
            self._accept(new, m, loss, gradient, size)
        else:
            self._shorten(new, m, loss, slope)
        if not new["done"][m]:
            new["trial"][m] = new["x"][m] + new["length"][m] * new["direction"][m]

    def _good(self, rise: float, length: float, slope: float, slope_there: float, size: float) -> bool:
        """Whether a trial is low enough.

        Close to the minimum a loss changes by less than it is known to: there the slope decides, which may not have
        turned to the other side by more than four fifths (the approximate Wolfe condition).
        """
        if rise <= self.sufficient * length * slope:
            return True
        return rise <= 0.01 * self.tolerance * size and slope_there <= -0.8 * slope

    def _restart(self, new: State, m: int) -> None:
        """Steepest descent with a first step of a fixed size; the scale of the loss is not known."""
        self._forget(new, m)
        new["fresh"][m] = True
        new["direction"][m] = -new["gradient"][m]
        steepness = float(np.linalg.norm(new["gradient"][m]))
        new["done"][m] = steepness == 0.0
        new["length"][m] = self.first_step / steepness if steepness > 0 else 0.0

    def _accept(self, new: State, m: int, loss: float, gradient: Array, size: float) -> None:
        gain = float(new["loss"][m]) - loss
        move, bend = new["trial"][m] - new["x"][m], gradient - new["gradient"][m]
        new["x"][m], new["loss"][m], new["gradient"][m] = new["trial"][m], loss, gradient
        new["slow"][m] = new["slow"][m] + 1 if gain < self.tolerance * size else 0
        if new["slow"][m] >= self.slow_steps:
            new["done"][m] = True
            return
        if move @ bend > 1e-10 * np.linalg.norm(move) * np.linalg.norm(bend):
            self._learn(new, m, move, bend)
            new["fresh"][m] = False
        new["direction"][m] = self._direction(new, m, gradient)
        if new["fresh"][m] or gradient @ new["direction"][m] >= 0:
            self._restart(new, m)
        else:
            new["length"][m] = min(1.0, self.longest_step / np.abs(new["direction"][m]).max())

    def _shorten(self, new: State, m: int, loss: float, slope: float) -> None:
        """Goes on from the same point with a shorter step: to the minimum of the parabola through both ends."""
        length = float(new["length"][m])
        rise = 2 * (loss - float(new["loss"][m]) - length * slope) if np.isfinite(loss) else np.inf
        best = -slope * length**2 / rise if np.isfinite(rise) and rise > 0 else 0.25 * length
        new["length"][m] = float(np.clip(best, 0.1 * length, 0.5 * length))
        if new["length"][m] * np.abs(new["direction"][m]).max() < self.shortest_step:
            if new["fresh"][m]:
                new["done"][m] = True
            else:
                self._restart(new, m)


@dataclass(frozen=True)
class LBFGS(BFGS):
    """`BFGS` that keeps the last `pairs` steps instead of a matrix: for many parameters.

    Source: Nocedal and Wright 2006, algorithms 7.4 and 7.5.
    """

    pairs: int = 10

    def _memory(self, members: int, n: int) -> State:
        moves = np.zeros((members, self.pairs, n))
        return {"moves": moves, "bends": moves.copy(), "known": np.zeros(members, np.int64)}

    def _forget(self, new: State, m: int) -> None:
        new["known"][m] = 0

    def _learn(self, new: State, m: int, move: Array, bend: Array) -> None:
        for name, value in (("moves", move), ("bends", bend)):
            new[name][m, 1:] = new[name][m, :-1]
            new[name][m, 0] = value
        new["known"][m] = min(int(new["known"][m]) + 1, self.pairs)

    def _direction(self, new: State, m: int, gradient: Array) -> Array:
        moves, bends = (new[name][m, : int(new["known"][m])] for name in ("moves", "bends"))
        q, along = gradient.copy(), list[float]()
        for move, bend in zip(moves, bends, strict=True):
            along.append(float(move @ q) / float(move @ bend))
            q -= along[-1] * bend
        if len(moves):
            q *= float(moves[0] @ bends[0]) / float(bends[0] @ bends[0])
        for move, bend, a in zip(moves[::-1], bends[::-1], along[::-1], strict=True):
            q += (a - float(bend @ q) / float(move @ bend)) * move
        return -q
