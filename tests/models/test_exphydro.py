"""Each rate of EXP-HYDRO against its formula written out in NumPy, away from and at its smooth steps."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import pydiffgeo as dg

PARAMETERS = {"f": 0.017, "S_max": 900.0, "Q_max": 18.0, "D_f": 2.6, "T_max": 0.8, "T_min": -1.2}


def rates(snow: float, water: float, rain: float, temperature: float, daylength: float) -> dict[str, float]:
    def tensors(**values: float) -> SimpleNamespace:
        return SimpleNamespace(**{k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})

    model = dg.models.ExpHydro()
    assert model.source is not None
    found = model.source(
        tensors(snow_storage=snow, water_storage=water, **PARAMETERS),
        tensors(precipitation=rain, temperature=temperature, daylength=daylength),
    )
    return {k: v.item() for k, v in found.items()}


def step(x: float) -> float:
    """Hoege et al. 2022, eq 7, as the logistic function that it is."""
    return float(np.exp(-np.logaddexp(0.0, -10.0 * x)))


def hamon(temperature: float, daylength: float) -> float:
    """Patil and Stieglitz 2014, eq 5: saturation vapour pressure (kPa) over absolute temperature, per hour of light."""
    return 29.8 * daylength * 0.611 * np.exp(17.3 * temperature / (temperature + 237.3)) / (temperature + 273.2)


def expected(snow: float, water: float, rain: float, temperature: float, daylength: float) -> dict[str, float]:
    """Hoege et al. 2022, eqs 2 to 6 with the steps of eq 7."""
    p = SimpleNamespace(**PARAMETERS)
    melt = step(temperature - p.T_max) * step(snow) * min(snow, p.D_f * (temperature - p.T_max))
    snowfall, rainfall = rain * step(p.T_min - temperature), rain * step(temperature - p.T_min)
    full, filling, wet = step(water - p.S_max), step(p.S_max - water), step(water)
    et = wet * hamon(temperature, daylength) * (full + filling * water / p.S_max)
    base = wet * p.Q_max * (full + filling * np.exp(-p.f * (p.S_max - water)))
    surface = wet * full * (water - p.S_max)
    return {
        "snow_storage": snowfall - melt,
        "water_storage": rainfall + melt - et - base - surface,
        "precipitation": snowfall + rainfall,
        "evapotranspiration": et,
        "runoff": base + surface,
        "base_flow": base,
        "snowmelt": melt,
    }


@pytest.mark.parametrize("snow", [0.0, 0.1, 3.0, 200.0])
@pytest.mark.parametrize("water", [0.05, 400.0, 899.95, 930.0])
@pytest.mark.parametrize("weather", [(4.0, -8.0, 9.0), (4.0, -1.25, 10.0), (0.0, 0.9, 11.0), (12.0, 17.0, 15.5)])
def test_rates_are_the_published_ones(snow: float, water: float, weather: tuple[float, float, float]) -> None:
    found, right = rates(snow, water, *weather), expected(snow, water, *weather)
    assert {*found} == {*right}
    for name, value in right.items():
        assert found[name] == pytest.approx(value, rel=1e-10, abs=1e-12), name


def test_rates_in_plain_numbers() -> None:
    # 20 degC and 12 h: 0.611 exp(346 / 257.3) = 2.3444 kPa; 29.8 * 12 * 2.3444 / 293.2 = 2.8594 mm/d; half full.
    warm = rates(100.0, 450.0, 5.0, 20.0, 12.0)
    assert warm["evapotranspiration"] == pytest.approx(2.8594 / 2, rel=1e-3)
    # 2.6 mm/d/K times 19.2 K.
    assert warm["snowmelt"] == pytest.approx(49.92, rel=1e-9)
    # 18 exp(-0.017 * 450).
    assert warm["base_flow"] == pytest.approx(18 * 4.762e-4, rel=1e-3)
    # A full store: base flow at its largest, and what is above runs off within a day.
    over = rates(0.0, 910.0, 0.0, 20.0, 12.0)
    assert over["runoff"] == pytest.approx(18.0 + 10.0, rel=1e-9)
    assert over["evapotranspiration"] == pytest.approx(2.8594, rel=1e-3)
    # Deep frost: all of it is snow, and none melts.
    assert rates(100.0, 450.0, 5.0, -10.0, 8.0)["snow_storage"] == pytest.approx(5.0, rel=1e-9)


def test_what_goes_into_the_stores_is_what_fluxes_say() -> None:
    for case in ((50.0, 880.0, 7.0, 0.3, 10.0), (0.02, 0.1, 3.0, -1.1, 9.0)):
        found = rates(*case)
        stored = found["snow_storage"] + found["water_storage"]
        assert stored == pytest.approx(
            found["precipitation"] - found["evapotranspiration"] - found["runoff"], rel=1e-12
        )
