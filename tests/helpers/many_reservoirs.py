"""Reservoirs to be calibrated in several processes: what workers are sent must be found by its name there."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import pydiffgeo as dg
from pydiffgeo.calibration import CalibrationResult, Site, Strategy, calibrate
from pydiffgeo.errors import SolverError

SITES = ("one", "two", "dry/2", "three")
STRATEGY = Strategy(candidates=4, starts=2, finalists=2, steps=4, method="bfgs")
DAYS = 40


def outflow(cell: Any, forcing: Any) -> dict[str, Any]:
    return {"storage": forcing.rain - cell.k * cell.storage, "out": cell.k * cell.storage}


MODEL = dg.Model(
    name="Reservoir",
    graph=dg.single_cell(2.0),
    states=(dg.State("storage", "mm", "water", default=3.0),),
    parameters=(dg.Parameter("k", "d-1", "outflow per storage", 0.5, low=0.0, typical=(0.1, 0.9)),),
    forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
    fluxes=(dg.IntegratedFlux("out", "mm", "outflow", -1),),
    source=outflow,
)


def made(name: str, k: float = 0.3) -> Site:
    """A site whose outflow is that of `k`; of "dry/2" no step can be solved, as it may take but one."""
    random = np.random.default_rng([*name.encode()])
    rain, times = random.gamma(0.5, 5.0, DAYS), np.arange(DAYS + 1.0)
    settings: dict[str, Any] = {"engine": "sundials", "rtol": 1e-6, "atol": 1e-6}
    run = dg.solve(MODEL, {"k": k}, forcing={"rain": rain}, times=times, **settings)
    windows = np.stack([times[:-1], times[1:]], axis=1)
    seen = dg.observe.Observation("out", "flux_mean", windows, run.fluxes["out"], error=0.1)
    if name == "dry/2":
        settings["max_steps"] = 1
    return Site(name, MODEL, times, {"rain": rain}, (seen,), {"k": None}, loss="mse", settings=settings)


@cache
def calibrated_here() -> CalibrationResult:
    return calibrate([made(n) for n in SITES], STRATEGY, progress=False)


def sleeps(thing: tuple[str, int, bool]) -> int:
    """Leaves a mark, and kills its process the first time if it is to."""
    folder, number, kills = thing
    marks = [p for p in Path(folder).iterdir() if p.name.startswith(f"{number}-")]
    (Path(folder) / f"{number}-{len(marks)}").touch()
    time.sleep(0.05)
    if kills and not marks:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dies(number: int) -> int:
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fails(number: int) -> float:
    if number == 2:
        raise SolverError("no number two", solution=threading.Lock())
    return 1 / number
