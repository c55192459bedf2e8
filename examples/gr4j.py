"""GR4J: what its four parameters do to the runoff of a year, by one backward pass each.

python examples/gr4j.py
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import pydiffgeo as dg


def main(days: int = 365, engine: str = "auto") -> dict[str, tuple[float, float]]:
    """Prints changes of total runoff and of the largest day, in per cent, for a parameter that is 1 % larger."""
    random, day = np.random.default_rng(5), np.arange(days)
    forcing = {
        "precipitation": random.gamma(0.3, 14.0, days),
        "potential_evapotranspiration": 2.2 - 1.5 * np.cos(2 * np.pi * (day - 15) / 365),
    }
    values = {"X1": 350.0, "X2": -0.8, "X3": 70.0, "X4": 1.6}
    leaves = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in values.items()}
    sol = dg.solve(
        dg.models.GR4J(),
        leaves,
        forcing=forcing,
        initial={"production_store": 200.0, "routing_store": 40.0},
        times=np.arange(days + 1.0),
        engine=engine,
        rtol=1e-6,
    )
    runoff = sol.fluxes["runoff"]
    totals = runoff.sum(), runoff.max()
    slopes = [torch.autograd.grad(t.log(), [*leaves.values()], retain_graph=True) for t in totals]
    effects = {
        name: (slopes[0][i].item() * abs(values[name]), slopes[1][i].item() * abs(values[name]))
        for i, name in enumerate(leaves)
    }
    print(f"runoff {totals[0].item():.0f} mm, of which {sol.fluxes['exchange'].sum().item():.0f} mm from the exchange")
    for name, (total, peak) in effects.items():
        print(f"1 % of {name}: total runoff {total:+.3f} %, largest day {peak:+.3f} %")
    return effects


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto")
    main(engine=parser.parse_args().engine)
