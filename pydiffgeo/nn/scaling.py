"""Brings the inputs of networks to one scale, which is kept with the network."""

from __future__ import annotations

import torch
from torch import Tensor

# Quantiles that are kept of each input.
LEVELS = 33


class Standardise(torch.nn.Module):
    """`(x - mean) / spread` of each input, which are kept with the module; what is missing (NaN) becomes zero, the mean."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(inputs, dtype=torch.float64))

    @property
    def fitted(self) -> bool:
        """Whether it has seen data."""
        return bool((self.spread != 1).any())

    def fit(self, x: Tensor) -> None:
        """Takes mean and standard deviation over all axes but the last; an input that does not vary becomes zero."""
        rows = x.reshape(-1, x.shape[-1]).to(torch.float64)
        mean = torch.nan_to_num(rows.nanmean(0))
        spread = torch.nan_to_num(((rows - mean) ** 2).nanmean(0).sqrt())
        self.mean: Tensor = mean
        self.spread: Tensor = torch.where(spread > 1e-12 * (1 + mean.abs()), spread, torch.inf)

    def forward(self, x: Tensor) -> Tensor:
        return torch.nan_to_num((x - self.mean) / self.spread)


class NormalScores(torch.nn.Module):
    """The place of each input among those seen, as that of a normal variable (van der Waerden 1952, Indag. Math. 14).

    However skewed an input is, its scores are normal, and what lies beyond all that was seen has the score of the
    outermost: nothing is extrapolated. What is missing (NaN) becomes zero, the median.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("quantiles", torch.zeros(inputs, LEVELS, dtype=torch.float64))

    @property
    def fitted(self) -> bool:
        """Whether it has seen data."""
        return bool((self.quantiles != 0).any())

    def fit(self, x: Tensor) -> None:
        """Takes quantiles over all axes but the last; an input that does not vary becomes zero."""
        rows = x.reshape(-1, x.shape[-1]).to(torch.float64)
        levels = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
        self.quantiles: Tensor = torch.nan_to_num(torch.nanquantile(rows, levels, dim=0)).T.contiguous()

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).T.contiguous()
        # Among equal values, as of an input that is often zero, the place is the middle of theirs.
        place = 0.5 * (self._place(rows, right=False) + self._place(rows, right=True))
        scores = torch.special.ndtri((place + 0.5) / LEVELS)
        varies = (self.quantiles[:, -1] > self.quantiles[:, 0]).unsqueeze(1)
        return torch.nan_to_num(torch.where(varies, scores, 0.0)).T.reshape(x.shape)

    def _place(self, rows: Tensor, *, right: bool) -> Tensor:
        """Interpolated number of the quantile that a value equals: the first of several, or the last with `right`."""
        above = torch.searchsorted(self.quantiles, rows, right=right).clamp(1, LEVELS - 1)
        low, high = (self.quantiles.gather(1, i) for i in (above - 1, above))
        share = torch.where(high > low, (rows - low) / (high - low), torch.where(rows < low, 0.0, 1.0))
        return above - 1 + share.clamp(0.0, 1.0)
