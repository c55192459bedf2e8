"""Models of several kinds of cells: regions, each a model of its own, and links between them, solved as one system.

catchment = dg.couple("Catchment", {"soil": column, "aquifer": aquifer}, links=(
    dg.Link("recharge", "soil", "aquifer", pairs=[(29, 4)],
            function=lambda left, right, face: {"theta->head": left.conductivity}),
))

Names are those of the regions; where two regions have the same one, it is `<region>_<name>`. A forcing of the same name
and unit that is the same for all cells is one forcing of both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import torch

from ..arrays import Array
from ..errors import ModelError
from .declaration import Model
from .graph import Graph
from .links import Link
from .variables import Constraint, ForcingVariable, IntegratedFlux, State, Values

ARROW = re.compile(r"(\w+) *-> *(\w+)")


@dataclass(frozen=True, eq=False)
class Region:
    """A model within a coupled one.

    Attributes:
        names: its own name of a state, parameter or initial condition -> that in the coupled model; `forcings`, `fluxes`,
            `outputs` and `networks` likewise.
    """

    model: Model
    names: Mapping[str, str]
    forcings: Mapping[str, str]
    fluxes: Mapping[str, str]
    outputs: Mapping[str, str]
    networks: Mapping[str, str]


@dataclass(frozen=True, eq=False, repr=False)
class CoupledModel(Model):
    """What `couple` makes: a model whose cells are those of its regions."""

    regions: Mapping[str, Region] = field(default_factory=dict)
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        # What there is to check was checked by the regions and by `couple`.
        pass

    def _home(self, name: str) -> tuple[Model, str]:
        """The region of a state or another initial condition, and what it is called there."""
        homes = ((r, own) for r in self.regions.values() for own in _starts(r.model))
        return next((r.model, own) for r, own in homes if r.names[own] == name)

    def state_cells(self, name: str) -> int:
        model, own = self._home(name)
        return model.state_cells(own)

    def items(self, on: str) -> int:
        region, _, place = on.partition("/")
        return self.regions[region].model.items(place) if place else super().items(on)

    def grid(self, on: str) -> Graph | None:
        region, _, place = on.partition("/")
        return self.regions[region].model.grid(place) if place else None

    def state_grid(self, name: str) -> Graph | None:
        model, own = self._home(name)
        return model.state_grid(own)

    def storage_weights(self) -> dict[str, Array]:
        return {
            region.names[name]: weights
            for region in self.regions.values()
            for name, weights in region.model.storage_weights().items()
        }


def couple(name: str, regions: Mapping[str, Model], links: Sequence[Link] = (), *, reference: str = "") -> CoupledModel:
    """Joins models to one, which is solved as one stiff system with one adjoint.

    Args:
        regions: name -> model; all of one time unit.
        links: what flows between them.
        reference: where the equations come from.

    Raises:
        ModelError: regions or links that do not fit each other; names them.
    """
    if not regions or not all(isinstance(m, Model) and not isinstance(m, CoupledModel) for m in regions.values()):
        raise ModelError(f"{name}: regions must be models by name, got {regions!r}")
    if len(units := {m.time_unit for m in regions.values()}) > 1:
        raise ModelError(f"{name}: regions have different time units, {sorted(units)}")
    made = {
        key: Region(
            model,
            *(_names(key, regions, kind) for kind in (_starts_and_parameters, _forcings, _fluxes, _outputs, _networks)),
        )
        for key, model in regions.items()
    }
    for link in links:
        _check_link(name, made, link)
    states, parameters, outputs, constraints = list[State](), [], [], list[Constraint]()
    forcings, fluxes = dict[str, ForcingVariable](), list[IntegratedFlux]()
    for key, region in made.items():
        model, names = region.model, region.names
        states += [replace(s, name=names[s.name]) for s in model.all_states]
        parameters += [replace(p, name=names[p.name], on=f"{key}/{p.on}") for p in model.parameters]
        outputs += [replace(o, name=region.outputs[o.name]) for o in model.outputs]
        for f in model.forcings:
            on = f.on if f.on == "model" else f"{key}/{f.on}"
            forcings[region.forcings[f.name]] = replace(f, name=region.forcings[f.name], on=on)
        fluxes += [replace(f, name=region.fluxes[f.name]) for f in model.fluxes]
        constraints += [_renamed(c, names) for c in model.constraints]
    for link in links:
        fluxes += [
            IntegratedFlux(flux, unit_of(made[side].model, link), f"{link.name}, {link.left} to {link.right}")
            for flux, side in zip(link.fluxes, (link.left, link.right), strict=True)
        ]
    cells = sum(m.graph.cells for m in regions.values())
    volume = np.concatenate([m.graph.cell["volume"] for m in regions.values()])
    return CoupledModel(
        name=name,
        graph=Graph(cells, np.empty((0, 2), np.int64), {"volume": volume}, {"area": np.empty(0)}),
        states=tuple(states),
        parameters=tuple(parameters),
        forcings=tuple(forcings.values()),
        fluxes=tuple(fluxes),
        outputs=tuple(outputs),
        constraints=tuple(constraints),
        networks=_all_networks(name, made, links),
        initial=_Start(made),
        initial_names=tuple(r.names[k] for r in made.values() for k in r.model.initial_names),
        time_unit=next(iter(units)),
        reference=reference,
        regions=made,
        links=tuple(links),
    )


@dataclass(frozen=True, eq=False)
class _Start:
    """Initial states from what users give, region by region."""

    regions: Mapping[str, Region]

    def __call__(self, start: Values, cell: SimpleNamespace) -> Values:
        values = dict(start)
        for region in self.regions.values():
            model, names = region.model, region.names
            given = {k: start[names[k]] for k in _starts(model) if names[k] in start}
            if model.initial is None or not given:
                continue
            geometry = {k: torch.from_numpy(v.copy()) for k, v in model.graph.cell.items()}
            own = {p.name: getattr(cell, names[p.name]) for p in model.parameters}
            made = model.initial(given, SimpleNamespace(**geometry, **own))
            values |= {names[k]: v for k, v in made.items()}
        return values


def _starts(model: Model) -> list[str]:
    return [*(s.name for s in model.all_states), *model.initial_names]


def _starts_and_parameters(model: Model) -> list[str]:
    return [*_starts(model), *(p.name for p in model.parameters)]


def _forcings(model: Model) -> list[str]:
    return [f.name for f in model.forcings]


def _fluxes(model: Model) -> list[str]:
    return [f.name for f in model.fluxes]


def _outputs(model: Model) -> list[str]:
    return [o.name for o in model.outputs]


def _networks(model: Model) -> list[str]:
    return [*model.networks]


def _names(key: str, regions: Mapping[str, Model], kind: Callable[[Model], list[str]]) -> dict[str, str]:
    """Own name -> name in the coupled model: the same where no other region has it, or all mean one forcing."""
    taken = Counter(name for m in regions.values() for name in {*kind(m)})
    names = {n: n if taken[n] == 1 else f"{key}_{n}" for n in kind(regions[key])}
    if kind is _forcings:
        common = Counter((f.name, f.unit) for m in regions.values() for f in m.forcings if f.on == "model")
        own = [f for f in regions[key].forcings if f.on == "model"]
        names |= {f.name: f.name for f in own if taken[f.name] == common[f.name, f.unit]}
    return names


def _renamed(constraint: Constraint, names: Mapping[str, str]) -> Constraint:
    own = {names[n]: n for n in constraint.names}

    def holds(place: SimpleNamespace) -> torch.Tensor:
        return constraint.holds(SimpleNamespace(**{own[k]: v for k, v in vars(place).items()}))

    return Constraint(constraint.text, tuple(own), holds)


def units_of(model: Model) -> list[str]:
    """Those in which fluxes of a region are balanced; that of its first state where none is."""
    return [*dict.fromkeys(f.unit for f in model.fluxes if f.balance)] or [model.states[0].unit]


def unit_of(model: Model, link: Link) -> str:
    """Unit of the balance of a region to which belongs what a link carries."""
    return link.unit or units_of(model)[0]


def _check_link(name: str, regions: Mapping[str, Region], link: Link) -> None:
    for side, boundary, cells in link.sides:
        if side not in regions:
            raise ModelError(f"{name}: link {link.name!r} joins {side!r}; the regions are {[*regions]}")
        model, what, where = regions[side].model, "cells", repr(side)
        if link.unit and link.unit not in (units := units_of(model)):
            raise ModelError(f"{name}: link {link.name!r} carries {link.unit!r}; {side!r} has balances in {units}")
        if boundary:
            known = [b.name for b in model.boundaries]
            if boundary not in known:
                raise ModelError(
                    f"{name}: link {link.name!r} is at {boundary!r} of {side!r}, whose boundaries are {known}"
                )
            what, where = "places", f"{boundary!r} of {side!r}"
        count = model.items(f"boundary:{boundary}") if boundary else model.graph.cells
        if len(cells) == 0 or cells.min() < 0 or cells.max() >= count:
            raise ModelError(f"{name}: link {link.name!r} names {what} outside 0..{count - 1} of {where}")
    for network in link.networks:
        if not isinstance(network, str) or not network.isidentifier() or network in link.values:
            raise ModelError(
                f"{name}: link {link.name!r} has a network {network!r}; its name must be an identifier and none of "
                f"{[*link.values]}"
            )


def networks_of(link: Link, regions: Mapping[str, Region]) -> dict[str, dict[str, str]]:
    """What a link may call as `left.name`, `right.name` and `face.name`: name there -> name in the coupled model."""
    own = {name: f"{link.name}_{name}" for name in link.networks}
    return {"left": dict(regions[link.left].networks), "right": dict(regions[link.right].networks), "face": own}


def _all_networks(name: str, regions: Mapping[str, Region], links: Sequence[Link]) -> dict[str, torch.nn.Module]:
    """Those of the regions, then those of the links."""
    networks = {r.networks[k]: module for r in regions.values() for k, module in r.model.networks.items()}
    for link in links:
        for own, module in link.networks.items():
            called = networks_of(link, regions)["face"][own]
            if called in networks:
                raise ModelError(
                    f"{name}: the network {own!r} of link {link.name!r} is {called!r}, which is there already"
                )
            networks[called] = module
    return networks


def ends(link: Link, key: str, regions: Mapping[str, Region]) -> tuple[str, str]:
    """The states that a result of a link, called `theta->head`, leaves and enters.

    Raises:
        ModelError: it is called otherwise, or a region has no such state.
    """
    match = ARROW.fullmatch(key)
    if match is None:
        raise ModelError(
            f"link {link.name!r} returns {key!r}; it must be called 'state of {link.left}->state of {link.right}'"
        )
    for state, (side, boundary, _) in zip(match.groups(), link.sides, strict=True):
        model = regions[side].model
        known = [s.name for s in model.states]
        known += [s.name for b in model.boundaries if b.name == boundary for s in b.states]
        if state not in known:
            raise ModelError(f"link {link.name!r} returns {key!r}, and {side!r} has no state {state!r}; it has {known}")
    return match[1], match[2]
