"""Evaporation from a catchment: what the air could take up, and what a store gives.

Bare soil and roots are in `soil/surface.py` and `soil/roots.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .smoothing import smooth_step


def hamon(temperature: Tensor, daylength: Tensor) -> Tensor:
    """Potential evapotranspiration (mm/d) from the temperature (degC) and hours of light of a day.

    Source: Hamon's formula in the form of Patil and Stieglitz 2014, Hydrol. Process. 28.
    """
    vapour_pressure = 0.611 * torch.exp(17.3 * temperature / (temperature + 237.3))
    return 29.8 * daylength * vapour_pressure / (temperature + 273.2)


def from_store(water: Tensor, demand: Tensor, S_max: Tensor) -> Tensor:
    """Evapotranspiration (mm/d) from a store of `water` (mm): demand times its filling, all of it above `S_max` (mm).

    Source: Patil and Stieglitz 2014, with the smooth steps of Hoege et al. 2022.
    """
    full, filling = smooth_step(water - S_max), smooth_step(S_max - water)
    return smooth_step(water) * demand * (full + filling * water / S_max)
