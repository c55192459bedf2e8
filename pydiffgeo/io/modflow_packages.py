"""Stress packages of MODFLOW 6, as flopy reads them, as boundaries of an aquifer with parameters and forcings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import DataError
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

Place = tuple[int, ...]
# A package of flopy, which has no types.
Package = Any
# Wells whose package does not reduce them: they lose their rate with the last hundredth of the water.
UNREDUCED = 0.01


@dataclass(frozen=True, eq=False)
class Stress:
    """What a package makes of a model.

    Attributes:
        parameters: name -> `(places,)`. forcing: name -> `(periods, places)`.
    """

    condition: Condition
    parameters: Mapping[str, Array]
    forcing: Mapping[str, Array]


@dataclass(frozen=True)
class Columns:
    """What the columns of a list are: parameters do not change in time, forcings do.

    `absent` is a forcing that stands for a place that is not in the list of a period; None where there is none.
    """

    make: Callable[[Package, Sequence[Place], str], Condition]
    parameters: Mapping[str, str]
    forcings: Mapping[str, str]
    absent: float | None = None


def _well(package: Package, cells: Sequence[Place], name: str) -> Condition:
    share = package.auto_flow_reduce.get_data()
    return Well(cells, name, reduce_below=UNREDUCED if share is None else float(share))


LISTS: Mapping[str, Columns] = {
    "chd": Columns(lambda package, cells, name: GivenHead(cells, name), {}, {"head": "head"}),
    "ghb": Columns(lambda package, cells, name: GeneralHead(cells, name), {"conductance": "cond"}, {"head": "bhead"}),
    "riv": Columns(
        lambda package, cells, name: River(cells, name), {"conductance": "cond", "bed": "rbot"}, {"stage": "stage"}
    ),
    "drn": Columns(lambda package, cells, name: Drain(cells, name), {"conductance": "cond", "elevation": "elev"}, {}),
    "wel": Columns(_well, {}, {"rate": "q"}, 0.0),
}
# Options that change what a package does, and that are not there.
UNKNOWN = ("auxmultname", "auxdepthname", "mover", "surf_rate_specified", "flow_reduction_length")


def stress_of(package: Package, kind: str, periods: int, fixed: bool) -> Stress:
    """What a package of a kind makes of an aquifer; `fixed` keeps recharge in its cell.

    Raises:
        DataError: it uses what is not supported; names it.
    """
    name = re.sub(r"\W", "_", package.package_name)
    name = name if name.isidentifier() else f"{kind}_{name}"
    for option in UNKNOWN:
        given = getattr(package, option, None)
        if given is not None and given.get_data() not in (None, False):
            raise DataError(f"package {package.package_name!r}: option {option} is not supported")
    if kind in LISTS:
        return _list(package, LISTS[kind], name, periods)
    stays = fixed or bool(package.fixed_cell.get_data())
    if kind in ("rcha", "evta"):
        return _arrays(package, kind, name, periods, stays)
    return _recharge(package, name, periods, stays) if kind == "rch" else _evapotranspiration(package, name, periods)


def _rows(package: Package, columns: Sequence[str], periods: int) -> tuple[list[Place], dict[str, Array]]:
    """Places, and values of columns `(periods, places)`, NaN where a place is not in the list of a period."""
    blocks = package.stress_period_data.get_data() or {}
    order: dict[tuple[Place, int], int] = {}
    tables, current = [], dict[tuple[Place, int], Any]()
    for period in range(periods):
        # A period without a block of its own goes on with the last; an empty block ends all.
        if period in blocks:
            current, count = {}, dict[Place, int]()
            for row in blocks[period] if blocks[period] is not None else ():
                place = tuple(int(i) for i in row["cellid"])
                key = place, count.get(place, 0)
                count[place] = key[1] + 1
                current[key] = row
                order.setdefault(key, len(order))
        tables.append(current)
    values = {column: np.full((periods, len(order)), np.nan) for column in columns}
    for period, table in enumerate(tables):
        for key, row in table.items():
            for column in columns:
                if isinstance(row[column], str):
                    raise DataError(
                        f"package {package.package_name!r}: {column} of cell {key[0]} is the series {row[column]!r}; give "
                        "it as a TimeSeries of the forcing, series files are not supported"
                    )
                values[column][period, order[key]] = row[column]
    if not order:
        raise DataError(f"package {package.package_name!r} has no cells in any period")
    return [place for place, _ in order], values


def _constant(package: Package, column: str, values: Array, places: Sequence[Place]) -> Array:
    """The one value of each place over time."""
    first: Array = values[np.argmax(np.isfinite(values), axis=0), np.arange(values.shape[1])]
    changes = np.isfinite(values) & (values != first)
    if changes.any():
        place = places[int(np.argmax(changes.any(0)))]
        raise DataError(
            f"package {package.package_name!r}: {column} of cell {place} changes in time; it is a parameter, which does not"
        )
    return first


def _everywhere(package: Package, column: str, values: Array, places: Sequence[Place], absent: float | None) -> Array:
    """Values of all periods; `absent` where there are none."""
    if np.isnan(values).any() and absent is None:
        period, place = (int(i) for i in np.argwhere(np.isnan(values))[0])
        raise DataError(
            f"package {package.package_name!r}: cell {places[place]} has no {column} in period {period + 1}; boundaries "
            "that come and go are not supported"
        )
    return values if absent is None else np.where(np.isnan(values), absent, values)


def _list(package: Package, columns: Columns, name: str, periods: int) -> Stress:
    needed = [*columns.parameters.values(), *columns.forcings.values()]
    places, values = _rows(package, needed, periods)
    for column in columns.parameters.values():
        # Of all places in all periods, or it would be there when it should not.
        _everywhere(package, column, values[column], places, None)
    return Stress(
        columns.make(package, places, name),
        {f"{name}_{k}": _constant(package, v, values[v], places) for k, v in columns.parameters.items()},
        {
            f"{name}_{k}": _everywhere(package, v, values[v], places, columns.absent)
            for k, v in columns.forcings.items()
        },
    )


def _recharge(package: Package, name: str, periods: int, stays: bool) -> Stress:
    places, values = _rows(package, ["recharge"], periods)
    rate = _everywhere(package, "recharge", values["recharge"], places, 0.0)
    return Stress(Recharge(places, name, each=True, highest_wet=not stays), {}, {f"{name}_rate": rate})


def _evapotranspiration(package: Package, name: str, periods: int) -> Stress:
    count = int(package.nseg.get_data() or 1) - 1
    bends = [f"{what}{k + 1}" for what in ("pxdp", "petm") for k in range(count)]
    places, values = _rows(package, ["surface", "rate", "depth", *bends], periods)
    at = {bend: _constant(package, bend, values[bend], places) for bend in bends}
    for bend, each in at.items():
        if (each != each[0]).any():
            raise DataError(f"package {package.package_name!r}: {bend} differs between cells, which is not supported")
    segments = tuple((float(at[f"pxdp{k + 1}"][0]), float(at[f"petm{k + 1}"][0])) for k in range(count))
    return Stress(
        Evapotranspiration(places, name, each=True, segments=segments),
        {f"{name}_{what}": _constant(package, what, values[what], places) for what in ("surface", "depth")},
        {f"{name}_rate": _everywhere(package, "rate", values["rate"], places, 0.0)},
    )


def _arrays(package: Package, kind: str, name: str, periods: int, stays: bool) -> Stress:
    """Recharge or evapotranspiration of the uppermost cells, given as fields."""
    layer = package.irch if kind == "rcha" else package.ievt
    if layer.get_data():
        raise DataError(f"package {package.package_name!r}: a field of layers (irch, ievt) is not supported")

    def fields(data: Any, what: str) -> Array:
        last, found = None, list[Any]()
        for period in range(periods):
            given = data.get_data(period)
            last = last if given is None else given
            if last is None:
                raise DataError(f"package {package.package_name!r} has no {what} in period {period + 1}")
            found.append(np.squeeze(np.asarray(last, np.float64)))
        return np.stack(found)

    if kind == "rcha":
        recharge = Recharge(None, name, each=True, highest_wet=not stays)
        return Stress(recharge, {}, {f"{name}_rate": fields(package.recharge, "recharge")})
    values = {what: fields(getattr(package, what), what) for what in ("surface", "depth")}
    for what, each in values.items():
        if (each != each[0]).any():
            raise DataError(
                f"package {package.package_name!r}: {what} changes in time; it is a parameter, which does not"
            )
    return Stress(
        Evapotranspiration(None, name, each=True),
        {f"{name}_{what}": each[0] for what, each in values.items()},
        {f"{name}_rate": fields(package.rate, "rate")},
    )
