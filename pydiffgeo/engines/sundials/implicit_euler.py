"""Implicit Euler with steps of a stated size, on CasADi functions; the method is told in `julia/src/implicit_euler.jl`."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from weakref import WeakKeyDictionary

import casadi as ca
import numpy as np

from ...arrays import Array
from ..base import Forward, Gradients, PassStats, Problem, Status, Tangents, make_stats
from ..batch import Failure, Watch, each_member
from ..ir.kernels import System
from ..stated_steps import (
    ATTEMPT_ITERATIONS,
    EULER,
    LONGER,
    SENSITIVITY_WHY,
    SHORTER,
    SHORTEST_SHARE,
    STEP_ITERATIONS,
    solver_why,
    steps_within,
)
from .euler_algebra import FewStates, ManyStates, of_few_states
from .limits import Guards
from .symbols import closed_values, results_of

# One thread builds at a time. A fork waits for it, as in the engine.
_building = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_building.acquire, after_in_parent=_building.release, after_in_child=_building.release)
# By system, whether compiled: what was built first, and what no thread uses.
_Built = tuple[FewStates | ManyStates, list[FewStates | ManyStates]]
_built: WeakKeyDictionary[System, dict[bool, _Built]] = WeakKeyDictionary()


@contextmanager
def _algebra(problem: Problem, watch: Watch, seconds: list[float]) -> Iterator[FewStates | ManyStates]:
    """Lends the functions of a step to one thread; makes some where all are in use. Adds the time to build to `seconds`."""
    compiled = problem.options.compiled and shutil.which("cc") is not None
    started = time.perf_counter()
    with _building:
        kept = _built.setdefault(problem.system, {})
        if compiled not in kept:
            make = FewStates if of_few_states(problem.system) else ManyStates
            kept[compiled] = make(problem.system, compiled), []
        first, idle = kept[compiled]
        algebra = idle.pop() if idle else first.twin()
    spent = time.perf_counter() - started
    watch.uncounted(spent)
    seconds[0] += spent
    try:
        yield algebra
    finally:
        idle.append(algebra)


class _Member:
    """Steps of one member of a problem."""

    def __init__(self, problem: Problem, m: int, algebra: FewStates | ManyStates, watch: Watch) -> None:
        self.problem, self.m, self.algebra, self.watch = problem, m, algebra, watch
        self.lengths = np.diff(problem.breaks)
        self.p = problem.p[m]
        self.guards: Guards | None = None

    def par(self, j: int, share: float) -> Array:
        """Parameters, and forcings at such a share of an interval."""
        start, end = self.problem.f[self.m, j, 0], self.problem.f[self.m, j, -1]
        return np.concatenate([self.p, start + share * (end - start)])

    def interval(self, y: Array, j: int) -> tuple[Array, Array]:
        """States at the ends of the steps of an interval `(steps, states)`, and integrated fluxes; raises `Failure`."""
        count = steps_within(self.lengths[j], self.problem.options)
        if count > self.problem.options.max_steps:
            raise Failure(Status.MAX_STEPS, f"({EULER}: {count} steps)")
        h, since = float(self.lengths[j]) / count, float(self.problem.breaks[j])
        points, q = np.empty((count, len(y))), np.zeros(self.problem.system.n_fluxes)
        for i in range(count):
            self.watch.look()
            par = self.par(j, (i + 1) / count)
            y, fluxes = self._step(y, par, h)
            if self.guards is not None:
                self.guards.look(y, np.append(par, h), 1.0, since + i * h)
            points[i] = y
            q += fluxes
        if not (np.isfinite(y).all() and np.isfinite(q).all()):
            raise Failure(Status.NOT_FINITE, f"({EULER})")
        return points, q

    def _step(self, start: Array, par: Array, h: float) -> tuple[Array, Array]:
        """The end of a step, and the fluxes integrated over it."""
        self._left = STEP_ITERATIONS
        if (end := self._newton(start, start, par, h)) is not None:
            return end
        if not np.isfinite(self.algebra.rates(start, par)).all():
            raise Failure(Status.NOT_FINITE, f"({EULER})")
        # Shorter steps from the same start, each the guess of a longer one.
        best, solved, more = start, 0.0, h / SHORTER
        while True:
            if (end := self._newton(best, start, par, solved + more)) is None:
                more /= SHORTER
                if more < SHORTEST_SHARE * h:
                    raise self._given_up()
                continue
            if solved + more >= h:
                return end
            solved += more
            best, more = end[0], min(LONGER * more, h - solved)

    def _newton(self, guess: Array, start: Array, par: Array, h: float) -> tuple[Array, Array] | None:
        """The solution of a step of size `h`, and its fluxes; None where the iteration does not get there."""
        y = guess
        for _ in range(ATTEMPT_ITERATIONS):
            if self._left == 0:
                raise self._given_up()
            self._left -= 1
            y, fluxes, measure = self.algebra.newton(y, start, par, h)
            if measure <= 1.0:
                return y, fluxes
            if not np.isfinite(measure):
                return None
        return None

    def _given_up(self) -> Failure:
        return Failure(Status.CONVERGENCE, f"({EULER}: Newton's iteration in a step of {self.problem.options.step:g})")


def forward(problem: Problem, differentiate: bool) -> Forward:
    """As `Engine.forward`."""
    started, options, system = time.perf_counter(), problem.options, problem.system
    members, seconds = problem.members, [0.0]
    y = np.full((members, problem.intervals + 1, system.n_states), np.nan)
    q = np.full((members, problem.intervals, system.n_fluxes), np.nan)
    y[:, 0] = problem.y0
    stats = make_stats("sundials", EULER, solver_why(options), "discrete", SENSITIVITY_WHY)
    steps = [0] * members
    stats["step"], stats["steps"] = options.step, steps
    kept: dict[int, list[Array] | None] = {}

    def solve(m: int, watch: Watch) -> None:
        with _algebra(problem, watch, seconds) as algebra:
            member = _Member(problem, m, algebra, watch)
            member.guards = limits
            stats["compiled"], stats["linear_solver"] = algebra.compiled, algebra.linear_solver
            points_of: list[Array] | None = [] if differentiate else None
            used = 0
            for j in range(problem.intervals):
                points, q[m, j] = member.interval(y[m, j], j)
                y[m, j + 1] = points[-1]
                steps[m] += len(points)
                used += points.nbytes
                if points_of is not None:
                    points_of.append(points)
                    # What takes more memory is computed again.
                    points_of = points_of if used <= options.memory / members else None
            kept[m] = points_of

    limits = _limits(problem)
    status, reasons = each_member(options, range(members), members, solve)
    stats["kept_bytes"] = float(sum(points.nbytes for of in kept.values() for points in of or ()))
    stats["setup_seconds"], stats["forward_seconds"] = seconds[0], time.perf_counter() - started
    return Forward(y, q, status, reasons, stats, tape=kept)


def backward(problem: Problem, result: Forward, y_bar: Array, q_bar: Array) -> Gradients:
    """As `Engine.backward`: with `w` the gradient to the end of a step, `(I/h - J)' z = w + h Q' q_bar`, and `z/h` goes on."""
    started = time.perf_counter()
    y0_bar, p_bar, f_bar = (np.zeros_like(x) for x in (problem.y0, problem.p, problem.f))

    def pull(m: int, watch: Watch) -> None:
        with _algebra(problem, watch, [0.0]) as algebra:
            member, carried = _Member(problem, m, algebra, watch), np.zeros(problem.system.n_states)
            for j in reversed(range(problem.intervals)):
                carried = carried + y_bar[m, j + 1]
                if not (carried.any() or q_bar[m, j].any()):
                    continue
                points = _points(member, result, j)
                h = float(member.lengths[j]) / len(points)
                for i in reversed(range(len(points))):
                    watch.look()
                    share = (i + 1) / len(points)
                    carried, bar = algebra.pull(points[i], member.par(j, share), h, carried, q_bar[m, j])
                    of_p, of_f = np.split(bar, [len(member.p)])
                    p_bar[m] += of_p
                    f_bar[m, j, 0] += (1.0 - share) * of_f
                    f_bar[m, j, -1] += share * of_f
            y0_bar[m] = carried + y_bar[m, 0]
            if not all(np.isfinite(x[m]).all() for x in (y0_bar, p_bar, f_bar)):
                raise Failure(Status.NOT_FINITE, f"({EULER})")

    status, reasons = each_member(problem.options, _good(result), problem.members, pull)
    for m in reasons:
        y0_bar[m], p_bar[m], f_bar[m] = 0.0, 0.0, 0.0
    stats = PassStats(backward_seconds=time.perf_counter() - started)
    return Gradients(y0_bar, p_bar, f_bar, status, reasons, stats)


def tangent(problem: Problem, result: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
    """As `Engine.tangent`."""
    started = time.perf_counter()
    y_dot, q_dot = (np.zeros((len(y0_dot), *values.shape)) for values in (result.y, result.q))

    def push(m: int, watch: Watch) -> None:
        with _algebra(problem, watch, [0.0]) as algebra:
            member, moves = _Member(problem, m, algebra, watch), y0_dot[:, m].copy()
            y_dot[:, m, 0] = moves
            for j in range(problem.intervals):
                points = _points(member, result, j)
                h = float(member.lengths[j]) / len(points)
                for i, point in enumerate(points):
                    watch.look()
                    share = (i + 1) / len(points)
                    f_now = f_dot[:, m, j, 0] + share * (f_dot[:, m, j, -1] - f_dot[:, m, j, 0])
                    along = np.concatenate([p_dot[:, m], f_now], axis=1)
                    moves, fluxes = algebra.push(point, member.par(j, share), h, moves, along)
                    q_dot[:, m, j] += fluxes
                y_dot[:, m, j + 1] = moves
            if not (np.isfinite(y_dot[:, m]).all() and np.isfinite(q_dot[:, m]).all()):
                raise Failure(Status.NOT_FINITE, f"({EULER})")

    status, reasons = each_member(problem.options, _good(result), problem.members, push)
    for m in reasons:
        y_dot[:, m], q_dot[:, m] = 0.0, 0.0
    stats = PassStats(tangent_seconds=time.perf_counter() - started)
    return Tangents(y_dot, q_dot, status, reasons, stats)


def _limits(problem: Problem) -> Guards | None:
    """The ranges of a model; of states, of parameters, forcings and the size of a step, and of the share of it."""
    system = problem.system
    if not system.guards:
        return None
    sizes = (system.n_states, system.n_parameters, system.n_forcings, 1)
    y, p, f, h = (ca.SX.sym(name, size) for name, size in zip("ypfh", sizes, strict=True))
    run = partial(results_of, v=closed_values(system, y, p, f))
    return Guards(system, problem.options, [y, ca.vertcat(p, f, h), ca.SX.sym("s")], run)


def _good(result: Forward) -> list[int]:
    return [m for m, status in enumerate(result.status) if status.ok]


def _points(member: _Member, result: Forward, j: int) -> Array:
    """States at the ends of the steps of an interval, as they were kept, or computed again."""
    kept: list[Array] | None = result.tape[member.m]
    return kept[j] if kept is not None else member.interval(result.y[member.m, j], j)[0]
