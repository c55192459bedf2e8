"""Solutes: diffusion (Fick's law), and what flowing water carries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def diffusion(left: SimpleNamespace, right: SimpleNamespace, face: SimpleNamespace) -> Any:
    """Flux from the left cell to the right one by their diffusivities `D`, whose mean is arithmetic (Crank 1975)."""
    return 0.5 * (left.D + right.D) * (left.c - right.c) / face.distance


def advection_dispersion(left: SimpleNamespace, right: SimpleNamespace, face: SimpleNamespace, *, upwind: bool) -> Any:
    """Flux with water that flows to the right: carried by the mean of both cells or, `upwind`, by the left one.

    Upwind fluxes are of first order and never overshoot; central ones are of second order, and oscillate where
    `velocity * distance > 2 dispersion`.
    """
    carried = left.c if upwind else 0.5 * (left.c + right.c)
    return left.velocity * carried - left.dispersion * (right.c - left.c) / face.distance


def inflow(concentration: Any, cell: SimpleNamespace, face: SimpleNamespace) -> Any:
    """Flux through a side that is held at a concentration, carried and dispersed."""
    return cell.velocity * concentration + cell.dispersion * (concentration - cell.c) / face.distance
