"""Water in plants: what roots bring, and how far leaves that lack it close. Potentials are heads (m), rates m/d.

Source: Tuzet, Perrier and Leuning 2003, Plant Cell Environ. 26, with resistance in the plant alone, as in Duursma 2015, PLoS ONE 10.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .smoothing import smooth_ramp

# Time (d) in which roots fill what leaves hold: a quarter of an hour. It is short beside the course of a day.
FILLING = 0.01
# Difference of heads (m) over which roots begin to take up water; they let none out.
BEGINNING = 0.1


def turgor(potential: Tensor, psi_f: Tensor, s_f: Tensor) -> Tensor:
    """Share of the full opening of stomata at a potential of the leaves, about half at `psi_f` (m), with the steepness `s_f` (1/m)."""
    return (1.0 + torch.exp(s_f * psi_f)) / (1.0 + torch.exp(s_f * (psi_f - potential)))


def potential(water: Tensor, conductance: Tensor) -> Tensor:
    """That of leaves which hold so much `water` (m) more than at a potential of zero; `conductance` (1/d) from roots to leaves."""
    return water / (conductance * FILLING)


def uptake(head: Tensor, leaf_potential: Tensor, conductance: Tensor) -> Tensor:
    """Water (m/d) that roots in soil of a pressure head send up."""
    return conductance * smooth_ramp(head - leaf_potential, BEGINNING)
