"""Soil columns that are hard to solve: what weather, soils and parameter networks make of one sooner or later.

Soils are those of Carsel and Parrish 1988, Water Resour. Res. 24, table 3. `python tests/helpers/hard.py ENGINE` prints what
each case takes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg

SOILS = {
    "sand": {"theta_r": 0.045, "theta_s": 0.43, "alpha": 14.5, "n": 2.68, "K_s": 7.128},
    "loam": {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496},
    "clay": {"theta_r": 0.068, "theta_s": 0.38, "alpha": 0.8, "n": 1.09, "K_s": 0.048},
    # Sorted so evenly that it holds no water at all a metre above where it is wet.
    "gravel": {"theta_r": 0.065, "theta_s": 0.43, "alpha": 1.6, "n": 5.3, "K_s": 8.1},
}
CELLS = 40


@dataclass(frozen=True)
class Hard:
    """A column, the weather it meets, and the head it starts from."""

    column: Callable[[], dg.Model]
    soil: tuple[str, ...]  # layers of equal thickness, from the top
    times: Any
    forcing: dict[str, Any]
    head: float
    rtol: float = 1e-6

    def solve(self, engine: str, **settings: Any) -> tuple[dg.Solution, dict[str, torch.Tensor]]:
        """The solution, and the parameters, which require gradients."""
        parameters = {k: v.requires_grad_() for k, v in self.parameters().items()}
        solution = dg.solve(
            self.column(),
            parameters,
            forcing={k: torch.as_tensor(v) for k, v in self.forcing.items()},
            initial={"head": self.head},
            times=self.times,
            engine=engine,
            rtol=self.rtol,
            atol=self.rtol / 100,
            **settings,
        )
        return solution, parameters

    def parameters(self) -> dict[str, torch.Tensor]:
        layer = np.arange(CELLS) * len(self.soil) // CELLS
        values = {k: np.array([SOILS[s][k] for s in self.soil])[layer] for k in SOILS["sand"]}
        return {k: torch.from_numpy(v) for k, v in values.items()} | {
            "S_s": torch.full((CELLS,), 1e-5, dtype=torch.float64)
        }


def column(depth: float = 1.0, **choices: Any) -> Callable[[], dg.Model]:
    return lambda: dg.models.RichardsColumn(depth, CELLS, **{"top": "atmosphere", **choices})


def weather(precipitation: Any, evaporation: Any, transpiration: Any = None) -> dict[str, Any]:
    given = {"precipitation": precipitation, "potential_evaporation": evaporation}
    return given | ({} if transpiration is None else {"potential_transpiration": transpiration})


def five_days(
    soils: tuple[str, ...], rain: list[float], evaporation: list[float], head: float, *rtol: float, **choices: Any
) -> Hard:
    return Hard(column(**choices), soils, np.arange(6.0), weather(rain, evaporation), head, *rtol)


def showers(days: int) -> dict[str, Any]:
    """Days with and without showers, and evaporation that follows the season."""
    random, day = np.random.default_rng(0), np.arange(days)
    rain = np.where(random.random(len(day)) < 0.3, random.exponential(0.012, len(day)), 0.0)
    demand = 0.003 * (1 + 0.8 * np.sin(2 * np.pi * day / 365))
    return weather(rain, 0.4 * demand, 0.6 * demand)


WETTING = weather([0.05, 0.02, 0.0, 0.1], [0.0, 0.002, 0.005, 0.0])
MONTHS, JUMPS = 150, 60
DOWNPOUR = np.arange(JUMPS) % 10 == 3

HARD = {
    "very dry sand": Hard(column(), ("sand",), np.arange(5.0), WETTING, -1e5),
    "very dry loam": Hard(column(), ("loam",), np.arange(5.0), WETTING, -1e5),
    "very dry clay": Hard(column(), ("clay",), np.arange(5.0), WETTING, -1e5, 1e-5),
    "drier than the curve": Hard(
        column(top="head"), ("gravel",), [0.0, 0.01, 0.5, 1.0], {"head": [-0.5, -3.0, -0.1]}, -1e5, 1e-4
    ),
    "ponding on clay above rock": five_days(
        ("clay",), [0.2, 0.5, 0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 0.005, 0.005], -2.0, bottom="no_flow", max_ponding=0.01
    ),
    "loam filled to the surface": five_days(
        ("loam",), [0.2, 1.0, 0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 0.005, 0.005], -1.0, bottom="no_flow", max_ponding=0.05
    ),
    "head on dry sand": Hard(column(top="head"), ("sand",), [0.0, 0.02, 0.05], {"head": [0.0, 0.0]}, -10.0, 1e-5),
    "sharp front in coarse sand": Hard(
        column(top="flux"), ("sand",), [0.0, 0.05, 0.1, 1.0], {"flux": [5.0, 5.0, 0.0]}, -100.0
    ),
    "clay over sand": five_days(
        ("clay", "sand", "sand"),
        [0.05, 0.3, 0.0, 0.0, 0.6],
        [0.0, 0.0, 0.006, 0.006, 0.0],
        -5.0,
        1e-5,
        max_ponding=0.02,
    ),
    "sand over clay": five_days(
        ("sand", "clay"), [0.05, 0.6, 0.0, 0.0, 0.6], [0.0, 0.0, 0.006, 0.006, 0.0], -5.0, 1e-5, max_ponding=0.02
    ),
    "forcing that jumps": Hard(
        column(),
        ("loam",),
        np.arange(JUMPS + 1) * 0.02,
        weather(np.where(DOWNPOUR, 2.0, 0.0), np.where(DOWNPOUR, 0.0, 0.01)),
        -3.0,
    ),
    **{
        f"months without rain on {soil}": Hard(
            column(2.0, root_depth=0.3),
            (soil,),
            np.arange(MONTHS + 1.0),
            weather(np.zeros(MONTHS), np.full(MONTHS, 0.004), np.full(MONTHS, 0.006)),
            -0.5,
            *tolerance,
        )
        for soil, tolerance in (("loam", ()), ("sand", (1e-4,)))
    },
    "ten years": Hard(column(2.0, root_depth=0.3), ("loam",), np.arange(3653.0), showers(3652), -2.0, 1e-4),
    "showers on clay": Hard(column(2.0, root_depth=0.3), ("clay",), np.arange(31.0), showers(30), -2.0, 1e-4),
}


def main(engine: str = "auto") -> None:
    """Prints the seconds of solve and gradient, the balance, and what was fallen back on."""
    print(f"{'':28} {'rtol':>6} {'solve':>8} {'gradient':>9} {'balance':>9}")
    for name, case in HARD.items():
        started = time.perf_counter()
        solution, parameters = case.solve(engine)
        solved = time.perf_counter()
        torch.autograd.grad(solution.states["theta"][-1].sum(), list(parameters.values()))
        ended = time.perf_counter()
        print(
            f"{name:28} {case.rtol:6.0e} {solved - started:6.1f} s {ended - solved:7.1f} s {float(solution.balance):7.0e} m",
            *(f"{k}: {v}" for k, v in solution.stats.items() if k.endswith("fallbacks") and v),
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
