"""The kernels of a model, or of a region of a coupled one, whose values have been given their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ...arrays import Array, Indices
from ...errors import ModelError
from ...model import Reduction
from ...model.coupling import Region
from ...model.stages import SIDES
from .gathering import Values, called, gathered, places_at, spread
from .kernels import Assigning, Guard, Kernel, Scatter
from .program import Builder, Program
from .traced_model import Programs


class Places(Protocol):
    """Where the values of the whole model lie, by their names there; `fluxes` grows region by region."""

    values: Values
    n_states: int
    parameters: dict[str, Indices]
    forcings: dict[str, Indices]
    fluxes: dict[str, Indices]
    weights: dict[str, Indices]
    read: frozenset[str]


class Assembly:
    """Where everything of a region lies, and the kernels that follow.

    Attributes:
        cell, face: name -> position of its value at every cell, or face. outside: the same of each boundary.
        bare: what a cell shows ahead of all stages.
    """

    def __init__(self, places: Places, region: Region, programs: Programs, states: dict[str, Indices]) -> None:
        self.model, self.programs, self.graph = region.model, programs, region.model.graph
        model, graph, values, self.names = self.model, self.graph, places.values, region.names
        self.values, self.stages, self.states, self.n_states = values, list[Assigning](), states, places.n_states
        self.left, self.right = graph.faces.T
        self.weights = {name: places.weights[region.networks[name]] for name in programs.networks}
        read = places.read | {stage.of for stage in model.stages if isinstance(stage, Reduction)}
        parameters = {p.name: places.parameters[self.names[p.name]] for p in model.parameters}
        forcings = {f.name: places.forcings[region.forcings[f.name]] for f in model.forcings}
        self.cell = {s.name: self.states[s.name] for s in model.states}
        self.cell |= {p.name: spread(parameters[p.name], graph.cells) for p in model.parameters if p.on == "cell"}
        self.cell |= values.constants_of(graph.cell, read)
        faces = len(graph.faces)
        self.face = {p.name: spread(parameters[p.name], faces) for p in model.parameters if p.on == "face"}
        self.face |= values.constants_of(graph.face, read)
        self.outside = {b.name: values.constants_of(b.geometry, read) for b in model.boundaries}
        for b in model.boundaries:
            own = [p.name for p in model.parameters if p.on == f"boundary:{b.name}"]
            self.outside[b.name] |= {name: spread(parameters[name], len(b.cells)) for name in own}
        self.sides = {b.name: b for b in model.boundaries}
        self.bare, self.forcings = dict(self.cell), forcings
        inside = [f.name for f in model.forcings if f.on in ("model", "cell")]
        self.forcing = {name: spread(forcings[name], graph.cells) for name in inside}
        self.on_model = [f.name for f in model.forcings if f.on == "model"]
        self.common = {name: spread(forcings[name], faces) for name in self.on_model}
        taken = sum(map(len, places.fluxes.values()))
        self.fluxes = {name: at + taken for name, at in self._order_fluxes().items()}
        places.fluxes |= {region.fluxes[name]: at for name, at in self.fluxes.items()}

    def _order_fluxes(self) -> dict[str, Indices]:
        """Positions of the integrated fluxes among themselves: one each, or one for each of the items they are on."""
        places, size = dict[str, Indices](), 0
        for flux in self.model.fluxes:
            count = {"total": 1, "cell": self.graph.cells, "face": len(self.graph.faces)}.get(flux.on)
            if count is None:
                pairs = zip(self.model.boundaries, self.programs.boundaries, strict=True)
                count = sum(len(b.cells) for b, program in pairs if flux.name in program.outputs)
            places[flux.name] = np.arange(size, size + count)
            size += count
        return places

    # What local functions see.

    def within(self) -> dict[str, dict[str, Indices]]:
        return {"cell": self.cell, "forcing": self.forcing}

    def across(self) -> dict[str, dict[str, Indices]]:
        sides = {"left": places_at(self.cell, self.left), "right": places_at(self.cell, self.right)}
        return {**sides, "face": self.face, "forcing": self.common}

    def beyond(self, boundary: str, cell: Mapping[str, Indices]) -> dict[str, dict[str, Indices]]:
        side = self.sides[boundary]
        touched = np.asarray(side.cells)
        seen = places_at(cell, touched) | {s.name: self.states[s.name] for s in side.states}
        own = {f.name: self.forcings[f.name] for f in self.model.forcings if f.on == f"boundary:{boundary}"}
        return {"cell": seen, "forcing": places_at(self.forcing, touched) | own, "face": self.outside[boundary]}

    # Stages.

    def called(
        self, program: Program, spaces: Mapping[str, Mapping[str, Indices]], items: int
    ) -> Mapping[str, Mapping[str, Indices]]:
        """Adds stages for the networks that a program calls; the spaces with their outputs beside."""
        return called(self.values, self.stages, self.programs.networks, self.weights, program, spaces, items)

    def beside_link(self, boundary: str, at: Indices) -> dict[str, Indices]:
        """What a side of a link shows of cells, or of places of a boundary."""
        if not boundary:
            return places_at(self.cell, at)
        seen = places_at(self.beyond(boundary, self.cell)["cell"], at)
        return seen | places_at(self.outside[boundary], at)

    def linked(self, state: str, boundary: str, at: Indices) -> tuple[Indices, Array]:
        """Where the rates of a state are that a link leads to, and what makes amounts of its values there."""
        if not boundary:
            return self.states[state][at], self.graph.cell["volume"][at]
        side = self.sides[boundary]
        if any(s.name == state for s in side.states):
            return self.states[state][at], side.geometry["area"][at]
        touched = np.asarray(side.cells)[at]
        return self.states[state][touched], self.graph.cell["volume"][touched]

    def assign(self, program: Program, on: str) -> None:
        """Adds a stage on cells, on faces or at a boundary, whose results are names there from then on."""
        graph = self.graph
        if on == "cell":
            spaces, into, items, geometry = self.within(), self.cell, graph.cells, graph.cell
        elif on == "face":
            spaces, into, items, geometry = self.across(), self.face, len(graph.faces), graph.face
        else:
            spaces, into, side = self.beyond(on, self.cell), self.outside[on], self.sides[on]
            items, geometry = len(side.cells), side.geometry
        given = self.called(program, spaces, items)
        at = {name: self.values.take(items) for name in program.outputs}
        if clash := set(at) & {*into, *geometry, *self.programs.networks}:
            are = "are" if len(clash) > 1 else "is"
            raise ModelError(f"{program.name} returns {sorted(clash)}, which {are} there already")
        scatter = tuple(Scatter(name, where, np.ones(items)) for name, where in at.items())
        self.stages.append(gathered(program, given, scatter, items))
        into |= at

    def reduce(self, stage: Reduction) -> None:
        """Adds a stage that sums values of faces and boundaries into cells."""
        name = f"{self.model.name}.{stage.name}"
        if stage.name in {*self.cell, *self.graph.cell}:
            raise ModelError(f"{name} is there already")
        gather, left, right, weights = list[Indices](), list[Indices](), list[Indices](), list[Array]()
        onto = SIDES[stage.sides]
        if stage.of in self.face:
            gather, left, right = [self.face[stage.of]], [self.left], [self.right]
            weights = [stage.weights(self.graph.face, "faces")]
        factors = [np.full(len(w), onto[0]) for w in weights]
        for boundary in self.model.boundaries:
            if stage.of in self.outside[boundary.name] and stage.of not in boundary.geometry:
                gather.append(self.outside[boundary.name][stage.of])
                left.append(np.asarray(boundary.cells))
                right.append(np.asarray(boundary.cells))
                weights.append(stage.weights(boundary.geometry, f"boundary {boundary.name!r}"))
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
            spaces = self.called(programs.source, self.within(), graph.cells)
            kernels.append(gathered(programs.source, spaces, scatter, graph.cells))
        if programs.flux is not None:
            area, left, right = graph.face["area"], self.left, self.right
            put = {
                s.name: [(rates[s.name][left], -area / volume[left]), (rates[s.name][right], area / volume[right])]
                for s in model.states
            }
            scatter = self.targets(programs.flux, put, area, {"face": np.arange(len(left))})
            spaces = self.called(programs.flux, self.across(), len(left))
            kernels.append(gathered(programs.flux, spaces, scatter, len(left)))
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
            spaces = self.called(program, self.beyond(boundary.name, self.cell), len(touched))
            kernels.append(gathered(program, spaces, scatter, len(touched)))
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
            kernel = gathered(program, spaces, (), len(touched))
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

    def add_stages(self) -> None:
        if self.programs.closure is not None:
            self.assign(self.programs.closure, "cell")
        for stage, program in zip(self.model.stages, self.programs.stages, strict=True):
            if isinstance(stage, Reduction):
                self.reduce(stage)
            elif program is not None:
                self.assign(program, stage.on)


def _identity(name: str) -> Program:
    builder = Builder(name)
    return builder.finish({"value": builder.input("value")})
