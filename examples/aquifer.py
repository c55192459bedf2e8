"""An aquifer from its heads: log K of 50 x 50 cells from thirty noisy heads and one base flow, and where its wells draw from.

    python examples/aquifer.py --figure aquifer.png

Between a river and a lake, under recharge, four wells pump. Of the field of conductivity one knows what is usual there:
its mean, its variance, and how far it is alike (the prior, a Gaussian field). Each step of Gauss and Newton takes one
steady state, and one solve with the transposed Jacobian for each observation, whatever the number of cells
(Kitanidis 1995, Water Resour. Res. 31: the quasi-linear geostatistical approach).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.groundwater import GeneralHead, Recharge, River, Well

SIDE, DEPTH = 5000.0, 30.0  # m
# The prior of ln K (m/d): mean, standard deviation, and distance (m) over which it is alike.
MEAN, DEVIATION, ALIKE = np.log(5.0), 1.0, 1000.0
HEAD_ERROR, FLOW_ERROR = 0.05, 0.02  # m, and as a share


def build(n: int) -> dg.Model:
    """A river along the left side, a lake along the right one, and four wells, under a water table."""
    wells = [(0, int(n * row), int(n * column)) for row, column in ((0.3, 0.3), (0.7, 0.4), (0.5, 0.7), (0.2, 0.8))]
    conditions = (
        River([(0, row, 0) for row in range(n)]),
        GeneralHead([(0, row, n - 1) for row in range(n)], "lake"),
        Well(wells),
        Recharge(),
        # Rates of zero, whose gradient is the map of capture.
        Well(range(n * n), "anywhere", each=False),
    )
    grid = dg.raster((1, n, n), (SIDE / n, SIDE / n), layers=DEPTH)
    return dg.models.Aquifer(grid, "unconfined", top=DEPTH, boundaries=conditions)


def covariance(model: dg.Model) -> torch.Tensor:
    """Of ln K between all cells: a Gaussian of their distance, with a little noise of its own in each."""
    y, x = (torch.from_numpy(model.graph.coordinates[k].copy()) for k in "yx")
    squares = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2
    return DEVIATION**2 * (torch.exp(-squares / (2 * ALIKE**2)) + 1e-6 * torch.eye(len(y), dtype=torch.float64))


def main(
    n: int = 50, engine: str = "auto", seed: int = 3, steps: int = 8, figure: str | None = None
) -> dict[str, float]:
    """Prints what is found; returns the correlation with the truth, and the fit in units of the errors."""
    torch.set_default_dtype(torch.float64)
    random = np.random.default_rng(seed)
    model, cells = build(n), n * n
    fixed = {"river_conductance": 200.0, "river_bed": 8.0, "lake_conductance": 100.0}
    anywhere = torch.zeros(cells, requires_grad=True)
    forcing = {
        "river_stage": 10.0,
        "lake_head": 14.0,
        "well_rate": -800.0,
        "recharge_rate": 4e-4,
        "anywhere_rate": anywhere,
    }

    def solved(log_K: torch.Tensor) -> dg.SteadySolution:
        return dg.steady(model, {"K": log_K.exp(), **fixed}, forcing=forcing, initial={"head": 14.0}, engine=engine)

    prior = covariance(model)
    # A sample of the prior is the truth; thirty cells and the river are observed, with errors.
    root = torch.linalg.cholesky(prior)
    truth = MEAN + root @ torch.from_numpy(random.normal(size=cells))
    observed = torch.from_numpy(random.choice(cells, 30, replace=False))

    def seen(log_K: torch.Tensor) -> torch.Tensor:
        """Heads in units of their error, then the logarithm of the river's gain in units of its own."""
        found = solved(log_K)
        gain = torch.log(-found.fluxes["river"].sum())
        return torch.cat([found.outputs["head"][observed] / HEAD_ERROR, gain[None] / FLOW_ERROR])

    data = seen(truth).detach() + torch.from_numpy(random.normal(size=31))
    log_K = torch.full((cells,), float(MEAN))
    for step in range(steps):
        log_K.requires_grad_()
        simulated = seen(log_K)
        rows = [torch.autograd.grad(s, log_K, retain_graph=True)[0] for s in simulated]
        slopes = torch.stack(rows)
        log_K, simulated = log_K.detach(), simulated.detach()
        spread = slopes @ prior
        weights = torch.linalg.solve(spread @ slopes.T + torch.eye(31), data - simulated + slopes @ (log_K - MEAN))
        change = MEAN + spread.T @ weights - log_K
        # No step further than what the prior thinks usual.
        log_K = log_K + change * min(1.0, DEVIATION / float(change.abs().max()))
        misfit = (data - simulated).square().mean().item()
        print(f"step {step}: mean square of residuals in units of the errors {misfit:8.3f}")
    variance = prior.diagonal() - (spread * torch.linalg.solve(spread @ slopes.T + torch.eye(31), spread)).sum(0)
    correlation = float(np.corrcoef(log_K.numpy(), truth.numpy())[0, 1])
    inside = float(((log_K - truth).abs() < 2 * variance.sqrt()).double().mean())
    print(
        f"correlation of ln K with the truth {correlation:.3f}; within two standard errors in {inside:.0%} of all cells"
    )
    rest = solved(log_K)
    # Where a further well would draw from the river: one solve with the transposed Jacobian for all places.
    capture = dg.groundwater.capture(rest, "river", anywhere)
    if figure is not None:
        draw(figure, model, truth, log_K, variance.sqrt(), capture, rest, observed)
    return {"correlation": correlation, "misfit": misfit, "inside": inside, "balance": abs(float(rest.balance))}


def draw(figure, model, truth, log_K, error, capture, rest, observed) -> None:
    """Maps of the truth and what was found, with its standard error, and of capture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def grid(values: torch.Tensor) -> np.ndarray:
        return model.graph.on_grid(values.detach())[0].numpy()

    fig, axes = plt.subplots(2, 2, figsize=(9.5, 8), layout="constrained")
    side = SIDE / 1000
    same = {"vmin": float(truth.min()), "vmax": float(truth.max())}
    maps = (
        ("ln K, truth", truth, "viridis", same),
        ("ln K, found", log_K, "viridis", same),
        ("standard error of ln K", error, "magma", {"vmin": 0.0}),
        ("share of a further well's water\nthat comes from the river", capture, "cividis", {"vmin": 0.0, "vmax": 1.0}),
    )
    x, y = model.graph.coordinates["x"] / 1000, model.graph.coordinates["y"] / 1000
    wells = next(b.cells for b in model.boundaries if b.name == "well")
    for ax, (title, values, colours, limits) in zip(axes.flat, maps, strict=True):
        shown = ax.imshow(grid(values), origin="lower", extent=(0, side, 0, side), cmap=colours, **limits)
        fig.colorbar(shown, ax=ax, shrink=0.85)
        heads = ax.contour(grid(rest.outputs["head"]), 8, extent=(0, side, 0, side), colors="white", linewidths=0.6)
        ax.clabel(heads, fontsize=7)
        ax.plot(x[observed], y[observed], "k.", markersize=4)
        ax.plot(x[list(wells)], y[list(wells)], "rv", markersize=6)
        ax.set(title=title, xlabel="from the river (km)", ylabel="km")
    fig.savefig(figure, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--figure", help="a file for the maps, such as aquifer.png")
    options = parser.parse_args()
    main(engine=options.engine, figure=options.figure)
