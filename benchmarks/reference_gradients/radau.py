"""Radau IIA of order nine with exact sensitivities: the standalone way to the reference gradients.

NumPy only, and nothing of pydiffgeo. A system is five functions in which only analytic operations are
applied to states and inputs; every derivative that is needed (Jacobians, initial values, outputs) is a
complex step, which has no truncation error. Each step solves the collocation equations by Newton's
method until it stagnates and then differentiates them: the sensitivities are those of the numerical
solution to round-off, and their own local errors are controlled together with those of the states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import legendre

TINY = 1e-30  # the complex step
AWAY = 1e-12  # how far beyond zero a switch has turned
SMALL = 1500  # entries of a Jacobian that is not worth a pattern


@dataclass(frozen=True)
class System:
    """An initial-value problem whose outputs depend on a vector `z` of inputs.

    All functions take arrays with a trailing axis: a batch of perturbed copies.

    Attributes:
        initial: `z -> y` at the first time.
        rates: `(y, q, j, branch) -> dy/dt` in the interval `j`, with its own inputs `q = z[local(j)]`; `branch` has the
            sign of each switch.
        local: `j ->` positions in `z` of the inputs that act in the interval `j`.
        times: the ends of the intervals.
        outputs: `(y at all times (time, state, batch), z) -> {name: (batch,)}`.
        scale: size of each state, for error norms.
        switch: `(y, q, j) -> g`, one value or several; steps end where the sign of one changes.
    """

    initial: Callable[[Any], Any]
    rates: Callable[[Any, Any, int, Any], Any]
    local: Callable[[int], Any]
    times: Any
    outputs: Callable[[Any, Any], dict[str, Any]]
    scale: Any
    switch: Callable[[Any, Any, int], Any] | None = None


def coefficients(stages: int) -> tuple[Any, Any, float, Any]:
    """Nodes, matrix, and the weight of the slope at the start and of the stages in the error estimate."""
    last = np.zeros(stages + 1)
    last[stages - 1 :] = -1.0, 1.0
    x = np.sort(legendre.legroots(last).real)
    for _ in range(3):
        x -= legendre.legval(x, last) / legendre.legval(x, legendre.legder(last))
    x[-1] = 1.0
    values = legendre.legvander(x, stages)
    integrals = np.empty((stages, stages))
    integrals[:, 0] = x + 1
    for k in range(1, stages):
        integrals[:, k] = (values[:, k + 1] - values[:, k - 1]) / (2 * k + 1)
    nodes, matrix = (x + 1) / 2, np.linalg.solve(values[:, :stages].T, integrals.T).T / 2
    eigenvalues = np.linalg.eigvals(matrix)
    start = eigenvalues[np.abs(eigenvalues.imag).argmin()].real
    moments = np.zeros(stages)
    moments[0] = -start
    weights = np.linalg.solve(np.vander(nodes, increasing=True).T, moments)
    return nodes, matrix, start, weights


class Colours:
    """Jacobians by complex steps: columns that touch different rows are perturbed together."""

    def __init__(self, function: Callable[[Any], Any], at: Any) -> None:
        """The pattern is found once, at `at`; small Jacobians are taken as full."""
        dense = function(at[:, None] + 1j * TINY * np.eye(len(at))).imag != 0.0
        if dense.size < SMALL:
            dense[:] = True
        groups: list[tuple[list[int], Any]] = []
        for column in range(len(at)):
            for members, used in groups:
                if not (used & dense[:, column]).any():
                    members.append(column)
                    used |= dense[:, column]
                    break
            else:
                groups.append(([column], dense[:, column].copy()))
        self.seeds = np.zeros((len(at), len(groups)))
        for k, (members, _) in enumerate(groups):
            self.seeds[members, k] = TINY
        colour = self.seeds.argmax(1)
        self.rows, self.columns = np.nonzero(dense)
        self.colours, self.shape = colour[self.columns], dense.shape

    def value_and_jacobian(self, function: Callable[[Any], Any], at: Any) -> tuple[Any, Any]:
        found = function(at[:, None] + 1j * self.seeds)
        jacobian = np.zeros(self.shape)
        jacobian[self.rows, self.columns] = found.imag[self.rows, self.colours] / TINY
        return found.real[:, 0], jacobian


class Integrator:
    """Solves a system and its sensitivities; `tolerance` is that of the error estimate of a step."""

    def __init__(self, system: System, z: Any, tolerance: float, stages: int = 5, first: float = 1e-5) -> None:
        self.system, self.z, self.tolerance, self.stages = system, np.asarray(z, float), tolerance, stages
        self.nodes, self.matrix, self.start, self.weights = coefficients(stages)
        self.inverse = np.linalg.inv(self.matrix)
        self.first, self.steps = first, 0

    def solve(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Values of the outputs, and their derivatives to every entry of `z`."""
        s, size = self.system, len(self.z)
        unit = self.z[:, None] + 1j * TINY * np.eye(size)
        y = s.initial(self.z[:, None])[:, 0]
        total = s.initial(unit).imag / TINY
        values, tangents = [y], [total]
        generic = y + s.scale * np.linspace(0.01, 0.03, len(y))
        for j in range(len(s.times) - 1):
            positions = s.local(j)
            q = self.z[positions]
            if j == 0:
                self.colours = Colours(self._rates(j, len(y), self._signs(j, y, q)), np.concatenate([generic, q]))
            y, own = self._interval(j, y, q)
            total = own[:, : len(y)] @ total
            total[:, positions] += own[:, len(y) :]
            values.append(y)
            tangents.append(total)
        states = np.array(values)[:, :, None] + 1j * TINY * np.array(tangents)
        found = s.outputs(states, unit)
        return {k: v.real.flat[0] for k, v in found.items()}, {k: v.imag / TINY for k, v in found.items()}

    def _switches(self, j: int, y: Any, q: Any) -> Any:
        switch = self.system.switch
        return np.zeros(0) if switch is None else np.atleast_1d(np.asarray(switch(y, q, j), float))

    def _signs(self, j: int, y: Any, q: Any) -> Any:
        return np.where(self._switches(j, y, q) >= 0, 1.0, -1.0)

    def _rates(self, j: int, n: int, branch: Any) -> Callable[[Any], Any]:
        return lambda v: self.system.rates(v[:n], v[n:], j, branch)

    def _interval(self, j: int, y: Any, q: Any) -> tuple[Any, Any]:
        """State at the end of an interval, and its derivatives to the state at its start and to `q`."""
        s, n = self.system, len(y)
        time, end = s.times[j], s.times[j + 1]
        sensitivity = np.concatenate([np.eye(n), np.zeros((n, len(q)))], axis=1)
        branch = self._signs(j, y, q)
        h = min(self.first, end - time)
        while time < end:
            h = min(h, end - time)
            last = h >= (end - time) * (1 - 1e-14)
            try:
                new, tangent, error, within = self._step(j, y, q, sensitivity, h, branch)
            except ArithmeticError:
                h /= 4
                continue
            factor = 0.85 * max(error / self.tolerance, 1e-12) ** (-1 / (self.stages + 1))
            if error > self.tolerance:
                h *= max(0.2, factor)
                continue
            # A switch that turns and turns back within the step is not seen at its end.
            passed = [
                c
                for c, stage in zip(self.nodes[:-1], within, strict=True)
                if (branch * self._switches(j, stage, q) < -AWAY).any()
            ]
            if passed:
                h *= passed[0]
                continue
            turned = np.flatnonzero(branch * self._switches(j, new, q) < 0)
            if len(turned):
                places = [self._locate(j, y, q, h, branch, which) for which in turned]
                h = min(places)
                new, tangent, _, _ = self._step(j, y, q, sensitivity, h, branch)
                branch = branch.copy()
                branch[turned[int(np.argmin(places))]] *= -1
                last, factor = False, 1.0
            self.steps += 1
            y, sensitivity, time = new, tangent, end if last else time + h
            h *= min(4.0, max(0.2, factor))
        return y, sensitivity

    def _solve_stages(self, j: int, y: Any, q: Any, h: float, branch: Any) -> tuple[Any, Any, Any]:
        """Increments of the stages, the matrix of Newton's method there, and the slopes to `q`."""
        n, s = len(y), self.stages
        function = self._rates(j, n, branch)
        best, z = np.inf, np.zeros((s, n))
        for _ in range(40):
            pairs = [self.colours.value_and_jacobian(function, np.concatenate([y + z[i], q])) for i in range(s)]
            rates = np.array([f for f, _ in pairs])
            jacobians = np.array([jacobian for _, jacobian in pairs])
            if not (np.isfinite(rates).all() and np.isfinite(jacobians).all()):
                raise ArithmeticError("not finite")
            blocks = -h * self.matrix[:, None, :, None] * jacobians[None, :, :, :n].transpose(0, 2, 1, 3)
            newton = blocks.reshape(s * n, s * n)
            newton[np.diag_indices(s * n)] += 1.0
            residual = (h * self.matrix @ rates - z).ravel()
            change = np.linalg.solve(newton, residual).reshape(s, n)
            size = np.abs(change / self.system.scale).max()
            if size >= 0.5 * best and size < 1e-12:
                return z, newton, jacobians[:, :, n:]
            if size > 1e3 * best:
                raise ArithmeticError("Newton's method diverges")
            best = min(best, size)
            z = z + change
            if size < 1e-15:
                return z, newton, jacobians[:, :, n:]
        raise ArithmeticError("Newton's method does not converge")

    def _step(self, j: int, y: Any, q: Any, tangent: Any, h: float, branch: Any) -> Any:
        """State and sensitivities after one step, their estimated error, and the states of the stages before its end."""
        n, s, scale = len(y), self.stages, self.system.scale
        z, newton, to_q = self._solve_stages(j, y, q, h, branch)
        forced = np.zeros((s, n, tangent.shape[1]))
        forced[:] = tangent
        forced[:, :, n:] += h * np.einsum("ij,jnq->inq", self.matrix, to_q)
        stages = np.linalg.solve(newton, forced.reshape(s * n, -1)).reshape(s, n, -1)
        # The error estimate: an embedded quadrature with the slope at the start, filtered (Hairer and
        # Wanner 1996, Solving Ordinary Differential Equations II, section IV.8).
        rate, jacobian = self.colours.value_and_jacobian(self._rates(j, n, branch), np.concatenate([y, q]))
        slope = jacobian[:, :n] @ tangent
        slope[:, n:] += jacobian[:, n:]
        weights = self.weights @ self.inverse
        state_error = self.start * h * rate + weights @ z
        tangent_error = self.start * h * slope + np.tensordot(weights, stages - tangent, 1)
        filtered = np.linalg.solve(
            np.eye(n) - self.start * h * jacobian[:, :n], np.column_stack([state_error, tangent_error])
        )
        size = np.maximum(np.abs(tangent), np.abs(stages[-1])) / scale[:, None]
        column = size.max(0)
        relative = np.abs(filtered[:, 1:]) / scale[:, None] / np.where(column > 0, column, 1.0)
        error = max(np.abs(filtered[:, 0] / scale).max(), relative.max(initial=0.0))
        return y + z[-1], stages[-1], error, y + z[:-1]

    def _locate(self, j: int, y: Any, q: Any, h: float, branch: Any, which: int) -> float:
        """The step that ends where a switch is zero: regula falsi (Illinois)."""

        def g(step: float) -> float:
            z, _, _ = self._solve_stages(j, y, q, step, branch)
            return float(self._switches(j, y + z[-1], q)[which])

        low, high, g_low, g_high = 0.0, h, float(self._switches(j, y, q)[which]), g(h)
        for _ in range(60):
            middle = high - g_high * (high - low) / (g_high - g_low)
            value = g(middle)
            if abs(value) < 1e-14 or high - low < 1e-15 * h:
                return middle
            if value * g_high < 0:
                low, g_low = high, g_high
            else:
                g_low *= 0.5
            high, g_high = middle, value
        return high
