"""Steady states on CasADi functions: rates, their sparse Jacobian and its products, and CasADi's sparse QR factors.

The search is that of `julia/src/steady.jl`, with the same constants: Newton's method with damping by the natural
monotonicity test (Deuflhard 2004, Newton Methods for Nonlinear Problems, 3.3), and pseudo-transient continuation (Kelley
and Keyes 1998, SIAM J. Numer. Anal. 35) where it fails.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

import casadi as ca
import numpy as np

from ...arrays import Array, Indices
from ..absolute import absolute, absolute_of_guard
from ..base import Problem, Status
from ..batch import Failure, Watch
from ..interrupts import Interrupt
from ..ir.kernels import SLACK, System
from .calls import Call
from .steady_functions import Functions

# A damped step is at least this share of Newton's; and as many are taken in one attempt at most.
LEAST_SHARE, ATTEMPT = 1 / 1024, 30
# The first step in pseudo-time changes no state by more than as much of it. A step is taken where a further iteration
# would correct it by no more than half, and is larger than the one before where that is less than a tenth.
FIRST_CHANGE, NONLINEAR, LINEAR = 0.01, 0.5, 0.1
# Between two attempts of Newton's method the pseudo-time step grows as much, or as many steps are taken.
FURTHER, PATIENCE = 10.0, 20
# Where the steps are longer than the first by such a factor, nothing comes to rest, or shorter, nothing can be taken.
LONGEST, SHORTEST = 1e12, 1e-12
# A matrix is taken for singular where changes of its entries by as small a share would make it so.
SINGULAR = 1e-12
# Corrections of what was found by the factors of the last step.
POLISH = 2
# Up to as many states LAPACK's dense factors take less time.
DENSE = 64


# One thread builds at a time. A fork waits for it, as in the engine.
_building = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_building.acquire, after_in_parent=_building.release, after_in_child=_building.release)
# Functions of each system, and searches that no thread uses.
_built: WeakKeyDictionary[System, tuple[Functions, list[Search]]] = WeakKeyDictionary()


@contextmanager
def search_of(problem: Problem, member: int, watch: Watch, seconds: list[float] | None = None) -> Iterator[Search]:
    """Lends a search for a member to one thread; makes one where all are in use. Adds the time to build to `seconds`."""
    with _building:
        started = time.perf_counter()
        if problem.system not in _built:
            _built[problem.system] = Functions(problem.system), []
        functions, idle = _built[problem.system]
        search = idle.pop() if idle else Search(functions)
        spent = time.perf_counter() - started
        watch.uncounted(spent)
        if seconds is not None:
            seconds[0] += spent
    options = problem.options
    search.watch, search.rtol = watch, options.rtol
    search.atol = absolute(problem.system, options)[: problem.system.n_states]
    search.p, search.f = problem.p[member], problem.f[member, 0, 0]
    # Enough for what follows a search.
    search.iterations, search.allowed = 0, 1
    try:
        yield search
    finally:
        idle.append(search)


def jacobian_at(problem: Problem, member: int, y: Array) -> tuple[Indices, Indices, Array]:
    """The Jacobian of the rates of the states at `y`: rows, columns and values of its entries."""
    watch = Watch(problem.options.max_seconds, Interrupt())
    with search_of(problem, member, watch) as search:
        return search.jacobian(y)


class Search:
    """Finds a steady state of one member, and its derivatives. Not for use by two threads at a time."""

    watch: Watch
    rtol: float
    atol: Array

    def __init__(self, functions: Functions) -> None:
        self._of = functions
        inputs, count = dict(enumerate(functions.sizes)), functions.sizes[0] + functions.n_fluxes
        self._rates = Call(functions.rates, inputs, {0: count})
        self._matrix = Call(functions.matrix, {**inputs, 3: 1}, {0: functions.pattern.nnz()})
        self._linear = ca.Linsol("steady", "qr", functions.pattern) if functions.sizes[0] > DENSE else None
        rows, columns = functions.pattern.get_triplet()
        self._rows, self._columns = np.array(rows), np.array(columns)
        self._values = np.zeros(functions.pattern.nnz())
        self.p = self.f = np.empty(0)
        self.iterations = self.allowed = 0
        self.continuation = False

    def find(self, y: Array, low: Array, high: Array, allowed: int) -> tuple[Array, Array, Array, Failure | None]:
        """The point that was reached from `y` on, rates there, a direction where the Jacobian is singular, and what failed."""
        self._low = np.where(np.isfinite(low), low - self.atol - self.rtol * np.abs(low), low)
        self._high = np.where(np.isfinite(high), high + self.atol + self.rtol * np.abs(high), high)
        self.iterations, self.allowed, self.continuation = 0, allowed, False
        self._best, failure = y, None
        try:
            self._best = self._newton_or_continued(y)
        except Failure as failed:
            failure = failed
        direction = np.zeros_like(y)
        if failure is not None and failure.status is Status.SINGULAR:
            direction = self._direction(self._best)
        return self._best, self._evaluate(self._best)[0], direction, failure

    def pull(self, y: Array, y_bar: Array, q_bar: Array) -> tuple[Array, Array]:
        """Gradients to parameters and forcings, from those to the steady state and the rates of fluxes there."""
        n, count, _ = self._of.sizes
        by_fluxes = self._of.pull(y, self.p, self.f, np.concatenate([np.zeros(n), q_bar])).full().ravel()[:n]
        self._set_matrix(y, 0.0)
        adjoint = self._solved(y_bar + by_fluxes, transposed=True)
        bar = self._of.pull(y, self.p, self.f, np.concatenate([adjoint, q_bar])).full().ravel()
        return _finite(bar[n : n + count]), _finite(bar[n + count :])

    def push(self, y: Array, p_dot: Array, f_dot: Array) -> tuple[Array, Array]:
        """Moves of the steady state and of the rates of fluxes there, along directions of parameters and forcings."""
        n, (y_dots, q_dots) = len(y), (np.zeros((len(p_dot), size)) for size in (len(y), self._of.n_fluxes))
        self._set_matrix(y, 0.0)
        for k, inputs in enumerate(np.concatenate([p_dot, f_dot], axis=1)):
            moved = self._of.push(y, self.p, self.f, np.concatenate([np.zeros(n), inputs])).full().ravel()
            y_dots[k] = self._solved(moved[:n])
            moved = self._of.push(y, self.p, self.f, np.concatenate([y_dots[k], inputs])).full().ravel()
            q_dots[k] = moved[n:]
        return _finite(y_dots), _finite(q_dots)

    def jacobian(self, y: Array) -> tuple[Indices, Indices, Array]:
        """Rows, columns and values of the Jacobian of the rates of the states at `y`."""
        self._set_matrix(y, 0.0)
        return self._rows, self._columns, -self._values

    def _newton_or_continued(self, y: Array) -> Array:
        try:
            return self._newton(y)
        except Failure as failed:
            start, finite = self._evaluate(y)
            final = failed.status is Status.TIME_LIMIT or self.iterations >= self.allowed
            if final or not finite or not start[: len(y)].any():
                raise
        self.continuation = True
        return self._continued(y)

    def _newton(self, y: Array) -> Array:
        """The steady state that damped steps lead to; raises `Failure`."""
        total, finite = self._evaluate(y)
        if not finite:
            raise Failure(Status.NOT_FINITE)
        share = 1.0
        for _ in range(ATTEMPT):
            self._set_matrix(y, 0.0)
            weights = self._weights(y)
            probe = self._product(1 / weights) * (0.75 + 0.25 * np.cos(3.7 * np.arange(1, len(y) + 1) ** 2))
            step, along = self._solved(np.stack([total[: len(y)], probe], axis=1)).T
            size = np.abs(step * weights).max()
            if size <= 1:
                if (probe <= SINGULAR * self._product(along)).all():
                    raise Failure(Status.SINGULAR)
                return self._arrived(*self._polished(y + step, size, weights))
            share = min(1.0, 4 * share)
            while (reached := self._descended(y, step, share, weights, size)) is None:
                share /= 2
                if share < LEAST_SHARE:
                    raise Failure(Status.CONVERGENCE)
            y, total = reached
        raise Failure(Status.CONVERGENCE)

    def _descended(
        self, y: Array, step: Array, share: float, weights: Array, size: float
    ) -> tuple[Array, Array] | None:
        """The end of a share of a step and the rates there, where the next step would be enough smaller; else None."""
        trial = y + share * step
        if not self._inside(trial):
            return None
        total, finite = self._evaluate(trial)
        if not finite:
            return None
        correction = self._solved(total[: len(y)])
        return (trial, total) if np.abs(correction * weights).max() <= (1 - share / 4) * size else None

    def _polished(self, y: Array, size: float, weights: Array) -> tuple[Array, bool]:
        """`y`, at the end of a step of that size, corrected as long as that takes it closer; whether rates are finite there.

        Balances then close to rounding.
        """
        total, finite = self._evaluate(y)
        for _ in range(POLISH if finite else 0):
            correction = self._solved(total[: len(y)])
            moved = np.abs(correction * weights).max()
            after, good = self._evaluate(y + correction)
            if not (good and 2 * moved <= size and self._inside(y + correction)):
                break
            y, total, size = y + correction, after, moved
        return y, finite

    def _arrived(self, y: Array, finite: bool) -> Array:
        """A steady state, where all is finite and in its range."""
        if not finite:
            raise Failure(Status.NOT_FINITE)
        if not self._inside(y):
            raise Failure(Status.OUT_OF_RANGE, "(the steady state lies outside of the bounds of a state)")
        if self._of.limits is not None:
            low, value, high = self._of.limits(y, self.p, self.f).full().T
            least = float(self.atol.min())
            atol = np.concatenate([absolute_of_guard(g, self.atol, least) for g in self._of.guards])
            slack = [SLACK * (self.rtol * np.abs(bound) + atol) for bound in (low, high)]
            within = (value >= low - slack[0]) & (value <= high + slack[1])
            if not within.all():
                row = int(np.argmin(within))
                guard, item = [(g, i) for g in self._of.guards for i in range(len(g.cells))][row]
                message = guard.message(item, low[row], value[row], high[row], " in the steady state")
                raise Failure(Status.OUT_OF_RANGE, f"({message})")
        return y

    def _continued(self, y: Array) -> Array:
        """The steady state that pseudo-time leads to from `y`; raises `Failure`."""
        total = self._evaluate(y)[0]
        speed = np.abs(total[: len(y)] * self._weights(y)).max()
        first = FIRST_CHANGE / (self.rtol * speed)
        size = tried = first
        taken, last = 0, Failure(Status.CONVERGENCE)
        while SHORTEST * first <= size <= LONGEST * first:
            trial, after, bend = self._pseudo_step(y, total, size)
            if not bend <= NONLINEAR:
                size /= 4
                continue
            self._best = y = trial
            total, before = after, speed
            speed = np.abs(total[: len(y)] * self._weights(y)).max()
            # Switched evolution relaxation; where a step is close to linear a rate that does not fall holds nothing up.
            growth = 10.0 if speed == 0 else min(max(before / speed, 0.5), 10.0)
            size *= max(growth, 10.0 if bend <= LINEAR**3 else 2.0 if bend <= LINEAR else 0.0)
            taken += 1
            if size >= FURTHER * tried or taken % PATIENCE == 0:
                tried = max(tried, size)
                try:
                    return self._newton(y)
                except Failure as failed:
                    if failed.status is Status.TIME_LIMIT or self.iterations >= self.allowed:
                        raise
                    last = failed
        raise last

    def _pseudo_step(self, y: Array, total: Array, size: float) -> tuple[Array, Array, float]:
        """One iteration of implicit Euler, rates at its end, and the share of it by which the next would correct it."""
        n = len(y)
        try:
            self._set_matrix(y, 1 / size)
            step = self._solved(total[:n])
            after, finite = self._evaluate(y + step)
            if not finite or not self._inside(y + step):
                return y, total, np.inf
            correction = self._solved(after[:n] - step / size)
        except Failure as failed:
            if failed.status is Status.TIME_LIMIT or self.iterations >= self.allowed:
                raise
            return y, total, np.inf
        weights = self._weights(y)
        moved = np.abs(step * weights).max()
        return y + step, after, float(np.abs(correction * weights).max() / moved) if moved > 0 else 0.0

    def _evaluate(self, y: Array) -> tuple[Array, bool]:
        """Rates of change of states and of fluxes, and whether all are finite."""
        try:
            return self._rates(y, self.p, self.f)[0].copy(), True
        except Failure:
            return self._rates.outputs[0].copy(), False

    def _weights(self, y: Array) -> Array:
        """One over the tolerance of each state."""
        weights: Array = 1 / (self.atol + self.rtol * np.abs(y))
        return weights

    def _inside(self, y: Array) -> bool:
        return bool(((y >= self._low) & (y <= self._high)).all())

    def _set_matrix(self, y: Array, shift: float) -> None:
        """Sets the matrix `I shift - J` at `y`."""
        self.watch.look()
        if self.iterations >= self.allowed:
            raise Failure(Status.CONVERGENCE)
        self.iterations += 1
        self._values = self._matrix(y, self.p, self.f, np.array([shift]))[0].copy()

    def _solved(self, right: Array, transposed: bool = False) -> Array:
        """The solution for one right-hand side, or several in columns; raises `Failure` where the matrix is singular."""
        try:
            solution = self._solve(right, transposed)
        except (np.linalg.LinAlgError, RuntimeError) as error:
            raise Failure(Status.SINGULAR) from error
        if not np.isfinite(solution).all():
            raise Failure(Status.SINGULAR)
        return solution

    def _solve(self, right: Array, transposed: bool) -> Array:
        if self._linear is not None:
            matrix = ca.DM(self._of.pattern, self._values)
            return np.asarray(self._linear.solve(matrix, ca.DM(right), transposed).full().reshape(right.shape))
        dense = np.zeros((len(right), len(right)))
        dense[self._rows, self._columns] = self._values
        return np.asarray(np.linalg.solve(dense.T if transposed else dense, right), np.float64)

    def _product(self, x: Array) -> Array:
        """`|A| |x|` of the matrix that is set."""
        return np.bincount(self._rows, np.abs(self._values * x[self._columns]), len(x)).astype(np.float64)

    def _direction(self, y: Array) -> Array:
        """The direction in which the Jacobian changes rates least: one step of inverse iteration."""
        self.allowed = self.iterations + 1
        try:
            self._set_matrix(y, 0.0)
            size = np.abs(self._values).max(initial=0.0)
            self._values[self._rows == self._columns] += 1e-14 * size if size > 0 else 1.0
            probe = self._product(1 / self._weights(y)) * (0.75 + 0.25 * np.cos(3.7 * np.arange(1, len(y) + 1) ** 2))
            along = self._solved(probe)
        except Failure:
            return np.zeros_like(y)
        self.iterations -= 1
        along /= max(np.abs(along).max(), np.finfo(float).tiny)
        return along


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise Failure(Status.NOT_FINITE)
    return values
