"""Two-dimensional turbulence under steady forcing and linear drag, resolved or with an eddy viscosity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..checks import check_positive
from ..errors import InputError, ShapeError
from .vorticity import Flow, Grid

Closure = Callable[[Flow], Tensor]
"""Eddy viscosity of a flow: `(..., 1, 1)`, one number a field, or `(..., cells, cells)`."""
_NONE = torch.zeros(1, 1, dtype=torch.float64)


@dataclass(frozen=True)
class ForcedTurbulence:
    """Vorticity on a periodic square of side 2 pi, without units.

        w_t + u w_x + v w_y + beta v = -kf (cos kf x + cos kf y) - drag w + div((1/Re + nu_e) grad w)

    with u = -psi_y, v = psi_x, w = laplacian of psi. The defaults are the first flow of Mojgani et al. 2023
    (arXiv 2312.00907). Fields are `(..., cells, cells)`, x along the last axis; the mean of the vorticity is zero.

    Advection is the mean of its conservative and advective form, so that enstrophy is kept with aliases as well.

    Attributes:
        cells: along a side, even. reynolds: Re. drag: linear. forcing_wavenumber: kf; 0 is no forcing.
        beta: change of the planetary vorticity with y. dealias: products freed of aliases by the rule of 2/3; energy is then
            kept as well.

    Raises:
        InputError: the cells are odd or fewer than 8, a number has the wrong sign, or the forcing is not resolved.
    """

    cells: int = 32
    reynolds: float = 2e4
    drag: float = 0.1
    forcing_wavenumber: int = 4
    beta: float = 0.0
    dealias: bool = False

    def __post_init__(self) -> None:
        if self.cells < 8 or self.cells % 2:
            raise InputError(f"a square has an even number of cells along a side, 8 or more, got {self.cells}")
        if not self.reynolds > 0 or self.drag < 0:
            raise InputError(f"reynolds is positive and drag not negative, got {self.reynolds} and {self.drag}")
        highest = self.cells // 3 if self.dealias else self.cells // 2 - 1
        if not 0 <= self.forcing_wavenumber <= highest:
            raise InputError(
                f"{self.cells} cells resolve a forcing_wavenumber from 0 to {highest}, got {self.forcing_wavenumber}"
            )

    @cached_property
    def grid(self) -> Grid:
        """Wave numbers and transforms."""
        return Grid(self.cells, self.dealias)

    def start(self, members: int = 1, seed: int = 0, rms: float = 5.0) -> Tensor:
        """Random fields `(members, cells, cells)` of wave numbers up to 6, of a given root mean square, to spin up from."""
        random = torch.Generator().manual_seed(seed)
        noise = torch.randn(members, self.cells, self.cells, generator=random, dtype=torch.float64)
        square = self.grid.square
        modes = torch.fft.rfft2(noise) * ((square > 0) & (square <= 36) & self.grid.kept)
        w = torch.fft.irfft2(modes, s=(self.cells, self.cells))
        return rms * w / w.square().mean((-2, -1), keepdim=True).sqrt()

    def flow(self, w: Tensor) -> Flow:
        """What closures see, of vorticity `(..., cells, cells)`.

        Raises:
            ShapeError: the fields have another number of cells.
        """
        if w.shape[-2:] != (self.cells, self.cells):
            raise ShapeError(f"fields must have the shape (..., {self.cells}, {self.cells}), got {tuple(w.shape)}")
        return Flow(self.grid, torch.fft.rfft2(w) * self.grid.kept)

    def advance(self, w: Tensor, dt: float, steps: int = 1, closure: Closure | None = None) -> Tensor:
        """Vorticity `(..., cells, cells)` after `steps` of `dt`.

        Adams-Bashforth of second order, Crank-Nicolson for viscosity, drag and the mean of the eddy viscosity over a field;
        the first step is Heun's, so that no earlier state is needed. Eddy viscosity may be negative.

        Raises:
            ShapeError: the fields have another number of cells.
            InputError: dt is not positive.
        """
        check_positive(dt=dt)
        modes = self.flow(w).modes
        earlier: tuple[Tensor, Tensor] | None = None
        for _ in range(steps):
            slope, viscosity = self._slope(modes, closure)
            if earlier is None:
                ahead, thick = self._slope(self._implicit(modes, dt, slope, viscosity), closure)
                modes = self._implicit(modes, dt, (slope + ahead) / 2, (viscosity + thick) / 2)
            else:
                # Both at the middle of the step, or the scheme would be of first order.
                modes = self._implicit(modes, dt, 1.5 * slope - 0.5 * earlier[0], 1.5 * viscosity - 0.5 * earlier[1])
            earlier = slope, viscosity
        return torch.fft.irfft2(modes, s=(self.cells, self.cells))

    def _implicit(self, modes: Tensor, dt: float, slope: Tensor, viscosity: Tensor) -> Tensor:
        """Modes a step later, of the slope of all else and an eddy viscosity `(..., 1, 1)`."""
        half = dt / 2 * (self.drag + (1 / self.reynolds + viscosity) * self.grid.square)
        return ((1 - half) * modes + dt * slope) / (1 + half)

    @cached_property
    def _forcing(self) -> Tensor:
        x = 2 * math.pi * torch.arange(self.cells, dtype=torch.float64) / self.cells
        waves = torch.cos(self.forcing_wavenumber * x)
        return torch.fft.rfft2(-self.forcing_wavenumber * (waves[:, None] + waves))

    def _slope(self, modes: Tensor, closure: Closure | None) -> tuple[Tensor, Tensor]:
        """All that is explicit, of modes, and the mean eddy viscosity `(..., 1, 1)`."""
        grid, flow = self.grid, Flow(self.grid, modes)
        (u, v), (w_x, w_y) = flow.velocity, flow.vorticity_gradient
        across, mean = flow.vorticity / 2, _NONE
        flux_x, flux_y = u * across, v * across
        if closure is not None:
            viscosity = closure(flow)
            mean = viscosity
            if viscosity.shape[-2:] != (1, 1):
                mean = viscosity.mean((-2, -1), keepdim=True)
                uneven = viscosity - mean
                flux_x, flux_y = flux_x - uneven * w_x, flux_y - uneven * w_y
        fluxes = torch.fft.rfft2(torch.stack([flux_x, flux_y, (u * w_x + v * w_y) / 2]))
        slope = self._forcing - grid.dx * fluxes[0] - grid.dy * fluxes[1] - fluxes[2]
        if self.beta:
            slope = slope + self.beta * grid.dx * grid.inverse * modes
        return slope * grid.moving, mean
