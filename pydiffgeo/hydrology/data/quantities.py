"""What pydiffgeo calls the series and attributes of a basin, their units, and what files call them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from ...errors import DataError
from ...io.units import is_amount

# Of the coordinate that says where each basin comes from, where basins have files of their own.
FILES = {"long_name": "files that the basin was read from"}


@dataclass(frozen=True)
class Quantity:
    """A series of a basin.

    Attributes:
        unit, description: of the series in pydiffgeo.
        standard_name: the name in the CF table whose unit agrees with `unit`; None where there is none.
        found_as: CF standard names under which a file may hold it.
        amounts: CF standard names of its sums over time.
        method: what `cell_methods` says of the time axis, "mean" where it may say nothing.
        names: names of variables in common collections of basins.
    """

    unit: str
    description: str
    standard_name: str | None = None
    found_as: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    method: str = "mean"
    names: tuple[str, ...] = ()

    @property
    def is_rate(self) -> bool:
        """Whether its sum over time is an amount."""
        return self.unit in ("mm d-1", "W m-2")

    def attributes(self, name: str = "") -> dict[str, str]:
        """Attributes of a variable that holds it; `name` is added to the description."""
        attributes = {"units": self.unit, "long_name": self.description + (f" ({name})" if name else "")}
        if self.standard_name is not None:
            attributes["standard_name"] = self.standard_name
        if self.method in ("minimum", "maximum"):
            attributes["cell_methods"] = f"time: {self.method}"
        return attributes


# Unit, description, and the name in the CF table whose unit agrees, if there is one.
_KINDS = {
    "precipitation": ("mm d-1", "precipitation", "lwe_precipitation_rate"),
    "temperature": ("degC", "air temperature, daily mean", "air_temperature"),
    "temperature_min": ("degC", "air temperature, daily minimum", "air_temperature"),
    "temperature_max": ("degC", "air temperature, daily maximum", "air_temperature"),
    "daylength": ("h", "time from sunrise to sunset", None),
    "shortwave_radiation": ("W m-2", "downwelling short-wave radiation", "surface_downwelling_shortwave_flux_in_air"),
    "vapour_pressure": ("Pa", "partial pressure of water vapour", "water_vapor_partial_pressure_in_air"),
    "snow_water_equivalent": ("mm", "water equivalent of the snow pack", "lwe_thickness_of_surface_snow_amount"),
    "potential_evaporation": ("mm d-1", "potential evaporation", None),
    "runoff": ("mm d-1", "observed runoff", None),
}
# Other CF standard names under which a file may hold it.
_ALSO = {
    "precipitation": ("precipitation_flux",),
    "snow_water_equivalent": ("surface_snow_amount",),
    "potential_evaporation": ("water_potential_evaporation_flux",),
    "runoff": ("runoff_flux", "water_volume_transport_in_river_channel"),
}
# CF standard names of its sums over time.
_AMOUNTS = {
    "precipitation": ("lwe_thickness_of_precipitation_amount", "precipitation_amount"),
    "shortwave_radiation": ("integral_wrt_time_of_surface_downwelling_shortwave_flux_in_air",),
    "potential_evaporation": ("water_potential_evaporation_amount",),
    "runoff": ("runoff_amount",),
}
_METHODS = {"temperature_min": "minimum", "temperature_max": "maximum"}
_PET = "potential_evaporation_sum"
_NAMES = {
    "precipitation": ("prcp", "total_precipitation_sum"),
    "temperature": ("tmean", "temperature_2m_mean"),
    "temperature_min": ("tmin", "temperature_2m_min"),
    "temperature_max": ("tmax", "temperature_2m_max"),
    "daylength": ("dayl",),
    "shortwave_radiation": ("srad",),
    "vapour_pressure": ("vp",),
    "snow_water_equivalent": ("swe", "snow_depth_water_equivalent_mean"),
    # Where Caravan has both, not that of ERA5-Land, which is too large (Clerc-Schwarzenbach et al. 2024, HESS 28).
    "potential_evaporation": ("pet", _PET, f"{_PET}_FAO_PENMAN_MONTEITH", f"{_PET}_ERA5_LAND"),
    "runoff": ("q_obs", "QObs", "streamflow"),
}
SERIES = {
    key: Quantity(
        unit=unit,
        description=description,
        standard_name=standard_name,
        found_as=tuple(filter(None, (standard_name, *_ALSO.get(key, ())))),
        amounts=_AMOUNTS.get(key, ()),
        method=_METHODS.get(key, "mean"),
        names=_NAMES[key],
    )
    for key, (unit, description, standard_name) in _KINDS.items()
}
AREA_UNIT = "km2"
# Static variables that hold the area of a basin, the first found is taken.
AREAS = ("area", "basin_area", "area_gages2", "area_geospa_fabric")


def find_variable(data: xr.Dataset, quantity: str, file: str) -> str | None:
    """The variable of `data` that holds `quantity`: by its CF standard name, else by its name; None if absent.

    A variable whose standard name, or whose `cell_methods` say that it is something else, is not taken for its name.

    Raises:
        DataError: several variables have the standard name.
    """
    wanted = SERIES[quantity]
    fitting = [str(name) for name, v in data.data_vars.items() if _method_fits(v, str(name), quantity)]
    stated = {n: str(data[n].attrs.get("standard_name", "")).split(" ")[0] for n in fitting}
    matching = [n for n in fitting if stated[n] in (*wanted.found_as, *wanted.amounts)]
    named = [n for n in (quantity, *wanted.names) if n in fitting and (not stated[n] or n in matching)]
    if len(matching) > 1:
        both = [n for n in named if n in matching]
        if len(both) != 1:
            raise DataError(
                f"{file}: {quantity} may be any of {', '.join(matching)}, which have the same standard name; "
                f"choose one: variables={{{quantity!r}: {matching[0]!r}}}"
            )
        return both[0]
    return next(iter(matching or named), None)


def method_of(variable: xr.DataArray) -> str:
    """What `cell_methods` says of the time axis, such as "mean" or "sum"; empty where it says nothing.

    Source: CF conventions 1.10, section 7.3: names of axes with a colon each, then their method.
    """
    text = re.sub(r"\(.*?\)", "", str(variable.attrs.get("cell_methods", "")))
    for axes, method in re.findall(r"((?:\w+:\s*)+)(\w+)", text):
        if "time" in axes.replace(":", " ").split():
            return str(method)
    return ""


def _method_fits(variable: xr.DataArray, name: str, quantity: str) -> bool:
    """Whether values are such means, extremes or sums over time as those of `quantity` are, or may be."""
    wanted, method = SERIES[quantity], method_of(variable)
    if wanted.method != "mean":
        # Names such as tmin tell the method where nothing else does.
        return method == wanted.method or (not method and name in (quantity, *wanted.names))
    extreme = any(name in (key, *q.names) for key, q in SERIES.items() if q.method != "mean")
    return not extreme and (method in ("", "mean", "point") or (method == "sum" and wanted.is_rate))


def is_sum(variable: xr.DataArray, quantity: str, unit: object, *, has_bounds: bool) -> bool:
    """Whether values in `unit` are sums over intervals of time of a quantity that is a rate.

    By `cell_methods`; or by the standard name of an amount, which is a sum over its bounds by default (CF 7.3).
    """
    if quantity not in SERIES or not SERIES[quantity].is_rate:
        return False
    wanted, method = SERIES[quantity], method_of(variable)
    said = method == "sum" or (not method and has_bounds and variable.attrs.get("standard_name") in wanted.amounts)
    rates = (wanted.unit, "m3 d-1") if quantity == "runoff" else (wanted.unit,)
    return said and any(is_amount(unit, rate) for rate in rates)


def check_names(variables: Mapping[str, str | Sequence[str]] | None, data: xr.Dataset, file: str) -> None:
    """Raises `DataError` where a name that the user gave is not in the file."""
    for quantity, names in (variables or {}).items():
        for name in names_of(names):
            if name not in data.data_vars:
                there = sorted(map(str, data.data_vars))
                raise DataError(f"{file}: no variable {name!r} for {quantity}; it has {there}")


def names_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    return (names,) if isinstance(names, str) else tuple(names)
