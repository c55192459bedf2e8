"""How much may be pumped each year, where a deep water table costs the recharge itself? A groundwater threshold.

Trees keep the ground open while their roots reach the water table; where it falls out of their reach they die, the bare
ground seals, and less rain sinks in: two states, and a threshold between them. The aquifer is one of this package's models;
pumping comes first, in a short dry season, then a year of rain and drainage to a stream. Years differ in their rain.

Three policies are made by stochastic dynamic programming and followed in the truth: with the true model, with a model
without trees calibrated on a record of thirty years in which the trees were never short of water, and with a Gaussian
process that has learnt the change of head from the same record.

    python examples/pumping.py [--output pumping.png] [--engine auto]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

import pydiffgeo as dg

YIELD, RAIN, SPREAD, DISCOUNT = 0.1, 0.3, 0.25, 0.97
GRID = torch.linspace(0.0, 10.0, 51, dtype=torch.float64)
PUMPED = torch.linspace(0.0, 0.4, 21, dtype=torch.float64)  # m of water: each is a whole number of steps of the grid
# Years of equal probability.
YEARS = RAIN * torch.exp(SPREAD * torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(15.0) + 0.5) / 15)).double()
TRUTH = {"sealed": 0.3, "reach": 4.5, "width": 0.35, "drainage": 0.04}


def Aquifer() -> dg.Model:
    """One cell of aquifer beside a stream, at whose level the head is zero; metres and years."""

    def source(cell, forcing):
        living = torch.sigmoid((cell.head - cell.reach) / cell.width)
        recharge = forcing.rain * (cell.sealed + (1 - cell.sealed) * living)
        return {"head": (recharge - cell.drainage * cell.head) / YIELD}

    return dg.Model(
        name="TreesOverAquifer",
        graph=dg.single_cell(),
        states=(dg.State("head", "m", "water table above the stream", default=7.0, low=0.0),),
        parameters=(
            dg.Parameter("sealed", "1", "share of rain that sinks in on bare ground", 0.3, low=0.0, high=1.0),
            dg.Parameter("reach", "m", "head below which roots are out of reach", 4.5, low=-1e3),
            dg.Parameter("width", "m", "over which trees die", 0.35, low=0.0, open_low=True),
            dg.Parameter("drainage", "y-1", "flow to the stream, per head", 0.04, low=0.0),
        ),
        forcings=(dg.ForcingVariable("rain", "m y-1", "rain that sinks in under trees", low=0.0),),
        source=source,
        time_unit="y",
    )


def after(head: Tensor, rain: Tensor, values: dict[str, float | Tensor], engine: str) -> Tensor:
    """Head a year later, of every head `(...)` and rain of one shape."""
    model, shape = Aquifer(), torch.broadcast_shapes(head.shape, rain.shape)
    start, fallen = head.expand(shape).reshape(-1, 1), rain.expand(shape).reshape(-1, 1)
    sol = dg.solve(
        model, values, forcing={"rain": fallen}, times=[0.0, 1.0], initial={"head": start}, rtol=1e-5, engine=engine
    )
    return sol.states["head"][:, -1].reshape(shape)


def problem(rows: Tensor) -> dg.manage.DecisionProblem:
    """Pumping leaves the head of another point of the grid; none is pumped from below the stream."""
    fall = torch.round(PUMPED / YIELD / GRID.diff()[0]).long()
    left = torch.arange(len(GRID))[None] - fall[:, None]
    pumped = torch.where(left >= 0, PUMPED[:, None], GRID * YIELD)
    # A metre of lift costs a twentieth of what the water is worth.
    reward = pumped * (1 - 0.05 * (GRID[-1] - GRID))
    return dg.manage.DecisionProblem(GRID, PUMPED, rows[left.clamp(min=0)], reward, DISCOUNT)


def record(engine: str, years: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    """Heads after pumping, those a year later, and rain, of years in which little was pumped."""
    random = torch.Generator().manual_seed(2)
    head, rows = torch.tensor(7.0, dtype=torch.float64), []
    for _ in range(years):
        left = (head - 1.2 * torch.rand((), generator=random, dtype=torch.float64)).clamp(min=5.6)
        rain = RAIN * torch.exp(SPREAD * torch.randn((), generator=random, dtype=torch.float64))
        head = after(left, rain, TRUTH, engine).detach()
        rows.append(torch.stack([left, head, rain]))
    x, y, rain = torch.stack(rows).T
    return x, y, rain


def without_trees(x: Tensor, y: Tensor, rain: Tensor, engine: str) -> dict[str, float]:
    """A model whose recharge is a constant share of rain, calibrated on the record by its gradient."""
    sought = torch.tensor([0.9, 0.05], dtype=torch.float64).logit().requires_grad_()
    optimiser = torch.optim.LBFGS([sought], max_iter=30, line_search_fn="strong_wolfe")

    def values() -> dict[str, Tensor | float]:
        share, drainage = sought.sigmoid()
        # Out of reach at any head: all ground takes the same share.
        return {"sealed": share, "reach": 100.0, "width": 1.0, "drainage": drainage}

    def loss() -> Tensor:
        optimiser.zero_grad()
        error = (after(x, rain, values(), engine) - y).square().mean()
        error.backward()
        return error

    optimiser.step(loss)
    with torch.no_grad():
        return {name: float(v) for name, v in values().items()}


def main(engine: str = "auto", output: Path = Path("pumping.png"), runs: int = 200) -> dict[str, dict[str, float]]:
    """Value beside the best, and share of runs whose trees are lost, by policy."""
    x, y, rain = record(engine)
    calibrated = without_trees(x, y, rain, engine)
    with torch.no_grad():
        maps = {
            name: after(GRID[:, None], YEARS[None], values, engine)
            for name, values in (("truth", TRUTH), ("without trees", calibrated))
        }
    rows = {name: dg.manage.from_draws(each, GRID) for name, each in maps.items()}
    process = dg.manage.GaussianProcess.fit(x, y - x, amplitude=2.0)
    change = process.after(GRID)
    heads = torch.distributions.Normal(GRID + change.mean, change.stddev)
    rows["Gaussian process"] = dg.manage.cell_probabilities(heads, GRID, weights=process.weights)
    true = problem(rows["truth"])
    points = dg.manage.fixed_points(
        lambda h: after(h, torch.tensor([RAIN], dtype=torch.float64), TRUTH, engine), 0.0, 10.0, points=101
    )
    tipping = next(p.state for p in points if not p.stable)
    print("without pumping:", ", ".join(f"{p.state:.2f} m ({'stable' if p.stable else 'tipping'})" for p in points))

    def step(head: Tensor, pumped: Tensor, random: torch.Generator) -> Tensor:
        fallen = RAIN * torch.exp(SPREAD * torch.randn(len(head), generator=random, dtype=torch.float64))
        return after((head - pumped / YIELD).clamp(min=0), fallen, TRUTH, engine).detach()

    found, outcomes = {}, {}
    start = int(torch.searchsorted(GRID, torch.tensor(7.0, dtype=torch.float64)))
    for name, each in rows.items():
        policy = problem(each).solve()
        outcomes[name] = (
            policy,
            dg.manage.follow(
                policy,
                step,
                lambda head, pumped: torch.minimum(pumped, head * YIELD) * (1 - 0.05 * (GRID[-1] - head)),
                start=7.0,
                steps=30,
                runs=runs,
                crashed=lambda head: head < tipping,
            ),
        )
        outcome = outcomes[name][1]
        low, high = outcome.crash_interval
        found[name] = {"value": 1 - float(true.cost(policy)[start]), "lost": outcome.crash_fraction}
        print(
            f"{name}: {found[name]['value']:.0%} of the best value, trees lost in {outcome.crash_fraction:.0%} "
            f"of runs ({low:.0%} to {high:.0%}), {outcome.actions.mean():.3f} m pumped a year"
        )
    draw(maps["truth"], x, y, process, outcomes, tipping, output)
    return found


def draw(truth: Tensor, x: Tensor, y: Tensor, process, outcomes, tipping: float, output: Path) -> None:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    left.fill_between(GRID, truth.min(1).values, truth.max(1).values, color="k", alpha=0.15, label="truth, all years")
    mean, sd = GRID + process.mean(GRID), process.sd(GRID)
    left.plot(GRID, mean, "C1", label="Gaussian process, two sd")
    left.fill_between(GRID, mean - 2 * sd, mean + 2 * sd, color="C1", alpha=0.2)
    left.plot(GRID, GRID, "k:", lw=0.8)
    left.plot(x, y, "k.", label="record")
    left.set(xlabel="head after pumping, m", ylabel="head a year later, m", ylim=(-1, 11))
    left.legend()
    for (name, (policy, outcome)), style in zip(outcomes.items(), ("k", "C0", "C1"), strict=True):
        middle.step(GRID, policy.actions, style, where="mid", label=name)
        right.plot(np.arange(31), outcome.states.median(0).values, style, lw=2, label=name)
        for run in outcome.states[:8]:
            right.plot(run, style, lw=0.4, alpha=0.6)
    middle.set(xlabel="head, m", ylabel="pumped, m a year")
    middle.legend()
    right.axhline(tipping, color="k", ls=":", lw=0.8)
    right.set(xlabel="year", ylabel="head, m (dotted: tipping point)")
    figure.savefig(output, dpi=110)
    plt.close(figure)
    print(f"wrote {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("pumping.png"))
    parser.add_argument("--engine", default="auto")
    main(**vars(parser.parse_args()))
