"""Flow out of stores of water that fill and empty."""

from __future__ import annotations

from typing import Any

import torch

from .smoothing import smooth_step


def linear(storage: Any, k: Any) -> Any:
    """Outflow of a linear reservoir of residence time `k` (Maillet 1905): storage / k."""
    return storage / k


def exponential_base_flow(water: Any, f: Any, S_max: Any, Q_max: Any) -> Any:
    """Base flow (mm/d) that declines by `f` (1/mm) below a full store, and stays at `Q_max` (mm/d) above `S_max` (mm).

    Source: Patil and Stieglitz 2014, Hydrol. Process. 28, with the smooth steps of Hoege et al. 2022.
    """
    full, filling = smooth_step(water - S_max), smooth_step(S_max - water)
    return smooth_step(water) * Q_max * (full + filling * torch.exp(-f * (S_max - water)))


def overflow(water: Any, S_max: Any) -> Any:
    """What leaves in a day (mm/d) of the water (mm) above `S_max` (mm). Sources as above."""
    return smooth_step(water) * smooth_step(water - S_max) * (water - S_max)
