"""Eddy viscosities: callables of a flow, `(..., 1, 1)` or `(..., cells, cells)`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError
from .vorticity import Flow, Grid

BOUND = 0.5**3
"""Of the size of a learned C^3, negative or positive (Mojgani et al. 2023)."""


def leith_scale(flow: Flow) -> Tensor:
    """Delta^3 mean |grad w|, `(..., 1, 1)`: the eddy viscosity of Leith (1996, Physica D 98) over C^3.

    The mean over a field is taken, as Mojgani et al. 2023 do, not the local gradient.
    """
    w_x, w_y = flow.vorticity_gradient
    steep = (w_x**2 + w_y**2).clamp(min=1e-30).sqrt()
    return flow.grid.width**3 * steep.mean((-2, -1), keepdim=True)


@dataclass(frozen=True)
class Leith:
    """C^3 Delta^3 mean |grad w|. Attributes: coefficient: C, a number or a tensor that gradients reach."""

    coefficient: float | Tensor = 0.17

    def __call__(self, flow: Flow) -> Tensor:
        """`(..., 1, 1)`."""
        return self.coefficient**3 * leith_scale(flow)


@dataclass(frozen=True)
class Smagorinsky:
    """C^2 Delta^2 rms |S| (Smagorinsky 1963), the mean over a field. Attributes: coefficient: C, a number or a tensor."""

    coefficient: float | Tensor = 0.17

    def __call__(self, flow: Flow) -> Tensor:
        """`(..., 1, 1)`."""
        size = flow.strain_rate.square().mean((-2, -1), keepdim=True).sqrt()
        return self.coefficient**2 * flow.grid.width**2 * size


@dataclass(frozen=True)
class DynamicSmagorinsky:
    """C^2 Delta^2 |S|, with C^2 from the flow by Germano's identity for the flux of vorticity.

    Germano et al. 1991 (Phys. Fluids A 3), least squares of Lilly 1992 (Phys. Fluids A 4) over the whole field, a sharp test
    filter of twice the width. A negative C^2 counts as zero.
    """

    def __call__(self, flow: Flow) -> Tensor:
        """`(..., cells, cells)`."""
        grid = flow.grid
        wide = _test_filter(grid)
        (u, v), (w_x, w_y), w = flow.velocity, flow.vorticity_gradient, flow.vorticity
        size = flow.strain_rate
        coarse = Flow(grid, flow.modes * wide)
        (cu, cv), (cw_x, cw_y) = coarse.velocity, coarse.vorticity_gradient

        def filtered(fields: Tensor) -> Tensor:
            return torch.fft.irfft2(torch.fft.rfft2(fields) * wide, s=(grid.cells, grid.cells))

        products = filtered(torch.stack([u * w, v * w, size * w_x, size * w_y]))
        # What the test filter takes from the flux, and what the closure says of it: L = C^2 M.
        lost = products[:2] - torch.stack([cu, cv]) * coarse.vorticity
        said = products[2:] - 4 * coarse.strain_rate * torch.stack([cw_x, cw_y])
        over = (lost * said).sum(0).mean((-2, -1), keepdim=True)
        square = over / (grid.width**2 * said.square().sum(0).mean((-2, -1), keepdim=True).clamp(min=1e-30))
        return square.clamp(min=0.0) * grid.width**2 * size


def _test_filter(grid: Grid) -> Tensor:
    numbers = torch.fft.fftfreq(grid.cells, 1 / grid.cells, dtype=torch.float64).abs()
    below = numbers < grid.cells / 4
    return below[:, None] & below[: grid.cells // 2 + 1]


class InvariantNetwork(nn.Module):
    """c Delta^3 mean |grad w| with c of each point a small network of the six invariants there, between -0.125 and 0.125.

    Invariants are taken over their size in the whole field: the mean square of the vorticity, that of its gradient and, for
    the linear one, the root of the latter; tails are bent to within one. Backscatter, a negative c, is allowed.

    Args:
        width: of two hidden layers with softsign, which is cheap; 8 gives 137 weights.
        coefficient: C of Leith's closure, which the network is before training.
        seed: of the first weights.

    Raises:
        InputError: the width is not positive, or the coefficient not within 0.5.
    """

    def __init__(self, width: int = 8, coefficient: float = 0.17, seed: int = 0) -> None:
        super().__init__()
        if width < 1 or not abs(coefficient) < 0.5:
            raise InputError(f"width is at least 1 and coefficient between -0.5 and 0.5, got {width} and {coefficient}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first, second, last = nn.Linear(6, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.layers = nn.Sequential(first, nn.Softsign(), second, nn.Softsign(), last).double()
        with torch.no_grad():
            last.weight.zero_()
            # The network speaks of c in units of the c it begins with, so that one rate of learning suits all weights.
            self.unit = max(abs(coefficient) ** 3, 1e-3)
            last.bias.fill_(BOUND / self.unit * torch.atanh(torch.tensor(coefficient**3 / BOUND, dtype=torch.float64)))

    def coefficients(self, flow: Flow) -> Tensor:
        """c of each point, `(..., cells, cells)`."""
        w_x, w_y = flow.vorticity_gradient
        turning = flow.vorticity.square().mean((-2, -1), keepdim=True).clamp(min=1e-30)
        bending = (w_x**2 + w_y**2).mean((-2, -1), keepdim=True).clamp(min=1e-30)
        sizes = torch.stack([turning, turning, turning, bending.sqrt(), bending, bending], -1)
        says = self.layers(nn.functional.softsign(flow.invariants / sizes)).squeeze(-1)
        return BOUND * torch.tanh(self.unit * says / BOUND)

    def forward(self, flow: Flow) -> Tensor:
        """`(..., cells, cells)`."""
        return self.coefficients(flow) * leith_scale(flow)
