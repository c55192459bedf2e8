"""The stiff systems of the test set for IVP solvers, each as a model of one cell.

Mazzia and Magherini 2008, Test set for initial value problem solvers, release 2.4, University of Bari.
The expected numbers were computed once more with SciPy's Radau at tolerance 1e-13; the digits on which
both agree are far more than the tolerances here ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ..model import Model, Parameter, State, single_cell
from ..solve import Solution
from .problem import (
    TOLERANCE_ORDER,
    Array,
    Bench,
    Convergence,
    Line,
    Outcome,
    Panel,
    balance_of,
    check,
    references,
    study,
)

Rates = Callable[[Sequence[Any], SimpleNamespace], Sequence[Any]]


@dataclass(frozen=True, eq=False)
class System:
    """An initial value problem with named coefficients.

    Attributes:
        rates: `(y, coefficients) -> dy/dt`.
        conserved: numbers of the components whose sum is constant.
        rtol, atol: of the solve; `tolerance` of the comparison, a share of each component.
        rtols: for the study of the error in time; `logx`, `logy` and `shown` for the figure.
    """

    key: str
    end: float
    y0: tuple[float, ...]
    coefficients: Mapping[str, float]
    rates: Rates
    rtol: float
    atol: float
    tolerance: float
    conserved: tuple[int, ...] = ()
    rtols: tuple[float, ...] = (1e-4, 1e-5, 1e-6, 1e-7)
    floor: float = 0.0
    shown: tuple[int, ...] = (0, 1, 2)
    times: tuple[float, ...] = ()
    logx: bool = False
    logy: bool = False
    time_unit: str = "s"

    def model(self) -> Model:
        names = [f"y{i + 1}" for i in range(len(self.y0))]

        def source(cell: SimpleNamespace, forcing: SimpleNamespace) -> dict[str, Any]:
            rates = self.rates([getattr(cell, name) for name in names], cell)
            return dict(zip(names, rates, strict=True))

        return Model(
            name=self.key.title().replace("_", ""),
            graph=single_cell(),
            states=tuple(
                State(name, "1", "component", default=value, stored=i in self.conserved)
                for i, (name, value) in enumerate(zip(names, self.y0, strict=True))
            ),
            parameters=tuple(Parameter(k, "1", "coefficient", v) for k, v in self.coefficients.items()),
            source=source,
            time_unit=self.time_unit,
            reference="Mazzia and Magherini 2008",
        )

    def solve(self, bench: Bench, times: Sequence[float], rtol: float | None = None) -> Solution:
        share = 1.0 if rtol is None else rtol / self.rtol
        return bench.solve(self.model(), self.coefficients, times=times, rtol=self.rtol * share, atol=self.atol * share)

    def values(self, sol: Solution) -> Array:
        """`(time, component)`."""
        return np.stack([sol.states[f"y{i + 1}"][:, 0].numpy() for i in range(len(self.y0))], axis=1)

    def run(self, bench: Bench) -> Outcome:
        expected = np.array(references()["stiff"][self.key])
        sol = self.solve(bench, [0.0, self.end])
        found = self.values(sol)[-1]
        labels = [f"y{i + 1}" for i in range(len(expected))]
        checks = (
            check(f"components at t = {self.end:g} {self.time_unit}, as shares of the expected ones", "1", labels,
                  found / expected, np.ones(len(expected)), self.tolerance, "test set; SciPy Radau at 1e-13"),
        )  # fmt: skip
        convergence: tuple[Convergence, ...] = ()
        if not bench.small:

            def error(rtol: float) -> float:
                return float(np.max(np.abs(self.values(self.solve(bench, [0.0, self.end], rtol))[-1] / expected - 1)))

            convergence = (study("time", self.rtols, error, "1", 1.0, 0.5, 1.7, TOLERANCE_ORDER, floor=self.floor),)  # fmt: skip
        balance = balance_of(sol) if self.conserved else None
        return Outcome(checks, balance, convergence, () if bench.small else (self.panel(bench, expected),))

    def panel(self, bench: Bench, expected: Array) -> Panel:
        times = self.times or tuple(np.linspace(0, self.end, 401))
        found = self.values(self.solve(bench, times, 1e-6 if self.rtol < 1e-6 else None))
        scale = [1.0 if self.logy else float(np.abs(found[:, i]).max()) for i in self.shown]
        first = 1 if self.logx else 0
        lines = [
            Line(times[first:], found[first:, i] / s, f"y{i + 1}" + ("" if s == 1.0 else f" / {s:.3g}"))
            for i, s in zip(self.shown, scale, strict=True)
        ]
        lines += [
            Line([self.end], [expected[i] / s], "expected" if i == self.shown[-1] else "", "points")
            for i, s in zip(self.shown, scale, strict=True)
        ]
        return Panel(f"time ({self.time_unit})", "component (1)", tuple(lines), logx=self.logx, logy=self.logy)


def _robertson(y: Sequence[Any], k: SimpleNamespace) -> Sequence[Any]:
    a, b, c = k.k1 * y[0], k.k2 * y[1] * y[1], k.k3 * y[1] * y[2]
    return -a + c, a - b - c, b


# Below 1e-7 the round-off of y3, which is one, shows in y1, which is 2e-8 at the end.
ROBERTSON = System(
    "robertson", 1e11, (1.0, 0.0, 0.0), {"k1": 0.04, "k2": 3e7, "k3": 1e4}, _robertson, 1e-9, 1e-17, 1e-4, (0, 1, 2),
    times=(0.0, *np.logspace(-5, 11, 97)), logx=True, logy=True, rtols=(1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
        floor=5e-8,  # round-off: components differ by seven orders of magnitude
)  # fmt: skip


def robertson(bench: Bench) -> Outcome:
    """Robertson's kinetics, and the gradient of a sum of outputs with respect to its rates."""
    outcome = ROBERTSON.run(bench)
    known = references()["robertson_gradient"]
    k = {name: torch.tensor([v], dtype=torch.float64, requires_grad=True) for name, v in ROBERTSON.coefficients.items()}
    sol = bench.solve(ROBERTSON.model(), k, times=[0.0, 1.0, 10.0, 100.0], rtol=1e-10, atol=1e-13)
    (1e4 * sol.states["y2"][1:] + sol.states["y3"][1:]).sum().backward()
    found = [float(v.grad) for v in k.values() if v.grad is not None]
    gradient = check(
        "adjoint gradient of the sum of 1e4 y2 + y3 at t = 1, 10, 100, as shares of the expected one", "1", [*k],
        np.array(found) / np.array(known), [1.0] * 3, 1e-6, "forward sensitivity equations, SciPy Radau at 1e-12",
    )  # fmt: skip
    return Outcome((*outcome.checks, gradient), outcome.balance, outcome.convergence, outcome.panels)


def _van_der_pol(y: Sequence[Any], k: SimpleNamespace) -> Sequence[Any]:
    return y[1], k.mu * (1 - y[0] * y[0]) * y[1] - y[0]


VAN_DER_POL = System(
    "van_der_pol", 2000.0, (2.0, 0.0), {"mu": 1000.0}, _van_der_pol, 1e-9, 1e-11, 1e-5, shown=(0,),
    rtols=(1e-5, 1e-6, 1e-7, 1e-8),
)  # fmt: skip

HIRES_RATES = {"a": 1.71, "b": 0.43, "c": 8.32, "d": 0.0007, "e": 8.75, "f": 10.03, "g": 0.035, "h": 1.12,
               "i": 1.745, "j": 280.0, "k": 0.69, "l": 1.81}  # fmt: skip


def _hires(y: Sequence[Any], k: SimpleNamespace) -> Sequence[Any]:
    y1, y2, y3, y4, y5, y6, y7, y8 = y
    bound = k.j * y6 * y8
    return (
        -k.a * y1 + k.b * y2 + k.c * y3 + k.d,
        k.a * y1 - k.e * y2,
        -k.f * y3 + k.b * y4 + k.g * y5,
        k.c * y2 + k.a * y3 - k.h * y4,
        -k.i * y5 + k.b * y6 + k.b * y7,
        -bound + k.k * y4 + k.a * y5 - k.b * y6 + k.k * y7,
        bound - k.l * y7,
        -bound + k.l * y7,
    )


HIRES = System(
    "hires", 321.8122, (1.0, 0, 0, 0, 0, 0, 0, 0.0057), HIRES_RATES, _hires, 1e-9, 1e-13, 1e-5, (6, 7),
    shown=(0, 1, 4, 6, 7), times=(0.0, *np.logspace(-3, np.log10(321.8122), 120)), logx=True,
    rtols=(1e-5, 1e-6, 1e-7, 1e-8),
)  # fmt: skip


def _orego(y: Sequence[Any], k: SimpleNamespace) -> Sequence[Any]:
    y1, y2, y3 = y
    return (
        k.s * (y2 + y1 * (1 - k.q * y1 - y2)),
        (y3 - (1 + y1) * y2) / k.s,
        k.w * (y1 - y3),
    )


OREGO = System(
    "orego", 360.0, (1.0, 2.0, 3.0), {"s": 77.27, "q": 8.375e-6, "w": 0.161}, _orego, 1e-9, 1e-12, 1e-5, logy=True,
    rtols=(1e-5, 1e-6, 1e-7, 1e-8),
)  # fmt: skip
