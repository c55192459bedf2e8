"""EXP-HYDRO whose evaporation and discharge are networks within its equations, learnt from daily runoff.

    python examples/learnt_processes.py

After Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26: snow and balances stay as they are; what leaves the store of water is
left to two networks. The runoff to learn from is that of EXP-HYDRO itself, so that no data are needed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn

import pydiffgeo as dg
from pydiffgeo.processes.evaporation import hamon
from pydiffgeo.processes.snow import degree_day_melt, partition


def perceptron(*widths: int) -> nn.Sequential:
    """Layers of these widths with tanh between them, the last one linear; doubles."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(*widths[-2:])).double()


def exphydro_with_networks(evaporation: nn.Module, discharge: nn.Module) -> dg.Model:
    """EXP-HYDRO with networks of snow, water and weather, each over its usual size.

    Args:
        evaporation: three features (snow, water, temperature) to the logit of actual over potential evaporation.
        discharge: two features (water, precipitation) to the logarithm of discharge in mm/d.
    """
    plain = dg.models.ExpHydro()

    def source(cell, forcing):
        snow, water = cell.snow_storage, cell.water_storage
        rainfall, snowfall = partition(forcing.precipitation, forcing.temperature, cell.T_min)
        melt = degree_day_melt(snow, forcing.temperature, cell.D_f, cell.T_max)
        demand = hamon(forcing.temperature, forcing.daylength)
        # Nothing leaves an empty store, whatever a network says.
        wet = 1 - torch.exp(-torch.relu(water) / 5.0)
        share = torch.sigmoid(cell.evaporation(snow / 100, water / 500, forcing.temperature / 10))
        evapotranspiration = wet * demand * share
        runoff = wet * torch.exp(cell.discharge(water / 500, forcing.precipitation / 10))
        return {
            "snow_storage": snowfall - melt,
            "water_storage": rainfall + melt - evapotranspiration - runoff,
            "precipitation": snowfall + rainfall,
            "evapotranspiration": evapotranspiration,
            "runoff": runoff,
        }

    return replace(
        plain,
        name="ExpHydroWithNetworks",
        parameters=tuple(p for p in plain.parameters if p.name in ("D_f", "T_max", "T_min")),
        fluxes=tuple(q for q in plain.fluxes if q.name in ("precipitation", "evapotranspiration", "runoff")),
        source=source,
        networks={"evaporation": evaporation, "discharge": discharge},
        reference="Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26",
    )


def main(years: int = 3, steps: int = 60, engine: str = "auto") -> dict[str, float]:
    """Prints how training goes; returns the Nash-Sutcliffe efficiency before and after."""
    random, n = np.random.default_rng(1), 365 * years
    season = np.cos(2 * np.pi * (np.arange(n) + 80) / 365)
    forcing = {
        "precipitation": random.gamma(0.25, 14.0, n),
        "temperature": 6.0 - 11.0 * season + random.normal(0.0, 3.0, n),
        "daylength": 12.0 - 3.0 * season,
    }
    question = {
        "forcing": forcing,
        "times": np.arange(n + 1.0),
        "initial": {"water_storage": 300.0},
        "engine": engine,
        "rtol": 1e-4,
        "atol": 1e-4,
    }
    true = {"f": 0.03, "S_max": 400.0, "Q_max": 20.0}
    observed = dg.solve(dg.models.ExpHydro(), true, **question).fluxes["runoff"]

    torch.manual_seed(0)
    layer = dg.Layer(exphydro_with_networks(perceptron(3, 16, 16, 1), perceptron(2, 16, 16, 1)), **question)
    optimiser, scores = torch.optim.Adam(layer.parameters(), lr=0.02), []
    for step in range(steps):
        optimiser.zero_grad()
        runoff = layer().fluxes["runoff"]
        efficiency = dg.losses.nse(runoff[60:], observed[60:])
        (1 - efficiency).backward()
        optimiser.step()
        scores.append(efficiency.item())
        if step % 10 == 0 or step == steps - 1:
            print(f"step {step:3}: NSE {scores[-1]:.3f}")
    return {"before": scores[0], "after": max(scores)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    main(engine=parser.parse_args().engine)
