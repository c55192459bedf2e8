"""The embedded engine: SUNDIALS' CVODES with its sensitivities, through CasADi.

The kernels of a system run on CasADi symbols, which gives CVODES an exact sparse Jacobian and the
adjoint equations. One CasADi function solves one interval between breaks in scaled time; intervals
are chained here, so forcing jumps are never stepped over and a gradient costs one adjoint solve per
interval, for all inputs at once. Derivatives along directions are solved for beside the states.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import casadi as ca
import numpy as np

from ..errors import EngineError, InputError
from .base import Array, Forward, Gradients, Options, Problem, Status, Tangents
from .interrupts import interrupted
from .kernels import System
from .members import Failure, Watch, each_member

RULES: dict[str, Any] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b, "neg": lambda a: -a, "abs": ca.fabs, "exp": ca.exp, "log": ca.log, "sqrt": ca.sqrt,
    "tanh": ca.tanh, "sin": ca.sin, "cos": ca.cos, "minimum": ca.fmin, "maximum": ca.fmax,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "and": ca.logic_and, "or": ca.logic_or,
    "not": ca.logic_not, "where": lambda c, a, b: ca.if_else(c, a, b),
}  # fmt: skip

# What CVODES calls its failures, and what they mean to a user.
FLAGS = {
    "CV_TOO_MUCH_WORK": Status.MAX_STEPS, "CV_TOO_MUCH_ACC": Status.STEP_TOO_SMALL,
    "CV_ERR_FAILURE": Status.ERROR_TEST, "CV_CONV_FAILURE": Status.CONVERGENCE,
    "CV_LSETUP_FAIL": Status.LINEAR_SOLVER, "CV_LSOLVE_FAIL": Status.LINEAR_SOLVER,
    "CV_RHSFUNC_FAIL": Status.NOT_FINITE, "CV_FIRST_RHSFUNC_ERR": Status.NOT_FINITE,
    "CV_REPTD_RHSFUNC_ERR": Status.NOT_FINITE, "CV_UNREC_RHSFUNC_ERR": Status.NOT_FINITE,
    "CV_QRHSFUNC_FAIL": Status.NOT_FINITE, "CV_FIRST_QRHSFUNC_ERR": Status.NOT_FINITE,
}  # fmt: skip

SOLVERS = {"cvodes-bdf": "bdf", "cvodes-adams": "adams"}
# CVODES controls the error of a step; over many steps errors come out about ten times the tolerance,
# where a Rosenbrock method's stay below it. States further off than that would also bend the gradient,
# which is taken at them: with this share, a requested 1e-4 holds for it on all reference problems.
TOLERANCE_FACTOR, TIGHTEST = 0.005, 1e-13
# Derivatives of the requested accuracy need more than the states; both passes for them solve each
# interval again anyway, and may do so more tightly.
SENSITIVITY_FACTOR = 1e-3
# Directions that are solved for beside the states at a time.
DIRECTIONS = 8
# Steps kept in memory between two checkpoints of the adjoint.
STEPS_PER_CHECKPOINT = 500
# CasADi leaves CVODES at its default for the steps of one call backwards; longer intervals are halved.
BACKWARD_STEPS = 500

# One thread builds at a time. A fork waits for it, so that no child starts with something half built.
_building = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_building.acquire, after_in_parent=_building.release, after_in_child=_building.release)


def rates(system: System, y: Any, p: Any, f: Any) -> Any:
    """The rates `[d(states)/dt | fluxes]` of a system on CasADi symbols."""
    v = ca.vertcat(y, p, f, ca.DM(system.constants))
    for kernel in system.closures:
        results = kernel.program.run(_inputs(kernel, v), RULES)
        v = ca.vertcat(v, *(_column(results[s.output], len(s.target)) for s in kernel.scatter))
    total = type(y).zeros(system.n_states + system.n_fluxes)
    for kernel in system.kernels:
        results = kernel.program.run(_inputs(kernel, v), RULES)
        for s in kernel.scatter:
            spread = ca.DM.triplet(
                s.target.tolist(), list(range(len(s.target))), ca.DM(s.weight), total.numel(), len(s.target)
            )
            total += ca.mtimes(spread, _column(results[s.output], len(s.target)))
    return total


def _solver(options: Options) -> str:
    return "cvodes-bdf" if options.solver in (None, "auto") else str(options.solver)


def _tolerances(options: Options, factor: float) -> dict[str, float]:
    return {"reltol": max(factor * options.rtol, TIGHTEST), "abstol": factor * options.atol}


def _inputs(kernel: Any, v: Any) -> dict[str, Any]:
    return {name: v[row.tolist()] for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)}


def _column(value: Any, items: int) -> Any:
    """A result as a column of `items` entries; constant results are scalars until here."""
    if isinstance(value, (int, float)):
        value = ca.DM(value)
    return ca.repmat(value, items, 1) if value.numel() == 1 and items != 1 else value


class _Call:
    """A CasADi function with fixed memory for inputs and outputs, so that a call copies nothing else."""

    def __init__(self, function: Any, inputs: dict[int, int], outputs: dict[int, int]) -> None:
        self._buffer, self._evaluate = function.buffer()
        self.inputs = [np.zeros(size) for size in inputs.values()]
        self.outputs = [np.zeros(size) for size in outputs.values()]
        for position, memory in zip(inputs, self.inputs, strict=True):
            self._buffer.set_arg(position, memoryview(memory.data))
        for position, memory in zip(outputs, self.outputs, strict=True):
            self._buffer.set_res(position, memoryview(memory.data))

    def __call__(self, *inputs: Array) -> list[Array]:
        """Returns the output memory itself: copy what is to be kept."""
        for memory, value in zip(self.inputs, inputs, strict=True):
            memory[:] = value
        try:
            self._evaluate()
        except RuntimeError as error:
            if interrupted():
                raise KeyboardInterrupt from error
            found = re.findall(r'returned "(\w+)"', str(error))
            if not found:
                raise EngineError(f"CasADi failed: {error}") from error
            raise Failure(FLAGS.get(found[-1], Status.FAILED), f"(CVODES: {found[-1]})") from error
        if not all(np.isfinite(out).all() for out in self.outputs):
            raise Failure(Status.NOT_FINITE)
        return self.outputs


class _Interval:
    """Solves one interval of one member forward and back. Not for use by two threads at a time.

    `par = [p | f at the start | f at the end, where not constant | length of the interval]`.
    """

    def __init__(self, system: System, options: Options, nodes: int, watch: Watch) -> None:
        started = time.perf_counter()
        solver = _solver(options)
        if solver not in SOLVERS:
            raise InputError(f"solver {solver!r} is unknown to the engine 'sundials'; it has {sorted(SOLVERS)}")
        n, n_fluxes = system.n_states, system.n_fluxes
        self.n_parameters, self.nodes, self.n_forcings = system.n_parameters, nodes, system.n_forcings
        self.options, self.n_states, self.watch = options, n, watch
        y, p, s = ca.SX.sym("y", n), ca.SX.sym("p", system.n_parameters), ca.SX.sym("s")
        f, length = ca.SX.sym("f", system.n_forcings, nodes), ca.SX.sym("length")
        now = f if nodes == 1 else f[:, 0] + s * (f[:, 1] - f[:, 0])
        # Time is scaled to [0, 1], so one function serves intervals of any length.
        total = length * rates(system, y, p, now)
        par = ca.vertcat(p, ca.vec(f), length)
        self._size = par.numel()
        q = ca.SX.sym("q", n_fluxes)
        # Forward, the integrated fluxes are states: Newton's method then keeps the balance to
        # round-off. Backward, they are quadratures, which keeps the adjoint system small.
        closed = {"x": ca.vertcat(y, q), "p": par, "t": s, "ode": total}
        self._lean = {"x": y, "p": par, "t": s, "ode": total[:n], "quad": total[n:]}
        self._setup: dict[str, Any] = {
            **_tolerances(options, TOLERANCE_FACTOR),
            "max_num_steps": options.max_steps,
            "steps_per_checkpoint": STEPS_PER_CHECKPOINT,
            "linear_multistep_method": SOLVERS[solver],
            "disable_internal_warnings": True,
        }
        self.compiled = options.compiled and shutil.which("cc") is not None
        integrator = self._integrator("forward", closed)
        self._forward = _Call(integrator, {0: n + n_fluxes, 2: self._size}, {0: n + n_fluxes})
        self._backward: _Call | None = None
        self._tangents: dict[int, _Call] = {}
        self._zeros = np.zeros(n_fluxes)
        self.setup_seconds = time.perf_counter() - started

    def _integrator(self, name: str, dae: dict[str, Any], **more: Any) -> Any:
        """Compiled to C where asked for and possible: without a compiler that works, CasADi interprets."""
        started = time.perf_counter()
        try:
            return self._built(name, dae, self._setup | more)
        finally:
            self.watch.uncounted(time.perf_counter() - started)

    def _built(self, name: str, dae: dict[str, Any], setup: dict[str, Any]) -> Any:
        if self.compiled:
            jit = {"jit": True, "compiler": "shell", "jit_options": {"compiler": "cc", "flags": ["-O2"]}}
            try:
                return ca.integrator(name, "cvodes", dae, 0.0, 1.0, setup | jit)
            except RuntimeError:
                self.compiled = False
        return ca.integrator(name, "cvodes", dae, 0.0, 1.0, setup)

    def forward(self, y: Array, par: Array) -> tuple[Array, Array]:
        """States at the end and integrated fluxes; raises `Failure`."""
        (end,) = self._forward(np.concatenate([y, self._zeros]), par)
        return end[: self.n_states].copy(), end[self.n_states :].copy()

    def tangent(self, y: Array, par: Array, y_dot: Array, par_dot: Array) -> tuple[Array, Array]:
        """Derivatives of the end and of integrated fluxes along directions, the first axis; raises `Failure`."""
        count = len(y_dot)
        if count not in self._tangents:
            # Derivatives count in the error test, and so do those of the integrated fluxes.
            tight = _tolerances(self.options, SENSITIVITY_FACTOR)
            beside = self._integrator("tangent", self._lean, nfwd=count, quad_err_con=True, **tight)
            sizes = {0: (1 + count) * len(y), 2: (1 + count) * self._size}
            self._tangents[count] = _Call(beside, sizes, {0: (1 + count) * len(y), 2: (1 + count) * len(self._zeros)})
        end, fluxes = self._tangents[count](np.append(y, y_dot), np.append(par, par_dot))
        return end.reshape(1 + count, -1)[1:].copy(), fluxes.reshape(1 + count, -1)[1:].copy()

    def backward(self, y: Array, par: Array, y_bar: Array, q_bar: Array) -> tuple[Array, Array]:
        """Gradients with respect to `y` and `par` (its last entry is meaningless); raises `Failure`."""
        self._calls_left = max(1, self.options.max_steps // BACKWARD_STEPS)
        return self._back(y, par, y_bar, q_bar)

    def _back(self, y: Array, par: Array, y_bar: Array, q_bar: Array) -> tuple[Array, Array]:
        self.watch.look()
        if self._backward is None:
            # Gradients to parameters and forcings are quadratures: they count in the error test.
            tight = _tolerances(self.options, SENSITIVITY_FACTOR)
            adjoint = self._integrator("backward", self._lean, nadj=1, quad_err_con=True, **tight)
            sizes = {0: len(y), 2: self._size, 4: len(y_bar), 6: len(q_bar)}
            self._backward = _Call(adjoint, sizes, {3: len(y), 5: self._size})
        try:
            y_start, par_bar = self._backward(y, par, y_bar, q_bar)
            return y_start.copy(), par_bar.copy()
        except Failure:
            self._calls_left -= 1
            if self._calls_left <= 0:
                raise
        return self._halved(y, par, y_bar, q_bar)

    def _halved(self, y: Array, par: Array, y_bar: Array, q_bar: Array) -> tuple[Array, Array]:
        """The same interval in two halves."""
        a, b = self.n_parameters, self.n_parameters + self.n_forcings
        first, second = par.copy(), par.copy()
        first[-1] = second[-1] = par[-1] / 2
        if self.nodes == 2:
            first[b:-1] = second[a:b] = 0.5 * (par[a:b] + par[b:-1])
        middle, _ = self.forward(y, first)
        y_middle, bar_2 = self._back(middle, second, y_bar, q_bar)
        y_start, bar_1 = self._back(y, first, y_middle, q_bar)
        bar = bar_1 + bar_2
        if self.nodes == 2:
            between = bar_1[b:-1] + bar_2[a:b]
            bar[a:b] = bar_1[a:b] + 0.5 * between
            bar[b:-1] = bar_2[b:-1] + 0.5 * between
        return y_start, bar


class SundialsEngine:
    """CVODES by interval. Built functions are kept per system, tolerance and kind of forcing."""

    name = "sundials"

    def __init__(self) -> None:
        self._idle: WeakKeyDictionary[System, dict[Any, list[_Interval]]] = WeakKeyDictionary()

    @contextmanager
    def _interval(self, problem: Problem, watch: Watch) -> Iterator[_Interval]:
        """Lends an interval solver to one thread; builds one where all are in use."""
        o, nodes = problem.options, problem.f.shape[2]
        key = (o.rtol, o.atol, o.solver, o.max_steps, o.compiled, nodes)
        with _building:
            idle = self._idle.setdefault(problem.system, {}).setdefault(key, [])
            interval = idle.pop() if idle else _Interval(problem.system, o, nodes, watch)
        interval.watch = watch
        try:
            yield interval
        finally:
            idle.append(interval)

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        started = time.perf_counter()
        s, members = problem.system, problem.members
        y = np.full((members, problem.intervals + 1, s.n_states), np.nan)
        q = np.full((members, problem.intervals, s.n_fluxes), np.nan)
        y[:, 0] = problem.y0
        solver = problem.options.solver
        stats: dict[str, Any] = {"engine": self.name, "solver": _solver(problem.options)}
        stats["solver_why"] = "stiff models need an implicit method" if solver in (None, "auto") else "asked for"

        def solve(m: int, watch: Watch) -> None:
            with self._interval(problem, watch) as interval:
                stats.update(compiled=interval.compiled, setup_seconds=interval.setup_seconds)
                for j, par in enumerate(_parameters(problem, m)):
                    watch.look()
                    y[m, j + 1], q[m, j] = interval.forward(y[m, j], par)

        status, reasons = each_member(problem.options, range(members), members, solve)
        stats |= {"sensitivity": "adjoint", "sensitivity_why": "the adjoint of CVODES is what this engine has"}
        stats |= {"forward_seconds": time.perf_counter() - started}
        return Forward(y, q, status, reasons, stats)

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        started = time.perf_counter()
        s, members = problem.system, problem.members
        y0_bar, p_bar, f_bar = np.zeros_like(problem.y0), np.zeros_like(problem.p), np.zeros_like(problem.f)

        def pull(m: int, watch: Watch) -> None:
            carried, par_sum = np.zeros(s.n_states), np.zeros(s.n_parameters)
            pars = _parameters(problem, m)
            with self._interval(problem, watch) as interval:
                for j in range(problem.intervals - 1, -1, -1):
                    carried += y_bar[m, j + 1]
                    # The adjoint is linear in its seeds: solving for seeds of size one makes the
                    # absolute tolerance mean the same for every loss.
                    size = max(np.abs(carried).max(), np.abs(q_bar[m, j]).max(initial=0.0))
                    if size == 0.0:
                        continue
                    seeds = carried / size, q_bar[m, j] / size
                    carried, bar = interval.backward(forward.y[m, j], pars[j], *seeds)
                    carried *= size
                    par_sum += bar[: s.n_parameters] * size
                    f_bar[m, j] = bar[s.n_parameters : -1].reshape(f_bar.shape[2:]) * size
            y0_bar[m], p_bar[m] = carried + y_bar[m, 0], par_sum

        good = [m for m in range(members) if forward.status[m].ok]
        status, reasons = each_member(problem.options, good, members, pull)
        for m in reasons:
            f_bar[m] = 0.0
        return Gradients(y0_bar, p_bar, f_bar, status, reasons, {"backward_seconds": time.perf_counter() - started})

    def tangent(self, problem: Problem, forward: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
        started = time.perf_counter()
        directions, members, count = len(y0_dot), problem.members, problem.intervals
        y_dot, q_dot = (np.zeros((directions, *part.shape)) for part in (forward.y, forward.q))

        def push(m: int, watch: Watch) -> None:
            pars = _parameters(problem, m)
            with self._interval(problem, watch) as interval:
                for some in (slice(k, k + DIRECTIONS) for k in range(0, directions, DIRECTIONS)):
                    y_dot[some, m, 0] = y0_dot[some, m]
                    for j in range(count):
                        watch.look()
                        f_now = f_dot[some, m, j].reshape(len(y_dot[some]), -1)
                        moved = np.concatenate(
                            [y_dot[some, m, j], p_dot[some, m], f_now, np.zeros((len(f_now), 1))], axis=1
                        )
                        # As in the adjoint, directions of size one make the absolute tolerance mean the same.
                        size = np.abs(moved).max(axis=1, initial=0.0)[:, None]
                        size[size == 0.0] = 1.0
                        moved /= size
                        ends = interval.tangent(
                            forward.y[m, j], pars[j], *np.split(moved, [len(forward.y[m, j])], axis=1)
                        )
                        y_dot[some, m, j + 1], q_dot[some, m, j] = (size * end for end in ends)

        good = [m for m in range(members) if forward.status[m].ok]
        status, reasons = each_member(problem.options, good, members, push)
        for m in reasons:
            y_dot[:, m], q_dot[:, m] = 0.0, 0.0
        return Tangents(y_dot, q_dot, status, reasons, {"tangent_seconds": time.perf_counter() - started})


def _parameters(problem: Problem, member: int) -> Array:
    """`par` of each interval of a member, `(intervals, size)`."""
    count = problem.intervals
    p = np.broadcast_to(problem.p[member], (count, problem.p.shape[1]))
    return np.concatenate([p, problem.f[member].reshape(count, -1), np.diff(problem.breaks)[:, None]], axis=1)
