"""A snow pack that holds melt water, by degrees and days: the snow routine of HBV as rates.

Source: Bergstrom 1992, SMHI Reports RH 4; Seibert and Vis 2012, Hydrol. Earth Syst. Sci. 16, section 2. What the daily model
takes "at most all of" is taken here at the rate of the store over `time` (d), so that no store is ever overdrawn.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rain_share(temperature: Tensor, TT: Tensor, width: float) -> Tensor:
    """Share of the precipitation that is rain: 0 below `TT - width / 2`, 1 above `TT + width / 2` (degC).

    A cubic between, whose slope is zero at both ends; of no `width`, the threshold of the daily model. A day whose mean is
    at the threshold has hours of both, and a threshold without width has no derivative to `TT`.
    """
    if width == 0:
        return torch.where(temperature >= TT, 1.0, 0.0 * TT)
    share = torch.clamp((temperature - TT) / width + 0.5, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def melt(snow: Tensor, temperature: Tensor, TT: Tensor, CFMAX: Tensor, time: float) -> Tensor:
    """Melt (mm/d) of `snow` (mm): `CFMAX` (mm/d/degC) above `TT` (degC), at most the store over `time` (d)."""
    return torch.minimum(CFMAX * torch.clamp(temperature - TT, min=0.0), snow / time)


def refreezing(liquid: Tensor, temperature: Tensor, TT: Tensor, CFMAX: Tensor, CFR: Tensor, time: float) -> Tensor:
    """What freezes again (mm/d) of the `liquid` water (mm): a share `CFR` of the degree-day factor, below `TT`."""
    return torch.minimum(CFR * CFMAX * torch.clamp(TT - temperature, min=0.0), liquid / time)


def drainage(liquid: Tensor, snow: Tensor, CWH: Tensor, time: float) -> Tensor:
    """What leaves the pack (mm/d): liquid water above the share `CWH` of the `snow` (mm), within `time` (d)."""
    return torch.clamp(liquid - CWH * snow, min=0.0) / time
