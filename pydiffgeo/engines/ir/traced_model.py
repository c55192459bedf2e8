"""All local functions of a model, traced together: what engines are built from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import SimpleNamespace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ...errors import ModelError, UnsupportedOperationError
from ...fingerprint import digest
from ...model import Boundary, Model
from ...model.networks import Architecture, architecture_of, evaluate
from .captured import Captured, captured
from .program import Program
from .torch_rules import RULES
from .tracing import trace


@dataclass(frozen=True, eq=False)
class Programs:
    """The local functions of a model as they were when traced.

    Attributes:
        boundaries, limits: one for each of the model, in their order.
        output: None too where the function cannot be traced; it is then called as it is.
        untraced: digest of such a function.
        networks: what those that the functions call are made of; not their weights.
    """

    closure: Program | None
    source: Program | None
    flux: Program | None
    boundaries: tuple[Program, ...]
    limits: tuple[Program, ...]
    output: Program | None
    untraced: str = ""
    networks: Mapping[str, Architecture] = field(default_factory=dict)

    @cached_property
    def key(self) -> tuple[Hashable, ...]:
        """Equal for equal programs, whatever the model is called."""
        programs = (self.closure, self.source, self.flux, *self.boundaries, *self.limits, self.output)
        return (self.untraced, *self.networks.items(), *(None if p is None else p.key for p in programs))


# A network on tensors, with its weights.
Network = Callable[..., Tensor | tuple[Tensor, ...]]
# Of each model, what its functions were when traced, and what they could see then.
_traced: WeakKeyDictionary[Model, tuple[Programs, Captured]] = WeakKeyDictionary()


def trace_model(model: Model) -> Programs:
    """All local functions of `model` as programs, with what they close over as it is now.

    They are traced anew unless it is certain that all they can see is what it was.

    Raises:
        ModelError: a local function cannot be traced; names it, its line and what is wrong.
    """
    last = _traced.get(model)
    if last is not None and last[1].unchanged() and (not model.networks or last[0].networks == architectures(model)):
        return last[0]
    functions = [model.closure, model.source, model.flux, *(b.function for b in model.boundaries)]
    functions += [*(limit.function for limit in model.limits), model.output]
    seen = captured(f for f in functions if f is not None)
    programs = _trace_all(model)
    # An output that no engine evaluates may use all of PyTorch, and is known by a digest of its own.
    if seen is not None and seen.unchanged() and not programs.untraced:
        _traced[model] = programs, seen
    return programs


def architectures(model: Model) -> dict[str, Architecture]:
    """What the networks of a model are made of as they are now.

    Raises:
        ModelError: there is something in one that engines do not know.
    """
    return {name: architecture_of(name, module) for name, module in model.networks.items()}


def _trace_all(model: Model) -> Programs:
    on_cell = [p.name for p in model.parameters if p.on == "cell"]
    bare = [*(s.name for s in model.states), *on_cell, *model.graph.cell]
    cell = bare
    face = [*(p.name for p in model.parameters if p.on == "face"), *model.graph.face]
    forcing = [f.name for f in model.forcings]
    closure = source = flux = output = None
    untraced, networks = "", architectures(model)
    if model.closure is not None:
        closure = trace(f"{model.name}.closure", model.closure, [("cell", cell)], networks)
        cell = [*cell, *(name for name in closure.outputs if name not in cell)]
    if model.source is not None:
        source = trace(f"{model.name}.source", model.source, [("cell", cell), ("forcing", forcing)], networks)
    if model.flux is not None and len(model.graph.faces):
        flux = trace(f"{model.name}.flux", model.flux, [("left", cell), ("right", cell), ("face", face)], networks)

    def outside(boundary: Boundary, cell: list[str]) -> list[tuple[str, list[str]]]:
        stores = (s.name for s in boundary.states if s.name not in cell)
        return [("cell", [*cell, *stores]), ("forcing", forcing), ("face", [*boundary.geometry])]

    boundaries = [trace(f"{model.name}.{b.name}", b.function, outside(b, cell), networks) for b in model.boundaries]
    sides = {b.name: b for b in model.boundaries}
    limits = []
    for limit in model.limits:
        spaces = outside(sides[limit.boundary], bare) if limit.boundary else [("cell", bare)]
        limits.append(trace(f"{model.name}.limit of {limit.name}", limit.complete, spaces))
    if model.output is not None:
        try:
            output = trace(f"{model.name}.output", model.output, [("cell", cell)], networks)
        except UnsupportedOperationError:
            # No engine evaluates outputs, so they may use all of PyTorch.
            untraced = digest(model.output)
    return Programs(closure, source, flux, tuple(boundaries), tuple(limits), output, untraced, networks)


def evaluate_outputs(
    model: Model, programs: Programs, values: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Outputs of a model, from states and parameters by name and the functions as they were when traced.

    `weights` are those of its networks, packed.

    Raises:
        ModelError: a function that cannot be traced closes over something that has changed since.
    """
    cell = {k: torch.from_numpy(v.copy()) for k, v in model.graph.cell.items()} | dict(values)
    networks = {name: partial(_called, a, weights[name]) for name, a in programs.networks.items()}
    if programs.closure is not None:
        cell |= _on_tensors(programs.closure, cell, networks)
    if programs.output is not None:
        return _on_tensors(programs.output, cell, networks)
    if model.output is None:
        return {}
    if digest(model.output) != programs.untraced:
        raise ModelError(
            f"{model.name}.output closes over something that has changed since the solve; look at outputs before, "
            "or declare it as a Parameter of the model"
        )
    outputs = model.output(SimpleNamespace(**networks | cell))
    return {k: torch.as_tensor(v, dtype=torch.float64) for k, v in outputs.items()}


def _called(architecture: Architecture, weights: Tensor, *features: Tensor | float) -> Tensor | tuple[Tensor, ...]:
    """A network on values of any shape that they broadcast to: one such result, or as many as it has outputs."""
    given = torch.broadcast_tensors(*(torch.as_tensor(x, dtype=torch.float64) for x in features))
    results = evaluate(architecture, weights, torch.stack(given, -1)).unbind(-1)
    return results[0] if len(results) == 1 else results


def _on_tensors(program: Program, cell: Mapping[str, Tensor], networks: Mapping[str, Network]) -> dict[str, Tensor]:
    inputs = {f"cell.{k}": v for k, v in cell.items()}
    for k, call in enumerate(program.calls):
        features = call.features.run(inputs, RULES)
        found = networks[call.network](*(features[str(i)] for i in range(len(features))))
        found = found if isinstance(found, tuple) else (found,)
        inputs |= {f"net.{k}.{j}": value for j, value in enumerate(found)}
    results = program.run(inputs, RULES)
    return {k: torch.as_tensor(v, dtype=torch.float64) for k, v in results.items()}
