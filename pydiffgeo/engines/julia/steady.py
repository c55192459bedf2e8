"""Steady states in Julia: one call for a search, one for its derivatives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ...arrays import Array, Indices
from ..absolute import absolute
from ..base import Gradients, Problem, Status, Steady, Tangents
from ..ir.kernels import System
from .conversion import flat, status_of
from .crossing import JuliaValue, Package
from .session import Owned, in_julia

T = TypeVar("T")
# Builds the model of a system, or gives the one that was built before.
Build = Callable[[Package, System], tuple[Owned, float]]


def find_steady(build: Build, problem: Problem, low: Array, high: Array) -> Steady:
    """As `Engine.steady`."""
    started, options = time.perf_counter(), problem.options

    def call(package: Package) -> Steady:
        model = build(package, problem.system)[0].values[0]
        atols = (1e9, 1.0, flat(absolute(problem.system, options))) if options.atols else ()
        settings = package.Settings("Newton", options.rtol, options.atol, options.max_steps, *atols)
        built = time.perf_counter()
        inputs = (flat(x) for x in (problem.y0, problem.p, problem.f, low, high))
        result = package.steady(model, *inputs, settings, options.max_seconds)
        codes = result.codes
        status, reasons = status_of(codes)
        reasons |= _ranges(problem, codes)
        return Steady(
            y=result.y,
            rates=result.rates,
            direction=result.direction,
            status=status,
            reasons=reasons,
            iterations=[int(n) for n in result.iterations],
            continuation=[bool(c) for c in result.continued],
            setup_seconds=built - started,
        )

    return in_julia(call)


def pull_steady(build: Build, problem: Problem, y: Array, good: Indices, y_bar: Array, q_bar: Array) -> Gradients:
    """As `Engine.steady_adjoint`."""

    def gradients(found: JuliaValue, status: list[Status], reasons: dict[int, str], seconds: float) -> Gradients:
        p, f = found.p, found.f.reshape(problem.f.shape)
        return Gradients(np.zeros_like(problem.y0), p, f, status, reasons, {"backward_seconds": seconds})

    return _derivatives("steady_adjoint", gradients, build, problem, y, good, y_bar, q_bar)


def push_steady(build: Build, problem: Problem, y: Array, good: Indices, p_dot: Array, f_dot: Array) -> Tangents:
    """As `Engine.steady_tangent`."""

    def tangents(found: JuliaValue, status: list[Status], reasons: dict[int, str], seconds: float) -> Tangents:
        y_dot, q_dot = (x[:, :, None] for x in (found.y, found.q))
        return Tangents(y_dot, q_dot, status, reasons, {"tangent_seconds": seconds})

    return _derivatives("steady_tangent", tangents, build, problem, y, good, p_dot, f_dot)


def _derivatives(
    function: str,
    made: Callable[[JuliaValue, list[Status], dict[int, str], float], T],
    build: Build,
    problem: Problem,
    y: Array,
    good: Indices,
    *given: Array,
) -> T:
    """What is `made` of the result of a function of the Julia package at steady states `y`."""
    started = time.perf_counter()

    def call(package: Package) -> T:
        model = build(package, problem.system)[0].values[0]
        inputs = (flat(x) for x in (y, problem.p, problem.f, *given))
        found = getattr(package, function)(model, *inputs, good + 1, problem.options.max_seconds)
        return made(found, *status_of(found.codes), time.perf_counter() - started)

    return in_julia(call)


def _ranges(problem: Problem, codes: str) -> dict[int, str]:
    """What members are told whose steady state is outside of a range: of which."""
    told = {}
    for m, code in enumerate(codes.split(",")):
        if code.startswith("OutOfRange;"):
            guard, item, low, value, high, _ = map(float, code.split(";")[1:])
            message = problem.system.guards[int(guard)].message(int(item), low, value, high, " in the steady state")
            told[m] = f"({message})"
    return told
