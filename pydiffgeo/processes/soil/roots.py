"""Root water uptake: where roots are, and how dry or wet soil keeps them from taking up water."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...checks import is_number
from ...errors import ModelError
from ...model import Constraint, Graph, Parameter, Place, Values


@dataclass(frozen=True)
class Stress:
    """By how much uptake stays behind demand: a share of `cell.head` and `parameters`."""

    parameters: tuple[Parameter, ...]
    share: Callable[[Place], Tensor]
    constraints: tuple[Constraint, ...] = ()

    def uptake(self, cell: Place, forcing: Place) -> Values:
        """Demand, spread like the roots, as far as stress allows."""
        rate = forcing.potential_transpiration * cell.root_density * self.share(cell)
        return {"theta": -rate, "transpiration": rate}


def _s_shape(cell: Place) -> Tensor:
    suction = torch.clamp(-cell.head, min=1e-9)
    return 1.0 / (1.0 + (suction / -cell.h_50) ** cell.p_50)


def _feddes(cell: Place) -> Tensor:
    wet = torch.clamp((cell.h_1 - cell.head) / (cell.h_1 - cell.h_2), 0.0, 1.0)
    dry = torch.clamp((cell.head - cell.h_4) / (cell.h_3 - cell.h_4), 0.0, 1.0)
    return torch.minimum(wet, dry)


def _head(
    name: str, description: str, default: float, typical: tuple[float, float], source: str, *, zero: bool = False
) -> Parameter:
    """A head (m) below zero, which may be `zero` where that is set."""
    return Parameter(name, "m", description, default, high=0.0, open_high=not zero, typical=typical, source=source)


# van Genuchten 1987, USSL Research Report 121, eq 3
EQUATION = "van Genuchten 1987"
S_SHAPE = Stress(
    (
        _head("h_50", "head at which roots take up half the demand", -8.0, (-50.0, -1.0), EQUATION),
        Parameter(
            "p_50",
            "1",
            "steepness of the stress function",
            3.0,
            0.0,
            open_low=True,
            typical=(1.5, 4.0),
            source=EQUATION,
        ),
    ),
    _s_shape,
)

# Feddes, Kowalik and Zaradny 1978, Simulation of field water use and crop yield; heads of pasture by Wesseling et
# al. 1991, the third for a demand of 1 mm/d or less.
PASTURE = "Wesseling et al. 1991 (pasture)"
FEDDES = Stress(
    (
        _head("h_1", "head above which roots lack air", -0.1, (-0.3, 0.0), PASTURE, zero=True),
        _head("h_2", "head below which they have enough", -0.25, (-0.6, -0.1), PASTURE),
        _head(
            "h_3",
            "head below which uptake declines",
            -8.0,
            (-15.0, -2.0),
            "Wesseling et al. 1991 (pasture, low demand)",
        ),
        _head("h_4", "head of wilting", -80.0, (-200.0, -50.0), PASTURE),
    ),
    _feddes,
    (
        Constraint(
            "h_4 < h_3 <= h_2 < h_1",
            ("h_1", "h_2", "h_3", "h_4"),
            lambda p: (p.h_4 < p.h_3) & (p.h_3 <= p.h_2) & (p.h_2 < p.h_1),
        ),
    ),
)

STRESSES = {"s_shape": S_SHAPE, "feddes": FEDDES}


def with_roots(graph: Graph, root_depth: float | None) -> Graph:
    """Adds `root_density` (1/m), exponential in depth and summing to one over the column.

    Raises:
        ModelError: a depth that is no positive number.
    """
    if root_depth is None:
        return graph
    if not (is_number(root_depth) and root_depth > 0):
        raise ModelError(f"RichardsColumn: root_depth must be positive, got {root_depth!r}")
    density = np.exp(-graph.cell["depth"] / root_depth)
    density /= (density * graph.cell["thickness"]).sum()
    return Graph(graph.cells, graph.faces, {**graph.cell, "root_density": density}, graph.face, graph.coordinates)
