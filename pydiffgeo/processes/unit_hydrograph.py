"""Unit hydrographs of daily runoff, applied after a solve: exact and differentiable, since integrated fluxes are linear in them.

shape, scale = torch.tensor(2.5), torch.tensor(1.5)                # may ask for gradients
runoff = convolve(solution.fluxes["runoff"], gamma_weights(shape, scale))
"""

from __future__ import annotations

import torch
from torch import Tensor


def gamma_weights(shape: Tensor, scale: Tensor, days: int = 15) -> Tensor:
    """Shares of runoff that reach the outlet 0, 1, 2, ... days later: a gamma density at mid-day, of sum one.

    Args:
        shape: of the density, positive, `(...)`. scale: in days, positive, of the same shape.
        days: how many.

    Returns:
        `(..., days)`.

    Source: Feng et al. 2022, Water Resour. Res. 58, whose learned parameters are `shape - 0.1` and `scale - 0.5`.
    """
    middle = torch.arange(days, dtype=shape.dtype) + 0.5
    # Constant factors of the density cancel in the sum.
    logarithm = (shape.unsqueeze(-1) - 1.0) * torch.log(middle) - middle / scale.unsqueeze(-1)
    return torch.softmax(logarithm, dim=-1)


def convolve(runoff: Tensor, weights: Tensor) -> Tensor:
    """Daily runoff `(..., days)` delayed by `weights` `(..., n)`, whose leading dimensions broadcast with those of the runoff.

    What falls in the last days and would arrive after them is not in the result; nothing arrives from before the first day.
    """
    delayed = torch.zeros_like(runoff * weights[..., :1])
    for lag in range(min(weights.shape[-1], runoff.shape[-1])):
        arriving = weights[..., lag : lag + 1] * runoff[..., : runoff.shape[-1] - lag]
        delayed = delayed + torch.nn.functional.pad(arriving, (lag, 0))
    return delayed
