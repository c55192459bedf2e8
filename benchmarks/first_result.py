"""Time to the first result of a ready model in a fresh process, by stage.

    python benchmarks/first_result.py RichardsColumn ExpHydro --engine julia

Each model gets a process of its own. Times are of the processor, and on the clock in brackets.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

DAYS = 30


class Stages:
    """Prints how long it was since the stage before."""

    def __init__(self) -> None:
        self._last = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.process_time(), time.perf_counter()

    def end(self, name: str) -> None:
        now = self._now()
        print(f"  {name:32} {now[0] - self._last[0]:7.2f} s ({now[1] - self._last[1]:.2f})", flush=True)
        self._last = self._now()


def once(name: str, engine: str) -> None:
    start, stages = Stages(), Stages()
    import torch

    stages.end("PyTorch")
    import pydiffgeo as dg

    stages.end("pydiffgeo")
    if engine == "julia":
        from pydiffgeo.engines.julia import session

        usual = session._opened

        def noted(first: bool) -> tuple[str, str, int]:
            stages.end("Julia")
            return usual(first)

        # What comes between Julia's start and that of its packages.
        session._opened = noted
        session.in_julia(lambda package: None)
        stages.end("packages of Julia")
    makers: dict[str, Callable[[], dg.Model]] = {
        "RichardsColumn": lambda: dg.models.RichardsColumn(1.0, 30, top="atmosphere", root_depth=None),
        "ExpHydro": dg.models.ExpHydro,
    }
    model = makers[name]()
    wave = torch.sin(torch.arange(float(DAYS), dtype=torch.float64))
    weather = {
        "RichardsColumn": {"precipitation": 0.002 * (1 + wave), "potential_evaporation": 0.003},
        "ExpHydro": {"precipitation": 5 * (1 + wave), "temperature": 5 + 8 * wave, "daylength": 12.0},
    }[name]
    initial = {"head": torch.tensor(-2.0, dtype=torch.float64)} if name == "RichardsColumn" else None
    leaf = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    parameter = {"RichardsColumn": "K_s", "ExpHydro": "f"}[name]

    def solve(value: torch.Tensor) -> dg.Solution:
        given = {"forcing": weather, "times": range(DAYS + 1), "initial": initial, "engine": engine, "rtol": 1e-4}
        return dg.solve(model, {parameter: value}, **given)

    def of(sol: dg.Solution) -> torch.Tensor:
        return torch.stack([state.mean() for state in sol.states.values()]).sum()

    stages.end("the model")
    sol = solve(leaf.detach())
    built = sol.stats["setup_seconds"]
    stages.end("first solve: tracing, building, compiling")
    print(f"    of this on the clock: building {built:.2f} s, solving {sol.stats['forward_seconds']:.2f} s")
    loss = of(solve(leaf))
    stages.end("first solve that keeps its steps")
    loss.backward()
    stages.end("first gradient")
    of(solve(leaf)).backward()
    stages.end("solve and gradient again")
    start.end("all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["RichardsColumn", "ExpHydro"])
    parser.add_argument("--engine", default="julia")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    for name in asked.models:
        if asked.here:
            once(name, asked.engine)
        else:
            print(f"{name}, {asked.engine}", flush=True)
            subprocess.run([sys.executable, __file__, name, "--engine", asked.engine, "--here"], check=True)


if __name__ == "__main__":
    main()
