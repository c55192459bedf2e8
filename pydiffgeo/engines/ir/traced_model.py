"""All local functions of a model, traced together: what engines are built from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

from ...errors import UnsupportedOperationError
from ...fingerprint import digest
from ...model import CoupledModel, Model, Stage
from ...model.coupling import networks_of
from ...model.networks import Architecture, architecture_of
from ...model.stages import takes_forcing
from .captured import Captured, captured
from .program import Program
from .tracing import trace

# The places that a local function sees, and their names.
Spaces = list[tuple[str, Sequence[str]]]


@dataclass(frozen=True, eq=False)
class Programs:
    """The local functions of a model as they were when traced.

    Attributes:
        boundaries, stages, limits: one for each of the model, in their order; None for a stage that only sums.
        output: None too where the function cannot be traced; it is then called as it is.
        untraced: digest of such a function.
        regions, links: of a coupled model, whose other functions are those of its regions.
        networks: what those that the functions call are made of; not their weights.
        cell: names that cells show after all stages, which links of a coupled model see; outside: places of boundaries.
    """

    closure: Program | None
    source: Program | None
    flux: Program | None
    boundaries: tuple[Program, ...]
    stages: tuple[Program | None, ...]
    limits: tuple[Program, ...]
    output: Program | None
    untraced: str = ""
    regions: tuple[Programs, ...] = ()
    links: tuple[Program, ...] = ()
    networks: Mapping[str, Architecture] = field(default_factory=dict)
    cell: tuple[str, ...] = ()
    outside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def take_forcing(self) -> bool:
        """Whether values that stages assign depend on the forcing."""
        before = [p for p in (self.closure, *self.stages) if p is not None]
        before += [call.features for p in before for call in p.calls]
        own = any(name.startswith("forcing.") for p in before for name in p.inputs)
        return own or any(region.take_forcing for region in self.regions)

    @cached_property
    def read(self) -> frozenset[str]:
        """Names that functions of engines read, wherever: of cells, faces, boundaries, links and forcings."""
        some = (self.closure, self.source, self.flux, *self.boundaries, *self.stages, *self.limits, *self.links)
        every = [p for p in some if p is not None]
        every += [call.features for p in every for call in p.calls]
        names = frozenset(name.partition(".")[2] for p in every for name in p.inputs)
        return names.union(*(region.read for region in self.regions))

    @cached_property
    def key(self) -> tuple[Hashable, ...]:
        """Equal for equal programs, whatever the model is called."""
        programs = (self.closure, self.source, self.flux, *self.boundaries, *self.stages, *self.limits, self.output)
        programs += self.links
        inner = [region.key for region in self.regions]
        return (self.untraced, *inner, *self.networks.items(), *(None if p is None else p.key for p in programs))


# Of each model, what its functions were when traced, and what they could see then.
_traced: WeakKeyDictionary[Model, tuple[Programs, Captured]] = WeakKeyDictionary()


def trace_model(model: Model) -> Programs:
    """All local functions of `model` as programs, with what they close over as it is now.

    They are traced anew unless it is certain that all they can see is what it was.

    Raises:
        ModelError: a local function cannot be traced; names it, its line and what is wrong.
    """
    coupled = model if isinstance(model, CoupledModel) else None
    regions = tuple(trace_model(region.model) for region in coupled.regions.values()) if coupled else ()
    last = _traced.get(model)
    same = last is not None and last[1].unchanged() and last[0].regions == regions
    if last is not None and same and (not model.networks or last[0].networks == architectures(model)):
        return last[0]
    functions = [model.closure, model.source, model.flux, model.output]
    functions += [stage.function for stage in model.stages if isinstance(stage, Stage)]
    functions += [place.function for place in model.boundaries] + [limit.function for limit in model.limits]
    functions += [link.function for link in coupled.links] if coupled else []
    seen = captured(f for f in functions if f is not None)
    programs = _trace_coupled(coupled, regions) if coupled else _trace_all(model)
    # An output that no engine evaluates may use all of PyTorch, and is known by a digest of its own.
    if seen is not None and seen.unchanged() and not programs.untraced:
        _traced[model] = programs, seen
    return programs


class _Scope:
    """The names that local functions see, which grow from stage to stage."""

    def __init__(self, model: Model) -> None:
        of_cells = [p.name for p in model.parameters if p.on == "cell"]
        self.cell = [*(s.name for s in model.states), *of_cells, *model.graph.cell]
        self.face = [*(p.name for p in model.parameters if p.on == "face"), *model.graph.face]
        self.outside = {
            b.name: [*b.geometry, *(p.name for p in model.parameters if p.on == f"boundary:{b.name}")]
            for b in model.boundaries
        }
        self.stores = {b.name: [s.name for s in b.states] for b in model.boundaries}
        self.forcing = [f.name for f in model.forcings if f.on in ("model", "cell")]
        self.beside = {
            b.name: [f.name for f in model.forcings if f.on in ("model", "cell", f"boundary:{b.name}")]
            for b in model.boundaries
        }
        self.common = [f.name for f in model.forcings if f.on == "model"]

    def assign(self, on: str, names: Iterable[str]) -> None:
        """Local functions see these names from then on."""
        seen = self.cell if on == "cell" else self.face if on == "face" else self.outside[on]
        seen += [name for name in names if name not in seen]

    def within(self, function: Callable[..., object]) -> Spaces:
        return [("cell", self.cell), *([("forcing", self.forcing)] if takes_forcing(function, 1) else [])]

    def across(self, function: Callable[..., object]) -> Spaces:
        sides = [("left", self.cell), ("right", self.cell), ("face", self.face)]
        return [*sides, *([("forcing", self.common)] if takes_forcing(function, 3) else [])]

    def beyond(self, boundary: str) -> Spaces:
        cell = list(dict.fromkeys([*self.cell, *self.stores[boundary]]))
        return [("cell", cell), ("forcing", self.beside[boundary]), ("face", self.outside[boundary])]

    def beside_link(self, boundary: str) -> tuple[str, ...]:
        """What a side of a link shows at a place of a boundary, with the cell that it touches."""
        return tuple(dict.fromkeys([*self.cell, *self.stores[boundary], *self.outside[boundary]]))

    def spaces(self, stage: Stage) -> Spaces:
        if stage.on == "cell":
            return self.within(stage.function)
        return self.across(stage.function) if stage.on == "face" else self.beyond(stage.on)


def _trace_coupled(model: CoupledModel, traced: tuple[Programs, ...]) -> Programs:
    regions = dict(zip(model.regions, traced, strict=True))
    common = list(dict.fromkeys(f.name for r in model.regions.values() for f in r.model.forcings if f.on == "model"))
    links, networks = [], architectures(model)
    for link in model.links:
        seen = [regions[key].outside[b] if b else regions[key].cell for key, b, _ in link.sides]
        spaces: Spaces = [("left", seen[0]), ("right", seen[1]), ("face", [*link.values])]
        spaces += [("forcing", common)] if takes_forcing(link.function, 3) else []
        called = networks_of(link, model.regions)
        links.append(trace(f"{model.name}.{link.name}", link.function, spaces, networks, called))
    return Programs(*(None, None, None, (), (), (), None), regions=traced, links=tuple(links), networks=networks)


def architectures(model: Model) -> dict[str, Architecture]:
    """What the networks of a model are made of as they are now.

    Raises:
        ModelError: there is something in one that engines do not know.
    """
    return {name: architecture_of(name, module) for name, module in model.networks.items()}


def _trace_all(model: Model) -> Programs:
    scope, bare = _Scope(model), _Scope(model)
    closure = source = flux = output = None
    untraced, networks = "", architectures(model)
    if model.closure is not None:
        closure = trace(f"{model.name}.closure", model.closure, scope.within(model.closure), networks)
        scope.assign("cell", closure.outputs)
    stages: list[Program | None] = []
    for stage in model.stages:
        if isinstance(stage, Stage):
            program = trace(f"{model.name}.{stage.name}", stage.function, scope.spaces(stage), networks)
            stages.append(program)
            scope.assign(stage.on, program.outputs)
        else:
            stages.append(None)
            scope.assign("cell", [stage.name])
    if model.source is not None:
        spaces = [("cell", scope.cell), ("forcing", scope.forcing)]
        source = trace(f"{model.name}.source", model.source, spaces, networks)
    if model.flux is not None and len(model.graph.faces):
        flux = trace(f"{model.name}.flux", model.flux, scope.across(model.flux), networks)
    boundaries = [trace(f"{model.name}.{b.name}", b.function, scope.beyond(b.name), networks) for b in model.boundaries]
    limits = []
    for limit in model.limits:
        shown = bare.beyond(limit.boundary) if limit.boundary else [("cell", bare.cell)]
        limits.append(trace(f"{model.name}.limit of {limit.name}", limit.complete, shown))
    if model.output is not None:
        try:
            output = trace(f"{model.name}.output", model.output, [("cell", scope.cell)], networks)
        except UnsupportedOperationError:
            # No engine evaluates outputs, so they may use all of PyTorch.
            untraced = digest(model.output)
    outside = {b.name: scope.beside_link(b.name) for b in model.boundaries}
    functions = (closure, source, flux, tuple(boundaries), tuple(stages), tuple(limits), output)
    return Programs(*functions, untraced, networks=networks, cell=tuple(scope.cell), outside=outside)
