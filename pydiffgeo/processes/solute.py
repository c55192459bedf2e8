"""Solutes: diffusion (Fick's law), and what flowing water carries."""

from __future__ import annotations

from torch import Tensor

from ..model import Place


def diffusion(left: Place, right: Place, face: Place) -> Tensor:
    """Flux from the left cell to the right one by their diffusivities `D`, whose mean is arithmetic (Crank 1975)."""
    return 0.5 * (left.D + right.D) * (left.c - right.c) / face.distance


def advection_dispersion(left: Place, right: Place, face: Place, *, upwind: bool) -> Tensor:
    """Flux with water that flows to the right: carried by the mean of both cells or, `upwind`, by the left one.

    Upwind fluxes are of first order and never overshoot; central ones are of second order, and oscillate where
    `velocity * distance > 2 dispersion`.
    """
    carried = left.c if upwind else 0.5 * (left.c + right.c)
    return left.velocity * carried - left.dispersion * (right.c - left.c) / face.distance


def inflow(concentration: Tensor, cell: Place, face: Place) -> Tensor:
    """Flux through a side that is held at a concentration, carried and dispersed."""
    return cell.velocity * concentration + cell.dispersion * (concentration - cell.c) / face.distance
