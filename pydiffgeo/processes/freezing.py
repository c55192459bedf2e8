"""Freezing by enthalpy: the heat of a volume of soil gives its temperature and what is frozen of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Thawed(NamedTuple):
    """Temperature (degC), and the share of the water that freezes which is liquid."""

    temperature: Tensor
    liquid: Tensor


def from_enthalpy(heat: Tensor, capacity: Tensor, frozen_capacity: Tensor, latent: Tensor, T_frozen: Tensor) -> Thawed:
    """Heat (MJ/m3) is zero at 0 degC, all thawed; water freezes evenly between 0 degC and `T_frozen` (degC, below zero).

    Capacities (MJ/m3/K) are those above 0 degC, and below; `latent` (MJ/m3) is the heat of fusion of the water in a
    volume that freezes. Lunardini 1985, US Army CRREL Monograph 85-1: the linear freezing curve of his three zones. As
    heat is the state, none is lost where water freezes, however steep the curve.
    """
    span = -T_frozen
    fusion = frozen_capacity * span + latent  # to freeze it all, and cool it to T_frozen
    between = torch.minimum(torch.clamp(-heat, min=0.0), fusion)
    below = torch.clamp(-heat - fusion, min=0.0)
    above = torch.clamp(heat, min=0.0)
    return Thawed(above / capacity - between * span / fusion - below / frozen_capacity, 1.0 - between / fusion)


def enthalpy(
    temperature: Tensor, capacity: Tensor, frozen_capacity: Tensor, latent: Tensor, T_frozen: Tensor
) -> Tensor:
    """The inverse: heat (MJ/m3) of soil at a temperature (degC)."""
    span = -T_frozen
    cold = torch.clamp(-temperature, min=0.0)
    return (
        capacity * torch.clamp(temperature, min=0.0)
        - frozen_capacity * cold
        - latent * torch.clamp(cold / span, max=1.0)
    )


def mixed(liquid: Tensor, thawed: Tensor, frozen: Tensor) -> Tensor:
    """A property in proportion to what is liquid."""
    return liquid * thawed + (1.0 - liquid) * frozen


def three_zones(liquid: Tensor, thawed: Tensor, frozen: Tensor, width: float = 0.02) -> Tensor:
    """A property that is the mean of both wherever any water is liquid and any frozen, as in Lunardini's solution.

    It changes over `width`, the share of the water within which the mean sets in on either side.
    """
    share = 0.5 * torch.clamp(liquid / width, max=1.0) + 0.5 * torch.clamp((liquid - 1.0) / width + 1.0, min=0.0)
    return mixed(share, thawed, frozen)
