"""Stages: what local functions compute for those after them, on cells, faces and boundaries, and sums into cells.

stages=(
    dg.Stage("discharge", lambda left, right, face, forcing: {"q": left.storage / left.k}, on="face"),
    dg.Reduction("inflow", of="q", sides="into"),
)

Stages come after `closure`, in their order; each may read all that was assigned before it, and so may `source`, `flux`,
boundaries and `output`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import Array
from ..copies import Made
from ..errors import ModelError
from .variables import Local

Sides = Literal["both", "into", "out_of", "net"]
# What a value on a face gives to the cell on its left and to that on its right; a boundary is on the left of its cell.
SIDES: Mapping[Sides, tuple[float, float]] = {
    "both": (1.0, 1.0),
    "into": (0.0, 1.0),
    "out_of": (1.0, 0.0),
    "net": (-1.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class Stage(Made):
    """A local function whose results later ones may read.

    Attributes:
        name: of the stage, for messages.
        function: `function(cell, forcing)` on cells, `function(left, right, face, forcing)` on faces and
            `function(cell, forcing, face)` at a boundary; returns `{name: value}`. On cells its values become names of
            `cell`, elsewhere of `face`. On faces `forcing` has those that are the same for all cells.
        on: "cell", "face", or the name of a boundary.
    """

    name: str
    function: Local
    on: str = "cell"

    def _functions(self) -> Mapping[str, Local]:
        return {"its function": self.function}


@dataclass(frozen=True)
class Reduction:
    """A value of cells that is the sum of values on their faces, and at boundaries that assign one of the same name.

    Attributes:
        name: of the value, on cells.
        of: name of the value on faces, at boundaries, or on both.
        sides: "both" sums over all faces of a cell; "into" over those at whose right end it is, for a network its
            upstream reaches, and over boundaries; "out_of" over those at whose left end it is; "net" is what comes in
            less what goes out, for values that are flows from left to right and into the cell.
        weight: name of a geometry of faces and boundaries that values are multiplied with, such as "area".
    """

    name: str
    of: str
    sides: Sides = "both"
    weight: str = ""

    def weights(self, geometry: Mapping[str, Array], where: str) -> Array:
        """What values are multiplied with on faces, or at a boundary, `(items,)`; one where no geometry is named.

        Raises:
            ModelError: there is no such geometry.
        """
        if not self.weight:
            return np.ones_like(geometry["area"])
        if self.weight not in geometry:
            raise ModelError(
                f"{self.name} has the weight {self.weight!r}, which is no geometry of {where}: {sorted(geometry)}"
            )
        return geometry[self.weight].copy()


def takes_forcing(function: Callable[..., object], places: int) -> bool:
    """Whether a local function of so many places takes the forcing after them."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # no Python function
        return False
    return not _binds(signature, places) and _binds(signature, places + 1)


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
