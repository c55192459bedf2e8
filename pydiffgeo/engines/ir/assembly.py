"""From a model and its traced local functions to a system, in which every value has its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ...arrays import Array, Indices
from ...errors import ModelError
from ...model import Model
from .hoisting import hoist
from .kernels import Guard, Kernel, NetworkStage, Scatter, Stage, System
from .program import Program
from .traced_model import Programs


@dataclass(frozen=True, eq=False)
class Layout:
    """Which parameters vary in space: name -> number of values (1, or one per cell or face)."""

    parameters: Mapping[str, int]

    @property
    def key(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self.parameters.items()))


class _Values:
    """Hands out positions in the vector of values; the parts are laid out one after the other."""

    def __init__(self) -> None:
        self.size = 0
        self.constants: list[Array] = []

    def take(self, count: int) -> Indices:
        start, self.size = self.size, self.size + count
        return np.arange(start, self.size)

    def constant(self, values: Array) -> Indices:
        self.constants.append(np.asarray(values, np.float64))
        return self.take(len(values))


def build_system(model: Model, programs: Programs, layout: Layout, prepared: bool = True) -> System:
    """Lays out the values of `model`, whose local functions are `programs`.

    `prepared` cuts out what depends on parameters and geometry alone, see `hoisted.py`.

    Raises:
        ModelError: a local function returns a name that the model does not declare.
    """
    graph, values = model.graph, _Values()
    states = _order_states(model)
    n_states = sum(len(v) for v in states.values())
    values.take(n_states)
    parameters: dict[str, Indices] = {}
    for p in model.parameters:
        parameters[p.name] = values.take(layout.parameters[p.name])
    weights = {name: values.take(a.weights) - n_states for name, a in programs.networks.items()}
    n_parameters = values.size - n_states
    forcings = {f.name: values.take(graph.cells if f.on == "cell" else 1) for f in model.forcings}
    n_forcings = values.size - n_states - n_parameters

    # What a cell shows: name -> position for every cell.
    cell = {s.name: states[s.name] for s in model.states}
    cell |= {p.name: _spread(parameters[p.name], graph.cells) for p in model.parameters if p.on == "cell"}
    cell |= {k: values.constant(v) for k, v in graph.cell.items()}
    face = {p.name: _spread(parameters[p.name], len(graph.faces)) for p in model.parameters if p.on == "face"}
    face |= {k: values.constant(v) for k, v in graph.face.items()}
    outside = [{k: values.constant(v) for k, v in b.geometry.items()} for b in model.boundaries]

    rates = {s.name: states[s.name] for s in model.all_states}
    flux_names = tuple(f.name for f in model.fluxes)
    volume = graph.cell["volume"]
    closures: list[Stage] = []
    kernels: list[Kernel] = []
    bare = dict(cell)
    cell_forcing = {k: _spread(v, graph.cells) for k, v in forcings.items()}

    def targets(program: Program, put: Mapping[str, list[tuple[Indices, Array]]], amount: Array) -> tuple[Scatter, ...]:
        """Scatters of a program: rates of states as `put` says, integrated fluxes times `amount`."""
        scatter = []
        for name in program.outputs:
            if name in flux_names:
                at = np.full(len(amount), n_states + flux_names.index(name))
                scatter.append(Scatter(name, at, amount))
            elif name in put:
                scatter += [Scatter(name, at, weight) for at, weight in put[name]]
            else:
                raise ModelError(
                    f"{program.name} returns {name!r}; it may return {sorted(put)} and the fluxes {sorted(flux_names)}"
                )
        return tuple(scatter)

    Spaces = Mapping[str, Mapping[str, Indices]]

    def called(program: Program, spaces: Spaces, items: int) -> Spaces:
        """Stages for the networks that a program calls; the spaces with their outputs beside."""
        net: dict[str, Indices] = {}
        spaces = {**spaces, "net": net}
        for k, call in enumerate(program.calls):
            architecture, block = programs.networks[call.network], weights[call.network]
            features = np.array([values.take(items) for _ in range(architecture.features)])
            scatter = tuple(Scatter(str(i), at, np.ones(items)) for i, at in enumerate(features))
            closures.append(_kernel(call.features, spaces, scatter, items))
            outputs = np.array([values.take(items) for _ in range(architecture.outputs)])
            place = slice(int(block[0]), int(block[-1]) + 1)
            closures.append(NetworkStage(call.features.name, architecture, place, features, outputs))
            net |= {f"{k}.{j}": at for j, at in enumerate(outputs)}
        return spaces

    if programs.closure is not None:
        program = programs.closure
        seen = called(program, {"cell": cell}, graph.cells)
        at = {name: values.take(graph.cells) for name in program.outputs}
        if clash := set(at) & (set(cell) | set(programs.networks)):
            raise ModelError(f"{program.name} returns {sorted(clash)}, which the cell already has")
        scatter = tuple(Scatter(name, where, np.ones(graph.cells)) for name, where in at.items())
        closures.append(_kernel(program, seen, scatter, graph.cells))
        cell |= at
    if programs.source is not None:
        program = programs.source
        put = {s.name: [(rates[s.name], np.ones(graph.cells))] for s in model.states}
        seen = called(program, {"cell": cell, "forcing": cell_forcing}, graph.cells)
        kernels.append(_kernel(program, seen, targets(program, put, volume), graph.cells))
    if programs.flux is not None:
        left, right = graph.faces.T
        area = graph.face["area"]
        program = programs.flux
        put = {
            s.name: [(rates[s.name][left], -area / volume[left]), (rates[s.name][right], area / volume[right])]
            for s in model.states
        }
        spaces = {"left": _at(cell, left), "right": _at(cell, right), "face": face}
        seen = called(program, spaces, len(left))
        kernels.append(_kernel(program, seen, targets(program, put, area), len(left)))
    for boundary, program, geometry in zip(model.boundaries, programs.boundaries, outside, strict=True):
        touched = np.asarray(boundary.cells)
        area = boundary.geometry["area"]
        here = _at(cell, touched) | {s.name: states[s.name] for s in boundary.states}
        put = {s.name: [(rates[s.name][touched], area / volume[touched])] for s in model.states}
        put |= {s.name: [(rates[s.name], np.ones(len(touched)))] for s in boundary.states}
        spaces = {"cell": here, "forcing": _at(cell_forcing, touched), "face": geometry}
        seen = called(program, spaces, len(touched))
        kernels.append(_kernel(program, seen, targets(program, put, area), len(touched)))
    guards: list[Guard] = []
    sides = {b.name: (b, g) for b, g in zip(model.boundaries, outside, strict=True)}
    for limit, program in zip(model.limits, programs.limits, strict=True):
        touched, spaces = np.arange(graph.cells), {"cell": bare}
        if limit.boundary:
            side, geometry = sides[limit.boundary]
            touched = np.asarray(side.cells)
            here = _at(bare, touched) | {s.name: states[s.name] for s in side.states}
            spaces = {"cell": here, "forcing": _at(cell_forcing, touched), "face": geometry}
        guards.append(Guard(_kernel(program, spaces, (), len(touched)), limit.name, limit.unit, touched, limit.remedy))
    controls: list[tuple[int, int, float]] = []
    for state in model.all_states:
        nominal = state.nominal
        if not nominal > 0:
            raise ModelError(
                f"{model.name}: the nominal value of state {state.name!r} must be positive, got {nominal!r}"
            )
        if np.isfinite(nominal):
            controls += [(int(i), -1, float(nominal)) for i in states[state.name]]
    for state in model.states:
        if state.error_control is not None:
            name, size = state.error_control
            if programs.closure is None or name not in programs.closure.outputs:
                raise ModelError(f"{model.name}: state {state.name!r} is controlled through {name!r}, no closure value")
            if not size > 0:
                raise ModelError(f"{model.name}: the size of {name!r} must be positive, got {size!r}")
            controls += [(int(i), int(a), float(size)) for i, a in zip(states[state.name], cell[name], strict=True)]
    returned = {s.output for k in kernels for s in k.scatter}
    if missing := set(flux_names) - returned:
        raise ModelError(f"{model.name}: no local function returns the integrated fluxes {sorted(missing)}")
    system = System(
        name=model.name,
        n_states=n_states,
        n_parameters=n_parameters,
        n_forcings=n_forcings,
        n_fluxes=len(flux_names),
        n_values=values.size,
        constants=np.concatenate([*values.constants, np.empty(0)]),
        closures=tuple(closures),
        kernels=tuple(kernels),
        states=states,
        parameters={k: slice(v[0] - n_states, v[-1] + 1 - n_states) for k, v in parameters.items()},
        forcings={k: v - n_states - n_parameters for k, v in forcings.items()},
        fluxes=flux_names,
        controls=tuple(controls),
        guards=tuple(guards),
    )
    return hoist(system) if prepared else system


def _order_states(model: Model) -> dict[str, Indices]:
    """Positions of the states, cell by cell, a boundary's store just before the cell it touches.

    This keeps the Jacobian of a column banded, tridiagonal for one state per cell.
    """
    slots: list[tuple[int, int, int, str, int]] = []
    for rank, state in enumerate(model.states):
        slots += [(c, 1, rank, state.name, c) for c in range(model.graph.cells)]
    for rank, boundary in enumerate(model.boundaries):
        for state in boundary.states:
            slots += [(c, 0, rank, state.name, i) for i, c in enumerate(boundary.cells)]
    order = {s.name: np.zeros(model.state_cells(s.name), np.int64) for s in model.all_states}
    for position, (_, _, _, name, i) in enumerate(sorted(slots)):
        order[name][i] = position
    return order


def _spread(positions: Indices, count: int) -> Indices:
    return np.broadcast_to(positions, (count,)) if len(positions) == 1 else positions


def _at(space: Mapping[str, Indices], where: Indices) -> dict[str, Indices]:
    return {k: v[where] for k, v in space.items()}


def _kernel(
    program: Program, spaces: Mapping[str, Mapping[str, Indices]], scatter: Iterable[Scatter], items: int
) -> Kernel:
    rows = []
    for name in program.inputs:
        prefix, _, key = name.partition(".")
        rows.append(spaces[prefix][key])
    gather = np.array(rows, np.int64).reshape(len(rows), items)
    return Kernel(program, gather, tuple(scatter))
