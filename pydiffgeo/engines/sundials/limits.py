"""Ranges that must hold after every step: on CasADi symbols for CVODES, on numbers between steps and intervals."""

from __future__ import annotations

from collections.abc import Callable

import casadi as ca
import numpy as np

from ...arrays import Array
from ..absolute import absolute, absolute_of_guard
from ..base import Options, Status
from ..batch import Failure
from ..ir.kernels import SLACK, Guard, Kernel, System

Run = Callable[[Kernel], dict[str, ca.SX | ca.DM]]


def guarded(system: System, rates: ca.SX, run: Run, options: Options) -> ca.SX:
    """`rates`, but NaN where a range does not hold: CVODES, which nobody can watch step by step, stops there.

    `run` evaluates a kernel, each result a column with an entry for each of its items.
    """
    rates = type(rates)(rates)
    for guard in system.guards:
        values = run(guard.kernel)
        low, value, high = (values[k] for k in ("low", "value", "high"))
        own = _atol_of(guard, system, options)
        slack = (SLACK * (options.rtol * ca.fabs(bound) + ca.DM(own)) for bound in (low, high))
        within = ca.logic_and(value >= low - next(slack), value <= high + next(slack))
        # Spoilt is the rate of a state that the range is about, so that the Jacobian has no more entries than before.
        about = [row for row in guard.kernel.gather if (row < system.n_states).all()]
        at = about[0].tolist() if about else [0] * len(guard.cells)
        for i, target in enumerate(at):
            rates[target] += ca.if_else(within[i], 0.0, type(rates)(np.nan))
    return rates


def _atol_of(guard: Guard, system: System, options: Options) -> float | Array:
    if not options.atols:
        return options.atol
    return absolute_of_guard(guard, absolute(system, options)[: system.n_states], options.atol)


class Guards:
    """The ranges of a system in one interval, in time scaled to [0, 1].

    Args:
        arguments: symbols of the states, `par` and the time.
        run: as in `guarded`, on these symbols.
    """

    def __init__(self, system: System, options: Options, arguments: list[ca.SX], run: Run) -> None:
        # Not the system itself, by which intervals are kept as long as it lives.
        self._guards: tuple[Guard, ...] = system.guards
        self._rtol = options.rtol
        self._atol = np.concatenate(
            [np.broadcast_to(_atol_of(g, system, options), len(g.cells)) for g in system.guards] or [np.empty(0)]
        )
        rows = [ca.horzcat(*(run(g.kernel)[k] for k in ("low", "value", "high"))) for g in system.guards]
        self._table = ca.Function("limits", arguments, [ca.densify(ca.vertcat(*rows))]) if rows else None

    def __bool__(self) -> bool:
        return self._table is not None

    def look(self, y: Array, par: Array, t: float, since: float) -> None:
        """Raises `Failure` where a range does not hold; `since` is when the interval began."""
        if self._table is None:
            return
        table = self._table(y, par, t).full()
        low, value, high = table.T
        slack = [SLACK * (self._rtol * np.abs(bound) + self._atol) for bound in (low, high)]
        within = (value >= low - slack[0]) & (value <= high + slack[1])
        if within.all():
            return
        row = int(np.argmin(within))
        items = [(guard, item) for guard in self._guards for item in range(len(guard.cells))]
        guard, item = items[row]
        when = f" at {since + t * float(par[-1]):.6g}"
        raise Failure(Status.OUT_OF_RANGE, f"({guard.message(item, low[row], value[row], high[row], when)})")
