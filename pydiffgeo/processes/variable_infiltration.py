"""Soils whose capacity differs from place to place: the share that is saturated, and the base flow of ARNO.

Source: Moore 1985, Hydrol. Sci. J. 30 (Pareto distribution of capacities); Todini 1996, J. Hydrol. 175 (ARNO); Liang et al.
1994, J. Geophys. Res. 99 (VIC).
"""

from __future__ import annotations

import torch
from torch import Tensor

# The last share of the capacity, over which the dry area goes to zero with a finite slope instead of an infinite one.
NEARLY_FULL = 1e-3


def saturated_share(storage: Tensor, capacity: Tensor, b: Tensor) -> Tensor:
    """Share of the basin that is saturated: 1 - (1 - storage / capacity)^(b / (1 + b)); all of it above `capacity` (mm)."""
    dry = torch.clamp(1.0 - storage / capacity, 0.0, 1.0)
    return 1.0 - dry * (dry + NEARLY_FULL) ** (b / (1.0 + b) - 1.0)


def arno_base_flow(storage: Tensor, capacity: Tensor, Ds: Tensor, Dm: Tensor, Ws: Tensor) -> Tensor:
    """Base flow (mm/d): in proportion to the storage (mm), and with its square above the filling `Ws`.

    `Dm` (mm/d) is that of the full store, `Ds` the share of it that is reached in a line at `Ws`: at most `Ws`.
    """
    line = Ds * Dm / (Ws * capacity) * torch.clamp(storage, min=0.0)
    above = torch.clamp((storage - Ws * capacity) / (capacity * (1.0 - Ws)), 0.0, 1.0)
    return line + Dm * (1.0 - Ds / Ws) * above**2
