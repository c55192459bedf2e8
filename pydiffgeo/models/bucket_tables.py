"""A basin model from plain tables of stores, fluxes and parameters, as a configuration holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ..errors import ModelError
from ..model import ForcingVariable, Model, Parameter
from .bucket_kit import RAIN_AND_DEMAND, Flux, Store
from .bucket_kit import buckets as composed
from .formulas import formula

Thing = TypeVar("Thing")
Row = Mapping[str, object]


def buckets_of(
    name: str,
    stores: Sequence[Row],
    fluxes: Sequence[Row],
    parameters: Sequence[Row] = (),
    forcings: Sequence[Row] | None = None,
    reference: str = "",
) -> Model:
    """`buckets` of plain values: the keys of each table are the attributes of `Store`, `Flux`, `Parameter`, `ForcingVariable`.

    The `rate` of a flux is a formula (mm/d) of stores, parameters, forcings and the fluxes before it.

    Raises:
        ModelError: a table lacks something, or a formula is none; names it.
    """
    held = [_made(Store, row, f"{name}: store {k + 1}") for k, row in enumerate(stores)]
    known = [_made(_parameter, row, f"{name}: parameter {k + 1}") for k, row in enumerate(parameters)]
    driven: tuple[ForcingVariable, ...] = RAIN_AND_DEMAND
    if forcings is not None:
        driven = tuple(_made(ForcingVariable, row, f"{name}: forcing {k + 1}") for k, row in enumerate(forcings))
    seen = [s.name for s in held] + [p.name for p in known]
    moved = list[Flux]()
    for k, row in enumerate(fluxes):
        what = f"{name}: flux {row.get('name', k + 1)!r}"
        rate = formula(row.get("rate"), seen, [f.name for f in driven], f"{what}: rate")
        moved.append(_made(Flux, {**row, "rate": rate}, what))
        seen.append(moved[-1].name)
    return composed(name, held, moved, known, driven, reference=reference)


def _parameter(name: str, unit: str = "1", description: str = "", **further: object) -> Parameter:
    if isinstance(typical := further.get("typical"), list):
        further["typical"] = tuple(typical)
    return Parameter(name, unit, description, **further)  # type: ignore[arg-type]


def _made(make: Callable[..., Thing], row: Row, what: str) -> Thing:
    if not isinstance(row, Mapping):
        raise ModelError(f"{what} must be a table, got {row!r}")
    try:
        return make(**row)
    except TypeError as error:
        raise ModelError(f"{what}: {error}") from error
