"""A model: its variables, its graph, and its local functions."""

from __future__ import annotations

import copy
import keyword
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch

from ..arrays import Array
from ..copies import Made, call, check_functions
from ..errors import ModelError
from .graph import Graph
from .networks import architecture_of
from .stages import SIDES, Reduction, Stage
from .variables import (
    Boundary,
    Constraint,
    ForcingVariable,
    IntegratedFlux,
    Limit,
    Local,
    Output,
    Parameter,
    State,
    Values,
)

KINDS: dict[str, type | tuple[type, ...]] = {
    "states": State,
    "parameters": Parameter,
    "forcings": ForcingVariable,
    "fluxes": IntegratedFlux,
    "outputs": Output,
    "boundaries": Boundary,
    "constraints": Constraint,
    "stages": (Stage, Reduction),
    "limits": Limit,
}


@dataclass(frozen=True, eq=False, repr=False)
class Model(Made):
    """A process on a graph. `help(pydiffgeo.model)` describes the local functions.

    States are per volume, fluxes per area: the graph's `volume` and `area` weight them.

    Attributes:
        stages: what is computed between `closure` and the others, in order; see `Stage` and `Reduction`.
        initial: optional `initial(given, cell) -> {state: value}` that turns what a user gives as
            an initial condition (a head, say) into states; `given` maps names to tensors.
        initial_names: names besides the states that `initial` understands.
        networks: name -> `torch.nn.Module` of Linear layers and activations, which local functions call as
            `cell.name(x, ...)`; for several outputs they get a tuple. `solve` reads the weights at every call, and
            gradients reach `module.parameters()`.
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
    stages: tuple[Stage | Reduction, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    limits: tuple[Limit, ...] = ()
    initial: Callable[..., Values] | None = None
    initial_names: tuple[str, ...] = ()
    time_unit: str = "d"
    reference: str = ""
    networks: Mapping[str, torch.nn.Module] = field(default_factory=dict)
    _recipe: ClassVar[tuple[object, tuple[object, ...]] | None] = None

    def __post_init__(self) -> None:
        for field_name, cls in KINDS.items():
            values = getattr(self, field_name)
            if not isinstance(values, (tuple, list)) or not all(isinstance(v, cls) for v in values):
                wanted = " or ".join(k.__name__ for k in (cls if isinstance(cls, tuple) else (cls,)))
                raise ModelError(f"{self.name}: {field_name} must be a tuple of {wanted}, got {values!r}")
            object.__setattr__(self, field_name, tuple(values))
        if not isinstance(self.networks, Mapping):
            raise ModelError(f"{self.name}: networks must be a mapping from names to modules, got {self.networks!r}")
        object.__setattr__(self, "networks", dict(self.networks))
        for name, module in self.networks.items():
            architecture_of(f"{self.name}: network {name!r}", module)
        varying: tuple[Parameter | ForcingVariable, ...] = (*self.parameters, *self.forcings)
        for variable in varying:
            allowed = ["cell", "face"] if isinstance(variable, Parameter) else ["model", "cell"]
            allowed += [f"boundary:{b.name}" for b in self.boundaries]
            if variable.on not in allowed:
                raise ModelError(f"{self.name}: {variable.name!r} is on={variable.on!r}; allowed are {allowed}")
        for flux in self.fluxes:
            if flux.on not in (places := ("total", "cell", "face", "boundary")):
                raise ModelError(f"{self.name}: {flux.name!r} is on={flux.on!r}; allowed are {places}")
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
        for stage in self.stages:
            self._check_name("stage", stage.name)
            if isinstance(stage, Stage) and stage.on not in ("cell", "face", *sides):
                raise ModelError(
                    f"{self.name}: stage {stage.name!r} is on {stage.on!r}; it may be on cell, face or {sides}"
                )
            if isinstance(stage, Reduction) and stage.sides not in SIDES:
                raise ModelError(
                    f"{self.name}: reduction {stage.name!r} has sides {stage.sides!r}; known are {[*SIDES]}"
                )
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
        networks = [*self.networks]
        yield {"state": states, "parameter": on_cell, "geometry": [*self.graph.cell], "network": networks}
        yield {"parameter": on_face + on_cell, "geometry": [*self.graph.face], "network": networks}
        for b in self.boundaries:
            own = [p.name for p in self.parameters if p.on == f"boundary:{b.name}"]
            yield {"parameter": own + on_cell, "geometry": [*b.geometry], "network": networks}
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

    def items(self, on: str) -> int:
        """How many values something has on "cell", "face" or "boundary:<name>"; 1 on "model"."""
        if on in ("model", "cell", "face"):
            return {"model": 1, "cell": self.graph.cells, "face": len(self.graph.faces)}[on]
        return next(len(b.cells) for b in self.boundaries if on == f"boundary:{b.name}")

    def grid(self, on: str) -> Graph | None:
        """The graph whose shape fields may have on "cell" or elsewhere; None where they have none."""
        return self.graph if on == "cell" and self.graph.shape is not None else None

    def state_grid(self, name: str) -> Graph | None:
        """The same for a state or another initial condition by its name."""
        return None if any(s.name == name for b in self.boundaries for s in b.states) else self.grid("cell")

    def storage_weights(self) -> dict[str, Array]:
        """Weights that turn each stored state into an amount: volumes of cells, areas of boundaries."""
        weights = {s.name: self.graph.cell["volume"] for s in self.states if s.stored}
        for boundary in self.boundaries:
            weights |= {s.name: boundary.geometry["area"] for s in boundary.states if s.stored}
        return weights

    def made_by(self, make: Callable[..., Model], *arguments: object, **choices: object) -> Model:
        """Lets the model be pickled as a call of `make`, a function at the top of a module; returns the model.

        For models whose local functions are lambdas or defined within `make`. The arguments must not change later.
        """
        object.__setattr__(self, "_recipe", (call, (make, arguments, choices)))
        return self

    def __reduce__(self) -> tuple[object, ...]:
        if self._recipe is None:
            return super().__reduce__()
        check_functions(self.name, {"the function it was made by": self._recipe[1][0]})
        return self._recipe

    def __deepcopy__(self, memo: dict[int, object]) -> Model:
        # Nothing of a model changes but weights of networks, and functions are never copied.
        if not self.networks:
            return self
        other = replace(self, networks=copy.deepcopy(dict(self.networks), memo))
        if self._recipe is not None:
            object.__setattr__(other, "_recipe", copy.deepcopy(self._recipe, memo))
        return other

    def __copy__(self) -> Model:
        return self

    def _functions(self) -> Mapping[str, Callable[..., object]]:
        kinds = ("closure", "source", "flux", "output", "initial")
        functions = {f"its local function {k!r}": getattr(self, k) for k in kinds if getattr(self, k) is not None}
        functions |= {f"the function of its boundary {b.name!r}": b.function for b in self.boundaries}
        functions |= {f"the function of its stage {s.name!r}": s.function for s in self.stages if isinstance(s, Stage)}
        return functions | {f"its constraint {c.text!r}": c.holds for c in self.constraints}

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
        rows += [f"  network    {name:<26} {'':<8} {_layers(module)}" for name, module in self.networks.items()]
        rows += [f"  initial    {name:<26} {'':<8} may be given instead of a state" for name in self.initial_names]
        rows += [f"  constraint {c.text}" for c in self.constraints]
        return "\n".join(rows)


def _layers(module: torch.nn.Module) -> str:
    """A network in a few words, such as `4-16-16-2 tanh`."""
    architecture = architecture_of("network", module)
    widths = [architecture.features, *(layer.outputs for layer in architecture.layers)]
    used = dict.fromkeys(d.activation for d in architecture.layers if d.activation != "identity")
    return f"{'-'.join(map(str, widths))} {', '.join(used)}".rstrip()
