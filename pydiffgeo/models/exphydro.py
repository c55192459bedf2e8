"""EXP-HYDRO: a two-store basin with snow (Patil and Stieglitz 2014), in smooth form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from ..model.declaration import ForcingVariable, IntegratedFlux, Model, Parameter, State
from ..model.graph import single_cell
from .remember import remembered

SOURCE = (
    "Patil and Stieglitz 2014, Hydrol. Process. 28; smooth step functions and ranges of "
    "Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26"
)


# The smooth steps of the model rise over this much storage (mm).
WIDTH = 0.2


@remembered
def ExpHydro() -> Model:
    """Snow store and catchment store of one basin, in millimetres and days.

    Forcings are daily `precipitation` (mm/d), air `temperature` (degC) and `daylength` (h).
    `runoff` is base flow plus surface flow. See `model.describe()` for every name.
    """
    return Model(
        name="ExpHydro",
        graph=single_cell(),
        states=(
            State("snow_storage", "mm", "water in the snow pack (S0)", default=0.0, low=0.0, size=WIDTH),
            State("water_storage", "mm", "water in the catchment (S1)", default=1000.0, low=0.0, size=WIDTH),
        ),
        parameters=(
            Parameter("f", "mm-1", "decline of base flow with storage", 0.02, 0.0, typical=(0.0, 0.1), source=SOURCE),
            Parameter("S_max", "mm", "storage at which the catchment is full", 1000.0, 0.0, open_low=True,
                      typical=(100.0, 1500.0), source=SOURCE),
            Parameter("Q_max", "mm d-1", "base flow of the full catchment", 20.0, 0.0, typical=(10.0, 50.0), source=SOURCE),
            Parameter("D_f", "mm d-1 degC-1", "degree-day factor of melt", 2.5, 0.0, typical=(0.01, 5.0), source=SOURCE),
            Parameter("T_max", "degC", "temperature above which snow melts", 1.0, -20.0, 20.0, typical=(0.0, 3.0), source=SOURCE),
            Parameter("T_min", "degC", "temperature below which precipitation is snow", -1.0, -20.0, 20.0,
                      typical=(-3.0, 0.0), source=SOURCE),
        ),
        forcings=(
            ForcingVariable("precipitation", "mm d-1", "precipitation", low=0.0),
            ForcingVariable("temperature", "degC", "air temperature", low=-100.0, high=100.0),
            ForcingVariable("daylength", "h", "time from sunrise to sunset", low=0.0, high=24.0),
        ),
        fluxes=(
            IntegratedFlux("precipitation", "mm", "precipitation", +1),
            IntegratedFlux("evapotranspiration", "mm", "actual evapotranspiration", -1),
            IntegratedFlux("runoff", "mm", "runoff at the outlet", -1),
            IntegratedFlux("base_flow", "mm", "subsurface part of the runoff"),
            IntegratedFlux("snowmelt", "mm", "melt of the snow pack"),
        ),
        source=_source,
        reference=SOURCE,
    )  # fmt: skip


def _step(x: Any) -> Any:
    """Smooth step from 0 to 1 (Hoege et al. 2022, eq 7)."""
    return 0.5 * (torch.tanh(5.0 * x) + 1.0)


def potential_evapotranspiration(temperature: Any, daylength: Any) -> Any:
    """Hamon's formula as used by Patil and Stieglitz 2014: degC and hours to mm/d."""
    vapour_pressure = 0.611 * torch.exp(17.3 * temperature / (temperature + 237.3))
    return 29.8 * daylength * vapour_pressure / (temperature + 273.2)


def _source(cell: SimpleNamespace, forcing: SimpleNamespace) -> dict[str, Any]:
    snow, water = cell.snow_storage, cell.water_storage
    rain, temperature = forcing.precipitation, forcing.temperature

    melting = _step(temperature - cell.T_max) * _step(snow)
    melt = melting * torch.minimum(snow, cell.D_f * (temperature - cell.T_max))
    snowfall = _step(cell.T_min - temperature) * rain
    rainfall = _step(temperature - cell.T_min) * rain

    wet, full = _step(water), _step(water - cell.S_max)
    filling = _step(cell.S_max - water)
    demand = potential_evapotranspiration(temperature, forcing.daylength)
    evapotranspiration = wet * demand * (full + filling * water / cell.S_max)
    base_flow = wet * cell.Q_max * (full + filling * torch.exp(-cell.f * (cell.S_max - water)))
    surface_flow = wet * full * (water - cell.S_max)
    return {
        "snow_storage": snowfall - melt,
        "water_storage": rainfall + melt - evapotranspiration - base_flow - surface_flow,
        # Snowfall and rainfall overlap by the smooth steps; the balance counts what falls as both.
        "precipitation": snowfall + rainfall,
        "evapotranspiration": evapotranspiration,
        "runoff": base_flow + surface_flow,
        "base_flow": base_flow,
        "snowmelt": melt,
    }
