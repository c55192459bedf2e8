"""Closures, stages and outputs of a model on plain tensors, at the output times of a solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from ...arrays import Array
from ...errors import ModelError
from ...fingerprint import digest
from ...model import CoupledModel, Model, Reduction, Stage
from ...model.networks import Architecture, evaluate
from ...model.stages import SIDES
from .program import Program
from .torch_rules import RULES
from .traced_model import Programs

Space = dict[str, Tensor]
Network = Callable[..., "Tensor | tuple[Tensor, ...]"]


class _Fields:
    """What has been assigned so far: name -> `(..., cells)`, `(..., faces)`, or `(..., places)` of a boundary."""

    def __init__(
        self, model: Model, values: Mapping[str, Tensor], forcing: Mapping[str, Tensor], networks: Mapping[str, Network]
    ) -> None:
        self.model, self.forcing, self.networks = model, dict(forcing), networks
        self.boundaries = {b.name: b for b in model.boundaries}
        self.values = values
        elsewhere = {p.name for p in model.parameters if p.on != "cell"}
        elsewhere |= {s.name for b in model.boundaries for s in b.states}
        self.cell = _tensors(model.graph.cell) | {k: v for k, v in values.items() if k not in elsewhere}
        self.own = {f.name: f.on for f in model.forcings if f.on.startswith("boundary:")}

    # Only stages look at these.

    @cached_property
    def face(self) -> Space:
        return _tensors(self.model.graph.face) | self._given("face")

    @cached_property
    def sides(self) -> tuple[Tensor, Tensor]:
        """The cells on the left and on the right of each face."""
        left, right = (torch.from_numpy(side.copy()) for side in self.model.graph.faces.T)
        return left, right

    @cached_property
    def outside(self) -> dict[str, Space]:
        return {b.name: _tensors(b.geometry) | self._given(f"boundary:{b.name}") for b in self.model.boundaries}

    def _given(self, on: str) -> Space:
        names = [p.name for p in self.model.parameters if p.on == on]
        return {name: self.values[name] for name in names if name in self.values}

    def within(self) -> dict[str, Space]:
        return {"cell": self.cell, "forcing": self.forcing}

    def across(self) -> dict[str, Space]:
        sides = {name: _at(self.cell, side) for name, side in zip(("left", "right"), self.sides, strict=True)}
        return {**sides, "face": self.face, "forcing": self.forcing}

    def beyond(self, boundary: str) -> dict[str, Space]:
        side = self.boundaries[boundary]
        cells = torch.tensor(side.cells)
        seen = _at(self.cell, cells) | {s.name: self.values[s.name] for s in side.states if s.name in self.values}
        inside = {k: v for k, v in self.forcing.items() if k not in self.own}
        own = {k: v for k, v in self.forcing.items() if self.own.get(k) == f"boundary:{boundary}"}
        return {"cell": seen, "forcing": _at(inside, cells) | own, "face": self.outside[boundary]}

    def assign(self, stage: Stage, program: Program) -> None:
        if stage.on == "cell":
            self.cell |= _run(program, self.within(), self.networks)
        elif stage.on == "face":
            self.face |= _run(program, self.across(), self.networks)
        else:
            self.outside[stage.on] |= _run(program, self.beyond(stage.on), self.networks)

    def reduce(self, stage: Reduction) -> None:
        graph, onto = self.model.graph, SIDES[stage.sides]
        pieces: list[tuple[Tensor, Tensor]] = []
        if stage.of in self.face:
            amounts = self.face[stage.of] * torch.from_numpy(stage.weights(graph.face, "faces"))
            pieces = [(side, factor * amounts) for side, factor in zip(self.sides, onto, strict=True)]
        for b in self.model.boundaries:
            if stage.of in self.outside[b.name] and stage.of not in b.geometry:
                amounts = self.outside[b.name][stage.of] * torch.from_numpy(stage.weights(b.geometry, b.name))
                pieces.append((torch.tensor(b.cells), onto[1] * amounts))
        total = torch.zeros((*pieces[0][1].shape[:-1], graph.cells), dtype=torch.float64)
        for cells, amounts in pieces:
            total = total.index_add(-1, cells, amounts)
        self.cell[stage.name] = total


def evaluate_outputs(
    model: Model,
    programs: Programs,
    values: Mapping[str, Tensor],
    forcing: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Outputs of a model, from states, parameters and forcings by name and the functions as they were when traced.

    Args:
        values: `(..., cells)` of states and parameters of cells, and what else stages read.
        forcing: `(..., 1)` or `(..., cells)`, where closure or stages take it. weights: of its networks, packed.

    Raises:
        ModelError: a function that cannot be traced closes over something that has changed since.
    """
    if isinstance(model, CoupledModel):
        outputs: Space = {}
        for region, own in zip(model.regions.values(), programs.regions, strict=True):
            here, moving, learnt = (
                {k: given[v] for k, v in names.items() if v in given}
                for names, given in ((region.names, values), (region.forcings, forcing), (region.networks, weights))
            )
            found = evaluate_outputs(region.model, own, here, moving, learnt)
            outputs |= {region.outputs[k]: v for k, v in found.items()}
        return outputs
    if model.output is None:
        return {}
    networks = {name: partial(_called, a, weights[name]) for name, a in programs.networks.items()}
    fields = _Fields(model, values, forcing, networks)
    if programs.closure is not None:
        fields.cell |= _run(programs.closure, fields.within(), networks)
    for stage, program in zip(model.stages, programs.stages, strict=True):
        if isinstance(stage, Reduction):
            fields.reduce(stage)
        elif program is not None:
            fields.assign(stage, program)
    if programs.output is not None:
        return _run(programs.output, fields.within(), networks)
    if digest(model.output) != programs.untraced:
        raise ModelError(
            f"{model.name}.output closes over something that has changed since the solve; look at outputs before, "
            "or declare it as a Parameter of the model"
        )
    plain = model.output(SimpleNamespace(**networks | fields.cell))
    return {k: torch.as_tensor(v, dtype=torch.float64) for k, v in plain.items()}


def _called(architecture: Architecture, weights: Tensor, *features: Tensor | float) -> Tensor | tuple[Tensor, ...]:
    """A network on values of any shape that they broadcast to: one such result, or as many as it has outputs."""
    together = torch.broadcast_tensors(*(torch.as_tensor(x, dtype=torch.float64) for x in features))
    results = evaluate(architecture, weights, torch.stack(together, -1)).unbind(-1)
    return results[0] if len(results) == 1 else results


def _run(program: Program, spaces: Mapping[str, Space], networks: Mapping[str, Network]) -> Space:
    net: Space = {}
    spaces = {**spaces, "net": net}

    def inputs(program: Program) -> Space:
        return {name: spaces[name.partition(".")[0]][name.partition(".")[2]] for name in program.inputs}

    for k, call in enumerate(program.calls):
        features = call.features.run(inputs(call.features), RULES)
        results = networks[call.network](*(features[str(i)] for i in range(len(features))))
        net |= {f"{k}.{j}": v for j, v in enumerate(results if isinstance(results, tuple) else (results,))}
    return {k: torch.as_tensor(v, dtype=torch.float64) for k, v in program.run(inputs(program), RULES).items()}


def _tensors(arrays: Mapping[str, Array]) -> Space:
    return {k: torch.from_numpy(np.array(v, np.float64)) for k, v in arrays.items()}


def _at(space: Space, where: Tensor) -> Space:
    """Values at some places; what is the same everywhere stays as it is."""
    return {k: v if v.ndim == 0 or v.shape[-1] == 1 else v.index_select(-1, where) for k, v in space.items()}
