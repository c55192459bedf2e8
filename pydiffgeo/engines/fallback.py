"""Members that fail are tried again: by the next method of a list, until one solves them or none is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..arrays import Array, Indices
from .base import FINAL, Engine, Forward, Gradients, Problem, Status, Steady, Tangents, add_stats

COUNTS: tuple[Literal["steps", "rejections"], ...] = ("steps", "rejections")


@dataclass(frozen=True)
class Method:
    """What to try: a solver, and tolerances as a share of those asked for."""

    name: str
    solver: str
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Part:
    """The members that one method was tried on, and what came of it."""

    members: Indices
    problem: Problem
    forward: Forward


class Fallback:
    """An engine that falls back on `methods`, in their order, where its own choice fails.

    A solver that was asked for by name is the only one, time that is over stays over, and no method saves a model from
    itself. What each member
    needed is in `stats["fallbacks"]`.
    """

    def __init__(self, engine: Engine, methods: Sequence[Method]) -> None:
        self.engine, self.methods, self.name = engine, methods, engine.name

    def forward(self, problem: Problem, differentiate: bool) -> Forward:
        started, limit = time.monotonic(), problem.options.max_seconds
        first = self.engine.forward(problem, differentiate)
        parts = [Part(np.arange(problem.members), problem, first)]
        status, reasons, stats = [*first.status], dict(first.reasons), first.stats.copy()
        result = replace(first, status=status, reasons=reasons, stats=stats, tape=parts)
        for method in self.methods if problem.options.solver in (None, "auto") else ():
            failed = np.array([i for i, s in enumerate(result.status) if not s.ok and s not in FINAL], np.int64)
            left = limit - (time.monotonic() - started)
            if not len(failed) or left <= 0:
                break
            if problem.options.sensitivity == "discrete" and method.solver != first.stats["solver"]:
                continue
            parts.append(self._try(method, problem, failed, left, differentiate))
            self._take(result, method, parts[-1])
        return result

    def _try(self, method: Method, problem: Problem, members: Indices, seconds: float, differentiate: bool) -> Part:
        options = replace(problem.options.tighter(method.share), solver=method.solver, max_seconds=seconds)
        again = replace(problem, options=options, y0=problem.y0[members], p=problem.p[members], f=problem.f[members])
        return Part(members, again, self.engine.forward(again, differentiate))

    def _take(self, result: Forward, method: Method, part: Part) -> None:
        """Puts what a method solved in the place of what failed, and notes what it did not."""
        for i, m in enumerate(int(m) for m in part.members):
            status, why = part.forward.status[i], result.reasons[m]
            if status is Status.OUT_OF_RANGE:
                result.status[m], result.reasons[m] = status, part.forward.reasons[i]
                continue
            if not status.ok:
                result.reasons[m] = f"{why[:-1]}; {method.name}: {status.name})"
                continue
            result.y[m], result.q[m], result.status[m] = part.forward.y[i], part.forward.q[i], status
            result.stats["fallbacks"][m] = f"{method.name}, after {result.reasons.pop(m)}"
            for mine, theirs in ((result.stats[k], part.forward.stats[k]) for k in COUNTS):
                if mine is not None and theirs is not None:
                    mine[m] = theirs[i]
        spent = part.forward.stats
        add_stats(result.stats, {"forward_seconds": spent["forward_seconds"], "kept_bytes": spent["kept_bytes"]})

    def backward(self, problem: Problem, forward: Forward, y_bar: Array, q_bar: Array) -> Gradients:
        y0, p, f = np.zeros_like(problem.y0), np.zeros_like(problem.p), np.zeros_like(problem.f)
        whole = Gradients(y0, p, f, [Status.SUCCESS] * problem.members, {})
        started = time.monotonic()
        # A member that a method failed on gets zeros from its part.
        for part in forward.tape:
            m = part.members
            some = self.engine.backward(_within(problem, part, started), part.forward, y_bar[m], q_bar[m])
            for total, share in ((y0, some.y0), (p, some.p), (f, some.f)):
                total[m] += share
            _note(whole, some, part)
        return whole

    def tangent(self, problem: Problem, forward: Forward, y0_dot: Array, p_dot: Array, f_dot: Array) -> Tangents:
        if len(forward.tape) == 1:
            # Of all members, as mostly; the arrays are large, and are not copied.
            part = forward.tape[0]
            return self.engine.tangent(_within(problem, part, time.monotonic()), part.forward, y0_dot, p_dot, f_dot)
        y, q = (np.zeros((len(y0_dot), *values.shape)) for values in (forward.y, forward.q))
        whole, started = Tangents(y, q, [Status.SUCCESS] * problem.members, {}), time.monotonic()
        for part in forward.tape:
            m = part.members
            if part is not forward.tape[0] and part.forward.stats["sensitivity"] == "gauss":
                for i in np.flatnonzero([s.ok for s in part.forward.status]):
                    whole.status[m[i]] = Status.FAILED
                    whole.reasons[m[i]] = f"({part.forward.stats['solver']}, which solved it, has no tangent)"
                continue
            now = _within(problem, part, started)
            some = self.engine.tangent(now, part.forward, y0_dot[:, m], p_dot[:, m], f_dot[:, m])
            y[:, m] += some.y
            q[:, m] += some.q
            _note(whole, some, part)
        return whole

    # A search for a steady state falls back on pseudo-transient continuation by itself.
    def steady(self, problem: Problem, low: Array, high: Array) -> Steady:
        return self.engine.steady(problem, low, high)

    def steady_adjoint(self, problem: Problem, y: Array, good: Indices, y_bar: Array, q_bar: Array) -> Gradients:
        return self.engine.steady_adjoint(problem, y, good, y_bar, q_bar)

    def steady_tangent(self, problem: Problem, y: Array, good: Indices, p_dot: Array, f_dot: Array) -> Tangents:
        return self.engine.steady_tangent(problem, y, good, p_dot, f_dot)


def _within(problem: Problem, part: Part, started: float) -> Problem:
    """The problem of a part, with what is left of the time that the whole is allowed."""
    left = max(problem.options.max_seconds - (time.monotonic() - started), 1e-9)
    return replace(part.problem, options=replace(part.problem.options, max_seconds=left))


def _note(whole: Gradients | Tangents, some: Gradients | Tangents, part: Part) -> None:
    """Adds status, reasons and statistics of a part to those of the whole."""
    for i, m in enumerate(part.members):
        if not some.status[i].ok:
            whole.status[m], whole.reasons[int(m)] = some.status[i], some.reasons.get(i, "")
    add_stats(whole.stats, some.stats)
