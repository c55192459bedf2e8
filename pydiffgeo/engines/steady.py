"""A search for steady states as a solve over one interval, so that it becomes a node of PyTorch's graph as that does."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from typing_extensions import TypedDict

from ..arrays import Array, Indices, Mask
from .absolute import absolute
from .base import Engine, Forward, Gradients, Problem, Status, Steady, Tangents, make_stats
from .ir.kernels import System

# Of a direction in which no rate changes, the states that move by a larger share of the most are named.
FREE = 0.1


class SteadyStats(TypedDict):
    """What is known of a search; lists have an entry for each member."""

    engine: str
    """Name of the engine; `why` says how it was chosen."""
    why: str
    rtol: float
    atol: float | Mapping[str, float]
    iterations: list[int]
    """Jacobians that were factorised."""
    residual: list[float]
    """Largest rate of change per unit of time, as a share of the state, which counts as its `atol / rtol` at least."""
    continuation: list[bool]
    """Whether Newton's method alone failed and pseudo-transient continuation was needed."""
    setup_seconds: float
    """Time to build the model for the engine; next to nothing where it was built before."""
    forward_seconds: float
    backward_seconds: float
    """Time of all adjoint passes so far; `tangent_seconds` that of forward mode."""
    tangent_seconds: float


def steady_stats(report: Forward) -> SteadyStats:
    """Statistics of a search from the report of a `SteadyEngine`."""
    stats, found = report.stats, report.tape
    return SteadyStats(
        engine=stats["engine"],
        why=stats["why"],
        rtol=stats["rtol"],
        atol=stats["atol"],
        iterations=found.iterations,
        residual=speeds(found.rates, found.y, found.scale).max(axis=1).tolist(),
        continuation=found.continuation,
        setup_seconds=stats["setup_seconds"],
        forward_seconds=stats["forward_seconds"],
        backward_seconds=stats["backward_seconds"],
        tangent_seconds=stats["tangent_seconds"],
    )


class SteadyEngine:
    """Searches by another engine: the states at the end of the interval are steady, and fluxes are rates.

    Nothing depends on the states at the start, where the search begins. The tape is the `Steady` that was found, its
    states and rates those of the last point where a member failed.
    """

    def __init__(self, engine: Engine, low: Array, high: Array) -> None:
        self.engine, self.low, self.high, self.name = engine, low, high, engine.name

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        started = time.perf_counter()
        result = self.engine.steady(problem, self.low, self.high)
        good = np.array([s.ok for s in result.status])[:, None]
        n_states = problem.system.n_states
        y = np.stack([problem.y0, np.where(good, result.y, np.nan)], axis=1)
        q = np.where(good, result.rates[:, n_states:], np.nan)[:, None]
        result.problem = problem
        stats = make_stats(self.name, solver="newton", sensitivity="adjoint")
        stats["setup_seconds"] = result.setup_seconds
        stats["forward_seconds"] = time.perf_counter() - started - result.setup_seconds
        scale = result.scale = absolute(problem.system, problem.options)[:n_states] / problem.options.rtol
        reasons = {
            m: _reason(problem.system, result, m, scale, result.reasons.get(m, ""))
            for m, status in enumerate(result.status)
            if not status.ok
        }
        return Forward(y, q, result.status, reasons, stats, tape=result)

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        return self.engine.steady_adjoint(problem, forward.tape.y, _good(forward), y_bar[:, 1], q_bar[:, 0])

    def tangent(self, problem: Problem, forward: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
        found = self.engine.steady_tangent(problem, forward.tape.y, _good(forward), p_dot, f_dot)
        found.y = np.concatenate([y0_dot[:, :, None], found.y], axis=2)
        return found


def _good(forward: Forward) -> Indices:
    return np.flatnonzero([s.ok for s in forward.status])


def speeds(rates: Array, y: Array, scale: Array | float) -> Array:
    """How fast states change, `(members, states)`, as a share of their size, which is `scale` at least, per time."""
    with np.errstate(invalid="ignore", over="ignore"):
        speed: Array = np.abs(rates[:, : y.shape[1]]) / (np.abs(y) + scale)
    return speed


def _reason(system: System, result: Steady, member: int, scale: Array, said: str) -> str:
    """What is known of a member that failed: which state is to blame."""
    status, y, rates = result.status[member], result.y[member], result.rates[member]
    if status is Status.NOT_FINITE and not np.isfinite(rates).all():
        bad = int(np.flatnonzero(~np.isfinite(rates))[0])
        if bad >= system.n_states:
            return f"(the flux {_flux(system, bad - system.n_states)!r} is {rates[bad]:g})"
        return f"(the rate of {place_of(system, bad)} is {rates[bad]:g} where it is {y[bad]:.6g})"
    if status is Status.SINGULAR:
        direction = result.direction[member]
        free = np.abs(direction) > FREE if direction.any() else np.ones(len(y), np.bool_)
        return f"({_named(system, free)}{_fastest(system, np.where(free, y, np.nan), rates, scale)})"
    if status is Status.CONVERGENCE:
        return f"(after {result.iterations[member]} iterations{_fastest(system, y, rates, scale)})"
    return said


def _flux(system: System, position: int) -> str:
    return next(name for name, at in system.fluxes.items() if position in at)


def _fastest(system: System, y: Array, rates: Array, scale: Array) -> str:
    """Which state changes fastest, of those whose value is a number."""
    worst = int(np.nanargmax(np.where(np.isnan(y), -1.0, speeds(rates[None], y[None], scale)[0])))
    if rates[worst] == 0:
        return "; no rate differs from zero"
    return f"; {place_of(system, worst)}, which is {y[worst]:.6g}, still changes by {rates[worst]:.3g} per unit of time"


def _named(system: System, free: Mask) -> str:
    """Which states may change without a change of any rate."""
    names = []
    for name, at in system.states.items():
        cells = np.flatnonzero(free[at])
        if len(cells):
            where = f"cell {cells[0]}" if len(cells) == 1 else f"{len(cells)} of {len(at)} cells"
            names.append(f"{name!r} in {where}")
    return f"rates do not tell how large {' and '.join(names)} may be"


def place_of(system: System, state: int) -> str:
    """A state by its name and its number among those of its name."""
    for name, at in system.states.items():
        if (where := np.flatnonzero(at == state)).size:
            return f"{name!r} in cell {where[0]}"
    raise ValueError(state)
