"""The head in a well from rain and evaporation: a strip of aquifer of this package, beside pastas.

    python benchmarks/wells/calibrate.py well_rain_evaporation_1982_2005.csv --peer PYTHON

Both have recharge P - f E, five values to find, and least squares without a model of the noise: here the strip has a
transmissivity, a storage and a conductance to the level that it drains to; in pastas a response function has its values.
Heads until the end of 1995 are learnt from, those after it are not. `--peer` is an interpreter that has pastas (`pip install
pastas` in an environment of its own). Seconds are those of the processor, after compilation.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.groundwater import GeneralHead, Recharge

LENGTH, CELLS = 1000.0, 6
SPLIT = date(1995, 12, 31)
# Logarithms of transmissivity (m2/d), storage (1) and conductance (m2/d), the share of evaporation, the level (m): where
# the search begins, and standard errors of that as a prior, wide beside errors of heads of 0.1 m.
BEGIN, SPREAD, ERROR = [np.log(500.0), np.log(0.1), np.log(2.0), 1.0, 27.0], [2.0, 2.0, 2.0, 1.0, 5.0], 0.1


class Well:
    """Weather of each day, and heads at the ends of some days."""

    def __init__(self, file: Path) -> None:
        rows = [*csv.DictReader(file.open())]
        days = [date.fromisoformat(r["date"]) for r in rows]
        self.rain, self.evaporation = (
            torch.tensor([float(r[k] or 0.0) / 1e3 for r in rows]) for k in ("rain_mm", "evaporation_mm")
        )
        self.at = np.array([k for k, r in enumerate(rows) if r["head_m"]])
        self.head = torch.tensor([float(rows[k]["head_m"]) for k in self.at])
        self.before = np.array([days[k] <= SPLIT for k in self.at])

    def simulated(self, x: Tensor, days: int, engine: str, rtol: float) -> Tensor:
        """Heads at the ends of the first `days` in the cell farthest from the outlet `(..., days)`, of values `(..., 5)`."""
        grid = dg.raster((1, 1, CELLS), (1.0, LENGTH / CELLS), layers=1.0)
        model = dg.models.Aquifer(grid, boundaries=(GeneralHead([0]), Recharge()))
        T, S, C, share, level = (x[..., k : k + 1] for k in range(5))
        sol = dg.solve(
            model,
            {"K": T.exp(), "S_s": S.exp(), "general_conductance": C.exp()},
            forcing={
                "recharge_rate": self.rain[:days] - share * self.evaporation[:days],
                "general_head": level.expand(*level.shape[:-1], days),
            },
            times=np.arange(days + 1.0),
            initial={"head": level},
            engine=engine,
            rtol=rtol,
            atol=1e-3 * rtol,
        )
        return sol.outputs["head"][..., 1:, -1]


def fit(well: Well, engine: str, rtol: float, steps: int = 30) -> tuple[Tensor, int, int]:
    """Levenberg's and Marquardt's steps; the values, and how many Jacobians and further solves they took."""
    begin, spread = torch.tensor(BEGIN), torch.tensor(SPREAD)
    x, damping, jacobians, solves = begin, 1e-2, 0, 0
    at, seen = torch.from_numpy(well.at[well.before]), well.head[torch.from_numpy(well.before)]
    days = int(at[-1]) + 1

    def misfit(x: Tensor) -> Tensor:
        return (well.simulated(x, days, engine, rtol)[..., at] - seen) / ERROR

    def cost(x: Tensor, r: Tensor) -> float:
        return float(r.square().sum() + ((x - begin) / spread).square().sum())

    for _ in range(steps):
        r, J = (v[0] for v in dg.jacobian(misfit, x[None]))
        jacobians += 1
        curvature, gain = J.T @ J + torch.diag(spread**-2), 0.0
        downhill = J.T @ r + (x - begin) / spread**2
        while damping < 1e8:
            step = -torch.linalg.solve(curvature + damping * torch.diag(curvature.diag()), downhill)
            with torch.no_grad():
                ahead = misfit((x + step)[None])[0]
            solves += 1
            gain = 1 - cost(x + step, ahead) / cost(x, r)
            if gain > 0:
                x, damping = x + step, damping / 10
                break
            damping *= 10
        if gain < 1e-6:
            break
    return x, jacobians, solves


def scores(error: np.ndarray, head: np.ndarray, before: np.ndarray) -> dict[str, float]:
    """Root mean squares (m) and the share of variance explained, of what was learnt from and of the rest."""
    found = {}
    for name, mask in (("training", before), ("after it", ~before)):
        found[f"rmse, {name}"] = float(np.sqrt((error[mask] ** 2).mean()))
        found[f"explained, {name}"] = float(1 - error[mask].var() / head[mask].var())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--peer", help="a Python that has pastas")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rtol", type=float, default=1e-5)
    asked = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    well = Well(asked.file)
    fit(well, asked.engine, asked.rtol, steps=1)  # compiles
    began = time.process_time()
    x, jacobians, solves = fit(well, asked.engine, asked.rtol)
    spent = time.process_time() - began
    with torch.no_grad():
        began = time.process_time()
        error = (well.simulated(x[None], len(well.rain), asked.engine, asked.rtol)[0, well.at] - well.head).numpy()
        once = time.process_time() - began
    T, S, C = (float(v) for v in x[:3].exp())
    told = f"T {T:.3g} m2/d, S {S:.3g}, conductance {C:.3g} m2/d, f {x[3]:.3f}, level {x[4]:.3f} m"
    rows = {"pydiffgeo, strip of aquifer": (error, spent, f"{jacobians} Jacobians, {solves} solves; {told}")}
    if asked.peer:
        peer = [asked.peer, str(Path(__file__).with_name("pastas_peer.py")), str(asked.file), str(SPLIT)]
        answer = json.loads(subprocess.run(peer, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        for name, own in answer["models"].items():
            values = ", ".join(f"{k.removeprefix('rch_')} {v:.3g}" for k, v in own["values"].items())
            rows[f"pastas {answer['version']}, {name}"] = (
                np.array(own["error"]),
                own["seconds"],
                f"{own['runs']} runs; {values}",
            )
    head = well.head.numpy()
    print(
        f"{len(head)} heads, {well.before.sum()} of them until {SPLIT}; one solve of {len(well.rain)} days {once:.2f} s\n"
    )
    print("| | RMSE, training | RMSE, after | explained, training | explained, after | seconds | |")
    print("|" + " --- |" * 7)
    for name, (error, seconds, remark) in rows.items():
        s = scores(error, head, well.before)
        numbers = (s["rmse, training"], s["rmse, after it"], s["explained, training"], s["explained, after it"])
        print(f"| {name} | " + " | ".join(f"{v:.4f}" for v in numbers) + f" | {seconds:.2f} | {remark} |")


if __name__ == "__main__":
    main()
