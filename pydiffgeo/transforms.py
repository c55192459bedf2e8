"""Maps between bounded parameters and unbounded variables, for optimisers that know no bounds.

A parameter within `(low, high)` is `low + (high - low) * sigmoid(x)`, or the same between the
logarithms of the bounds where it spans orders of magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .checks import is_number, is_pair
from .errors import BoundsError, MissingNameError, ShapeError, UnknownNameError
from .model import Parameter

# Values stay this part of the range away from the bounds, so that rounding never puts them on an open one.
MARGIN = 1e-9
# A value this near to a bound, as a part of the range, is held there by it more likely than by the data.
NEAR = 0.01


def nearest_bound(value: float, low: float, high: float) -> str | None:
    """ "lower" or "upper" where a value lies within a hundredth of its range of that bound; else None."""
    near = NEAR * (high - low)
    return "lower" if value - low <= near else "upper" if high - value <= near else None


@dataclass(frozen=True)
class Bounded:
    """A smooth, increasing map from all real numbers onto the interval from `low` to `high`.

    Attributes:
        log: even on a logarithmic scale; `low` must then be positive.

    Raises:
        BoundsError: bounds that are not finite, not in order, or not positive where `log` is set.
    """

    name: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        ends = (self.low, self.high)
        if not (is_pair(ends) and self.low < self.high and math.isfinite(float(self.high) - float(self.low))):
            shown = ", ".join(f"{e:g}" if is_number(e) else repr(e) for e in ends)
            raise BoundsError(f"bounds of {self.name!r} must be finite and in order, got ({shown})")
        if self.log and self.low <= 0:
            raise BoundsError(
                f"{self.name!r} varies on a logarithmic scale; its low bound must be positive, got {self.low:g}"
            )

    def _ends(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)

    def forward(self, x: Tensor) -> Tensor:
        """The bounded value of any real `x`, elementwise and differentiable."""
        a, b = self._ends()
        share = MARGIN + (1 - 2 * MARGIN) * torch.sigmoid(x)
        inner = a + (b - a) * share
        # Rounding leaves the bounds where they are close together.
        return torch.clamp(torch.exp(inner) if self.log else inner, self.low, self.high)

    def inverse(self, value: Tensor) -> Tensor:
        """The `x` that `forward` maps to `value`; a value on a bound gives a large finite `x`.

        Raises:
            BoundsError: a value outside the bounds.
        """
        outside = ~((value >= self.low) & (value <= self.high))
        if outside.any():
            raise BoundsError(
                f"{self.name!r} must lie in [{self.low:g}, {self.high:g}], got {value[outside][0].item():g}"
            )
        a, b = self._ends()
        inner = torch.log(value) if self.log else value
        share = ((inner - a) / (b - a) - MARGIN) / (1 - 2 * MARGIN)
        return torch.logit(share.clamp(MARGIN, 1 - MARGIN))


def bounded(parameter: Parameter, bounds: tuple[float, float] | None = None) -> Bounded:
    """The transform of a parameter: within `bounds`, else its typical range, else its physical bounds.

    Raises:
        BoundsError: bounds outside the physical ones, or no finite range to be found.
    """
    if bounds is not None and not (isinstance(bounds, (tuple, list, np.ndarray)) and len(bounds) == 2):
        raise BoundsError(f"bounds of parameter {parameter.name!r} must be (low, high), got {bounds!r}")
    if bounds is not None and not is_pair(bounds):
        raise BoundsError(f"bounds of parameter {parameter.name!r} must be two finite numbers, got {bounds!r}")
    low, high = bounds if bounds is not None else parameter.typical or (parameter.low, parameter.high)
    if low < parameter.low or high > parameter.high:
        raise BoundsError(
            f"bounds ({low:g}, {high:g}) of parameter {parameter.name!r} reach beyond its physical "
            f"range {parameter.interval} {parameter.unit}"
        )
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BoundsError(f"parameter {parameter.name!r} has no typical range; give it finite bounds")
    # A logarithmic scale cannot reach zero, which a user may well ask for.
    return Bounded(parameter.name, float(low), float(high), parameter.log and low > 0)


@dataclass(frozen=True)
class Transforms:
    """Several bounded quantities packed side by side, in the order of `items`."""

    items: tuple[Bounded, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is bounded, in order."""
        return tuple(item.name for item in self.items)

    def unpack(self, x: Tensor) -> dict[str, Tensor]:
        """Unbounded `(members, items)` to bounded values, name -> `(members, 1)`.

        Raises:
            ShapeError: `x` has another shape.
        """
        if x.ndim != 2 or x.shape[1] != len(self.items):
            raise ShapeError(f"x must be (members, {len(self.items)}), for {list(self.names)}; got {tuple(x.shape)}")
        return {item.name: item.forward(x[:, i : i + 1]) for i, item in enumerate(self.items)}

    def pack(self, values: Mapping[str, Tensor]) -> Tensor:
        """Bounded values, name -> `(members, 1)`, to unbounded `(members, items)`.

        Raises:
            MissingNameError: a name was not given. UnknownNameError: one too many was.
            BoundsError: a value lies outside its bounds. ShapeError: a value has another shape.
        """
        for name in values:
            if name not in self.names:
                raise UnknownNameError(f"unknown name {name!r}; there are {list(self.names)}")
        for name in self.names:
            if name not in values:
                raise MissingNameError(f"no value of {name!r} was given")
        for name in self.names:
            if values[name].ndim != 2 or values[name].shape != (len(values[self.names[0]]), 1):
                shapes = ", ".join(f"{n!r} {tuple(values[n].shape)}" for n in self.names)
                raise ShapeError(f"values must be (members, 1), as many for each name; got {shapes}")
        return torch.cat([item.inverse(values[item.name]) for item in self.items], dim=1)


def transforms(parameters: Sequence[Parameter], bounds: Mapping[str, tuple[float, float]] | None = None) -> Transforms:
    """Transforms of several parameters; `bounds` replaces the range of those it names.

    Raises:
        UnknownNameError: `bounds` names no parameter. BoundsError: see `bounded`.
    """
    ranges, names = dict(bounds or {}), [p.name for p in parameters]
    for name in ranges:
        if name not in names:
            raise UnknownNameError(f"bounds are given for {name!r}; the parameters are {names}")
    return Transforms(tuple(bounded(p, ranges.get(p.name)) for p in parameters))
