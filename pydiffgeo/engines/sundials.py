"""The embedded engine: SUNDIALS' CVODES with its adjoint, through CasADi.

The kernels of a system run on CasADi symbols, which gives CVODES an exact sparse Jacobian and the
adjoint equations. One CasADi function solves one interval between breaks in scaled time; intervals
are chained here, so forcing jumps are never stepped over and a gradient costs one adjoint solve per
interval, for all inputs at once.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from typing import Any
from weakref import WeakKeyDictionary

import casadi as ca
import numpy as np

from ..errors import EngineError, InputError
from .base import Array, Forward, Gradients, Options, Problem, Status
from .system import System

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
STEPS_PER_CHECKPOINT = 500


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


def _inputs(kernel: Any, v: Any) -> dict[str, Any]:
    return {name: v[row.tolist()] for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)}


def _column(value: Any, items: int) -> Any:
    """A result as a column of `items` entries; constant results are scalars until here."""
    if isinstance(value, (int, float)):
        value = ca.DM(value)
    return ca.repmat(value, items, 1) if value.numel() == 1 and items != 1 else value


class _Interval:
    """CasADi functions that solve one interval forward and back.

    `forward(y, par) -> (y_end, q)` and `backward(y, par, y_bar, q_bar) -> (y_bar_start, par_bar)` with
    `par = [p | f at the start | f at the end, where not constant | length of the interval]`.
    """

    def __init__(self, system: System, options: Options, nodes: int) -> None:
        started = time.perf_counter()
        solver = options.solver or "cvodes-bdf"
        if solver not in SOLVERS:
            raise InputError(f"solver {solver!r} is unknown to the engine 'sundials'; it has {sorted(SOLVERS)}")
        y, p, s = ca.SX.sym("y", system.n_states), ca.SX.sym("p", system.n_parameters), ca.SX.sym("s")
        f, length = ca.SX.sym("f", system.n_forcings, nodes), ca.SX.sym("length")
        now = f if nodes == 1 else f[:, 0] + s * (f[:, 1] - f[:, 0])
        total = length * rates(system, y, p, now)
        par = ca.vertcat(p, ca.vec(f), length)
        n = system.n_states
        q = ca.SX.sym("q", system.n_fluxes)
        # Forward, the integrated fluxes are states: Newton's method then keeps the balance to
        # round-off. Backward, they are quadratures, which keeps the adjoint system small.
        closed = {"x": ca.vertcat(y, q), "p": par, "t": s, "ode": total}
        lean = {"x": y, "p": par, "t": s, "ode": total[:n], "quad": total[n:]}
        setup: dict[str, Any] = {
            "reltol": options.rtol,
            "abstol": options.atol,
            "max_num_steps": options.max_steps,
            "steps_per_checkpoint": STEPS_PER_CHECKPOINT,
            "linear_multistep_method": SOLVERS[solver],
            "disable_internal_warnings": True,
            "print_time": False,
        }
        self.compiled = options.compiled and shutil.which("cc") is not None
        if self.compiled:
            setup |= {"jit": True, "compiler": "shell", "jit_options": {"compiler": "cc", "flags": ["-O2"]}}
        integrator = ca.integrator("interval", "cvodes", closed, 0.0, 1.0, setup)
        y_in, par_in = ca.MX.sym("y", n), ca.MX.sym("par", par.numel())
        end = integrator(x0=ca.vertcat(y_in, ca.DM.zeros(system.n_fluxes)), p=par_in)["xf"]
        self.forward = ca.Function("forward", [y_in, par_in], [end[:n], end[n:]])
        integrator = ca.integrator("interval", "cvodes", lean, 0.0, 1.0, setup)
        self.backward = integrator.factory("backward", ["x0", "p", "adj:xf", "adj:qf"], ["adj:x0", "adj:p"])
        self.setup_seconds = time.perf_counter() - started


class SundialsEngine:
    """CVODES by interval. Built functions are kept per system, tolerance and kind of forcing."""

    name = "sundials"

    def __init__(self) -> None:
        self._built: WeakKeyDictionary[System, dict[Any, _Interval]] = WeakKeyDictionary()

    def _interval(self, problem: Problem) -> _Interval:
        built = self._built.setdefault(problem.system, {})
        o, nodes = problem.options, problem.f.shape[2]
        key = (o.rtol, o.atol, o.solver, o.max_steps, o.compiled, nodes)
        if key not in built:
            built[key] = _Interval(problem.system, problem.options, nodes)
        return built[key]

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        started = time.perf_counter()
        interval = self._interval(problem)
        s, members = problem.system, problem.members
        y = np.full((members, problem.intervals + 1, s.n_states), np.nan)
        q = np.full((members, problem.intervals, s.n_fluxes), np.nan)
        y[:, 0] = problem.y0
        status, reasons = [Status.SUCCESS] * members, dict[int, str]()
        caller = _Members(interval.forward, problem.options.threads)
        active = list(range(members))
        for j, par in enumerate(_parameters(problem)):
            results, failed = caller([y[active, j], par[active]], active)
            _note(failed, status, reasons)
            active = [m for m in active if m not in failed]
            if not active:
                break
            y[active, j + 1], q[active, j] = results
        stats = {
            "engine": self.name,
            "solver": problem.options.solver or "cvodes-bdf",
            "sensitivity": "adjoint",
            "compiled": interval.compiled,
            "setup_seconds": interval.setup_seconds,
            "forward_seconds": time.perf_counter() - started,
        }
        return Forward(y, q, status, reasons, stats, tape=interval)

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        started = time.perf_counter()
        s, members, nodes = problem.system, problem.members, problem.f.shape[2]
        status, reasons = [Status.SUCCESS] * members, dict[int, str]()
        p_bar, f_bar = np.zeros_like(problem.p), np.zeros_like(problem.f)
        carried = np.zeros((members, s.n_states))
        caller = _Members(forward.tape.backward, problem.options.threads)
        active = [m for m in range(members) if forward.status[m].ok]
        parameters = list(_parameters(problem))
        for j in range(problem.intervals - 1, -1, -1):
            carried += y_bar[:, j + 1]
            # The adjoint is linear in its seeds: solving for seeds of size one makes the absolute
            # tolerance mean the same for every loss.
            size = np.maximum(np.abs(carried).max(axis=1), np.abs(q_bar[:, j]).max(axis=1, initial=0.0))
            active = [m for m in active if status[m].ok]
            moving = [m for m in active if size[m] > 0]
            if not moving:
                continue
            scale = size[moving, None]
            inputs = [forward.y[moving, j], parameters[j][moving], carried[moving] / scale, q_bar[moving, j] / scale]
            results, failed = caller(inputs, moving)
            _note(failed, status, reasons)
            kept = np.array([m not in failed for m in moving])
            moving = [m for m in moving if m not in failed]
            if not moving:
                continue
            carried[moving] = results[0] * scale[kept]
            bar = results[1] * scale[kept]
            p_bar[moving] += bar[:, : s.n_parameters]
            f_bar[moving, j] = bar[:, s.n_parameters : -1].reshape(len(moving), nodes, s.n_forcings)
        carried += y_bar[:, 0]
        for m in range(members):
            if not (status[m].ok and forward.status[m].ok):
                carried[m], p_bar[m], f_bar[m] = 0.0, 0.0, 0.0
        return Gradients(carried, p_bar, f_bar, status, reasons, {"backward_seconds": time.perf_counter() - started})


def _parameters(problem: Problem) -> Any:
    """`par` of each interval, `(members, parameters of the CasADi function)`."""
    lengths = np.diff(problem.breaks)
    for j in range(problem.intervals):
        f = problem.f[:, j].reshape(problem.members, -1)
        yield np.concatenate([problem.p, f, np.full((problem.members, 1), lengths[j])], axis=1)


def _note(failed: dict[int, tuple[Status, str]], status: list[Status], reasons: dict[int, str]) -> None:
    for member, (code, reason) in failed.items():
        status[member], reasons[member] = code, reason


class _Members:
    """Calls a CasADi function for several members at once, on threads, and tells which failed."""

    def __init__(self, function: Any, threads: int) -> None:
        self.function, self.threads = function, threads or os.cpu_count() or 1
        self._mapped: dict[int, Any] = {1: function}

    def __call__(self, inputs: list[Array], members: list[int]) -> tuple[list[Array], dict[int, tuple[Status, str]]]:
        """Rows of `inputs` belong to `members`. Returns rows of the good members, and the failures."""
        count = len(members)
        if count > 1 and self.threads > 1:
            if count not in self._mapped:
                self._mapped[count] = self.function.map(count, "thread", min(self.threads, count))
            try:
                results = [r.full().T for r in self._mapped[count](*(ca.DM(i.T) for i in inputs))]
                if all(np.isfinite(r).all() for r in results):
                    return results, {}
            except RuntimeError:
                pass  # One member failed: solving them one by one below tells which.
        rows, failed = [], {}
        for k, member in enumerate(members):
            try:
                row = [r.full().T for r in self.function(*(ca.DM(i[k]) for i in inputs))]
            except RuntimeError as error:
                failed[member] = _reason(error)
                continue
            if all(np.isfinite(r).all() for r in row):
                rows.append(row)
            else:
                failed[member] = (Status.NOT_FINITE, "")
        return [np.concatenate(r) for r in zip(*rows, strict=True)], failed


def _reason(error: RuntimeError) -> tuple[Status, str]:
    found = re.findall(r'returned "(\w+)"', str(error))
    if not found:
        raise EngineError(f"CasADi failed: {error}") from error
    return FLAGS.get(found[-1], Status.FAILED), f"(CVODES: {found[-1]})"
