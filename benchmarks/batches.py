"""Batches of small basins: loss and gradient of all members in lockstep, and one after the other.

    python benchmarks/batches.py [--members 60] [--years 2] [--rtol 1e-3] [--solver Rodas3P] [--euler] [--jacobians] [--data ../data]

Each member has parameters and weather of its own: EXP-HYDRO, and an HBV with snow, soil and two stores written as a
user would, with fourteen parameters; with `--models ready_hbv` that of `dg.models`. Weather is synthetic, from a seed, or
that of CAMELS-US where `--data` names a folder with `camels_us_60.nc`. With `--euler` steps are those of implicit Euler, of
a day each; with `--jacobians` the runoff of all days is differentiated to all parameters instead of a loss. Prints processor
seconds (the least of the rounds, both ways in turns), the ratio of the two, steps, members that failed, and the peak of memory
above that of the engine once it has started. One thread: set JULIA_NUM_THREADS for more.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.engines.julia.session import in_julia
from pydiffgeo.model import Place

HBV = {
    **{"TT": 0.0, "CFMAX": 3.5, "SFCF": 1.0, "CFR": 0.05, "CWH": 0.1, "FC": 250.0, "LP": 0.7, "BETA": 2.0},
    **{"PERC": 1.5, "UZL": 20.0, "K0": 0.3, "K1": 0.1, "K2": 0.03, "CFLUX": 0.5},
}
STORES = {"snow": (0.0, 0.5), "liquid": (0.0, 0.1), "soil": (100.0, 1.0), "upper": (5.0, 0.2), "lower": (20.0, 1.0)}


def _ramp(x: torch.Tensor, width: float) -> torch.Tensor:
    return 0.5 * (x + torch.sqrt(x * x + width * width))


def _present(store: torch.Tensor, width: float) -> torch.Tensor:
    return 1 - torch.exp(-torch.relu(store) / width)


def hbv_rates(cell: Place, forcing: Place) -> dict[str, torch.Tensor]:
    """HBV (Bergstroem 1976, SMHI RHO 7; capillary flux of Lindstroem et al. 1997, J. Hydrol. 201) in continuous time."""
    snowing = 0.5 * (1 + torch.tanh((cell.TT - forcing.temperature) / 0.5))
    snowfall, rain = snowing * forcing.precipitation * cell.SFCF, (1 - snowing) * forcing.precipitation
    melt = _present(cell.snow, 0.5) * cell.CFMAX * _ramp(forcing.temperature - cell.TT, 0.2)
    refreeze = _present(cell.liquid, 0.5) * cell.CFR * cell.CFMAX * _ramp(cell.TT - forcing.temperature, 0.2)
    drained = 10.0 * _ramp(cell.liquid - cell.CWH * cell.snow, 0.1)
    wet = torch.clamp(cell.soil / cell.FC, 1e-6, 1.0)
    recharge = drained * wet**cell.BETA + 10.0 * _ramp(cell.soil - cell.FC, 0.1)
    demand = dg.processes.evaporation.hamon(forcing.temperature, forcing.daylength)
    evaporation = demand * torch.clamp(wet / cell.LP, max=1.0)
    above = _present(cell.upper, 0.2)
    rise, percolation = above * cell.CFLUX * (1 - wet), above * cell.PERC
    quick, slow = cell.K0 * _ramp(cell.upper - cell.UZL, 0.1) + cell.K1 * cell.upper, cell.K2 * cell.lower
    return {
        "snow": snowfall + refreeze - melt,
        "liquid": rain + melt - refreeze - drained,
        "soil": drained - recharge - evaporation + rise,
        "upper": recharge - rise - percolation - quick,
        "lower": percolation - slow,
        "runoff": quick + slow,
    }


def hbv() -> dg.Model:
    return dg.Model(
        "HBV",
        dg.single_cell(),
        states=tuple(dg.State(name, "mm", "", start, nominal=size) for name, (start, size) in STORES.items()),
        parameters=tuple(dg.Parameter(name, "1", "", value) for name, value in HBV.items()),
        forcings=tuple(dg.ForcingVariable(name, "1", "") for name in ("precipitation", "temperature", "daylength")),
        fluxes=(dg.IntegratedFlux("runoff", "mm", ""),),
        source=hbv_rates,
    )


def weather(members: int, days: int, data: Path | None) -> dict[str, torch.Tensor]:
    """Precipitation (mm/d), temperature (degC) and daylength (h), each `(members, days)`."""
    if data is not None:
        import h5py

        with h5py.File(data / "camels_us_60.nc") as file:
            names = {"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl"}
            series = {k: np.nan_to_num(np.asarray(file[name][:, :days], np.float64)) for k, name in names.items()}
        return {k: torch.tensor(np.resize(v, (members, days))) for k, v in series.items()}
    random, day = np.random.default_rng(7), np.arange(days)
    season = np.cos(2 * np.pi * (day - 20) / 365.25) + np.zeros((members, 1))
    rain = np.where(random.random((members, days)) < 0.33, random.gamma(0.8, 10.0, (members, days)), 0.0)
    temperature = 6.0 - 9.0 * season + 3.0 * random.standard_normal((members, days))
    series = {"precipitation": rain, "temperature": temperature, "daylength": 12.0 - 4.0 * season}
    return {k: torch.tensor(v) for k, v in series.items()}


def solved(model: dg.Model, x: torch.Tensor, forcing: dict[str, torch.Tensor], how: dict[str, Any]) -> dg.Solution:
    """Solves for parameters `x` `(members, parameters)`."""
    return dg.solve(
        model,
        {p.name: x[:, i : i + 1] for i, p in enumerate(model.parameters)},
        forcing={v.name: forcing[v.name] for v in model.forcings},
        times=range(forcing["temperature"].shape[1] + 1),
        engine="julia",
        throw=False,
        **how,
    )


def differentiated(
    model: dg.Model, x: torch.Tensor, forcing: dict[str, torch.Tensor], how: dict[str, Any], jacobians: bool
) -> dg.Solution:
    """The solution, after a loss of its runoff was taken back to the parameters, or its Jacobians were computed."""
    if jacobians:
        found: list[dg.Solution] = []

        def runoff(x: torch.Tensor) -> torch.Tensor:
            found.append(solved(model, x, forcing, how))
            return found[-1].fluxes["runoff"]

        dg.jacobian(runoff, x.detach(), mode="forward")
        return found[-1]
    solution = solved(model, x, forcing, how)
    torch.autograd.grad(solution.fluxes["runoff"].square().mean(), x)
    return solution


def lockstep(on: bool) -> None:
    in_julia(lambda package: package.module.seval(f"FEW[] = {3 if on else 'typemax(Int)'}; nothing"))


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=60)
    parser.add_argument("--years", type=float, default=2.0)
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--solver", default="auto", help="Rodas5P is the choice of the engine; Rodas3P")
    parser.add_argument("--euler", action="store_true", help="steps of implicit Euler, of a day each")
    parser.add_argument(
        "--jacobians", action="store_true", help="of the runoff to all parameters, in the place of a gradient"
    )
    parser.add_argument("--models", nargs="+", choices=("exphydro", "hbv", "ready_hbv"), default=["exphydro", "hbv"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="folder with camels_us_60.nc")
    given = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    days = round(365 * given.years)
    forcing = weather(given.members, days, given.data)
    demand = dg.processes.evaporation.hamon(forcing["temperature"], forcing["daylength"])
    forcing["potential_evapotranspiration"] = demand
    random = np.random.default_rng(0)
    in_julia(lambda package: None)
    started = peak()
    how: dict[str, Any] = {"rtol": given.rtol, "atol": given.rtol, "solver": given.solver}
    if given.euler:
        how = {"solver": "implicit_euler", "step": 1.0}
    what = "Jacobians" if given.jacobians else "gradients"
    print(f"{what} of {given.members} members, {days} days, {how}; engine started with {started:.0f} MB")
    print(
        f"{'model':10}{'lockstep s':>12}{'in turn s':>11}{'ratio':>7}{'steps':>10}{'failed':>8}{'first s':>9}{'peak MB':>9}"
    )
    known = {"exphydro": dg.models.ExpHydro, "hbv": hbv, "ready_hbv": dg.models.HBV}
    for name in given.models:
        model = known[name]()
        x = torch.tensor(
            [[p.default * (1 + 0.1 * random.uniform(-1, 1)) for p in model.parameters] for _ in range(given.members)]
        ).requires_grad_()

        best, first = {True: float("inf"), False: float("inf")}, float("nan")
        above, steps, failed = float("nan"), 0, 0
        for number in range(given.rounds + 1):
            for on in (True, False):
                lockstep(on)
                begun = time.process_time()
                solution = differentiated(model, x, forcing, how, given.jacobians)
                seconds = time.process_time() - begun
                if number == 0 and on:
                    first, above, steps = seconds, peak() - started, sum(solution.stats["steps"] or [])
                    failed = int((~solution.ok).sum())
                elif number > 0:
                    best[on] = min(best[on], seconds)
        lockstep(True)
        ratio = best[False] / best[True]
        print(f"{name:10}{best[True]:12.3f}{best[False]:11.3f}{ratio:7.1f}{steps:10}{failed:8}{first:9.1f}{above:9.0f}")


if __name__ == "__main__":
    main()
