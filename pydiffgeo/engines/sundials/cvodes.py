"""One interval of one member, by SUNDIALS' CVODES with its sensitivities, through CasADi.

The kernels of a system run on CasADi symbols, which gives CVODES an exact sparse Jacobian and the
adjoint equations. One CasADi function solves an interval between breaks in scaled time. Derivatives
along directions are solved for beside the states. An interval in which CVODES gives up is solved, or
differentiated, by a Rosenbrock method instead.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import TypeVar

import casadi as ca
import numpy as np

from ...arrays import Array, Json
from ..absolute import absolute, in_units
from ..base import FINAL, Options, Status
from ..batch import Failure, Watch
from ..discontinuities import Jumping
from ..ir.kernels import NetworkStage, System
from . import method
from .calls import Call
from .compiling import Compiler
from .few_states import FewStates, few_states
from .limits import Guards, guarded
from .rosenbrock import Rosenbrock, steepness
from .sparse_rosenbrock import SparseRosenbrock, is_large_grid
from .symbols import Matrices, Scalars, closed_values, rates, results_of, sides_of, switches_of, with_fluxes
from .turning import Turning

T = TypeVar("T")


class Interval:
    """Solves one interval of one member forward and back. Not for use by two threads at a time.

    `par = [p | f at the start | f at the end, where not constant | length of the interval]`. CVODES has one absolute
    tolerance: where states have their own, it is given states and fluxes in units in which these are the same.
    """

    def __init__(self, system: System, options: Options, nodes: int, watch: Watch) -> None:
        started = time.perf_counter()
        n, n_fluxes = system.n_states, system.n_fluxes
        self.n_parameters, self.nodes, self.n_forcings = system.n_parameters, nodes, system.n_forcings
        self.options, self.n_states, self.watch = options, n, watch
        # A solver that was asked for by name is the only one.
        self.falls_back = options.solver in (None, "auto")
        # Matrices where there are networks, which are products of them; scalars are faster for all else.
        kind = Matrices if any(isinstance(stage, NetworkStage) for stage in system.stages) else Scalars
        self._size = system.n_parameters + system.n_forcings * nodes + 1
        y, par, s = kind.sym("y", n), kind.sym("par", self._size), kind.sym("s")
        p, f, length = ca.vertsplit(par, [0, system.n_parameters, self._size - 1, self._size])
        f = ca.reshape(f, system.n_forcings, nodes)
        now = f if nodes == 1 else f[:, 0] + s * (f[:, 1] - f[:, 0])
        self._units = absolute(system, options) / options.atol if options.atols else None
        # Time is scaled to [0, 1], so one function serves intervals of any length.
        v = closed_values(system, y if self._units is None else ca.DM(self._units[:n]) * y, p, now)
        total = length * rates(system, v)
        if self._units is not None:
            total = total / ca.DM(self._units)
        self._symbols = [y, par, s]
        run = partial(results_of, v=v)
        self.guards, self.since = Guards(system, options, self._symbols, run), 0.0
        # Not of the system itself, by which intervals are kept as long as it lives.
        self._steepness = partial(steepness, in_units(system.controls, self._units), v, y)
        # Forward, the integrated fluxes are states: Newton's method then keeps the balance to
        # round-off. Backward, they are quadratures, which keeps the adjoint system small.
        self._closed = partial(with_fluxes, self._symbols, n_fluxes, ode=total)
        self._lean = {"x": y, "p": par, "t": s, "ode": total[:n], "quad": total[n:]}
        self._setup = method.cvodes_settings(options, bool(system.guards), self.falls_back)
        self.compiler = Compiler(options.compiled and shutil.which("cc") is not None)
        self._fallback: Rosenbrock | None = None
        self._guarded = with_fluxes(self._symbols, n_fluxes, ode=guarded(system, total, run, options))
        self._functions: dict[str | int, ca.Function] = {}
        self._zeros = np.zeros(n_fluxes)
        self._forward: Call | None = None
        self._values = v
        # Where factors fill up, another method is far quicker, in its own steps.
        self.large = self.falls_back and kind is Scalars and is_large_grid(system, ca.jacobian_sparsity(total[:n], y))
        self._locator: Call | None = None
        self._turning: dict[tuple[tuple[int, tuple[int, ...]], ...], Turning] = {}
        self._backward: Call | None = None
        self._tangents: dict[int, Call] = {}
        self.few: FewStates | None = None
        if self.falls_back and options.sensitivity == "auto" and kind is Scalars:
            make, switches = self.compiler.function, partial(switches_of, system, nodes == 2, v)
            self.few = few_states(self._symbols, n, total, self._steepness, switches, options, make)
        self.sizes, self.left = list[float](), ""
        self.setup_seconds = time.perf_counter() - started

    def _integrator(
        self, name: str, dae: Mapping[str, ca.SX], grid: Sequence[float] = (1.0,), /, **more: Json
    ) -> ca.Function:
        """Compiled to C where asked for and possible: without a compiler that works, CasADi interprets."""
        started = time.perf_counter()
        try:
            return self.compiler.make(
                lambda jit: ca.integrator(name, "cvodes", dae, 0.0, grid, self._setup | more | jit)
            )
        finally:
            self.watch.uncounted(time.perf_counter() - started)

    @property
    def method(self) -> method.Method:
        """What solves an interval first."""
        return method.FEW if self.few is not None else method.LARGE if self.large else method.CVODES

    def twin(self) -> Interval:
        """Another one for another thread, with the same functions and memory of its own."""
        other = copy(self)
        other._forward, other._backward, other._tangents, other._fallback = None, None, {}, None
        other.few = None if self.few is None else self.few.twin()
        other._locator, other._turning, other.setup_seconds = None, {}, 0.0
        return other

    def begin(self) -> None:
        """Says that what follows is the first interval of a member."""
        if self.few is not None:
            self.few.begin()

    def _function(self, key: str | int, make: Callable[[], ca.Function]) -> ca.Function:
        """One function for all twins; of two that build it at a time, one is kept."""
        if key not in self._functions:
            self._functions.setdefault(key, make())
        return self._functions[key]

    def _forward_call(self) -> Call:
        made = self._function("forward", lambda: self._integrator("forward", self._guarded))
        return Call(made, {0: made.numel_in(0), 2: self._size}, {0: made.numel_in(0)})

    def forward(self, y: Array, par: Array) -> tuple[Array, Array, str]:
        """States at the end, integrated fluxes, and why CVODES gave up, where it did; raises `Failure`.

        Afterwards, `sizes` are those of the steps that were taken by Rodas5P for few states, and `left` is why it gave up.
        """
        if self._units is None:
            return self._advance(y, par)
        units, flux_units = np.split(self._units, [self.n_states])
        end, q, why = self._advance(y / units, par)
        return end * units, q * flux_units, why

    def _advance(self, y: Array, par: Array) -> tuple[Array, Array, str]:
        start, n = np.concatenate([y, self._zeros]), self.n_states
        self.sizes, self.left = [], ""
        if self.large:
            end = self.fallback.forward(start, par, self.watch, self._look)
            return end[:n], end[n:], ""
        if self.few is not None:
            try:
                end = self.few.forward(start, par, self.watch, self._look if self.guards else None)
                self.sizes = self.few.sizes
                return end[:n], end[n:], ""
            except Failure as failure:
                if failure.status in FINAL:
                    raise
                self.left = f"(Rodas5P: {failure.status.name})"

        def attempt() -> Array:
            if self._forward is None:
                self._forward = self._forward_call()
            try:
                end = self._forward(start, par)[0].copy()
            except Failure as failure:
                if self.guards and failure.status in (Status.NOT_FINITE, Status.CONVERGENCE):
                    self._locate(start, par)
                raise
            self._look(end, par, 1.0)
            return end

        end, why = self._or_fallback(attempt, lambda: self.fallback.forward(start, par, self.watch, self._look))
        return end[:n], end[n:], why

    def _look(self, x: Array, par: Array, t: float) -> None:
        self.guards.look(x[: self.n_states], par, t, self.since)

    def _locate(self, start: Array, par: Array) -> None:
        """Raises `Failure` if it was a range that stopped CVODES: how far it came, and a method to be watched, tell."""
        if self._locator is None:
            grid = self._integrator("locator", self._guarded, np.linspace(0.0, 1.0, method.PLACES + 1)[1:].tolist())
            self._locator = Call(grid, {0: len(start), 2: self._size}, {0: len(start) * method.PLACES})
        reached = self._locator.outputs[0]
        reached[:] = np.nan
        with suppress(Failure):
            self._locator(start, par)
        rows = np.vstack([start, reached.reshape(method.PLACES, -1)])
        last = int(np.isfinite(rows).all(axis=1).sum()) - 1
        self.fallback.walk(
            rows[last], par, self.watch, self._look, last / method.PLACES, min(1.0, (last + 2) / method.PLACES)
        )

    def turned(self, functions: Sequence[Jumping], y: Array, end: Array, par: Array) -> bool:
        """Has a decision of one of these functions turned within the interval, from `y` to `end`, with a jump of the rates?"""
        if self._units is not None:
            y, end = (at / self._units[: self.n_states] for at in (y, end))
        key = tuple((id(f.kernel), f.which) for f in functions)
        if key not in self._turning:
            sides = sides_of(functions, self._values)
            integrator = self._integrator("turning", {**self._lean, "quad": sides})
            call = Call(integrator, {0: self.n_states, 2: self._size}, {0: self.n_states, 2: sides.numel()})
            rates = ca.vertcat(self._lean["ode"], self._lean["quad"])
            now = (ca.Function(name, self._symbols, [what]) for name, what in (("sides", sides), ("rates", rates)))
            self._turning[key] = Turning(call, *now)
        return self._turning[key].within(y, end, par)

    def _or_fallback(self, attempt: Callable[[], T], instead: Callable[[], T]) -> tuple[T, str]:
        """What `attempt` returns, or where CVODES gives up in it, `instead`, with the reason."""
        try:
            return attempt(), ""
        except Failure as failure:
            if not self.falls_back or failure.status in FINAL:
                raise
            first = failure
        said = first.reason.strip("()") or "CVODES: NOT_FINITE"
        try:
            return instead(), f"({said})"
        except Failure as second:
            if second.status in FINAL:
                raise
            raise Failure(first.status, f"({said}; Rodas5P: {second.status.name})") from second

    @property
    def fallback(self) -> Rosenbrock:
        """What solves an interval, states and fluxes together, where CVODES gave up."""
        if self._fallback is None:
            started, most = time.perf_counter(), self.options.max_steps
            steep = ca.vertcat(self._steepness(), type(self._values).zeros(len(self._zeros)))
            tight = method.tolerances(self.options, self.method.share)
            problem, rtol, atol = self._closed(steepness=steep), tight["reltol"], tight["abstol"]
            if self.large:
                self._fallback = SparseRosenbrock(problem, len(self._zeros), rtol, atol, most)
            else:
                self._fallback = Rosenbrock(problem, rtol, atol, most - int(method.FORWARD_SHARE * most))
            self.watch.uncounted(time.perf_counter() - started)
        return self._fallback

    def tangent(
        self, y: Array, par: Array, y_dot: Array, par_dot: Array, again: bool, sizes: Sequence[float]
    ) -> tuple[Array, Array, str]:
        """Derivatives of the end and of integrated fluxes along directions, the first axis; raises `Failure`.
        `again`: it was solved by the fallback; `sizes`: what `forward` said. The last result is why the fallback was needed.
        """
        n, units = self.n_states, self._units
        if units is not None:
            y, y_dot = y / units[:n], y_dot / units[:n]
        start = np.concatenate([y, self._zeros])
        x_dot = np.concatenate([y_dot, np.zeros((len(y_dot), len(self._zeros)))], axis=1)

        def instead() -> Array:
            return self.fallback.tangent(start, par, x_dot, par_dot, self.watch)

        if sizes and self.few is not None:
            moved, why = self.few.tangent(start, par, sizes, x_dot, par_dot), ""
        elif again or self.large:
            moved, why = instead(), ""
        else:
            moved, why = self._or_fallback(lambda: self._push(y, par, y_dot, par_dot), instead)
        if units is not None:
            moved = moved * units
        return moved[:, :n], moved[:, n:], why

    def _push(self, y: Array, par: Array, y_dot: Array, par_dot: Array) -> Array:
        count = len(y_dot)
        if count not in self._tangents:
            # Derivatives count in the error test, and so do those of the integrated fluxes.
            tight = method.tolerances(self.options, method.SENSITIVITY_FACTOR)
            beside = self._function(
                count, lambda: self._integrator("tangent", self._lean, nfwd=count, quad_err_con=True, **tight)
            )
            sizes = {0: (1 + count) * len(y), 2: (1 + count) * self._size}
            self._tangents[count] = Call(beside, sizes, {0: (1 + count) * len(y), 2: (1 + count) * len(self._zeros)})
        ends = self._tangents[count](np.append(y, y_dot), np.append(par, par_dot))
        return np.concatenate([end.reshape(1 + count, -1)[1:] for end in ends], axis=1)

    def backward(
        self, y: Array, par: Array, y_bar: Array, q_bar: Array, again: bool, sizes: Sequence[float]
    ) -> tuple[Array, Array, str]:
        """Gradients with respect to `y` and `par` (its last entry is meaningless); raises `Failure`.
        `again`: it was solved by the fallback; `sizes`: what `forward` said. The last result is why the fallback was needed.
        """
        if self._units is None:
            return self._retreat(y, par, y_bar, q_bar, again, sizes)
        units, flux_units = np.split(self._units, [self.n_states])
        y_bar, q_bar = y_bar * units, q_bar * flux_units
        # In these units too, seeds of size one make the tolerance mean the same.
        size = max(np.abs(y_bar).max(), np.abs(q_bar).max(initial=0.0))
        bar, par_bar, why = self._retreat(y / units, par, y_bar / size, q_bar / size, again, sizes)
        return bar * size / units, par_bar * size, why

    def _retreat(
        self, y: Array, par: Array, y_bar: Array, q_bar: Array, again: bool, sizes: Sequence[float]
    ) -> tuple[Array, Array, str]:
        start, bar = np.concatenate([y, self._zeros]), np.concatenate([y_bar, q_bar])
        if sizes and self.few is not None:
            self.watch.look()
            x_bar, par_bar = self.few.backward(start, par, sizes, bar)
            return x_bar[: self.n_states], par_bar, ""
        share = method.BACKWARD_SHARE if self.falls_back else 1.0
        self._calls_left = max(1, int(share * self.options.max_steps) // method.BACKWARD_STEPS)

        def instead() -> tuple[Array, Array]:
            x_bar, par_bar = self.fallback.backward(start, par, bar, self.watch)
            return x_bar[: self.n_states], par_bar

        if again or self.large:
            return *instead(), ""
        (start_bar, par_bar), why = self._or_fallback(lambda: self._back(y, par, y_bar, q_bar), instead)
        return start_bar, par_bar, why

    def _back(self, y: Array, par: Array, y_bar: Array, q_bar: Array) -> tuple[Array, Array]:
        self.watch.look()
        if self._backward is None:
            # Gradients to parameters and forcings are quadratures: they count in the error test.
            tight = method.tolerances(self.options, method.SENSITIVITY_FACTOR)
            adjoint = self._function(
                "backward", lambda: self._integrator("backward", self._lean, nadj=1, quad_err_con=True, **tight)
            )
            sizes = {0: len(y), 2: self._size, 4: len(y_bar), 6: len(q_bar)}
            self._backward = Call(adjoint, sizes, {3: len(y), 5: self._size})
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
        middle, _, _ = self._advance(y, first)
        y_middle, bar_2 = self._back(middle, second, y_bar, q_bar)
        y_start, bar_1 = self._back(y, first, y_middle, q_bar)
        bar = bar_1 + bar_2
        if self.nodes == 2:
            between = bar_1[b:-1] + bar_2[a:b]
            bar[a:b] = bar_1[a:b] + 0.5 * between
            bar[b:-1] = bar_2[b:-1] + 0.5 * between
        return y_start, bar
