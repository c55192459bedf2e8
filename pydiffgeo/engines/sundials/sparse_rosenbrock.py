"""Rodas5P for large grids: rates and derivatives by CasADi, linear systems by SciPy's SuperLU.

The QR factors that CasADi has for sparse matrices fill up on grids, and it factorises anew for each right-hand side. Here
a step has one factorisation, of the states alone, in an order of minimum degree of the symmetric pattern (Li and Demmel
2003, ACM TOMS 29, 110); integrated fluxes follow from the states. Gradients are those of the steps taken, as written out
in `rosenbrock.py`, gone through backwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import casadi as ca
import numpy as np

from ...arrays import Array
from ..base import Status
from ..batch import Failure, Watch
from ..ir.kernels import System
from .calls import Call
from .rosenbrock import FIRST, GAMMA, TIMES, A, C, D, Rosenbrock, _finite

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix, csr_matrix
    from scipy.sparse.linalg import SuperLU

# Graphs of as many cells, and of more faces than this for each cell, are grids, whose factors fill up.
CELLS, FACES = 900, 1.5
NEXT = (*A[-1], 1.0)


def is_large_grid(system: System, sparsity: ca.Sparsity) -> bool:
    """Is this a system for `SparseRosenbrock`? `sparsity` is that of the Jacobian of the states."""
    beside = (sparsity.nnz() - system.n_states) / 2
    return system.n_states >= CELLS and beside > FACES * system.n_states and find_spec("scipy") is not None


class _Step(NamedTuple):
    """Factors of the matrix of a step, rows of the Jacobian of integrated fluxes, and stages `(8, states and fluxes)`."""

    factors: SuperLU
    fluxes: csr_matrix
    stages: Array


class SparseRosenbrock(Rosenbrock):
    """Solves one interval, in time scaled to [0, 1]. Not for use by two threads at a time.

    Args:
        problem: as that of `Rosenbrock`, of scalar symbols; the last `n_fluxes` of "x" are integrated fluxes.
    """

    def __init__(self, problem: Mapping[str, ca.SX], n_fluxes: int, rtol: float, atol: float, max_steps: int) -> None:
        x, par, t, rates, steepness = (problem[k] for k in ("x", "p", "t", "ode", "steepness"))
        self.rtol, self.atol, self.max_steps, self.size = rtol, atol, max_steps, x.numel()
        self._n, total = x.numel() - n_fluxes, x.numel()
        slopes = ca.jacobian(rates, x)[:, : self._n]
        diagonal = ca.Sparsity.triplet(total, self._n, [*range(self._n)], [*range(self._n)])
        slopes = ca.project(slopes, slopes.sparsity() + diagonal)
        trend = ca.densify(ca.jacobian(rates, t))
        self._symbols_of = x, par, t, rates
        sizes = {0: total, 1: par.numel(), 2: 1}
        values = [ca.densify(rates), slopes, trend, ca.densify(steepness)]
        entries = slopes.nnz()
        self._local = Call(
            ca.Function("local", [x, par, t], [values[0], _stored(slopes), trend, values[3]]),
            sizes,
            {0: total, 1: entries, 2: total, 3: total},
        )
        self._rates = Call(ca.Function("rates", [x, par, t], values[:1]), sizes, {0: total})
        rows, self._pointers = np.array(slopes.row()), np.array(slopes.colind())
        columns = np.repeat(np.arange(self._n), np.diff(self._pointers))
        self._of_states = rows < self._n
        self._places = rows[self._of_states], columns[self._of_states]
        self._flux_places = rows[~self._of_states] - self._n, columns[~self._of_states]
        self._pull: Call | None = None
        self._bend: Call | None = None
        self._ahead: Call | None = None
        self._kept: dict[float, _Step] | None = None

    def _step(self, x: Array, par: Array, t: float, h: float) -> tuple[Array, Array, Array]:
        """The next states and fluxes, their error, and by what it counts; not finite where the step cannot be taken."""
        try:
            first, entries, trend, steep = (values.copy() for values in self._local(x, par, np.array([t])))
            step = self._factorised(entries, h)
            for i, (a, c, d) in enumerate(zip(A, C, D, strict=True)):
                at = x + sum((w * k for w, k in zip(a, step.stages[:i], strict=True)), 0.0)
                right = self._rates(at, par, np.array([t + TIMES[i] * h]))[0].copy() if i else first
                right = right + h * d * trend + sum((w / h * k for w, k in zip(c, step.stages[:i], strict=True)), 0.0)
                step.stages[i] = self._divided(step, right, h)
        except Failure as failure:
            if failure.status is not Status.NOT_FINITE:
                raise
            return (np.full(self.size, np.nan),) * 3
        if self._kept is not None:
            self._kept[t] = step
        return x + np.tensordot(NEXT, step.stages, 1), step.stages[-1], steep

    def _factorised(self, entries: Array, h: float) -> _Step:
        from scipy.sparse import csc_matrix, csr_matrix
        from scipy.sparse.linalg import splu

        n = self._n
        matrix: csc_matrix = csc_matrix((-entries[self._of_states], self._places), (n, n))
        matrix.setdiag(matrix.diagonal() + 1 / (GAMMA * h))
        try:
            factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options={"SymmetricMode": True})
        except RuntimeError as error:  # it is singular
            raise Failure(Status.NOT_FINITE, "(SuperLU)") from error
        fluxes = csr_matrix((entries[~self._of_states], self._flux_places), (self.size - n, n))
        return _Step(factors, fluxes, np.zeros((len(A), self.size)))

    def _divided(self, step: _Step, right: Array, h: float) -> Array:
        """A right-hand side divided by the matrix of the step."""
        states = step.factors.solve(right[: self._n])
        return np.concatenate([states, GAMMA * h * (right[self._n :] + step.fluxes @ states)])

    def _first(self, x: Array, par: Array) -> float:
        """The step to begin with (Hairer, Norsett and Wanner 1993, Solving ODEs I, II.4)."""

        def size(values: Array) -> float:
            return float(np.sqrt(np.mean(np.square(values / scale))))

        scale = self.atol + self.rtol * np.abs(x)
        rates = self._rates(x, par, np.zeros(1))[0].copy()
        trial = 0.01 * size(x) / max(size(rates), 1e-300)
        trial = float(np.clip(trial, FIRST, 1.0))
        try:
            change = size(self._rates(x + trial * rates, par, np.array([trial]))[0] - rates) / trial
        except Failure:
            return FIRST
        steepest = max(size(rates), change, 1e-300)
        return float(np.clip((0.01 / steepest) ** (1 / 6), FIRST, min(100 * trial, 1.0)))

    def backward(self, x: Array, par: Array, bar: Array, watch: Watch) -> tuple[Array, Array]:
        symbols, seed = self._symbols_of, ca.SX.sym("seed", self.size)
        y, p, t, rates = symbols
        if self._pull is None or self._bend is None:
            product = ca.dot(rates, seed)
            along, along_t = ca.SX.sym("along", self.size), ca.SX.sym("along_t")
            moved = ca.dot(seed, ca.jtimes(rates, y, along) + ca.jtimes(rates, t, along_t))
            given = {0: self.size, 1: p.numel(), 2: 1, 3: self.size}
            results = {0: self.size, 1: p.numel()}
            pulled, bent = ([ca.densify(ca.gradient(of, s)) for s in (y, p)] for of in (product, moved))
            self._pull = Call(ca.Function("pull", [y, p, t, seed], pulled), given, results)
            bend = ca.Function("bend", [y, p, t, seed, along, along_t], bent)
            self._bend = Call(bend, given | {4: self.size, 5: 1}, results)
        par_bar, self._kept = np.zeros_like(par), {}
        try:
            for start, t0, h in reversed(self._march(x, par, watch)[0]):
                watch.look()
                bar, change = self._step_back(self._kept[t0], start, par, t0, h, bar)
                par_bar += change
        finally:
            self._kept = None
        return _finite(bar), _finite(par_bar)

    def _step_back(self, step: _Step, x: Array, par: Array, t: float, h: float, bar: Array) -> tuple[Array, Array]:
        assert self._pull is not None
        assert self._bend is not None
        n, par_bar, at_start = self._n, np.zeros_like(par), np.array([t])
        k_bar = np.multiply.outer(np.array(NEXT), bar)
        bar = bar.copy()
        for i in reversed(range(len(A))):
            nu = GAMMA * h * k_bar[i]
            nu[:n] = step.factors.solve(k_bar[i, :n] + step.fluxes.T @ nu[n:], "T")
            at = x + sum((w * k for w, k in zip(A[i], step.stages[:i], strict=True)), 0.0)
            u_bar, change = self._pull(at, par, np.array([t + TIMES[i] * h]), nu)
            bar += u_bar
            par_bar += change
            for j in range(i):
                k_bar[j] += C[i][j] / h * nu + A[i][j] * u_bar
            u_bar, change = self._bend(x, par, at_start, nu, step.stages[i], np.array([h * D[i]]))
            bar += u_bar
            par_bar += change
        return bar, par_bar

    def tangent(self, x: Array, par: Array, x_dot: Array, par_dot: Array, watch: Watch) -> Array:
        if self._ahead is None:
            y, p, t, rates = self._symbols_of
            dots, along, along_t = (
                [ca.SX.sym("dot", s.numel()) for s in (y, p)],
                ca.SX.sym("a", self.size),
                ca.SX.sym("b"),
            )

            def moved(of: ca.SX) -> ca.SX:
                return ca.densify(ca.jtimes(of, y, dots[0]) + ca.jtimes(of, p, dots[1]))

            slope = ca.jtimes(rates, y, along) + ca.jtimes(rates, t, along_t)
            ahead = ca.Function("ahead", [y, p, t, *dots, along, along_t], [moved(rates), moved(slope)])
            sizes = {0: self.size, 1: p.numel(), 2: 1, 3: self.size, 4: p.numel(), 5: self.size, 6: 1}
            self._ahead = Call(ahead, sizes, {0: self.size, 1: self.size})
        self._kept = {}
        try:
            for start, t0, h in self._march(x, par, watch)[0]:
                watch.look()
                step = self._kept.pop(t0)
                x_dot = np.array(
                    [self._step_ahead(step, start, par, t0, h, *d) for d in zip(x_dot, par_dot, strict=True)]
                )
        finally:
            self._kept = None
        return _finite(x_dot)

    def _step_ahead(self, step: _Step, x: Array, par: Array, t: float, h: float, x_dot: Array, par_dot: Array) -> Array:
        assert self._ahead is not None
        k_dot, still = np.zeros_like(step.stages), np.zeros(self.size)
        for i in range(len(A)):
            at, at_dot = (
                v + sum((w * k for w, k in zip(A[i], ks[:i], strict=True)), 0.0)
                for v, ks in ((x, step.stages), (x_dot, k_dot))
            )
            time = np.array([t + TIMES[i] * h])
            right = self._ahead(at, par, time, at_dot, par_dot, still, np.zeros(1))[0].copy()
            right += self._ahead(x, par, np.array([t]), x_dot, par_dot, step.stages[i], np.array([h * D[i]]))[1]
            right += sum((w / h * k for w, k in zip(C[i], k_dot[:i], strict=True)), 0.0)
            k_dot[i] = self._divided(step, right, h)
        return np.asarray(x_dot + np.tensordot(NEXT, k_dot, 1))


def _stored(matrix: ca.SX) -> ca.SX:
    """What a sparse matrix stores, as a dense column."""
    return ca.SX(ca.Sparsity.dense(matrix.nnz(), 1), matrix.nz[:])
