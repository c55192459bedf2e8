"""States from observations as they come: a soil column from three probes, and a basin from its runoff.

Twins: the truth is a run of the model whose rain has errors that nobody is told, a factor for each window; what is seen
of it has errors, too. Both filters and 4D-Var find the states again, and know how well.

    python examples/assimilation.py [--cycles 200] [--engine auto] [--output assimilation.png]

Prints the error of the states, the ratio of spread and error (one is right), the mean square of innovations in units of
what is expected (one is right), and how many windows were solved.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.assimilate import Assimilation, Ensemble, Problem, Variational, assimilate

RAIN_ERROR, PROBE_ERROR = 0.3, 0.01
METHODS = {
    "transform filter": Ensemble(40, localisation=0.3),
    "stochastic filter": Ensemble(40, update="stochastic", localisation=0.3),
    "4D-Var": Variational(),
}


def wrong(series: np.ndarray, window: int, random: np.random.Generator) -> np.ndarray:
    """A series with a log-normal factor of mean one for each window."""
    sd = np.sqrt(np.log1p(RAIN_ERROR**2))
    factors = np.exp(sd * random.normal(size=len(series) // window) - sd**2 / 2)
    return series * np.repeat(factors, window)


def column(cycles: int, engine: str, seed: int = 0) -> tuple[Problem, Tensor]:
    """Twenty cells of silt loam, one metre, a probe at three depths each day."""
    random, model, times = np.random.default_rng(seed), dg.models.RichardsColumn(1.0, 20), np.arange(cycles + 1.0)
    depth = np.asarray(model.graph.cell["depth"])
    flux = np.where(random.random(cycles) < 0.3, random.exponential(0.012, cycles), 0.0)
    root = np.linalg.cholesky(0.03**2 * np.exp(-np.abs(depth[:, None] - depth[None]) / 0.3))
    start = (0.25 + root @ random.normal(size=20)).clip(0.1, 0.42)
    real = {"flux": wrong(flux, 1, random)}
    sol = dg.solve(model, forcing=real, times=times, initial={"theta": start}, rtol=1e-6, engine=engine)
    truth = sol.states["theta"][1:].detach()
    seen = []
    for cell in (2, 9, 16):
        values = truth[:, cell] + PROBE_ERROR * torch.from_numpy(random.normal(size=cycles))
        seen.append(dg.observe.Observation("theta", "value", times[1:], values, PROBE_ERROR, cell=cell))
    problem = Problem(
        model,
        times,
        {"flux": flux},
        seen,
        uncertain={"theta": 0.03},
        initial={"theta": 0.25},
        bounds={"theta": (0.079, 0.43)},
        forcing_error={"flux": RAIN_ERROR},
        correlation=0.3,
        settings={"rtol": 1e-4, "engine": engine},
    )
    return problem, truth


def basin(cycles: int, engine: str, window: int = 5, seed: int = 1) -> tuple[Problem, Tensor]:
    """EXP-HYDRO, daily runoff with an error of a tenth; windows of five days."""
    random, n, model = np.random.default_rng(seed), cycles * window, dg.models.ExpHydro()
    days = np.arange(n)
    forcing = {
        "precipitation": np.where(random.random(n) < 0.35, random.exponential(9, n), 0.0),
        "temperature": 10 - 9 * np.cos(2 * np.pi * days / 365) + random.normal(0, 2, n),
        "daylength": 0.5 - 0.15 * np.cos(2 * np.pi * days / 365),
    }
    real = forcing | {"precipitation": wrong(forcing["precipitation"], window, random)}
    times, start = np.arange(n + 1.0), {"snow_storage": 2.0, "water_storage": 900.0}
    begin = start | {"water_storage": 900.0 + 60 * random.normal()}
    sol = dg.solve(model, forcing=real, times=times, initial=begin, rtol=1e-6, engine=engine)
    runoff = sol.fluxes["runoff"].detach().reshape(-1)
    error = torch.clamp(0.1 * runoff, min=0.05)
    values = runoff + error * torch.from_numpy(random.normal(size=n))
    seen = dg.observe.Observation("runoff", "flux_sum", np.stack([times[:-1], times[1:]], 1), values, error)
    problem = Problem(
        model,
        times,
        forcing,
        [seen],
        uncertain={"snow_storage": 1.0, "water_storage": 60.0},
        initial=start,
        forcing_error={"precipitation": RAIN_ERROR},
        settings={"rtol": 1e-5, "engine": engine},
    )
    return problem, torch.cat([sol.states[k][window::window].reshape(-1, 1) for k in problem.uncertain], 1).detach()


def main(
    cycles: int = 200, engine: str = "auto", output: Path = Path("assimilation.png")
) -> dict[str, dict[str, Assimilation]]:
    """What each method finds in each twin."""
    found: dict[str, dict[str, Assimilation]] = {}
    truths = {}
    for name, (problem, truth), window in (("column", column(cycles, engine), 1), ("basin", basin(cycles, engine), 5)):
        found[name], truths[name] = {}, truth
        for label, method in METHODS.items():
            result = found[name][label] = assimilate(problem, method, window=window)
            skip = min(5, cycles // 2)
            error = result.error(truth, skip=skip)
            shown = f"{float(error.square().mean().sqrt()):.4f}" if name == "column" else f"{float(error[1]):.2f} mm"
            # Of the store that runoff tells of; snow is zero most of the time.
            of = slice(None) if name == "column" else slice(1, 2)
            spread = (
                result.analysis_sd[skip:, of].square().mean() / (result.analysis - truth)[skip:, of].square().mean()
            )
            print(
                f"{name}, {label}: error {shown}, spread over error {float(spread) ** 0.5:.2f}, innovations "
                f"{result.reduced_chi_squared:.2f}, {result.solves} windows solved, {len(result.failures)} failed"
            )
    draw(truths, found, output)
    return found


def draw(truths: dict[str, Tensor], found: dict[str, dict[str, Assimilation]], output: Path) -> None:
    figure, axes = plt.subplots(2, 1, figsize=(9, 6), layout="constrained", sharex=True)
    for axis, (name, number, label) in zip(
        axes, (("column", 13, "water content between two probes"), ("basin", 1, "stored water, mm")), strict=True
    ):
        result, truth = found[name]["transform filter"], truths[name]
        cycles = np.arange(1, len(truth) + 1)
        mean, sd = result.analysis[:, number], result.analysis_sd[:, number]
        axis.fill_between(cycles, mean - 2 * sd, mean + 2 * sd, alpha=0.25, label="two standard deviations")
        axis.plot(cycles, mean, label="transform filter")
        axis.plot(cycles, found[name]["4D-Var"].analysis[:, number], "C1", lw=0.9, label="4D-Var")
        axis.plot(cycles, truth[:, number], "k", lw=0.9, label="truth")
        axis.set(ylabel=label, title=name)
    axes[0].legend()
    axes[1].set(xlabel="cycle")
    figure.savefig(output, dpi=110)
    plt.close(figure)
    print(f"wrote {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--output", type=Path, default=Path("assimilation.png"))
    main(**vars(parser.parse_args()))
