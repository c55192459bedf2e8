"""How time and memory of a gradient grow with cells, days and members, and what a second thread brings.

    python benchmarks/scaling.py [--engine julia|sundials] [--members 1000]

Soil columns of cells of 1 cm under repeated weather; loss and gradient to five parameters in every cell, the
initial water content and the daily flux. Each size runs in a process of its own: the least of three runs after a
first one that compiles, what the Julia engine keeps for the adjoint, and the peak of memory above what it was before
(of which some 20 MiB are freed space used again). Exponents are fitted to all sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import torch

import pydiffgeo as dg

LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496}
CELLS, DAYS = (50, 100, 200, 400, 800, 1600), (30, 90, 365, 1095, 3650)


def gradient(model: dg.Model, cells: int, days: int, members: int, engine: str) -> tuple[float, float]:
    """Seconds of one loss and its gradient, and MiB kept for the adjoint."""
    flux = torch.full((days,), 0.001, dtype=torch.float64)
    flux[::5] = 0.03
    # Members differ, so that their steps do.
    factor = torch.linspace(0.8, 1.2, members, dtype=torch.float64)[:, None]
    parameters = {k: (torch.full((members, cells), v, dtype=torch.float64)) for k, v in LOAM.items()}
    parameters["K_s"] = parameters["K_s"] * factor
    theta = torch.full((members, cells), 0.2, dtype=torch.float64)
    leaves = [v.requires_grad_() for v in (*parameters.values(), theta, flux)]
    started = time.perf_counter()
    sol = dg.solve(
        model,
        parameters,
        forcing={"flux": flux},
        times=np.arange(days + 1.0),
        initial={"theta": theta},
        engine=engine,
        rtol=1e-4,
        atol=1e-6,
    )
    torch.autograd.grad((sol.states["theta"][:, 1:] - 0.25).square().mean(-1).sum(), leaves)
    return time.perf_counter() - started, sol.stats.get("kept_bytes", 0.0) / 2**20


def worker(cells: int, days: int, members: int, engine: str) -> None:
    torch.set_num_threads(1)
    model = dg.models.RichardsColumn(cells / 100, cells)
    gradient(model, cells, min(days, 5), min(members, 2), engine)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = [gradient(model, cells, days, members, engine)]
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if times[0][0] < 20:
        times += [gradient(model, cells, days, members, engine) for _ in range(2)]
    print("@" + json.dumps([*min(times), memory]))


def measure(cells: int, days: int, members: int, engine: str, threads: int = 1) -> list[float]:
    """Seconds, MiB kept, and MiB of memory at the peak."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHON_JULIACALL_THREADS": str(threads)}
    if threads > 1:
        env["PYTHON_JULIACALL_HANDLE_SIGNALS"] = "yes"
    command = [sys.executable, __file__, "--worker", *map(str, (cells, days, members)), "--engine", engine]
    out = subprocess.run(command, env=env, capture_output=True, text=True)
    lines = [line for line in out.stdout.splitlines() if line.startswith("@")]
    if not lines:
        raise SystemExit(f"{' '.join(command)} failed:\n{out.stderr[-2000:]}")
    return [float(x) for x in json.loads(lines[0][1:])]


def series(what: str, sizes: tuple[int, ...], engine: str) -> None:
    print(f"\n{what:>8}{'seconds':>10}{'MiB kept':>10}{'MiB peak':>10}")
    found = []
    for size in sizes:
        cells, days = (size, 30) if what == "cells" else (50, size)
        found.append(measure(cells, days, 1, engine))
        print(f"{size:8d}{found[-1][0]:10.3f}{found[-1][1]:10.1f}{found[-1][2]:10.0f}", flush=True)
    slopes = [np.polyfit(np.log(sizes), np.log(np.maximum(column, 1e-3)), 1)[0] for column in zip(*found, strict=True)]
    print(f"exponent{slopes[0]:10.2f}{slopes[1]:10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="julia", choices=("julia", "sundials"))
    parser.add_argument("--members", type=int, default=1000, help="columns for the comparison of threads")
    parser.add_argument("--only", choices=("cells", "days", "threads"))
    parser.add_argument("--worker", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker, options.engine)
        return
    if options.only in (None, "cells"):
        series("cells", CELLS, options.engine)
    if options.only in (None, "days"):
        series("days", DAYS, options.engine)
    if options.only in (None, "threads") and options.engine == "julia":
        one, two = (measure(50, 10, options.members, options.engine, threads)[0] for threads in (1, 2))
        print(
            f"\n{options.members} columns: {one:.2f} s on one thread, {two:.2f} s on two, {one / two:.2f} times faster"
        )


if __name__ == "__main__":
    main()
