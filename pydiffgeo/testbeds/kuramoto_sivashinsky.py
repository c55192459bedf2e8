"""Kuramoto-Sivashinsky's equation: chaos in one dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import InputError, ShapeError
from .exponential import Etdrk4


@dataclass(frozen=True)
class KuramotoSivashinsky:
    """u_t = -(a u u_x + b u_xx + c u_xxx + d u_xxxx + e u^2 u_x), periodic (Kuramoto 1978; Sivashinsky 1977).

    Attributes:
        length, cells: of the line. advection, diffusion, dispersion, hyperdiffusion, cubic: a, b, c, d and e.
    """

    length: float = 100.0
    cells: int = 256
    advection: float = 1.0
    diffusion: float = 1.0
    dispersion: float = 0.0
    hyperdiffusion: float = 1.0
    cubic: float = 0.0

    def __post_init__(self) -> None:
        if self.cells < 8 or self.cells % 2 or not self.length > 0:
            raise InputError(
                f"a line has a length and an even number of cells, 8 or more, got {self.length}, {self.cells}"
            )

    @cached_property
    def wavenumbers(self) -> Tensor:
        """`(cells/2 + 1,)`."""
        return 2 * math.pi / self.length * torch.arange(self.cells // 2 + 1, dtype=torch.float64)

    def derivative(self, u: Tensor, order: int) -> Tensor:
        """Derivative of an order of fields `(..., cells)`, spectral."""
        return torch.fft.irfft((1j * self._odd(order)) ** order * torch.fft.rfft(u), n=self.cells)

    def terms(self, u: Tensor) -> dict[str, Tensor]:
        """What a tendency may be made of, name -> `(..., cells)`: u^p d^q u/dx^q for p and q from 0 to 4, 24 terms
        (Mojgani, Chattopadhyay and Hassanzadeh 2022).
        """
        return {
            " ".join([f"u^{p}"] * (p > 0) + [f"D{q}u"] * (q > 0)): u**p * (self.derivative(u, q) if q else 1.0)
            for p in range(5)
            for q in range(5)
            if p or q
        }

    def start(self, members: int = 1, seed: int = 0) -> Tensor:
        """Small smooth fields `(members, cells)` to spin up from."""
        random = torch.Generator().manual_seed(seed)
        modes = torch.randn(members, 8, 2, generator=random, dtype=torch.float64)
        x = torch.arange(self.cells, dtype=torch.float64) / self.cells
        phase = 2 * math.pi * x * torch.arange(1, 9, dtype=torch.float64)[:, None]
        return 0.3 * (modes[..., 0] @ phase.cos() + modes[..., 1] @ phase.sin())

    def advance(self, u: Tensor, dt: float, steps: int = 1) -> Tensor:
        """Fields `(..., cells)` after `steps` of `dt`, by ETDRK4 with real transforms, products freed of aliases by 2/3.

        Raises:
            ShapeError: the fields have another number of cells.
        """
        if u.shape[-1] != self.cells:
            raise ShapeError(f"fields must have the shape (..., {self.cells}), got {tuple(u.shape)}")
        scheme, v = self._scheme(dt), torch.fft.rfft(u)
        for _ in range(steps):
            v = scheme.step(v, self._slope)
        return torch.fft.irfft(v, n=self.cells)

    def _scheme(self, dt: float) -> Etdrk4:
        k = self.wavenumbers
        linear = self.diffusion * k**2 - self.hyperdiffusion * k**4
        return Etdrk4.of(linear + 1j * self.dispersion * self._odd(3) ** 3 if self.dispersion else linear, dt)

    def _slope(self, v: Tensor) -> Tensor:
        kept = self.wavenumbers < 2 / 3 * self.wavenumbers[-1]
        u = torch.fft.irfft(v * kept, n=self.cells)
        carried = self.advection / 2 * u**2 + self.cubic / 3 * u**3
        return -1j * self._odd(1) * kept * torch.fft.rfft(carried)

    def _odd(self, order: int) -> Tensor:
        """Wave numbers of a derivative; the last mode has none of odd order that is real."""
        if order % 2 == 0:
            return self.wavenumbers
        return torch.cat([self.wavenumbers[:-1], self.wavenumbers.new_zeros(1)])
