"""What can be learnt of a model from measurements, and what cannot: three inverse problems.

1. Manning's n of twenty reaches from the hydrographs of three gauges; and that the width of their channels cannot be had
   from them.
2. How fast water sinks through a streambed, and how well that conducts heat, from temperatures at three depths.
3. Thermal properties of a real soil from its daily temperatures (US Climate Reference Network, Manhattan, Kansas).

    python examples/inversions.py --data FOLDER    # with uscrn_manhattan_ks_2013_2016.csv, for the third
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import pydiffgeo as dg


def fit(misfit: Callable[[Tensor], Tensor], x: Tensor, spread: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Least squares by Levenberg's and Marquardt's steps with the model's own Jacobian.

    Args:
        misfit: of `(1, inputs)` to `(1, results)`, in standard errors of the observations.
        x: where to begin `(inputs,)`, and what was thought before, with its standard errors `spread`.

    Returns:
        The best inputs, and their covariance.
    """
    begin, damping = x, 1e-2

    def cost(x: Tensor, r: Tensor) -> float:
        return float(r.square().sum() + ((x - begin) / spread).square().sum())

    for _ in range(steps):
        r, J = (v[0] for v in dg.jacobian(misfit, x[None]))
        curvature = J.T @ J + torch.diag(spread**-2)
        downhill = J.T @ r + (x - begin) / spread**2
        while damping < 1e6:
            step = -torch.linalg.solve(curvature + damping * torch.diag(curvature.diag()), downhill)
            with torch.no_grad():
                ahead = misfit((x + step)[None])[0]
            if cost(x + step, ahead) < cost(x, r):
                x, damping = x + step, damping / 10
                break
            damping *= 10
        if damping >= 1e6 or step.abs().max() < 1e-4:
            break
    return x, torch.linalg.inv(curvature)


def river(engine: str = "auto", steps: int = 8, hours: int = 96, storms: int = 6) -> dict[str, float]:
    """Three branches that join; storms over each reach; gauges at the mouths of two branches and at the outlet."""
    count, gauges, random = 20, [5, 11, 19], np.random.default_rng(4)
    table = {
        "id": range(count),
        "downstream": [1, 2, 3, 4, 5, 12, 7, 8, 9, 10, 11, 12, *range(13, 20), None],
        "length": random.uniform(2000, 6000, count),
        "slope": 10 ** random.uniform(-3.3, -2.2, count),
    }
    model, times = dg.models.River(table), np.arange(hours + 1) / 24
    inflow = np.full((hours, count), 0.05)
    for k in range(count):
        for begin in random.integers(0, hours - 24, storms):
            inflow[begin : begin + 2, k] += random.uniform(1, 6)
    width, truth = torch.linspace(5.0, 25.0, count), torch.from_numpy(random.uniform(0.025, 0.08, count)).log()

    def flows(x: Tensor) -> Tensor:
        """Hourly means at the gauges, of logarithms of n and of the factor on the width, and of width exponents."""
        log_n, log_width, exponent = x.split(count, -1)
        sol = dg.solve(
            model,
            {"manning_n": log_n.exp(), "width": width * log_width.exp(), "width_exponent": exponent},
            forcing={"lateral_inflow": inflow},
            times=times,
            initial={"storage": 2e3},
            engine=engine,
            rtol=1e-6,
            atol=1e-2,
        )
        return (sol.fluxes["discharge"][..., gauges] / 3600).flatten(-2)

    channel = torch.cat([torch.zeros(count), torch.full((count,), 0.3)])[None]
    whole = torch.cat([truth[None], channel], -1)
    exact, J = (v[0] for v in dg.jacobian(flows, whole))
    error = 0.001 * exact + 0.0005
    seen = exact + error * torch.randn(exact.shape, generator=torch.Generator().manual_seed(0), dtype=exact.dtype)
    begin, spread = torch.full((count,), math.log(0.045)), torch.full((count,), 0.5)
    found, _ = fit(lambda n: (flows(torch.cat([n, channel], -1)) - seen) / error, begin, spread, steps)
    off = (found - truth).exp().sub(1).abs()
    print(
        f"n of {count} reaches from {len(gauges)} gauges: off by {100 * off.max():.1f} % at most, {100 * off.mean():.1f} % in the mean"
    )
    # With channels unknown as well, and errors of real gauges: how much of what was unknown is still so.
    before = torch.cat([spread, torch.full((count,), 0.5), torch.full((count,), 0.3)])
    J = J / (0.05 * exact + 0.01)[:, None]
    left = (torch.linalg.inv(J.T @ J + torch.diag(before**-2)).diag().sqrt() / before).split(count)
    alone = torch.linalg.inv(J[:, :count].T @ J[:, :count] + torch.diag(spread**-2)).diag().sqrt() / spread
    names = ("n, where the channel is known", "n", "width", "width exponent")
    remains = dict(zip(names, (float(v.mean()) for v in (alone, *left)), strict=True))
    print(
        "with gauges 5 % off, what remains unknown of", ", ".join(f"{k}: {100 * v:.0f} %" for k, v in remains.items())
    )
    return {"off": float(off.max()), **remains}


def streambed(engine: str = "auto", steps: int = 12) -> dict[str, float]:
    """Daily waves of temperature go into the bed, faster and deeper where water sinks (Stallman 1965)."""
    model, depths = dg.models.HeatColumn(1.5, 40, flow="parameter", base=True), [2, 5, 10]
    times = np.arange(0, 5.01, 1 / 12)
    surface = 15 + 4 * np.sin(2 * np.pi * times) + 2 * np.sin(2 * np.pi * times / 3.3)
    forcing = {
        "surface_temperature": dg.TimeSeries(times, torch.from_numpy(surface), "linear"),
        "base_temperature": 12.0,
    }

    def temperatures(x: Tensor) -> Tensor:
        sol = dg.solve(
            model,
            {"water_flux": x[..., :1], "conductivity": x[..., 1:2].exp(), "capacity": 2.8},
            forcing=forcing,
            times=times,
            initial={"temperature": 13.0},
            engine=engine,
        )
        return sol.outputs["temperature"][..., 12:, depths].flatten(-2)

    truth, error = torch.tensor([0.08, math.log(0.16)]), 0.05
    with torch.no_grad():
        seen = temperatures(truth[None])
        seen = seen + error * torch.randn(seen.shape, generator=torch.Generator().manual_seed(1), dtype=seen.dtype)
    begin, spread = torch.tensor([0.0, math.log(0.1)]), torch.tensor([0.5, 0.7])
    found, covariance = fit(lambda x: (temperatures(x) - seen) / error, begin, spread, steps)
    flux, conductivity = found[0].item(), found[1].exp().item()
    sure = covariance.diag().sqrt()
    print(
        f"streambed: {flux:.4f} m/d (true 0.08, +- {sure[0]:.4f}), {conductivity:.4f} MJ/m/d/K (true 0.16, +- {0.16 * sure[1]:.4f})"
    )
    return {"flux": abs(flux - 0.08), "conductivity": abs(conductivity / 0.16 - 1)}


def soil(file: Path, engine: str = "auto", days: int = 365, steps: int = 10) -> dict[str, float]:
    """Conductivity and its growth with depth from temperatures at 10, 20 and 50 cm, between those at 5 cm and 100 cm.

    Sensors of the station are the boundaries, so that nothing of the air or the grass is to be known.
    """
    names = [f"soil_temperature_{d}cm" for d in (5, 10, 20, 50, 100)]
    rows = [[float(r[k]) if r[k] else math.nan for k in names] for r in csv.DictReader(file.open())]
    table = np.array(rows)[365 : 365 + days + 1]  # from 2014 on
    at = np.arange(len(table), dtype=float)
    upper, lower = (np.interp(at, at[np.isfinite(c)], c[np.isfinite(c)]) for c in table[:, [0, 4]].T)
    model = dg.models.HeatColumn(0.95, 38, base=True)
    z = model.graph.coordinates["depth"]
    start = np.interp(z, [0.0, 0.05, 0.15, 0.45, 0.95], [upper[0], *table[0, 1:4], lower[0]])
    inside = [int(np.argmin(np.abs(z - d))) for d in (0.05, 0.15, 0.45)]
    forcing = {
        "surface_temperature": dg.TimeSeries(at, torch.from_numpy(upper), "linear"),
        "base_temperature": dg.TimeSeries(at, torch.from_numpy(lower), "linear"),
    }
    seen = torch.from_numpy(table[30:, 1:4])
    known = torch.isfinite(seen)

    def temperatures(x: Tensor) -> Tensor:
        growth = torch.from_numpy(z / 0.95)
        sol = dg.solve(
            model,
            {"conductivity": (x[..., :1] + x[..., 1:2] * growth).exp(), "capacity": 2.5},
            forcing=forcing,
            times=at,
            initial={"heat": 2.5 * torch.from_numpy(start)},
            engine=engine,
            rtol=1e-5,
        )
        return sol.outputs["temperature"][..., 30:, inside]

    def misfit(x: Tensor) -> Tensor:
        return (torch.where(known, temperatures(x) - torch.nan_to_num(seen), 0.0) / 0.3).flatten(-2)

    begin, spread = torch.tensor([math.log(0.05), 0.0]), torch.tensor([0.7, 0.7])
    with torch.no_grad():
        first = float((0.3 * misfit(begin[None])).square().sum().div(known.sum()).sqrt())
    found, covariance = fit(misfit, begin, spread, steps)
    with torch.no_grad():
        last = float((0.3 * misfit(found[None])).square().sum().div(known.sum()).sqrt())
    # W/m/K at the depths of both boundaries.
    shallow, deep = (float((found[0] + share * found[1]).exp() / 0.0864) for share in (0.0, 1.0))
    sure = covariance.diag().sqrt()
    print(
        f"soil at Manhattan: {shallow:.2f} W/m/K at 5 cm (+- {100 * sure[0]:.0f} %), {deep:.2f} at 1 m; error {first:.2f} K at first, {last:.2f} K"
    )
    return {"shallow": shallow, "deep": deep, "first": first, "rmse": last}


def main(engine: str = "auto", data: str | None = None) -> None:
    """All three; the last one where there are data."""
    torch.set_default_dtype(torch.float64)
    river(engine)
    streambed(engine)
    if data is not None:
        soil(Path(data) / "uscrn_manhattan_ks_2013_2016.csv", engine)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--data")
    chosen = parser.parse_args()
    main(chosen.engine, chosen.data)
