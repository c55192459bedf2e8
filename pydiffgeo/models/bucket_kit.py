"""Basin models from a list of stores and fluxes: `buckets`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..copies import Made
from ..errors import ModelError
from ..model import (
    Constraint,
    ForcingVariable,
    IntegratedFlux,
    Model,
    Parameter,
    Place,
    State,
    Values,
    single_cell,
)
from ..model.by_name import with_values

# What most basin models without snow are forced with.
RAIN_AND_DEMAND = (
    ForcingVariable("precipitation", "mm d-1", "precipitation", low=0.0),
    ForcingVariable("potential_evapotranspiration", "mm d-1", "potential evapotranspiration", low=0.0),
)


@dataclass(frozen=True)
class Store:
    """Water (mm) that a basin holds; `default` is what it starts with."""

    name: str
    description: str = ""
    default: float = 0.0


@dataclass(frozen=True, eq=False)
class Flux(Made):
    """Water that moves, in mm/d.

    Attributes:
        name: of the flux; later ones read its value as `cell.<name>`.
        rate: `rate(cell, forcing)`: how much, not negative. Thresholds are best rounded (`pydiffgeo.processes.smoothing`), and
            what a store gives must vanish with it.
        source, target: the stores that it leaves and enters. Any other name is a place outside of the basin, such as
            "precipitation" and "runoff", whose sum the solution has under that name.
    """

    name: str
    rate: Callable[..., Tensor]
    source: str
    target: str
    description: str = ""

    def _functions(self) -> Mapping[str, object]:
        return {"its rate": self.rate}


def buckets(
    name: str,
    stores: Sequence[Store],
    fluxes: Sequence[Flux],
    parameters: Sequence[Parameter] = (),
    forcings: Sequence[ForcingVariable] = RAIN_AND_DEMAND,
    *,
    constraints: Sequence[Constraint] = (),
    reference: str = "",
) -> Model:
    """A basin model of stores and fluxes, in millimetres and days; examples are in `examples/buckets`.

    Rates are computed in the order of the fluxes. Every flux and every sum of an outside place is integrated, and the balance
    follows from where fluxes lead. Forcings are `precipitation` and `potential_evapotranspiration` (mm/d) where not given.

    Raises:
        ModelError: names that clash, a flux that leads nowhere, a store that none reaches, an outside place that both gives
            and takes.
    """
    for given in (*stores, *fluxes):
        if not isinstance(given, Store | Flux):
            raise ModelError(f"{name}: {given!r} is neither a Store nor a Flux")
    held = {s.name for s in stores}
    sources, targets = ({f.source for f in fluxes} - held, {f.target for f in fluxes} - held)
    _check(name, stores, fluxes, parameters, sources, targets)
    steps = tuple((f.name, f.rate, f.source, f.target) for f in fluxes)
    outside = tuple(dict.fromkeys(p for f in fluxes for p in (f.source, f.target) if p not in held))

    def source(cell: Place, forcing: Place) -> Values:
        found: dict[str, Tensor] = {}
        totals: dict[str, Tensor] = {}
        for flux, rate, leaves, enters in steps:
            amount = found[flux] = rate(cell, forcing)
            cell = with_values(cell, {flux: amount})
            for place, change in ((leaves, amount if leaves in outside else -amount), (enters, amount)):
                totals[place] = totals[place] + change if place in totals else change
        return {**found, **totals}

    about = {f.name: f.description or f"from {f.source} to {f.target}" for f in fluxes}
    return Model(
        name=name,
        graph=single_cell(),
        states=tuple(State(s.name, "mm", s.description, default=s.default, low=0.0) for s in stores),
        parameters=tuple(parameters),
        forcings=tuple(forcings),
        fluxes=(
            *(IntegratedFlux(p, "mm", f"all {p}", +1 if p in sources else -1) for p in outside),
            *(IntegratedFlux(k, "mm", text) for k, text in about.items() if k not in outside),
        ),
        source=source,
        constraints=tuple(constraints),
        reference=reference,
    ).made_by(buckets, name, stores, fluxes, parameters, forcings, constraints=constraints, reference=reference)


def _check(
    name: str,
    stores: Sequence[Store],
    fluxes: Sequence[Flux],
    parameters: Sequence[Parameter],
    sources: set[str],
    targets: set[str],
) -> None:
    named = [("store", s.name) for s in stores] + [("parameter", p.name) for p in parameters]
    seen: dict[str, str] = {}
    for kind, own in [*named, *(("flux", f.name) for f in fluxes)]:
        if own in seen:
            raise ModelError(f"{name}: {own!r} is both a {seen[own]} and a {kind}")
        seen[own] = kind
    for flux in fluxes:
        if not flux.source or not flux.target or flux.source == flux.target:
            raise ModelError(
                f"{name}: flux {flux.name!r} leads from {flux.source!r} to {flux.target!r}; it needs two different places"
            )
        for place in {flux.source, flux.target} & {*seen}:
            if seen[place] == "parameter" or (seen[place] == "flux" and place != flux.name):
                raise ModelError(f"{name}: flux {flux.name!r} leads to or from {place!r}, which is a {seen[place]}")
    reached = {place for f in fluxes for place in (f.source, f.target)}
    for store in stores:
        if store.name not in reached:
            raise ModelError(f"{name}: no flux fills or empties the store {store.name!r}")
    if both := sources & targets:
        raise ModelError(f"{name}: {sorted(both)[0]!r} is outside of the basin and both gives and takes; use two names")
