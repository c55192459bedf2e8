"""Names of a model with units and bounds, what holds between them, and what happens at boundaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ..copies import Made
from ..errors import ModelError

Values = Mapping[str, Tensor]
"""Tensors by the names of what they are values of."""


class Place(Protocol):
    """What a local function sees of a cell, a face or a boundary: a tensor by each name, all of one shape."""

    def __getattr__(self, name: str, /) -> Tensor: ...


Local = Callable[..., Mapping[str, Tensor | float]]
"""A local function: of places and forcings to values by name, which may be plain numbers as well."""
inf = float("inf")


@dataclass(frozen=True)
class Named:
    """What all that a model has names of share."""

    name: str
    unit: str
    description: str


@dataclass(frozen=True)
class Bounded(Named):
    """What may be given: a default, None where it has to be, and physical bounds."""

    default: float | None = None
    low: float = -inf
    high: float = inf


@dataclass(frozen=True)
class State(Bounded):
    """A quantity per unit volume that the model carries through time.

    `low` and `high` bound what may be given as an initial value; the solve itself is not clipped.
    `stored=False` keeps it out of the balance of the conserved quantity. `error_control=(name, nominal)` names
    a closure value whose error counts as well, relative to its magnitude plus `nominal`: where a small
    change of the state is a large one of the head, as in saturated soil, steps are chosen by the head.
    `nominal` is the magnitude from which on its error is no longer relative: a store of 1000 mm whose
    outflow sets in within tenths of a millimetre has to be known to a part of these. (Both are for the
    solver Rodas5P; others go by `rtol` and `atol` alone.)
    """

    stored: bool = True
    nominal: float = inf
    error_control: tuple[str, float] | None = None


@dataclass(frozen=True)
class Parameter(Bounded):
    """A parameter with its physical bounds and the range it usually takes.

    Attributes:
        low, high: physical bounds; `open_low`/`open_high` exclude the bound itself.
        typical: usual range `(a, b)`, used by transforms and plots, never as an error.
        log: whether the usual range is best covered on a logarithmic scale.
        on: what a varying parameter varies over: "cell", "face", or "boundary:<name>", the places of a boundary, whose
            function sees it as a name of `face`.
        source: where range or definition come from.
    """

    open_low: bool = False
    open_high: bool = False
    typical: tuple[float, float] | None = None
    log: bool = False
    on: str = "cell"
    source: str = ""

    def inside(self, value: Tensor) -> Tensor:
        """Elementwise: is `value` within the physical bounds? NaN is not."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above & below & torch.isfinite(value)

    @property
    def interval(self) -> str:
        """The bounds as text, such as `(0, 1]`."""
        left = "(" if self.open_low or self.low == -inf else "["
        right = ")" if self.open_high or self.high == inf else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


@dataclass(frozen=True)
class ForcingVariable(Named):
    """A given time series. `on="cell"` lets it vary over the cells as well, "boundary:<name>" over the places of a
    boundary, whose function alone sees it.
    """

    low: float = -inf
    high: float = inf
    on: str = "model"
    default: float | None = None


@dataclass(frozen=True)
class IntegratedFlux(Named):
    """A named flux that is integrated exactly over each output interval.

    `balance` is +1 where it adds to what the model stores, -1 where it takes away, 0 where it is
    internal or diagnostic. `on` says what is added up: "total" all of it; "cell", "face" and "boundary" keep each cell,
    face, or place of the boundaries that return it, one boundary after the other: `(..., intervals, items)`.
    """

    balance: Literal[-1, 0, 1] = 0
    on: Literal["total", "cell", "face", "boundary"] = "total"


@dataclass(frozen=True)
class Output(Named):
    """An algebraic output, computed from states and parameters at the output times."""


@dataclass(frozen=True)
class Constraint:
    """A relation between parameters that must hold in every cell: `holds(place)` says where, by their names."""

    text: str
    names: tuple[str, ...]
    holds: Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Limit(Made):
    """A range outside of which the model means nothing: it must hold at the start and after every step of a solve.

    A member that leaves it ends there, with `Status.OUT_OF_RANGE`. Errors of the solver are allowed for, by ten
    times its tolerance.

    Attributes:
        name: what is limited: a state or a forcing.
        unit: of the values in the message.
        function: `function(cell)`, or `function(cell, forcing, face)` at a boundary, returns `value` with `low`,
            `high`, or both. It sees states, parameters, geometry and forcings, but no closure values.
        boundary: name of the boundary; empty for the cells, whose limits hold for initial states as well.
        remedy: what a user may do about it, the end of the message.
    """

    name: str
    unit: str
    function: Local
    boundary: str = ""
    remedy: str = ""

    def _functions(self) -> Mapping[str, Local]:
        return {"function": self.function}

    def complete(self, *spaces: SimpleNamespace) -> Mapping[str, Tensor | float]:
        """`low`, `value` and `high`; a bound that the function leaves out is infinite.

        Raises:
            ModelError: it returns something else.
        """
        limits = {"low": -inf, "high": inf, **self.function(*spaces)}
        if set(limits) != {"low", "value", "high"}:
            raise ModelError(f"limit of {self.name!r} returns {sorted(limits)}; it needs 'value', and 'low' or 'high'")
        return limits


@dataclass(frozen=True, eq=False)
class Boundary(Made):
    """A flux across the outside of some cells, and stores that live there (a pond, an aquifer).

    Attributes:
        cells: numbers of the cells it touches.
        function: `function(cell, forcing, face)`, see `help(pydiffgeo.model.declaration)`.
        geometry: values per touched cell, name -> scalar or array; `area` is 1 where not given.
        states: stores of the boundary, one value per touched cell, per unit area.
    """

    name: str
    cells: tuple[int, ...]
    function: Local
    geometry: Mapping[str, Any] = field(default_factory=dict)
    states: tuple[State, ...] = ()

    def __post_init__(self) -> None:
        values = {"area": 1.0, **self.geometry}
        spread = {k: np.broadcast_to(np.asarray(v, np.float64), (len(self.cells),)) for k, v in values.items()}
        object.__setattr__(self, "geometry", spread)

    def _functions(self) -> Mapping[str, Local]:
        return {"its function": self.function}
