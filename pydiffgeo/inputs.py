"""Checks what a user gives to `solve` and packs it into tensors an engine can take.

Every check happens here, before anything is solved, and names the culprit.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .arrays import Numbers
from .engines.ir.assembly import Layout
from .engines.ir.kernels import SLACK
from .errors import BoundsError, InputError, MissingNameError, ShapeError, UnknownNameError
from .looking import look
from .model import (
    Constraint,
    CoupledModel,
    ForcingVariable,
    Limit,
    Model,
    Parameter,
    State,
    Times,
    TimeSeries,
    align,
    check_times,
    interval_values,
    merge_breaks,
)
from .model.networks import pack_weights
from .tensors import as_tensor, check_entries, check_range, check_shape, flat_field, flat_forcing, listed, unit_after
from .tolerances import USUAL, Tolerances

V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Inputs:
    """Checked inputs, float64 on the CPU.

    Attributes:
        batch: number of members, or None where nothing had a batch dimension.
        layout: which parameters vary in space.
        times: output times; `breaks` adds the break points of the forcings.
        states: initial states, name -> `(members, cells)`.
        parameters: name -> `(members, 1 or cells)`.
        p: the parameters side by side, then the weights of networks, `(members, P)`; `f`: forcings
            `(members, intervals, 1 or 2, F)`.
        networks: name -> packed weights, `(weights,)`.
    """

    batch: int | None
    layout: Layout
    times: Times
    breaks: Times
    states: dict[str, Tensor]
    parameters: dict[str, Tensor]
    p: Tensor
    f: Tensor
    networks: dict[str, Tensor]

    @property
    def members(self) -> int:
        return 1 if self.batch is None else self.batch


def check_inputs(
    model: Model,
    parameters: Mapping[str, Numbers] | None,
    forcing: Mapping[str, Numbers | TimeSeries] | None,
    times: Numbers,
    initial: Mapping[str, Numbers] | None,
    tolerance: Tolerances = USUAL,
) -> Inputs:
    """Raises an `InputError` that names the culprit, or returns inputs that an engine can solve.

    `tolerance` is that of the solve: what one solve ends with another may begin with.
    """
    if not isinstance(model, Model):
        raise InputError(f"model must be a pydiffgeo.Model, got {model!r}")
    chosen, forced = _mapping("parameters", parameters), _mapping("forcing", forcing)
    start = _mapping("initial", initial)
    _check_names("parameter", chosen, [p.name for p in model.parameters])
    _check_names("forcing", forced, [f.name for f in model.forcings])
    _check_names("initial state", start, [*(s.name for s in model.all_states), *model.initial_names])
    output_times = check_times(times)

    packed = {p.name: _parameter(model, p, chosen) for p in model.parameters}
    series = align({f.name: _series(f.name, forced, f.default, output_times) for f in model.forcings}, output_times)
    forcings = {f.name: _forcing_values(model, f, series[f.name]) for f in model.forcings}
    initials = {k: _initial(model, k, v, tolerance) for k, v in start.items()}
    batched = {f"parameter {k!r}": v for k, v in packed.items() if v.ndim == 2}
    batched |= {f"forcing {k!r}": v for k, v in forcings.items() if v.ndim == 3}
    batched |= {f"initial {k!r}": v for k, v in initials.items() if v.ndim == 2}
    _check_series_of_cells(model, series, batched)
    batch = _batch(batched)
    members = 1 if batch is None else batch
    parameter_values = {k: _to_batch(v, members) for k, v in packed.items()}
    _check_constraints(model, parameter_values)

    breaks = merge_breaks(output_times, [np.asarray(s.times, np.float64) for s in series.values()])
    f = _pack_forcing(model, series, forcings, breaks, members)
    states = _initial_states(model, {k: _to_batch(v, members) for k, v in initials.items()}, parameter_values, members)
    _check_limits(model, states, parameter_values, tolerance)
    networks = {k: pack_weights(f"network {k!r}", module) for k, module in model.networks.items()}
    shared = [_to_batch(weights, members) for weights in networks.values()]
    p = torch.cat([*parameter_values.values(), *shared, torch.empty(members, 0, dtype=torch.float64)], dim=1)
    layout = Layout({k: v.shape[1] for k, v in parameter_values.items()}, still=f.shape[2] == 1)
    return Inputs(batch, layout, output_times, breaks, states, parameter_values, p, f, networks)


def _mapping(what: str, values: Mapping[str, V] | None) -> dict[str, V]:
    if values is not None and not isinstance(values, Mapping):
        raise InputError(f"{what} must be a mapping from names to values, got {type(values).__name__}")
    return dict(values or {})


def _check_names(what: str, names: Iterable[str], declared: list[str]) -> None:
    for name in names:
        if name not in declared:
            same = [k for k in declared if k.lower() == str(name).lower()]
            close = same or difflib.get_close_matches(str(name), declared, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise UnknownNameError(f"unknown {what} {name!r}; {hint}the model has {declared}")


def _parameter(model: Model, parameter: Parameter, chosen: Mapping[str, Numbers]) -> Tensor:
    """`(1 or cells,)`, or `(batch, 1 or cells)`."""
    value = chosen.get(parameter.name, parameter.default)
    what = f"parameter {parameter.name!r}"
    if value is None and parameter.name not in chosen:
        raise MissingNameError(f"{what} ({parameter.description}, {parameter.unit}) has no default and was not given")
    given, grid = as_tensor(value, what), model.grid(parameter.on)
    tensor = given if grid is None else flat_field(grid, given, what)
    over = {"cell": "cells", "face": "faces"}.get(parameter.on, f"places of {parameter.on.removeprefix('boundary:')}")
    check_shape(tensor, model.items(parameter.on), what, over, None if grid is None else grid.shape)
    inside = parameter.inside(tensor.detach())
    check_entries(
        tensor.detach(),
        inside,
        what,
        f"lie in {parameter.interval}{unit_after(parameter.unit)}",
        None if tensor is given else model.graph,
    )
    return tensor.reshape(-1) if tensor.ndim < 2 else tensor


def _initial(model: Model, name: str, value: Numbers, tolerance: Tolerances) -> Tensor:
    """`(1 or cells,)`, or `(batch, 1 or cells)`."""
    what = f"initial {name!r}"
    states = {s.name: s for s in model.all_states}
    given, grid = as_tensor(value, what), model.state_grid(name)
    tensor = given if grid is None else flat_field(grid, given, what)
    check_shape(tensor, model.state_cells(name), what, grid=None if grid is None else grid.shape)
    shown = None if tensor is given else grid
    check_range(tensor, states.get(name, State(name, "1", "")), what, shown, (tolerance.rtol, tolerance.of(name)))
    return tensor.reshape(-1) if tensor.ndim < 2 else tensor


def _series(name: str, forced: Mapping[str, Numbers | TimeSeries], default: float | None, times: Times) -> TimeSeries:
    value = forced.get(name, default)
    if value is None and name not in forced:
        raise MissingNameError(f"forcing {name!r} was not given and has no default")
    if isinstance(value, TimeSeries):
        return value
    tensor = as_tensor(value, f"forcing {name!r}")
    return TimeSeries(times, tensor.expand(len(times) - 1) if tensor.ndim == 0 else tensor)


def _forcing_values(model: Model, variable: ForcingVariable, series: TimeSeries) -> Tensor:
    """Checked values, `(nodes or intervals, 1 or cells)`, with a leading dimension where there is a batch."""
    what = f"forcing {variable.name!r}"
    given, steps = as_tensor(series.values, what), series.steps
    cells, grid = model.items(variable.on), model.grid(variable.on)
    value = given if grid is None else flat_forcing(grid, given, steps, what)
    if variable.on != "model" and (
        (value.ndim >= 2 and value.shape[-2:] == (steps, cells)) or (value.ndim == 3 and value.shape[-2:] == (steps, 1))
    ):
        shaped = value
    else:
        shaped = value.unsqueeze(-1)
    if shaped.ndim not in (2, 3) or shaped.shape[-2] != steps or shaped.shape[0] == 0:
        cell = f", ({steps}, {cells}), (batch, {steps}, {cells})" if variable.on != "model" else ""
        shape = None if grid is None else grid.shape
        cell += "" if shape is None else f", on the grid {listed(steps, *shape)}, {listed('batch', steps, *shape)}"
        kind = "one per interval" if series.kind == "constant" else "one per time"
        raise ShapeError(
            f"{what} has shape {tuple(given.shape)}; it needs {steps} values ({kind}): "
            f"({steps},), (batch, {steps}){cell}"
        )
    check_range(value, variable, what, None if value is given else model.graph)
    return shaped


def _check_series_of_cells(model: Model, series: Mapping[str, TimeSeries], batched: Mapping[str, Tensor]) -> None:
    """Raises `ShapeError` where a batch of series is likely meant as one series of each cell, or as a field.

    `(batch, intervals)` is one series for each member, the same in all cells. Where there are as many members as cells,
    or where it is as the grid, something else must have a batch of that size.
    """
    graph, doubtful = model.graph, dict[str, tuple[int, int]]()
    for variable in model.forcings:
        name, shape = f"forcing {variable.name!r}", tuple(np.shape(series[variable.name].values))
        alike = len(shape) == 2 and (shape == graph.shape or shape[0] == graph.cells > 1)
        if alike and variable.on == "cell" and name in batched:
            doubtful[name] = (shape[0], shape[1])
    certain = {values.shape[0] for name, values in batched.items() if name not in doubtful}
    for name, (members, steps) in doubtful.items():
        if members not in certain:
            field = (
                f"series of each of {graph.cells} cells as (intervals, cells) = ({steps}, {graph.cells}), transposed"
                if members == graph.cells
                else f"fields on the grid as {listed('intervals', members, steps)}"
            )
            raise ShapeError(
                f"{name} has shape ({members}, {steps}), which would be a batch of {members} members with one series "
                f"each, and nothing else has such a batch; give {field}, or the batch as ({members}, {steps}, 1)"
            )


def _batch(batched: Mapping[str, Tensor]) -> int | None:
    """The one batch size that all agree on, or that all but those of size one do; None where nothing is batched."""
    sizes = {name: t.shape[0] for name, t in batched.items() if t.shape[0] != 1}
    if len(set(sizes.values())) > 1:
        raise ShapeError(f"batch sizes differ: {', '.join(f'{k} has {v}' for k, v in sizes.items())}")
    return next(iter(sizes.values()), 1 if batched else None)


def _to_batch(value: Tensor, members: int) -> Tensor:
    return value.expand(members, -1)


def _check_constraints(model: Model, parameters: Mapping[str, Tensor]) -> None:
    for constraint in model.constraints:
        values = {n: parameters[n].detach() for n in constraint.names}
        holds = constraint.holds(SimpleNamespace(**values))
        look(partial(_see_constraint, constraint), holds, *values.values())


def _see_constraint(constraint: Constraint, holds: Tensor, *values: Tensor) -> None:
    if not holds.all():
        where = tuple(int(i) for i in (~holds).nonzero()[0])
        shown = ", ".join(
            f"{n}={v.expand(holds.shape)[where].item():g}" for n, v in zip(constraint.names, values, strict=True)
        )
        raise BoundsError(f"parameters must satisfy {constraint.text}; entry {where} has {shown}")


def _check_limits(
    model: Model, states: Mapping[str, Tensor], parameters: Mapping[str, Tensor], tolerance: Tolerances
) -> None:
    """Raises `BoundsError` where an initial state is out of the range that the parameters of its cell allow."""
    if isinstance(model, CoupledModel):
        for region in model.regions.values():
            own_states, own = ({k: d[v] for k, v in region.names.items() if v in d} for d in (states, parameters))
            _check_limits(region.model, own_states, own, tolerance)
        return
    cell = SimpleNamespace(**{k: torch.from_numpy(v.copy()) for k, v in model.graph.cell.items()})
    on_cells = {p.name for p in model.parameters if p.on == "cell"}
    cell.__dict__.update({k: v.detach() for k, v in parameters.items() if k in on_cells})
    cell.__dict__.update({s.name: states[s.name].detach() for s in model.states})
    for limit in model.limits:
        if limit.boundary:
            continue
        values = limit.complete(cell)
        low, value, high = torch.broadcast_tensors(
            *(torch.as_tensor(values[k], dtype=torch.float64) for k in ("low", "value", "high"))
        )
        look(partial(_see_limit, limit, tolerance), low, value, high)


def _see_limit(limit: Limit, tolerance: Tolerances, low: Tensor, value: Tensor, high: Tensor) -> None:
    slack = [SLACK * (tolerance.rtol * bound.abs() + tolerance.largest) for bound in (low, high)]
    within = (value >= low - slack[0]) & (value <= high + slack[1])
    if not within.all():
        where = tuple(int(i) for i in (~within).nonzero()[0])
        member = f" of member {where[-2]}" if within.shape[-2] > 1 else ""
        unit, remedy = unit_after(limit.unit), f"; {limit.remedy}" if limit.remedy else ""
        raise BoundsError(
            f"initial {limit.name!r} in cell {where[-1]}{member} is {value[where].item():.6g}{unit}, and must "
            f"lie in [{low[where].item():.6g}, {high[where].item():.6g}]{unit} with these parameters{remedy}"
        )


def _pack_forcing(
    model: Model, series: Mapping[str, TimeSeries], values: Mapping[str, Tensor], breaks: Times, members: int
) -> Tensor:
    """Forcing at both ends of each interval, or once where every forcing is constant in between."""
    linear = any(s.kind == "linear" for s in series.values())
    starts, ends = [], []
    for variable in model.forcings:
        own = series[variable.name]
        times = np.asarray(own.times, np.float64)
        left, right = interval_values(breaks, times, values[variable.name], own.kind, variable.name, -2)
        if own.kind == "linear":
            # Between finite values so far apart that their difference is not.
            finite = torch.isfinite(left) & torch.isfinite(right)
            check_entries(left.detach(), finite, f"forcing {variable.name!r}", "change by finite amounts")
        width = model.items(variable.on)
        starts.append(left.expand(members, -1, width))
        ends.append(right.expand(members, -1, width))
    if not starts:
        return torch.empty(members, len(breaks) - 1, 1, 0, dtype=torch.float64)
    return torch.stack([torch.cat(side, dim=-1) for side in ([starts, ends] if linear else [starts])], dim=2)


def _initial_states(
    model: Model, start: Mapping[str, Tensor], parameters: Mapping[str, Tensor], members: int
) -> dict[str, Tensor]:
    values: Mapping[str, Tensor] = start
    if model.initial is not None and start:
        geometry = {k: torch.from_numpy(v.copy()) for k, v in model.graph.cell.items()}
        values = model.initial(start, SimpleNamespace(**geometry, **parameters))
        others = " or ".join(repr(k) for k in start if k in model.initial_names)
        for name in start:
            if name in values and values[name] is not start[name]:
                raise InputError(f"initial {name!r} also follows from initial {others}; give one of them")
    states = {}
    for state in model.all_states:
        if state.name in values:
            tensor = values[state.name]
            if state.name not in start:
                check_range(tensor, state, f"initial {state.name!r}, which follows from {others},")
        elif state.default is not None:
            tensor = torch.full((1, 1), state.default, dtype=torch.float64)
        else:
            names = [state.name, *model.initial_names]
            raise MissingNameError(f"initial state {' or '.join(map(repr, names))} was not given and has no default")
        states[state.name] = tensor.expand(members, model.state_cells(state.name))
    return states
