"""Every problem, from what `catalogue.toml` says of it, the function that solves it, and numbers that the code has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from typing_extensions import NotRequired, TypedDict

from . import (
    aquifers,
    basin_models,
    columns,
    infiltration,
    plumes,
    pollution,
    rainfall_runoff,
    rivers,
    soil_exact,
    soil_losses,
    soil_weather,
    stiff,
    tidal,
    transport,
    water_tables,
    wells,
)
from .problem import Bench, Outcome, Problem, Quantity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Number = float | str
# What solves a problem, and what is given.
Entry = tuple[Callable[[Bench], Outcome], tuple[Quantity, ...]]


class Text(TypedDict):
    """What the table says of a problem, as `Problem` has it; a `reason` may be one of those with a name."""

    title: str
    source: str
    compared: str
    given: NotRequired[Mapping[str, tuple[Number, str]]]
    reason: NotRequired[str]
    sensitive: NotRequired[str]


class Catalogue(TypedDict):
    """The whole table."""

    units: Mapping[str, str]
    reasons: Mapping[str, str]
    problems: Mapping[str, Text]


CATALOGUE = cast(Catalogue, tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")))


def _quantity(name: str, value: Number, unit: str) -> Quantity:
    return Quantity(name, value if isinstance(value, str) else f"{value:.10g}", unit)


def _given(numbers: Mapping[str, Number]) -> tuple[Quantity, ...]:
    return tuple(_quantity(name, value, CATALOGUE["units"][name]) for name, value in numbers.items())


def _column(case: infiltration.Infiltration, **more: Number) -> Entry:
    return case.run, _given({**case.parameters, **case.forcing, **more})


def _ponded(case: infiltration.Infiltration) -> Entry:
    return _column(case, initial_head="depth below the water table", end=case.times[-1])


def _system(system: stiff.System, run: Callable[[Bench], Outcome] | None = None) -> Entry:
    coefficients = (Quantity(name, f"{value:g}", "1") for name, value in system.coefficients.items())
    return run or system.run, (*coefficients, Quantity("end", f"{system.end:g}", system.time_unit))


SHARP: dict[str, Number] = {
    "K_s": soil_exact.GA_K,
    "drop_of_water_content": soil_exact.GA_SPAN,
    "head_of_the_drop": soil_exact.GA_HEAD,
    "exponents": f"{soil_exact.GA_STEEP:g}, {3 * soil_exact.GA_STEEP:g}",
}
DRYING = {"depth_of_water_table": soil_losses.WATER_TABLE, "saturation_before": soil_losses.WET}
ROOTS = {
    "rain": soil_losses.RAIN,
    "transpiration": soil_losses.TRANSPIRATION,
    "root_depth": soil_losses.ROOT_DEPTH,
}
RUNS: dict[str, Entry] = {
    "celia-1": _column(infiltration.CELIA_1),
    "celia-2": _column(infiltration.CELIA_2),
    "haverkamp-sand": _column(infiltration.HAVERKAMP),
    "miller-sand": _ponded(infiltration.MILLER["sand"]),
    "miller-loam": _ponded(infiltration.MILLER["loam"]),
    "miller-clay-loam": _ponded(infiltration.MILLER["clay loam"]),
    "srivastava-yeh": (soil_exact.srivastava_yeh, ()),
    "linear-soil": (soil_exact.linear_soil, _given(soil_exact.LINEAR)),
    "layered-steady": (soil_exact.layered_steady, ()),
    "hydrostatic": (soil_exact.hydrostatic, _given(soil_exact.LOAM)),
    "philip-sorptivity": (soil_exact.philip_sorptivity, _given(soil_exact.LOAM)),
    "green-ampt": (soil_exact.green_ampt, _given(SHARP)),
    "ponding-storm": (soil_weather.ponding_storm, _given(soil_weather.LOAM)),
    "ten-years": (soil_weather.ten_years, _given(soil_weather.TEN_YEARS)),
    "bare-soil-evaporation": (soil_losses.bare_soil_evaporation, _given(soil_losses.GARDNER | DRYING)),
    "root-uptake": (soil_losses.root_uptake, _given(soil_losses.ROOTED | ROOTS)),
    "diffusion-raster": (transport.diffusion_raster, ()),
    "heat-sine": (transport.heat_sine, _given(transport.SOIL)),
    "heat-periodic": (transport.heat_periodic, _given(transport.SOIL)),
    "ogata-banks": (transport.advection_dispersion, ()),
    "decay-chain": (columns.decay_chain, _given(columns.CHAIN)),
    "stallman": (columns.stallman, _given(columns.SINKING)),
    "lunardini": (columns.lunardini, _given(columns.ZONES)),
    "tracy": (columns.tracy, _given(columns.SQUARE)),
    "c3-leaf": (columns.c3_leaf, _given(columns.LEAF)),
    "muskingum": (rivers.muskingum, _given(rivers.MUSKINGUM)),
    "kinematic-plane": (rivers.kinematic_plane, _given(rivers.PLANE | rivers.RAIN)),
    "hayami": (rivers.hayami, _given(rivers.HAYAMI | rivers.WAVE)),
    "bad-river": (rivers.bad_river, _given(rivers.RUNOFF)),
    "stream-temperature": (rivers.stream_temperature, _given(rivers.STREAM)),
    "theis": (wells.theis, ()),
    "hantush": (wells.hantush, ()),
    "neuman": (wells.neuman, ()),
    "thiem": (wells.thiem, ()),
    "stream-depletion": (water_tables.stream_depletion, ()),
    "dupuit": (water_tables.dupuit, ()),
    "barenblatt": (water_tables.barenblatt, ()),
    "boussinesq": (water_tables.boussinesq, ()),
    "tide": (water_tables.tide, ()),
    "aquifer-front": (plumes.front, _given(plumes.FRONT)),
    "aquifer-cloud": (plumes.cloud, _given(plumes.CLOUD)),
    "modflow-twri": (aquifers.twri, ()),
    "modflow-freyberg": (aquifers.freyberg, ()),
    "modflow-anisotropy": (aquifers.anisotropy, ()),
    "modflow-zaidel": (aquifers.zaidel, ()),
    "modflow-adjoint": (aquifers.adjoint_11x11, ()),
    "modflow-tidal": (tidal.tidal, ()),
    "linear-reservoir": (basin_models.linear_reservoir, ()),
    "nash-cascade": (basin_models.nash_cascade, ()),
    "exphydro": (basin_models.exphydro, _given(basin_models.BASIN)),
    "exphydro-peer": (basin_models.exphydro_peer, ()),
    "hbv": (rainfall_runoff.HBV_BASIN.run, _given(rainfall_runoff.SNOWY)),
    "hbv-ten-days": (rainfall_runoff.hbv_ten_days, ()),
    "gr4j": (rainfall_runoff.GR4J_BASIN.run, _given(rainfall_runoff.RAINY)),
    "robertson": _system(stiff.ROBERTSON, stiff.robertson),
    "van-der-pol": _system(stiff.VAN_DER_POL),
    "hires": _system(stiff.HIRES),
    "orego": _system(stiff.OREGO),
    "pollu": _system(pollution.POLLU),
}


def _problem(name: str, run: Callable[[Bench], Outcome], numbers: tuple[Quantity, ...]) -> Problem:
    text = CATALOGUE["problems"][name]
    more = (_quantity(key, value, unit) for key, (value, unit) in text.get("given", {}).items())
    reason, sensitive = text.get("reason", "grid"), text.get("sensitive", "K_s")
    why = CATALOGUE["reasons"].get(reason, reason)
    return Problem(name, text["title"], text["source"], (*numbers, *more), text["compared"], why, sensitive, run)


PROBLEMS = {name: _problem(name, *entry) for name, entry in RUNS.items()}
