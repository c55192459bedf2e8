"""Bring your own process: heat conduction in a soil column, declared, solved and calibrated.

Temperatures at three depths are simulated with a known thermal conductivity, and the conductivity is
found again from them by gradient. Conduction: Fourier's law; heat is the conserved state.
"""

from __future__ import annotations

import argparse
import math

import torch

import pydiffgeo as dg


def SoilHeat(depth: float = 2.0, cells: int = 40) -> dg.Model:
    """A column with a given temperature at the surface and no flow at the base; metres, days, MJ."""
    graph = dg.column(depth, cells)

    def flux(left, right, face):
        # Two half cells in series: the harmonic mean of their conductivities.
        conductivity = 2 / (1 / left.conductivity + 1 / right.conductivity)
        return {"heat": conductivity * (left.temperature - right.temperature) / face.distance}

    def surface(cell, forcing, face):
        into = cell.conductivity * (forcing.surface_temperature - cell.temperature) / face.distance
        return {"heat": into, "ground_heat_flux": into}

    return dg.Model(
        name="SoilHeat",
        graph=graph,
        states=(dg.State("heat", "MJ m-3", "heat above 0 degC", default=0.0),),
        parameters=(
            dg.Parameter("conductivity", "MJ m-1 d-1 K-1", "thermal conductivity", 0.1, low=0.0, open_low=True),
            dg.Parameter("capacity", "MJ m-3 K-1", "volumetric heat capacity", 2.2, low=0.0, open_low=True),
        ),
        forcings=(dg.ForcingVariable("surface_temperature", "degC", "temperature of the surface"),),
        fluxes=(dg.IntegratedFlux("ground_heat_flux", "MJ m-2", "heat into the soil", balance=+1),),
        outputs=(dg.Output("temperature", "degC", "soil temperature"),),
        closure=lambda cell: {"temperature": cell.heat / cell.capacity},
        flux=flux,
        output=lambda cell: {"temperature": cell.temperature},
        boundaries=(dg.Boundary("surface", (0,), surface, {"distance": graph.cell["thickness"][0] / 2}),),
        reference="Fourier's law; Carslaw and Jaeger 1959",
    )


def main(days: int = 120, steps: int = 12, engine: str = "auto") -> float:
    """Recovers the conductivity; returns its relative error."""
    model = SoilHeat()
    times = torch.arange(days + 1.0, dtype=torch.float64)
    air = 10 + 12 * torch.sin(2 * math.pi * times / 365) + 3 * torch.sin(2 * math.pi * times / 9)
    forcing = {"surface_temperature": dg.TimeSeries(times, air, "linear")}
    probes = [3, 9, 19]

    def temperatures(conductivity: torch.Tensor) -> torch.Tensor:
        sol = dg.solve(
            model, {"conductivity": conductivity}, forcing=forcing, times=times, initial={"heat": 22.0}, engine=engine
        )
        return sol.outputs["temperature"][:, probes]

    truth = torch.tensor(0.14, dtype=torch.float64)
    with torch.no_grad():
        seen = temperatures(truth)
        seen = seen + 0.05 * torch.randn(seen.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    logarithm = torch.tensor(math.log(0.05), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logarithm], max_iter=steps, line_search_fn="strong_wolfe")

    def misfit() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (temperatures(logarithm.exp()) - seen).square().mean()
        loss.backward()
        return loss

    optimiser.step(misfit)
    found = logarithm.exp().item()
    error = abs(found / truth.item() - 1)
    print(f"conductivity {found:.4f}, true {truth.item():.4f} MJ/(m d K), off by {100 * error:.2f} %")
    return error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto")
    main(engine=parser.parse_args().engine)
