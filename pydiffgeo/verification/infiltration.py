"""Infiltration into soil columns, against an independent code on fine grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from ..arrays import Array
from ..model import Model
from ..models import RichardsColumn
from ..solve import Solution
from .convergence import PROFILE_ORDER, RTOLS, SATURATION_ORDER, Study, in_time, study
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, labels, reference

CM, S = 0.01, 1 / 86400.0
INDEPENDENT = "independent finite-volume code in the head form (SciPy LSODA), extrapolated from its two finest grids"
UNROUNDED = "cumulative infiltration, against closures without rounding near saturation"
SAND = {"theta_s": 0.287, "theta_r": 0.075, "A_theta": 1.611e6 * CM**3.96, "B_theta": 3.96}
SAND |= {"A_K": 1.175e6 * CM**4.74, "B_K": 4.74, "S_s": 1e-8}


def front_depth(model: Model, theta: Array, level: float) -> float:
    """Depth (m) at which the water content first falls below `level` going down."""
    z = model.graph.coordinates["depth"]
    k = int(np.argmax(theta < level))
    return float(z[k - 1] + (theta[k - 1] - level) / (theta[k - 1] - theta[k]) * (z[k] - z[k - 1]))


@dataclass(frozen=True, eq=False)
class Infiltration:
    """An infiltration test whose expected numbers are in the references.

    Attributes:
        key: of the references.
        column: cells -> model; `head0` its initial head from the depth of the cells (m).
        times: of the output (d).
        depths: where heads are compared (m); `level` the water content at the front.
        cells: number of cells in the small and in the full form.
        grids: of the convergence study; None takes half of the small form, and both. `rtols` likewise, for the error in time.
        tolerances: name -> tolerance: "head" (m), "front", "inflow", "outflow" (shares).
        measure: what the convergence studies are about: "inflow" or "front".
        small_factor: by which tolerances are wider in the small form; `small_rtol` and `rtol` of the two forms.
        expected: order in space.
    """

    key: str
    column: Callable[[int], Model]
    parameters: Mapping[str, float]
    forcing: Mapping[str, float]
    head0: Callable[[Array], Array]
    times: tuple[float, ...]
    depths: tuple[float, ...]
    level: float
    cells: tuple[int, int]
    tolerances: Mapping[str, float]
    grids: tuple[int, ...] | None = None
    rtols: tuple[float, ...] = RTOLS
    measure: str = "inflow"
    small_factor: float = 1.0
    small_rtol: float = 1e-8
    rtol: float = 1e-8
    expected: float = 2.0

    def solve(self, bench: Bench, cells: int, rtol: float = 1e-8) -> Solution:
        """The column in so many cells."""
        model = self.column(cells)
        start = {"head": torch.from_numpy(self.head0(model.graph.coordinates["depth"]))}
        return bench.solve(model, self.parameters, forcing=self.forcing, times=self.times, initial=start, rtol=rtol)

    def fronts(self, sol: Solution) -> list[float]:
        """Depths (m) of the front at the output times after the start."""
        return [front_depth(sol.model, theta, self.level) for theta in sol.states["theta"][1:].numpy()]

    def number(self, sol: Solution) -> float:
        """What the convergence studies are about (m), at the end."""
        return self.fronts(sol)[-1] if self.measure == "front" else float(sol.fluxes["infiltration"].sum())

    def run(self, bench: Bench) -> Outcome:
        """Solves it in the form of the bench, and compares heads, fronts and amounts."""
        expected = reference(self.key)
        # The finest grid of the study is that of the comparison: it is solved once.
        solve = cache(lambda cells, rtol: self.solve(bench, cells, rtol))
        sol = solve(bench.pick(*self.cells), bench.pick(self.small_rtol, self.rtol))
        checks = tuple(self.checks(sol, expected, bench.pick(self.small_factor, 1.0)))
        convergence = bench.studies(*self.convergence(solve, expected))
        return Outcome(checks, balance_of(sol), convergence, self.panels(sol, expected))

    def checks(self, sol: Solution, expected: Mapping[str, Array], factor: float) -> Iterator[Check]:
        """One for each of `tolerances`, which are widened by a factor."""
        amounts = {
            "inflow": ("cumulative infiltration", "infiltration", "inflow"),
            "outflow": ("cumulative outflow", "drainage", "outflow"),
            "published": (UNROUNDED, "infiltration", "inflow_published"),
        }
        for what, tolerance in ((k, factor * v) for k, v in self.tolerances.items()):
            if what == "head":
                at, z = labels((100 * d for d in self.depths), "cm"), sol.model.graph.coordinates["depth"]
                head = np.interp(self.depths, z, sol.outputs["head"][-1].numpy())
                yield check("head at the end, by depth", "m", at, head, expected["head"], tolerance, INDEPENDENT)
                continue
            if what == "front":
                name, true = f"depth of the front (theta = {self.level:.3g})", _fronts(expected)
                computed = np.array(self.fronts(sol))
            else:
                name, flux, key = amounts[what]
                true, computed = expected[key], sol.fluxes[flux].cumsum(0).numpy()
            # Some are known at the end only.
            times, computed = self.times[-len(true) :], computed[-len(true) :]
            hours = [f"{24 * t:.3g} h" for t in times]
            yield check(name, "m", hours, computed, true, tolerance, INDEPENDENT, relative=True)

    def convergence(self, solve: Callable[[int, float], Solution], expected: Mapping[str, Array]) -> Iterator[Study]:
        """Studies over `grids` and over `rtols`, where there are some."""
        grids = (self.cells[0] // 2, *self.cells) if self.grids is None else self.grids
        if grids:
            true = (expected["inflow"] if self.measure == "inflow" else expected["fronts"])[-1]
            sizes = {float(self.column(c).graph.cell["thickness"][0]): c for c in grids}

            def error(size: float) -> float:
                return abs(self.number(solve(sizes[size], self.rtol)) - true)

            reason = PROFILE_ORDER if self.expected > 1 else SATURATION_ORDER
            orders = self.expected, 0.6 * self.expected, 2.5
            yield lambda: study("space", [*sizes], error, "m", *orders, reason)
        if self.rtols:
            yield in_time(lambda rtol: np.array(self.number(solve(self.cells[0], rtol))), "m", 1e-11, self.rtols)

    def panels(self, sol: Solution, expected: Mapping[str, Array]) -> tuple[Panel, ...]:
        """Profiles of water content and head at all times."""
        z, cm = sol.model.graph.coordinates["depth"], 100
        head, theta = sol.outputs["head"].numpy(), sol.states["theta"].numpy()
        moisture = [Line(row, cm * z, f"{24 * t:.3g} h") for t, row in zip(self.times, theta, strict=True)]
        fronts = cm * _fronts(expected)
        moisture.append(Line(np.full(len(fronts), self.level), fronts, "expected front", "points"))
        heads = [Line(cm * row, cm * z, f"{24 * t:.3g} h") for t, row in zip(self.times, head, strict=True)]
        if "head" in expected:
            heads.append(Line(cm * expected["head"], cm * np.array(self.depths), "expected", "points"))
        return (
            Panel("water content (-)", "depth (cm)", moisture, "moisture", downwards=True),
            Panel("pressure head (cm)", "depth (cm)", heads, "head", downwards=True),
        )


def _fronts(expected: Mapping[str, Array]) -> Array:
    """Depths (m) of the front, at the last times."""
    return expected["fronts"] if "fronts" in expected else expected["front"]


def uniform(head: float) -> Callable[[Array], Array]:
    """The same head (m) at all depths."""
    return lambda depth: np.full(len(depth), head)


CELIA_1 = Infiltration(
    key="celia_1",
    column=lambda cells: RichardsColumn(0.4, cells, top="head", bottom="head", closure="haverkamp"),
    parameters=SAND | {"K_s": 0.00944 * CM / S},
    forcing={"head": -0.207, "bottom_head": -0.615},
    head0=uniform(-0.615),
    times=(0.0, 120 * S, 240 * S, 360 * S),
    depths=(0.05, 0.10, 0.125, 0.15, 0.20),
    level=0.18,
    cells=(160, 320),
    tolerances={"head": 2e-3, "inflow": 2e-3, "outflow": 2e-3, "front": 1e-3},
)
CELIA_2 = Infiltration(
    key="celia_2",
    column=lambda cells: RichardsColumn(1.0, cells, top="head", bottom="head"),
    parameters={"theta_r": 0.102, "theta_s": 0.368, "alpha": 3.35, "n": 2.0, "K_s": 0.00922 * CM / S, "S_s": 1e-8},
    forcing={"head": -0.75, "bottom_head": -10.0},
    head0=uniform(-10.0),
    times=(0.0, 0.25, 0.5, 1.0),
    depths=(0.1, 0.2, 0.3, 0.4, 0.45),
    level=0.15,
    cells=(200, 400),
    tolerances={"head": 5e-3, "inflow": 3e-3, "front": 2e-3},
)
HAVERKAMP = Infiltration(
    key="haverkamp_sand",
    column=lambda cells: RichardsColumn(0.7, cells, top="flux", bottom="head", closure="haverkamp"),
    parameters=SAND | {"K_s": 34 * CM * 24},
    forcing={"flux": 13.69 * CM * 24, "bottom_head": -0.615},
    head0=uniform(-0.615),
    times=(0.0, 0.1 / 24, 0.2 / 24, 0.4 / 24, 0.7 / 24),
    depths=(0.1, 0.2, 0.3, 0.4, 0.5),
    level=0.18,
    cells=(140, 280),
    tolerances={"head": 5e-4, "front": 1e-3, "outflow": 1e-3},
    measure="front",
)


def _miller(
    key: str,
    depth: float,
    end: float,
    soil: Sequence[float],
    inflow: float = 8e-3,
    front: float = 8e-3,
    small: tuple[int, float] = (100, 2.0),
    grids: tuple[int, ...] = (50, 100, 200),
) -> Infiltration:
    theta_r, theta_s = soil[:2]
    return Infiltration(
        key=key,
        column=lambda count: RichardsColumn(depth, count, top="head", bottom="head"),
        parameters=dict(zip(("theta_r", "theta_s", "alpha", "n", "K_s"), soil, strict=True)) | {"S_s": 1e-6},
        forcing={"head": 0.1, "bottom_head": 0.0},
        head0=lambda z: z - depth,
        times=(0.0, end / 2, end),
        depths=(),
        level=theta_r + 0.8 * (theta_s - theta_r),
        cells=(small[0], 200),
        tolerances={"inflow": inflow, "front": front, "published": 1e-2},
        grids=grids,
        rtols=(),
        small_factor=small[1],
        small_rtol=1e-7,
        rtol=1e-7,
        expected=1.0,
    )


# The front in sand stays within two cells on any of these grids: there is no order to be seen.
MILLER = {
    "sand": _miller("miller_sand", 10.0, 0.18, (0.093, 0.301, 5.47, 4.264, 5.04), 4e-3, 1e-2, (200, 1.0), ()),
    "loam": _miller("miller_loam", 5.0, 2.25, (0.078, 0.43, 3.6, 1.56, 0.25), grids=(100, 200, 400)),
    "clay loam": _miller("miller_clay_loam", 2.0, 1.0, (0.095, 0.41, 1.9, 1.31, 0.062)),
}
