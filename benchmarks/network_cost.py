"""What a network inside a model costs: EXP-HYDRO of ten years daily, plain and with a network of 4-16-16-2 within.

    python benchmarks/network_cost.py [--engine julia] [--years 10] [--rtol 1e-3] [--wide]

The network sees both stores, temperature and precipitation, and multiplies evapotranspiration and runoff by factors; its last
layer is zero at first, so that both models have the same solution. Prints processor seconds of loss and gradient (the
least of the rounds, both in turns), steps, their ratios, and the seconds to the first result of each in this process, the
plain model first. `--wide` takes 4-64-64-2, with 4,610 weights instead of 386.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

import pydiffgeo as dg
from pydiffgeo.model import Place, Values


def perceptron(width: int) -> nn.Sequential:
    """4-width-width-2 with tanh, whose output is zero; doubles."""
    layers = nn.Sequential(
        nn.Linear(4, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2)
    ).double()
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return layers


def with_network(network: nn.Module) -> dg.Model:
    """EXP-HYDRO with factors of evapotranspiration and runoff from a network."""
    plain = dg.models.ExpHydro()

    def source(cell: Place, forcing: Place) -> Values:
        rates = plain.source(cell, forcing)
        features = (
            cell.snow_storage / 100,
            cell.water_storage / 1000,
            forcing.temperature / 10,
            forcing.precipitation / 20,
        )
        wetter, quicker = (torch.exp(factor) for factor in cell.factors(*features))
        evapotranspiration, runoff = wetter * rates["evapotranspiration"], quicker * rates["runoff"]
        more = evapotranspiration - rates["evapotranspiration"] + runoff - rates["runoff"]
        changed = {"evapotranspiration": evapotranspiration, "runoff": runoff}
        return {**rates, **changed, "water_storage": rates["water_storage"] - more}

    return replace(plain, name="ExpHydroWithNetwork", source=source, networks={"factors": network})


def weather(days: int) -> dict[str, Tensor]:
    """Rain on three days of ten, and the seasons of a temperate place."""
    rng, day = np.random.default_rng(0), np.arange(days)
    season = np.sin(2 * np.pi * (day - 100) / 365.25)
    rain = np.where(rng.random(days) < 0.3, rng.exponential(9.0, days), 0.0)
    series = {
        "precipitation": rain,
        "temperature": 8 + 12 * season + rng.normal(0, 3, days),
        "daylength": 12 + 3 * season,
    }
    return {name: torch.from_numpy(values) for name, values in series.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="julia")
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wide", action="store_true")
    asked = parser.parse_args()
    torch.manual_seed(0)
    network = perceptron(64 if asked.wide else 16)
    days = round(365.25 * asked.years)
    forcing = weather(days)
    weights = list(network.parameters())
    f = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
    models = {"plain": dg.models.ExpHydro(), "network": with_network(network)}
    steps: dict[str, int] = {}

    def loss_and_gradient(name: str) -> None:
        sol = dg.solve(
            models[name],
            {"f": f, "S_max": 800.0, "Q_max": 20.0},
            times=range(days + 1),
            forcing=forcing,
            initial={"snow_storage": 0.0, "water_storage": 600.0},
            engine=asked.engine,
            rtol=asked.rtol,
            atol=asked.rtol,
        )
        runoff = sol.fluxes["runoff"]
        torch.autograd.grad(
            (runoff - runoff.detach() - 1).square().mean(), [f, *(weights if name == "network" else ())]
        )
        steps[name] = sum(sol.stats["steps"])

    first: dict[str, float] = {}
    for name in models:
        started = time.perf_counter()
        loss_and_gradient(name)
        first[name] = time.perf_counter() - started
    least = dict.fromkeys(models, np.inf)
    for _ in range(asked.rounds):
        for name in models:
            started = time.process_time()
            loss_and_gradient(name)
            least[name] = min(least[name], time.process_time() - started)
    print(f"{sum(w.numel() for w in weights)} weights, {asked.years} years, rtol {asked.rtol:g}, engine {asked.engine}")
    for name in models:
        print(f"{name:8} {least[name]:.4f} s, {steps[name]} steps; first result after {first[name]:.2f} s")
    print(
        f"network / plain: {least['network'] / least['plain']:.2f}; first result {first['network'] - first['plain']:+.2f} s"
    )


if __name__ == "__main__":
    main()
