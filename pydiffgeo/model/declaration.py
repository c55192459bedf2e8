"""What a model is: names with units and bounds, and local functions on a graph, in plain PyTorch.

A local function sees namespaces. `cell` holds the states, the parameters, the closure values and
the geometry of one cell; `left` and `right` are the two cells of a face, `face` its geometry and
face parameters; `forcing` holds the forcings at the present time. It returns a dictionary whose keys are
states (a rate of change, or a flux density across a face) or named integrated fluxes.

    closure(cell)              -> {name: value}        secondary variables, once per cell
    source(cell, forcing)      -> {state: rate of change, flux: amount per time and volume}
    flux(left, right, face)    -> {state: flux density from left to right, flux: ...}
    boundary(cell, forcing, face) -> {state: flux density into the cell,
                                      boundary state: rate of change, flux: amount per time, area}
    output(cell)               -> {name: value}        algebraic outputs at the output times

The same functions are traced for the engines and called on plain tensors for the outputs.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..copies import Made, call, check_functions
from ..errors import ModelError
from .graph import Graph

Values = Mapping[str, Tensor]
Local = Callable[..., Mapping[str, Any]]
inf = float("inf")


@dataclass(frozen=True)
class State:
    """A quantity per unit volume that the model carries through time.

    `low` and `high` bound what may be given as an initial value; the solve itself is not clipped.
    `stored=False` keeps it out of the balance of the conserved quantity. `through=(name, size)` names
    a closure value whose error counts as well, relative to its magnitude plus `size`: where a small
    change of the state is a large one of the head, as in saturated soil, steps are chosen by the head.
    `size` is the magnitude from which on its error is no longer relative: a store of 1000 mm whose
    outflow sets in within tenths of a millimetre has to be known to a part of these. (Both are for the
    solver Rodas5P; others go by `rtol` and `atol` alone.)
    """

    name: str
    unit: str
    description: str
    default: float | None = None
    low: float = -inf
    high: float = inf
    stored: bool = True
    size: float = inf
    through: tuple[str, float] | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter with its physical bounds and the range it usually takes.

    Attributes:
        low, high: physical bounds; `open_low`/`open_high` exclude the bound itself.
        typical: usual range `(a, b)`, used by transforms and plots, never as an error.
        log: whether the usual range is best covered on a logarithmic scale.
        on: "cell" or "face": what a varying parameter varies over.
        source: where range or definition come from.
    """

    name: str
    unit: str
    description: str
    default: float | None = None
    low: float = -inf
    high: float = inf
    open_low: bool = False
    open_high: bool = False
    typical: tuple[float, float] | None = None
    log: bool = False
    on: Literal["cell", "face"] = "cell"
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
class ForcingVariable:
    """A given time series; `on="cell"` lets it vary over the cells as well."""

    name: str
    unit: str
    description: str
    low: float = -inf
    high: float = inf
    on: Literal["model", "cell"] = "model"
    default: float | None = None


@dataclass(frozen=True)
class IntegratedFlux:
    """A named flux that is integrated exactly over each output interval.

    `balance` is +1 where it adds to what the model stores, -1 where it takes away, 0 where it is
    internal or diagnostic.
    """

    name: str
    unit: str
    description: str
    balance: Literal[-1, 0, 1] = 0


@dataclass(frozen=True)
class Output:
    """An algebraic output, computed from states and parameters at the output times."""

    name: str
    unit: str
    description: str


@dataclass(frozen=True)
class Constraint:
    """A relation between parameters that must hold in every cell."""

    text: str
    names: tuple[str, ...]
    holds: Callable[[SimpleNamespace], Tensor]


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

    def _functions(self) -> Mapping[str, Any]:
        return {"function": self.function}

    def complete(self, *spaces: SimpleNamespace) -> Mapping[str, Any]:
        """`low`, `value` and `high`; a bound that the function leaves out is infinite.

        Raises:
            ModelError: it returns something else.
        """
        found = {"low": -inf, "high": inf, **self.function(*spaces)}
        if set(found) != {"low", "value", "high"}:
            raise ModelError(f"limit of {self.name!r} returns {sorted(found)}; it needs 'value', and 'low' or 'high'")
        return found


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

    def _functions(self) -> dict[str, Any]:
        return {"its function": self.function}


@dataclass(frozen=True, eq=False, repr=False)
class Model(Made):
    """A process on a graph. `help(pydiffgeo.model.declaration)` describes the local functions.

    States are per volume, fluxes per area: the graph's `volume` and `area` weight them.

    Attributes:
        initial: optional `initial(given, cell) -> {state: value}` that turns what a user gives as
            an initial condition (a head, say) into states; `given` maps names to tensors.
        initial_names: names besides the states that `initial` understands.
        reference: where the equations come from.
    """

    name: str
    graph: Graph
    states: tuple[State, ...]
    parameters: tuple[Parameter, ...] = ()
    forcings: tuple[ForcingVariable, ...] = ()
    fluxes: tuple[IntegratedFlux, ...] = ()
    outputs: tuple[Output, ...] = ()
    closure: Local | None = None
    source: Local | None = None
    flux: Local | None = None
    output: Local | None = None
    boundaries: tuple[Boundary, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    limits: tuple[Limit, ...] = ()
    initial: Callable[[Values, SimpleNamespace], Values] | None = None
    initial_names: tuple[str, ...] = ()
    time_unit: str = "d"
    reference: str = ""
    _recipe: ClassVar[tuple[Any, ...] | None] = None

    def __post_init__(self) -> None:
        kinds_of = {"states": State, "parameters": Parameter, "forcings": ForcingVariable, "fluxes": IntegratedFlux,
                    "outputs": Output, "boundaries": Boundary, "constraints": Constraint, "limits": Limit}  # fmt: skip
        for field_name, cls in kinds_of.items():
            given = getattr(self, field_name)
            if not isinstance(given, (tuple, list)) or not all(isinstance(g, cls) for g in given):
                raise ModelError(f"{self.name}: {field_name} must be a tuple of {cls.__name__}, got {given!r}")
            object.__setattr__(self, field_name, tuple(given))
        varying: tuple[Parameter | ForcingVariable, ...] = (*self.parameters, *self.forcings)
        for variable in varying:
            allowed = ("cell", "face") if isinstance(variable, Parameter) else ("model", "cell")
            if variable.on not in allowed:
                raise ModelError(f"{self.name}: {variable.name!r} is on={variable.on!r}; allowed are {allowed}")
        for kinds in self._scopes():
            seen: dict[str, str] = {}
            for kind, names in kinds.items():
                for name in names:
                    self._check_name(kind, name)
                    if name in seen:
                        raise ModelError(f"{self.name}: {name!r} is both a {seen[name]} and a {kind}")
                    seen[name] = kind
        if not self.states:
            raise ModelError(f"{self.name}: a model needs at least one state")
        for boundary in self.boundaries:
            self._check_name("boundary", boundary.name)
            if not boundary.cells or not set(boundary.cells) <= set(range(self.graph.cells)):
                raise ModelError(f"{self.name}: boundary {boundary.name!r} touches unknown cells")
        sides = [b.name for b in self.boundaries]
        for limit in self.limits:
            if limit.boundary and limit.boundary not in sides:
                raise ModelError(
                    f"{self.name}: limit {limit.name!r} is of boundary {limit.boundary!r}, known are {sides}"
                )

    def _check_name(self, kind: str, name: str) -> None:
        """Names are read as `cell.name` in local functions, so Python must be able to read them so."""
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):
            raise ModelError(f"{self.name}: {kind} name {name!r} is not an identifier")
        plain = unicodedata.normalize("NFKC", name)
        if plain != name:
            raise ModelError(f"{self.name}: {kind} name {name!r} is read as {plain!r} by Python; write it so")

    def _scopes(self) -> Iterator[dict[str, list[str]]]:
        """Names that must differ because local functions see or return them together."""
        states = [s.name for s in self.all_states]
        on_cell = [p.name for p in self.parameters if p.on == "cell"]
        on_face = [p.name for p in self.parameters if p.on == "face"]
        yield {"state": states, "parameter": on_cell, "geometry": [*self.graph.cell]}
        yield {"parameter": on_face + on_cell, "geometry": [*self.graph.face]}
        yield {"state": states, "flux": [f.name for f in self.fluxes]}
        yield {"forcing": [f.name for f in self.forcings]}
        yield {"output": [o.name for o in self.outputs]}

    @property
    def all_states(self) -> tuple[State, ...]:
        """States of the cells, then those of the boundaries."""
        return self.states + tuple(s for b in self.boundaries for s in b.states)

    def state_cells(self, name: str) -> int:
        """How many values the state `name` has."""
        for boundary in self.boundaries:
            if any(s.name == name for s in boundary.states):
                return len(boundary.cells)
        return self.graph.cells

    def storage_weights(self) -> dict[str, NDArray[np.float64]]:
        """Weights that turn each stored state into an amount: volumes of cells, areas of boundaries."""
        weights = {s.name: self.graph.cell["volume"] for s in self.states if s.stored}
        for boundary in self.boundaries:
            weights |= {s.name: boundary.geometry["area"] for s in boundary.states if s.stored}
        return weights

    def made_by(self, make: Callable[..., Model], *arguments: Any, **choices: Any) -> Model:
        """Lets the model be pickled as a call of `make`, a function at the top of a module; returns the model.

        For models whose local functions are lambdas or defined within `make`. The arguments must not change later.
        """
        object.__setattr__(self, "_recipe", (call, (make, arguments, choices)))
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._recipe is None:
            return super().__reduce__()
        check_functions(self.name, {"the function it was made by": self._recipe[1][0]})
        return self._recipe

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        # Nothing of a model changes, and functions are never copied.
        return self

    def __copy__(self) -> Model:
        return self

    def _functions(self) -> dict[str, Any]:
        kinds = ("closure", "source", "flux", "output", "initial")
        found = {f"its local function {k!r}": getattr(self, k) for k in kinds if getattr(self, k) is not None}
        found |= {f"the function of its boundary {b.name!r}": b.function for b in self.boundaries}
        return found | {f"its constraint {c.text!r}": c.holds for c in self.constraints}

    def __repr__(self) -> str:
        return f"Model({self.name}, {self.graph.cells} cells, states {', '.join(s.name for s in self.all_states)})"

    def describe(self) -> str:
        """A table of every name with unit, bounds, default and description."""
        rows = [f"{self.name}, {self.graph.cells} cells, time in {self.time_unit}: {self.reference}".rstrip(": ")]
        for s in self.all_states:
            rows.append(f"  state      {s.name:<26} {s.unit:<8} {s.description}")
        for p in self.parameters:
            default = "required" if p.default is None else f"default {p.default:g}"
            rows.append(f"  parameter  {p.name:<26} {p.unit:<8} {p.description}; {p.interval}, {default}")
        for f in self.forcings:
            rows.append(f"  forcing    {f.name:<26} {f.unit:<8} {f.description}")
        for q in self.fluxes:
            rows.append(f"  flux       {q.name:<26} {q.unit:<8} {q.description}")
        for o in self.outputs:
            rows.append(f"  output     {o.name:<26} {o.unit:<8} {o.description}")
        rows += [f"  initial    {name:<26} {'':<8} may be given instead of a state" for name in self.initial_names]
        rows += [f"  constraint {c.text}" for c in self.constraints]
        return "\n".join(rows)
