"""Snow by temperature and season: the fluxes of SNOW-17 as rates (mm/d).

Source: Anderson 2006, Snow Accumulation and Ablation Model: SNOW-17, NWS; numbers as in the operational code of NOAA (snow17).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# The day of 21 March, from which seasons count, and hours of rain above which rain on snow has an energy balance (mm/d).
EQUINOX, HEAVY = 80.0, 6.0
# Six hours, the step that melt factors are stated for, are so much of a day.
STEPS = 4.0


def melt_factor(day_of_year: Tensor, MFMAX: Tensor, MFMIN: Tensor) -> Tensor:
    """Melt (mm/d/degC), a sine between the factors of 21 December and 21 June (mm/degC in six hours)."""
    season = torch.sin(2 * math.pi / 366 * (day_of_year - EQUINOX))
    return STEPS * 0.5 * (MFMAX + MFMIN + season * (MFMAX - MFMIN))


def air_pressure(elevation: Tensor) -> Tensor:
    """Pressure (hPa) of a standard atmosphere at `elevation` (m)."""
    hundreds = elevation / 100.0
    return 33.86 * (29.9 - 0.335 * hundreds + 0.00022 * torch.clamp(hundreds, min=1e-6) ** 2.4)


def possible_melt(
    rain: Tensor, temperature: Tensor, factor: Tensor, MBASE: Tensor, UADJ: Tensor, pressure: Tensor
) -> Tensor:
    """Melt (mm/d) where all is covered: by the `factor` above `MBASE`; under heavy rain by long-wave, latent and sensible heat.

    Args:
        UADJ: wind function during rain, mm/hPa in six hours.
    """
    by_rain = 0.0125 * rain * torch.clamp(temperature, min=0.0)
    dry = factor * torch.clamp(temperature - MBASE, min=0.0)
    vapour = 0.9 * 2.7489e8 * torch.exp(-4278.63 / (temperature + 242.792))
    long_wave = 24 * 0.0612 * (((temperature + 273.0) / 100.0) ** 4 - 55.55)
    turbulent = STEPS * 8.5 * UADJ * (vapour - 6.11 + 0.00057 * pressure * temperature)
    return by_rain + torch.where(rain > HEAVY, torch.clamp(long_wave + turbulent, min=0.0), dry)


def cover(ice: Tensor, water: Tensor, largest: Tensor, fresh: Tensor, curve: Sequence[float], width: float) -> Tensor:
    """Share of the area under snow: by the depletion `curve` of old snow, and all of it where `fresh` snow (mm) has fallen on it.

    Args:
        ice: frozen part of the water equivalent `water` (mm). largest: that from which all is covered. fresh: that of new snow on bare ground.
        curve: shares at 0, 0.1, ..., 1 of `largest`.
        width: millimetres of new snow that cover most of what is bare, and of old snow that are hardly a pack any more.
    """
    place = 10.0 * torch.clamp((water - fresh) / largest, 0.0, 1.0)
    old = place * 0.0 + curve[0]
    for i in range(10):
        old = old + (curve[i + 1] - curve[i]) * torch.clamp(place - i, 0.0, 1.0)
    return (old + (1.0 - old) * torch.tanh(fresh / width)) * torch.tanh(ice / width)


def heat_loss(index: Tensor, temperature: Tensor, factor: Tensor, NMF: Tensor, MFMAX: Tensor) -> Tensor:
    """Growth of the heat deficit (mm/d) of a pack whose surface is colder than its temperature `index`; negative where warmer."""
    return NMF * factor / MFMAX * (index - torch.clamp(temperature, max=0.0))
