"""What instruments would have seen of a solution: at their times and depths, over their windows.

All functions are differentiable with respect to what was solved for, and keep the batch as leading
dimensions. They are linear in the solution, so the gradients of gaps and of failed members are zero.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array, Numbers
from ..checks import is_number, is_pair, is_whole, shown
from ..errors import BoundsError, InputError, TimeError, UnknownNameError
from ..solve import Solution

Depth = float | tuple[float, float] | None
SAME = 1e-10
"""Times closer than this part of the solved period are the same: 3 * 0.1 is not 0.3 in binary."""


def values_at(solution: Solution, name: str, times: Numbers, *, depth: Depth = None, cell: int | None = None) -> Tensor:
    """A state or an output at any times, linear between output times.

    The error of the interpolation is that of the output times, not of the solve: of second order in their
    distance, and of first order where forcings jump between them.

    Args:
        name: a state or an output of the model.
        times: `(n,)` in any order, in the time unit of the model, within the solved period.
        depth: a depth in the column for a probe at a point, or `(upper, lower)` for the mean over a range, in the
            length unit of the model; see `depth_weights`.
        cell: a cell instead of a depth. Negative numbers count from the last.

    Returns:
        `(..., n)` in the unit of the variable, or `(..., n, cells)` where neither depth nor cell is given and
        there is more than one cell.

    Raises:
        UnknownNameError: the model has no such state or output.
        TimeError: a time lies outside the solved period, or is not a number.
        BoundsError: the depth lies outside the column, or there is no such cell.
        InputError: both depth and cell are given, or the variable has no depth.
    """
    # Outputs cost an evaluation of the closures: only where one is asked for.
    if not isinstance(name, str):
        raise UnknownNameError(f"a state or an output has a name, got {name!r}")
    variables = solution.states if name in solution.states else solution.outputs
    if name not in variables:
        raise UnknownNameError(
            f"{solution.model.name} has no state or output {name!r}; it has {sorted({*solution.states, *variables})}"
        )
    series = _in_space(solution, name, variables[name], depth, cell)
    at, weight = _place(solution, times, "times")
    w = torch.from_numpy(weight).unsqueeze(-1)
    left, right = series.index_select(-2, at), series.index_select(-2, at + 1)
    seen = left + (right - left) * w
    return seen.squeeze(-1) if seen.shape[-1] == 1 else seen


def heads(solution: Solution, times: Numbers, *, depth: Depth = None, cell: int | None = None) -> Tensor:
    """Pressure heads (length unit of the model) as a tensiometer or piezometer sees them; see `values_at`."""
    return values_at(solution, "head", times, depth=depth, cell=cell)


def flux_sums(
    solution: Solution, name: str, windows: Numbers, *, interpolate: bool = False, cell: int | None = None
) -> Tensor:
    """Amounts of an integrated flux over windows, which may overlap, leave gaps and have any order.

    Args:
        name: an integrated flux of the model.
        windows: start and end of each, `(n, 2)`, in the time unit of the model.
        interpolate: let windows begin and end between output times, where the cumulative flux is taken as
            linear. Without it the sums are the exact integrals of the solve.
        cell: which of the cells, faces or places of a boundary, of a flux that has a value for each.

    Returns:
        `(..., n)` in the unit of the flux.

    Raises:
        UnknownNameError: the model has no such flux.
        TimeError: a window is empty, lies outside the solved period, or does not begin and end at output
            times while `interpolate` is not set.
        InputError: the flux is one of each cell, face or place of a boundary, and `cell` does not say which, or it is not.
        BoundsError: there is no such cell.
    """
    if not isinstance(name, str) or name not in solution.fluxes:
        raise UnknownNameError(f"{solution.model.name} has no flux {name!r}; it has {sorted(solution.fluxes)}")
    on = next((f.on for f in solution.model.fluxes if f.name == name), "total")
    flux = solution.fluxes[name]
    if (cell is None) != (on == "total"):
        each = "one value" if on == "total" else f"a value for each {on}; say which cell, or declare a total"
        raise InputError(f"flux {name!r} has {each}")
    if cell is not None:
        if not is_whole(cell) or not -flux.shape[-1] <= cell < flux.shape[-1]:
            raise BoundsError(f"flux {name!r}: cell {cell} is not one of {flux.shape[-1]}")
        flux = flux[..., cell]
    edges = check_windows(windows)
    at, weight = _place(solution, edges.reshape(-1), "windows")
    between = (weight > 0) & (weight < 1)
    if between.any() and not interpolate:
        first = edges.reshape(-1)[between][0]
        raise TimeError(
            f"windows must begin and end at output times unless interpolate=True; {first:g} is not one, and "
            f"{int(between.sum())} of {between.size} ends are not"
        )
    total = torch.cat([torch.zeros_like(flux[..., :1]), flux.cumsum(-1)], dim=-1)
    reached = total.index_select(-1, at) + flux.index_select(-1, at) * torch.from_numpy(weight)
    return reached[..., 1::2] - reached[..., 0::2]


def flux_means(
    solution: Solution, name: str, windows: Numbers, *, interpolate: bool = False, cell: int | None = None
) -> Tensor:
    """Means of an integrated flux over windows, `(..., n)`, in its unit per time; see `flux_sums`."""
    edges = check_windows(windows)
    return flux_sums(solution, name, edges, interpolate=interpolate, cell=cell) / torch.from_numpy(
        edges[:, 1] - edges[:, 0]
    )


def depth_weights(solution: Solution, depth: float | tuple[float, float]) -> Array:
    """Weights `(cells,)`, summing to one, of the cells of a column in what is seen at a depth or over a range.

    At a point: linear between the two cell centres around it; above the first and below the last centre the value
    of that cell. Over a range: the part of it that lies in each cell, in which the value is taken as constant.

    Raises:
        BoundsError: outside the column, or a range that is empty.
        InputError: the graph has no depth.
    """
    geometry = solution.model.graph.cell
    if not (is_number(depth) or is_pair(depth)):
        raise BoundsError(f"depth must be a number, or (upper, lower), got {depth!r}")
    if not {"depth", "thickness"} <= {*geometry}:
        raise InputError(f"the cells of {solution.model.name} have no depth; choose a cell instead")
    centre, thickness = geometry["depth"], geometry["thickness"]
    base, ends = np.concatenate([[0.0], np.cumsum(thickness)]), np.atleast_1d(np.asarray(depth, np.float64))
    slack = SAME * base[-1]
    if not (ends.size in (1, 2) and (ends >= -slack).all() and (ends <= base[-1] + slack).all()):
        raise BoundsError(f"depth {depth} is not one, or two, in the column, which reaches from 0 to {base[-1]:g}")
    if ends.size == 1:
        return np.array([np.interp(float(ends[0]), centre, unit) for unit in np.eye(len(centre))])
    upper, lower = ends
    if not upper < lower:
        raise BoundsError(f"a range of depths is (upper, lower) with upper < lower, got {depth}")
    overlap = np.clip(np.minimum(base[1:], lower) - np.maximum(base[:-1], upper), 0.0, None)
    return np.asarray(overlap / overlap.sum())


def check_windows(windows: Numbers) -> Array:
    """Windows as an array `(n, 2)`; raises `TimeError` unless each ends after it begins."""
    edges = as_times(windows, "windows")
    if edges.ndim != 2 or edges.shape[-1] != 2 or not len(edges):
        raise TimeError(f"windows must have the shape (n, 2), got {edges.shape}")
    if not np.isfinite(edges).all():
        first = int(np.flatnonzero(~np.isfinite(edges).all(1))[0])
        raise TimeError(f"window {first} must begin and end at finite times, got {edges[first].tolist()}")
    bad = np.flatnonzero(~(edges[:, 1] > edges[:, 0]))
    if bad.size:
        raise TimeError(f"window {bad[0]} must end after it begins, got {edges[bad[0]].tolist()}")
    return edges


def as_times(times: object, what: str) -> Array:
    """Times as an array of numbers; raises `TimeError`."""
    try:
        numbers = np.asarray(times.tolist() if isinstance(times, Tensor) else times)
        if numbers.dtype.kind in "iuf":
            return np.array(numbers, np.float64)
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths, sparse or complex tensors
        pass
    raise TimeError(f"{what} must be numbers, got {shown(times)}")


def finite_times(times: Numbers) -> Array:
    """Times `(n,)`, in any order; raises `TimeError` unless there are some, all finite numbers."""
    array = as_times(times, "times")
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise TimeError(f"times must be finite numbers (n,), got {array!r}")
    return array


def _place(solution: Solution, times: Numbers, what: str) -> tuple[Tensor, Array]:
    """The interval of each time `(n,)` and how much of it has passed, 0 to 1."""
    own, wanted = solution.grid, finite_times(times)
    slack = SAME * (own[-1] - own[0])
    if (outside := (wanted < own[0] - slack) | (wanted > own[-1] + slack)).any():
        raise TimeError(f"{what}: {wanted[outside][0]:g} lies outside the solved period, {own[0]:g} to {own[-1]:g}")
    at = np.clip(np.searchsorted(own, wanted, side="right") - 1, 0, len(own) - 2)
    start, end = own[at], own[at + 1]
    weight = (wanted - start) / (end - start)
    weight = np.where(wanted <= start + slack, 0.0, np.where(wanted >= end - slack, 1.0, weight))
    return torch.from_numpy(at), weight


def _in_space(solution: Solution, name: str, series: Tensor, depth: Depth, cell: int | None) -> Tensor:
    """`(..., time, cells)`, or `(..., time, 1)` where a depth or a cell is chosen."""
    cells = series.shape[-1]
    if depth is not None and cell is not None:
        raise InputError(f"{name}: give a depth or a cell, not both")
    if cell is not None:
        if not is_whole(cell) or not -cells <= cell < cells:
            raise BoundsError(f"{name}: cell {cell} is not one of {cells}")
        return series[..., [cell]]
    if depth is None:
        return series
    weights = torch.from_numpy(depth_weights(solution, depth))
    if len(weights) != cells:
        raise InputError(f"{name} has {cells} values, not one for each cell, and so no depth")
    return (series * weights).sum(-1, keepdim=True)
