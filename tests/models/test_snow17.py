"""SNOW-17 as continuous rates against eight years of the operational code of NOAA."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from corners import DROUGHT, FLOOD, NOTHING, Weather, corners, ends_within_bounds

import pydiffgeo as dg
from pydiffgeo.errors import ModelError


@pytest.fixture(scope="module")
def record(shared_data: Path) -> dict[str, Any]:
    folder = shared_data / "models" / "snow"
    given = json.loads((folder / "snow17_hhwm8il.json").read_text())
    with open(folder / "snow17_hhwm8il_1970_1977.csv", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    dates = np.array([row["date"] for row in rows], dtype="datetime64[D]")
    series = {k: np.array([float(row[k]) for row in rows]) for k in rows[0] if k != "date"}
    names = ("SCF", "MFMAX", "MFMIN", "UADJ", "SI", "PXTEMP", "NMF", "TIPM", "MBASE", "PLWHC", "DAYGM")
    parameters = {k: given["parameters"][k.lower()] for k in names} | {"elevation": given["parameters"]["elev"]}
    forcing = {
        "precipitation": series["precipitation_mm"],
        "temperature": series["air_temperature"],
        "day_of_year": (dates - dates.astype("datetime64[Y]")).astype(float) + 1,
    }
    return {"dates": dates, "series": series, "parameters": parameters, "forcing": forcing} | {
        "curve": given["areal_depletion_curve"]
    }


def solve(record: dict[str, Any], engine: str, width: float) -> dg.Solution:
    return dg.solve(
        dg.models.Snow17(record["curve"], width),
        record["parameters"],
        forcing=record["forcing"],
        times=np.arange(len(record["dates"]) + 1.0),
        engine=engine,
        rtol=1e-5,
        atol=1e-5,
    )


def test_eight_years_of_the_operational_code(record: dict[str, Any], engine: str) -> None:
    """The discrete model switches and lags by whole days: it cannot be matched day by day, but closely."""
    sol, series, dates = solve(record, engine, 0.0), record["series"], record["dates"]
    water = (sol.states["ice"] + sol.states["liquid"])[1:, 0]
    expected = series["swe_mm"]
    assert dg.losses.nse(water, torch.from_numpy(expected)).item() > 0.999
    for name, column in (("ice", "we_ice"), ("heat_deficit", "neghs")):
        assert dg.losses.nse(sol.states[name][1:, 0], torch.from_numpy(series[column])).item() > 0.98, name
    found = water.numpy()
    for year in range(1970, 1977):
        inside = (dates >= np.datetime64(f"{year}-10-01")) & (dates < np.datetime64(f"{year + 1}-10-01"))
        assert found[inside].max() == pytest.approx(expected[inside].max(), rel=0.01), year
        last = [np.flatnonzero(w[inside] > 5.0)[-1] for w in (found, expected)]
        assert abs(last[0] - last[1]) <= 2, year
    outflow = sol.fluxes["outflow"].numpy()
    assert outflow.sum() == pytest.approx(series["rain_plus_melt_mm"].sum(), rel=1e-3)
    assert np.corrcoef(outflow, series["rain_plus_melt_mm"])[0, 1] > 0.99
    # What came and went: to round-off, where 1e-6 is asked.
    assert sol.balance.item() < 1e-10 * outflow.sum()


def test_a_width_of_rain_and_snow_changes_little(record: dict[str, Any]) -> None:
    sol, expected = solve(record, "sundials", 1.0), torch.from_numpy(record["series"]["swe_mm"])
    water = (sol.states["ice"] + sol.states["liquid"])[1:, 0]
    assert dg.losses.nse(water, expected).item() > 0.998
    assert water.max().item() == pytest.approx(expected.max().item(), rel=0.05)


@pytest.mark.parametrize("weather", [DROUGHT, FLOOD, NOTHING], ids=["warm", "flood", "nothing"])
@pytest.mark.parametrize("snow", [0.0, 200.0])
def test_every_corner_ends_within_bounds(weather: Weather, snow: float, usual_engine: str) -> None:
    model = dg.models.Snow17()
    start = {"ice": snow, "liquid": 0.02 * snow, "largest": 1.5 * snow, "heat_deficit": 0.05 * snow}
    days = {**weather, "day_of_year": [350.0] * len(weather["precipitation"])}
    ends_within_bounds(model, corners(model, 24, seed=3), days, start, usual_engine, outflows=("outflow",))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"depletion": [0.1, 1.0]}, "depletion must be eleven shares"),
        ({"depletion": [1.0] * 5 + [0.5] * 6}, "depletion must be eleven shares"),
        ({"width": -1.0}, "width must be degrees"),
    ],
)
def test_wrong_choices_are_refused(choice: dict, message: str) -> None:
    with pytest.raises(ModelError, match=f"Snow17: {message}"):
        dg.models.Snow17(**choice)
