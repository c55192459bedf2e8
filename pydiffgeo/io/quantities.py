"""What pydiffgeo calls the series and attributes of a basin, their units, and what files call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from ..errors import DataError

# Of the coordinate that says where each basin comes from, where basins have files of their own.
FILES = {"long_name": "files that the basin was read from"}


@dataclass(frozen=True)
class Quantity:
    """A series of a basin.

    Attributes:
        unit, description: of the series in pydiffgeo.
        standard_name: the name in the CF table whose unit agrees with `unit`; None where there is none.
        found_as: CF standard names under which a file may hold it.
        method: what `cell_methods` says of the time axis, "mean" where it may say nothing.
        names: names of variables in common collections of basins.
    """

    unit: str
    description: str
    standard_name: str | None = None
    found_as: tuple[str, ...] = ()
    method: str = "mean"
    names: tuple[str, ...] = ()

    def attributes(self, name: str = "") -> dict[str, str]:
        """Attributes of a variable that holds it; `name` is added to the description."""
        found = {"units": self.unit, "long_name": self.description + (f" ({name})" if name else "")}
        if self.standard_name is not None:
            found["standard_name"] = self.standard_name
        if self.method in ("minimum", "maximum"):
            found["cell_methods"] = f"time: {self.method}"
        return found


_AIR = "air_temperature"
SERIES: dict[str, Quantity] = {
    "precipitation": Quantity(
        "mm d-1", "precipitation", "lwe_precipitation_rate", ("lwe_precipitation_rate", "precipitation_flux"),
        names=("prcp", "total_precipitation_sum")),
    "temperature": Quantity("degC", "air temperature, daily mean", _AIR, (_AIR,),
                            names=("tmean", "temperature_2m_mean")),
    "temperature_min": Quantity("degC", "air temperature, daily minimum", _AIR, (_AIR,), "minimum",
                                ("tmin", "temperature_2m_min")),
    "temperature_max": Quantity("degC", "air temperature, daily maximum", _AIR, (_AIR,), "maximum",
                                ("tmax", "temperature_2m_max")),
    "daylength": Quantity("h", "time from sunrise to sunset", names=("dayl",)),
    "shortwave_radiation": Quantity(
        "W m-2", "downwelling short-wave radiation", "surface_downwelling_shortwave_flux_in_air",
        ("surface_downwelling_shortwave_flux_in_air",), names=("srad",)),
    "vapour_pressure": Quantity(
        "Pa", "partial pressure of water vapour", "water_vapor_partial_pressure_in_air",
        ("water_vapor_partial_pressure_in_air",), names=("vp",)),
    "snow_water_equivalent": Quantity(
        "mm", "water equivalent of the snow pack", "lwe_thickness_of_surface_snow_amount",
        ("lwe_thickness_of_surface_snow_amount", "surface_snow_amount"),
        names=("swe", "snow_depth_water_equivalent_mean")),
    "potential_evaporation": Quantity(
        "mm d-1", "potential evaporation", None, ("water_potential_evaporation_flux",),
        # Where Caravan has both, not that of ERA5-Land, which is too large (Clerc-Schwarzenbach et al. 2024, HESS 28).
        names=("pet", "potential_evaporation_sum", "potential_evaporation_sum_FAO_PENMAN_MONTEITH",
               "potential_evaporation_sum_ERA5_LAND")),
    "runoff": Quantity(
        "mm d-1", "observed runoff", None, ("runoff_flux", "water_volume_transport_in_river_channel"),
        names=("q_obs", "QObs", "streamflow")),
}  # fmt: skip
AREA_UNIT = "km2"
# Static variables that hold the area of a basin, the first found is taken.
AREAS = ("area", "basin_area", "area_gages2", "area_geospa_fabric")


def find_variable(data: xr.Dataset, quantity: str, file: str) -> str | None:
    """The variable of `data` that holds `quantity`: by its CF standard name, else by its name; None if absent.

    Raises:
        DataError: several variables have the standard name.
    """
    wanted = SERIES[quantity]
    matching = [
        str(name) for name, v in data.data_vars.items()
        if v.attrs.get("standard_name") in wanted.found_as and _method(v) == wanted.method
    ]  # fmt: skip
    named = [n for n in (quantity, *wanted.names) if n in data.data_vars]
    if len(matching) > 1:
        both = [n for n in named if n in matching]
        if len(both) != 1:
            raise DataError(
                f"{file}: {quantity} may be any of {', '.join(matching)}, which have the same standard name; "
                f"choose one: variables={{{quantity!r}: {matching[0]!r}}}"
            )
        return both[0]
    found = matching or named
    return found[0] if found else None


def _method(variable: xr.DataArray) -> str:
    """What is said of the time axis: "minimum", "maximum", or "mean" for everything else."""
    methods = str(variable.attrs.get("cell_methods", ""))
    return next((m for m in ("minimum", "maximum") if m in methods), "mean")


def check_names(variables: Any, data: xr.Dataset, file: str) -> None:
    """Raises `DataError` where a name that the user gave is not in the file."""
    for quantity, given in (variables or {}).items():
        for name in names_of(given):
            if name not in data.data_vars:
                raise DataError(
                    f"{file}: no variable {name!r} for {quantity}; it has {sorted(map(str, data.data_vars))}"
                )


def names_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)
