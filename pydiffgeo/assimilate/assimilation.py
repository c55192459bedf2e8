"""What an assimilation gives: means and spreads cycle by cycle, innovations, increments, reliability."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Assimilation:
    """What an assimilation found, window by window.

    Attributes:
        names: of the numbers that were estimated, `length` of them. times: `(cycles,)`, ends of the windows.
        forecast, forecast_sd: `(cycles, length)`, at the end of each window before its observations count, in their units.
        analysis, analysis_sd: `(cycles, length)`, after.
        members: `(cycles, members, length)` of the analysis, where there is an ensemble; else empty.
        innovations: for each cycle `(observations,)`, observed less forecast; innovation_sd: what is expected of them.
        ranks: for each cycle, the share of forecast members below each observation (with its error), of ensembles.
        failures: number of a cycle -> why; its analysis is its forecast, and the rest went on.
        solves: windows solved.
    """

    names: tuple[str, ...]
    times: Tensor
    forecast: Tensor
    forecast_sd: Tensor
    analysis: Tensor
    analysis_sd: Tensor
    members: Tensor
    innovations: tuple[Tensor, ...]
    innovation_sd: tuple[Tensor, ...]
    ranks: tuple[Tensor, ...]
    failures: dict[int, str]
    solves: int

    @property
    def increments(self) -> Tensor:
        """What the observations added, `(cycles, length)`: what a model lacks makes it lean to one side."""
        return self.analysis - self.forecast

    @property
    def reduced_chi_squared(self) -> float:
        """Mean square of innovations in units of what is expected: one where errors and spreads are right."""
        each = [(d / s) ** 2 for d, s in zip(self.innovations, self.innovation_sd, strict=True)]
        return float(torch.cat(each).mean())

    def error(self, truth: Tensor, *, skip: int = 0) -> Tensor:
        """Root mean square error of the analysis against a known truth `(cycles, length)`, `(length,)`."""
        return (self.analysis - truth)[skip:].square().mean(0).sqrt()

    def spread_skill(self, truth: Tensor, *, skip: int = 0) -> float:
        """Spread over error, both root mean squares over cycles and numbers, each in units of its mean spread."""
        scale = self.analysis_sd[skip:].square().mean(0).sqrt().clamp(min=1e-300)
        spread = (self.analysis_sd[skip:] / scale).square().mean().sqrt()
        skill = ((self.analysis - truth)[skip:] / scale).square().mean().sqrt()
        return float(spread / skill)
