"""Groups of inputs, and a direction within the bounds of each along which derivatives are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Numbers
from ..errors import InputError, UnknownNameError
from ..inputs import check_inputs
from ..model import ForcingVariable, Model, Parameter, State, TimeSeries, check_times
from ..solve import Question
from ..tensors import as_tensor, flat_field, flat_forcing

# Entries that are zero, where zero is no bound, move by this part of the largest one.
LEAST = 1e-3
# Names of groups begin with what they are.
PARAMETER, FORCING, INITIAL = "parameter", "forcing", "initial"


@dataclass(frozen=True, eq=False)
class Group:
    """The inputs of one name, moved together.

    Attributes:
        name: what they are and what they are called, such as "parameter K_s".
        value: where derivatives are taken, of any shape.
        direction: of the same shape and unit; a step of one changes values by about their own size.
        one_sided: all of them lie on a bound, and `direction` points away from it.
    """

    name: str
    value: Tensor
    direction: Tensor
    one_sided: bool = False

    @property
    def moved(self) -> int:
        """How many entries move; those on a bound stay, where others do not lie on one."""
        return int((self.direction != 0).sum())

    def at(self, step: float) -> Tensor:
        """Values after a step along the direction."""
        return self.value + step * self.direction


def group(name: str, value: Tensor, low: float, high: float, size: float, random: torch.Generator) -> Group:
    """A group with a random direction, whose entries are 0.5 to 1.5 times the size of the values.

    They are all positive, so that the effects of neighbours seldom cancel, and limited by the room to the
    bounds `low` and `high`. `size` is the magnitude of values that are all zero.
    """
    weight = 0.5 + torch.rand(value.shape, generator=random, dtype=torch.float64)
    largest = float(value.abs().max())
    sizes = value.abs().clamp(min=LEAST * largest) if largest > 0 else torch.full_like(value, size)
    below, above = value - low, high - value
    both = torch.minimum(sizes, torch.minimum(below, above))
    if (both > 0).any():
        return Group(name, value, weight * both)
    inwards = torch.where(below <= above, 1.0, -1.0)
    return Group(name, value, weight * inwards * torch.minimum(sizes, torch.maximum(below, above)), one_sided=True)


@dataclass(frozen=True, eq=False)
class Given:
    """Checked inputs of a model as tensors by name of group, and the way back to the arguments of `solve`."""

    values: Mapping[str, Tensor]
    series: Mapping[str, TimeSeries]
    times: Numbers

    def arguments(self, moved: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Question]:
        """Parameters and further arguments of `solve` with the values of some groups replaced by `moved`."""
        kinds: dict[str, dict[str, Tensor]] = {PARAMETER: {}, FORCING: {}, INITIAL: {}}
        for name, value in {**self.values, **moved}.items():
            kind, key = name.split(" ")
            kinds[kind][key] = value
        forcing = {
            key: replace(self.series[key], values=value) if key in self.series else value
            for key, value in kinds[FORCING].items()
        }
        return kinds[PARAMETER], {"forcing": forcing, "initial": kinds[INITIAL], "times": self.times}


def collect(
    model: Model,
    parameters: Mapping[str, Numbers] | None,
    forcing: Mapping[str, Numbers | TimeSeries] | None,
    times: Numbers,
    initial: Mapping[str, Numbers] | None,
) -> Given:
    """All inputs that a solve has, defaults among them.

    Raises:
        InputError: (or a subclass) names what does not fit the model.
    """
    check_inputs(model, parameters, forcing, times, initial)
    starts = dict(initial or {})
    for state in model.all_states:
        if state.default is not None and state.name not in starts:
            more = starts | {state.name: state.default}
            try:
                check_inputs(model, parameters, forcing, times, more)
            except InputError:
                continue  # it follows from what is given
            starts = more
    kinds: dict[str, Mapping[str, Numbers | TimeSeries | None]] = {
        PARAMETER: {**{p.name: p.default for p in model.parameters}, **(parameters or {})},
        FORCING: {**{f.name: f.default for f in model.forcings}, **(forcing or {})},
        INITIAL: starts,
    }
    series = {k: v for k, v in kinds[FORCING].items() if isinstance(v, TimeSeries)}
    values = {}
    for kind, entries in kinds.items():
        for key, value in entries.items():
            inner = value.values if isinstance(value, TimeSeries) else value
            values[f"{kind} {key}"] = as_tensor(inner, f"{kind} {key!r}").detach().clone()
    if model.graph.shape is not None:
        # Of fields on the grid only the cells are moved: what stands elsewhere may be NaN.
        values = {name: _on_cells(model, name, value, series, times) for name, value in values.items()}
    return Given(values, series, times)


def _on_cells(model: Model, name: str, value: Tensor, series: Mapping[str, TimeSeries], times: Numbers) -> Tensor:
    """Checked values of a group, with those on the grid as values of the cells."""
    kind, key = name.split(" ")
    if kind == FORCING and any(f.name == key and f.on == "cell" for f in model.forcings):
        own = series.get(key)
        return flat_forcing(model.graph, value, len(check_times(times)) - 1 if own is None else own.steps, name)
    elsewhere = {p.name for p in model.parameters if p.on == "face"} if kind == PARAMETER else set()
    elsewhere |= {s.name for b in model.boundaries for s in b.states} if kind == INITIAL else set()
    return value if kind == FORCING or key in elsewhere else flat_field(model.graph, value, name)


def groups_of(model: Model, given: Given, only: Sequence[str] | None, seed: int) -> tuple[Group, ...]:
    """A group for each input, or for those whose names are in `only`.

    Raises:
        UnknownNameError: `only` has a name that is not there. InputError: it is empty.
    """
    if only is not None:
        if isinstance(only, str) or not only:
            raise InputError(
                f"only must name at least one group of inputs, got {only!r}; there is nothing to differentiate"
            )
        for name in only:
            if not any(name in (each, each.split(" ")[1]) for each in given.values):
                raise UnknownNameError(f"no group of inputs is called {name!r}; there are {list(given.values)}")
    random = torch.Generator().manual_seed(seed)
    variables: dict[str, Parameter | ForcingVariable | State] = {f"{PARAMETER} {p.name}": p for p in model.parameters}
    variables |= {f"{FORCING} {f.name}": f for f in model.forcings}
    variables |= {f"{INITIAL} {s.name}": s for s in model.all_states}
    groups = []
    for name, value in given.values.items():
        variable = variables.get(name)
        low, high = (variable.low, variable.high) if variable is not None else (-np.inf, np.inf)
        # Drawn whether it is wanted or not: a direction does not depend on the others that are asked for.
        drawn = group(name, value, low, high, _size(variable), random)
        if only is None or name in only or name.split(" ")[1] in only:
            groups.append(drawn)
    return tuple(groups)


def _size(variable: Parameter | ForcingVariable | State | None) -> float:
    """A magnitude for values that are zero."""
    if isinstance(variable, Parameter) and variable.typical is not None:
        return variable.typical[1] - variable.typical[0]
    if isinstance(variable, State) and np.isfinite(variable.nominal):
        return variable.nominal
    return 1.0
