"""Bring your own model: a hillslope aquifer that drains to a stream, from its equation to calibrated values.

    python examples/own_model.py

The aquifer under a hillslope is recharged by rain and drains towards a stream (Boussinesq 1877; here with its
horizontal base at the level of the stream). It is declared in thirty lines of plain PyTorch, its gradient is
checked, and its conductivity and specific yield are calibrated from two wells and the flow of the stream.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import pydiffgeo as dg


def Hillslope(length: float = 100.0, cells: int = 20) -> dg.Model:
    """Unconfined aquifer of unit width between a divide and a stream; metres and days."""

    def closure(cell):
        # The state is water per volume of a slice of unit height: head times specific yield.
        return {"head": cell.water / cell.specific_yield}

    def flux(left, right, face):
        # Dupuit: what passes is conductivity times saturated thickness times the slope of the water table.
        return {"water": left.K * 0.5 * (left.head + right.head) * (left.head - right.head) / face.distance}

    def recharge(cell, forcing):
        return {"water": forcing.recharge, "recharge": forcing.recharge}

    def stream(cell, forcing, face):
        level = 0.5  # m above the base
        out = cell.K * 0.5 * (cell.head + level) * (cell.head - level) / face.distance
        return {"water": -out, "baseflow": out}

    return dg.Model(
        name="Hillslope",
        graph=dg.column(length, cells),
        states=(dg.State("water", "m", "drainable water above the base", default=0.2, low=0.0),),
        parameters=(
            dg.Parameter(
                "K", "m d-1", "hydraulic conductivity", 10.0, low=0.0, open_low=True, typical=(0.5, 100.0), log=True
            ),
            dg.Parameter(
                "specific_yield", "1", "drainable porosity", 0.1, low=0.0, high=1.0, open_low=True, typical=(0.02, 0.4)
            ),
        ),
        forcings=(dg.ForcingVariable("recharge", "m d-1", "recharge of the aquifer", low=0.0),),
        fluxes=(
            dg.IntegratedFlux("recharge", "m2", "recharge, per unit width", balance=+1),
            dg.IntegratedFlux("baseflow", "m2", "flow to the stream, per unit width", balance=-1),
        ),
        outputs=(dg.Output("head", "m", "water table above the base"),),
        closure=closure,
        source=recharge,
        flux=flux,
        output=lambda cell: {"head": cell.head},
        boundaries=(
            dg.Boundary("stream", cells=(cells - 1,), function=stream, geometry={"distance": length / cells / 2}),
        ),
        reference="Boussinesq 1877, Essai sur la theorie des eaux courantes; Dupuit 1863",
    )


def main(days: int = 365, steps: int = 15, engine: str = "auto") -> dict[str, float]:
    """Prints what is found; returns the relative errors of the gradient and of the values."""
    random = np.random.default_rng(3)
    model, times = Hillslope(), np.arange(days + 1.0)
    rain = random.gamma(0.2, 0.02, days) * (1 + np.cos(2 * np.pi * np.arange(days) / 365)) / 2
    forcing, settings = {"recharge": torch.from_numpy(rain)}, {"engine": engine, "rtol": 1e-6, "atol": 1e-8}
    true = {"K": 12.0, "specific_yield": 0.15}
    truth = dg.solve(model, true, forcing=forcing, times=times, **settings)
    print(f"water balance closes to {truth.balance.item():.1e} of {rain.sum() * 100:.1f} m2 of recharge")

    # The adjoint against differences, along both parameters.
    at = torch.tensor([10.0, 0.1], dtype=torch.float64, requires_grad=True)

    def flow(p):
        return (
            dg.solve(
                model, {"K": p[0], "specific_yield": p[1]}, forcing=forcing, times=times, **{**settings, "rtol": 1e-9}
            )
            .fluxes["baseflow"]
            .square()
            .sum()
        )

    flow(at).backward()
    worst = 0.0
    for i in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[i] = 1e-4 * at[i].item()
        with torch.no_grad():
            difference = ((flow(at + step) - flow(at - step)) / (2 * step[i])).item()
        worst = max(worst, abs(difference - at.grad[i].item()) / abs(difference))
    print(f"gradient against central differences: {worst:.1e}")

    wells = [
        dg.observe.Observation(
            "head",
            "value",
            times[1:],
            dg.observe.heads(truth, times[1:], cell=cell).numpy() + random.normal(0, 0.02, days),
            error=0.02,
            cell=cell,
        )
        for cell in (4, 14)
    ]
    weeks = np.stack([times[:-7:7], times[7::7]], axis=1)
    amount = dg.observe.flux_sums(truth, "baseflow", weeks).numpy()
    stream = dg.observe.Observation(
        "baseflow", "flux_sum", weeks, amount * random.normal(1.0, 0.05, len(weeks)), error=0.05 * amount
    )
    site = dg.calibration.Site(
        name="hillslope",
        model=model,
        times=times,
        forcing=forcing,
        observations=(*wells, stream),
        loss="gaussian",
        bounds={"K": None, "specific_yield": None},
        settings={**settings, "rtol": 1e-5},
    )
    found = dg.calibration.calibrate([site], dg.calibration.Strategy(candidates=16, starts=2, finalists=2, steps=steps))
    values = found.values("hillslope")
    print("found", ", ".join(f"{k} {v:.3f} (true {true[k]:g})" for k, v in values.items()))
    return {"gradient": worst} | {k: abs(v - true[k]) / true[k] for k, v in values.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    main(engine=parser.parse_args().engine)
