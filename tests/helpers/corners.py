"""Weather and parameters at their extremes: what must not take a store below empty, or end without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

import pydiffgeo as dg

Weather = Mapping[str, list[float]]
# A summer without rain; half a metre of rain on snow within two days; nothing at all.
DROUGHT: Weather = {
    "precipitation": [0.0] * 20,
    "temperature": [25.0] * 20,
    "potential_evapotranspiration": [9.0] * 20,
}
FLOOD: Weather = {
    "precipitation": [20.0, 20.0, 0.0, 250.0, 250.0, 0.0, 0.0, 80.0, 0.0, 0.0],
    "temperature": [-10.0, -3.0, 0.1, 12.0, 15.0, -5.0, 0.0, 2.4, 20.0, -20.0],
    "potential_evapotranspiration": [0.0, 0.1, 1.0, 0.5, 0.5, 0.0, 3.0, 1.0, 6.0, 0.0],
}
NOTHING: Weather = {"precipitation": [0.0] * 10, "temperature": [0.0] * 10, "potential_evapotranspiration": [0.0] * 10}


def corners(model: dg.Model, count: int, seed: int) -> dict[str, np.ndarray]:
    """`count` random corners of the usual ranges, name -> `(count,)`; the two where all are at one end come first."""
    random = np.random.default_rng(seed)
    chosen = random.integers(0, 2, (count, len(model.parameters)))
    chosen[0], chosen[1] = 0, 1
    values = {}
    for i, p in enumerate(model.parameters):
        assert p.typical is not None
        values[p.name] = np.array(p.typical)[chosen[:, i]]
    return values


def ends_within_bounds(
    model: dg.Model,
    values: Mapping[str, np.ndarray],
    weather: Weather,
    start: Mapping[str, float],
    engine: str,
    *,
    outflows: Sequence[str] = ("evapotranspiration", "runoff"),
) -> None:
    """Solves all members; every one succeeds, keeps its stores and outflows from falling below nothing, and its balance."""
    forcing = {f.name: weather[f.name] for f in model.forcings}
    days = len(forcing["precipitation"])
    rtol = 1e-6
    sol = dg.solve(
        model,
        {k: torch.as_tensor(v).unsqueeze(1) for k, v in values.items()},
        forcing=forcing,
        initial=start,
        times=np.arange(days + 1.0),
        engine=engine,
        rtol=rtol,
        atol=rtol,
        throw=False,
    )
    assert sol.ok.all(), [str(s) for s in sol.status]
    for state in model.states:
        lowest = sol.states[state.name].min().item()
        assert lowest >= state.low - 100 * rtol, (state.name, lowest)
    for name in outflows:
        assert sol.fluxes[name].min().item() >= -100 * rtol, name
    scale = 1.0 + sol.storage.abs().max().item() + sol.fluxes["precipitation"].sum(-1).max().item()
    assert sol.balance.max().item() < 1e-10 * scale
