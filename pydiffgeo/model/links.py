"""Links: fluxes between cells of two regions of a coupled model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..arrays import Array, Indices
from ..copies import Made
from .variables import Local


@dataclass(frozen=True, eq=False)
class Link(Made):
    """A flux between cells of two regions.

    Attributes:
        name: of the link.
        left, right: names of the regions.
        pairs: numbers of the cells that are joined, `(left, right)`.
        function: `function(left, right, face)`, or with `forcing` after it, returns flux densities from left to right:
            `{"theta->head": q}` leaves the state `theta` of the left cell and enters `head` of the right one. It sees
            what cells of the regions show after all stages, and may call their networks, as `left.name(x)`.
        area: of each pair, a number or one for each. right_area: where what leaves one kind of cell enters the other in
            another unit or per another area, such as mm of a basin and m3 of a river; `area` where not given.
        geometry: further values of each pair, names of `face`.
        left_boundary, right_boundary: name of a boundary of the region, whose places are then meant by the numbers in
            `pairs`: that side shows stores, geometry, parameters and stages of the boundary, and what else the cell
            that it touches shows. What flows leaves, or enters, a store of the boundary or a state of that cell.
        networks: name -> module, called as `face.name(x)`; as `Model.networks`.
        unit: that of the balance to which belongs what flows, such as "MJ", where a region has several; the first one of
            the region where not given. What belongs to another balance flows by a link of its own.
    """

    name: str
    left: str
    right: str
    pairs: Sequence[tuple[int, int]]
    function: Local
    area: ArrayLike = 1.0
    right_area: ArrayLike | None = None
    geometry: Mapping[str, ArrayLike] = field(default_factory=dict)
    left_boundary: str = ""
    right_boundary: str = ""
    networks: Mapping[str, torch.nn.Module] = field(default_factory=dict)
    unit: str = ""

    def _functions(self) -> Mapping[str, Local]:
        return {"its function": self.function}

    @property
    def cells(self) -> tuple[Indices, Indices]:
        """Numbers of the cells, or places of a boundary, on the left and on the right, `(pairs,)` each."""
        left, right = np.asarray(self.pairs, np.int64).reshape(-1, 2).T
        return left, right

    @property
    def sides(self) -> tuple[tuple[str, str, Indices], tuple[str, str, Indices]]:
        """Of the left and of the right: region, boundary or "", and numbers of the cells, or places of the boundary."""
        left, right = self.cells
        return (self.left, self.left_boundary, left), (self.right, self.right_boundary, right)

    @property
    def areas(self) -> tuple[Array, Array]:
        """Areas on the left and on the right, `(pairs,)` each."""
        left = self._spread(self.area)
        return left, left if self.right_area is None else self._spread(self.right_area)

    @property
    def values(self) -> dict[str, Array]:
        """What `face` shows besides: geometry of each pair."""
        return {"area": self.areas[0], **{k: self._spread(v) for k, v in self.geometry.items()}}

    def _spread(self, values: ArrayLike) -> Array:
        return np.broadcast_to(np.asarray(values, np.float64), (len(self.pairs),))

    @property
    def fluxes(self) -> tuple[str, str]:
        """Names of the amounts that have left the one region and entered the other, which a solution has."""
        return f"{self.name}_from_{self.left}", f"{self.name}_to_{self.right}"
