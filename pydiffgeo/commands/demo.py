"""The demo: a network learns the hydraulic properties of a soil column from noisy moisture probes.

A known column is watered for two months; five probes record its moisture, with noise. A small torch
network maps a covariate profile (say, clay content) to van Genuchten parameters and is trained through
the Richards solver until the simulated moisture matches the probes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import PydiffgeoError
from ..model import Model
from ..models import RichardsColumn
from ..solve import Settings, Solution, solve

CELLS = 40
DAYS = 60
PROBES = (2, 8, 15, 24, 34)
NOISE = 0.005
# Name -> lowest and highest value the network can give; alpha and conductivity on a logarithmic scale.
RANGES = {"alpha": (1.0, 10.0), "n": (1.2, 2.4), "K_s": (0.01, 1.0)}


@dataclass(frozen=True)
class Experiment:
    """The column, its weather, and what the probes saw."""

    model: Model
    covariate: Tensor
    truth: dict[str, Tensor]
    forcing: dict[str, Tensor]
    times: Tensor
    probes: Tensor


class ParameterNetwork(torch.nn.Module):
    """Covariate of each cell `(cells,)` -> parameters of each cell, within `RANGES`."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(1, 12), torch.nn.Tanh(), torch.nn.Linear(12, len(RANGES)))
        self.double()

    def forward(self, covariate: Tensor) -> dict[str, Tensor]:
        fractions = torch.sigmoid(self.layers(covariate.unsqueeze(-1)))
        return {name: within(name, fractions[:, i]) for i, name in enumerate(RANGES)}


def within(name: str, fraction: Tensor) -> Tensor:
    """A fraction of the range of a parameter."""
    low, high = RANGES[name]
    return low * (high / low) ** fraction if name in ("alpha", "K_s") else low + (high - low) * fraction


def simulate(e: Experiment, parameters: dict[str, Tensor], engine: str, rtol: float = 1e-5) -> Solution:
    """The column with parameters `(cells,)`, from a head of -1 m."""
    how: Settings = {"engine": engine, "rtol": rtol, "atol": rtol * 1e-2}
    return solve(e.model, parameters, forcing=e.forcing, times=e.times, initial={"head": -1.0}, **how)


def make_experiment(engine: str, seed: int) -> Experiment:
    """Solves the true column and disturbs what the probes see of it."""
    generator = torch.Generator().manual_seed(seed)
    model = RichardsColumn(depth=1.0, cells=CELLS, top="atmosphere", bottom="free_drainage")
    depth = torch.from_numpy(model.graph.coordinates["depth"].copy())
    # Sand over clay: the covariate rises from 0 to 1 around 40 cm.
    covariate = torch.sigmoid((depth - 0.4) / 0.08)
    truth = {"alpha": 6.0 - 4.0 * covariate, "n": 1.9 - 0.55 * covariate, "K_s": 0.6 * (0.05 / 0.6) ** covariate}
    wet = torch.rand(DAYS, generator=generator, dtype=torch.float64) < 0.25
    rain = wet * (0.005 + 0.03 * torch.rand(DAYS, generator=generator, dtype=torch.float64))
    forcing = {"precipitation": rain, "potential_evaporation": torch.full((DAYS,), 0.003, dtype=torch.float64)}
    blank = Experiment(model, covariate, truth, forcing, torch.arange(DAYS + 1.0, dtype=torch.float64), depth)
    with torch.no_grad():
        seen = simulate(blank, truth, engine).states["theta"][1:, list(PROBES)]
    noise = NOISE * torch.randn(seen.shape, generator=generator, dtype=torch.float64)
    return Experiment(model, covariate, truth, forcing, blank.times, seen + noise)


def misfit(e: Experiment, solution: Solution) -> Tensor:
    """Mean squared difference to the probes, in units of their noise: one is as good as it gets."""
    return (((solution.states["theta"][1:, list(PROBES)] - e.probes) / NOISE) ** 2).mean()


def gradient_check(e: Experiment, network: ParameterNetwork, engine: str) -> tuple[float, float]:
    """Adjoint and finite-difference derivative of the loss along a random direction of the weights."""
    weights = list(network.parameters())
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]
    network.zero_grad()
    loss = misfit(e, _tight(e, network, engine))
    loss.backward()
    adjoint = sum((w.grad * d).sum().item() for w, d in zip(weights, directions, strict=True) if w.grad is not None)

    def at(h: float) -> float:
        with torch.no_grad():
            for w, d in zip(weights, directions, strict=True):
                w.add_(h * d)
            value = misfit(e, _tight(e, network, engine)).item()
            for w, d in zip(weights, directions, strict=True):
                w.sub_(h * d)
        return value

    def central(h: float) -> float:
        return (at(h) - at(-h)) / (2 * h)

    return adjoint, (4 * central(5e-4) - central(1e-3)) / 3


def _tight(e: Experiment, network: ParameterNetwork, engine: str) -> Solution:
    return simulate(e, network(e.covariate), engine, rtol=1e-9)


def train(e: Experiment, network: ParameterNetwork, engine: str, steps: int) -> list[float]:
    """Adam for a third of the steps, L-BFGS for the rest; prints the loss as it falls."""
    losses: list[float] = []
    started = time.perf_counter()

    def evaluate() -> Tensor:
        network.zero_grad()
        loss = misfit(e, simulate(e, network(e.covariate), engine))
        loss.backward()
        losses.append(loss.item())
        if len(losses) % max(1, steps // 10) == 1 or len(losses) == steps:
            seconds = time.perf_counter() - started
            print(f"  step {len(losses):3d} of {steps}   loss {loss.item():10.3f}   {seconds:5.1f} s")
        return loss

    adam = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(max(1, steps // 3)):
        evaluate()
        adam.step()
    rest = steps - len(losses)
    if rest > 1:
        # The closure is also called within the line search: `max_eval` counts every solve.
        lbfgs = torch.optim.LBFGS(
            network.parameters(),
            max_iter=rest,
            max_eval=rest,
            history_size=20,
            line_search_fn="strong_wolfe",
            tolerance_grad=1e-9,
            tolerance_change=1e-12,
        )
        lbfgs.step(evaluate)
    return losses


def run(engine: str = "auto", figure: str = "pydiffgeo-demo.png", steps: int = 50, seed: int = 3) -> dict[str, float]:
    """Runs the demo, prints what it finds and saves a figure; returns the figures that it prints.

    Raises:
        PydiffgeoError: where a solve fails or `steps` is not positive.
    """
    if steps < 1:
        raise PydiffgeoError(f"steps must be at least 1, got {steps}")
    torch.manual_seed(seed)
    started = time.perf_counter()
    experiment = make_experiment(engine, seed)
    network = ParameterNetwork()
    with torch.no_grad():
        prior = {k: v.clone() for k, v in network(experiment.covariate).items()}
        first = simulate(experiment, prior, engine)
    print(f"engine {first.stats['engine']} ({first.stats['why']}), solver {first.stats['solver']}")
    print(f"column of {CELLS} cells, {DAYS} days, {len(PROBES)} probes with noise of {NOISE:g}; training:")
    losses = train(experiment, network, engine, steps)

    with torch.no_grad():
        learned = network(experiment.covariate)
        last = simulate(experiment, learned, engine)
    print(f"loss {losses[0]:.2f} -> {misfit(experiment, last).item():.3f} (1 is the noise of the probes)")
    print("parameters, mean over the column:  before -> after (true), error before -> after")
    errors = {}
    for name, true in experiment.truth.items():
        before, after = ((p[name] - true).abs().mean() / true.mean() for p in (prior, learned))
        errors[name] = after.item()
        means = f"{prior[name].mean():8.3f} -> {learned[name].mean():8.3f} ({true.mean():.3f})"
        print(f"  {name:6} {means}   {100 * before:5.1f} % -> {100 * after:5.1f} %")
    adjoint, differences = gradient_check(experiment, network, engine)
    relative = abs(adjoint - differences) / max(abs(differences), 1e-12)
    both = f"adjoint {adjoint:.6g}, finite differences {differences:.6g}"
    print(f"gradient check: {both}, relative difference {relative:.1e}")
    rain = experiment.forcing["precipitation"].sum().item()
    print(f"water balance: closes to {1e3 * last.balance.item():.1e} mm of {1e3 * rain:.0f} mm of rain")
    try:
        from ..plots.demo import demo_figure

        demo_figure(experiment, prior, learned, last, losses, PROBES, figure)
        print(f"figure: {figure}")
    except ImportError as error:
        print(f"no figure: {error}")
    print(f"took {time.perf_counter() - started:.0f} s")
    fit = {"loss_first": losses[0], "loss_last": misfit(experiment, last).item()}
    numbers = {"gradient": relative, "balance": last.balance.item()}
    return {**fit, **numbers, **{f"error_{k}": v for k, v in errors.items()}}
