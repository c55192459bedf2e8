"""Solutes that groundwater carries, in one system with its heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Literal, TypedDict

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from typing_extensions import Unpack

from ..model import (
    Boundary,
    Constraint,
    ForcingVariable,
    Graph,
    IntegratedFlux,
    Local,
    Model,
    Output,
    Parameter,
    Place,
    Reduction,
    Stage,
    State,
    Values,
)
from ..model.remember import remembered
from ..processes import solute, sorption
from ..processes.groundwater.conditions import Condition, Drain, Evapotranspiration, Units
from ..processes.groundwater.dispersion import crossing, mechanical, pore_water
from ..processes.groundwater.storage import KINDS, storage_of
from .aquifer import Aquifer, Kind
from .solute_column import ISOTHERMS, VOLUMES, check_solutes

# Pore water of a cell, and wet thickness of a face, are not below this share of the thickness where one divides by them.
LEAST = 1e-6
SORBED: Mapping[str, Callable[..., Tensor]] = {
    "linear": sorption.sorbed_linear,
    "langmuir": sorption.sorbed_langmuir,
    "freundlich": sorption.sorbed_freundlich,
}
_length = partial(Parameter, low=0.0, log=True)


class FlowChoices(TypedDict, total=False):
    """Choices of `Aquifer`."""

    top: ArrayLike
    mean: Literal["harmonic", "logarithmic", "amt-lmk", "amt-hmk"]
    upstream: bool
    vertical: Literal["constant", "saturated", "dewatered"]
    perched: bool
    pinched: ArrayLike | None
    face_flows: bool
    units: Units


@dataclass(frozen=True, eq=False, repr=False)
class CarryingModel(Model):
    """A model of water and what it carries, which does not act on it.

    Attributes:
        water: the model of the water alone.
    """

    water: Model | None = None


@remembered
def SoluteAquifer(
    grid: Graph,
    kind: Kind | Sequence[Kind] = "confined",
    *,
    boundaries: Sequence[Condition] = (),
    sorption: Literal["none", "linear", "langmuir", "freundlich"] = "none",
    decay: Literal["none", "dissolved", "total"] = "none",
    species: tuple[str, ...] = (),
    dispersion: Literal["diagonal", "full"] = "diagonal",
    **flow: Unpack[FlowChoices],
) -> Model:
    """An `Aquifer` whose water carries solutes: heads and concentrations are one system, with one adjoint.

    A solute goes with the flow through every face and disperses by it, by exponential fitting (see
    `processes/solute.py`): never below zero, of second order where cells are small beside dispersivities.

    Water that comes in by a boundary has the concentration `<name>_concentration` (forcing, default 0), water that
    leaves that of its cell; evapotranspiration leaves solutes behind. What came in so is the flux `<name>_solute`.

    Args:
        boundaries, flow: as in `Aquifer`, with all its parameters, forcings and fluxes.
        sorption, decay, species: as in `SoluteColumn`; the whole thickness of a cell sorbs. The state is what is
            dissolved and sorbed, per plan area.
        dispersion: "diagonal": through a face goes what the slope across it drives, all there is where water flows along
            rows, columns or down; at an angle plumes come out too round. "full": what slopes within the face drive too,
            from the eight cells around (in three dimensions eighteen), as in MT3DMS. At an angle plumes then have their shape;
            but beside sharp fronts concentrations may fall below zero and rise above what comes in, by some per cent of
            the jump, which finer cells make less. See `processes/groundwater/dispersion.py`.

    Give `porosity`, `longitudinal_dispersivity`, `transverse_dispersivity` (where the grid has more than one direction),
    `vertical_dispersivity` (layers) and `diffusion` (in the pores). `initial={"head": ..., "concentration": ...}`.

    Raises:
        ModelError: an unknown choice, or what `Aquifer` raises.

    Source: Zheng and Wang 1999, US Army ERDC SERDP-99-1, equations 1 to 3; exponential fitting: Scharfetter and Gummel 1969.
    """
    choices = (
        ("sorption", sorption, tuple(ISOTHERMS)),
        ("decay", decay, ("none", "dissolved", "total")),
        ("dispersion", dispersion, ("diagonal", "full")),
    )
    check_solutes("SoluteAquifer", choices, decay, species)
    water = Aquifer(grid, kind, boundaries=boundaries, **flow)
    graph, ends = water.graph, tuple(f"_{s}" for s in species) or ("",)
    names, rates = tuple(f"solute{end}" for end in ends), tuple(f"decay{end}" for end in ends)
    own, isotherm = ISOTHERMS[sorption]
    constants = tuple(tuple(p.name + end for p in own) for end in ends)
    sorbs, decays, everything, flows = sorption != "none", decay != "none", decay == "total", "flow" in _names(water)
    # The functions alone, not the model: local functions see nothing that could change.
    seen, between, told, begin = (_there(f) for f in (water.closure, water.flux, water.output, water.initial))
    store = storage_of([KINDS[int(k)] for k in np.unique(graph.cell["kind"])])
    water_table = bool((graph.cell["kind"] != KINDS.index("confined")).any())
    directions = tuple(int(d) for d in np.unique(graph.face["direction"]))
    upright, crossed = 2 in directions, len(directions) > 1
    tensor, carried = dispersion == "full" and crossed, tuple(f"dissolved{end}" for end in ends)

    def pores(cell: Place, stored: Tensor) -> Tensor:
        full = store.water(cell.bottom + cell.thickness, cell)
        return torch.clamp(pore_water(cell, stored, full), min=LEAST * cell.thickness)

    def closure(cell: Place) -> Values:
        held = pores(cell, cell.water)
        values = {"pores": held}
        for name, each, end in zip(names, constants, ends, strict=True):
            total = attrgetter(name)(cell)
            if sorbs:
                solid = cell.bulk_density * cell.thickness
                values[f"dissolved{end}"] = isotherm(total, held, solid, *(attrgetter(k)(cell) for k in each))
            else:
                values[f"dissolved{end}"] = total / held
        return {**seen(cell), **values}

    def wet(left: Place, right: Place, face: Place) -> Tensor:
        """Thickness through which water flows; one for vertical faces, whose flow is per area."""
        one, other = left.thickness, right.thickness
        if water_table:
            one = one * torch.clamp(left.saturation, LEAST, 1.0)
            other = other * torch.clamp(right.saturation, LEAST, 1.0)
        mean = 0.5 * (one + other)
        return torch.where(face.direction > 1, 1.0, mean) if upright else mean

    def carrier(left: Place, right: Place, face: Place) -> Values:
        through = between(left, right, face)["water"]
        if not crossed:
            return {"carrier": through}
        discharge = through / wet(left, right, face)
        parts = {f"part_{d}": torch.where(_is(face, d), discharge, 0.0) for d in directions}
        return {"carrier": through, **parts}

    def discharges(left: Place, right: Place, face: Place) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Specific discharge through a face, and each component within it with its transverse dispersivity."""
        across = []
        for d in directions if crossed else ():
            component = _around(left, right, f"sum_{d}")
            transverse = _mean(left, right, "transverse_dispersivity")
            if upright:
                vertical = _mean(left, right, "vertical_dispersivity")
                transverse = vertical if d == 2 else torch.where(face.direction > 1, vertical, transverse)
            across.append((torch.where(_is(face, d), 0.0, component), transverse))
        return face.carrier / wet(left, right, face), across

    def rise(left: Place, right: Place, face: Place) -> Values:
        """Slopes of concentrations, by direction, from which cells know those within their faces."""
        slopes = [(attrgetter(c)(right) - attrgetter(c)(left)) / face.distance for c in carried]
        return {
            f"rise_{d}{end}": torch.where(_is(face, d), slope, 0.0)
            for d in directions
            for end, slope in zip(ends, slopes, strict=True)
        }

    def flux(left: Place, right: Place, face: Place) -> Values:
        thickness, (along, across), moved = wet(left, right, face), discharges(left, right, face), dict[str, Tensor]()
        longitudinal = _mean(left, right, "longitudinal_dispersivity")
        molecular = 0.5 * (left.porosity * left.diffusion + right.porosity * right.diffusion)
        # Per width, times porosity.
        dispersion = thickness * (mechanical(along, across, longitudinal) + molecular)
        others = crossing(along, across, longitudinal) if tensor else ()
        for name, c, end in zip(names, carried, ends, strict=True):
            behind, ahead = (attrgetter(c)(side) for side in (left, right))
            moved[name] = solute.fitted(behind, ahead, face.carrier, dispersion, face.distance)
            for d, part in zip(directions if tensor else (), others, strict=True):
                moved[name] = moved[name] - thickness * part * _around(left, right, f"rises_{d}{end}")
        return {"water": face.carrier, **({"flow": face.carrier} if flows else {}), **moved}

    def loaded(boundary: Boundary, condition: Condition) -> Boundary:
        if isinstance(condition, Evapotranspiration):
            return boundary
        brings, called, exchange = _brings(condition), condition.name, boundary.function

        def function(cell: Place, forcing: Place, face: Place) -> Values:
            values: Values = exchange(cell, forcing, face)  # type: ignore[assignment]
            into = values["water"]
            for name, end in zip(names, ends, strict=True):
                load = torch.clamp(into, max=0.0) * attrgetter(f"dissolved{end}")(cell)
                if brings:
                    outside = attrgetter(f"{called}_concentration{end}")(forcing)
                    load = load + torch.clamp(into, min=0.0) * outside
                values = {**values, name: load, f"{called}_solute{end}": load}
            return values

        return Boundary(boundary.name, boundary.cells, function, boundary.geometry)

    def source(cell: Place, forcing: Place) -> Values:
        amounts = tuple(
            attrgetter(name)(cell) if everything else cell.pores * attrgetter(f"dissolved{end}")(cell)
            for name, end in zip(names, ends, strict=True)
        )
        constant = tuple(attrgetter(rate)(cell) for rate in rates)
        changes = solute.decay_chain(amounts, constant)
        return {**dict(zip(names, changes, strict=True)), "decayed": constant[-1] * amounts[-1]}

    def initial(values: Values, cell: Place) -> Values:
        given = [f"concentration{end}" for end in ends]
        states = dict(begin({k: v for k, v in values.items() if k not in given}, cell))
        for name, each, what in zip(names, constants, given, strict=True):
            if what in values:
                c = values[what]
                states[name] = c * pores(cell, states["water"])
                if sorbs:
                    solid = cell.bulk_density * cell.thickness
                    states[name] = states[name] + solid * SORBED[sorption](c, *(attrgetter(k)(cell) for k in each))
        return states

    length, time = flow.get("units", ("m", "d"))
    leaving = [b for b in boundaries if not isinstance(b, Evapotranspiration)]
    found = dict(zip((b.name for b in boundaries), boundaries, strict=True))
    sums = tuple(Reduction(f"sum_{d}", of=f"part_{d}", sides="both") for d in directions if crossed)
    rises = tuple(
        Reduction(f"rises_{d}{end}", of=f"rise_{d}{end}", sides="both") for d in directions for end in ends if tensor
    )
    slopes: tuple[Stage | Reduction, ...] = (Stage("slopes", rise, on="face"), *rises) if tensor else ()
    return CarryingModel(
        name="SoluteAquifer",
        graph=graph,
        states=(*water.states, *(State(n, f"kg {length}-2", "solute per plan area", default=0.0) for n in names)),
        parameters=(
            *water.parameters,
            *_spreading(length, time, crossed, upright),
            *(VOLUMES[1:] if sorbs else ()),
            *(Parameter(**{**vars(p), "name": p.name + end}) for end in ends for p in own),
            *(Parameter(r, f"{time}-1", "rate of decay", 0.0, 0.0, typical=(0.0, 1.0)) for r in rates if decays),
        ),
        forcings=(
            *water.forcings,
            *(_concentration(b, end, length) for b in boundaries if _brings(b) for end in ends),
        ),
        fluxes=(
            *water.fluxes,
            *(_load(b, end) for b in leaving for end in ends),
            *((IntegratedFlux("decayed", "kg", "what has decayed, the last of a chain", -1),) if decays else ()),
        ),
        outputs=(*water.outputs, *(Output(f"concentration{end}", f"kg {length}-3", "of the water") for end in ends)),
        closure=closure,
        stages=(*water.stages, Stage("carrier", carrier, on="face"), *sums, *slopes),
        flux=flux,
        output=lambda cell: {
            **told(cell),
            **{f"concentration{end}": attrgetter(f"dissolved{end}")(cell) for end in ends},
        },
        source=source if decays else None,
        boundaries=tuple(loaded(b, found[b.name]) for b in water.boundaries),
        constraints=(*water.constraints, *(roomy(graph) if water_table else ())),
        limits=water.limits,
        initial=initial,
        initial_names=(*water.initial_names, *(f"concentration{end}" for end in ends)),
        time_unit=time,
        water=water,
        reference=f"{water.reference}; solutes: Zheng and Wang 1999, SERDP-99-1",
    )


def _there(function: Local | None) -> Callable[..., Values]:
    assert function is not None
    return function  # type: ignore[return-value]


def _names(model: Model) -> list[str]:
    return [f.name for f in model.fluxes]


def _is(face: Place, direction: int) -> Tensor:
    return (face.direction > direction - 0.5) & (face.direction < direction + 0.5)


def _around(left: Place, right: Place, name: str) -> Tensor:
    """The mean over the four faces around, of a direction within a face, whose sums the cells beside it have.

    Faces that are not there, at the outline, count as zero: nothing flows there.
    """
    one, other = (attrgetter(name)(side) for side in (left, right))
    return 0.25 * (one + other)


def _mean(left: Place, right: Place, name: str) -> Tensor:
    one, other = (attrgetter(name)(side) for side in (left, right))
    return 0.5 * (one + other)


def _brings(condition: Condition) -> bool:
    """Whether water may come in by it."""
    return not isinstance(condition, (Drain, Evapotranspiration))


def _concentration(condition: Condition, end: str, length: str) -> ForcingVariable:
    name, on = f"{condition.name}_concentration{end}", f"boundary:{condition.name}"
    return ForcingVariable(name, f"kg {length}-3", "of the water that comes in", default=0.0, on=on)


def _load(condition: Condition, end: str) -> IntegratedFlux:
    text = f"solute into the aquifer: {type(condition).__name__}"
    return IntegratedFlux(f"{condition.name}_solute{end}", "kg", text, 1, on="boundary" if condition.each else "total")


def _spreading(length: str, time: str, crossed: bool, upright: bool) -> tuple[Parameter, ...]:
    porosity = Parameter("porosity", "1", "water-filled porosity of a full cell", 0.3, 0.0, 1.0, open_low=True)
    parameters = [porosity, _length("longitudinal_dispersivity", length, "along the flow", 10.0, open_low=True)]
    if crossed:
        parameters.append(_length("transverse_dispersivity", length, "across the flow", 1.0))
    if upright:
        parameters.append(_length("vertical_dispersivity", length, "across the flow, upwards and down", 0.1))
    return (*parameters, Parameter("diffusion", f"{length}2 {time}-1", "molecular diffusion in pores", 0.0, 0.0))


def roomy(graph: Graph) -> tuple[Constraint, ...]:
    """Pores hold at least what drains from them, where there is a water table."""
    drains = torch.from_numpy((graph.cell["kind"] != KINDS.index("confined")).astype(float))
    return (Constraint("S_y <= porosity", ("S_y", "porosity"), lambda place: place.S_y * drains <= place.porosity),)
