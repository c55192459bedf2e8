"""Solutes: diffusion (Fick's law), what flowing water carries, and decay."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import Place

# Half a Peclet number is taken for no less than this, where x coth(x) differs from one by 3e-11: nothing switches at rest.
LEAST = 1e-5


def diffusion(left: Place, right: Place, face: Place) -> Tensor:
    """Flux from the left cell to the right one by their diffusivities `D`, whose mean is arithmetic (Crank 1975)."""
    return 0.5 * (left.D + right.D) * (left.c - right.c) / face.distance


def carried(
    behind: Tensor, ahead: Tensor, velocity: Tensor, dispersion: Tensor, distance: Tensor, *, upwind: bool
) -> Tensor:
    """Flux with water that flows from behind ahead: carried by the mean of both or, `upwind`, by that behind.

    Upwind fluxes are of first order and never overshoot; central ones are of second order, and oscillate where
    `velocity * distance > 2 dispersion`.
    """
    concentration = behind if upwind else 0.5 * (behind + ahead)
    return velocity * concentration - dispersion * (ahead - behind) / distance


def fitted(left: Tensor, right: Tensor, velocity: Tensor, dispersion: Tensor, distance: Tensor) -> Tensor:
    """Flux from the left concentration to the right one, exact where the profile between them is steady.

    Exponential fitting (Scharfetter and Gummel 1969, IEEE Trans. Electron Devices 16): central with the dispersion times
    Pe/2 coth(Pe/2). Second order on fine grids, upwind on coarse ones, for flow in either direction, and never negative.
    """
    x = 0.5 * velocity * distance / dispersion
    size = torch.sqrt(x**2 + LEAST**2)
    factor = size / torch.tanh(size)
    return 0.5 * velocity * (left + right) + dispersion * factor * (left - right) / distance


def inflow(concentration: Tensor, inside: Tensor, cell: Place, face: Place) -> Tensor:
    """Flux through a side that is held at a concentration into a cell with another, carried and dispersed."""
    return cell.velocity * concentration + cell.dispersion * (concentration - inside) / face.distance


def decay_chain(amounts: tuple[Tensor, ...], rates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Rates of change of members of a chain, each of which decays into the next (Bateman 1910, Proc. Camb. Phil. Soc. 15)."""
    lost = tuple(rate * amount for rate, amount in zip(rates, amounts, strict=True))
    gained = (None, *lost[:-1])
    return tuple(-out if into is None else into - out for into, out in zip(gained, lost, strict=True))
