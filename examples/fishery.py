"""A fishery with a threshold below which the stock dies out, managed by four models of it (Boettiger et al. 2015).

The truth is Allen's growth; a Gaussian process, Allen's and Ricker's curves learn it from forty years without harvest, in
which the stock never came near the threshold. Each makes its policy by stochastic dynamic programming; all are followed
in the truth.

    python examples/fishery.py [--training tipping_training_data.csv] [--series 12] [--output fishery.png]

`--training` is a table of stocks x and those a year later y. Without it, and for `--series` more, records are drawn
from the truth; those that die out by themselves are drawn again, and counted. Priors are the defaults of
`dg.manage.GaussianProcess`, for all records alike.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from scipy.optimize import minimize
from torch import Tensor

import pydiffgeo as dg

GRID = torch.linspace(0, 15, 50, dtype=torch.float64)
RATE, CAPACITY, THRESHOLD, NOISE, DISCOUNT = 2.0, 8.0, 5.0, 0.05, 0.99
Growth = Callable[[Tensor], Tensor]


def allen(stock: Tensor, rate: float = RATE, capacity: float = CAPACITY, threshold: float = THRESHOLD) -> Tensor:
    """Stock a year later; equation 2.6 of the paper with the division by the capacity that its code and data have."""
    return stock * torch.exp(rate * (1 - stock / capacity) * (stock - threshold) / capacity)


def ricker(stock: Tensor, rate: float, capacity: float) -> Tensor:
    """Equation 2.7: no threshold."""
    return stock * torch.exp(rate * (1 - stock / capacity))


def noisy(growth: Growth, sd: float) -> Tensor:
    """Rows `(states, states)` of each stock that is left, with log-normal noise; none comes from nothing."""
    after = torch.distributions.LogNormal(growth(GRID.clamp(min=1e-9)).clamp(min=1e-300).log(), sd)
    return dead(dg.manage.cell_probabilities(after, GRID))


def dead(rows: Tensor) -> Tensor:
    """What is empty stays so."""
    nothing = torch.zeros_like(rows[0])
    nothing[0] = 1.0
    return torch.cat([nothing[None], rows[1:]])


def problem(rows: Tensor) -> dg.manage.DecisionProblem:
    """Harvest first, growth after: an action leaves the stock of another point of the grid."""
    left = (torch.arange(50)[None] - torch.arange(50)[:, None]).clamp(min=0)
    return dg.manage.DecisionProblem(GRID, GRID, rows[left], torch.minimum(GRID[:, None], GRID[None]), DISCOUNT)


def step(stock: Tensor, harvest: Tensor, random: torch.Generator) -> Tensor:
    left = (stock - harvest).clamp(min=0)
    return allen(left) * torch.exp(NOISE * torch.randn(len(stock), generator=random, dtype=torch.float64))


def followed(policy: Callable[[Tensor], Tensor], runs: int) -> dg.manage.Outcome:
    return dg.manage.follow(
        policy, step, torch.minimum, start=10.0, steps=50, runs=runs, crashed=lambda stock: stock < 1.0
    )


def record(seed: int) -> tuple[Tensor, Tensor, int]:
    """Forty years without harvest, with the certain (0, 0), and how many records before it died out."""
    random, lost = torch.Generator().manual_seed(seed), 0
    while True:
        stocks = [torch.tensor([5.5], dtype=torch.float64)]
        for _ in range(39):
            stocks.append(step(stocks[-1], torch.zeros(1), random))
        every = torch.cat(stocks)
        if every[-1] > 1.0:
            zero = torch.zeros(1, dtype=torch.float64)
            return torch.cat([zero, every[:-1]]), torch.cat([zero, every[1:]]), lost
        lost += 1


def fitted(growth: Callable[..., Tensor], first: tuple[float, ...], x: Tensor, y: Tensor) -> tuple[Growth, float]:
    """A curve by least squares in the logarithm, and its noise."""
    x, y = x[x > 0], y[x > 0]

    def misfit(values: list[float]) -> float:
        found = growth(x, *(float(v) for v in values)).clamp(min=1e-12).log()
        return float((y.log() - found).square().sum())

    best = minimize(misfit, first, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-6, "fatol": 1e-9})
    return lambda stock: growth(stock, *(float(v) for v in best.x)), (best.fun / (len(x) - len(first))) ** 0.5


@dataclass(frozen=True)
class Managed:
    """What a policy brought in the truth: beside the best policy, in undiscounted catch, and lost stocks."""

    policy: dg.manage.Policy
    outcome: dg.manage.Outcome
    ratio: float


def managed(x: Tensor, y: Tensor, runs: int) -> tuple[dict[str, Managed], dg.manage.GaussianProcess]:
    process = dg.manage.GaussianProcess.fit(x, y)
    rows = {
        "truth": noisy(allen, NOISE),
        "Gaussian process": dead(dg.manage.cell_probabilities(process.after(GRID), GRID, weights=process.weights)),
        "Allen": noisy(*fitted(allen, (1.0, 7.0, 3.0), x, y)),
        "Ricker": noisy(*fitted(ricker, (1.0, 7.0), x, y)),
    }
    policies = {name: problem(each).solve() for name, each in rows.items()}
    outcomes = {name: followed(policy, runs) for name, policy in policies.items()}
    best = outcomes["truth"].total.mean()
    return {n: Managed(policies[n], o, float(o.total.mean() / best)) for n, o in outcomes.items()}, process


def main(
    training: Path | None = None, series: int = 0, output: Path = Path("fishery.png"), runs: int = 500
) -> dict[str, list[Managed]]:
    """Outcomes of each model, one per record: the first, and those drawn anew."""
    if training is None:
        x, y, lost = record(0)
    else:
        with open(training, encoding="utf-8") as file:
            x, y = torch.tensor([[float(row[k]) for k in "xy"] for row in csv.DictReader(file)], dtype=torch.float64).T
        lost = 0
    points = dg.manage.fixed_points(allen, 0.0, 12.0)
    print("fixed points:", ", ".join(f"{p.state:.3g} ({'stable' if p.stable else 'tipping'})" for p in points))
    first, process = managed(x, y, runs)
    found = {name: [each] for name, each in first.items()}
    for seed in range(1, series + 1):
        *drawn, again = record(seed)
        lost += again
        for name, each in managed(*drawn, runs)[0].items():
            found[name].append(each)
    true = problem(noisy(allen, NOISE))
    for name, each in found.items():
        low, high = each[0].outcome.crash_interval
        rest = torch.tensor([m.ratio for m in each[1:]] or [each[0].ratio])
        crashed = torch.tensor([m.outcome.crash_fraction for m in each[1:]] or [each[0].outcome.crash_fraction])
        print(
            f"{name}: catch {each[0].ratio:.3f} of the best, lost {each[0].outcome.crash_fraction:.1%} "
            f"({low:.1%} to {high:.1%}), forgone in value at 10: {float(true.cost(each[0].policy)[33]):.1%}"
            + (f"; {series} records: {rest.mean():.2f} ({rest.min():.2f} to {rest.max():.2f})" if series else "")
            + (f", lost {crashed.mean():.1%} (up to {crashed.max():.0%})" if series else "")
        )
    if lost:
        print(f"{lost} records died out by themselves and were drawn again")
    draw(x, y, first, process, output)
    return found


def draw(x: Tensor, y: Tensor, found: dict[str, Managed], process: dg.manage.GaussianProcess, output: Path) -> None:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    mean, sd = process.mean(GRID), process.sd(GRID)
    left.fill_between(GRID, mean - 2 * sd, mean + 2 * sd, alpha=0.2, label="Gaussian process, two sd")
    left.plot(GRID, mean)
    left.plot(GRID, allen(GRID), "k", label="truth")
    left.plot(GRID, GRID, "k:", lw=0.8)
    left.plot(x, y, "k.", label="record")
    left.set(xlabel="stock left", ylabel="stock a year later", ylim=(-1, 10))
    left.legend(loc="lower right")
    for number, (name, each) in enumerate(found.items()):
        style = "k" if name == "truth" else f"C{number - 1}"
        stock = GRID - torch.minimum(each.policy.actions, GRID)
        middle.plot(GRID, stock, style, label=name, lw=2.5 if name == "truth" else 1.2)
        for run in each.outcome.states[:10]:
            right.plot(run, style, lw=0.5, alpha=0.6)
    middle.set(xlabel="stock", ylabel="stock left by the policy")
    middle.legend()
    right.set(xlabel="year", ylabel="stock in the truth")
    figure.savefig(output, dpi=110)
    plt.close(figure)
    print(f"wrote {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", type=Path)
    parser.add_argument("--series", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("fishery.png"))
    main(**vars(parser.parse_args()))
