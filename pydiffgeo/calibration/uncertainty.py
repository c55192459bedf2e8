"""How well calibrated values are known: the covariance of their posterior, from the model linearised at the best point."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..errors import InputError

# Directions that change the posterior by less than this part of what others do are not known at all.
UNKNOWN = 1e-14


def covariance(r: Array, jacobian: Array, z: Array, slopes: Array, observed: int, *, stated: bool) -> Array:
    """Covariance `(n, n)` of the values at the best point: the inverse of the second derivatives of minus the log posterior.

    With errors as `stated`, these are `2 J'J + Z'Z`, `J` being the derivatives of the residuals whose squares add up to
    minus the log likelihood, and `Z` those of the deviations `z` from priors.

    Else the size of errors is estimated, and the likelihood is a power of the sum of squares `r'r` of all `N`
    observations (see `objective`): `v J'J / r'r + Z'Z - 2 v / N^2 (Z'z)(Z'z)'`. Of the second derivatives of the
    logarithm the last term is what remains of the product of slopes where the slopes of likelihood and prior cancel; it
    matters where the two disagree. There are `v = N - g` degrees of freedom, of which `g`, the trace of
    `(v J'J / r'r + Z'Z)^-1 v J'J / r'r`, is the number of values that the observations determine: all of them without
    priors, which is ordinary least squares, and none that is known by its prior alone.

    Sources: Draper and Smith 1998, Applied Regression Analysis, ch. 24; MacKay 1992, Neural Comput. 4(3), section 4,
    for `g`.

    Args:
        r: residuals `(m,)`, zero where there are gaps. jacobian: `(m, n)`.
        z: deviations from priors `(k,)`. slopes: `(k, n)`.
        observed: how many observations there are, gaps left out.

    Raises:
        InputError: neither observations nor priors say anything of some direction; there are too few observations to
            estimate their error, or they are met exactly; or priors and observations exclude each other.
    """
    data, prior = jacobian.T @ jacobian, slopes.T @ slopes
    if stated:
        return _inverse(2 * data + prior, "the observations say nothing about some of the values")
    squares = float(r @ r)
    if not squares > 0:
        raise InputError("the observations are met exactly, so that their error cannot be estimated")
    data = observed / squares * data
    scale = _scale(data + prior)
    _inverse(data + prior, "the observations say nothing about some of the values")
    # Of each direction, in which both are independent, the share that the observations know.
    root = np.linalg.cholesky((data + prior) / scale)
    share = np.linalg.eigvalsh(np.linalg.solve(root, np.linalg.solve(root, data / scale).T))
    freedom = _freedom(np.clip(share, 0.0, 1.0) if len(z) else np.ones(len(share)), observed) / observed
    pull = slopes.T @ z
    return _inverse(
        freedom * data + prior - 2 * freedom / observed * np.outer(pull, pull),
        "priors and observations exclude each other, so that there is no one spread; look at the priors",
    )


def _freedom(share: Array, observed: int) -> float:
    """The `v` in `covariance`: where `observed - g(v) = v`, found by halving, since `g` grows with `v`."""
    certain = share > 1 - UNKNOWN
    if observed <= certain.sum():
        raise InputError(
            f"{observed} observations cannot determine {certain.sum()} values and their own error; give more of them, "
            'priors, or state their errors with the loss "gaussian"'
        )
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        rest = share[~certain]
        determined = certain.sum() + (middle * rest / (middle * rest + 1 - rest)).sum()
        low, high = (middle, high) if observed - determined > middle * observed else (low, middle)
    return observed * (low + high) / 2


def _scale(matrix: Array) -> Array:
    """The product of the roots of diagonal entries, by which a matrix is free of units."""
    size = np.sqrt(np.diag(matrix))
    return np.asarray(np.outer(size, size))


def _inverse(matrix: Array, why_not: str) -> Array:
    """The inverse of a matrix that must be positive definite."""
    if not (np.isfinite(matrix).all() and (np.diag(matrix) > 0).all()):
        raise InputError(why_not)
    scale = _scale(matrix)
    sizes = np.linalg.eigvalsh(matrix / scale)
    if not sizes[0] > UNKNOWN * sizes[-1]:
        raise InputError(why_not)
    return np.asarray(np.linalg.inv(matrix / scale) / scale)
