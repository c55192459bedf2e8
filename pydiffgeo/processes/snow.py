"""Snow by temperature: what falls as snow, and what melts in a day.

Source: Patil and Stieglitz 2014, Hydrol. Process. 28, with the smooth steps of Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .smoothing import smooth_step


def partition(precipitation: Tensor, temperature: Tensor, T_min: Tensor) -> tuple[Tensor, Tensor]:
    """Rain and snow (mm/d), which overlap a little around `T_min` (degC): snow falls below it, rain above."""
    snowfall = smooth_step(T_min - temperature) * precipitation
    rainfall = smooth_step(temperature - T_min) * precipitation
    return rainfall, snowfall


def degree_day_melt(snow: Tensor, temperature: Tensor, D_f: Tensor, T_max: Tensor) -> Tensor:
    """Melt (mm/d) of a store of `snow` (mm): `D_f` (mm/d/degC) above `T_max` (degC), at most the store in a day."""
    melting = smooth_step(temperature - T_max) * smooth_step(snow)
    return melting * torch.minimum(snow, D_f * (temperature - T_max))
