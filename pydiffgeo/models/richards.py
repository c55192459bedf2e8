"""Vertical flow of water in variably saturated soil: Richards' equation in moisture form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from numpy.typing import ArrayLike

from ..checks import is_number
from ..errors import ModelError
from ..model import ForcingVariable, IntegratedFlux, Limit, Model, Output, Place, State, Values, column
from ..model.remember import remembered
from ..processes.soil import surface
from ..processes.soil.drainage import BOTTOMS
from ..processes.soil.faces import MEANS
from ..processes.soil.retention import CLOSURES, POROSITY, Closure
from ..processes.soil.roots import STRESSES, with_roots

Kind = TypeVar("Kind")


@remembered
def RichardsColumn(
    depth: float = 1.0,
    cells: int = 100,
    *,
    top: Literal["flux", "head", "atmosphere"] = "flux",
    bottom: Literal["free_drainage", "head", "flux", "no_flow", "seepage_face"] = "free_drainage",
    closure: str | Closure = "van_genuchten",
    face_conductivity: Literal["arithmetic", "geometric", "upstream", "harmonic", "cell_arithmetic"] = "arithmetic",
    thickness: ArrayLike | None = None,
    root_depth: float | None = None,
    root_stress: Literal["s_shape", "feddes"] = "s_shape",
    max_ponding: float = 0.0,
    air_dry: float = -150.0,
    max_head: float | None = None,
) -> Model:
    """A soil column; the state is the volumetric water content, augmented by elastic storage.

    Args:
        depth: depth of the column (m).
        cells: number of cells, the first at the surface.
        top: what is given at the surface: the flux into the soil (forcing `flux`, m/d), the head
            (forcing `head`, m), or the weather (forcings `precipitation`, `potential_evaporation`).
        bottom: unit gradient, a head (`bottom_head`, m), a downward flux (`bottom_flux`, m/d), none, or a
            seepage face, the open base of a lysimeter: no flow until it is saturated, then head zero.
        closure: "van_genuchten", "gardner", "haverkamp", "brooks_corey", or a `Closure`.
        face_conductivity: how two cells conduct together. "arithmetic", "geometric" and "upstream" say which mean of
            the relative conductivities multiplies the harmonic mean of the saturated ones, weighted by thickness:
            Darcy's law across saturated layers, whatever the mean, and the plain mean within a layer. "harmonic" is
            the weighted harmonic mean of the conductivities themselves, "cell_arithmetic" their arithmetic mean, as
            in codes that know no layers: fluxes through thin layers are then too large by far. docs/soil.md
            compares the choices.
        thickness: cell thicknesses `(cells,)`; uniform where not given.
        root_depth: e-folding depth (m) of root density; switches on root water uptake, driven by
            the forcing `potential_transpiration` (m/d) and limited by `root_stress`.
        root_stress: "s_shape" of van Genuchten 1987, by dryness alone, with the parameters `h_50` and `p_50`; or the
            piecewise linear one of Feddes et al. 1978, by wetness as well, with the heads `h_1` to `h_4`.
        max_ponding: depth of water (m) the surface holds before it runs off (top="atmosphere").
        air_dry: head (m) of air-dry soil, at which the surface stops giving water to the air (Feddes et al. 1974).
        max_head: pressure head (m) beyond which water contents are taken for mistakes; twice the depth of the
            column and ten metres of water where not given. Water contents must lie between `theta_r` and
            `theta_s`, and above that by no more than the elastic storage `S_s` times this head, at the start and
            after every step of a solve; so must a given flux at the surface between what the soil can take when
            wet and give when the surface is air-dry.

    Raises:
        ModelError: an unknown choice, or a geometry that makes no sense.

    Source: Richards 1931, Physics 1; mass-conservative moisture form as in Celia et al. 1990,
    Water Resour. Res. 26.
    """
    soil = closure if isinstance(closure, Closure) else _choice("closure", closure, CLOSURES)
    if not (is_number(max_ponding) and max_ponding >= 0):
        raise ModelError(f"RichardsColumn: max_ponding must be zero or positive, got {max_ponding!r}")
    if not (is_number(air_dry) and air_dry < 0):
        raise ModelError(f"RichardsColumn: air_dry must be a negative head, got {air_dry!r}")
    if max_head is not None and not (is_number(max_head) and max_head > 0):
        raise ModelError(f"RichardsColumn: max_head must be a positive head, got {max_head!r}")
    mean = _choice("face_conductivity", face_conductivity, MEANS)
    stress = _choice("root_stress", root_stress, STRESSES)
    graph = with_roots(column(depth, cells, thickness), root_depth)
    upper = _choice("top", top, surface.TOPS)(soil, graph, surface.Surface(max_ponding, air_dry))
    lower = _choice("bottom", bottom, BOTTOMS)(soil, graph, air_dry)

    def closure_values(cell: Place) -> Values:
        head, conductivity = soil.head_and_conductivity(cell.theta, cell)
        return {"head": head, "K": conductivity}

    def darcy(left: Place, right: Place, face: Place) -> Values:
        # Buckingham-Darcy flux, positive downwards (Buckingham 1907).
        gradient = (left.head - right.head) / face.distance + 1.0
        return {"theta": mean(left, right, gradient) * gradient}

    def initial(given: Values, cell: Place) -> Values:
        states = {k: v for k, v in given.items() if k != "head"}
        if "head" in given:
            states["theta"] = soil.water_content(given["head"], cell)
        return states

    names = frozenset(p.name for p in soil.parameters)
    highest = 2 * depth + 10.0 if max_head is None else max_head
    roots = root_depth is not None
    transpiration = IntegratedFlux("transpiration", "m", "root water uptake", -1)
    demand = ForcingVariable("potential_transpiration", "m d-1", "transpiration of unstressed roots", low=0.0)
    return Model(
        name="RichardsColumn",
        graph=graph,
        states=(
            State(
                "theta",
                "1",
                "volumetric water content with elastic storage",
                low=0.0,
                error_control=("head", 0.1 * depth / cells),
            ),
        ),
        parameters=soil.parameters + (stress.parameters if roots else ()),
        forcings=upper.forcings + lower.forcings + ((demand,) if roots else ()),
        fluxes=upper.fluxes + lower.fluxes + ((transpiration,) if roots else ()),
        outputs=(
            Output("head", "m", "pressure head"),
            Output("hydraulic_conductivity", "m d-1", "unsaturated hydraulic conductivity"),
        ),
        closure=closure_values,
        source=stress.uptake if roots else None,
        flux=darcy,
        output=lambda cell: {"head": cell.head, "hydraulic_conductivity": cell.K},
        boundaries=upper.boundaries + lower.boundaries,
        constraints=((POROSITY,) if {"theta_r", "theta_s"} <= names else ()) + (stress.constraints if roots else ()),
        limits=(_water_content(names, highest), *upper.limits, *lower.limits),
        initial=initial,
        initial_names=("head",),
        reference=f"Richards 1931; {soil.source}",
    )


def _water_content(names: frozenset[str], max_head: float) -> Limit:
    """Between the residual and the saturated water content, with elastic storage up to `max_head`.

    A closure without such parameters sets no bounds.
    """

    def range_of(cell: Place) -> Values:
        low = {"low": cell.theta_r} if "theta_r" in names else {}
        high = {"high": cell.theta_s + cell.S_s * max_head} if {"theta_s", "S_s"} <= names else {}
        return {"value": cell.theta, **low, **high}

    remedy = f"above theta_s water is stored under a positive head, up to max_head={max_head:g}"
    return Limit("theta", "1", range_of, remedy=remedy)


def _choice(what: str, value: object, table: Mapping[str, Kind]) -> Kind:
    """The entry of a table that is called `value`; raises `ModelError` where none is."""
    if not isinstance(value, str) or value not in table:
        raise ModelError(f"RichardsColumn: {what}={value!r} is not one of {sorted(table)}")
    return table[value]
