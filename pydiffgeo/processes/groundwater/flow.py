"""Darcy's law between the cells of an aquifer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...model import Place
from . import conductance
from .conductance import Mean
from .storage import supply

# A dry cell conducts as if as much of its thickness were wet, where means are those of both cells.
FLOOR = 1e-6
# And so much where the upstream cell decides: matrices without numbers that are next to none, whose squares are none.
TRACE = 1e-12
# Of the thickness of a dry cell so much resists to what falls into it, lest nothing does.
LEAST = 1e-6


@dataclass(frozen=True)
class Darcy:
    """Flow per width of a horizontal face, and per area of a vertical one, from left to right or downwards.

    Attributes:
        mean: of the two cells of a horizontal face.
        water_table: cells have a `saturation`.
        upstream: the conductance is that of the whole thickness times the saturation of the cell with the higher head.
        layers: there are vertical faces.
        saturated: of the upper half of a vertical face only what is saturated resists.
        dewatered: of the lower half as well.
        perched: what falls on a lower cell with a head below its top is driven by the elevation of that top.
    """

    mean: Mean
    water_table: bool = False
    upstream: bool = True
    layers: bool = False
    saturated: bool = False
    dewatered: bool = False
    perched: bool = False

    def __call__(self, left: Place, right: Place, face: Place) -> Tensor:
        along = self._along(left, right, face)
        return torch.where(face.direction > 1, self._down(left, right, face), along) if self.layers else along

    def _along(self, left: Place, right: Place, face: Place) -> Tensor:
        fall, thickness = left.head - right.head, (left.thickness, right.thickness)
        if self.water_table and not self.upstream:
            one, other = (torch.clamp(side.saturation, min=FLOOR) for side in (left, right))
            thickness = thickness[0] * one, thickness[1] * other
        conducting = conductance.across(self.mean, left, right, face, thickness)
        if not (self.water_table and self.upstream):
            return conducting * fall
        # A cell that lost more than it had gets it back from a neighbour with a lower bed. This is linear in what it
        # lacks, by the slope of the bed and not of heads, since a negative saturation would make water run together.
        step = left.bottom - right.bottom
        back = torch.clamp(left.saturation, max=0.0) * torch.clamp(step, min=0.0)
        back = back + torch.clamp(right.saturation, max=0.0) * torch.clamp(step, max=0.0)
        wet = torch.clamp(torch.where(fall > 0, left.saturation, right.saturation), min=TRACE)
        return conducting * (wet * fall + back)

    def _down(self, left: Place, right: Place, face: Place) -> Tensor:
        below = torch.maximum(right.head, right.bottom + right.thickness) if self.perched else right.head
        drop = left.head - below
        if not self.water_table:
            return conductance.down(left, right, face) * drop
        resists = torch.clamp(left.saturation, 0.0, 1.0) if self.saturated else 1.0
        below_resists = torch.clamp(right.saturation, LEAST, 1.0) if self.dewatered else 1.0
        # What flows out of a cell ends with its water; what it lost too much comes back from below, by elevations as well.
        there = supply(torch.clamp(torch.where(drop > 0, left.saturation, right.saturation), min=TRACE))
        back = supply(torch.clamp(left.saturation, max=0.0)) * (left.bottom - right.bottom)
        return conductance.down(left, right, face, resists, below_resists) * (there * drop + back)
