"""Rodas5P for few states: one step is one function of scalars, its linear systems solved symbolically.

CVODES begins anew at every break, with small steps of low order, and solves for derivatives beside the states. Where
there are few states and forcings change daily, that is most of its work. A step here takes microseconds, as do its
exact derivatives, and an interval is a few steps long. Coefficients, error estimate and source: `rosenbrock.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from ...arrays import Array
from ..base import Options, Status
from ..batch import Failure, Watch
from .method import tolerances
from .rosenbrock import GAMMA, GROW, SAFETY, SHORTEST, SHRINK, TIMES, A, C, D, Look
from .symbols import Symbols

# Where there are more states, or more operations in the rates, the cheaper steps of CVODES make up for their number.
MOST_STATES, MOST_OPERATIONS = 16, 200
# Tolerances of steps, as a share of those asked for: with this one, gradients are as accurate as asked on all reference
# problems. And how short steps across a switch are, as a share of the interval and of the relative tolerance.
FACTOR, RESOLUTION = 0.05, 0.1
# The first step of a solve, as a share of the first interval; the others begin with the last step before.
FIRST = 1e-4

# Makes a function of a name, of symbols, and of what it returns.
Build = Callable[[str, Sequence[ca.SX], Sequence[ca.SX]], ca.Function]


@dataclass(frozen=True, eq=False)
class Step:
    """A step on symbols `[x, par, (t, h)]` of states and fluxes, parameters, its start and its size.

    Attributes:
        after: `x` at its end. error: the size of its error; it may be taken up to one.
        turned: not zero where a switch is on another side at its end. Slopes jump there, and the derivative of a step
            across is wrong by its size, of which the error estimate sees little: such steps have to be short.
    """

    symbols: list[Symbols]
    after: Symbols
    error: Symbols
    turned: Symbols


def step_of(
    symbols: Sequence[Symbols], n: int, total: Symbols, steep: Symbols, side: Symbols, rtol: float, atol: float
) -> Step:
    """One step of Rodas5P.

    Args:
        symbols: the states `y`, `par` and the time.
        n: number of states. total: rates of states and fluxes; these do not act on any of them.
        steep: of each state, see `rosenbrock.steepness`. side: a number that tells on which side switches are.
    """
    y, par, s = symbols
    count = total.numel()
    x, when = ca.SX.sym("x", count), ca.SX.sym("when", 2)
    t, h = when[0], when[1]
    value = ca.Function("value", [y, par, s], [total])
    slopes = ca.Function("slopes", [y, par, s], [ca.jacobian(total, y), ca.jacobian(total, s), steep])
    jacobian, trend, steepness = slopes(x[:n], par, t)
    matrix = ca.SX.eye(n) / (GAMMA * h) - jacobian[:n, :]
    ks: list[ca.SX] = []
    for a, c, time, d in zip(A, C, TIMES, D, strict=True):
        at = x[:n] + sum((w * k[:n] for w, k in zip(a, ks, strict=True)), 0)
        right = ca.densify(value(at, par, t + time * h) + h * d * trend)
        right += sum((w / h * k for w, k in zip(c, ks, strict=True)), 0)
        of_states, of_fluxes = ca.vertsplit(right, [0, n, count])
        states = ca.solve(matrix, of_states)
        ks.append(ca.vertcat(states, GAMMA * h * (of_fluxes + ca.mtimes(jacobian[n:, :], states))))
    after = x + sum(w * k for w, k in zip(A[-1], ks[:-1], strict=True)) + ks[-1]
    relative = 1 / (atol + rtol * ca.fmax(ca.fabs(x), ca.fabs(after)))
    weight = ca.fmax(relative, ca.vertcat(steepness / rtol, ca.SX.zeros(count - n)))
    sides = ca.Function("side", [y, par, s], [side])
    turned = ca.fabs(sides(after[:n], par, t + h) - sides(x[:n], par, t))
    return Step([x, par, when], ca.densify(after), ca.sqrt(ca.sumsqr(ks[-1] * weight) / count), ca.densify(turned))


def few_states(
    symbols: Sequence[Symbols],
    n: int,
    total: Symbols,
    steep: Callable[[], Symbols],
    side: Callable[[], Symbols],
    options: Options,
    build: Build,
) -> FewStates | None:
    """What solves a system by whole steps, see `step_of`; None where there are too many states or operations."""
    if n > MOST_STATES or ca.Function("rates", symbols, [total]).n_instructions() > MOST_OPERATIONS:
        return None
    tight = tolerances(options, FACTOR)
    step = step_of(symbols, n, total, steep(), side(), tight["reltol"], tight["abstol"])
    return FewStates(step, RESOLUTION * options.rtol, options.max_steps, build)


class Buffer:
    """A function with memory of its own, so that a call copies nothing and allocates nothing."""

    def __init__(self, function: ca.Function) -> None:
        # CasADi's own types ask for the size of a memory beside it, which is not taken.
        buffer: Any
        buffer, self.call = function.buffer()
        self._buffer = buffer  # kept as long as it is called
        self.inputs = [np.zeros(function.numel_in(k)) for k in range(function.n_in())]
        self.outputs = [np.zeros(function.numel_out(k)) for k in range(function.n_out())]
        for k, memory in enumerate(self.inputs):
            buffer.set_arg(k, memoryview(memory.data))
        for k, memory in enumerate(self.outputs):
            buffer.set_res(k, memoryview(memory.data))


class FewStates:
    """Solves intervals of one member, in time scaled to [0, 1]. Not for use by two threads at a time.

    Args:
        step: what is taken again and again. resolution: how short steps across a switch are, as a share of the interval.
        max_steps: taken in an interval, refused ones included.
        build: makes functions, compiled where that is asked for.

    Attributes:
        sizes: of the steps that the last interval took; what derivatives are taken of.
    """

    def __init__(self, step: Step, resolution: float, max_steps: int, build: Build) -> None:
        self._symbols, self._after = step.symbols, step.after
        self._build, self._max_steps, self._resolution = build, max_steps, resolution
        self._functions: dict[str | int, ca.Function] = {
            "step": build("step", self._symbols, [step.after, step.error, step.turned])
        }
        self._fresh()

    def _fresh(self) -> None:
        self._step = Buffer(self._functions["step"])
        self._others: dict[str | int, Buffer] = {}
        said = self._step.inputs[2], *self._step.outputs[1:]
        # Single numbers, which a view of the memory gives and takes faster than an array.
        views: list[Any] = [memoryview(m.data) for m in said]
        self._when, self._error, self._turned = views
        self.sizes: list[float] = []
        self.begin()

    def twin(self) -> FewStates:
        """Another one for another thread, with the same functions."""
        other = copy(self)
        other._fresh()
        return other

    def begin(self) -> None:
        """Says that what follows is the first interval of a member."""
        self._h = 0.0

    def forward(self, x: Array, par: Array, watch: Watch, look: Look | None) -> Array:
        """States and integrated fluxes at the end of the interval from `x`; raises `Failure`, as `look` may."""
        now, given, _ = self._step.inputs
        after = self._step.outputs[0]
        when, error, turned, call, sizes = self._when, self._error, self._turned, self._step.call, list[float]()
        now[:], given[:] = x, par
        self.sizes = []
        t, length = 0.0, float(par[-1])
        longest = self._h / length if self._h else FIRST
        for count in range(self._max_steps):
            left = 1.0 - t
            h = longest if longest < left - SHORTEST else left
            when[0], when[1] = t, h
            call()
            size = error[0]
            change = SAFETY * size**-0.2 if size > 1e-10 else GROW
            if turned[0] != 0.0 and h > self._resolution:
                longest = 0.5 * h
            elif size <= 1.0 and np.isfinite(after).all():
                sizes.append(h)
                now[:] = after
                t += h
                if look is not None:
                    look(now, par, min(t, 1.0))
                grown = h * max(SHRINK, min(GROW, change))
                # A step that the end cut short says nothing against longer ones.
                longest = grown if h == longest else max(longest, grown)
                if h == left:
                    self._h, self.sizes = longest * length, sizes
                    return now.copy()
            else:
                # An error that is not a number is answered by the strongest shrinking.
                longest = h * (max(SHRINK, min(1.0, change)) if 1.0 < size < np.inf else SHRINK)
                if longest < SHORTEST:
                    raise Failure(Status.STEP_TOO_SMALL, "(Rodas5P)")
            if count % 64 == 63:
                watch.look()
        raise Failure(Status.MAX_STEPS, "(Rodas5P)")

    def tangent(self, x: Array, par: Array, sizes: Sequence[float], x_dot: Array, par_dot: Array) -> Array:
        """Pushes directions, the first axis, along steps of these `sizes` to the end; raises `Failure`."""
        push = self._other(len(x_dot))
        now, given, when, moving, along = push.inputs
        after, moved = push.outputs
        now[:], given[:], moving[:], along[:] = x, par, x_dot.ravel(), par_dot.ravel()
        t = 0.0
        for h in sizes:
            when[:] = t, h
            push.call()
            now[:], moving[:] = after, moved
            t += h
        return _finite(moved.reshape(x_dot.shape).copy())

    def backward(self, x: Array, par: Array, sizes: Sequence[float], bar: Array) -> tuple[Array, Array]:
        """Pulls the gradient `bar` to the end back to `x` and `par`; raises `Failure`."""
        starts, t = [(x, 0.0)], 0.0
        now, given, _ = self._step.inputs
        now[:], given[:] = x, par
        for h in sizes[:-1]:
            self._when[0], self._when[1] = t, h
            self._step.call()
            now[:] = self._step.outputs[0]
            t += h
            starts.append((now.copy(), t))
        pull = self._other("pull")
        pull.inputs[1][:], pull.inputs[3][:] = par, bar
        par_bar = np.zeros(len(par))
        for (start, t), h in zip(reversed(starts), reversed(sizes), strict=True):
            pull.inputs[0][:], pull.inputs[2][:] = start, (t, h)
            pull.call()
            pull.inputs[3][:] = pull.outputs[0]
            par_bar += pull.outputs[1]
        return _finite(pull.outputs[0].copy()), _finite(par_bar)

    def _other(self, key: str | int) -> Buffer:
        """The function of so many directions, or that of a gradient."""
        if key not in self._others:
            if key not in self._functions:
                self._functions.setdefault(key, self._made(key))
            self._others[key] = Buffer(self._functions[key])
        return self._others[key]

    def _made(self, key: str | int) -> ca.Function:
        x, par, _ = self._symbols
        if key == "pull":
            bar = ca.SX.sym("bar", x.numel())
            both = ca.gradient(ca.dot(self._after, bar), ca.vertcat(x, par))
            results = [ca.densify(part) for part in ca.vertsplit(both, [0, x.numel(), both.numel()])]
            return self._build("pull", [*self._symbols, bar], results)
        x_dot, par_dot = ca.SX.sym("x_dot", x.numel(), int(key)), ca.SX.sym("par_dot", par.numel(), int(key))
        moved = ca.jtimes(self._after, ca.vertcat(x, par), ca.vertcat(x_dot, par_dot))
        return self._build("push", [*self._symbols, x_dot, par_dot], [self._after, ca.densify(moved)])


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise Failure(Status.NOT_FINITE, "(Rodas5P)")
    return values
