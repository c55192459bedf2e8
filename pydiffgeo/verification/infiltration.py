"""Infiltration into soil columns, against an independent code on fine grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from ..model import Model
from ..models import RichardsColumn
from ..solve import Solution
from .problem import (
    PROFILE_ORDER,
    SATURATION_ORDER,
    TOLERANCE_ORDER,
    Array,
    Bench,
    Check,
    Convergence,
    Line,
    Outcome,
    Panel,
    balance_of,
    check,
    references,
    study,
)

CM, S = 0.01, 1 / 86400.0
INDEPENDENT = "independent finite-volume code in the head form (SciPy LSODA), extrapolated from its two finest grids"
SAND = {"theta_s": 0.287, "theta_r": 0.075, "A_theta": 1.611e6 * CM**3.96, "B_theta": 3.96,
        "A_K": 1.175e6 * CM**4.74, "B_K": 4.74, "S_s": 1e-8}  # fmt: skip


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
        cells: number of cells in the small and in the full form; `grids` of the convergence study.
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
    grids: tuple[int, ...] = ()
    rtols: tuple[float, ...] = ()
    measure: str = "inflow"
    small_factor: float = 1.0
    small_rtol: float = 1e-8
    rtol: float = 1e-8
    expected: float = 2.0

    def solve(self, bench: Bench, cells: int, rtol: float = 1e-8) -> Solution:
        model = self.column(cells)
        forcing = {k: torch.full((len(self.times) - 1,), v) for k, v in self.forcing.items()}
        start = torch.from_numpy(self.head0(model.graph.coordinates["depth"]))
        return bench.solve(model, self.parameters, forcing=forcing, times=self.times, initial={"head": start},
                           rtol=rtol, atol=rtol * 1e-2)  # fmt: skip

    def fronts(self, sol: Solution) -> list[float]:
        return [front_depth(sol.model, theta, self.level) for theta in sol.states["theta"][1:].numpy()]

    def number(self, sol: Solution) -> float:
        return self.fronts(sol)[-1] if self.measure == "front" else float(sol.fluxes["infiltration"].sum())

    def run(self, bench: Bench) -> Outcome:
        known = references()[self.key]
        # The finest grid of the study is that of the comparison: it is solved once.
        solve = cache(lambda cells, rtol: self.solve(bench, cells, rtol))
        sol = solve(bench.pick(*self.cells), bench.pick(self.small_rtol, self.rtol))
        return Outcome(
            checks=tuple(self.checks(sol, known, bench.pick(self.small_factor, 1.0))),
            balance=balance_of(sol),
            convergence=() if bench.small else self.convergence(solve, known),
            panels=self.panels(sol, known),
        )

    def checks(self, sol: Solution, known: Mapping[str, Any], factor: float) -> list[Check]:
        z, head = sol.model.graph.coordinates["depth"], sol.outputs["head"].numpy()
        labels = [f"{24 * t:.3g} h" for t in self.times[1:]]
        found = []
        for what, tolerance in ((k, factor * v) for k, v in self.tolerances.items()):
            if what == "head":
                at = [f"{100 * d:g} cm" for d in self.depths]
                got = np.interp(self.depths, z, head[-1])
                found.append(check("head at the end, by depth", "m", at, got, known["head"], tolerance, INDEPENDENT))
            elif what == "front":
                expected = np.atleast_1d(known.get("fronts", known.get("front")))
                got = np.array(self.fronts(sol)[-len(expected) :])
                found.append(
                    check(f"depth of the front (theta = {self.level:.3g})", "m", labels[-len(expected) :], got,
                          expected, tolerance, INDEPENDENT, relative=True)
                )  # fmt: skip
            elif what == "published":
                flux = sol.fluxes["infiltration"].cumsum(0).numpy()
                found.append(
                    check("cumulative infiltration, against closures without rounding near saturation", "m", labels, flux,
                          known["inflow_published"], tolerance, INDEPENDENT, relative=True)
                )  # fmt: skip
            else:
                flux = sol.fluxes["infiltration" if what == "inflow" else "drainage"].cumsum(0).numpy()
                expected = np.atleast_1d(known[what])
                name = "cumulative infiltration" if what == "inflow" else "cumulative outflow"
                found.append(
                    check(name, "m", labels[-len(expected) :], flux[-len(expected) :], expected, tolerance,
                          INDEPENDENT, relative=True)
                )  # fmt: skip
        return found

    def convergence(self, solve: Callable[[int, float], Solution], known: Mapping[str, Any]) -> tuple[Convergence, ...]:
        found = []
        if self.grids:
            key = "inflow" if self.measure == "inflow" else "fronts"
            true = float(np.atleast_1d(known[key])[-1])
            sizes = {self.column(c).graph.cell["thickness"][0]: c for c in self.grids}
            found.append(
                study("space", [*sizes], lambda dz: abs(self.number(solve(sizes[dz], self.rtol)) - true), "m",
                      self.expected, 0.6 * self.expected, 2.5, PROFILE_ORDER if self.expected > 1 else SATURATION_ORDER)
            )  # fmt: skip
        if self.rtols:
            best = self.number(solve(self.cells[0], 1e-11))
            found.append(
                study("time", self.rtols, lambda rtol: abs(self.number(solve(self.cells[0], rtol)) - best),
                      "m", 1.0, 0.5, 1.6, TOLERANCE_ORDER)
            )  # fmt: skip
        return tuple(found)

    def panels(self, sol: Solution, known: Mapping[str, Any]) -> tuple[Panel, ...]:
        z, cm = sol.model.graph.coordinates["depth"], 100
        head, theta = sol.outputs["head"].numpy(), sol.states["theta"].numpy()
        moisture = [Line(row, cm * z, f"{24 * t:.3g} h") for t, row in zip(self.times, theta, strict=True)]
        expected = np.atleast_1d(known.get("fronts", known.get("front", [])))
        moisture.append(Line(np.full(len(expected), self.level), cm * expected, "expected front", "points"))
        heads = [Line(cm * row, cm * z, f"{24 * t:.3g} h") for t, row in zip(self.times, head, strict=True)]
        if "head" in known:
            heads.append(Line(cm * np.array(known["head"]), cm * np.array(self.depths), "expected", "points"))
        return (
            Panel("water content (-)", "depth (cm)", tuple(moisture), "moisture", downwards=True),
            Panel("pressure head (cm)", "depth (cm)", tuple(heads), "head", downwards=True),
        )


def uniform(head: float) -> Callable[[Array], Array]:
    return lambda depth: np.full(len(depth), head)


CELIA_1 = Infiltration(
    "celia_1",
    lambda cells: RichardsColumn(0.4, cells, top="head", bottom="head", closure="haverkamp"),
    SAND | {"K_s": 0.00944 * CM / S}, {"head": -0.207, "bottom_head": -0.615}, uniform(-0.615), (0.0, 120 * S, 240 * S, 360 * S),
    (0.05, 0.10, 0.125, 0.15, 0.20), 0.18, (160, 320),
    {"head": 2e-3, "inflow": 2e-3, "outflow": 2e-3, "front": 1e-3}, (80, 160, 320), (1e-4, 1e-5, 1e-6, 1e-7),
)  # fmt: skip
CELIA_2 = Infiltration(
    "celia_2",
    lambda cells: RichardsColumn(1.0, cells, top="head", bottom="head"),
    {"theta_r": 0.102, "theta_s": 0.368, "alpha": 3.35, "n": 2.0, "K_s": 0.00922 * CM / S, "S_s": 1e-8},
    {"head": -0.75, "bottom_head": -10.0}, uniform(-10.0), (0.0, 0.25, 0.5, 1.0),
    (0.1, 0.2, 0.3, 0.4, 0.45), 0.15, (200, 400),
    {"head": 5e-3, "inflow": 3e-3, "front": 2e-3}, (100, 200, 400), (1e-4, 1e-5, 1e-6, 1e-7),
)  # fmt: skip
HAVERKAMP = Infiltration(
    "haverkamp_sand",
    lambda cells: RichardsColumn(0.7, cells, top="flux", bottom="head", closure="haverkamp"),
    SAND | {"K_s": 34 * CM * 24}, {"flux": 13.69 * CM * 24, "bottom_head": -0.615}, uniform(-0.615),
    (0.0, 0.1 / 24, 0.2 / 24, 0.4 / 24, 0.7 / 24), (0.1, 0.2, 0.3, 0.4, 0.5), 0.18, (140, 280),
    {"head": 5e-4, "front": 1e-3, "outflow": 1e-3}, (70, 140, 280), (1e-4, 1e-5, 1e-6, 1e-7), "front",
)  # fmt: skip


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
    theta_r, theta_s, alpha, n, K_s = soil
    return Infiltration(
        key,
        lambda count: RichardsColumn(depth, count, top="head", bottom="head"),
        {"theta_r": theta_r, "theta_s": theta_s, "alpha": alpha, "n": n, "K_s": K_s, "S_s": 1e-6},
        {"head": 0.1, "bottom_head": 0.0}, lambda z: z - depth, (0.0, end / 2, end), (),
        theta_r + 0.8 * (theta_s - theta_r), (small[0], 200), {"inflow": inflow, "front": front, "published": 1e-2},
        grids, small_factor=small[1], small_rtol=1e-7, rtol=1e-7, expected=1.0,
    )  # fmt: skip


# The front in sand stays within two cells on any of these grids: there is no order to be seen.
MILLER = {
    "sand": _miller("miller_sand", 10.0, 0.18, (0.093, 0.301, 5.47, 4.264, 5.04), 4e-3, 1e-2, (200, 1.0), ()),
    "loam": _miller("miller_loam", 5.0, 2.25, (0.078, 0.43, 3.6, 1.56, 0.25), grids=(100, 200, 400)),
    "clay loam": _miller("miller_clay_loam", 2.0, 1.0, (0.095, 0.41, 1.9, 1.31, 0.062)),
}
