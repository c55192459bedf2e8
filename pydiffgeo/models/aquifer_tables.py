"""An aquifer from plain tables, as a configuration holds them: a grid, and conditions with what they have at each place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import ModelError
from ..model import Graph, Model, raster
from ..processes.groundwater.conditions import (
    Condition,
    Drain,
    Evapotranspiration,
    GeneralHead,
    GivenHead,
    Recharge,
    River,
    Well,
)
from .aquifer import Aquifer
from .grid_places import PLACE, cells_at, mask_of
from .solute_aquifer import SoluteAquifer

CONDITIONS: Mapping[str, Callable[..., Condition]] = {
    kind.__name__: kind for kind in (GivenHead, GeneralHead, River, Drain, Well, Recharge, Evapotranspiration)
}
GRID = ("shape", "spacing", "layers", "active")
# Columns of a table of places that are labels.
LABELS = ("name", "id", "comment")


@dataclass(frozen=True, eq=False)
class Built:
    """A model, and the parameters and constant forcings that came with the tables it was built from.

    Attributes:
        places: name of a place -> number of its cell, of tables that name them.
    """

    model: Model
    parameters: Mapping[str, Array] = field(default_factory=dict)
    forcing: Mapping[str, Array] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)


def aquifer_of(
    grid: Mapping[str, Any],
    kind: str | Sequence[str] = "confined",
    *,
    top: float | Sequence[Sequence[float]] = 0.0,
    boundaries: Sequence[Mapping[str, Any]] = (),
    mean: str = "harmonic",
    upstream: bool = True,
    vertical: str = "constant",
    perched: bool = False,
    face_flows: bool = False,
    units: Sequence[str] = ("m", "d"),
) -> Built:
    """`Aquifer` of plain values.

    Args:
        grid: `shape`, `spacing`, `layers` and `active` of `dg.raster`; a mask may be ones and zeros, or NaN.
        boundaries: each with its `kind`, such as "Well", what that takes, and `cells`: as there, or a mapping for
            `grid_places.cells_at`, whose other columns are what the condition has at each place: parameters and constant
            forcings by the end of their names, such as `conductance`, `stage` or `rate`. A column `name` names the places.

    Raises:
        ModelError: something does not fit; names it.
    """
    choices = {"mean": mean, "upstream": upstream, "vertical": vertical, "perched": perched, "face_flows": face_flows}
    return _built(Aquifer, grid, kind, top, boundaries, units, choices)


def solute_aquifer_of(
    grid: Mapping[str, Any],
    kind: str | Sequence[str] = "confined",
    *,
    top: float | Sequence[Sequence[float]] = 0.0,
    boundaries: Sequence[Mapping[str, Any]] = (),
    sorption: str = "none",
    decay: str = "none",
    species: Sequence[str] = (),
    mean: str = "harmonic",
    upstream: bool = True,
    vertical: str = "constant",
    perched: bool = False,
    face_flows: bool = False,
    units: Sequence[str] = ("m", "d"),
) -> Built:
    """`SoluteAquifer` of plain values; else as `aquifer_of`."""
    choices = {"mean": mean, "upstream": upstream, "vertical": vertical, "perched": perched, "face_flows": face_flows}
    carried = {"sorption": sorption, "decay": decay, "species": tuple(map(str, species))}
    return _built(SoluteAquifer, grid, kind, top, boundaries, units, {**choices, **carried})


def _built(
    make: Callable[..., Model],
    grid: Mapping[str, Any],
    kind: str | Sequence[str],
    top: float | Sequence[Sequence[float]],
    boundaries: Sequence[Mapping[str, Any]],
    units: Sequence[str],
    choices: Mapping[str, object],
) -> Built:
    graph = _grid(grid)
    made = [_condition(graph, dict(given), number) for number, given in enumerate(boundaries)]
    model = make(
        graph,
        kind if isinstance(kind, str) else tuple(kind),
        top=top if np.ndim(top) == 0 else np.asarray(top, np.float64),
        boundaries=[condition for condition, _, _ in made],
        units=(str(units[0]), str(units[1])),
        **choices,
    )
    known = {p.name for p in model.parameters}, {f.name for f in model.forcings}
    parameters, forcing, places = dict[str, Array](), dict[str, Array](), dict[str, int]()
    for condition, columns, named in made:
        places |= named
        for name, values in columns.items():
            key = f"{condition.name}_{name}"
            if key not in known[0] | known[1]:
                own = [k for k in sorted(known[0] | known[1]) if k.startswith(f"{condition.name}_")]
                raise ModelError(f"Aquifer: {condition.name!r} has no {name!r}; it has {own}")
            (parameters if key in known[0] else forcing)[key] = values
    return Built(model, parameters, forcing, places)


def _grid(given: Mapping[str, Any]) -> Graph:
    if not isinstance(given, Mapping):
        raise ModelError(f"Aquifer: grid must be a table with shape, spacing, layers and active, got {given!r}")
    for key in given:
        if key not in GRID:
            raise ModelError(f"Aquifer: grid has no {key!r}; {_close(key, GRID)}known are {', '.join(GRID)}")
    if "shape" not in given:
        raise ModelError("Aquifer: grid needs a shape, [rows, columns] or [layers, rows, columns]")
    active = None if "active" not in given else mask_of(given["active"], "Aquifer: active")
    return raster(given["shape"], given.get("spacing", (1.0, 1.0)), active=active, layers=given.get("layers"))


def _condition(graph: Graph, given: dict[str, Any], number: int) -> tuple[Condition, dict[str, Array], dict[str, int]]:
    kind = given.pop("kind", None)
    what = f"Aquifer: boundary {number + 1}"
    if kind not in CONDITIONS:
        raise ModelError(f"{what} has the kind {kind!r}; {_close(kind, CONDITIONS)}known are {', '.join(CONDITIONS)}")
    make = CONDITIONS[kind]
    known = [f.name for f in fields(make)]  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            raise ModelError(f"{what}, a {kind}, has no {key!r}; {_close(key, known)}known are {', '.join(known)}")
    if "segments" in given:
        given["segments"] = tuple(map(tuple, given["segments"]))
    columns, named = dict[str, Array](), dict[str, int]()
    if isinstance(cells := given.get("cells"), Mapping):
        at = cells_at(graph, cells, f"{what}, a {kind}")
        given["cells"] = at
        for name, values in cells.items():
            if name == "name":
                named = {str(label): int(cell) for label, cell in zip(values, at, strict=True)}
            elif name not in (*PLACE, *LABELS):
                columns[name] = np.asarray(values, np.float64)
    return make(**given), columns, named


def _close(key: object, known: Sequence[str] | Mapping[str, object]) -> str:
    close = difflib.get_close_matches(str(key), list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
