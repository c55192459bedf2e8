"""One iteration of Newton's method in a step of implicit Euler, and the derivatives of the step, on CasADi functions.

For few states each is one function of scalars, its linear systems solved symbolically; otherwise matrices are filled by
CasADi and factorised by LAPACK, by SciPy's SuperLU, or by CasADi's QR where there is no SciPy.

States are `y`; `par` holds parameters and then forcings, at the end of the step, and `h` is its size.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from importlib.util import find_spec

import casadi as ca
import numpy as np

from ...arrays import Array
from ..base import Status
from ..batch import Failure
from ..ir.kernels import NetworkStage, System
from ..stated_steps import CORRECTION, OF_FLUXES, ROUNDING
from .calls import Call
from .compiling import Compiler
from .few_states import MOST_OPERATIONS, MOST_STATES, Buffer
from .steady_functions import Functions
from .symbols import closed_values, rates

# Up to as many states LAPACK's dense factors take less time.
DENSE = 64
# The least size of what is divided by.
TINY = 1e-300

# What a function is made of: its symbols and its results.
Made = tuple[list[ca.SX], list[ca.SX]]


def of_few_states(system: System) -> bool:
    """Is a whole iteration best one function of scalars?"""
    if system.n_states > MOST_STATES or any(isinstance(stage, NetworkStage) for stage in system.stages):
        return False
    y, par, total = _rates(system)
    return bool(ca.Function("rates", [y, par], [total]).n_instructions() <= MOST_OPERATIONS)


def _rates(system: System) -> tuple[ca.SX, ca.SX, ca.SX]:
    """Symbols of `y` and `par`, and the rates of states and fluxes."""
    y, par = ca.SX.sym("y", system.n_states), ca.SX.sym("par", system.n_parameters + system.n_forcings)
    v = closed_values(system, y, *ca.vertsplit(par, [0, system.n_parameters, par.numel()]))
    return y, par, ca.densify(rates(system, v))


class FewStates:
    """Steps of few states. Not for use by two threads at a time."""

    linear_solver = "dense (unrolled)"

    def __init__(self, system: System, compiled: bool) -> None:
        self._compiler, self._n = Compiler(compiled), system.n_states
        self._symbols = y, par, total = _rates(system)
        self._h = ca.SX.sym("h")
        of_states, self._of_fluxes = self._split(ca.jacobian(total, y))
        self._matrix = ca.SX.eye(self._n) / self._h - of_states
        start, h = ca.SX.sym("start", self._n), self._h
        state_rates, flux_rates = self._split(total)
        left = (y - start) / h - state_rates
        change = -ca.solve(self._matrix, left)
        fluxes = h * (flux_rates + ca.mtimes(self._of_fluxes, change))
        corrected = ca.fabs(change) / (CORRECTION * ca.fmax(ca.fabs(y + change), ca.fabs(start)) + TINY)
        terms = (ca.fabs(y) + ca.fabs(start)) / h + ca.mtimes(ca.fabs(of_states), ca.fabs(y))
        rounding = ROUNDING * terms + OF_FLUXES * (ca.mmax(ca.fabs(flux_rates)) if flux_rates.numel() else 0.0) + TINY
        measure = ca.mmax(ca.fmin(corrected, ca.fabs(left) / rounding))
        # Comparisons with what is not a number are false.
        measure = ca.if_else(ca.sumsqr(change) < np.inf, measure, np.inf)
        results = [ca.densify(x) for x in (y + change, fluxes, measure)]
        self._functions = {"newton": self._compiler.function("newton", [y, start, par, h], results)}
        self._buffers: dict[str, Buffer] = {}

    def _split(self, rows: ca.SX) -> tuple[ca.SX, ca.SX]:
        """Those of states, and those of fluxes."""
        of_states, of_fluxes = ca.vertsplit(rows, [0, self._n, rows.size1()])
        return of_states, of_fluxes

    @property
    def compiled(self) -> bool:
        return self._compiler.compiled

    def twin(self) -> FewStates:
        """Another one for another thread, with the same functions."""
        other = copy(self)
        other._buffers = {}
        return other

    def newton(self, y: Array, start: Array, par: Array, h: float) -> tuple[Array, Array, float]:
        """`y` corrected, fluxes integrated over the step, and how far the correction is from the last one.

        The latter is at most 1 where it is the last, and not finite where there is none.
        """
        after, fluxes, measure = self._called("newton", None, y, start, par, h)
        return after, fluxes, float(measure[0])

    def rates(self, y: Array, par: Array) -> Array:
        """Rates of states and fluxes at `y`; NaN where there are none."""
        at, given, total = self._symbols
        return self._called("rates", lambda: ([at, given], [total]), y, par)[0]

    def pull(self, y: Array, par: Array, h: float, y_bar: Array, q_bar: Array) -> tuple[Array, Array]:
        """Gradients to the start of a step and to `par`, from those to its end `y` and to its fluxes."""
        start, bar = self._called("pull", self._pulled, y, par, h, y_bar, q_bar)
        return start, bar

    def push(self, y: Array, par: Array, h: float, y_dot: Array, par_dot: Array) -> tuple[Array, Array]:
        """Moves of the end `y` of a step and of its fluxes, from those of its start and of `par`; the first axis is of directions."""
        pairs = [self._called("push", self._pushed, y, par, h, *dots) for dots in zip(y_dot, par_dot, strict=True)]
        return np.stack([after for after, _ in pairs]), np.stack([fluxes for _, fluxes in pairs])

    def _pulled(self) -> Made:
        (y, par, total), h = self._symbols, self._h
        y_bar, q_bar = ca.SX.sym("y_bar", self._n), ca.SX.sym("q_bar", total.numel() - self._n)
        z = ca.solve(self._matrix.T, y_bar + h * ca.mtimes(self._of_fluxes.T, q_bar))
        return [y, par, h, y_bar, q_bar], [z / h, ca.jtimes(total, par, ca.vertcat(z, h * q_bar), True)]

    def _pushed(self) -> Made:
        (y, par, total), h = self._symbols, self._h
        y_dot, par_dot = ca.SX.sym("y_dot", self._n), ca.SX.sym("par_dot", par.numel())
        of_states, of_fluxes = self._split(ca.jtimes(total, par, par_dot))
        after = ca.solve(self._matrix, y_dot / h + of_states)
        fluxes = h * (of_fluxes + ca.mtimes(self._of_fluxes, after))
        return [y, par, h, y_dot, par_dot], [after, fluxes]

    def _called(self, name: str, make: Callable[[], Made] | None, *inputs: Array | float) -> list[Array]:
        """Results of a function at some inputs; it is built when it is first called."""
        if name not in self._buffers:
            if name not in self._functions:
                assert make is not None
                symbols, results = make()
                built = self._compiler.function(name, symbols, [ca.densify(ca.SX(x)) for x in results])
                # One for all twins; of two that build it at a time, one is kept.
                self._functions.setdefault(name, built)
            self._buffers[name] = Buffer(self._functions[name])
        buffer = self._buffers[name]
        for memory, value in zip(buffer.inputs, inputs, strict=True):
            memory[:] = value
        buffer.call()
        return [memory.copy() for memory in buffer.outputs]


class ManyStates:
    """The same for any number of states."""

    compiled = False

    def __init__(self, system: System, compiled: bool) -> None:
        self._of = Functions(system)
        self._n, self._n_parameters = system.n_states, system.n_parameters
        rows, columns = self._of.pattern.get_triplet()
        self._rows, self._columns = np.array(rows), np.array(columns)
        self._fresh()

    def _fresh(self) -> None:
        of, inputs = self._of, dict(enumerate(self._of.sizes))
        total, moving = self._n + of.n_fluxes, sum(of.sizes)
        self._rates = Call(of.rates, inputs, {0: total})
        self._filled = Call(of.matrix, {**inputs, 3: 1}, {0: of.pattern.nnz()})
        self._pull = Call(of.pull, {**inputs, 3: total}, {0: moving})
        self._push = Call(of.push, {**inputs, 3: moving}, {0: total})
        self._linear = (
            None if self._n <= DENSE or find_spec("scipy") is not None else ca.Linsol("euler", "qr", of.pattern)
        )

    @property
    def linear_solver(self) -> str:
        if self._n <= DENSE:
            return "dense"
        return "sparse direct (SuperLU)" if self._linear is None else "sparse direct (QR)"

    def twin(self) -> ManyStates:
        other = copy(self)
        other._fresh()
        return other

    def newton(self, y: Array, start: Array, par: Array, h: float) -> tuple[Array, Array, float]:
        given, n = np.split(par, [self._n_parameters]), self._n
        try:
            total = self._rates(y, *given)[0].copy()
            values = self._matrix_at(y, given, h)
            left = (y - start) / h - total[:n]
            change = -self._solved(values, left, transposed=False)
            fluxes = h * (total[n:] + self._moved(y, given, np.append(change, np.zeros(len(par))))[n:])
        except Failure:
            return y, np.zeros(self._of.n_fluxes), np.inf
        # Of the matrix I/h - J.
        terms = np.abs(start) / h + np.bincount(self._rows, np.abs(values * y[self._columns]), n)
        rounding = ROUNDING * terms + OF_FLUXES * np.abs(total[n:]).max(initial=0.0) + TINY
        corrected = np.abs(change) / (CORRECTION * np.maximum(np.abs(y + change), np.abs(start)) + TINY)
        with np.errstate(over="ignore"):
            measure = np.minimum(corrected, np.abs(left) / rounding).max()
        return y + change, fluxes, float(measure)

    def rates(self, y: Array, par: Array) -> Array:
        try:
            return self._rates(y, *np.split(par, [self._n_parameters]))[0].copy()
        except Failure:
            return np.full(self._n + self._of.n_fluxes, np.nan)

    def pull(self, y: Array, par: Array, h: float, y_bar: Array, q_bar: Array) -> tuple[Array, Array]:
        given, n = np.split(par, [self._n_parameters]), self._n
        by_fluxes = self._pull(y, *given, np.append(np.zeros(n), q_bar))[0][:n]
        z = self._solved(self._matrix_at(y, given, h), y_bar + h * by_fluxes, transposed=True)
        return z / h, self._pull(y, *given, np.append(z, h * q_bar))[0][n:].copy()

    def push(self, y: Array, par: Array, h: float, y_dot: Array, par_dot: Array) -> tuple[Array, Array]:
        given, n, still = np.split(par, [self._n_parameters]), self._n, np.zeros(self._n)
        values, fluxes = self._matrix_at(y, given, h), np.empty((len(y_dot), self._of.n_fluxes))
        moved = np.stack([self._moved(y, given, np.append(still, dot))[:n] for dot in par_dot], axis=1)
        after = self._solved(values, y_dot.T / h + moved, transposed=False).T
        for k, dots in enumerate(zip(after, par_dot, strict=True)):
            fluxes[k] = h * self._moved(y, given, np.concatenate(dots))[n:]
        return after, fluxes

    def _matrix_at(self, y: Array, given: list[Array], h: float) -> Array:
        """Values of the matrix `I/h - J`, in the order of its pattern."""
        return self._filled(y, *given, np.array([1 / h]))[0].copy()

    def _moved(self, y: Array, given: list[Array], dots: Array) -> Array:
        return self._push(y, *given, dots)[0].copy()

    def _solved(self, values: Array, right: Array, transposed: bool) -> Array:
        """The solution for one right-hand side, or several in columns; raises `Failure` where the matrix is singular."""
        try:
            solution = self._solve(values, right, transposed)
        except (np.linalg.LinAlgError, RuntimeError) as error:
            raise Failure(Status.LINEAR_SOLVER) from error
        if not np.isfinite(solution).all():
            raise Failure(Status.LINEAR_SOLVER)
        return solution

    def _solve(self, values: Array, right: Array, transposed: bool) -> Array:
        if self._linear is not None:
            matrix = ca.DM(self._of.pattern, values)
            return np.asarray(self._linear.solve(matrix, ca.DM(right), transposed).full().reshape(right.shape))
        n = self._n
        if n <= DENSE:
            dense = np.zeros((n, n))
            dense[self._rows, self._columns] = values
            return np.asarray(np.linalg.solve(dense.T if transposed else dense, right), np.float64)
        from scipy.sparse import csc_matrix
        from scipy.sparse.linalg import splu

        matrix = csc_matrix((values, (self._rows, self._columns)), (n, n))
        return np.asarray(splu(matrix).solve(right, "T" if transposed else "N"), np.float64)
