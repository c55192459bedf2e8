"""Heat that a stream exchanges with sun, air and bed, in W/m2 of water surface, positive into the water."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

STEFAN_BOLTZMANN = 5.670374419e-8  # W/m2/K4
EMISSIVITY = 0.97  # of water, and of leaves
ALBEDO = 0.06  # of water
BOWEN = 0.655  # hPa/K at sea level (Bowen 1926)
ZERO = 273.15
HEAT_OF_WATER = 4.18e6  # J/m3/K
WEIGHT_OF_WATER = 9805.0  # N/m3


class Weather(NamedTuple):
    """Shortwave radiation (W/m2), air temperature (degC), relative humidity (0 to 1), wind (m/s), shade (0 to 1)."""

    radiation: Tensor
    air: Tensor
    humidity: Tensor
    wind: Tensor
    shade: Tensor


def vapour_pressure(temperature: Tensor) -> Tensor:
    """Of saturated air (kPa): Tetens 1930 with the constants of Allen et al. 1998, FAO Irrigation and Drainage Paper 56, eq 11."""
    return 0.6108 * torch.exp(17.27 * temperature / (temperature + 237.3))


def shortwave(weather: Weather) -> Tensor:
    """What is neither shaded nor reflected."""
    return (1.0 - weather.shade) * (1.0 - ALBEDO) * weather.radiation


def longwave(weather: Weather) -> Tensor:
    """From a clear sky, with the emissivity of Brutsaert 1975, Water Resour. Res. 11, and from leaves as warm as the air."""
    kelvin = weather.air + ZERO
    sky = 1.24 * (10.0 * weather.humidity * vapour_pressure(weather.air) / kelvin) ** (1.0 / 7.0)
    emitted = (1.0 - weather.shade) * sky + weather.shade * EMISSIVITY
    return EMISSIVITY * emitted * STEFAN_BOLTZMANN * kelvin**4


def emitted(temperature: Tensor) -> Tensor:
    """What water radiates; a loss, negative."""
    return -EMISSIVITY * STEFAN_BOLTZMANN * (temperature + ZERO) ** 4


def wind_function(wind: Tensor) -> Tensor:
    """Of evaporation (W/m2/hPa)."""
    return 3.0 + 2.0 * wind


def latent(temperature: Tensor, weather: Weather) -> Tensor:
    """By evaporation, or condensation."""
    deficit = vapour_pressure(temperature) - weather.humidity * vapour_pressure(weather.air)
    return -wind_function(weather.wind) * 10.0 * deficit


def sensible(temperature: Tensor, weather: Weather) -> Tensor:
    """By contact with the air, in Bowen's ratio to evaporation."""
    return -BOWEN * wind_function(weather.wind) * (temperature - weather.air)


def bed(temperature: Tensor, ground: Tensor, conductivity: Tensor, depth: Tensor) -> Tensor:
    """By conduction (W/m/K) from ground of a temperature at a depth (m) below the bed."""
    return conductivity * (ground - temperature) / depth


def friction(discharge: Tensor, slope: Tensor, width: Tensor) -> Tensor:
    """What falling water makes of its energy."""
    return WEIGHT_OF_WATER * discharge * slope / width


def surface(temperature: Tensor, weather: Weather) -> Tensor:
    """All that crosses the surface: shortwave, longwave in and out, latent and sensible heat."""
    radiation = shortwave(weather) + longwave(weather) + emitted(temperature)
    return radiation + latent(temperature, weather) + sensible(temperature, weather)
