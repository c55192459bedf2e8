"""Solutes that steady flow carries down a column, that are sorbed, and that decay into one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Literal

import torch
from torch import Tensor

from ..errors import ModelError
from ..model import Boundary, ForcingVariable, IntegratedFlux, Model, Output, Parameter, Place, State, Values, column
from ..model.remember import remembered
from ..processes import solute, sorption

_parameter = partial(Parameter, low=0.0)
KINETICS = "van Genuchten and Wierenga 1976, Soil Sci. Soc. Am. J. 40"
VOLUMES = (
    _parameter("water_content", "1", "volumetric water content", 0.4, high=1.0, open_low=True, typical=(0.05, 0.5)),
    _parameter("bulk_density", "kg L-1", "dry bulk density of the soil", 1.5, open_low=True, typical=(1.2, 1.9)),
)
# Isotherms: parameters of each solute with unit, description, default, usual range and bounds; and c of the total.
ISOTHERMS: Mapping[str, tuple[tuple[Parameter, ...], Callable[..., Tensor]]] = {
    "none": ((), lambda total: total),
    "linear": (
        (_parameter("K_d", "L kg-1", "sorption coefficient", 0.5, typical=(0.0, 10.0), source=KINETICS),),
        sorption.linear,
    ),
    "langmuir": (
        (
            _parameter("K_L", "1", "affinity, the inverse of half saturation", 1.0, typical=(1e-3, 1e3), log=True),
            _parameter("S_max", "L kg-1", "largest sorbed amount", 0.5, typical=(0.0, 10.0), source="Langmuir 1918"),
        ),
        sorption.langmuir,
    ),
    "freundlich": (
        (
            _parameter("K_F", "L kg-1", "sorption coefficient", 0.5, open_low=True, typical=(1e-2, 10.0), log=True),
            _parameter(
                "exponent",
                "1",
                "exponent of the isotherm",
                0.8,
                high=1.0,
                open_low=True,
                typical=(0.5, 1.0),
                source="Freundlich 1907",
            ),
        ),
        sorption.freundlich,
    ),
}


@remembered
def SoluteColumn(
    depth: float,
    cells: int,
    scheme: Literal["central", "upwind", "exponential"] = "upwind",
    *,
    inlet: Literal["concentration", "flux"] = "concentration",
    sorption: Literal["none", "linear", "langmuir", "freundlich"] = "none",
    decay: Literal["none", "dissolved", "total"] = "none",
    species: tuple[str, ...] = (),
) -> Model:
    """Solutes carried by steady flow downwards; metres and days, amounts per volume of water.

    R dc/dt = D d2c/dz2 - v dc/dz - decay, with R c all that is dissolved and sorbed (van Genuchten and Alves 1982, US
    Department of Agriculture Technical Bulletin 1661).

    Args:
        scheme: of the flux between cells: "central" and "exponential" are of second order, "upwind" of first; "upwind"
            and "exponential" never overshoot (exponential fitting: Scharfetter and Gummel 1969).
        inlet: what is given at the surface: the concentration there (first kind), or that of the water which flows in
            (third kind: the flux v c0, as where a tracer is poured on).
        sorption: the isotherm; its parameters, `water_content` and `bulk_density`. The state is then `total`.
        decay: whether the rate `decay` (1/d) acts on what is dissolved, or on what is sorbed as well.
        species: names of the members of a chain, each of which decays into the next; parameters, states, inlets and
            outputs then end in `_<name>`, such as `decay_a`. The last one decays into nothing that is followed.

    Raises:
        ModelError: an unknown choice.
    """
    choices = (
        ("scheme", scheme, ("central", "upwind", "exponential")),
        ("inlet", inlet, ("concentration", "flux")),
        ("sorption", sorption, tuple(ISOTHERMS)),
        ("decay", decay, ("none", "dissolved", "total")),
    )
    check_solutes("SoluteColumn", choices, decay, species)
    ends = tuple(f"_{s}" for s in species) or ("",)
    own, isotherm = ISOTHERMS[sorption]
    held = "c" if sorption == "none" else "total"
    names = tuple(held + end for end in ends)
    constants = tuple(tuple(p.name + end for p in own) for end in ends)
    rates = tuple(f"decay{end}" for end in ends)
    inlets = tuple(f"inlet{end}" for end in ends)
    leaving = tuple(f"outflow{end}" for end in ends)
    sorbs, decays, everything = sorption != "none", decay != "none", decay == "total"
    fitted, upwind, given = scheme == "exponential", scheme == "upwind", inlet == "concentration"

    def dissolved(cell: Place) -> tuple[Tensor, ...]:
        if not sorbs:
            return tuple(attrgetter(name)(cell) for name in names)
        return tuple(
            isotherm(
                cell.water_content * attrgetter(name)(cell),
                cell.water_content,
                cell.bulk_density,
                *(attrgetter(constant)(cell) for constant in each),
            )
            for name, each in zip(names, constants, strict=True)
        )

    def closure(cell: Place) -> Values:
        return {f"dissolved{end}": c for end, c in zip(ends, dissolved(cell), strict=True)}

    def flux(left: Place, right: Place, face: Place) -> Values:
        return {
            name: _between(attrgetter(f"dissolved{end}")(left), attrgetter(f"dissolved{end}")(right), left, face)
            for name, end in zip(names, ends, strict=True)
        }

    def _between(behind: Tensor, ahead: Tensor, left: Place, face: Place) -> Tensor:
        if fitted:
            return solute.fitted(behind, ahead, left.velocity, left.dispersion, face.distance)
        return solute.carried(behind, ahead, left.velocity, left.dispersion, face.distance, upwind=upwind)

    def top(cell: Place, forcing: Place, face: Place) -> Values:
        entering: dict[str, Tensor] = {}
        for name, outside, end in zip(names, inlets, ends, strict=True):
            c, inside = attrgetter(outside)(forcing), attrgetter(f"dissolved{end}")(cell)
            if not given:
                entering[name] = cell.velocity * c
            elif fitted:
                entering[name] = solute.fitted(c, inside, cell.velocity, cell.dispersion, face.distance)
            else:
                entering[name] = solute.inflow(c, inside, cell, face)
        return {**entering, "inflow": torch.stack([*entering.values()]).sum()}

    def base(cell: Place, forcing: Place, face: Place) -> Values:
        out: dict[str, Tensor] = {}
        for name, flow, end in zip(names, leaving, ends, strict=True):
            carried = cell.velocity * attrgetter(f"dissolved{end}")(cell)
            out |= {name: -carried, flow: carried}
        return out

    def source(cell: Place, forcing: Place) -> Values:
        of = names if everything else tuple(f"dissolved{end}" for end in ends)
        amounts = tuple(attrgetter(name)(cell) for name in of)
        constant = tuple(attrgetter(rate)(cell) for rate in rates)
        changes = solute.decay_chain(amounts, constant)
        return {**dict(zip(names, changes, strict=True)), "decayed": constant[-1] * amounts[-1]}

    graph = column(depth, cells)
    unit, what = ("1", "concentration") if not sorbs else ("1", "dissolved and sorbed, per volume of water")
    return Model(
        name="SoluteColumn",
        graph=graph,
        states=tuple(State(name, unit, what, default=0.0) for name in names),
        parameters=(
            Parameter("velocity", "m d-1", "pore-water velocity", 0.1, 0.0),
            Parameter("dispersion", "m2 d-1", "dispersion coefficient", 0.01, 0.0, open_low=True),
            *(VOLUMES if sorbs else ()),
            *(_named(p, end) for end in ends for p in own),
            *(_parameter(rate, "d-1", "rate of decay", 0.0, typical=(0.0, 1.0)) for rate in rates if decays),
        ),
        forcings=tuple(
            ForcingVariable(name, "1", "concentration at the surface", default=None if k == 0 else 0.0)
            for k, name in enumerate(inlets)
        ),
        fluxes=(
            IntegratedFlux("inflow", "m", "solute entering", +1),
            *(IntegratedFlux(name, "m", "solute leaving", -1) for name in leaving),
            *((IntegratedFlux("decayed", "m", "solute that has decayed, the last of a chain", -1),) if decays else ()),
        ),
        outputs=tuple(Output(f"concentration{end}", "1", "concentration in the water") for end in ends),
        closure=closure,
        flux=flux,
        output=lambda cell: {f"concentration{end}": attrgetter(f"dissolved{end}")(cell) for end in ends},
        source=source if decays else None,
        boundaries=(
            Boundary("top", (0,), top, {"distance": graph.cell["thickness"][0] / 2}),
            Boundary("base", (cells - 1,), base),
        ),
        reference="Ogata and Banks 1961, US Geological Survey Professional Paper 411-A",
    )


def _named(parameter: Parameter, end: str) -> Parameter:
    return Parameter(**{**vars(parameter), "name": parameter.name + end})


def check_solutes(
    owner: str, choices: Sequence[tuple[str, object, Sequence[str]]], decay: str, species: object
) -> None:
    """Raises `ModelError` that begins with `owner`: a choice `(what, value, known ones)` is unknown, or no chain of species.

    Shared with `SoluteAquifer`.
    """
    for what, value, known in choices:
        if value not in known:
            raise ModelError(f"{owner}: {what}={value!r} is not one of {[*known]}")
    if not (isinstance(species, tuple) and all(isinstance(s, str) for s in species)):
        raise ModelError(f"{owner}: species must be a tuple of names, got {species!r}")
    if len(species) > 1 and decay == "none":
        raise ModelError(f"{owner}: members of a chain decay; say decay='dissolved' or 'total'")
