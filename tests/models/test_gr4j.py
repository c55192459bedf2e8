"""GR4J in state-space form against 120 days of an independent solver, and at the corners of its ranges."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from corners import DROUGHT, FLOOD, NOTHING, Weather, corners, ends_within_bounds

import pydiffgeo as dg


def test_a_hundred_and_twenty_days(shared_data: Path, engine: str) -> None:
    folder = shared_data / "models" / "hbv"
    with open(folder / "gr4j_continuous_120_days.csv", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    given = json.loads((folder / "gr4j.json").read_text())
    parameters = {key.split("_")[0]: value for key, value in given["parameters"].items()}
    start = {k: given["initial_continuous"][k] for k in ("production_store", "routing_store")}

    def series(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    sol = dg.solve(
        dg.models.GR4J(),
        parameters,
        forcing={k: series(k) for k in ("precipitation", "potential_evapotranspiration")},
        initial=start,
        times=np.arange(121.0),
        engine=engine,
        rtol=1e-8,
        atol=1e-8,
    )
    for name in ("production_store", "routing_store"):
        assert sol.states[name][1:, 0].numpy() == pytest.approx(series(name), abs=1e-5)
    waves = sum(sol.states[f"hydrograph_{i}"][1:, 0].numpy() for i in range(1, 12))
    assert waves == pytest.approx(series("unit_hydrograph_stores"), abs=1e-5)
    assert sol.fluxes["runoff"].numpy() == pytest.approx(series("discharge"), abs=1e-5)
    assert sol.fluxes["evapotranspiration"].numpy() == pytest.approx(series("actual_evapotranspiration"), abs=1e-5)
    # The file has that of one branch; nothing is held back here, so that both have the same.
    assert sol.fluxes["exchange"].numpy() == pytest.approx(2 * series("exchange"), abs=1e-5)
    assert sol.fluxes["runoff"].sum().item() == pytest.approx(496.2844, abs=1e-3)


def test_a_unit_of_rain_arrives_about_x4_later(engine: str) -> None:
    """The eleven reservoirs are a gamma distribution of shape 11: its mean is 1.1 times X4."""
    model, x4 = dg.models.GR4J(), 2.0
    start = {"hydrograph_1": 1.0}
    sol = dg.solve(
        model,
        {"X4": x4},
        forcing={k.name: 0.0 for k in model.forcings},
        initial=start,
        times=[0, 2, 2.2, 30],
        engine=engine,
        rtol=1e-9,
        atol=1e-12,
    )
    left = sum(sol.states[f"hydrograph_{i}"][:, 0].numpy() for i in range(1, 12))

    def still_there(t: float) -> float:
        """Of a gamma distribution of whole shape: a Poisson sum."""
        term, total = 1.0, 0.0
        for k in range(11):
            total += term
            term *= t * 10 / x4 / (k + 1)
        return total * np.exp(-t * 10 / x4)

    assert left == pytest.approx([still_there(t) for t in (0.0, 2.0, 2.2, 30.0)], abs=1e-8)
    # Its mode is X4 itself.
    assert still_there(x4 + 1e-3) - 2 * still_there(x4) + still_there(x4 - 1e-3) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("weather", [DROUGHT, FLOOD, NOTHING], ids=["drought", "flood", "nothing"])
@pytest.mark.parametrize("filled", [0.0, 1.0, 3.0])
def test_every_corner_ends_within_bounds(weather: Weather, filled: float, engine: str) -> None:
    """All sixteen; stores empty, at the capacity of the smallest, and far above it."""
    model = dg.models.GR4J()
    values = corners(model, 24, seed=1)
    ends_within_bounds(
        model, values, weather, {"production_store": 100.0 * filled, "routing_store": 20.0 * filled}, engine
    )
