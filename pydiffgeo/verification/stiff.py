"""The stiff systems of the test set for IVP solvers, each as a model of one cell.

Mazzia and Magherini 2008, Test set for initial value problem solvers, release 2.4, University of Bari.
The expected numbers were computed once more with SciPy's Radau at tolerance 1e-13; the digits on which
both agree are far more than the tolerances here ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..model import Model, Parameter, Place, State, single_cell
from ..solve import Solution
from .convergence import in_time
from .problem import Bench, Line, Outcome, Panel, balance_of, check, reference

# Of the components and the coefficients.
Rates = Callable[[Sequence[Tensor], Place], Sequence[Tensor | float]]


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
    atol: float
    rtol: float = 1e-9
    tolerance: float = 1e-5
    conserved: tuple[int, ...] = ()
    rtols: tuple[float, ...] = (1e-5, 1e-6, 1e-7, 1e-8)
    floor: float = 0.0
    shown: tuple[int, ...] = (0, 1, 2)
    times: tuple[float, ...] = ()
    logx: bool = False
    logy: bool = False
    time_unit: str = "s"

    @property
    def names(self) -> list[str]:
        """Names of the components."""
        return [f"y{i + 1}" for i in range(len(self.y0))]

    def model(self) -> Model:
        """The system in one cell, its components as states."""

        def source(cell: Place, forcing: Place) -> dict[str, Tensor | float]:
            rates = self.rates([getattr(cell, name) for name in self.names], cell)
            return dict(zip(self.names, rates, strict=True))

        start = enumerate(zip(self.names, self.y0, strict=True))
        return Model(
            name=self.key.title().replace("_", ""),
            graph=single_cell(),
            states=tuple(State(k, "1", "component", v, stored=i in self.conserved) for i, (k, v) in start),
            parameters=tuple(Parameter(k, "1", "coefficient", v) for k, v in self.coefficients.items()),
            source=source,
            time_unit=self.time_unit,
            reference="Mazzia and Magherini 2008",
        )

    def solve(self, bench: Bench, times: Sequence[float], rtol: float | None = None) -> Solution:
        """At another relative tolerance, the absolute one is as many times what it is."""
        share = 1.0 if rtol is None else rtol / self.rtol
        return bench.solve(self.model(), self.coefficients, times=times, rtol=self.rtol * share, atol=self.atol * share)

    def values(self, sol: Solution) -> Array:
        """`(time, component)`."""
        return np.stack([sol.states[name][:, 0].numpy() for name in self.names], axis=1)

    def run(self, bench: Bench) -> Outcome:
        """Compares all components at the end, as shares of the expected ones."""
        expected = reference("stiff")[self.key]

        def shares(rtol: float | None = None) -> tuple[Solution, Array]:
            sol = self.solve(bench, [0.0, self.end], rtol)
            return sol, self.values(sol)[-1] / expected

        sol, computed = shares()
        what, one = (
            f"components at t = {self.end:g} {self.time_unit}, as shares of the expected ones",
            np.ones_like(expected),
        )
        checks = (check(what, "1", self.names, computed, one, self.tolerance, "test set; SciPy Radau at 1e-13"),)
        study = in_time(lambda rtol: shares(rtol)[1], "1", one, self.rtols, high=1.7, floor=self.floor)
        balance = balance_of(sol) if self.conserved else None
        return Outcome(checks, balance, bench.studies(study), () if bench.small else (self.panel(bench, expected),))

    def panel(self, bench: Bench, expected: Array) -> Panel:
        """Components over time, in units of their largest value where the axis is linear."""
        times = self.times or tuple(np.linspace(0, self.end, 401))
        values = self.values(self.solve(bench, times, 1e-6 if self.rtol < 1e-6 else None))
        lines, points, first = [], [], 1 if self.logx else 0
        for i in self.shown:
            scale = 1.0 if self.logy else float(np.abs(values[:, i]).max())
            unit = "" if scale == 1.0 else f" / {scale:.3g}"
            lines.append(Line(times[first:], values[first:, i] / scale, self.names[i] + unit))
            label = "expected" if i == self.shown[-1] else ""
            points.append(Line([self.end], [expected[i] / scale], label, "points"))
        return Panel(f"time ({self.time_unit})", "component (1)", lines + points, logx=self.logx, logy=self.logy)


def _robertson(y: Sequence[Tensor], k: Place) -> Sequence[Tensor]:
    a, b, c = k.k1 * y[0], k.k2 * y[1] * y[1], k.k3 * y[1] * y[2]
    return -a + c, a - b - c, b


# Below 1e-7 the round-off of y3, which is one, shows in y1, which is 2e-8 at the end.
ROBERTSON = System(
    key="robertson",
    end=1e11,
    y0=(1.0, 0.0, 0.0),
    coefficients={"k1": 0.04, "k2": 3e7, "k3": 1e4},
    rates=_robertson,
    atol=1e-17,
    tolerance=1e-4,
    conserved=(0, 1, 2),
    rtols=(1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
    floor=5e-8,  # round-off: components differ by seven orders of magnitude
    times=(0.0, *np.logspace(-5, 11, 97)),
    logx=True,
    logy=True,
)


def robertson(bench: Bench) -> Outcome:
    """Robertson's kinetics, and the gradient of a sum of outputs with respect to its rates."""
    outcome = ROBERTSON.run(bench)
    rates = ROBERTSON.coefficients
    k = {name: torch.tensor([v], dtype=torch.float64, requires_grad=True) for name, v in rates.items()}
    sol = bench.solve(ROBERTSON.model(), k, times=[0.0, 1.0, 10.0, 100.0], rtol=1e-10, atol=1e-13)
    (1e4 * sol.states["y2"][1:] + sol.states["y3"][1:]).sum().backward()
    slopes = np.array([float(v.grad) for v in k.values() if v.grad is not None])
    what = "adjoint gradient of the sum of 1e4 y2 + y3 at t = 1, 10, 100, as shares of the expected one"
    source, share = (
        "forward sensitivity equations, SciPy Radau at 1e-12",
        slopes / reference("robertson_gradient")["value"],
    )
    gradient = check(what, "1", [*k], share, [1.0] * 3, 1e-6, source)
    return Outcome((*outcome.checks, gradient), outcome.balance, outcome.convergence, outcome.panels)


def _van_der_pol(y: Sequence[Tensor], k: Place) -> Sequence[Tensor]:
    return y[1], k.mu * (1 - y[0] * y[0]) * y[1] - y[0]


VAN_DER_POL = System("van_der_pol", 2000.0, (2.0, 0.0), {"mu": 1000.0}, _van_der_pol, 1e-11, shown=(0,))

# Those named from a to l.
HIRES_RATES = (1.71, 0.43, 8.32, 0.0007, 8.75, 10.03, 0.035, 1.12, 1.745, 280.0, 0.69, 1.81)


def _hires(y: Sequence[Tensor], k: Place) -> Sequence[Tensor]:
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
    key="hires",
    end=321.8122,
    y0=(1.0, 0, 0, 0, 0, 0, 0, 0.0057),
    coefficients=dict(zip("abcdefghijkl", HIRES_RATES, strict=True)),
    rates=_hires,
    atol=1e-13,
    conserved=(6, 7),
    shown=(0, 1, 4, 6, 7),
    times=(0.0, *np.logspace(-3, np.log10(321.8122), 120)),
    logx=True,
)


def _orego(y: Sequence[Tensor], k: Place) -> Sequence[Tensor]:
    y1, y2, y3 = y
    return k.s * (y2 + y1 * (1 - k.q * y1 - y2)), (y3 - (1 + y1) * y2) / k.s, k.w * (y1 - y3)


OREGO_RATES = {"s": 77.27, "q": 8.375e-6, "w": 0.161}
OREGO = System("orego", 360.0, (1.0, 2.0, 3.0), OREGO_RATES, _orego, 1e-12, logy=True)
