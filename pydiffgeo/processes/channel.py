"""Channels: their cross-sections, and uniform flow in them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Area (m2) below which a section is taken for this one: powers keep finite slopes, and what flows is less than a drop.
SMALLEST = 1e-9


class Section(NamedTuple):
    """A wetted cross-section: `area` (m2), `depth` (m), `top_width` (m) and `hydraulic_radius` (m)."""

    area: Tensor
    depth: Tensor
    top_width: Tensor
    hydraulic_radius: Tensor


def power_section(area: Tensor, width: Tensor, exponent: Tensor) -> Section:
    """The section whose top width is `width` (m, at a depth of one metre) times depth to the power `exponent`.

    Zero is a rectangle, one a triangle. The area is width y^(exponent + 1) / (exponent + 1), and the hydraulic radius is
    taken for the depth, as in wide channels: Leopold and Maddock 1953, US Geological Survey Professional Paper 252,
    in the form of Bindas et al. 2024, Water Resour. Res. 60.
    """
    held = torch.clamp(area, min=SMALLEST)
    depth = (held * (exponent + 1.0) / width) ** (1.0 / (exponent + 1.0))
    return Section(held, depth, width * depth**exponent, depth)


def trapezoid(depth: Tensor, bottom_width: Tensor, side_slope: Tensor) -> Section:
    """The section of a trapezoid; `side_slope` is horizontal by vertical (Chow 1959, Open-Channel Hydraulics, table 2-1)."""
    area = (bottom_width + side_slope * depth) * depth
    perimeter = bottom_width + 2.0 * depth * torch.sqrt(1.0 + side_slope**2)
    return Section(area, depth, bottom_width + 2.0 * side_slope * depth, area / perimeter)


def conveyance(area: Tensor, hydraulic_radius: Tensor, n: Tensor) -> Tensor:
    """What discharge (m3/s) is by the root of the slope: A R^(2/3) / n, with n in s/m^(1/3)."""
    return area * hydraulic_radius ** (2.0 / 3.0) / n


def manning(area: Tensor, hydraulic_radius: Tensor, slope: Tensor, n: Tensor) -> Tensor:
    """Discharge (m3/s) of uniform flow (Manning 1891; Chow 1959, eq 5-6)."""
    return conveyance(area, hydraulic_radius, n) * torch.sqrt(slope)


def power_celerity(discharge: Tensor, section: Section, exponent: Tensor) -> Tensor:
    """Speed (m/s) of a kinematic wave, dQ/dA, in a section of `power_section` (Lighthill and Whitham 1955).

    Q goes with A^(1 + 2 / (3 (exponent + 1))): five thirds of the velocity in a rectangle.
    """
    return discharge / section.area * (1.0 + 2.0 / (3.0 * (exponent + 1.0)))
