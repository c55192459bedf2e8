"""Flow out of stores of water that fill and empty."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .smoothing import smooth_step


def linear(storage: Tensor, k: Tensor) -> Tensor:
    """Outflow of a linear reservoir of residence time `k` (Maillet 1905): storage / k."""
    return storage / k


def power(storage: Tensor, k: Tensor, alpha: Tensor) -> Tensor:
    """Outflow `k` storage^`alpha` of a nonlinear reservoir (the power reservoir of Fenicia et al. 2011)."""
    return k * torch.clamp(storage, min=0.0) ** alpha


def cascade(inflow: Tensor, stores: Sequence[Tensor], k: Tensor) -> tuple[list[Tensor], Tensor]:
    """Linear reservoirs in a row, each of residence time `k` (Nash 1957).

    Returns:
        The rate of change of each store, and the outflow of the last one: `inflow` itself where there is none.
    """
    rates: list[Tensor] = []
    for store in stores:
        out = linear(store, k)
        rates.append(inflow - out)
        inflow = out
    return rates, inflow


def exponential_base_flow(water: Tensor, f: Tensor, S_max: Tensor, Q_max: Tensor) -> Tensor:
    """Base flow (mm/d) that declines by `f` (1/mm) below a full store, and stays at `Q_max` (mm/d) above `S_max` (mm).

    Source: Patil and Stieglitz 2014, Hydrol. Process. 28, with the smooth steps of Hoege et al. 2022.
    """
    full, filling = smooth_step(water - S_max), smooth_step(S_max - water)
    return smooth_step(water) * Q_max * (full + filling * torch.exp(-f * (S_max - water)))


def overflow(water: Tensor, S_max: Tensor) -> Tensor:
    """What leaves in a day (mm/d) of the water (mm) above `S_max` (mm). Sources as above."""
    return smooth_step(water) * smooth_step(water - S_max) * (water - S_max)
