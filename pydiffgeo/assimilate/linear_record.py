"""A record of a model made linear, interval by interval: its least squares by a banded Cholesky factor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import Array, Mask
from ..errors import MissingPackageError

# Sets of bounds that are tried for one step.
SETS = 20


@dataclass(frozen=True, eq=False)
class LinearRecord:
    """States at the ends of all intervals, `x (intervals + 1, n)`, and what they are held to, to first order.

    Minimised is `|x_0 - b|^2 + |d|^2 + |r|^2`, each in units of its standard deviation: the background, the defects
    `d_k = x_(k+1) - m_k - M_k (y_k - x_k)` of the model, and the residuals of observations of a state, and of observations
    over an interval, which see the mean of what they are without the defect and with it: it grows evenly from nothing.

    Attributes:
        at: `(intervals + 1, n)`, where it is linear. ends: `m`, `(intervals, n)`. slopes: `M`, `(intervals, n, n)`.
        seen: rows `(intervals + 1, values, n)` of what is observed at a time, and `residual`, observed less simulated; zero
            in both where nothing is. Both in units of the error.
        through, residual_through: the same of what is observed over intervals, `(intervals, fluxes, n)`, by their start,
            from where the model goes without a defect.
        start, start_sd: background `(n,)`.
    """

    at: Array
    ends: Array
    slopes: Array
    seen: Array
    residual: Array
    through: Array
    residual_through: Array
    start: Array
    start_sd: Array

    @cached_property
    def defects(self) -> Array:
        """`(intervals, n)`, where it is linear."""
        return self.at[1:] - self.ends

    @cached_property
    def _flux_rows(self) -> tuple[Array, Array, Array]:
        """Rows to the state at the start and at the end of an interval, and residuals with half of the defect."""
        half = self.through / 2
        return (
            self.through - half @ self.slopes,
            half,
            self.residual_through - np.einsum("kfn,kn->kf", half, self.defects),
        )

    def applied(self, x: Array) -> tuple[Array, Array, Array]:
        """What a change `x (intervals + 1, n)` changes: defects, values seen, and fluxes seen."""
        before, after, _ = self._flux_rows
        defects = x[1:] - np.einsum("kij,kj->ki", self.slopes, x[:-1])
        fluxes = np.einsum("kfn,kn->kf", before, x[:-1]) + np.einsum("kfn,kn->kf", after, x[1:])
        return defects, np.einsum("kvn,kn->kv", self.seen, x), fluxes

    def transposed(self, start: Array, defects: Array, values: Array, fluxes: Array) -> Array:
        """The transpose of it, `(intervals + 1, n)`; all in units that cancel."""
        before, after, _ = self._flux_rows
        x = np.einsum("kvn,kv->kn", self.seen, values)
        x[0] += start
        x[1:] += defects + np.einsum("kfn,kf->kn", after, fluxes)
        x[:-1] += np.einsum("kfn,kf->kn", before, fluxes) - np.einsum("kij,ki->kj", self.slopes, defects)
        return x

    def cost(self, sd: Array) -> float:
        """What is minimised, where it is linear. sd: of the defects, `(n,)`."""
        first = ((self.at[0] - self.start) / self.start_sd) ** 2
        return float(
            first.sum() + ((self.defects / sd) ** 2).sum() + (self.residual**2).sum() + (self._flux_rows[2] ** 2).sum()
        )

    def downhill(self, sd: Array) -> Array:
        """Half the negative slope of the cost, `(intervals + 1, n)`."""
        first = (self.start - self.at[0]) / self.start_sd**2
        return self.transposed(first, -self.defects / sd**2, self.residual, self._flux_rows[2])

    def pulled(self, step: Array, sd: Array) -> Array:
        """Half the negative slope of the cost after a step, `(intervals + 1, n)`."""
        defects, values, fluxes = self.applied(step)
        return self.downhill(sd) - self.transposed(step[0] / self.start_sd**2, defects / sd**2, values, fluxes)

    def bounded_step(self, sd: Array, low: Array, high: Array) -> tuple[Array, Mask, float]:
        """The step to the least cost within bounds `(n,)`, by active sets (Hintermueller, Ito and Kunisch 2002, SIAM J. Optim. 13).

        Returns:
            The step, `(intervals + 1, n)`, what its bounds hold of it, and by how much it makes the cost less.
        """
        lowest, highest = low - self.at, high - self.at
        under, over = (np.zeros(self.at.shape, bool) for _ in range(2))
        for _ in range(SETS):
            held = under | over
            fixed = np.where(under, lowest, np.where(over, highest, 0.0))
            step = fixed + self.factor(sd, held).solve(np.where(held, 0.0, self.pulled(fixed, sd)))
            pull = self.pulled(step, sd)
            was = under, over
            # What is held stays held where it is pulled outwards; what is free is held where it goes beyond.
            under = np.where(under, pull < 0, step < lowest)
            over = np.where(over, pull > 0, step > highest)
            if (under == was[0]).all() and (over == was[1]).all():
                break
        step = np.clip(step, lowest, highest)
        return step, under | over, float((step * (self.downhill(sd) + self.pulled(step, sd))).sum())

    def factor(self, sd: Array, held: Mask | None = None) -> Factor:
        """The factor of the matrix of the normal equations, for defects of these standard deviations `(n,)`.

        held: states that do not change, `(intervals + 1, n)`; none if not given.
        """
        count, n = self.at.shape
        before, after, _ = self._flux_rows
        diagonal = np.einsum("kvi,kvj->kij", self.seen, self.seen)
        diagonal[0] += np.diag(1 / self.start_sd**2)
        diagonal[1:] += np.diag(1 / sd**2) + np.einsum("kfi,kfj->kij", after, after)
        weighted = self.slopes / (sd**2)[:, None]
        diagonal[:-1] += self.slopes.transpose(0, 2, 1) @ weighted + np.einsum("kfi,kfj->kij", before, before)
        below = np.einsum("kfi,kfj->kij", after, before) - weighted
        band = np.zeros((2 * n, count, n))
        for i in range(n):
            for j in range(n):
                if i >= j:
                    band[i - j, :, j] = diagonal[:, i, j]
                band[n + i - j, :-1, j] = below[:, i, j]
        flat = band.reshape(2 * n, count * n)
        if held is not None and held.any():
            fixed = held.reshape(-1)
            for below_it in range(2 * n):
                flat[below_it, fixed] = 0.0
                flat[below_it, : count * n - below_it][fixed[below_it:]] = 0.0
            flat[0, fixed] = 1.0
        return Factor(_linalg().cholesky_banded(flat, lower=True), (count, n))

    def evidence(self, sd: Array, held: Mask | None = None) -> float:
        """Twice the negative logarithm of the density of the observations, but for a constant. held: as in `factor`."""
        factor, slope = self.factor(sd, held), self.downhill(sd)
        slope = slope if held is None else np.where(held, 0.0, slope)
        least = self.cost(sd) - float((slope * factor.solve(slope)).sum())
        return least + factor.logarithm + 2 * len(self.ends) * float(np.log(sd).sum())


@dataclass(frozen=True, eq=False)
class Factor:
    """A Cholesky factor, lower and banded."""

    band: Array
    shape: tuple[int, int]

    @property
    def logarithm(self) -> float:
        """Of the determinant."""
        return 2 * float(np.log(self.band[0]).sum())

    def solve(self, right: Array) -> Array:
        """Of `(intervals + 1, n)`, the same."""
        found: Array = _linalg().cho_solve_banded((self.band, True), right.reshape(-1), check_finite=False)
        return found.reshape(self.shape)


def _linalg():  # type: ignore[no-untyped-def]
    try:
        import scipy.linalg
    except ImportError as error:
        raise MissingPackageError("smoothing a record needs SciPy: pip install scipy") from error
    return scipy.linalg
