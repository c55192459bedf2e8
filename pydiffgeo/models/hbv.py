"""HBV: snow, soil moisture and two groundwater stores of a basin (Bergstrom 1992), as continuous rates."""

from __future__ import annotations

from functools import partial

from ..checks import is_number, is_whole, shown
from ..errors import ModelError
from ..model import ForcingVariable, IntegratedFlux, Model, Parameter, Place, State, Values, single_cell
from ..model.by_name import values_of
from ..model.remember import remembered
from ..processes import response, soil_moisture, wet_snow
from ..processes.reservoir import cascade

SOURCE = (
    "Bergstrom 1992, SMHI Reports RH 4; Seibert and Vis 2012, Hydrol. Earth Syst. Sci. 16; exponent of evapotranspiration: "
    "Feng et al. 2022, Water Resour. Res. 58; capillary rise: HBV of hydrodl2"
)
# Usual ranges are those of parameter learning, wider than those of HBV-light.
_parameter = partial(Parameter, source="ranges of Feng et al. 2022, Water Resour. Res. 58, and its code hydrodl2")
# Degrees over which precipitation passes from snow to rain.
WIDTH = 1.0


@remembered
def HBV(routing: int = 0, release: float = 1.0) -> Model:
    """HBV with 14 parameters, in millimetres and days.

    The daily model updates one store after the other; here all of them change together, so that its parameters mean the
    same, but its numbers are others: of the runoff of ten days a tenth. Forcings are `precipitation` (mm/d), air
    `temperature` (degC) and `potential_evapotranspiration` (mm/d). Snow passes to rain over 1 degC around `TT`.

    Args:
        routing: number of linear reservoirs of residence time `tau` that runoff passes: a unit hydrograph. (Or convolve the
            integrated runoff after the solve: `pydiffgeo.processes.unit_hydrograph`.)
        release: days within which the water of a store that is over its capacity leaves, and within which a store can be
            emptied: 1 d is the continuous form of the daily model, and delays melt water by as much; 0.1 d does not.

    Raises:
        ModelError: `routing` is no whole number, or `release` not positive.
    """
    if not (is_whole(routing) and routing >= 0):
        raise ModelError(f"HBV: routing must be a number of reservoirs, 0 or more, got {shown(routing)}")
    if not (is_number(release) and release > 0):
        raise ModelError(f"HBV: release must be a positive number of days, got {shown(release)}")
    reservoirs = tuple(f"routing_{i}" for i in range(1, int(routing) + 1))

    def source(cell: Place, forcing: Place) -> Values:
        return _source(cell, forcing, reservoirs, float(release))

    return Model(
        name="HBV",
        graph=single_cell(),
        states=(
            _store("snow_storage", "frozen water in the snow pack", 0.0),
            _store("snow_water", "liquid water in the snow pack", 0.0),
            _store("soil_moisture", "water in the soil", 0.0),
            _store("upper_zone", "water in the upper groundwater zone", 0.0),
            _store("lower_zone", "water in the lower groundwater zone", 0.0),
            *(_store(name, "water on its way to the outlet", 0.0) for name in reservoirs),
        ),
        parameters=(
            _parameter(
                "BETA", "1", "power of the filling of the soil in recharge", 2.0, 0.0, typical=(1.0, 6.0), open_low=True
            ),
            _parameter("FC", "mm", "field capacity", 250.0, 0.0, typical=(50.0, 1000.0), open_low=True),
            _parameter("K0", "d-1", "recession of the upper zone above UZL", 0.2, 0.0, typical=(0.05, 0.9)),
            _parameter("K1", "d-1", "recession of the upper zone", 0.1, 0.0, typical=(0.01, 0.5)),
            _parameter("K2", "d-1", "recession of the lower zone", 0.02, 0.0, typical=(0.001, 0.2)),
            _parameter(
                "LP",
                "1",
                "filling above which evapotranspiration is potential",
                0.7,
                0.0,
                1.0,
                typical=(0.2, 1.0),
                open_low=True,
            ),
            _parameter("PERC", "mm d-1", "largest percolation to the lower zone", 1.5, 0.0, typical=(0.0, 10.0)),
            _parameter(
                "UZL",
                "mm",
                "storage of the upper zone above which it runs off quickly",
                20.0,
                0.0,
                typical=(0.0, 100.0),
            ),
            _parameter("TT", "degC", "temperature of snowfall and of melt", 0.0, -20.0, 20.0, typical=(-2.5, 2.5)),
            _parameter("CFMAX", "mm d-1 degC-1", "degree-day factor of melt", 3.0, 0.0, typical=(0.5, 10.0)),
            _parameter(
                "CFR",
                "1",
                "share of the degree-day factor with which water refreezes",
                0.05,
                0.0,
                1.0,
                typical=(0.0, 0.1),
            ),
            _parameter("CWH", "1", "water that snow holds, as a share of it", 0.1, 0.0, 1.0, typical=(0.0, 0.2)),
            _parameter(
                "BETAET",
                "1",
                "power of the filling of the soil in evapotranspiration",
                1.0,
                0.0,
                typical=(0.3, 5.0),
                open_low=True,
            ),
            _parameter("C", "d-1", "capillary rise from the lower zone into dry soil", 0.0, 0.0, typical=(0.0, 1.0)),
            *(
                [
                    _parameter(
                        "tau",
                        "d",
                        "residence time of each routing reservoir",
                        0.5,
                        0.0,
                        typical=(0.05, 3.0),
                        open_low=True,
                    )
                ]
                if reservoirs
                else ()
            ),
        ),
        forcings=(
            ForcingVariable("precipitation", "mm d-1", "precipitation", low=0.0),
            ForcingVariable("temperature", "degC", "air temperature", low=-100.0, high=100.0),
            ForcingVariable("potential_evapotranspiration", "mm d-1", "potential evapotranspiration", low=0.0),
        ),
        fluxes=(
            IntegratedFlux("precipitation", "mm", "precipitation", +1),
            IntegratedFlux("evapotranspiration", "mm", "actual evapotranspiration", -1),
            IntegratedFlux("runoff", "mm", "runoff at the outlet", -1),
            IntegratedFlux("quick_flow", "mm", "runoff of the upper zone above UZL (Q0)"),
            IntegratedFlux("interflow", "mm", "runoff of the upper zone (Q1)"),
            IntegratedFlux("base_flow", "mm", "runoff of the lower zone (Q2)"),
            IntegratedFlux("recharge", "mm", "water that leaves the soil downwards"),
            IntegratedFlux("snowmelt", "mm", "melt of the snow pack"),
        ),
        source=source,
        reference=SOURCE,
    )


def _store(name: str, description: str, default: float) -> State:
    return State(name, "mm", description, default=default, low=0.0)


def _source(cell: Place, forcing: Place, reservoirs: tuple[str, ...], time: float) -> Values:
    snow, liquid, soil = cell.snow_storage, cell.snow_water, cell.soil_moisture
    upper, lower = cell.upper_zone, cell.lower_zone
    T, TT = forcing.temperature, cell.TT
    rain = forcing.precipitation * wet_snow.rain_share(T, TT, WIDTH)
    snowfall = forcing.precipitation - rain
    melt = wet_snow.melt(snow, T, TT, cell.CFMAX, time)
    refreezing = wet_snow.refreezing(liquid, T, TT, cell.CFMAX, cell.CFR, time)
    drainage = wet_snow.drainage(liquid, snow, cell.CWH, time)
    demand = forcing.potential_evapotranspiration
    evapotranspiration = soil_moisture.evapotranspiration(soil, demand, cell.FC, cell.LP, cell.BETAET, time)
    inflow, rise = rain + drainage, soil_moisture.capillary_rise(soil, lower, cell.FC, cell.C)
    recharge = soil_moisture.recharge(soil, inflow, cell.FC, cell.BETA) + soil_moisture.excess(soil, cell.FC, time)
    percolation = response.percolation(upper, cell.PERC, time)
    quick = response.quick_flow(upper, cell.K0, cell.UZL)
    interflow, base = response.interflow(upper, cell.K1), response.base_flow(lower, cell.K2)
    generated = quick + interflow + base
    rates, runoff = cascade(generated, values_of(cell, reservoirs), cell.tau if reservoirs else generated)
    return {
        "snow_storage": snowfall + refreezing - melt,
        "snow_water": melt - refreezing - drainage,
        "soil_moisture": inflow + rise - recharge - evapotranspiration,
        "upper_zone": recharge - percolation - quick - interflow,
        "lower_zone": percolation - rise - base,
        **dict(zip(reservoirs, rates, strict=True)),
        "precipitation": forcing.precipitation,
        "evapotranspiration": evapotranspiration,
        "runoff": runoff,
        "quick_flow": quick,
        "interflow": interflow,
        "base_flow": base,
        "recharge": recharge,
        "snowmelt": melt,
    }
