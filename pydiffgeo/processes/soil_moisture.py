"""Soil moisture accounting of HBV as rates: one store of a basin whose soils differ.

Source: Bergstrom 1992, SMHI Reports RH 4; Seibert and Vis 2012, Hydrol. Earth Syst. Sci. 16, eqs 1 and 2; exponent of
evapotranspiration: Feng et al. 2022, Water Resour. Res. 58; capillary rise: HBV of hydrodl2.
"""

from __future__ import annotations

import torch
from torch import Tensor

# A store is taken as filled by this share at least, where powers of its filling would have no slope.
DRY = 1e-9


def filling(moisture: Tensor, FC: Tensor) -> Tensor:
    """Share of the field capacity `FC` (mm) that is filled, at most 1."""
    return torch.clamp(moisture / FC, DRY, 1.0)


def recharge(moisture: Tensor, inflow: Tensor, FC: Tensor, BETA: Tensor) -> Tensor:
    """What runs through the soil (mm/d) of rain and melt water `inflow` (mm/d): the power `BETA` of the filling."""
    return inflow * filling(moisture, FC) ** BETA


def excess(moisture: Tensor, FC: Tensor, time: float) -> Tensor:
    """What leaves the soil (mm/d) of the water above its field capacity (mm), within `time` (d)."""
    return torch.clamp(moisture - FC, min=0.0) / time


def evapotranspiration(moisture: Tensor, demand: Tensor, FC: Tensor, LP: Tensor, BETAET: Tensor, time: float) -> Tensor:
    """Actual evapotranspiration (mm/d): all of the `demand` (mm/d) above the filling `LP`, less below, by the power `BETAET`.

    At most the store over `time` (d).
    """
    supplied = torch.clamp(moisture / (LP * FC), DRY, 1.0) ** BETAET
    return torch.minimum(demand * supplied, moisture / time)


def capillary_rise(moisture: Tensor, groundwater: Tensor, FC: Tensor, C: Tensor) -> Tensor:
    """What rises from `groundwater` (mm) into a soil that is not full (mm/d): `C` (1/d) times its deficit."""
    return C * groundwater * (1.0 - filling(moisture, FC))
