"""Parts of a record: what was observed after a warm-up, and what drives a model meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Mask, Numbers
from ..errors import InputError, TimeError
from ..model import Model, TimeSeries
from ..observe import SAME, Observation


def after_warmup(
    observations: Sequence[Observation], times: Array, warmup: float, what: str
) -> tuple[Observation, ...]:
    """What was observed in a record from `times[0]`, without its warm-up.

    Raises:
        TimeError: something was observed before or after the record.
        InputError: nothing is left.
    """
    first, last = float(times[0]), float(times[-1])
    slack = SAME * (last - first)
    for one in observations:
        if one.times.min() < first - slack or one.times.max() > last + slack:
            raise TimeError(
                f"{one.what} is observed from {one.times.min():g} to {one.times.max():g}, beyond the record, which goes from "
                f"{first:g} to {last:g}"
            )
    kept = between(observations, first + warmup, last) if warmup > 0 else [*observations]
    if observations and not kept:
        raise InputError(f"none of the {what} lie after the warm-up, which ends at {first + warmup:g}")
    return tuple(kept)


def between(observations: Sequence[Observation], start: float, end: float) -> list[Observation]:
    """What of the observations lies from `start` to `end`; series of which nothing is left are left out."""
    kept, slack = [], SAME * abs(end - start)
    for one in observations:
        times = one.times.reshape(len(one.times), -1)
        inside = (times[:, 0] >= start - slack) & (times[:, -1] <= end + slack)
        if inside.all():
            kept.append(one)
        elif inside.any():
            kept.append(picked(one, inside))
    return kept


def picked(one: Observation, inside: Mask) -> Observation:
    """Some of the values of a series, by a mask `(n,)`."""
    at = torch.from_numpy(inside)
    error = one.error[..., at] if one.error.ndim and one.error.shape[-1] > 1 else one.error
    return replace(one, times=one.times[inside], values=one.values[..., at], error=error)


def cut(forcing: Numbers | TimeSeries, first: int, last: int) -> Numbers | TimeSeries:
    """One value per interval, from `times[first]` to `times[last]`; time series keep their own axis."""
    if isinstance(forcing, TimeSeries) or np.ndim(forcing) == 0:
        return forcing
    # Masked arrays stay masked.
    return (forcing if isinstance(forcing, Tensor) else np.asanyarray(forcing))[first:last]


def unit_of(model: Model, observation: Observation) -> str | None:
    """The unit of what is observed; None where the model has nothing of that name."""
    name, kind = observation.name, observation.kind
    if kind == "value":
        units = {v.name: v.unit for v in model.outputs} | {v.name: v.unit for v in model.all_states}
        return units.get(name)
    unit = next((flux.unit for flux in model.fluxes if flux.name == name), None)
    return f"{unit} {model.time_unit}-1" if unit is not None and kind == "flux_mean" else unit
