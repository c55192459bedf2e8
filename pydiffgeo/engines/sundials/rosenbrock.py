"""Rodas5P on CasADi functions: what the embedded engine falls back on.

A Rosenbrock method (Steinebach 2023, BIT Numer. Math. 63, 27) solves linear systems only: no Newton iteration can
fail to converge, and no history of earlier steps misleads it where slopes jump. Its steps are far dearer here than
those of CVODES, so it serves intervals in which CVODES gave up. One step is one CasADi function,

    (I / (gamma h) - J) k_i = f(x + sum_j A_ij k_j, t + c_i h) + h d_i df/dt + sum_j C_ij / h k_j,
    x_next = x + sum_j A_8j k_j + k_8,        error = k_8,

and gradients are the exact ones of the steps taken: CasADi differentiates through their linear systems.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import casadi as ca
import numpy as np

from ...arrays import Array
from ..base import Status
from ..batch import Failure, Watch
from .symbols import Symbols

GAMMA = 0.21193756319429014
A = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1.0),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1.0, 1.0),
)
C = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
    (
        *(30.91273214028599, -3.1208243349937974, 77.79954646070892),
        *(34.28646028294783, -19.097331116725623, -28.087943162872662),
    ),
    (
        *(37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047),
        *(-40.06618937091002, -54.66780262877968, -9.48861652309627),
    ),
)
TIMES = (0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0, 1.0)
D = (GAMMA, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734, 2.325825639765069, 0.0, 0.0, 0.0)

Look = Callable[[Array, Array, float], None]

# A step grows or shrinks by these at most, and aims at a bit less than the error allowed.
SHRINK, GROW, SAFETY = 0.2, 5.0, 0.9
# As a share of the interval: the first step, and the shortest one that arithmetic resolves.
FIRST, SHORTEST = 1e-6, 1e-15


class Rosenbrock:
    """Solves one interval, in time scaled to [0, 1]. Not for use by two threads at a time.

    Args:
        problem: as CasADi's integrators take it: SX symbols of the states "x", with them the integrated fluxes, of
            the parameters "p" and the time "t", and the rates "ode"; and "steepness", over which a relative error
            is that of what a state is controlled through. In saturated soil that is the head, in which a small
            error of the water content is a large one.
        max_steps: taken in an interval, refused ones included.
    """

    def __init__(self, problem: Mapping[str, ca.SX], rtol: float, atol: float, max_steps: int) -> None:
        x, par, t, rates, steepness = (problem[k] for k in ("x", "p", "t", "ode", "steepness"))
        self.rtol, self.atol, self.max_steps, self.size = rtol, atol, max_steps, x.numel()
        local = ca.Function("local", [x, par, t], [rates, ca.jacobian(rates, x), ca.jacobian(rates, t), steepness])
        value = ca.Function("value", [x, par, t], [rates])
        X, P, T, h = (ca.MX.sym(n, k) for n, k in (("x", self.size), ("p", par.numel()), ("t", 1), ("h", 1)))
        self._symbols = X, P, T, h
        first, jacobian, trend, steep = local(X, P, T)
        matrix = ca.MX.eye(self.size) / (GAMMA * h) - jacobian
        solver = ca.Linsol("solver", "qr", matrix.sparsity())
        stages: list[ca.MX] = []
        for a, c, time, d in zip(A, C, TIMES, D, strict=True):
            at = X + sum((w * k for w, k in zip(a, stages, strict=True)), 0)
            right = (value(at, P, T + time * h) if stages else first) + h * d * ca.densify(trend)
            stages.append(solver.solve(matrix, right + sum((w / h * k for w, k in zip(c, stages, strict=True)), 0)))
        self._next = X + sum(w * k for w, k in zip(A[-1], stages[:-1], strict=True)) + stages[-1]
        self._function = ca.Function("step", [X, P, T, h], [self._next, stages[-1], ca.densify(steep)])
        self._back: ca.Function | None = None
        self._push: ca.Function | None = None

    def forward(self, x: Array, par: Array, watch: Watch, look: Look = lambda x, par, t: None) -> Array:
        """`x` at the end of the interval; raises `Failure`, as `look` may, which sees the end of each step."""
        return self._march(x, par, watch, look)[1]

    def walk(self, x: Array, par: Array, watch: Watch, look: Look, t: float, end: float) -> None:
        """Goes from `t` to `end`, and lets `look` see the end of each step; raises `Failure`."""
        self._march(x, par, watch, look, t, end)

    def backward(self, x: Array, par: Array, bar: Array, watch: Watch) -> tuple[Array, Array]:
        """Pulls the gradient `bar` to the end back to `x` and `par`; raises `Failure`."""
        if self._back is None:
            seed = ca.MX.sym("seed", self.size)
            along = ca.dot(self._next, seed)
            self._back = ca.Function("back", [*self._symbols, seed], [ca.gradient(along, s) for s in self._symbols[:2]])
        par_bar = np.zeros_like(par)
        for start, t, h in reversed(self._march(x, par, watch)[0]):
            watch.look()
            bar, change = (np.array(v).ravel() for v in self._back(start, par, t, h, bar))
            par_bar += change
        return _finite(bar), _finite(par_bar)

    def tangent(self, x: Array, par: Array, x_dot: Array, par_dot: Array, watch: Watch) -> Array:
        """Pushes directions, the first axis, forward to the end; raises `Failure`."""
        if self._push is None:
            dots = [ca.MX.sym("dot", s.numel()) for s in self._symbols[:2]]
            moved = sum(ca.jtimes(self._next, s, dot) for s, dot in zip(self._symbols[:2], dots, strict=True))
            self._push = ca.Function("push", [*self._symbols, *dots], [moved])
        for start, t, h in self._march(x, par, watch)[0]:
            watch.look()
            x_dot = np.array(
                [np.array(self._push(start, par, t, h, *dot)).ravel() for dot in zip(x_dot, par_dot, strict=True)]
            )
        return _finite(x_dot)

    def _step(self, x: Array, par: Array, t: float, h: float) -> tuple[Array, Array, Array]:
        """The end of a step, its error, and by what that counts."""
        after, error, steep = (np.array(v).ravel() for v in self._function(x, par, t, h))
        return after, error, steep

    def _first(self, x: Array, par: Array) -> float:
        """The step to begin with."""
        return FIRST

    def _march(
        self, x: Array, par: Array, watch: Watch, look: Look = lambda x, par, t: None, t: float = 0.0, end: float = 1.0
    ) -> tuple[list[tuple[Array, float, float]], Array]:
        """Start, time and size of each step, and the end."""
        taken: list[tuple[Array, float, float]] = []
        h = self._first(x, par)
        for _ in range(self.max_steps):
            watch.look()
            h = min(h, end - t)
            after, error, steep = self._step(x, par, t, h)
            relative = 1 / (self.atol + self.rtol * np.maximum(np.abs(x), np.abs(after)))
            with np.errstate(over="ignore", invalid="ignore"):  # a step that is far too long is refused
                size = float(np.sqrt(np.mean((error * np.maximum(relative, steep / self.rtol)) ** 2)))
            good = bool(np.isfinite(after).all()) and size <= 1.0
            if good:
                taken.append((x, t, h))
                x, t = after, t + h
                look(x, par, t)
                if t >= end - SHORTEST:
                    return taken, x
            # In this order `max` answers an error that is not a number with the strongest shrinking.
            h *= min(GROW if good else 1.0, max(SHRINK, SAFETY * max(size, 1e-10) ** -0.2))
            if h < SHORTEST:
                raise Failure(Status.STEP_TOO_SMALL, "(Rodas5P)")
        raise Failure(Status.MAX_STEPS, "(Rodas5P)")


def steepness(controls: Sequence[tuple[int, int, float]], v: Symbols, y: Symbols) -> Symbols:
    """By how much, relative to its size, that through which each state is controlled changes with the state."""
    steepest: list[Symbols | float] = [0.0] * y.numel()
    slopes = ca.jacobian(v[[value for _, value, _ in controls if value >= 0]], y)
    row = 0
    for state, value, size in controls:
        steep: Symbols | float = 1 / size
        if value >= 0:
            steep, row = ca.fabs(slopes[row, state]) / (ca.fabs(v[value]) + size), row + 1
        steepest[state] = ca.fmax(steepest[state], steep)
    return ca.vertcat(*(type(v)(value) for value in steepest))


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise Failure(Status.NOT_FINITE, "(Rodas5P)")
    return values
