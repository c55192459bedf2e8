"""Water of a cell per plan area, and the head that belongs to it.

Confined water is stored elastically, `S_s thickness (h - bottom)`; under a water table it fills pores, `S_y (h - bottom)`;
a convertible cell does the one above its top and the other below. The elastic part below a water table, at most
`S_s thickness / 2` of the specific yield, is left out (MODFLOW 6 keeps it). Storage is what a state must be for a
balance to close whatever the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...model import Place

# The slope of the head turns at the top of a convertible cell within this share of the water that fills it.
TURN = 1e-3
# The saturation turns within this distance of one, where a convertible cell is nearly full.
FULL = 1e-3
# What leaves a cell becomes less below this saturation, and vanishes with it.
SCARCE = 0.01


Curve = Callable[[Tensor, Place], Tensor]


@dataclass(frozen=True)
class Storage:
    """Of one kind of cell: head (m) from water (m), the inverse, and the share of the thickness that is saturated."""

    head: Curve
    water: Curve
    saturation: Curve


def _convertible_head(water: Tensor, cell: Place) -> Tensor:
    filled, elastic = cell.S_y * cell.thickness, cell.S_s * cell.thickness
    width = TURN * filled
    x = torch.clamp(water - filled + width / 2, min=0.0)
    # Water beyond what fills the pores: exact but within half a width, with a continuous slope.
    inside = torch.minimum(x, width)
    beyond = inside**2 / (2 * width) + (x - inside)
    return cell.bottom + (water - beyond) / cell.S_y + beyond / elastic


def _convertible_water(head: Tensor, cell: Place) -> Tensor:
    filled, elastic = cell.S_y * cell.thickness, cell.S_s * cell.thickness
    width, y = TURN * filled, head - cell.bottom
    bend, r = 1 / elastic - 1 / cell.S_y, y - (filled - width / 2) / cell.S_y
    rest = torch.clamp(r, min=0.0)
    x = 2 * rest / (1 / cell.S_y + torch.sqrt(1 / cell.S_y**2 + 2 * torch.clamp(bend, min=0.0) * rest / width))
    turning = filled - width / 2 + x
    full = filled + elastic * (y - cell.thickness)
    return torch.where(r < 0, cell.S_y * y, torch.where(x < width, turning, full))


def _filled_share(head: Tensor, cell: Place) -> Tensor:
    return (head - cell.bottom) / cell.thickness


def rounded_share(share: Tensor) -> Tensor:
    """A share of the thickness, at most one. Not cut at zero: what leaves a cell that lost too much comes back."""
    t = torch.clamp((1 - share) / FULL, 0.0, 1.0)
    return torch.where(share < 1 - FULL, share, 1 - FULL * t**2 * (2 - t))


STORAGES: Mapping[str, Storage] = {
    "confined": Storage(
        lambda water, cell: cell.bottom + water / (cell.S_s * cell.thickness),
        lambda head, cell: cell.S_s * cell.thickness * (head - cell.bottom),
        lambda head, cell: 1.0 + 0.0 * cell.kind,
    ),
    "unconfined": Storage(
        lambda water, cell: cell.bottom + water / cell.S_y,
        lambda head, cell: cell.S_y * (head - cell.bottom),
        _filled_share,
    ),
    "convertible": Storage(
        _convertible_head, _convertible_water, lambda head, cell: rounded_share(_filled_share(head, cell))
    ),
}
KINDS = (*STORAGES,)


def supply(saturation: Tensor, scarce: float = SCARCE) -> Tensor:
    """One above a `scarce` saturation, falling to zero with it, and below zero where the saturation is."""
    t = torch.clamp(saturation / scarce, max=1.0)
    return 2 * t - torch.clamp(t, min=0.0) ** 2


def reduction(saturation: Tensor, share: float) -> Tensor:
    """What is left of the rate of a well, from none in a dry cell to all of it above a `share` of the thickness.

    Source: the smoothing 3 s^2 - 2 s^3 of MODFLOW 6 (option AUTO_FLOW_REDUCE of its well package).
    """
    t = torch.clamp(saturation / share, 0.0, 1.0)
    return t**2 * (3 - 2 * t)


def storage_of(kinds: Sequence[str]) -> Storage:
    """That of cells of several kinds, told apart by the number `cell.kind` in the order of `STORAGES`."""
    there = sorted({KINDS.index(kind) for kind in kinds})
    first, *others = (STORAGES[KINDS[number]] for number in there)
    for number, other in zip(there[1:], others, strict=True):
        first = Storage(
            *(_either(number, getattr(first, f), getattr(other, f)) for f in ("head", "water", "saturation"))
        )
    return first


def _either(number: int, one: Curve, other: Curve) -> Curve:
    return lambda x, cell: torch.where(cell.kind < number, one(x, cell), other(x, cell))
