"""HBV with a unit hydrograph, calibrated by gradient to what it made itself: snow melt, soil, two groundwater zones.

    python examples/hbv.py

The unit hydrograph is a convolution after the solve; gradients reach its parameters and those of the model together.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.processes.unit_hydrograph import convolve, gamma_weights

TRUE = {"BETA": 2.5, "FC": 200.0, "K1": 0.15, "CFMAX": 3.5, "shape": 2.5}
FIRST = {"BETA": 1.5, "FC": 300.0, "K1": 0.08, "CFMAX": 2.0, "shape": 1.5}


def weather(days: int) -> dict[str, np.ndarray]:
    """A winter with snow, thaw and a warm summer; rain on some days."""
    random, day = np.random.default_rng(3), np.arange(days)
    season = np.cos(2 * np.pi * (day - 15) / 365)
    rain = random.gamma(0.25, 16.0, days)
    temperature = 5.0 - 11.0 * season + random.normal(0.0, 3.0, days)
    return {"precipitation": rain, "temperature": temperature, "potential_evapotranspiration": 2.0 - 1.7 * season}


def main(days: int = 730, steps: int = 25, engine: str = "auto") -> dict[str, float]:
    """Prints what is found; returns the relative errors."""
    model, forcing = dg.models.HBV(), weather(days)

    def runoff(values: dict[str, torch.Tensor]) -> torch.Tensor:
        sol = dg.solve(
            model,
            {k: v for k, v in values.items() if k != "shape"},
            forcing=forcing,
            initial={"soil_moisture": 120.0, "lower_zone": 30.0},
            times=np.arange(days + 1.0),
            engine=engine,
            rtol=1e-5,
        )
        return convolve(sol.fluxes["runoff"], gamma_weights(values["shape"], torch.tensor(1.2, dtype=torch.float64)))

    observed = runoff({k: torch.tensor(v, dtype=torch.float64) for k, v in TRUE.items()}).detach()
    # Logarithms keep values positive, and of one size.
    logs = {k: torch.tensor(np.log(v), dtype=torch.float64, requires_grad=True) for k, v in FIRST.items()}
    search = torch.optim.LBFGS([*logs.values()], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        loss = 1 - dg.losses.nse(runoff({k: v.exp() for k, v in logs.items()})[30:], observed[30:])
        loss.backward()
        return loss

    search.step(closure)
    found = {k: v.exp().item() for k, v in logs.items()}
    for name, value in found.items():
        print(f"{name:6} {value:8.4f}, true {TRUE[name]:g}")
    return {k: abs(v / TRUE[k] - 1) for k, v in found.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    main(engine=parser.parse_args().engine)
