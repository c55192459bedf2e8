"""A field of vorticity as closures see it: its velocity, derivatives, invariants and spectra."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Wave numbers of a periodic square of side 2 pi; modes are `(..., cells, cells / 2 + 1)`, those of real transforms.

    Attributes:
        cells: along a side. dealias: only modes below two thirds of the largest are kept.
    """

    cells: int
    dealias: bool = False

    @property
    def width(self) -> float:
        """Of a cell."""
        return 2 * torch.pi / self.cells

    @cached_property
    def _numbers(self) -> tuple[Tensor, Tensor]:
        whole = torch.fft.fftfreq(self.cells, 1 / self.cells, dtype=torch.float64)
        return whole[: self.cells // 2 + 1].abs(), whole[:, None]

    @cached_property
    def dx(self) -> Tensor:
        """Derivative along x of modes, a factor; none of the largest wave number is real."""
        return 1j * self._numbers[0] * self.kept * (self._numbers[0] < self.cells / 2)

    @cached_property
    def dy(self) -> Tensor:
        """Derivative along y of modes, a factor."""
        return 1j * self._numbers[1] * self.kept * (self._numbers[1].abs() < self.cells / 2)

    @cached_property
    def square(self) -> Tensor:
        """Squared wave numbers."""
        return self._numbers[0] ** 2 + self._numbers[1] ** 2

    @cached_property
    def inverse(self) -> Tensor:
        """One over the squared wave numbers, zero for the mean."""
        return torch.where(self.square > 0, 1 / self.square.clamp(min=1), 0.0)

    @cached_property
    def kept(self) -> Tensor:
        """Modes that are kept: all or, dealiased, those below two thirds of the largest wave number."""
        limit = self.cells / 3 if self.dealias else self.cells
        return (self._numbers[0] < limit) & (self._numbers[1].abs() < limit)

    @cached_property
    def moving(self) -> Tensor:
        """Modes that are kept and change: all but the mean."""
        return self.kept & (self.square > 0)

    @cached_property
    def _velocity_and_gradient(self) -> Tensor:
        """Factors from vorticity to u, v, w, w_x, w_y."""
        one = torch.ones_like(self.dx)
        return torch.stack([self.dy * self.inverse, -self.dx * self.inverse, one, self.dx, self.dy])

    @cached_property
    def _strain(self) -> Tensor:
        """Factors from vorticity to u_x, u_y + v_x, u_xx and u_xy."""
        u, v = self.dy * self.inverse, -self.dx * self.inverse
        return torch.stack([self.dx * u, self.dy * u + self.dx * v, self.dx**2 * u, self.dx * self.dy * u])


@dataclass(frozen=True, eq=False)
class Flow:
    """What follows from the modes of a field of vorticity; everything is computed when first asked for.

    Attributes:
        grid: of the field. modes: `(..., cells, cells / 2 + 1)`. All fields are `(..., cells, cells)`.
    """

    grid: Grid
    modes: Tensor

    def fields(self, factors: Tensor) -> tuple[Tensor, ...]:
        """Fields of the modes times each of `factors`, `(count, cells, cells / 2 + 1)`."""
        factors = factors.reshape(len(factors), *(1,) * (self.modes.ndim - 2), *factors.shape[-2:])
        return torch.fft.irfft2(factors * self.modes, s=(self.grid.cells, self.grid.cells)).unbind(0)

    @cached_property
    def _first(self) -> tuple[Tensor, ...]:
        return self.fields(self.grid._velocity_and_gradient)

    @cached_property
    def _second(self) -> tuple[Tensor, ...]:
        return self.fields(self.grid._strain)

    @property
    def velocity(self) -> tuple[Tensor, Tensor]:
        """Along x and y."""
        return self._first[0], self._first[1]

    @property
    def vorticity(self) -> Tensor:
        """Of the modes that are kept."""
        return self._first[2]

    @property
    def vorticity_gradient(self) -> tuple[Tensor, Tensor]:
        """Along x and y."""
        return self._first[3], self._first[4]

    @cached_property
    def strain_rate(self) -> Tensor:
        """|S|, the root of 2 S:S."""
        stretching, shear = self._second[:2]
        return (4 * stretching**2 + shear**2).clamp(min=1e-30).sqrt()

    @cached_property
    def invariants(self) -> Tensor:
        """Traces of S, S S and R R of two matrices, `(..., cells, cells, 6)`; S and R are symmetric and antisymmetric parts.

        The first matrix is the gradient of the velocity, the second [[u_xx, u_xy], [v_yx, v_yy]], as the agents of Mojgani
        et al. 2023 see them. The first trace is zero in any flow without divergence; those of the second matrix depend on the
        direction of the axes.
        """
        stretching, shear, u_xx, u_xy = self._second
        # v_yx = -u_xx and v_yy = -u_xy, since u_x + v_y is zero.
        between, across = (u_xy - u_xx) / 2, (u_xy + u_xx) / 2
        return torch.stack(
            [
                torch.zeros_like(shear),
                2 * stretching**2 + shear**2 / 2,
                -(self.vorticity**2) / 2,
                u_xx - u_xy,
                u_xx**2 + u_xy**2 + 2 * between**2,
                -2 * across**2,
            ],
            -1,
        )

    @cached_property
    def _powers(self) -> Tensor:
        """Of modes of the whole transform, `(..., cells, cells)`."""
        return torch.fft.fft2(self.vorticity).abs().square()

    @property
    def enstrophy_spectrum(self) -> Tensor:
        """By wave number 0 to cells / 2 - 1, `(..., cells / 2)`, in the convention of Mojgani et al. 2023.

        Half the powers of the transform, averaged over one axis and over n^3, and the mean of both axes: spectra of grids of
        different n can be compared.
        """
        return self._along(self._powers / 2)

    @property
    def energy_spectrum(self) -> Tensor:
        """As `enstrophy_spectrum`, but powers over the squared wave number, not halved."""
        k = torch.fft.fftfreq(self.grid.cells, 1 / self.grid.cells, dtype=torch.float64)
        square = k[:, None] ** 2 + k**2
        return self._along(self._powers * torch.where(square > 0, 1 / square.clamp(min=1), 0.0))

    def _along(self, powers: Tensor) -> Tensor:
        n = self.grid.cells
        return (powers.mean(-1) + powers.mean(-2))[..., : n // 2] / (2 * n**3)
