"""SciPy's stiff solvers and forward differences.

A gradient needs one solve per entry and one more. Where that takes longer than a cap, a few entries of each
group are computed, the error is theirs, and the time is that of the solves made times the number needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from arrays import numpy_rates
from cases import Case, Values
from scipy.integrate import solve_ivp

ENTRIES = 3  # per group, where not all are computed


class Solver:
    def __init__(self, case: Case, rtol: float, method: str) -> None:
        self.case, self.method, self.rtol = case, method, rtol
        self.rates = numpy_rates(case.system, case.fluxes)
        self.n = case.system.n_states

    def _settings(self, p: np.ndarray, f: np.ndarray) -> dict[str, Any]:
        if self.method == "LSODA":
            return {"lband": 1, "uband": 1} if self.case.banded else {}
        return {"jac": self._jacobian(p, f)} if self.case.banded else {}

    def _jacobian(self, p: np.ndarray, f: np.ndarray) -> Callable[..., Any]:
        from scipy.sparse import diags_array

        i = np.arange(self.n)

        def jacobian(t: float, y: np.ndarray) -> Any:
            base, columns = self.rates(y, p, f), []
            h = 1e-8 * np.maximum(np.abs(y), 1e-3)
            for k in range(3):  # three groups of columns that share no row
                columns.append(self.rates(y + np.where(i % 3 == k, h, 0.0), p, f) - base)
            change = np.array(columns)
            bands = [change[i[:-1] % 3, i[1:]] / h[:-1], change[i % 3, i] / h, change[i[1:] % 3, i[:-1]] / h[1:]]
            return diags_array(bands, offsets=[-1, 0, 1], format="csc")

        return jacobian

    def loss(self, y0: np.ndarray, p: np.ndarray, f: np.ndarray) -> float:
        case, y = self.case, y0
        states, fluxes = [], []
        for length, forcing in zip(case.lengths, f, strict=True):
            start = np.concatenate([y, np.zeros(len(case.fluxes))])
            result = solve_ivp(
                lambda t, y, forcing=forcing: self.rates(y, p, forcing),
                (0.0, length),
                start,
                self.method,
                [length],
                rtol=self.rtol,
                atol=self.rtol * case.absolute,
                **self._settings(p, forcing),
            )
            if not result.success:
                raise RuntimeError(result.message)
            y = result.y[: self.n, -1]
            states.append(y)
            fluxes.append(result.y[self.n :, -1])
        return float(case.loss(np.array(states), np.array(fluxes)))


def prepare(case: Case, rtol: float, method: str, cap: float = 60.0) -> Callable[[], tuple[float, Values]]:
    """The call's `note` says what was extrapolated, and its `seconds` replace those measured."""
    solver, numbers = Solver(case, rtol, method), case.numbers()
    cap = max(cap / 8, 12.0)  # what is extrapolated needs no more

    def gradient() -> tuple[float, Values]:
        began = time.perf_counter()
        base = solver.loss(*numbers)
        once = time.perf_counter() - began
        sizes = [np.asarray(v).size for v in (case.parameters | case.initial | case.forcing).values()]
        every = (sum(sizes) + 1) * once <= cap
        if not every and (len(sizes) + 1) * once > cap:
            gradient.seconds = once * (sum(sizes) + 1)  # type: ignore[attr-defined]
            gradient.note = f"one solve takes {once:.1f} s; times {sum(sizes) + 1}, extrapolated; no gradient"  # type: ignore[attr-defined]
            return base, {}
        bars = [np.full_like(v, np.nan) for v in numbers]
        solves = 1
        per_group = ENTRIES if (ENTRIES * len(sizes) + 1) * once <= cap else 1
        for array, index in _entries(case, None if every else per_group):
            changed = [v.copy() for v in numbers]
            value = changed[array][index]
            scale = abs(value) if value else np.abs(numbers[array]).max() * 1e-2 or 1.0
            h = max(rtol, 1e-9) ** 0.5 * scale
            changed[array][index] = value + h
            bars[array][index] = (solver.loss(*changed) - base) / h
            solves += 1
        elapsed = time.perf_counter() - began
        if not every:
            gradient.seconds = elapsed / solves * (sum(sizes) + 1)  # type: ignore[attr-defined]
            gradient.note = f"extrapolated from {solves} of {sum(sizes) + 1} solves; error of the entries computed"  # type: ignore[attr-defined]
        return base, case.groups(*bars)

    return gradient


def _entries(case: Case, count: int | None) -> list[tuple[int, Any]]:
    """Which entries to compute: (0, 1 or 2 for states, parameters or forcing; index), `count` of each group."""
    s, found = case.system, []

    def some(where: Any) -> list[int]:
        where = np.atleast_1d(where)
        return list(where if count is None else where[np.unique(np.linspace(0, len(where) - 1, count).astype(int))])

    for name in case.parameters:
        found += [(1, i) for i in some(np.arange(s.n_parameters)[s.parameters[name]])]
    for name in case.initial:
        found += [(0, i) for i in some(s.states[name])]
    for name in case.forcing:
        found += [(2, (j, int(s.forcings[name][0]))) for j in some(np.arange(case.intervals))]
    return found
