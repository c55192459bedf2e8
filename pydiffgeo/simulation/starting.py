"""What a run begins with: values of the configuration, or the steady state of a forcing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..arrays import Array
from ..errors import InputError, SolverError
from ..model import TimeSeries
from ..steady import steady
from .configuration import Configuration, Numbers


def tensors(values: Mapping[str, Numbers]) -> dict[str, torch.Tensor]:
    """Numbers and arrays as tensors."""
    return {name: torch.as_tensor(value) for name, value in values.items()}


def start(c: Configuration, times: Array, forcing: Mapping[str, float | TimeSeries]) -> dict[str, torch.Tensor]:
    """Initial values of a run, which has the given output times and forcings.

    Raises:
        SolverError: there is no steady state, or it is not found; names the file. InputError: (or a subclass) what is given
            does not fit the model.
    """
    given = tensors(c.initial)
    if c.rest is None:
        return given
    where = f"{c.path}: [initial] steady"
    try:
        with torch.no_grad():
            found = steady(
                c.model,
                tensors(c.parameters),
                forcing=rest_forcing(c, times, forcing),
                initial=given,
                engine=c.engine,
            )
    except SolverError as error:
        hint = "the values of [initial] are where it is searched from; other forcing may have one"
        raise SolverError(f"{where}: {error}; {hint}", error.solution) from error
    except InputError as error:
        raise type(error)(f"{where}: {error}") from error
    return {**found.states}


def rest_forcing(
    c: Configuration, times: Array, forcing: Mapping[str, float | TimeSeries]
) -> dict[str, float | torch.Tensor]:
    """The forcing at whose steady state a run begins, name -> a number, or one for each place."""
    assert c.rest is not None
    of = _first if c.rest.of == "first" else _mean
    chosen = dict[str, float | torch.Tensor]()
    for f in c.model.forcings:
        given = c.rest.forcing.get(f.name, forcing.get(f.name))
        if given is None:
            continue
        value = of(given, float(times[0]), float(times[-1])) if isinstance(given, TimeSeries) else given
        chosen[f.name] = value if isinstance(value, float) else _of_places(c, f.on, value)
    return chosen


def _of_places(c: Configuration, on: str, value: Array) -> float | torch.Tensor:
    """One for each cell or place, of a field on the grid or of what is so already."""
    if value.ndim == 0:
        return float(value)
    if value.size != c.model.items(on) and value.shape == c.model.graph.shape:
        value = np.asarray(c.model.graph.on_cells(value))
    return torch.from_numpy(np.array(value, np.float64).reshape(-1))


def _first(series: TimeSeries, begin: float, end: float) -> Array:
    nodes, values = np.asarray(series.times, np.float64), np.asarray(series.values, np.float64)
    if series.kind == "linear":
        return _between(nodes, values, np.array([begin]))[0]
    at = int(np.searchsorted(nodes, begin, "right")) - 1
    found: Array = values[min(max(at, 0), len(values) - 1)]
    return found


def _mean(series: TimeSeries, begin: float, end: float) -> Array:
    """The mean over the run, of straight lines, or of values that hold for a while."""
    nodes, values = np.asarray(series.times, np.float64), np.asarray(series.values, np.float64)
    if series.kind == "linear":
        at = np.unique(np.concatenate([[begin, end], nodes[(nodes > begin) & (nodes < end)]]))
        along = _between(nodes, values, at)
        return np.tensordot(np.diff(at), (along[1:] + along[:-1]) / 2, 1) / (end - begin)
    held = np.clip(np.minimum(nodes[1:], end) - np.maximum(nodes[:-1], begin), 0.0, None)
    return np.tensordot(held, values, 1) / held.sum()


def _between(nodes: Array, values: Array, at: Array) -> Array:
    """Straight lines between values `(nodes, ...)` at some times, `(times, ...)`."""
    behind = np.searchsorted(nodes, at, "right").clip(1, len(nodes) - 1)
    share = ((at - nodes[behind - 1]) / (nodes[behind] - nodes[behind - 1])).clip(0.0, 1.0)
    share = share.reshape(-1, *(1 for _ in values.shape[1:]))
    found: Array = (1 - share) * values[behind - 1] + share * values[behind]
    return found
