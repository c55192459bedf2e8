"""The embedded engine: SUNDIALS through CasADi, interval by interval.

Intervals are chained here, so forcing jumps are never stepped over and a gradient costs one adjoint solve per
interval, for all inputs at once.
"""

from __future__ import annotations

import os
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np

from ...arrays import Array, Indices
from ..base import Forward, Gradients, PassStats, Problem, Status, Steady, Tangents, make_stats
from ..batch import Failure, Watch, each_member
from ..discontinuities import jumping_along, message
from ..ir.kernels import System
from ..stated_steps import EULER
from . import implicit_euler
from .cvodes import Interval
from .method import solver_of
from .steady import search_of

# Settings (tolerances and the like) of which built functions are kept for each system.
KEPT = 4
# Directions that are solved for beside the states at a time.
DIRECTIONS = 8
# Why CVODES gave up, by member and interval, where the fallback went on.
Rescued = dict[tuple[int, int], str]

# One thread builds at a time. A fork waits for it, so that no child starts with something half built.
_building = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_building.acquire, after_in_parent=_building.release, after_in_child=_building.release)


class Steps:
    """Sizes of the steps that Rodas5P for few states took in each interval of a member."""

    def __init__(self) -> None:
        self._sizes, self._ends = array("d"), array("q", [0])

    def keep(self, sizes: Sequence[float]) -> None:
        """Those of the next interval; none where another method solved it."""
        self._sizes.extend(sizes)
        self._ends.append(len(self._sizes))

    def of(self, interval: int) -> array[float]:
        return self._sizes[self._ends[interval] : self._ends[interval + 1]]


@dataclass(frozen=True, eq=False)
class Tape:
    """How intervals were solved: what derivatives need to know."""

    rescued: Rescued
    steps: dict[int, Steps]

    def of(self, member: int, interval: int) -> tuple[bool, array[float]]:
        """Whether the fallback solved it, and the sizes of steps of Rodas5P for few states."""
        return (member, interval) in self.rescued, self.steps[member].of(interval)


_Settings = tuple[float, float, tuple[tuple[str, float], ...], str | None, str, int, bool, int]


class _Built:
    """What is built for a system and settings: functions that all threads share, and memory for each to run them."""

    def __init__(self, first: Interval) -> None:
        self.first, self.idle = first, [first]


class SundialsEngine:
    """CVODES by interval.

    Built functions are kept per system, tolerances, solver and kind of forcing: of the last `KEPT` of these settings
    with each system, as long as the system lives.
    """

    name = "sundials"

    def __init__(self) -> None:
        self._built: WeakKeyDictionary[System, OrderedDict[_Settings, _Built]] = WeakKeyDictionary()

    @contextmanager
    def _interval(self, problem: Problem, watch: Watch) -> Iterator[Interval]:
        """Lends an interval solver to one thread; makes one where all are in use."""
        asked, nodes = problem.options, problem.f.shape[2]
        key = (
            asked.rtol,
            asked.atol,
            asked.atols,
            asked.solver,
            asked.sensitivity,
            asked.max_steps,
            asked.compiled,
            nodes,
        )
        with _building:
            kept = self._built.setdefault(problem.system, OrderedDict())
            if key not in kept:
                kept[key] = _Built(Interval(problem.system, asked, nodes, watch))
            kept.move_to_end(key)
            while len(kept) > KEPT:
                kept.popitem(last=False)
            built = kept[key]
            interval = built.idle.pop() if built.idle else built.first.twin()
        interval.watch = watch
        try:
            yield interval
        finally:
            built.idle.append(interval)

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        if problem.options.solver == EULER:
            return implicit_euler.forward(problem, differentiate)
        started = time.perf_counter()
        system, members = problem.system, problem.members
        y = np.full((members, problem.intervals + 1, system.n_states), np.nan)
        q = np.full((members, problem.intervals, system.n_fluxes), np.nan)
        y[:, 0] = problem.y0
        solver = problem.options.solver
        stats = make_stats(
            engine=self.name,
            solver=solver_of(problem.options),
            solver_why="stiff models need an implicit method" if solver in (None, "auto") else "asked for",
            sensitivity="adjoint",
            sensitivity_why="the adjoint of CVODES is what this engine has",
        )
        tape = Tape({}, {})
        rescued, left = tape.rescued, Rescued()

        def solve(m: int, watch: Watch) -> None:
            steps = tape.steps.setdefault(m, Steps())
            with self._interval(problem, watch) as interval:
                interval.begin()
                method = interval.method
                stats["compiled"], stats["linear_solver"] = interval.compiler.compiled, method.linear_solver
                if method.solver:
                    stats["solver"], stats["solver_why"] = method.solver, method.why
                    stats["sensitivity"], stats["sensitivity_why"] = "discrete", method.sensitivity_why
                stats["setup_seconds"], interval.setup_seconds = stats["setup_seconds"] + interval.setup_seconds, 0.0
                for j, par in enumerate(_parameters(problem, m)):
                    watch.look()
                    interval.since = problem.breaks[j]
                    y[m, j + 1], q[m, j], why = interval.forward(y[m, j], par)
                    if interval.left:
                        left[m, j] = interval.left
                    if differentiate:
                        steps.keep(interval.sizes)
                    if why:
                        rescued[m, j] = why

        status, reasons = each_member(problem.options, range(members), members, solve)
        stats["fallbacks"] = _told([("CVODES", left), ("Rodas5P", rescued)], status)
        stats["forward_seconds"] = time.perf_counter() - started
        return Forward(y, q, status, reasons, stats, tape=tape)

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        if problem.options.solver == EULER:
            return implicit_euler.backward(problem, forward, y_bar, q_bar)
        started = time.perf_counter()
        n_states, n_parameters, members = problem.system.n_states, problem.system.n_parameters, problem.members
        y0_bar, p_bar, f_bar = np.zeros_like(problem.y0), np.zeros_like(problem.p), np.zeros_like(problem.f)
        rescued: Rescued = {}
        jumps = jumping_along(problem, forward)

        def pull(m: int, watch: Watch) -> None:
            carried, par_sum = np.zeros(n_states), np.zeros(n_parameters)
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
                    if jumps and interval.turned(jumps, forward.y[m, j], forward.y[m, j + 1], pars[j]):
                        raise Failure(Status.JUMP, message(jumps, "the adjoint of CVODES"))
                    carried, bar, why = interval.backward(forward.y[m, j], pars[j], *seeds, *forward.tape.of(m, j))
                    if why:
                        rescued[m, j] = why
                    with np.errstate(over="ignore"):
                        carried, bar = carried * size, bar * size
                    if not (np.isfinite(carried).all() and np.isfinite(bar).all()):
                        raise Failure(Status.NOT_FINITE, "(an adjoint that grows beyond all numbers)")
                    par_sum += bar[:n_parameters]
                    f_bar[m, j] = bar[n_parameters:-1].reshape(f_bar.shape[2:])
            y0_bar[m], p_bar[m] = carried + y_bar[m, 0], par_sum

        good = [m for m in range(members) if forward.status[m].ok]
        status, reasons = each_member(problem.options, good, members, pull)
        for m in reasons:
            f_bar[m] = 0.0
        seconds = time.perf_counter() - started
        stats = PassStats(backward_seconds=seconds, adjoint_fallbacks=_fallbacks(rescued))
        return Gradients(y0_bar, p_bar, f_bar, status, reasons, stats)

    def tangent(self, problem: Problem, forward: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
        if problem.options.solver == EULER:
            return implicit_euler.tangent(problem, forward, y0_dot, p_dot, f_dot)
        started = time.perf_counter()
        directions, members, count = len(y0_dot), problem.members, problem.intervals
        y_dot, q_dot = (np.zeros((directions, *values.shape)) for values in (forward.y, forward.q))
        rescued: Rescued = {}
        jumps = jumping_along(problem, forward)

        def push(m: int, watch: Watch) -> None:
            pars = _parameters(problem, m)
            with self._interval(problem, watch) as interval:
                for j in range(count) if jumps else ():
                    if interval.turned(jumps, forward.y[m, j], forward.y[m, j + 1], pars[j]):
                        raise Failure(Status.JUMP, message(jumps, "CVODES"))
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
                        y_in, par_in = np.split(moved, [len(forward.y[m, j])], axis=1)
                        *ends, why = interval.tangent(forward.y[m, j], pars[j], y_in, par_in, *forward.tape.of(m, j))
                        y_dot[some, m, j + 1], q_dot[some, m, j] = (size * end for end in ends)
                        if why:
                            rescued[m, j] = why

        good = [m for m in range(members) if forward.status[m].ok]
        status, reasons = each_member(problem.options, good, members, push)
        for m in reasons:
            y_dot[:, m], q_dot[:, m] = 0.0, 0.0
        seconds = time.perf_counter() - started
        stats = PassStats(tangent_seconds=seconds, tangent_fallbacks=_fallbacks(rescued))
        return Tangents(y_dot, q_dot, status, reasons, stats)

    def steady(self, problem: Problem, low: Array, high: Array) -> Steady:
        members, n_states = problem.members, problem.system.n_states
        y, direction = problem.y0.copy(), np.zeros((members, n_states))
        rates = np.full((members, n_states + problem.system.n_fluxes), np.nan)
        iterations, continuation, setup_seconds = [0] * members, [False] * members, [0.0]

        def find(m: int, watch: Watch) -> None:
            with search_of(problem, m, watch, setup_seconds) as search:
                y[m], rates[m], direction[m], failure = search.find(y[m], low, high, problem.options.max_steps)
                iterations[m], continuation[m] = search.iterations, search.continuation
                if failure is not None:
                    raise failure

        status, reasons = each_member(problem.options, range(members), members, find)
        return Steady(y, rates, direction, status, reasons, iterations, continuation, setup_seconds[0])

    def steady_adjoint(self, problem: Problem, y: Array, good: Indices, y_bar: Array, q_bar: Array) -> Gradients:
        started = time.perf_counter()
        y0_bar, p_bar, f_bar = np.zeros_like(problem.y0), np.zeros_like(problem.p), np.zeros_like(problem.f)

        def pull(m: int, watch: Watch) -> None:
            with search_of(problem, m, watch) as search:
                p_bar[m], f_bar[m, 0, 0] = search.pull(y[m], y_bar[m], q_bar[m])

        status, reasons = each_member(problem.options, good.tolist(), problem.members, pull)
        seconds = time.perf_counter() - started
        return Gradients(y0_bar, p_bar, f_bar, status, reasons, PassStats(backward_seconds=seconds))

    def steady_tangent(self, problem: Problem, y: Array, good: Indices, p_dot: Array, f_dot: Array) -> Tangents:
        started, directions = time.perf_counter(), len(p_dot)
        y_dot = np.zeros((directions, problem.members, 1, problem.system.n_states))
        q_dot = np.zeros((directions, problem.members, 1, problem.system.n_fluxes))

        def push(m: int, watch: Watch) -> None:
            with search_of(problem, m, watch) as search:
                y_dot[:, m, 0], q_dot[:, m, 0] = search.push(y[m], p_dot[:, m], f_dot[:, m, 0, 0])

        status, reasons = each_member(problem.options, good.tolist(), problem.members, push)
        seconds = time.perf_counter() - started
        return Tangents(y_dot, q_dot, status, reasons, PassStats(tangent_seconds=seconds))


def _fallbacks(rescued: Rescued, method: str = "Rodas5P") -> dict[int, str]:
    """Which members needed another method, in how many intervals, and why first."""
    members = sorted({m for m, _ in rescued})
    counts = {m: sum(1 for k, _ in rescued if k == m) for m in members}
    first = {m: rescued[min(key for key in rescued if key[0] == m)] for m in members}
    return {m: f"{method} in {counts[m]} interval{'s'[: counts[m] > 1]}, after {first[m]}" for m in members}


def _told(methods: Sequence[tuple[str, Rescued]], status: Sequence[Status]) -> dict[int, str]:
    """The same of several methods, for members that were solved."""
    told: dict[int, str] = {}
    for method, where in methods:
        for m, text in _fallbacks({key: why for key, why in where.items() if status[key[0]].ok}, method).items():
            told[m] = f"{told[m]}; {text}" if m in told else text
    return told


def _parameters(problem: Problem, member: int) -> Array:
    """`par` of each interval of a member, `(intervals, size)`."""
    count = problem.intervals
    p = np.broadcast_to(problem.p[member], (count, problem.p.shape[1]))
    return np.concatenate([p, problem.f[member].reshape(count, -1), np.diff(problem.breaks)[:, None]], axis=1)
