"""Makes `numbers.json`: `python -m pydiffgeo.verification.references.make [NAME ...]`. Needs SciPy; takes an hour."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...arrays import Array
from ..pollution import POLLU
from ..stiff import HIRES, OREGO, ROBERTSON, VAN_DER_POL
from ..weather import DAYS, basin_weather, daily_rain
from . import basin_models, infiltration, rainfall_runoff, stiff

FILE = Path(__file__).with_name("numbers.json")


def _exphydro() -> dict[str, list[float]]:
    days = 1096
    parameters = {"f": 0.017, "S_max": 900.0, "Q_max": 18.0, "D_f": 2.6, "T_max": 0.8, "T_min": -1.2}
    series = basin_models.exphydro(parameters, (0.0, 850.0), *basin_weather(days))
    series["evapotranspiration"] = series["evapotranspiration"].cumsum()
    monthly = np.arange(0, days, 30)
    return {"day": (monthly + 1).tolist(), **{name: values[monthly].tolist() for name, values in series.items()}}


def _monthly(series: dict[str, Array]) -> dict[str, list[float]]:
    """Stores and flows every thirty days, losses and gains summed up."""
    for name in {"evapotranspiration", "exchange"} & {*series}:
        series[name] = series[name].cumsum()
    some = np.arange(0, len(series["runoff"]), 30)
    return {"day": (some + 1).tolist(), **{name: values[some].tolist() for name, values in series.items()}}


def _hbv() -> dict[str, list[float]]:
    rain, temperature, hours = basin_weather(1096)
    demand = rainfall_runoff.hamon(temperature, hours)
    weather = {"precipitation": rain, "temperature": temperature, "potential_evapotranspiration": demand}
    start = [0.0, 0.0, 120.0, 5.0, 30.0]
    return _monthly(rainfall_runoff.hbv(rainfall_runoff.TEN_DAYS["parameters"], start, weather))


def _gr4j() -> dict[str, list[float]]:
    rain, temperature, hours = basin_weather(1096)
    basin = {"X1": 320.0, "X2": -1.2, "X3": 70.0, "X4": 1.4}
    return _monthly(
        rainfall_runoff.gr4j(**basin, start=(200.0, 40.0), rain=rain, demand=rainfall_runoff.hamon(temperature, hours))
    )


def _stiff() -> dict[str, list[float]]:
    doubt = {s.key: stiff.confirm(s) for s in (ROBERTSON, VAN_DER_POL, HIRES, OREGO, POLLU)}
    print("  published and recomputed differ by", {k: f"{v:.1e}" for k, v in doubt.items()})
    if max(doubt.values()) > 1e-8:
        raise ArithmeticError(f"the published digits are not confirmed: {doubt}")
    return stiff.PUBLISHED


RECIPES: dict[str, Callable[[], object]] = {
    "celia_1": infiltration.celia_1,
    "celia_2": infiltration.celia_2,
    "haverkamp_sand": infiltration.haverkamp_sand,
    "sorptivity_loam": infiltration.sorptivity_loam,
    "ponding": infiltration.ponding,
    "ten_years": lambda: infiltration.ten_years(daily_rain(DAYS) / 1000),
    "exphydro": _exphydro,
    "hbv": _hbv,
    "hbv_ten_days": rainfall_runoff.ten_days,
    "gr4j": _gr4j,
    "stiff": _stiff,
    "robertson_gradient": stiff.robertson_gradient,
    "miller_sand": lambda: infiltration.miller("sand"),
    "miller_loam": lambda: infiltration.miller("loam"),
    "miller_clay_loam": lambda: infiltration.miller("clay_loam"),
}


def main(names: list[str]) -> None:
    """Makes the numbers of some recipes, or of all, anew."""
    for name in names or [*RECIPES]:
        started = time.perf_counter()
        made = RECIPES[name]()
        # Read just before writing, so that several runs can share the work.
        numbers = json.loads(FILE.read_text()) if FILE.exists() else {}
        numbers[name] = json.loads(json.dumps(made, default=lambda v: v.tolist()))
        FILE.write_text(json.dumps(dict(sorted(numbers.items())), indent=1) + "\n")
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
