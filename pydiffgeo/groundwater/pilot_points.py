"""Fields of conductivity from values at pilot points, by kriging: a constant matrix, so that gradients go through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Array, Mask
from ..checks import is_number, shown
from ..errors import InputError, ShapeError
from ..model import Graph

AXES = ("x", "y", "z")
# Above this condition of the points' covariance the weights have lost half their digits.
WORST = 1e10


class Variogram(Protocol):
    """What is asked of a variogram: those of GSTools (`gstools.Exponential`, `Matern`, ...) have it."""

    dim: int

    def isometrize(self, pos: Any) -> Any:
        """Coordinates `(dim, n)` turned and stretched so that correlation depends on distance alone."""

    def cov_nugget(self, r: Any) -> Any:
        """Covariance at a distance, with the nugget at zero."""

    def covariance(self, r: Any) -> Any:
        """Covariance at a distance, without the nugget."""


@dataclass(frozen=True, eq=False)
class PilotPoints:
    """Points whose values give a field by kriging.

    Attributes:
        weights: `(cells, points)`; rows add up to one where the mean is unknown (ordinary kriging).
        covariance: prior covariance of the values at the points, `(points, points)`.
        variance: kriging variance of each cell `(cells,)`: what the values leave unknown there.
        mean: of the prior, for simple kriging; None where it is unknown.
    """

    weights: Tensor
    covariance: Tensor
    variance: Tensor
    mean: float | None = None

    @property
    def points(self) -> int:
        """How many there are."""
        return self.weights.shape[1]

    def field(self, values: Tensor) -> Tensor:
        """The field `(..., cells)` of values `(..., points)`, log10 of a conductivity, say.

        Raises:
            ShapeError: not one value for each point.
        """
        values = self._checked(values)
        weights = self.weights.to(values.dtype)
        if self.mean is None:
            return values @ weights.T
        return self.mean + (values - self.mean) @ weights.T

    def deviations(self, values: Tensor) -> Tensor:
        """Values `(..., points)` less their mean, independent and of unit variance by the prior.

        Half the sum of their squares is minus the logarithm of the prior density, but for a constant; they go beside
        residuals in least squares. Where the mean is unknown it is that which the values make most likely.
        """
        values = self._checked(values)
        root = torch.linalg.cholesky(self.covariance).to(values.dtype)
        white = torch.linalg.solve_triangular(root, values.unsqueeze(-1), upper=False).squeeze(-1)
        one = torch.linalg.solve_triangular(root, torch.ones_like(root[:, :1]), upper=False).squeeze(-1)
        if self.mean is not None:
            return white - self.mean * one
        return white - ((white @ one) / (one @ one)).unsqueeze(-1) * one

    def _checked(self, values: Tensor) -> Tensor:
        if not isinstance(values, Tensor) or values.ndim == 0 or values.shape[-1] != self.points:
            raise ShapeError(f"values must be a tensor (..., {self.points}), one for each point, got {shown(values)}")
        return values


def pilot_points(
    grid: Graph, places: ArrayLike, variogram: Variogram, *, mean: float | None = None, to: ArrayLike | None = None
) -> PilotPoints:
    """Pilot points on a grid, with the variogram of the field by the library GSTools (`pip install 'pydiffgeo[kriging]'`).

    Args:
        grid: whose cells have coordinates x and y (and z, the depth).
        places: coordinates of the points `(points, 2)` as (x, y), or `(points, 3)` with z, as the variogram has
            dimensions.
        variogram: of the field, such as `gstools.Exponential(dim=2, var=0.3, len_scale=500)`. A nugget is what a value at
            a point does not share with the cell around it.
        mean: that of the field, where it is known (simple kriging). Without it weights add up to one (ordinary kriging).
        to: mask `(cells,)` or of the grid: of which cells to make the field, such as one layer or zone.

    Raises:
        InputError: coordinates that do not fit each other, points in one place, or too smooth a variogram for points so
            near to each other.

    Source: Doherty 2003, Ground Water 41 (pilot points); Cressie 1993, Statistics for Spatial Data, sections 3.2 and 3.4.
    """
    if not all(hasattr(variogram, name) for name in ("dim", "isometrize", "cov_nugget", "covariance")):
        raise InputError(f"variogram must be a covariance model of GSTools, got {shown(variogram)}")
    if mean is not None and not is_number(mean):
        raise InputError(f"mean must be a number, got {shown(mean)}")
    axes = AXES[: variogram.dim]
    if missing := [a for a in axes if a not in grid.coordinates]:
        raise InputError(f"the variogram has {variogram.dim} dimensions, and cells of the grid have no {missing[0]}")
    at = np.asarray(places, np.float64)
    if at.ndim != 2 or at.shape[1] != len(axes) or not len(at) or not np.isfinite(at).all():
        raise InputError(f"places must be coordinates (points, {len(axes)}), {', '.join(axes)}; got {shown(places)}")
    cells = np.stack([grid.coordinates[a] for a in axes])[:, _chosen(grid, to)]
    points, around = (np.asarray(variogram.isometrize(v)) for v in (at.T, cells))
    apart = _distances(points, points)
    if len(same := np.argwhere(np.triu(apart == 0, 1))):
        first, second = same[0]
        raise InputError(f"points {first} and {second} are both at {at[first].tolist()}")
    own, shared = variogram.cov_nugget(apart), variogram.covariance(_distances(points, around))
    if np.linalg.cond(own) > WORST:
        raise InputError(
            "points are so near to each other that their covariance is singular by this variogram: take fewer, a nugget, or "
            "a variogram that is less smooth"
        )
    if mean is None:
        one = np.ones((1, len(at)))
        own = np.block([[own, one.T], [one, np.zeros((1, 1))]])
        shared = np.concatenate([shared, np.ones((1, shared.shape[1]))])
    weights = np.linalg.solve(own, shared)
    variance = float(variogram.covariance(np.zeros(1))[0]) - (weights * shared).sum(0)
    size = len(at)
    return PilotPoints(
        torch.from_numpy(weights[:size].T.copy()),
        torch.from_numpy(own[:size, :size].copy()),
        torch.from_numpy(np.maximum(variance, 0.0)),
        None if mean is None else float(mean),
    )


def _chosen(grid: Graph, to: ArrayLike | None) -> Mask:
    """Mask of the cells."""
    if to is None:
        return np.ones(grid.cells, bool)
    mask = np.asarray(to)
    if mask.shape == grid.shape:
        mask = grid.on_cells(mask)
    if mask.dtype != np.bool_ or mask.shape != (grid.cells,):
        raise InputError(f"to must be a mask ({grid.cells},) or {grid.shape}, got {shown(to)}")
    return np.asarray(mask, np.bool_)


def _distances(a: Array, b: Array) -> Array:
    """Between columns of coordinates, `(dim, n)` and `(dim, m)`: `(n, m)`."""
    return np.asarray(np.sqrt(((a[:, :, None] - b[:, None, :]) ** 2).sum(0)))
