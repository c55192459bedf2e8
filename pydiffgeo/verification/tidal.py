"""An aquifer at an estuary that MODFLOW 6 has solved, with its time steps extrapolated to zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..groundwater import Evapotranspiration, GeneralHead, Recharge, River, Well
from ..model import TimeSeries, raster
from ..models import Aquifer
from .aquifers import MODFLOW, everywhere
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, modflow

TIDAL_K, TIDAL_DOWN = (5.0, 0.1, 4.0), (0.5, 0.005, 0.1)
# From day, rate of each well but the two that have series.
SCHEDULE = ((1.0, (-50.0, 0.0, 0.0)), (11.0, (0.0, 0.0, 0.0)), (21.0, (-10.0, -20.0, -40.0)))
STEPWISE, LINEAR = (
    ("river_stage_2", "rch_1", "well_1_rate", "well_2_rate"),
    ("tides", "river_stage_1", "rch_2", "rch_3"),
)


def _mean_of_the_first_day(name: str) -> float:
    t, x = modflow("tidal")[f"series_{name}"]
    ends = np.unique(np.concatenate([t[t < 1.0], [0.0, 1.0]]))
    if name in STEPWISE:
        return float((np.diff(ends) * x[np.searchsorted(t, ends[:-1], side="right") - 1]).sum())
    nodes = np.interp(ends, t, x)
    return float((np.diff(ends) * 0.5 * (nodes[1:] + nodes[:-1])).sum())


def _series(name: str, end: float, shares: NDArray[Any] | float = 1.0) -> TimeSeries:
    """From the first day on; at several places their shares of it."""
    t, x = modflow("tidal")[f"series_{name}"]
    nodes = np.unique(np.concatenate([t[(t > 1.0) & (t < end)], [1.0, end]]))
    values = x[np.searchsorted(t, nodes[:-1], side="right") - 1] if name in STEPWISE else np.interp(nodes, t, x)
    values = values[:, None] * shares if np.ndim(shares) else values * shares
    return TimeSeries(nodes, torch.from_numpy(values), "constant" if name in STEPWISE else "linear")


def _rates(end: float) -> TimeSeries:
    own = [modflow("tidal")[f"series_{name}"] for name in ("well_1_rate", "well_2_rate")]
    days = [t for t, _ in SCHEDULE]
    nodes = np.unique(np.concatenate([days, *(t for t, _ in own)]))
    nodes = np.append(nodes[(nodes >= 1.0) & (nodes < end)], end)

    def at(t: float) -> list[float]:
        plain = SCHEDULE[int(np.searchsorted(days, t, side="right")) - 1][1]
        return [*plain, *(float(x[np.searchsorted(s, t, side="right") - 1]) for s, x in own)]

    return TimeSeries(nodes, torch.tensor([at(float(t)) for t in nodes[:-1]]))


def tidal(bench: Bench) -> Outcome:
    """An estuary's tides, two rivers that share cells, recharge in zones and segmented evapotranspiration, from a steady start."""
    data, end = modflow("tidal"), bench.pick(2.0, 31.0)
    grid = raster((3, 15, 10), (500.0, 500.0), layers=[45.0, 15.0, 90.0])
    sea = [(layer, row, 9) for layer in (1, 2) for row in range(15)]
    wells = [(0, 11, 2), (0, 2, 4), (0, 13, 5), (2, 4, 7), (2, 3, 2)]
    conditions: list[Any] = [GeneralHead(sea, "sea"), Well(wells)]
    conditions += [River(data[f"river_{k}"], f"river_{k}") for k in (1, 2)]
    conditions += [Recharge(data[f"recharge_{k}"], f"recharge_{k}") for k in (1, 2, 3)]
    conditions.append(Evapotranspiration(segments=((0.2, 0.3), (0.5, 0.1))))
    kinds = ("convertible", "confined", "confined")
    model = Aquifer(grid, kinds, top=50.0, upstream=False, boundaries=conditions)  # type: ignore[arg-type]
    K, down = (torch.tensor(v).repeat_interleave(150) for v in (TIDAL_K, TIDAL_DOWN))
    values: dict[str, float | Tensor] = {"K": K, "vertical_anisotropy": down / K, "S_s": 1e-6, "S_y": 0.2}
    values |= {"sea_conductance": torch.tensor([15.0] * 15 + [1500.0] * 15)}
    values |= {
        f"river_{k}_{n}": torch.from_numpy(data[f"river_{k}_{n}"]) for k in (1, 2) for n in ("conductance", "bed")
    }
    values |= {"evapotranspiration_surface": 50.0, "evapotranspiration_depth": 10.0}
    shares = {k: data[f"recharge_{k}_share"] for k in (1, 2, 3)}
    first = {"sea_head": _mean_of_the_first_day("tides"), "well_rate": 0.0, "evapotranspiration_rate": 4e-4}
    first |= {f"river_{k}_stage": _mean_of_the_first_day(f"river_stage_{k}") for k in (1, 2)}
    fields = {f"recharge_{k}_rate": torch.from_numpy(_mean_of_the_first_day(f"rch_{k}") * shares[k]) for k in (1, 2, 3)}
    before = bench.steady(model, values, {**first, **fields}, {"head": 35.0})
    forcing: dict[str, Any] = {
        "sea_head": _series("tides", end),
        "well_rate": _rates(end),
        "evapotranspiration_rate": 4e-4,
    }
    forcing |= {f"river_{k}_stage": _series(f"river_stage_{k}", end) for k in (1, 2)}
    forcing |= {f"recharge_{k}_rate": _series(f"rch_{k}", end, shares[k]) for k in (1, 2, 3)}
    times = data["times"][data["times"] <= end]
    start = {"head": before.outputs["head"].detach()}
    sol = bench.solve(model, values, forcing=forcing, times=times, initial=start, rtol=1e-6, atol=1e-10)
    heads, expected = grid.on_grid(sol.outputs["head"]).numpy(), data["heads"][: len(times)]
    source = f"{MODFLOW}, extrapolated to steps of zero; known to 4e-4 m"

    def worst(k: int) -> Check:
        only = everywhere("", "m", heads[k], expected[k], 0.0)
        return check(f"head after {times[k]:g} d", "m", only.at, only.computed, only.expected, 2e-3, source)

    checks = (everywhere("head, steady start", "m", heads[0], expected[0], 1e-4), *map(worst, range(1, len(times))))
    lines = [Line(times, heads[:, 1, 7, 9], "at the estuary"), Line(times, expected[:, 1, 7, 9], "", "points")]
    panel = Panel("time (d)", "head (m); points: MODFLOW, extrapolated", lines)
    return Outcome(checks, balance_of(sol, 1e-7), panels=(panel,))
