"""Gauss-Newton steps with Levenberg-Marquardt damping, for losses that are sums of squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from .search import Evaluation, State, advanced, descent


@dataclass(frozen=True)
class GaussNewton:
    """Damped Gauss-Newton, for each member by itself, with the Jacobian of the model.

    A trial solves `(J'J + damping diag(J'J) + restraint |g| I) step = -J'r`, with `|g|` the largest entry of the
    gradient `g = 2 J'r`. The damping falls where the trial betters the loss and grows where it does not. The
    restraint keeps a value that the loss hardly depends on, such as one near its bound, from a step longer than
    `1 / (2 restraint)`, next to which nothing else could move; at a minimum it vanishes.
    A member is done when `slow_steps` successive steps each gain less than
    `tolerance` of its loss, or when no damping helps any more.

    Source: Marquardt 1963, J. SIAM 11; the scaling by the diagonal keeps steps independent of units.
    """

    tolerance: float = 1e-4
    slow_steps: int = 2
    first_damping: float = 1e-2
    largest_damping: float = 1e8
    restraint: float = 0.1
    longest_step: float = 2.0
    patience: int = 10
    needs_normal = True

    def start(self, x: Array) -> State:
        members, n = x.shape
        return descent(x) | {
            "normal": np.zeros((members, n, n)),
            "damping": np.full(members, self.first_damping),
        }

    def advance(self, state: State, trials: Evaluation) -> State:
        assert trials.normal is not None
        new = advanced(state, trials, self.patience)
        for m in np.flatnonzero(~new["done"]):
            self._member(new, int(m), float(trials.loss[m]), trials.gradient[m], trials.normal[m], trials.of(int(m)))
        return new

    def _member(self, new: State, m: int, loss: float, gradient: Array, normal: Array, size: float) -> None:
        old = float(new["loss"][m])
        if np.isfinite(loss) and loss < old:
            gain = old - loss
            new["x"][m], new["loss"][m], new["gradient"][m], new["normal"][m] = new["trial"][m], loss, gradient, normal
            if np.isfinite(old):
                new["damping"][m] = max(new["damping"][m] / 5, 1e-12)
                new["slow"][m] = new["slow"][m] + 1 if gain < self.tolerance * size else 0
        elif not np.isfinite(old):
            new["done"][m] = True  # failed where it starts: there is no point to go back to
        else:
            new["damping"][m] *= 4
        new["done"][m] |= new["slow"][m] >= self.slow_steps or new["damping"][m] > self.largest_damping
        new["done"][m] |= not new["gradient"][m].any()
        if not new["done"][m]:
            new["trial"][m] = new["x"][m] + self._step(new, m)

    def _step(self, new: State, m: int) -> Array:
        normal = new["normal"][m]
        diagonal = np.diag(normal)
        # A parameter without any effect keeps its place.
        scale = np.where(diagonal > 0, diagonal, 1.0)
        extra = new["damping"][m] * scale + self.restraint * np.abs(new["gradient"][m]).max()
        step = np.linalg.solve(normal + np.diag(extra), -0.5 * new["gradient"][m])
        return np.asarray(step * min(1.0, self.longest_step / max(float(np.abs(step).max()), 1e-300)))
