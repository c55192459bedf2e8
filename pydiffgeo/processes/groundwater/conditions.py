"""What an aquifer exchanges water with: rivers, drains, wells, the air above. Each brings names of its own.

Flows are positive into the aquifer. A condition called "creek" has the parameters, forcings and flux `creek_...`, one
value for each of its cells or one for all, so that an aquifer may have several of a kind, also in the same cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from operator import attrgetter

import numpy as np
from torch import Tensor

from ...arrays import AnyArray
from ...checks import is_number
from ...errors import ModelError
from ...model import ForcingVariable, Parameter, Place
from . import exchange
from .storage import reduction, supply

# Cells by number, by place on the grid, (row, column) or (layer, row, column), or by a mask of it.
Cells = Sequence[int] | Sequence[Sequence[int]] | AnyArray
# Of length and of time.
Units = tuple[str, str]


def _tuples(cells: object) -> object:
    cells = cells.tolist() if isinstance(cells, np.ndarray) else cells
    return tuple(map(_tuples, cells)) if isinstance(cells, (list, tuple, range)) else cells


@dataclass(frozen=True)
class Condition:
    """What happens in some cells of an aquifer.

    Attributes:
        cells: numbers of the cells, or their places on the grid.
        name: begins the names of parameters, forcings and flux.
        each: whether the flux of each place is kept, for budgets of zones, or the sum of all.
    """

    cells: Cells | None = None
    name: str = ""
    each: bool = True

    def __post_init__(self) -> None:
        # Tuples, so that alike conditions are equal, and models of them made once.
        object.__setattr__(self, "cells", _tuples(self.cells))

    def parameters(self, units: Units) -> tuple[Parameter, ...]:
        """Those that it brings into the model, in these units."""
        return ()

    def forcings(self, units: Units) -> tuple[ForcingVariable, ...]:
        """Those that it brings into the model, in these units."""
        return ()

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        """Flow into the cell, volume per time, where there is enough water."""
        raise NotImplementedError

    def available(self, saturation: Tensor) -> Tensor:
        """The share of what would flow out that a cell under a water table gives: all unless it is nearly dry."""
        return supply(saturation)

    def _see(self, place: Place, what: str) -> Tensor:
        value: Tensor = attrgetter(f"{self.name}_{what}")(place)
        return value

    def _parameter(self, what: str, unit: str, text: str, low: float = -inf, open_low: bool = False) -> Parameter:
        name, log, on = f"{self.name}_{what}", what == "conductance", f"boundary:{self.name}"
        return Parameter(name, unit, text, low=low, open_low=open_low, log=log, on=on)

    def _forcing(self, what: str, unit: str, text: str) -> ForcingVariable:
        return ForcingVariable(f"{self.name}_{what}", unit, text, on=f"boundary:{self.name}")

    def _conductance(self, units: Units, text: str) -> Parameter:
        return self._parameter("conductance", f"{units[0]}2 {units[1]}-1", text, low=0.0)


@dataclass(frozen=True)
class GivenHead(Condition):
    """Cells whose head is that of the forcing `<name>_head`; the flux is what keeps it. Other conditions do not act there."""

    name: str = "given"

    def forcings(self, units: Units) -> tuple[ForcingVariable, ...]:
        return (self._forcing("head", units[0], "given head"),)

    def head(self, forcing: Place) -> Tensor:
        """The head that is given."""
        return self._see(forcing, "head")

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        return -cell.net_inflow


@dataclass(frozen=True)
class GeneralHead(Condition):
    """Water at the head `<name>_head` (forcing) behind `<name>_conductance` (parameter)."""

    name: str = "general"

    def parameters(self, units: Units) -> tuple[Parameter, ...]:
        return (self._conductance(units, "conductance to the head outside"),)

    def forcings(self, units: Units) -> tuple[ForcingVariable, ...]:
        return (self._forcing("head", units[0], "head outside"),)

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        return exchange.general_head(cell.head, self._see(forcing, "head"), self._see(face, "conductance"))


@dataclass(frozen=True)
class River(Condition):
    """A river: forcing `<name>_stage`, parameters `<name>_conductance` and `<name>_bed` (elevation)."""

    name: str = "river"

    def parameters(self, units: Units) -> tuple[Parameter, ...]:
        bed = self._parameter("bed", units[0], "elevation of the river bed")
        return self._conductance(units, "conductance of the river bed"), bed

    def forcings(self, units: Units) -> tuple[ForcingVariable, ...]:
        return (self._forcing("stage", units[0], "stage of the river"),)

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        conductance, bed = self._see(face, "conductance"), self._see(face, "bed")
        return exchange.river(cell.head, self._see(forcing, "stage"), conductance, bed)


@dataclass(frozen=True)
class Drain(Condition):
    """Drains: parameters `<name>_conductance` and `<name>_elevation`."""

    name: str = "drain"

    def parameters(self, units: Units) -> tuple[Parameter, ...]:
        elevation = self._parameter("elevation", units[0], "elevation of the drain")
        return self._conductance(units, "conductance of the drain"), elevation

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        return exchange.drain(cell.head, self._see(face, "conductance"), self._see(face, "elevation"))


@dataclass(frozen=True)
class Well(Condition):
    """Wells: forcing `<name>_rate`, negative where water is withdrawn.

    A withdrawal becomes less where less than the share `reduce_below` of the thickness is saturated, and none in a dry
    cell; the flux is what is withdrawn.
    """

    name: str = "well"
    reduce_below: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.reduce_below) and 0 < self.reduce_below <= 1):
            raise ModelError(f"{self.name}: reduce_below must be a share of the thickness, got {self.reduce_below!r}")

    def forcings(self, units: Units) -> tuple[ForcingVariable, ...]:
        return (self._forcing("rate", f"{units[0]}3 {units[1]}-1", "injection, less withdrawal, as asked for"),)

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        return self._see(forcing, "rate")

    def available(self, saturation: Tensor) -> Tensor:
        return reduction(saturation, self.reduce_below)


@dataclass(frozen=True)
class Recharge(Condition):
    """Recharge `<name>_rate` (forcing, per area) of `cells`, by default the uppermost of every place.

    `highest_wet` passes on what a dry cell does not hold to the highest cell below it that is not dry.
    """

    name: str = "recharge"
    each: bool = False
    highest_wet: bool = False

    def forcings(self, units: Units) -> tuple[ForcingVariable, ...]:
        return (self._forcing("rate", f"{units[0]} {units[1]}-1", "recharge"),)

    def rate(self, forcing: Place) -> Tensor:
        """Recharge, length per time."""
        return self._see(forcing, "rate")

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        return self.rate(forcing) * cell.volume


@dataclass(frozen=True)
class Evapotranspiration(Condition):
    """Evapotranspiration of `cells`, by default the uppermost: forcing `<name>_rate`, parameters `<name>_surface`, `<name>_depth`.

    `segments` bend its decline: points (share of the extinction depth, share of the rate).
    """

    name: str = "evapotranspiration"
    each: bool = False
    segments: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        depths = [0.0, *(depth for depth, _ in self.segments), 1.0]
        if any(b <= a for a, b in pairwise(depths)):
            raise ModelError(f"{self.name}: segments must go down from 0 to 1, got {self.segments}")

    def parameters(self, units: Units) -> tuple[Parameter, ...]:
        surface = self._parameter("surface", units[0], "elevation above which the rate is the whole one")
        return surface, self._parameter("depth", units[0], "extinction depth below the surface", 0.0, open_low=True)

    def forcings(self, units: Units) -> tuple[ForcingVariable, ...]:
        return (self._forcing("rate", f"{units[0]} {units[1]}-1", "evapotranspiration at the surface"),)

    def inflow(self, cell: Place, forcing: Place, face: Place) -> Tensor:
        surface, depth, rate = self._see(face, "surface"), self._see(face, "depth"), self._see(forcing, "rate")
        return -exchange.evapotranspiration(cell.head, rate, surface, depth, self.segments) * cell.volume
