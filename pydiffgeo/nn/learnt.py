"""What a network is asked to learn: parameters and initial values, their ranges, and a reference period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..checks import is_number, is_pair, is_whole
from ..days import day
from ..errors import BoundsError, DtypeError, InputError, ShapeError, UnknownNameError
from ..model import Model
from ..transforms import Bounded, bounded

Range = tuple[float, float]


def check_mappings(bounds: Any, fixed: Any, initial: Any, start: Any) -> None:
    """Raises `InputError` unless they map names to ranges or to values, or are None."""
    for what, mapping in (("bounds", bounds), ("fixed", fixed), ("initial", initial), ("start", start)):
        if mapping is not None and not isinstance(mapping, Mapping):
            raise InputError(f"{what} must be a mapping from names to values, got {mapping!r}")
    for name, ends in (*(bounds or {}).items(), *(initial or {}).items()):
        if not is_pair(ends):
            raise BoundsError(f"the range of {name!r} must be two finite numbers, got {ends!r}")
    for name, value in (*(fixed or {}).items(), *(start or {}).items()):
        if not is_number(value):
            raise BoundsError(f"the value of {name!r} must be a finite number, got {value!r}")


def check_widths(hidden: Any) -> None:
    """Raises `InputError` unless they are widths of layers."""
    if isinstance(hidden, (str, bytes)) or not isinstance(hidden, Sequence) or not all(is_whole(h, 1) for h in hidden):
        raise InputError(f"hidden must be the widths of layers, whole numbers of 1 or more, got {hidden!r}")


def check_tensor(what: str, names: Sequence[str], given: Any, axes: tuple[str, ...]) -> None:
    """Raises `InputError` (or a subclass) unless it holds numbers along the axes, and last one of each name."""
    if not isinstance(given, torch.Tensor) or given.is_complex():
        raise DtypeError(f"{what} must be a tensor of numbers, got {type(given).__name__}")
    if given.ndim != len(axes) + 1 or given.shape[-1] != len(names):
        shape = ", ".join((*axes, str(len(names))))
        raise ShapeError(f"{what} must be ({shape}), for {list(names)}; got {tuple(given.shape)}")
    if torch.isinf(given).any():
        at = int(torch.isinf(given).reshape(-1, len(names)).any(0).nonzero()[0])
        raise BoundsError(f"{what}: {names[at]!r} must be finite, or NaN where unknown")


def period(days: Any) -> list[str]:
    """First and last day as text."""
    if not isinstance(days, (tuple, list)) or len(days) != 2:
        raise InputError(f"reference must be the first and the last day of a period, got {days!r}")
    first, last = (day(f"reference: {which}", d) for which, d in zip(("first", "last"), days, strict=True))
    if first > last:
        raise InputError(f"the reference period ends on {last}, before it begins on {first}")
    return [str(first), str(last)]


def learnt_items(
    model: Model,
    bounds: Mapping[str, Range],
    fixed: Mapping[str, float],
    initial: Mapping[str, Range],
    varying: Sequence[str],
) -> tuple[Bounded, ...]:
    """What is learnt, in order: parameters, then initial values."""
    parameters = {p.name: p for p in model.parameters}
    starts = [*(s.name for s in model.all_states), *model.initial_names]
    for what, given, known in (("bounds", bounds, parameters), ("fixed", fixed, parameters), ("initial", initial, starts),
                               ("varying", varying, parameters)):  # fmt: skip
        for name in given:
            if name not in known:
                raise UnknownNameError(f"{what}: {model.name} has no {name!r}; it has {[*known]}")
    for name, (low, high) in initial.items():
        state = {s.name: s for s in model.all_states}.get(name)
        if state is not None and (low < state.low or high > state.high):
            raise BoundsError(
                f"the range of initial {name!r} must lie in [{state.low:g}, {state.high:g}], got ({low}, {high})"
            )
    for name in (*bounds, *varying):
        if name in fixed:
            raise InputError(f"{name!r} is fixed and learnt")
    for name, value in fixed.items():
        if not parameters[name].inside(torch.tensor(float(value), dtype=torch.float64)):
            raise BoundsError(f"{name!r} must lie in {parameters[name].interval}, got {value}")
    learnt = [bounded(p, tuple(bounds[n]) if n in bounds else None) for n, p in parameters.items() if n not in fixed]  # type: ignore[arg-type]
    return (*learnt, *(Bounded(n, float(low), float(high)) for n, (low, high) in initial.items()))
