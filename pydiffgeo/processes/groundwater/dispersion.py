"""How far flowing groundwater spreads a solute across the faces of a raster."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...model import Place

# Specific discharge (length per time) below which its size is not told from zero: faces without flow have no 0 / 0.
STILL = 1e-12


def mechanical(along: Tensor, across: Sequence[tuple[Tensor, Tensor]], longitudinal: Tensor) -> Tensor:
    """Dispersion times porosity (m2/d) through a face, by specific discharges (m/d) normal to it and within it.

    `across` has each component within the face with its transverse dispersivity. This is the diagonal of the tensor of
    Burnett and Frind 1987, Water Resour. Res. 23, equation 2; of Scheidegger 1961 where both transverse
    dispersivities are one. Flow along rows, columns or layers has no other parts. Where it crosses them at an angle,
    `crossing` has the others; without them a plume spreads by the mean of both dispersivities in all directions of the
    plane at 45 degrees.
    """
    spread = longitudinal * (along**2 + STILL**2)
    for component, transverse in across:
        spread = spread + transverse * component**2
    return spread / _speed(along, across)


def crossing(along: Tensor, across: Sequence[tuple[Tensor, Tensor]], longitudinal: Tensor) -> tuple[Tensor, ...]:
    """The other parts of the tensor times porosity (m2/d): what slopes of concentration within a face drive through it.

    One for each component of `across`, as in `mechanical`: (alpha_L - alpha_T) q_n q_t / |q|, the same source.
    """
    speed = _speed(along, across)
    return tuple((longitudinal - transverse) * along * component / speed for component, transverse in across)


def _speed(along: Tensor, across: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    squares = along**2 + STILL**2
    for component, _ in across:
        squares = squares + component**2
    return torch.sqrt(squares)


def pore_water(cell: Place, water: Tensor, full: Tensor) -> Tensor:
    """Water that holds a solute, per plan area (m): the pores of a full cell, less what it is short of.

    `full` is the stored water at a head as high as the top. So pore water changes as much as the stored water does, and
    one concentration everywhere stays one. What is above a water table, porosity less specific yield, is well mixed with
    the rest of its cell.
    """
    return cell.porosity * cell.thickness + water - full
