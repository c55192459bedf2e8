"""The stores and fluxes of GR4J as rates, without the splitting of the daily model.

Source: Santos et al. 2018, Geosci. Model Dev. 11 (state-space GR4), of Perrin et al. 2003, J. Hydrol. 279.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Share of the effective rain that passes the routing store, and of percolation: Perrin et al. 2003, eqs 6 to 8.
ROUTED = 0.9
PERCOLATION = (4 / 9) ** 4 / 4


def net_weather(precipitation: Tensor, demand: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Net rain, demand that is left, and what evaporates at once (mm/d): interception of no capacity."""
    at_once = torch.minimum(precipitation, demand)
    return precipitation - at_once, demand - at_once, at_once


def infiltration(production: Tensor, net_rain: Tensor, X1: Tensor) -> Tensor:
    """Net rain (mm/d) that enters the production store (mm) of capacity `X1` (mm): less, the fuller it is."""
    return net_rain * (1.0 - torch.clamp(production / X1, 0.0, 1.0) ** 2)


def evapotranspiration(production: Tensor, net_demand: Tensor, X1: Tensor) -> Tensor:
    """What the production store gives (mm/d) of the demand that is left."""
    filled = torch.clamp(production / X1, 0.0, 1.0)
    return net_demand * filled * (2.0 - filled)


def percolation(production: Tensor, X1: Tensor) -> Tensor:
    """Outflow of the production store (mm/d)."""
    return PERCOLATION * production * (production / X1) ** 4


def exchange(routing: Tensor, X2: Tensor, X3: Tensor) -> Tensor:
    """Gain from groundwater beyond the basin (mm/d), a loss where `X2` (mm/d) is negative."""
    return X2 * torch.clamp(routing / X3, min=0.0) ** 3.5


def routed_flow(routing: Tensor, X3: Tensor) -> Tensor:
    """Outflow of the routing store (mm/d) of capacity `X3` (mm)."""
    return 0.25 * routing * (routing / X3) ** 4


def direct_flow(inflow: Tensor, gain: Tensor) -> Tensor:
    """Runoff that passes no store (mm/d): `inflow` and the `gain` from the exchange, never negative."""
    return torch.clamp(inflow + gain, min=0.0)
