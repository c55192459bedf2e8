"""EXP-HYDRO: a two-store basin with snow (Patil and Stieglitz 2014), in smooth form."""

from __future__ import annotations

from functools import partial

from ..model import ForcingVariable, IntegratedFlux, Model, Parameter, Place, State, Values, single_cell
from ..model.remember import remembered
from ..processes.evaporation import from_store, hamon
from ..processes.reservoir import exponential_base_flow, overflow
from ..processes.snow import degree_day_melt, partition

SOURCE = (
    "Patil and Stieglitz 2014, Hydrol. Process. 28; smooth step functions and ranges of "
    "Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26"
)
_parameter = partial(Parameter, source=SOURCE)

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
            State("snow_storage", "mm", "water in the snow pack (S0)", default=0.0, low=0.0, nominal=WIDTH),
            State("water_storage", "mm", "water in the catchment (S1)", default=1000.0, low=0.0, nominal=WIDTH),
        ),
        parameters=(
            _parameter("f", "mm-1", "decline of base flow with storage", 0.02, 0.0, typical=(0.0, 0.1)),
            _parameter(
                "S_max",
                "mm",
                "storage at which the catchment is full",
                1000.0,
                0.0,
                open_low=True,
                typical=(100.0, 1500.0),
            ),
            _parameter("Q_max", "mm d-1", "base flow of the full catchment", 20.0, 0.0, typical=(10.0, 50.0)),
            _parameter("D_f", "mm d-1 degC-1", "degree-day factor of melt", 2.5, 0.0, typical=(0.01, 5.0)),
            _parameter("T_max", "degC", "temperature above which snow melts", 1.0, -20.0, 20.0, typical=(0.0, 3.0)),
            _parameter(
                "T_min", "degC", "temperature below which precipitation is snow", -1.0, -20.0, 20.0, typical=(-3.0, 0.0)
            ),
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
    )


def _source(cell: Place, forcing: Place) -> Values:
    snow, water = cell.snow_storage, cell.water_storage
    rainfall, snowfall = partition(forcing.precipitation, forcing.temperature, cell.T_min)
    melt = degree_day_melt(snow, forcing.temperature, cell.D_f, cell.T_max)
    evapotranspiration = from_store(water, hamon(forcing.temperature, forcing.daylength), cell.S_max)
    base_flow = exponential_base_flow(water, cell.f, cell.S_max, cell.Q_max)
    surface_flow = overflow(water, cell.S_max)
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
