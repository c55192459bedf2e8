"""A baroclinic jet in a channel: two layers of quasi-geostrophic flow, relaxed towards a jet that is unstable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import InputError, ShapeError
from .exponential import Etdrk4


@dataclass(frozen=True)
class QuasiGeostrophicChannel:
    """Two layers of equal depth on a beta plane, without dimensions: lengths in deformation radii, speeds in that of the jet.

    With stream functions p1 (above) and p2, q1 = lap p1 - (p1 - p2), q2 = lap p2 + (p1 - p2) and J(a, b) = a_x b_y - a_y b_x:

        q1_t = -a J(p1, q1) - beta p1_x + r (p1 - p2) - e p_R               - s (q1 - [q1]) - nu (k^8 + m^8) q1
        q2_t = -a J(p2, q2) - beta p2_x - r (p1 - p2) + e p_R - f lap p2    - s (q2 - [q2]) - nu (k^8 + m^8) q2

    [q] is the mean along x, and s a sponge at both ends of y, where the domain closes on itself. The equations and numbers
    are those of Mojgani, Chattopadhyay and Hassanzadeh (2024, and their public code). The
    gradient beta y is kept out of q, so that no filter acts on its jump.

    Attributes:
        columns, rows: of cells. length, width: of the domain along x and y.
        advection, beta, relaxation, equilibrium, friction, viscosity: a, beta, r, e, f and nu. jet: width of the jet and of
            the sponge. sponge: its rate at the ends.
    """

    columns: int = 96
    rows: int = 192
    length: float = 46.0
    width: float = 68.0
    advection: float = 1.0
    beta: float = 0.196
    relaxation: float = 0.01
    equilibrium: float = 0.01
    friction: float = 0.07
    viscosity: float = 1e-6
    jet: float = 3.5
    sponge: float = 1.0

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 8 or self.columns % 2 or self.rows % 2:
            raise InputError(f"a channel has even numbers of cells, 8 or more, got {self.columns} and {self.rows}")
        if not min(self.length, self.width, self.jet) > 0:
            raise InputError(f"lengths must be positive, got {self.length}, {self.width} and {self.jet}")

    @cached_property
    def y(self) -> Tensor:
        """Middle of the rows, `(rows,)`; the jet is at zero."""
        return (torch.arange(self.rows, dtype=torch.float64) / self.rows - 0.5) * self.width

    @cached_property
    def equilibrium_stream(self) -> Tensor:
        """p_R, `(rows,)`: a jet of unit speed in the middle, and as much flow back at the ends."""
        speed = self._bump(self.y) - self._bump(self.width / 2 - self.y.abs())
        m = 2 * math.pi / self.width * torch.arange(self.rows // 2 + 1, dtype=torch.float64)
        modes = torch.fft.rfft(speed)
        # u = -dp/dy; there is no mean speed, and the last mode has no derivative that is real.
        modes = torch.where((m > 0) & (m < m[-1]), modes * 1j / m.clamp(min=m[1]), 0.0)
        return torch.fft.irfft(modes, n=self.rows)

    def vorticity(self, stream: Tensor) -> Tensor:
        """Potential vorticity of stream functions, both `(..., 2, rows, columns)`, without beta y."""
        return self._real(self._vorticity(self._modes(stream)))

    def stream(self, vorticity: Tensor) -> Tensor:
        """The inverse; the mean of both layers together, which moves nothing, is zero."""
        return self._real(self._stream(self._modes(vorticity)))

    def derivative(self, field: Tensor, x: int = 0, y: int = 0) -> Tensor:
        """Spectral derivative of orders in `x` and `y` of fields `(..., rows, columns)`."""
        k, m = self._numbers
        k, m = (k if x % 2 == 0 else k * self._odd[0]), (m if y % 2 == 0 else m * self._odd[1])
        return self._real((1j * k) ** x * (1j * m) ** y * torch.fft.rfft2(field))

    def jacobian(self, a: Tensor, b: Tensor) -> Tensor:
        """J(a, b) of fields `(..., rows, columns)`, freed of aliases."""
        return self._real(self._jacobian(torch.fft.rfft2(a), torch.fft.rfft2(b)))

    def low_pass(self, field: Tensor, limit: float) -> Tensor:
        """Fields `(..., rows, columns)` without waves shorter than a wave number, in radians per length."""
        return self._real(torch.fft.rfft2(field) * (self._square < limit**2))

    def terms(self, vorticity: Tensor) -> dict[str, Tensor]:
        """What a tendency of a layer may be made of, name -> `(..., rows, columns)`: the terms of the equations and others.

        Mojgani et al. (2024) have the two first derivatives of a layer as one column; apart, the term of beta is among them.
        """
        stream = self.stream(vorticity)
        made: dict[str, Tensor] = {}
        for layer in (0, 1):
            p, name = stream[..., layer, :, :], f"psi{layer + 1}"
            made |= {
                name: p,
                f"{name}_x": self.derivative(p, x=1),
                f"{name}_y": self.derivative(p, y=1),
                f"lap {name}": self.derivative(p, x=2) + self.derivative(p, y=2),
                f"J{layer + 1}": self.jacobian(p, vorticity[..., layer, :, :]),
            }
        return made | {"psi_R": self.equilibrium_stream[:, None].expand_as(made["psi1"])}

    def energy(self, vorticity: Tensor) -> Tensor:
        """Kinetic and potential energy, mean over the cells, `(...)`; J keeps it, and the other terms do not."""
        return -(self.stream(vorticity) * vorticity).sum(-3).mean((-2, -1)) / 2

    def start(self, members: int = 1, seed: int = 0) -> Tensor:
        """Vorticity `(members, 2, rows, columns)` of half of the jet above, disturbed, to spin up from."""
        random = torch.Generator().manual_seed(seed)
        k, m = self._numbers
        shape = (members, 2, self.rows, self.columns)
        noise = torch.fft.rfft2(torch.randn(shape, generator=random, dtype=torch.float64))
        smooth = self._real(noise * (k**2 + m**2 < 2))
        waves = 0.2 * smooth / smooth.std()
        flow = torch.stack([self.equilibrium_stream / 2, torch.zeros_like(self.y)])[:, :, None]
        return self.vorticity(flow + waves)

    def advance(self, vorticity: Tensor, dt: float, steps: int = 1) -> Tensor:
        """Vorticity `(..., 2, rows, columns)` after `steps` of `dt`, by ETDRK4 with the viscosity exact: fourth order.

        Raises:
            ShapeError: the fields have another shape.
        """
        v, scheme = self._modes(vorticity), Etdrk4.of(-self._viscous, dt)
        for _ in range(steps):
            v = scheme.step(v, self._slope)
        return self._real(v)

    def leapfrog(self, vorticity: Tensor, dt: float = 0.025, steps: int = 1, damping: float = 0.04) -> Tensor:
        """As `advance`, by the published scheme: leap-frog, its middle level filtered (Robert 1966; Asselin 1972), and
        the viscosity implicit, which both make it of first order in time. The first step is Euler's.
        """
        old = self._modes(vorticity)
        now = (old + dt * self._slope(old)) / (1 + dt * self._viscous)
        for _ in range(steps - 1):
            new = (old + 2 * dt * self._slope(now)) / (1 + 2 * dt * self._viscous)
            old, now = now + damping * (old - 2 * now + new), new
        return self._real(now)

    def _bump(self, distance: Tensor) -> Tensor:
        return torch.cosh(distance / self.jet) ** -2

    @cached_property
    def _sponge(self) -> Tensor:
        return (self.sponge * self._bump(self.width / 2 - self.y.abs()))[:, None]

    @cached_property
    def _numbers(self) -> tuple[Tensor, Tensor]:
        """Wave numbers along x `(columns/2 + 1,)` and y `(rows, 1)`."""
        k = 2 * math.pi * torch.fft.rfftfreq(self.columns, self.length / self.columns, dtype=torch.float64)
        m = 2 * math.pi * torch.fft.fftfreq(self.rows, self.width / self.rows, dtype=torch.float64)
        return k, m[:, None]

    @cached_property
    def _odd(self) -> tuple[Tensor, Tensor]:
        """Zero at the last modes, which have no real derivative of odd order, along x and y."""
        return tuple((n.abs() < n.abs().max()).to(torch.float64) for n in self._numbers)  # type: ignore[return-value]

    @cached_property
    def _square(self) -> Tensor:
        k, m = self._numbers
        return k**2 + m**2

    @cached_property
    def _viscous(self) -> Tensor:
        k, m = self._numbers
        return self.viscosity * (k**8 + m**8)

    def _modes(self, fields: Tensor) -> Tensor:
        if fields.shape[-3:] != (2, self.rows, self.columns):
            raise ShapeError(
                f"fields must have the shape (..., 2, {self.rows}, {self.columns}), got {(*fields.shape,)}"
            )
        return torch.fft.rfft2(fields)

    def _real(self, modes: Tensor) -> Tensor:
        return torch.fft.irfft2(modes, s=(self.rows, self.columns))

    def _vorticity(self, p: Tensor) -> Tensor:
        return -self._square * p + p.flip(-3) - p

    def _stream(self, q: Tensor) -> Tensor:
        total, shear = q.sum(-3), q[..., 0, :, :] - q[..., 1, :, :]
        square = self._square
        # The mean has no inverse: nothing moves with it.
        both = torch.where(square > 0, -total / square.clamp(min=1e-300) / 2, 0.0)
        apart = -shear / (square + 2) / 2
        return torch.stack([both + apart, both - apart], -3)

    def _jacobian(self, a: Tensor, b: Tensor) -> Tensor:
        """Of modes, on a grid half as fine again, so that what is kept of the product is exact (Orszag 1971)."""
        (k, m), (u, v) = self._numbers, self._odd
        inner, columns, rows = u * v, 3 * self.columns // 2, 3 * self.rows // 2
        slopes = self._wide(torch.stack([1j * k * a, 1j * m * b, 1j * m * a, 1j * k * b]) * inner)
        ax, by, ay, bx = torch.fft.irfft2(slopes, s=(rows, columns)) * (9 / 4)
        product = torch.fft.rfft2(ax * by - ay * bx)
        half, kept = self.rows // 2, self.columns // 2 + 1
        return torch.cat([product[..., :half, :kept], product[..., -half:, :kept]], -2) * inner * (4 / 9)

    def _wide(self, modes: Tensor) -> Tensor:
        """Modes with zeros between and behind."""
        half = self.rows // 2
        between = modes.new_zeros(*modes.shape[:-2], 3 * self.rows // 2 - self.rows, modes.shape[-1])
        tall = torch.cat([modes[..., :half, :], between, modes[..., half:, :]], -2)
        behind = 3 * self.columns // 2 // 2 + 1 - modes.shape[-1]
        return torch.cat([tall, tall.new_zeros(*tall.shape[:-1], behind)], -1)

    def _slope(self, q: Tensor) -> Tensor:
        """All but the viscosity, of modes."""
        (k, _), p = self._numbers, self._stream(q)
        sign = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None, None]
        interface = self.relaxation * (p - p.flip(-3)) - self.equilibrium * sign * self._relaxed
        bottom = torch.tensor([0.0, self.friction], dtype=torch.float64)[:, None, None]
        linear = interface - 1j * k * self._odd[0] * self.beta * p + bottom * self._square * p
        field = self._real(q)
        damped = torch.fft.rfft2(self._sponge * (field - field.mean(-1, keepdim=True)))
        return linear - damped - self.advection * self._jacobian(p, q)

    @cached_property
    def _relaxed(self) -> Tensor:
        return torch.fft.rfft2(self.equilibrium_stream[:, None].expand(self.rows, self.columns))
