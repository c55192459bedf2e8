"""Makes the data of the configurations in this folder: what instruments would have seen of known values, with errors.

    python make_data.py

True are K_s .6 and .08 m/d, alpha 5 and 2 1/m (column), K 4 and 25 m/d, S_y .12 (aquifer), n .06 and .035 (river), K 12 m/d
and specific yield .15 (own model).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hillslope import Hillslope

import pydiffgeo as dg
from pydiffgeo.groundwater import GivenHead, Recharge, River, Well

HERE = Path(__file__).parent
RANDOM = np.random.default_rng(7)
ENGINE = {"engine": "sundials", "rtol": 1e-7, "atol": 1e-8}


def write(name: str, head: str, rows) -> None:
    lines = [",".join(f"{v:.5g}" if isinstance(v, float) else str(v) for v in row) for row in rows]
    (HERE / name).write_text("\n".join([head, *lines] if head else lines) + "\n")


def write_grid(name: str, values: np.ndarray) -> None:
    rows, columns = values.shape
    head = f"ncols {columns}\nnrows {rows}\nxllcorner 0\nyllcorner 0\ncellsize 100\nNODATA_value -9999\n"
    (HERE / name).write_text(head + "\n".join(" ".join(f"{v:g}" for v in row) for row in values) + "\n")


def dates(first: str, count: int, hours: int = 24) -> list[str]:
    """So many times from the first one on."""
    return [str(np.datetime64(first, "h") + np.timedelta64(hours * k, "h")) + ":00" for k in range(count)]


def column(days: int = 60) -> None:
    zones = np.where(np.arange(25) < 10, 1, 2)
    write("horizons.csv", "", ([int(z)] for z in zones))
    rain = np.where(RANDOM.random(days) < 0.25, RANDOM.gamma(1.5, 12.0, days), 0.0).round(1)
    demand = (3.0 + np.sin(np.arange(days) / 9.0)).round(2)
    start = dates("2020-05-01", days)
    write("weather.csv", "time,precipitation,potential_evaporation", zip(start, rain, demand, strict=True))
    sand = torch.from_numpy(zones == 1)
    values = {
        name: torch.where(sand, a, b) for name, a, b in (("K_s", 0.6, 0.08), ("alpha", 5.0, 2.0), ("n", 1.8, 1.4))
    }
    sol = dg.solve(
        dg.models.RichardsColumn(1.0, 25, top="atmosphere"),
        values,
        initial={"head": -1.0},
        forcing={
            "precipitation": torch.from_numpy(1e-3 * rain),
            "potential_evaporation": torch.from_numpy(1e-3 * demand),
        },
        times=range(days + 1),
        **ENGINE,
    )
    when = np.arange(1.0, days, 1.0)
    seen = [dg.observe.values_at(sol, "theta", when, depth=d).numpy() for d in (0.1, 0.3, 0.5, 0.8)]
    seen = [row + RANDOM.normal(0.0, 0.005, len(when)) for row in seen]
    write("probes.csv", "time,cm10,cm30,cm50,cm80", zip(start[1:], *seen, strict=True))
    weeks = np.stack([np.arange(0, days - 6, 7), np.arange(7, days + 1, 7)], 1)
    drained = 1e3 * dg.observe.flux_sums(sol, "drainage", weeks).numpy()
    drained += RANDOM.normal(0.0, 0.5, len(weeks))
    rows = (
        (start[a], (start + dates("2020-06-30", 1))[b], float(v), 0.5) for (a, b), v in zip(weeks, drained, strict=True)
    )
    write("lysimeter.csv", "start,end,value,error", rows)


def aquifer() -> None:
    rows, columns = 14, 20
    y, x = np.mgrid[0:rows, 0:columns]
    active = ((y - 6.5) / 8.5) ** 2 + ((x - 9.5) / 13.0) ** 2 < 1
    zones = np.where(x + 0.6 * y < 13, 1, 2)
    write_grid("active.asc", active.astype(int))
    write_grid("zones.asc", np.where(active, zones, -9999))
    write("wells.csv", "name,x,y", [("north", 650.0, 450.0), ("south", 1250.0, 950.0)])
    sides = [[(0, r, c) for r in range(rows) if active[r, c]] for c in (0, columns - 1)]
    conditions = [River(sides[0]), GivenHead(sides[1], "lake"), Well([(0, 4, 6), (0, 9, 12)]), Recharge()]
    grid = dg.raster((1, rows, columns), (100.0, 100.0), layers=30.0, active=active)
    model = dg.models.Aquifer(grid, "unconfined", top=30.0, boundaries=conditions)
    K = torch.from_numpy(np.where(zones == 1, 4.0, 25.0))[None]
    parameters = {"K": K, "S_y": 0.12, "river_conductance": 500.0, "river_bed": 18.0}
    rest = {"river_stage": 20.0, "lake_head": 23.0, "well_rate": 0.0, "recharge_rate": 6e-4}
    start = dg.groundwater.steady(model, parameters, initial={"head": 22.0}, forcing=rest, engine="sundials").outputs[
        "head"
    ]
    field = np.nan_to_num(grid.on_grid(start.numpy())[0], nan=20.0).round(3)
    write("start.csv", "", ([float(v) for v in row] for row in field))
    times, rates = np.array([0.0, 60.0, 120.0, 180.0]), [(0.0, 0.0), (-900.0, 0.0), (-900.0, -1200.0), (0.0, -600.0)]
    write("pumping.csv", "time,north,south", ((int(t), a, b) for t, (a, b) in zip(times, rates, strict=True)))
    rain = [0.6, 0.2, 0.9, 0.6]
    write("recharge.csv", "time,recharge", ((int(t), r) for t, r in zip(times, rain, strict=True)))
    ends = [*times, 240.0]
    sol = dg.solve(
        model,
        parameters,
        initial={"head": torch.from_numpy(field)[None]},
        forcing={
            **rest,
            "well_rate": dg.TimeSeries(ends, torch.tensor(rates, dtype=torch.float64)),
            "recharge_rate": dg.TimeSeries(ends, 1e-3 * torch.tensor(rain, dtype=torch.float64)),
        },
        times=np.arange(0.0, 241.0, 10.0),
        **ENGINE,
    )
    places = [(2, 4), (7, 3), (11, 6), (4, 8), (8, 10), (5, 13), (10, 15), (3, 16)]
    number = {grid.place(k)[1:]: k for k in range(grid.cells)}
    heads = []
    for k, place in enumerate(places, 1):
        when = np.arange(20.0, 241.0, 20.0)
        seen = dg.observe.heads(sol, when, cell=number[place]).numpy() + RANDOM.normal(0.0, 0.02, len(when))
        heads += [(int(t), f"P{k}", f"{v:.3f}") for t, v in zip(when, seen, strict=True)]
    write("heads.csv", "time,place,value", heads)


def river(days: int = 8) -> None:
    ids = ["N1", "N2", "N3", "W1", "W2", "W3", "M1", "M2", "M3", "M4", "M5", "M6"]
    below = ["N2", "N3", "M1", "W2", "W3", "M3", "M2", "M3", "M4", "M5", "M6", ""]
    length, slope = [2500.0] * 6 + [3000.0] * 6, [4e-3] * 3 + [3e-3] * 3 + [1e-3] * 6
    width, kind = [6.0] * 3 + [5.0] * 3 + [15.0] * 3 + [20.0] * 3, [1] * 6 + [2] * 6
    table = zip(ids, below, length, slope, width, kind, strict=True)
    write("reaches.csv", "id,downstream,length,slope,width,kind", table)
    steps = 4 * days
    hours = np.arange(steps) / 4
    storm = np.exp(-(((hours - 2.0) / 0.4) ** 2)) + 0.7 * np.exp(-(((hours - 5.0) / 0.6) ** 2))
    share = np.array([1.0, 0.8, 0.6, 1.2, 0.9, 0.7, *[0.3] * 6])
    inflow = 0.4 * share * (1 + 12 * storm[:, None])
    when = dates("2021-03-01", steps, 6)
    write("inflow.csv", f"time,{','.join(ids)}", ((t, *map(float, row)) for t, row in zip(when, inflow, strict=True)))
    model = dg.models.River({"id": ids, "downstream": below, "length": length, "slope": slope, "width": width})
    n = torch.tensor([0.06] * 6 + [0.035] * 6, dtype=torch.float64)
    first = {"lateral_inflow": torch.from_numpy(np.repeat(inflow[:1], 20, 0))}
    before = dg.solve(model, {"manning_n": n}, forcing=first, times=range(21), **ENGINE)
    stored = before.states["storage"][-1].numpy().round(1)
    write("stored.csv", "id,storage", zip(ids, map(float, stored), strict=True))
    flow = dg.solve(
        model,
        {"manning_n": n},
        initial={"storage": torch.from_numpy(stored)},
        forcing={"lateral_inflow": torch.from_numpy(inflow)},
        times=np.arange(steps + 1) / 4,
        **ENGINE,
    )
    rows = []
    for gauge in ("N3", "M6"):
        seen = flow.fluxes["discharge"][:, model.graph.index(gauge)].numpy() / 21600
        seen = seen + RANDOM.normal(0.0, 0.3, steps)
        rows += [(t, gauge, f"{v:.3f}") for t, v in zip(when, seen, strict=True)]
    write("gauges.csv", "time,place,value", rows)


def own_model(days: int = 120) -> None:
    rain = (RANDOM.gamma(0.2, 20.0, days) * (1 + np.cos(2 * np.pi * np.arange(days) / 120)) / 2).round(2)
    write("recharge_of_days.csv", "time,recharge", ((k, float(v)) for k, v in enumerate(rain)))
    forcing = {"recharge": torch.from_numpy(1e-3 * rain)}
    sol = dg.solve(
        Hillslope(cells=15), {"K": 12.0, "specific_yield": 0.15}, forcing=forcing, times=range(days + 1), **ENGINE
    )
    when = np.arange(1.0, days + 1)
    seen = dg.observe.heads(sol, when, cell=5).numpy() + RANDOM.normal(0.0, 0.02, days)
    write("well.csv", "time,value", ((int(t), f"{v:.3f}") for t, v in zip(when, seen, strict=True)))
    flow = sol.fluxes["baseflow"].numpy() + RANDOM.normal(0.0, 0.01, days)
    write("stream.csv", "time,value", ((k, f"{v:.4f}") for k, v in enumerate(flow)))


if __name__ == "__main__":
    column()
    aquifer()
    river()
    own_model()
