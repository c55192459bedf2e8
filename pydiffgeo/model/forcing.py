"""Time series of forcings and the break points where they jump or bend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Numbers
from ..checks import shown
from ..errors import TimeError

Times = Array
"""Points in time, `(time,)`, in the time unit of the model, increasing."""


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """A forcing that brings its own time axis.

    Attributes:
        times: increasing break points `(nodes,)`, in the time unit of the model. Those that differ from an output
            time, or a break of another series, by less than a millionth of an interval are taken to be that:
            sums of steps carry rounding errors.
        values: tensor with the time axis last, second to last where it varies over cells, or before the axes of a grid.
            `kind="constant"`: one value per interval, `nodes - 1` of them.
            `kind="linear"`: one value per node, linear in between.
    """

    times: Numbers
    values: Numbers
    kind: Literal["constant", "linear"] = "constant"

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "linear"):
            raise TimeError(f"kind must be 'constant' or 'linear', got {self.kind!r}")
        object.__setattr__(self, "times", check_times(self.times, "the times of a TimeSeries"))

    @property
    def steps(self) -> int:
        """How many values it needs along its time axis."""
        return len(np.asarray(self.times)) - (self.kind == "constant")


def check_times(times: Numbers, what: str = "times") -> Times:
    """`times` as a float64 array; raises `TimeError` unless finite and strictly increasing."""
    try:
        if isinstance(times, Tensor):
            # NumPy has no name for the short floats of machine learning, and no view of tensors in `torch.func`.
            times = times.tolist()
        array = np.asarray(np.ma.filled(times, np.nan) if np.ma.isMaskedArray(times) else times)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths, sparse tensors
        mapped = " (what torch.vmap maps over cannot be: all of it has the same times)" * isinstance(times, Tensor)
        raise TimeError(
            f"{what} must be a one-dimensional series of at least two numbers, got {shown(times)}{mapped}"
        ) from error
    if array.dtype.kind not in "iuf" or array.ndim != 1 or array.size < 2:
        raise TimeError(f"{what} must be a one-dimensional series of at least two numbers, got {array!r}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise TimeError(f"{what} must be finite; entry {bad} is {array[bad]}")
    with np.errstate(over="ignore"):
        steps, span = np.diff(array), array[-1] - array[0]
    if not np.isfinite(span) or not np.isfinite(steps).all():
        raise TimeError(f"{what} reach further than can be computed with, from {array.min():g} to {array.max():g}")
    if (steps <= 0).any():
        bad = int(np.flatnonzero(steps <= 0)[0])
        kind = "repeated" if steps[bad] == 0 else "not sorted"
        raise TimeError(
            f"{what} must be strictly increasing; entries {bad} and {bad + 1} are {kind}: "
            f"{array[bad]:g}, {array[bad + 1]:g}"
        )
    return array


# Break points as far apart, as a share of an interval of their series, are the same but for rounding.
ROUNDING = 1e-6


def align(series: Mapping[str, TimeSeries], times: Times) -> dict[str, TimeSeries]:
    """The series with break points that differ from `times`, or from each other's, by rounding made equal to them."""
    breaks, aligned = times, {}
    for name, s in series.items():
        own = np.asarray(s.times, np.float64)
        if np.array_equal(own, times):  # as most forcings have it
            aligned[name] = s
            continue
        after = np.searchsorted(breaks, own).clip(1, len(breaks) - 1)
        before, behind = breaks[after - 1], breaks[after]
        nearest = np.where(own - before < behind - own, before, behind)
        close = np.abs(nearest - own) <= ROUNDING * np.diff(own).min()
        aligned[name] = replace(s, times=np.where(close, nearest, own))
        breaks = np.union1d(breaks, np.asarray(aligned[name].times))
    return aligned


def merge_breaks(times: Times, series: list[Times]) -> Times:
    """All break points between the first and the last of `times`, each once."""
    inside = [s[(s > times[0]) & (s < times[-1])] for s in series if not np.array_equal(s, times)]
    if not inside:
        return times.copy()
    return np.unique(np.concatenate([times, *inside]))


def interval_values(
    breaks: Times, own: Times, values: Tensor, kind: str, name: str, axis: int
) -> tuple[Tensor, Tensor]:
    """Values of one forcing at the start and the end of each interval between `breaks`.

    Args:
        own: the forcing's time axis, `values` its values along `axis` (negative).

    Returns:
        Two tensors shaped like `values` with `len(breaks) - 1` entries along `axis`.
    """
    if own[0] > breaks[0] or own[-1] < breaks[-1]:
        raise TimeError(
            f"forcing {name!r} covers {own[0]:.9g} to {own[-1]:.9g}, but the times run from "
            f"{breaks[0]:.9g} to {breaks[-1]:.9g}; extend its time axis"
        )
    # The interval of `own` that holds each interval of `breaks`; both grids share their breaks.
    index = np.searchsorted(own, breaks[:-1], side="right") - 1
    at = torch.from_numpy(index).to(values.device)
    if kind == "constant":
        held = values.index_select(axis, at)
        return held, held
    left, right = values.index_select(axis, at), values.index_select(axis, at + 1)
    width = own[index + 1] - own[index]
    shape = [-1] + [1] * (-axis - 1)

    def weight(t: Times) -> Tensor:
        return torch.from_numpy((t - own[index]) / width).to(values.device).reshape(shape)

    return left + (right - left) * weight(breaks[:-1]), left + (right - left) * weight(breaks[1:])
