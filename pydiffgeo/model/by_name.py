"""What local functions of models with many like stores read by names that are not written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import cast

from torch import Tensor

from .variables import Place


def values_of(place: Place, names: Sequence[str]) -> list[Tensor]:
    """What a place shows by these names, in their order.

    Raises:
        TypeError: it is no namespace that a local function was given.
    """
    if not isinstance(place, SimpleNamespace):
        raise TypeError(f"values_of needs what a local function is given, got {type(place).__name__}")
    return [getattr(place, name) for name in names]


def with_values(place: Place, values: Mapping[str, Tensor]) -> Place:
    """The place with further names: what was computed of it, for those that read it next.

    Raises:
        TypeError: it is no namespace that a local function was given.
    """
    if not isinstance(place, SimpleNamespace):
        raise TypeError(f"with_values needs what a local function is given, got {type(place).__name__}")
    return cast(Place, SimpleNamespace(**{**vars(place), **values}))
