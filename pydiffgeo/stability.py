"""Are steady states stable? By the eigenvalue of largest real part of the Jacobian of the rates there.

A steady state to which all small perturbations return has eigenvalues in the left half plane only (Lyapunov 1892).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, Indices
from .engines.base import Forward, Problem
from .errors import EngineError, InputError, MissingPackageError

# Up to as many states all eigenvalues are computed, by LAPACK; beyond, a few by ARPACK.
DENSE = 1000
NEAR, RIGHT, BASIS, RESTARTS = 6, 2, 60, 300
# A bound of the eigenvalues is passed by a little, so that none lies on it.
BEYOND = 1.001
# An eigenvalue is told from zero where it is more than as many roundings of the largest entries.
ROUNDINGS = 100


def growth_rates(report: Forward) -> tuple[Array, Array]:
    """The largest real part of an eigenvalue of each member's Jacobian, and how large it is but for rounding, `(members,)`.

    Members without a steady state have NaN.

    Raises:
        InputError: the solution was pickled.
        MissingPackageError: there are many states, and SciPy is not installed.
        EngineError: there are many states, and the iterations for their eigenvalues do not converge.
    """
    problem = report.tape.problem
    if problem is None:
        raise InputError("a steady solution that was pickled does not know whether it is stable; ask before")
    growth, rounding = np.full((2, len(report.status)), np.nan)
    for m, status in enumerate(report.status):
        if status.ok:
            growth[m], rounding[m] = _growth(problem, m, report.tape.y[m])
    return growth, rounding


def _growth(problem: Problem, member: int, y: Array) -> tuple[float, float]:
    # The derivatives of CasADi's functions are exact whichever engine found the state.
    from .engines.sundials.steady import jacobian_at

    rows, columns, values = jacobian_at(problem, member, y)
    rounding = ROUNDINGS * float(np.finfo(float).eps) * float(np.abs(values).max(initial=0.0))
    if len(y) <= DENSE:
        matrix = np.zeros((len(y), len(y)))
        matrix[rows, columns] = values
        return float(np.linalg.eigvals(matrix).real.max()), rounding
    return _of_sparse(len(y), rows, columns, values), rounding


def _of_sparse(n: int, rows: Indices, columns: Indices, values: Array) -> float:
    """By Arnoldi iterations for the eigenvalues next to zero, and for those furthest to the right where need be.

    Where no off-diagonal entry is negative, as of what spreads and decays, the rightmost eigenvalue is real, lies below
    the largest sum of a row or of a column, and none is closer to such a bound (Perron and Frobenius): it is sought there.
    """
    try:
        from scipy.sparse import csc_matrix
        from scipy.sparse.linalg import ArpackNoConvergence, eigs
    except ImportError as error:
        raise MissingPackageError(f"the stability of {n} states needs SciPy: pip install scipy") from error
    matrix, start = csc_matrix((values, (rows, columns)), (n, n)), np.cos(np.arange(n, dtype=np.float64) ** 2)
    common: dict[str, Any] = {"v0": start, "ncv": BASIS, "return_eigenvectors": False}
    spreads = bool((values[rows != columns] >= 0).all())
    bound = min(float(matrix.sum(axis).max()) for axis in (0, 1)) if spreads else 0.0
    try:
        found = eigs(matrix, NEAR, sigma=BEYOND * max(bound, 0.0), **common).real.max()
        if not spreads:
            found = max(found, eigs(matrix, RIGHT, which="LR", maxiter=RESTARTS, tol=1e-8, **common).real.max())
    except ArpackNoConvergence as error:
        raise EngineError(f"the stability of {n} states could not be computed: {error}") from error
    return float(found)
