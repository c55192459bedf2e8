"""A parameter network trained over sites by several processes: PyTorch's DistributedDataParallel, on processors (gloo).

    torchrun --nproc-per-node 2 examples/data_parallel.py

Each process solves its share of the sites of a step and differentiates it; the gradients are averaged over all, so that every
process makes the step that one process with all the sites would make, to round-off. Shares need not be of one size, and sites
that cannot be solved do not stop the others. Started by itself (`python examples/data_parallel.py`), one process has all sites.

Under Lightning the same comes from `Trainer(strategy="ddp", accelerator="cpu", devices=2)` and a module whose `training_step`
returns such a loss.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

import pydiffgeo as dg

MODEL = dg.models.ExpHydro()
FIXED = {"Q_max": 20.0, "T_max": 0.5, "T_min": -1.0, "S_max": 300.0}
BOUNDS = {"f": (0.001, 0.2), "D_f": (0.5, 5.0)}
START = {"water_storage": 150.0}
WARMUP = 30


def made_up(sites: int, days: int, settings: dict) -> dg.nn.SiteData:
    """Sites whose `f` rises with their slope."""
    random = np.random.default_rng(0)
    slope = np.linspace(-1.0, 1.0, sites)
    season = np.cos(2 * np.pi * np.arange(days) / 365)
    forcing = {
        "precipitation": torch.from_numpy(random.gamma(0.3, 12.0, (sites, days))),
        "temperature": torch.from_numpy(7.0 - 9.0 * season + random.normal(0.0, 3.0, (sites, days))),
        "daylength": torch.from_numpy(np.broadcast_to(12.0 - 3.0 * season, (sites, days)).copy()),
    }
    f = torch.from_numpy(0.01 * 5.0 ** ((slope + 1) / 2)).unsqueeze(1)
    times = np.arange(days + 1.0)
    run = dg.solve(MODEL, {**FIXED, "f": f, "D_f": 2.0}, forcing=forcing, times=times, initial=START, **settings)
    attributes = torch.from_numpy(np.stack([slope, random.normal(size=sites)], axis=1))
    dates = np.datetime64("2000-10-01") + np.arange(days)
    names = tuple(f"site {i}" for i in range(sites))
    observed = run.fluxes["runoff"].detach()
    return dg.nn.SiteData(names, dates, forcing, observed, attributes, ("slope", "noise"), "runoff")


class SquaredErrors(torch.nn.Module):
    """Of a network: the sum over sites of their mean squared errors, as fractions of the variance. Its `forward` is what is shared."""

    def __init__(self, network: dg.nn.ParameterNetwork, settings: dict) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, data: dg.nn.SiteData) -> Tensor:
        times = np.arange(data.observed.shape[1] + 1.0)
        run = self.network.simulate(data.attributes, data.forcing, times, initial=START, throw=False, **self.settings)
        good = run.ok
        runoff, observed = run.select(good).fluxes["runoff"][:, WARMUP:], data.observed[good][:, WARMUP:]
        variance = observed.var(1, unbiased=False)
        # What all weights are in, so that a process without any site that could be solved joins in with a gradient of zero.
        nothing = sum(0.0 * weight.sum() for weight in self.network.parameters())
        return (((runoff - observed) ** 2).mean(1) / variance).sum() + nothing


def train(data: dg.nn.SiteData, steps: int, settings: dict, rank: int, processes: int) -> dict[str, Tensor]:
    """Trains on all sites; returns the gradient of the first step, and the weights that were learnt."""
    network = dg.nn.ParameterNetwork(MODEL, data.inputs, bounds=BOUNDS, fixed=FIXED, hidden=(8,), seed=0)
    # All processes normalise by all sites, not by their own.
    network.normalise(data.attributes)
    loss: torch.nn.Module = SquaredErrors(network, settings)
    loss = DistributedDataParallel(loss) if processes > 1 else loss
    share = data.take(data.names[rank::processes])
    optimiser, first = torch.optim.Adam(network.parameters(), lr=0.05), {}
    for step in range(steps):
        optimiser.zero_grad()
        # Gradients are averaged over processes: sums times their number, over all sites, give the mean over sites.
        total = loss(share) * processes / len(data)
        total.backward()
        if step == 0:
            first = {f"gradient of {name}": p.grad.clone() for name, p in network.named_parameters()}
        optimiser.step()
        if rank == 0:
            print(f"step {step + 1}: loss of the first process {total.item():.4f}", flush=True)
    return first | {name: p.detach().clone() for name, p in network.named_parameters()}


def main(
    sites: int = 9, days: int = 120, steps: int = 5, engine: str = "auto", file: str | None = None
) -> dict[str, Tensor]:
    """Trains; where started by torchrun, with the others. `file` is where the first process saves what it found."""
    torch.set_num_threads(1)
    settings = {"engine": engine, "rtol": 1e-6, "atol": 1e-6}
    rank, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if processes > 1:
        dist.init_process_group("gloo")
    try:
        found = train(made_up(sites, days, settings), steps, settings, rank, processes)
        if processes > 1:
            # All have ended before one takes its connections away.
            dist.barrier()
    finally:
        if processes > 1:
            dist.destroy_process_group()
    if file is not None and rank == 0:
        torch.save(found, file)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--file", help="where to save the gradient of the first step, and the weights")
    options = parser.parse_args()
    main(steps=options.steps, engine=options.engine, file=options.file)
