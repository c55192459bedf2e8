"""What a network is asked to learn: parameters and initial values, their ranges, and a reference period."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from ..checks import is_number, is_pair, is_whole
from ..days import day
from ..errors import BoundsError, DtypeError, InputError, ShapeError, UnknownNameError
from ..model import Model
from ..transforms import Bounded, bounded

Range = tuple[float, float]


def check_mappings(ranges: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Raises `InputError` unless each, by its name, maps names to ranges or to values, or is None."""
    for what, mapping in (*ranges.items(), *values.items()):
        if mapping is not None and not isinstance(mapping, Mapping):
            raise InputError(f"{what} must be a mapping from names to values, got {mapping!r}")
    for name, ends in _entries(ranges):
        if not is_pair(ends):
            raise BoundsError(f"the range of {name!r} must be two finite numbers, got {ends!r}")
    for name, value in _entries(values):
        if not is_number(value):
            raise BoundsError(f"the value of {name!r} must be a finite number, got {value!r}")


def _entries(mappings: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for mapping in mappings.values():
        yield from mapping.items() if isinstance(mapping, Mapping) else ()


def check_widths(hidden: object) -> None:
    """Raises `InputError` unless they are widths of layers."""
    if isinstance(hidden, (str, bytes)) or not isinstance(hidden, Sequence) or not all(is_whole(h, 1) for h in hidden):
        raise InputError(f"hidden must be the widths of layers, whole numbers of 1 or more, got {hidden!r}")


def check_tensor(what: str, names: Sequence[str], tensor: object, axes: tuple[str, ...]) -> None:
    """Raises `InputError` (or a subclass) unless it holds numbers along the axes, and last one of each name."""
    if not isinstance(tensor, torch.Tensor) or tensor.is_complex():
        raise DtypeError(f"{what} must be a tensor of numbers, got {type(tensor).__name__}")
    if tensor.ndim != len(axes) + 1 or tensor.shape[-1] != len(names):
        shape = ", ".join((*axes, str(len(names))))
        raise ShapeError(f"{what} must be ({shape}), for {list(names)}; got {tuple(tensor.shape)}")
    if torch.isinf(tensor).any():
        at = int(torch.isinf(tensor).reshape(-1, len(names)).any(0).nonzero()[0])
        raise BoundsError(f"{what}: {names[at]!r} must be finite, or NaN where unknown")


def period(days: object) -> list[str]:
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
    for what, names in {"bounds": bounds, "fixed": fixed, "initial": initial, "varying": varying}.items():
        of_model = [*parameters] if what != "initial" else starts
        for name in names:
            if name not in of_model:
                raise UnknownNameError(f"{what}: {model.name} has no {name!r}; it has {of_model}")
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
