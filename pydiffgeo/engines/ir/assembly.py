"""From a model and its traced local functions to a system, in which every value has its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...arrays import Indices
from ...errors import ModelError
from ...model import CoupledModel, Model
from ...model.balance import carries
from ...model.coupling import Region, ends, unit_of
from .gathering import Values, called, gathered, spread
from .hoisting import hoist, hold
from .kernels import Assigning, Kernel, Scatter, System
from .region import Assembly
from .traced_model import Programs


@dataclass(frozen=True, eq=False)
class Layout:
    """Which parameters vary in space: name -> number of values (1, or one per cell or face); and whether forcings are
    constant in each interval."""

    parameters: Mapping[str, int]
    still: bool = False

    @property
    def key(self) -> tuple[bool, tuple[tuple[str, int], ...]]:
        return self.still, tuple(sorted(self.parameters.items()))


def build_system(model: Model, programs: Programs, layout: Layout, prepared: bool = True) -> System:
    """Lays out the values of `model`, whose local functions are `programs`.

    `prepared` cuts out what depends on parameters and geometry alone, see `hoisted.py`, and where forcings are constant in
    each interval what depends on them as well, see `held.py`.

    Raises:
        ModelError: a local function returns a name that the model does not declare, or that is taken.
    """
    places = Places(model, programs, layout)
    system = places.system()
    if prepared:
        system = hoist(system)
    return hold(system) if prepared and layout.still else system


class Places:
    """Where the states, parameters, forcings and fluxes of a model lie, region by region; one region where it has none."""

    def __init__(self, model: Model, programs: Programs, layout: Layout) -> None:
        self.model, self.programs, values = model, programs, Values()
        self.values = values
        coupled = model if isinstance(model, CoupledModel) else None
        own = [*coupled.regions.values()] if coupled else [Region(model, *[_Same()] * 5)]
        traced = programs.regions if coupled else (programs,)
        before, orders = 0, list[dict[str, Indices]]()
        for region in own:
            orders.append({k: v + before for k, v in _order_states(region.model).items()})
            before += sum(map(len, orders[-1].values()))
        self.states = {r.names[k]: v for r, order in zip(own, orders, strict=True) for k, v in order.items()}
        values.take(before)
        self.n_states = before
        self.parameters = {p.name: values.take(layout.parameters[p.name]) for p in model.parameters}
        self.weights = {name: values.take(a.weights) - self.n_states for name, a in programs.networks.items()}
        self.n_parameters = values.size - self.n_states
        self.forcings = {f.name: values.take(model.items(f.on)) for f in model.forcings}
        self.n_forcings = values.size - self.n_states - self.n_parameters
        self.fluxes, self.regions, self.read = dict[str, Indices](), list[Assembly](), programs.read
        for region, order, program in zip(own, orders, traced, strict=True):
            self.regions.append(Assembly(self, region, program, order))
        if coupled:
            self.links = [(k, values.constants_of(k.values, self.read)) for k in coupled.links]
            for link in coupled.links:
                size = sum(map(len, self.fluxes.values()))
                self.fluxes |= {name: np.array([size + i]) for i, name in enumerate(link.fluxes)}

    def system(self) -> System:
        for region in self.regions:
            region.add_stages()
        first = self.n_states + self.n_parameters
        kernels = [k for region in self.regions for k in region.kernels()]
        stages = [k for region in self.regions for k in region.stages]
        if isinstance(self.model, CoupledModel):
            kernels += self._linked(self.model, stages)
        return System(
            name=self.model.name,
            n_states=self.n_states,
            n_parameters=self.n_parameters,
            n_forcings=self.n_forcings,
            n_fluxes=sum(map(len, self.fluxes.values())),
            n_values=self.values.size,
            constants=np.concatenate([*self.values.constants, np.empty(0)]),
            stages=tuple(stages),
            kernels=tuple(kernels),
            states=self.states,
            parameters={k: slice(v[0] - self.n_states, v[-1] + 1 - self.n_states) for k, v in self.parameters.items()},
            forcings={k: v - first for k, v in self.forcings.items()},
            fluxes=self.fluxes,
            controls=tuple(c for region in self.regions for c in region.controls()),
            guards=tuple(g for region in self.regions for g in region.guards()),
        )

    def _linked(self, model: CoupledModel, stages: list[Assigning]) -> list[Kernel]:
        """The flows between regions: what leaves a cell of the one enters one of the other. Adds networks to the stages."""
        assemblies = dict(zip(model.regions, self.regions, strict=True))
        kernels = []
        for (link, geometry), program in zip(self.links, self.programs.links, strict=True):
            sides = [assemblies[link.left], assemblies[link.right]]
            scatter = list[Scatter]()
            for name in program.outputs:
                states = ends(link, name, model.regions)
                for side, (_, boundary, at), state, area, sign, flux in zip(
                    sides, link.sides, states, link.areas, (-1.0, 1.0), link.fluxes, strict=True
                ):
                    if not carries(link, side.model, state):
                        raise ModelError(
                            f"link {link.name!r} returns {name!r}, and {state!r} does not belong to what it carries, in "
                            f"{unit_of(side.model, link)}: give what flows of it a link of its own, with unit="
                        )
                    target, size = side.linked(state, boundary, at)
                    scatter.append(Scatter(name, target, sign * area / size))
                    scatter.append(Scatter(name, np.full(len(at), self.n_states + self.fluxes[flux][0]), area))
            count, common = len(link.pairs), dict[str, Indices]()
            for region in self.regions:
                common |= {f: spread(region.forcings[f], count) for f in region.on_model}
            left, right = (side.beside_link(b, at) for side, (_, b, at) in zip(sides, link.sides, strict=True))
            seen: Mapping[str, Mapping[str, Indices]] = {
                "left": left,
                "right": right,
                "face": geometry,
                "forcing": common,
            }
            seen = called(self.values, stages, self.programs.networks, self.weights, program, seen, count)
            kernels.append(gathered(program, seen, tuple(scatter), count))
        return kernels


class _Same(dict[str, str]):
    """Names that are what they are."""

    def __missing__(self, name: str) -> str:
        return name


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
