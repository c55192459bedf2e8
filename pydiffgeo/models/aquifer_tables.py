"""An aquifer from plain tables, as a configuration holds them: a grid, and conditions with what they have at each place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

import numpy as np
from typing_extensions import Unpack

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


class PlainChoices(TypedDict, total=False):
    """Choices of `Aquifer` as a configuration holds them."""

    top: float | Sequence[Sequence[float]]
    boundaries: Sequence[Mapping[str, Any]]
    mean: str
    upstream: bool
    vertical: str
    perched: bool
    face_flows: bool
    units: Sequence[str]


class SoluteChoices(PlainChoices, total=False):
    """Those of `SoluteAquifer`."""

    sorption: str
    decay: str
    dispersion: str
    species: Sequence[str]


def aquifer_of(
    grid: Mapping[str, Any], kind: str | Sequence[str] = "confined", **choices: Unpack[PlainChoices]
) -> Built:
    """`Aquifer` of plain values.

    Args:
        grid: `shape`, `spacing`, `layers` and `active` of `dg.raster`; a mask may be ones and zeros, or NaN.
        choices: as there. Of `boundaries` each has its `kind`, such as "Well", what that takes, and `cells`: as there, or a
            mapping for `grid_places.cells_at`, whose other columns are what the condition has at each place: parameters and
            constant forcings by the end of their names, such as `conductance`, `stage` or `rate`. A column `name` names
            the places.

    Raises:
        ModelError: something does not fit; names it.
    """
    return _built(Aquifer, grid, kind, {**choices}, PlainChoices.__annotations__)


def solute_aquifer_of(
    grid: Mapping[str, Any], kind: str | Sequence[str] = "confined", **choices: Unpack[SoluteChoices]
) -> Built:
    """`SoluteAquifer` of plain values; else as `aquifer_of`."""
    return _built(SoluteAquifer, grid, kind, {**choices}, SoluteChoices.__annotations__)


def _built(
    make: Callable[..., Model],
    grid: Mapping[str, Any],
    kind: str | Sequence[str],
    choices: dict[str, Any],
    names: Collection[str],
) -> Built:
    for key in choices:
        if key not in names:
            raise ModelError(f"{make.__name__}: no choice {key!r}; {_close(key, names)}known are {', '.join(names)}")
    graph = _grid(grid)
    made = [_condition(graph, dict(given), number) for number, given in enumerate(choices.pop("boundaries", ()))]
    # As lists in a file.
    for key, convert in (("top", _elevations), ("units", _words), ("species", _words)):
        if key in choices:
            choices[key] = convert(choices[key])
    model = make(graph, kind if isinstance(kind, str) else tuple(kind), boundaries=[c for c, _, _ in made], **choices)
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


def _elevations(top: float | Sequence[Sequence[float]]) -> float | Array:
    return top if isinstance(top, (int, float)) else np.asarray(top, np.float64)


def _words(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, given))


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


def _close(key: object, known: Collection[str]) -> str:
    close = difflib.get_close_matches(str(key), list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
