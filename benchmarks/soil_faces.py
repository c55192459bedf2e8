"""What each mean of conductivities at the faces of a soil column makes of cells of different size.

`python benchmarks/soil_faces.py` prints the tables of docs/soil.md: the error of an amount, in percent of what very
thin cells give, for five situations, all means, and cells of 10, 5 and 2.5 cm.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.verification.problem import stretched

MEANS = ("arithmetic", "geometric", "upstream", "harmonic", "cell_arithmetic")
SIZES = (0.1, 0.05, 0.025)
FINE = 0.0025
# Carsel and Parrish 1988, Water Resour. Res. 24, table 3
SOILS = {
    "sand": {"theta_r": 0.045, "theta_s": 0.43, "alpha": 14.5, "n": 2.68, "K_s": 7.128},
    "loam": {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496},
    "clay": {"theta_r": 0.068, "theta_s": 0.38, "alpha": 0.8, "n": 1.09, "K_s": 0.048},
}

Amount = Callable[[str, np.ndarray], float]


def layers(thickness: np.ndarray, *parts: tuple[float, str]) -> dict[str, torch.Tensor]:
    """Parameters of each cell; `parts` are the depths at which soils begin."""
    depth = np.cumsum(thickness) - thickness / 2
    found = {}
    for name in SOILS["sand"]:
        values = np.zeros(len(depth))
        for begin, soil in parts:
            values[depth > begin] = SOILS[soil][name]
        found[name] = torch.from_numpy(values)
    return found


def solve(
    mean: str, thickness: np.ndarray, soil: Any, forcing: Any, head: Any, times: Any, **choices: Any
) -> dg.Solution:
    model = dg.models.RichardsColumn(
        float(thickness.sum()), len(thickness), thickness=thickness, face_conductivity=mean, **choices
    )
    return dg.solve(
        model, soil, forcing=forcing, initial={"head": head}, times=times, rtol=1e-5, atol=1e-8, engine="sundials"
    )


def evaporation(soil: str) -> Amount:
    """Evaporation (m) of bare soil in 30 days, of 150 mm that are asked for."""

    def amount(mean: str, thickness: np.ndarray) -> float:
        forcing = {"precipitation": 0.0, "potential_evaporation": 0.005}
        sol = solve(
            mean,
            thickness,
            layers(thickness, (0.0, soil)),
            forcing,
            -1.0,
            [0.0, 30.0],
            top="atmosphere",
            bottom="no_flow",
        )
        return float(sol.fluxes["evaporation"].sum())

    return amount


def front(soil: str, hours: float) -> Amount:
    """Infiltration (m) into dry soil from a wet surface."""

    def amount(mean: str, thickness: np.ndarray) -> float:
        forcing = {"precipitation": 20.0, "potential_evaporation": 0.0}
        sol = solve(
            mean, thickness, layers(thickness, (0.0, soil)), forcing, -10.0, [0.0, hours / 24], top="atmosphere"
        )
        return float(sol.fluxes["infiltration"].sum())

    return amount


def barrier(mean: str, thickness: np.ndarray) -> float:
    """Water (m) that 40 cm of loam have passed on to sand after 30 days of 4 mm/d."""
    sol = solve(mean, thickness, layers(thickness, (0.0, "loam"), (0.4, "sand")), {"flux": 0.004}, -1.0, [0.0, 30.0])
    sand = torch.from_numpy(np.where(np.cumsum(thickness) > 0.4 + 1e-9, thickness, 0.0))
    stored = (sol.states["theta"] * sand).sum(-1)
    return float(stored[-1] - stored[0] + sol.fluxes["drainage"].sum())


def aquitard(mean: str, thickness: np.ndarray) -> float:
    """Drainage (m) in 10 days under a sheet of water, through 10 cm of clay in sand, everything saturated."""
    soil = layers(thickness, (0.0, "sand"), (0.4, "clay"), (0.5, "sand"))
    forcing = {"head": 0.5, "bottom_head": 1.0}
    sol = solve(mean, thickness, soil, forcing, 1.0, [0.0, 1.0, 11.0], top="head", bottom="head")
    return float(sol.fluxes["drainage"][-1])


def perched(mean: str, thickness: np.ndarray) -> float:
    """Drainage (m) in 20 days of 20 mm/d on sand with 10 cm of clay, from a moist start."""
    soil = layers(thickness, (0.0, "sand"), (0.4, "clay"), (0.5, "sand"))
    sol = solve(mean, thickness, soil, {"flux": 0.02}, -0.3, [0.0, 20.0])
    return float(sol.fluxes["drainage"].sum())


AMOUNTS: dict[str, Amount] = {
    "saturated clay in sand": aquitard,
    "rain on sand with clay": perched,
    "loam over dry sand": barrier,
    "front in dry loam": front("loam", 6.0),
    "front in dry sand": front("sand", 0.5),
    "evaporation of loam": evaporation("loam"),
    "evaporation of clay": evaporation("clay"),
}


def main(*names: str) -> None:
    print(f"| situation | thin cells | {' | '.join(MEANS)} |")
    print(f"|---|---|{'---|' * len(MEANS)}")
    for name in names or AMOUNTS:
        amount = AMOUNTS[name]
        thin = stretched(1.0, 160, 400.0) if name.startswith("evaporation") else np.full(round(1 / FINE), FINE)
        known = amount("arithmetic", thin)
        row = []
        for mean in MEANS:
            errors = []
            for size in SIZES:
                try:
                    errors.append(f"{100 * (amount(mean, np.full(round(1 / size), size)) / known - 1):+.3g}")
                except dg.errors.SolverError:
                    errors.append("fails")
            row.append(", ".join(errors))
        print(f"| {name} | {1000 * known:.4g} mm | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
