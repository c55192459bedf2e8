"""How discharge is passed on from reach to reach."""

from __future__ import annotations

import torch
from torch import Tensor

# Slope of the water surface (1) below which discharge goes with the slope itself, not with its root, whose own slope is
# infinite at rest. At the flattest slopes of maps, 1e-5, discharge is 0.0025 % less.
FLATTEST = 1e-7
# Ratio of cell to diffusion length below which the series of `fitting` is taken.
SERIES = 1e-2


def fitting(peclet: Tensor) -> Tensor:
    """How far from the middle towards upstream a value is taken, 0 to 1, so that a steady wave is exact.

    coth(Pe/2) - 2/Pe (Il'in 1969; Scharfetter and Gummel 1969): small where diffusion smooths over a cell, one where it
    does not.
    """
    x = 0.5 * peclet
    far = torch.clamp(x, min=SERIES)
    return torch.where(x < SERIES, x / 3.0 - x**3 / 45.0, 1.0 / torch.tanh(far) - 1.0 / far)


def root_of_slope(slope: Tensor) -> Tensor:
    """sqrt(|slope|) with the sign of the slope, s / (s^2 + w^2)^(1/4): a straight line near zero."""
    return slope / (slope**2 + FLATTEST**2) ** 0.25


def diffusive_depth(left: Tensor, right: Tensor, slope: Tensor, distance: Tensor) -> Tensor:
    """Depth (m) of flow at a face between depths of two cells, when the surface falls by `slope` to the right.

    Between the mean of both and the depth upstream, by the ratio of celerity times distance to hydraulic diffusivity,
    which is 10/3 S l / y in a wide channel (Hayami 1951: D = Q / (2 B S); celerity 5/3 v). A dry cell passes nothing on.
    """
    upstream, downstream = torch.where(slope >= 0.0, left, right), torch.where(slope >= 0.0, right, left)
    peclet = 10.0 / 3.0 * torch.abs(slope) * distance / upstream
    share = 0.5 * (1.0 - fitting(peclet))
    return (1.0 - share) * upstream + share * downstream


def muskingum(normal: Tensor, inflow: Tensor, weight: Tensor) -> Tensor:
    """Outflow of a reach whose storage is that of uniform flow with X I + (1 - X) Q: (normal - X I) / (1 - X).

    With a linear storage K `normal` this is McCarthy 1938: normal = V / K. Where X > 0, a sudden inflow lowers the outflow
    at first, to -X / (1 - X) of its rise, and may make it negative: that is in the equation.
    """
    return (normal - weight * inflow) / (1.0 - weight)


def cunge_weight(discharge: Tensor, top_width: Tensor, slope: Tensor, celerity: Tensor, length: Tensor) -> Tensor:
    """X = (1 - Q / (B S c L)) / 2, with which a reach diffuses as the hydraulic diffusivity does (Cunge 1969, J. Hydraul. Res. 7).

    Negative in reaches shorter than Q / (B S c), where outflow never falls below zero.
    """
    return 0.5 * (1.0 - discharge / (top_width * slope * celerity * length))
