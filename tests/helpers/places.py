"""Small solutions with a place for everything, as results: a column with probes, an aquifer with wells, a river with gauges."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.groundwater import GivenHead, Recharge, Well

ACTIVE = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]], bool)


@lru_cache(maxsize=1)
def column() -> xr.Dataset:
    """Ten cells under rain, with two probes, of which one reads 0.01 too much, seen by the model."""
    model = dg.models.RichardsColumn(depth=1.0, cells=10, top="atmosphere")
    forcing = {"precipitation": [0.02, 0.0, 0.01, 0.0, 0.0], "potential_evaporation": 0.003}
    sol = dg.solve(model, initial={"head": -1.0}, forcing=forcing, times=range(6), engine="sundials")
    data = dg.io.solution_dataset(sol, start="2001-05-01")
    seen = data["theta"].values[1:, [1, 4]]
    data = data.assign_coords(
        probe_depth=("probe", [0.15, 0.45], {"units": "m"}), when=("when", data["time"].values[1:])
    )
    data["theta_simulated"] = (("when", "probe"), seen, {"units": "1"})
    data["theta_observed"] = (("when", "probe"), seen - [0.0, 0.01], {"units": "1"})
    return data


@lru_cache(maxsize=1)
def aquifer() -> xr.Dataset:
    """Eleven cells in two zones between two given heads, with a well, and a level read 0.5 m too low."""
    grid = dg.raster((1, 3, 4), (100.0, [50.0, 100.0, 100.0, 150.0]), layers=20.0, active=ACTIVE)
    sides = [GivenHead([(0, r, 0) for r in range(3)], "river"), GivenHead([(0, 0, 3), (0, 1, 3)], "lake")]
    model = dg.models.Aquifer(grid, "unconfined", top=20.0, boundaries=[*sides, Well([(0, 1, 2)], "pump"), Recharge()])
    K = torch.tensor([5.0] * 6 + [20.0] * 5, dtype=torch.float64)
    forcing = {"river_head": 10.0, "lake_head": 12.0, "pump_rate": -200.0, "recharge_rate": 1e-3}
    sol = dg.solve(model, {"K": K}, initial={"head": 11.0}, forcing=forcing, times=[0, 5, 20, 50], engine="sundials")
    data = dg.io.solution_dataset(sol)
    level = data["head"].values[1:, 5]
    about = {"units": "m", "quantity": "head", "use": "train", "cell": 5}
    data = data.assign_coords(head_0_when=("head_0_when", data["time"].values[1:], {"units": "d"}))
    data["head_0_observed"] = ("head_0_when", level - 0.5, {**about, "long_name": "head at P1, observed"})
    data["head_0_simulated"] = ("head_0_when", level, {**about, "long_name": "head at P1, simulated"})
    return data


@lru_cache(maxsize=1)
def river() -> xr.Dataset:
    """Four reaches: "a" and "b" join in "c", of which "d" follows."""
    reaches = {"id": ["a", "b", "c", "d"], "downstream": ["c", "c", "d", None], "length": [1e3, 3e3, 2e3, 2e3]}
    model = dg.models.River({**reaches, "slope": [1e-2, 2e-3, 1e-3, 1e-3]})
    flow = torch.tensor([[1.0, 2.0, 0.1, 0.1], [4.0, 1.0, 0.2, 0.1]], dtype=torch.float64)
    sol = dg.solve(model, forcing={"lateral_inflow": flow}, times=range(3), engine="sundials")
    return dg.io.solution_dataset(sol, start="2001-05-01")


KINDS = {"column": column, "aquifer": aquifer, "river": river}
