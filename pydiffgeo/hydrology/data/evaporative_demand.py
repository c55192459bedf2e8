"""Potential evaporation of basins from their weather, by formulas of pyet and by that of Hamon.

data["potential_evaporation"] = potential_evaporation(data, "priestley-taylor")
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
import xarray as xr

from ...arrays import Array
from ...checks import check_positive, check_within, shown
from ...errors import DataError, MissingPackageError
from ...io.dates import check_choice
from ...io.units import convert
from ...processes.evaporation import hamon
from ..basin import daylength
from .quantities import SERIES

METHODS = ("hamon", "oudin", "priestley-taylor", "penman-monteith")
DAY = np.timedelta64(1, "D")
# Of W m-2 over a day in MJ m-2 d-1.
MEGAJOULES = 0.0864
# What the formulas take, in their units: names in the dataset.
UNITS = {
    "temperature": "degC",
    "temperature_min": "degC",
    "temperature_max": "degC",
    "dewpoint_temperature": "degC",
    "shortwave_radiation": "W m-2",
    "net_radiation": "W m-2",
    "sunshine_duration": "h",
    "vapour_pressure": "kPa",
    "relative_humidity": "%",
    "relative_humidity_min": "%",
    "relative_humidity_max": "%",
    "wind_speed": "m s-1",
    "daylength": "h",
}


def potential_evaporation(
    data: xr.Dataset,
    method: str = "hamon",
    *,
    latitude: float | None = None,
    elevation: float | None = None,
    wind_height: float = 2.0,
    albedo: float = 0.23,
    radiation_by_day: bool = False,
) -> xr.DataArray:
    """Daily potential evaporation of the basins of a dataset, mm d-1; NaN where something it needs is NaN.

    Args:
        data: with the dimensions `(basin, time)`, daily, as `open_camels` and the like return it.
        method: "hamon", from temperature and length of days, the formula that basin models take
            (`processes.evaporation.hamon`); and of pyet: "oudin" (Oudin et al. 2005, J. Hydrol. 303, eq 3), from
            temperature and latitude; "priestley-taylor" (1972, Mon. Weather Rev. 100; factor 1.26), with radiation,
            temperature and humidity; "penman-monteith" of grass (Allen et al. 1998, FAO Irrigation and Drainage Paper 56,
            eq 6), with wind as well. Negative values of the last three are zero.
        latitude: degrees; where not given, the attribute `gauge_lat`. elevation: m; else `elev_mean` or `gauge_elev`.
        wind_height: m above the ground at which wind was measured; it is brought to 2 m (FAO 56, eq 47).
        albedo: of the ground.
        radiation_by_day: short-wave radiation is the mean of the hours of daylight, as in Daymet and so in CAMELS-US;
            it is then spread over 24 hours.

    Series of the dataset that are taken, where they are there: `temperature`, else the mean of `temperature_min` and
    `temperature_max`; `net_radiation`, else `shortwave_radiation`, else `sunshine_duration` (h); `relative_humidity_max`
    and `_min`, else `vapour_pressure`, `dewpoint_temperature`, `relative_humidity`; `wind_speed`; `daylength`, else that of
    the latitude. Each is converted from its attribute `units`.

    Returns:
        Array `(basin, time)` with attributes.

    Raises:
        DataError: the dataset lacks something, is not daily, or holds humidity, wind or radiation that cannot be.
        UnitError: a series has no unit, or one of another kind. InputError: a number cannot be used.
        MissingPackageError: pyet is not installed.
    """
    check_choice("method", method, METHODS)
    check_positive(wind_height=wind_height)
    check_within(0.0, 1.0, "a part, from 0 to 1", albedo=albedo)
    if not isinstance(data, xr.Dataset) or not {"basin", "time"} <= {*data.dims} or data["time"].dtype.kind != "M":
        raise DataError(f"the data must be a dataset with the dimensions basin and time, got {shown(data)}")
    if method != "hamon" and find_spec("pyet") is None:
        raise MissingPackageError(f"method={method!r} needs pyet: pip install 'pydiffgeo[pet]'")
    weather = _Weather(data, latitude, elevation)
    if (np.diff(data["time"].values) != DAY).any():
        raise DataError(f"{weather.source}: potential evaporation is that of whole days; the times are not daily")
    found = {
        "hamon": weather.hamon,
        "oudin": weather.oudin,
        "priestley-taylor": lambda: weather.by_radiation(None, albedo, radiation_by_day),
        "penman-monteith": lambda: weather.by_radiation(wind_height, albedo, radiation_by_day),
    }[method]()
    about = {**SERIES["potential_evaporation"].attributes(), "comment": f"by the formula {method!r}"}
    return xr.DataArray(found, {"basin": data["basin"], "time": data["time"]}, ("basin", "time"), attrs=about)


class _Weather:
    """The weather of a dataset, as the formulas want it: arrays `(basin, time)`."""

    def __init__(self, data: xr.Dataset, latitude: float | None, elevation: float | None) -> None:
        self.data, self.source = data, str(data.attrs.get("source", "the dataset"))
        self.given: dict[str, tuple[float | None, tuple[str, ...], str]] = {
            "latitude": (latitude, ("gauge_lat",), "degrees_north"),
            "elevation": (elevation, ("elev_mean", "gauge_elev"), "m"),
        }
        self.dates = data["time"].values.astype("datetime64[D]")

    def has(self, *names: str) -> bool:
        return all(name in self.data for name in names)

    def series(self, name: str, low: float = -np.inf, high: float = np.inf) -> Array:
        """A series `(basin, time)` in the unit of the formulas.

        Raises:
            DataError: it is not there, has other dimensions, or lies outside what it can be.
        """
        if name not in self.data:
            there = ", ".join(sorted(map(str, self.data.data_vars)))
            raise DataError(f"{self.source}: no {name}, which the formula needs; there are {there}")
        series = self.data[name]
        if {*series.dims} != {"basin", "time"}:
            raise DataError(f"{self.source}: {name} has the dimensions {series.dims}; they must be basin and time")
        values = series.transpose("basin", "time").values
        values = convert(values, series.attrs.get("units"), UNITS[name], file=self.source, variable=name)
        wrong = (values < low) | (values > high)
        if wrong.any():
            basin, time = (int(i) for i in np.argwhere(wrong)[0])
            raise DataError(
                f"{self.source}: {name} of basin {self.data['basin'].values[basin]} is {values[basin, time]:g} {UNITS[name]} "
                f"on {self.dates[time]}; allowed is [{low:g}, {high:g}]"
            )
        return values

    def place(self, what: str) -> Array:
        """Latitude or elevation `(basin,)`."""
        given, names, unit = self.given[what]
        if given is not None:
            check_within(
                *((-90.0, 90.0) if what == "latitude" else (-500.0, 9000.0)), "a place on earth", **{what: given}
            )
            return np.full(self.data.sizes["basin"], float(given))
        name = next((n for n in names if n in self.data and self.data[n].dims == ("basin",)), None)
        if name is None:
            raise DataError(
                f"{self.source}: no {what} of the basins, which the formula needs: give it, or {' or '.join(names)}"
            )
        static = self.data[name]
        values = convert(static.values, static.attrs.get("units", unit), unit, file=self.source, variable=name)
        if not np.isfinite(values).all():
            basin = self.data["basin"].values[~np.isfinite(values)][0]
            raise DataError(f"{self.source}: {name} of basin {basin} is missing")
        return values

    @property
    def temperature(self) -> Array:
        if self.has("temperature") or not self.has("temperature_min", "temperature_max"):
            return self.series("temperature", -100, 100)
        return (self.series("temperature_min", -100, 100) + self.series("temperature_max", -100, 100)) / 2

    @property
    def daylength(self) -> Array:
        if self.has("daylength"):
            return self.series("daylength", 0, 24)
        return np.stack([daylength(float(latitude), self.dates) for latitude in self.place("latitude")])

    def hamon(self) -> Array:
        return hamon(torch.from_numpy(self.temperature.copy()), torch.from_numpy(self.daylength.copy())).numpy()

    def oudin(self) -> Array:
        import pyet

        return self._each(pyet.oudin, {"tmean": self.temperature}, {"lat": np.deg2rad(self.place("latitude"))})

    def by_radiation(self, wind_height: float | None, albedo: float, by_day: bool) -> Array:
        """Priestley-Taylor, or with the height of wind Penman-Monteith."""
        import pyet

        series = {"tmean": self.temperature}
        if self.has("temperature_min", "temperature_max"):
            series |= {"tmax": self.series("temperature_max", -100, 100)}
            series |= {"tmin": self.series("temperature_min", -100, 100)}
        if self.has("net_radiation"):
            series["rn"] = self.series("net_radiation", -500, 1000) * MEGAJOULES
        elif self.has("shortwave_radiation"):
            share = self.daylength / 24 if by_day else 1.0
            series["rs"] = self.series("shortwave_radiation", 0, 1500) * MEGAJOULES * share
        else:
            series["n"] = self.series("sunshine_duration", 0, 24)
        series |= self._humidity(wind_height is not None)
        places = {"lat": np.deg2rad(self.place("latitude")), "elevation": self.place("elevation")}
        if wind_height is None:
            return self._each(pyet.priestley_taylor, series, places, albedo=albedo)
        wind = self.series("wind_speed", 0, 100)
        if wind_height != 2.0:
            wind = wind * 4.87 / np.log(67.8 * wind_height - 5.42)
        return self._each(pyet.pm_fao56, {**series, "wind": wind}, places, albedo=albedo)

    def _humidity(self, pressure: bool) -> dict[str, Array]:
        """Humidity in one of the forms that formulas take; `pressure` whether vapour pressure is one of them."""
        if self.has("relative_humidity_min", "relative_humidity_max"):
            return {f"rh{end}": self.series(f"relative_humidity_{end}", 0, 100) for end in ("min", "max")}
        vapour = None
        if self.has("vapour_pressure"):
            vapour = self.series("vapour_pressure", 0, 10)
        elif self.has("dewpoint_temperature"):
            vapour = _saturation(self.series("dewpoint_temperature", -100, 100))
        if vapour is None:
            return {"rh": self.series("relative_humidity", 0, 100)}
        if pressure:
            return {"ea": vapour}
        return {"rh": np.minimum(100 * vapour / self._saturated(), 100)}

    def _saturated(self) -> Array:
        """Saturation vapour pressure of the day, kPa (FAO 56, eq 12)."""
        if self.has("temperature_min", "temperature_max"):
            return (_saturation(self.series("temperature_min")) + _saturation(self.series("temperature_max"))) / 2
        return _saturation(self.temperature)

    def _each(self, formula: object, series: dict[str, Array], places: dict[str, Array], **numbers: float) -> Array:
        """A formula of pyet for each basin, whose series it takes as pandas has them."""
        import pandas as pd

        assert callable(formula)
        days, rows = pd.DatetimeIndex(self.data["time"].values), []
        for basin in range(self.data.sizes["basin"]):
            columns = {name: pd.Series(values[basin], days) for name, values in series.items()}
            fixed = {name: float(values[basin]) for name, values in places.items()}
            found = np.asarray(formula(**columns, **fixed, **numbers), np.float64)
            # Its limits at zero make zeros of what is not known.
            unknown = np.any([np.isnan(values[basin]) for values in series.values()], axis=0)
            rows.append(np.where(unknown, np.nan, found))
        return np.stack(rows)


def _saturation(temperature: Array) -> Array:
    """Saturation vapour pressure, kPa (FAO 56, eq 11)."""
    return np.asarray(0.6108 * np.exp(17.27 * temperature / (temperature + 237.3)))
