"""The response function of HBV as rates: two stores of water below the soil.

Source: Bergstrom 1992, SMHI Reports RH 4; Seibert and Vis 2012, Hydrol. Earth Syst. Sci. 16, eqs 4 and 5.
"""

from __future__ import annotations

import torch
from torch import Tensor


def percolation(upper: Tensor, PERC: Tensor, time: float) -> Tensor:
    """What seeps from the upper into the lower zone (mm/d): `PERC` (mm/d), at most the store (mm) over `time` (d)."""
    return torch.minimum(PERC, upper / time)


def quick_flow(upper: Tensor, K0: Tensor, UZL: Tensor) -> Tensor:
    """Runoff (mm/d) of the upper zone above its threshold `UZL` (mm)."""
    return K0 * torch.clamp(upper - UZL, min=0.0)


def interflow(upper: Tensor, K1: Tensor) -> Tensor:
    """Runoff (mm/d) of all of the upper zone (mm)."""
    return K1 * upper


def base_flow(lower: Tensor, K2: Tensor) -> Tensor:
    """Runoff (mm/d) of the lower zone (mm)."""
    return K2 * lower
