"""What is estimated, as numbers without bounds: states, parameters and factors of forcings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import BoundsError
from ..transforms import Bounded


@dataclass(frozen=True)
class Above:
    """A smooth, increasing map from all real numbers to those above `low`; far above it, in steps of `scale`.

    A Gaussian in what it maps from never makes a store negative, and nothing has to be cut off.
    """

    name: str
    low: float
    scale: float

    def forward(self, x: Tensor) -> Tensor:
        return self.low + self.scale * torch.nn.functional.softplus(x)

    def inverse(self, value: Tensor) -> Tensor:
        """The `x` of a value; one at the bound, or below it by rounding, gives a far one.

        Raises:
            BoundsError: the value lies below the bound by more than rounding.
        """
        share = (value - self.low) / self.scale
        if (share < -1e-6).any():
            raise BoundsError(f"{self.name!r} must not lie below {self.low:g}, got {float(value.min()):g}")
        share = share.clamp(min=1e-9)
        # The inverse of softplus, without overflow.
        return share + torch.log(-torch.expm1(-share))


@dataclass(frozen=True)
class Free:
    """No bounds: in steps of `scale`."""

    name: str
    scale: float

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x

    def inverse(self, value: Tensor) -> Tensor:
        return value / self.scale


Map = Above | Free | Bounded


def map_of(name: str, low: float, high: float, scale: float) -> Map:
    """The map of a state by its bounds."""
    if math.isfinite(low) and math.isfinite(high):
        return Bounded(name, low, high)
    return Above(name, low, scale) if math.isfinite(low) else Free(name, scale)


@dataclass(frozen=True)
class Control:
    """The order of what is estimated in one vector.

    Attributes:
        maps: name -> map; `sizes`: name -> numbers (cells of a state, one of a parameter).
    """

    maps: Mapping[str, Map]
    sizes: Mapping[str, int]

    @property
    def length(self) -> int:
        return sum(self.sizes.values())

    def names(self) -> list[str]:
        """One for each number: "theta[3]", or the name alone where there is one."""
        return [f"{n}[{i}]" if size > 1 else n for n, size in self.sizes.items() for i in range(size)]

    def values(self, z: Tensor) -> dict[str, Tensor]:
        """Name -> `(members, size)` of vectors `(members, length)`."""
        parts = torch.split(z, list(self.sizes.values()), dim=-1)
        return {name: self.maps[name].forward(part) for name, part in zip(self.sizes, parts, strict=True)}

    def vector(self, values: Mapping[str, Tensor]) -> Tensor:
        """Vectors `(members, length)` of name -> `(members, size)`."""
        return torch.cat([self.maps[name].inverse(values[name]) for name in self.sizes], dim=-1)

    def slopes(self, z: Tensor) -> Tensor:
        """Change of each value per change of its number, `(members, length)`."""
        with torch.enable_grad():
            at = z.detach().requires_grad_()
            total = torch.cat([*self.values(at).values()], dim=-1).sum()
            (found,) = torch.autograd.grad(total, at)
        return found
