"""From a model and its traced local functions to a system, in which every value has its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ...arrays import Array, Indices
from ...errors import ModelError
from ...model import Boundary, Model, Reduction
from ...model.stages import SIDES
from .hoisting import hoist
from .kernels import Guard, Kernel, Scatter, System
from .program import Builder, Program
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
        ModelError: a local function returns a name that the model does not declare, or that is taken.
    """
    assembly = _Assembly(model, programs, layout)
    system = assembly.system()
    return hoist(system) if prepared else system


class _Assembly:
    """Where everything of a model lies, and the kernels that follow.

    Attributes:
        cell, face: name -> position of its value at every cell, or face. outside: the same of each boundary.
        bare: what a cell shows ahead of all stages.
    """

    def __init__(self, model: Model, programs: Programs, layout: Layout) -> None:
        self.model, self.programs, self.graph = model, programs, model.graph
        graph, values = model.graph, _Values()
        self.values, self.stages = values, list[Kernel]()
        self.left, self.right = graph.faces.T
        self.states = _order_states(model)
        values.take(sum(len(v) for v in self.states.values()))
        self.n_states = values.size
        self.parameters = {p.name: values.take(layout.parameters[p.name]) for p in model.parameters}
        self.n_parameters = values.size - self.n_states
        self.forcings = {f.name: values.take(model.items(f.on)) for f in model.forcings}
        self.n_forcings = values.size - self.n_states - self.n_parameters
        self.cell = {s.name: self.states[s.name] for s in model.states}
        self.cell |= {p.name: _spread(self.parameters[p.name], graph.cells) for p in model.parameters if p.on == "cell"}
        self.cell |= {k: values.constant(v) for k, v in graph.cell.items()}
        faces = len(graph.faces)
        self.face = {p.name: _spread(self.parameters[p.name], faces) for p in model.parameters if p.on == "face"}
        self.face |= {k: values.constant(v) for k, v in graph.face.items()}
        self.outside = {b.name: {k: values.constant(v) for k, v in b.geometry.items()} for b in model.boundaries}
        for b in model.boundaries:
            own = [p.name for p in model.parameters if p.on == f"boundary:{b.name}"]
            self.outside[b.name] |= {name: _spread(self.parameters[name], len(b.cells)) for name in own}
        self.sides = {b.name: b for b in model.boundaries}
        self.bare = dict(self.cell)
        inside = [f.name for f in model.forcings if f.on in ("model", "cell")]
        self.forcing = {name: _spread(self.forcings[name], graph.cells) for name in inside}
        self.common = {f.name: _spread(self.forcings[f.name], faces) for f in model.forcings if f.on == "model"}
        self.fluxes = self._order_fluxes()

    def _order_fluxes(self) -> dict[str, Indices]:
        """Positions of the integrated fluxes among themselves: one each, or one for each of the items they are on."""
        places, size = dict[str, Indices](), 0
        for flux in self.model.fluxes:
            count = {"total": 1, "cell": self.graph.cells, "face": len(self.graph.faces)}.get(flux.on)
            if count is None:
                count = sum(len(b.cells) for b, returned in self._returning(flux.name) if returned)
            places[flux.name] = np.arange(size, size + count)
            size += count
        return places

    def _returning(self, flux: str) -> list[tuple[Boundary, bool]]:
        """The boundaries, and whether their functions return an integrated flux."""
        pairs = zip(self.model.boundaries, self.programs.boundaries, strict=True)
        return [(boundary, flux in program.outputs) for boundary, program in pairs]

    # What local functions see.

    def within(self) -> dict[str, dict[str, Indices]]:
        return {"cell": self.cell, "forcing": self.forcing}

    def across(self) -> dict[str, dict[str, Indices]]:
        sides = {"left": _at(self.cell, self.left), "right": _at(self.cell, self.right)}
        return {**sides, "face": self.face, "forcing": self.common}

    def beyond(self, boundary: str, cell: Mapping[str, Indices]) -> dict[str, dict[str, Indices]]:
        side = self.sides[boundary]
        touched = np.asarray(side.cells)
        seen = _at(cell, touched) | {s.name: self.states[s.name] for s in side.states}
        own = {f.name: self.forcings[f.name] for f in self.model.forcings if f.on == f"boundary:{boundary}"}
        return {"cell": seen, "forcing": _at(self.forcing, touched) | own, "face": self.outside[boundary]}

    # Stages.

    def assign(
        self, program: Program, spaces: Mapping[str, Mapping[str, Indices]], into: dict[str, Indices], items: int
    ) -> None:
        """Adds a stage, whose results are names of `into` from then on."""
        at = {name: self.values.take(items) for name in program.outputs}
        if clash := set(at) & set(into):
            raise ModelError(
                f"{program.name} returns {sorted(clash)}, which {'are' if clash != {*list(clash)[:1]} else 'is'} there already"
            )
        scatter = tuple(Scatter(name, where, np.ones(items)) for name, where in at.items())
        self.stages.append(_kernel(program, spaces, scatter, items))
        into |= at

    def reduce(self, stage: Reduction) -> None:
        """Adds a stage that sums values of faces and boundaries into cells."""
        name = f"{self.model.name}.{stage.name}"
        if stage.name in self.cell:
            raise ModelError(f"{name} is there already")
        gather, left, right, weights = list[Indices](), list[Indices](), list[Indices](), list[Array]()
        onto = SIDES[stage.sides]
        if stage.of in self.face:
            gather, left, right = [self.face[stage.of]], [self.left], [self.right]
            weights = [_weight(self.graph.face, stage, "faces")]
        factors = [np.full(len(w), onto[0]) for w in weights]
        for boundary in self.model.boundaries:
            if stage.of in self.outside[boundary.name] and stage.of not in boundary.geometry:
                gather.append(self.outside[boundary.name][stage.of])
                left.append(np.asarray(boundary.cells))
                right.append(np.asarray(boundary.cells))
                weights.append(_weight(boundary.geometry, stage, f"boundary {boundary.name!r}"))
                factors.append(np.zeros(len(boundary.cells)))
        if not gather:
            raise ModelError(f"{name} sums {stage.of!r}, which no stage assigns on faces or boundaries before it")
        sums = self.values.take(self.graph.cells)
        weight, program = np.concatenate(weights), _identity(name)
        scatter = [
            Scatter("value", sums[np.concatenate(cells)], weight * factor)
            for cells, factor in ((left, np.concatenate(factors)), (right, np.full(len(weight), onto[1])))
            if np.any(factor)
        ]
        self.stages.append(Kernel(program, np.concatenate(gather)[None], tuple(scatter), sums))
        self.cell[stage.name] = sums

    # Rates.

    def targets(
        self,
        program: Program,
        put: Mapping[str, list[tuple[Indices, Array]]],
        amount: Array,
        places: Mapping[str, Indices],
    ) -> tuple[Scatter, ...]:
        """Scatters of a program: rates of states as `put` says, integrated fluxes times `amount`, on their `places`."""
        scatter, fluxes = list[Scatter](), {f.name: f for f in self.model.fluxes}
        for name in program.outputs:
            if name in put:
                scatter += [Scatter(name, at, weight) for at, weight in put[name]]
            elif name not in fluxes:
                raise ModelError(
                    f"{program.name} returns {name!r}; it may return {sorted(put)} and the fluxes {sorted(fluxes)}"
                )
            elif fluxes[name].on == "total":
                scatter.append(Scatter(name, np.full(len(amount), self.n_states + self.fluxes[name][0]), amount))
            elif fluxes[name].on in places:
                scatter.append(Scatter(name, self.n_states + self.fluxes[name][places[fluxes[name].on]], amount))
            else:
                raise ModelError(
                    f"{program.name} returns {name!r}, which is on={fluxes[name].on!r}; it may return fluxes on "
                    f"{sorted(['total', *places])}"
                )
        return tuple(scatter)

    def kernels(self) -> list[Kernel]:
        model, graph, programs, kernels = self.model, self.graph, self.programs, list[Kernel]()
        volume, ones = graph.cell["volume"], np.ones(graph.cells)
        rates = {s.name: self.states[s.name] for s in model.all_states}
        if programs.source is not None:
            put = {s.name: [(rates[s.name], ones)] for s in model.states}
            scatter = self.targets(programs.source, put, volume, {"cell": np.arange(graph.cells)})
            kernels.append(_kernel(programs.source, self.within(), scatter, graph.cells))
        if programs.flux is not None:
            area, left, right = graph.face["area"], self.left, self.right
            put = {
                s.name: [(rates[s.name][left], -area / volume[left]), (rates[s.name][right], area / volume[right])]
                for s in model.states
            }
            scatter = self.targets(programs.flux, put, area, {"face": np.arange(len(left))})
            kernels.append(_kernel(programs.flux, self.across(), scatter, len(left)))
        before = dict.fromkeys(self.fluxes, 0)
        for boundary, program in zip(model.boundaries, programs.boundaries, strict=True):
            touched, area = np.asarray(boundary.cells), boundary.geometry["area"]
            put = {s.name: [(rates[s.name][touched], area / volume[touched])] for s in model.states}
            put |= {s.name: [(rates[s.name], np.ones(len(touched)))] for s in boundary.states}
            scatter = ()
            for name in program.outputs:
                # Of several boundaries with one flux, items follow each other.
                places = {"cell": touched, "boundary": before.get(name, 0) + np.arange(len(touched))}
                only = Program(program.name, program.nodes, {name: program.outputs[name]})
                scatter += self.targets(only, put, area, places)
                before[name] = before.get(name, 0) + len(touched)
            kernels.append(_kernel(program, self.beyond(boundary.name, self.cell), scatter, len(touched)))
        returned = {s.output for k in kernels for s in k.scatter}
        if missing := set(self.fluxes) - returned:
            raise ModelError(f"{model.name}: no local function returns the integrated fluxes {sorted(missing)}")
        return kernels

    def guards(self) -> list[Guard]:
        guards = []
        for limit, program in zip(self.model.limits, self.programs.limits, strict=True):
            touched, spaces = np.arange(self.graph.cells), {"cell": self.bare}
            if limit.boundary:
                touched = np.asarray(self.sides[limit.boundary].cells)
                spaces = self.beyond(limit.boundary, self.bare)
            kernel = _kernel(program, spaces, (), len(touched))
            guards.append(Guard(kernel, limit.name, limit.unit, touched, limit.remedy))
        return guards

    def controls(self) -> list[tuple[int, int, float]]:
        controls: list[tuple[int, int, float]] = []
        name = self.model.name
        for state in self.model.all_states:
            nominal = state.nominal
            if not nominal > 0:
                raise ModelError(f"{name}: the nominal value of state {state.name!r} must be positive, got {nominal!r}")
            if np.isfinite(nominal):
                controls += [(int(i), -1, float(nominal)) for i in self.states[state.name]]
        assigned = set(self.cell) - set(self.bare)
        for state in self.model.states:
            if state.error_control is not None:
                value, size = state.error_control
                if value not in assigned:
                    raise ModelError(f"{name}: state {state.name!r} is controlled through {value!r}, no closure value")
                if not size > 0:
                    raise ModelError(f"{name}: the size of {value!r} must be positive, got {size!r}")
                pairs = zip(self.states[state.name], self.cell[value], strict=True)
                controls += [(int(i), int(a), float(size)) for i, a in pairs]
        return controls

    def system(self) -> System:
        programs, graph = self.programs, self.graph
        if programs.closure is not None:
            self.assign(programs.closure, self.within(), self.cell, graph.cells)
        for stage, program in zip(self.model.stages, programs.stages, strict=True):
            if isinstance(stage, Reduction):
                self.reduce(stage)
            elif program is not None and stage.on == "cell":
                self.assign(program, self.within(), self.cell, graph.cells)
            elif program is not None and stage.on == "face":
                self.assign(program, self.across(), self.face, len(graph.faces))
            elif program is not None:
                spaces, items = self.beyond(stage.on, self.cell), len(self.sides[stage.on].cells)
                self.assign(program, spaces, self.outside[stage.on], items)
        kernels, first = self.kernels(), self.n_states + self.n_parameters
        return System(
            name=self.model.name,
            n_states=self.n_states,
            n_parameters=self.n_parameters,
            n_forcings=self.n_forcings,
            n_fluxes=sum(map(len, self.fluxes.values())),
            n_values=self.values.size,
            constants=np.concatenate([*self.values.constants, np.empty(0)]),
            stages=tuple(self.stages),
            kernels=tuple(kernels),
            states=self.states,
            parameters={k: slice(v[0] - self.n_states, v[-1] + 1 - self.n_states) for k, v in self.parameters.items()},
            forcings={k: v - first for k, v in self.forcings.items()},
            fluxes=self.fluxes,
            controls=tuple(self.controls()),
            guards=tuple(self.guards()),
        )


def _identity(name: str) -> Program:
    builder = Builder(name)
    return builder.finish({"value": builder.input("value")})


def _weight(geometry: Mapping[str, Array], stage: Reduction, where: str) -> Array:
    if not stage.weight:
        return np.ones_like(geometry["area"])
    if stage.weight not in geometry:
        raise ModelError(
            f"{stage.name} has the weight {stage.weight!r}, which is no geometry of {where}: {sorted(geometry)}"
        )
    return np.asarray(geometry[stage.weight], np.float64)


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
