"""Aquifers at random corners of the usual ranges: dry and flooded starts, droughts, floods, and nothing at all.

    python benchmarks/aquifer_corners.py --count 200 --engine sundials

Every member has each parameter at one end of its usual range, and a start and weather drawn for it. It must end with all
states within their bounds, or with a status that says why not; nothing is clipped, and water balances to rounding. Solutes go with
the water (`SoluteAquifer`): no concentration may fall below zero.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.groundwater import Drain, Evapotranspiration, Recharge, River, Well

THICKNESS, TOP = (6.0, 10.0), 16.0
# Recharge (m/d), evapotranspiration (m/d), stage of the river (m), rate of each well (m3/d) in three times.
WEATHER = {
    "drought": ([0.0] * 3, [0.01] * 3, [1.0] * 3, [-100.0] * 3),
    "flood": ([0.0, 0.1, 0.0], [0.002] * 3, [4.0, 18.0, 4.0], [-20.0, 0.0, 50.0]),
    "nothing": ([0.0] * 3, [0.0] * 3, [4.0] * 3, [0.0] * 3),
}
TIMES = [0.0, 5.0, 20.0, 200.0]
KINDS = ("confined", "unconfined", "convertible")
BROUGHT, BELOW = 1.0, 1e-5  # concentration of all that comes in (kg/m3), and what the tolerance may take it below zero
# Ranges of what has none of its own: a river's bed and a drain as they are usual (m2/d, m).
BOUNDARIES = {
    "river_conductance": (1.0, 1e4),
    "river_bed": (2.0, 12.0),
    "drain_conductance": (1.0, 1e4),
    "drain_elevation": (8.0, 15.0),
    "evapotranspiration_surface": (14.0, 16.0),
    "evapotranspiration_depth": (0.1, 10.0),
}


def model_of(kind: str) -> dg.Model:
    """Two layers of the kind, of 3 x 4 cells; the lower one is confined unless it is the kind of all."""
    grid = dg.raster((2, 3, 4), (80.0, 100.0), layers=list(THICKNESS))
    river, wells, drains = [(1, row, 0) for row in range(3)], [(0, 1, 2), (1, 2, 3)], [(0, 0, 3)]
    conditions = [River(river), Well(wells), Drain(drains), Recharge(), Evapotranspiration()]
    return dg.models.SoluteAquifer(grid, kind, top=TOP, boundaries=conditions)  # type: ignore[arg-type]


def corners(model: dg.Model, count: int, random: np.random.Generator) -> dict[str, torch.Tensor]:
    """One end of the range of every parameter for each member, `(count, 1)`."""
    ranges = {p.name: p.typical or BOUNDARIES.get(p.name) for p in model.parameters}
    values = {k: torch.from_numpy(random.choice(r, (count, 1))) for k, r in ranges.items() if r is not None}
    values["longitudinal_dispersivity"] = torch.from_numpy(random.choice([0.1, 100.0], (count, 1)))
    values["porosity"] = torch.from_numpy(random.choice([0.36, 0.6], (count, 1)))
    return values


def run(kind: str, count: int, engine: str, seed: int) -> Counter[str]:
    """Solves all members; statuses of those that ended early, and counts of what was out of bounds."""
    random = np.random.default_rng(seed)
    model = model_of(kind)
    weather = [WEATHER[name] for name in random.choice([*WEATHER], count)]
    series = [torch.tensor([w[k] for w in weather])[..., None] for k in range(4)]
    forcing = dict(zip(("recharge_rate", "evapotranspiration_rate", "river_stage", "well_rate"), series, strict=True))
    forcing |= {f"{name}_concentration": torch.full((count, 3, 1), BROUGHT) for name in ("river", "well", "recharge")}
    start = random.choice([TOP - sum(THICKNESS) + 1e-3, 8.0, TOP + 1.0], (count, 1))
    sol = dg.solve(
        model,
        corners(model, count, random),
        forcing=forcing,
        times=TIMES,
        initial={"head": torch.from_numpy(start).expand(count, model.graph.cells)},
        engine=engine,
        throw=False,
        rtol=1e-6,
        atol=1e-8,
    )
    found: Counter[str] = Counter()
    failed = torch.tensor([not ok for ok in sol.ok.tolist()])
    for status in sol.status:
        found[str(status)] += 1
    good = ~failed
    for unit, closure in sol.balances.items():
        moved = sum(sol.fluxes[f.name].abs().flatten(1).sum(1) for f in model.fluxes if f.unit == unit and f.balance)
        wrong = closure[good] > 1e-9 * (1.0 + moved + sol.storages[unit].abs().amax(1))[good]
        found[f"balance of {unit} open"] += int(wrong.sum())
    if kind != "confined":
        found["owes water"] += int((sol.outputs["saturation"][good].flatten(1).amin(1) < -1e-3).sum())
    c = sol.outputs["concentration"][good].flatten(1)
    found["concentration below 0"] += int((c.amin(1) < -BELOW).sum())
    return found


def main(count: int, engine: str, seed: int = 0) -> dict[str, Counter[str]]:
    torch.set_default_dtype(torch.float64)
    found = {}
    for kind in KINDS:
        began = time.process_time()
        found[kind] = run(kind, count, engine, seed)
        told = ", ".join(f"{k} {v}" for k, v in found[kind].items() if v)
        print(f"{kind}, {count} members, {engine}, {time.process_time() - began:.1f} s: {told}", flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    main(asked.count, asked.engine, asked.seed)
