"""Which stores and fluxes of a model make up a balance: one for each unit in which fluxes declare one.

A state of the cells is an amount per volume and counts with the volume of its cell, one of a boundary is an amount per
area and counts with that. Volumes and areas are powers of a length, whatever the graph (a column of unit area has
volumes in m, a raster in m2), so a store belongs to the balance in `MJ m-2` if its unit is that times a power of a
length, as `MJ m-3` is, and `mm` is not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array
from ..errors import InputError
from .coupling import CoupledModel, unit_of, units_of
from .declaration import Model
from .links import Link
from .variables import IntegratedFlux, State

Unit = frozenset[tuple[str, int]]
LENGTHS = {"m", "mm", "cm", "dm", "km", "um", "nm", "ft", "in"}


@dataclass(frozen=True, eq=False)
class Quantity:
    """Something that is stored and flows.

    Attributes:
        unit: of amounts, that of its fluxes; empty where none is declared.
        weights: state -> what makes amounts of its values, `(cells,)`: volumes, or areas of a boundary.
        fluxes: those that add to it or take away.
    """

    unit: str
    weights: Mapping[str, Array]
    fluxes: tuple[IntegratedFlux, ...]


def quantities(model: Model) -> tuple[Quantity, ...]:
    """One for each unit in which fluxes of the model declare a balance; none where none does.

    Raises:
        InputError: units do not tell which stores belong to the fluxes.
    """
    if isinstance(model, CoupledModel):
        return _of_regions(model)
    declared = defaultdict[Unit, list[IntegratedFlux]](list)
    for flux in model.fluxes:
        if flux.balance:
            declared[_parsed(flux.unit)].append(flux)
    stores = _stores(model)
    weights = model.storage_weights()
    balances = []
    taken: dict[str, str] = {}
    for unit, fluxes in declared.items():
        own = {name: place for name, (place, state) in stores.items() if _lengths_apart(_parsed(state.unit), unit)}
        if not own and len(declared) == 1:
            own = {name: place for name, (place, _) in stores.items()}
        text = fluxes[0].unit
        _check_alike(model, own, f"the balance of fluxes in {text!r}")
        if not own:
            raise InputError(
                f"{model.name}: fluxes in {text!r} declare a balance, but no state is stored in a unit like it; the "
                f"model has {_listed(model, stores)}"
            )
        for name in own:
            if name in taken:
                raise InputError(
                    f"{model.name}: state {name!r} ({stores[name][1].unit}) fits fluxes in {taken[name]!r} and in "
                    f"{text!r}; let the fluxes of one balance have one unit"
                )
            taken[name] = text
        balances.append(Quantity(text, {name: weights[name] for name in own}, tuple(fluxes)))
    return tuple(balances)


def carries(link: Link, model: Model, state: str) -> bool:
    """Whether a state of a region belongs to the balance of what a link carries; there may be one balance only."""
    if len(units_of(model)) < 2:
        return True
    stored = quantity_of(model, state)
    return stored is not None and stored.unit == unit_of(model, link)


def quantity_of(model: Model, state: str) -> Quantity | None:
    """The quantity in whose declared balance a state is, if it is in one."""
    return next((q for q in quantities(model) if state in q.weights), None)


def _of_regions(model: CoupledModel) -> tuple[Quantity, ...]:
    """The quantities of each region, with what links bring and take; and those of all together where they add up."""
    found, plain = list[Quantity](), dict[str, list[Quantity]]()
    for key, region in model.regions.items():
        (first, *_) = units_of(region.model)
        own = quantities(region.model) or (Quantity(first, region.model.storage_weights(), ()),)
        for quantity in own:
            names = region.names
            fluxes = [replace(f, name=region.fluxes[f.name]) for f in quantity.fluxes]
            weights = {names[s]: w for s, w in quantity.weights.items()}
            plain.setdefault(quantity.unit, []).append(Quantity(quantity.unit, weights, tuple(fluxes)))
            moved = [f for link in model.links for f in _passed(link, key, quantity, region.model)]
            found.append(Quantity(f"{key} ({quantity.unit})", weights, (*fluxes, *moved)))
    for unit, parts in plain.items():
        several = len(parts) > 1 or len(model.regions) == 1
        if several and all(_stays(link, unit, model) for link in model.links):
            weights = {s: w for q in parts for s, w in q.weights.items()}
            found.append(Quantity(f"all ({unit})", weights, tuple(f for q in parts for f in q.fluxes)))
    return tuple(found)


def _stays(link: Link, unit: str, model: CoupledModel) -> bool:
    """Whether what a link takes of a unit it brings in that unit, in the same amount."""
    left, right = (unit_of(model.regions[side].model, link) == unit for side in (link.left, link.right))
    return left == right and (not left or np.array_equal(*link.areas))


def _passed(link: Link, region: str, quantity: Quantity, model: Model) -> list[IntegratedFlux]:
    """The amounts by which a link adds to a quantity of a region, or takes away."""
    if unit_of(model, link) != quantity.unit:
        return []
    ends = zip((link.left, link.right), link.fluxes, (-1, 1), strict=True)
    return [
        IntegratedFlux(name, quantity.unit, "", -1 if sign < 0 else 1) for side, name, sign in ends if side == region
    ]


def single(model: Model) -> Quantity:
    """All that a model stores, as one quantity.

    Raises:
        InputError: there are several, which do not add up.
    """
    stores, declared = _stores(model), quantities(model)
    if declared:
        if len(declared) == 1 and declared[0].weights.keys() == stores.keys():
            return declared[0]
        raise InputError(
            f"{model.name} stores more than one quantity, which do not add up: {_listed(model, stores)}; `storages` has "
            "those with declared fluxes, and a state with stored=False is left out"
        )
    _check_alike(model, {name: place for name, (place, _) in stores.items()}, "what it stores")
    return Quantity("", model.storage_weights(), ())


def _stores(model: Model) -> dict[str, tuple[str, State]]:
    """Stored states with their place: "" for the cells, or a boundary."""
    inside = {s.name: ("", s) for s in model.states if s.stored}
    return inside | {s.name: (b.name, s) for b in model.boundaries for s in b.states if s.stored}


def _check_alike(model: Model, own: Mapping[str, str], what: str) -> None:
    """Raises `InputError` where states of one place have different units, or places units of different kinds."""
    stores = _stores(model)
    units = [(place, _parsed(stores[name][1].unit)) for name, place in own.items()]
    for place, unit in units:
        for other, another in units:
            if (unit != another) if place == other else not _lengths_apart(unit, another):
                raise InputError(
                    f"{model.name}: {what} would add up states of different units, {_listed(model, own)}; give them one "
                    "unit, or stored=False to those that do not belong to it"
                )


def _listed(model: Model, names: Mapping[str, object]) -> str:
    stores = _stores(model)
    return ", ".join(f"{name!r} ({stores[name][1].unit})" for name in names) or "no stored state"


def _parsed(unit: str) -> Unit:
    """A unit as powers of symbols: `m3 m-3`, `m3/m3` and `1` are the same."""
    powers = defaultdict[str, int](int)
    for slash, word in re.findall(r"(/?)\s*([^\s/*.·]+)", unit.replace("**", "^")):
        symbol, power = re.fullmatch(r"(.*?)\^?([-+]?\d+)?", word).groups()  # type: ignore[union-attr]
        if symbol not in ("", "-"):
            powers[symbol] += int(power or 1) * (-1 if slash else 1)
    return frozenset((symbol, power) for symbol, power in powers.items() if power)


def _lengths_apart(one: Unit, other: Unit) -> bool:
    """Are two units the same but for powers of lengths?"""
    powers = defaultdict[str, int](int, dict(one))
    for symbol, power in other:
        powers[symbol] -= power
    return {symbol for symbol, power in powers.items() if power} <= LENGTHS
