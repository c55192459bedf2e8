"""Numbers that a user gives, as tensors of float64, and checks of their values and shapes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .engines.autograd import has_tangent
from .engines.ir.kernels import SLACK
from .errors import BoundsError, DtypeError, ShapeError
from .looking import look
from .model import ForcingVariable, Graph, State


def as_tensor(value: object, what: str) -> Tensor:
    """`value` as a float64 CPU tensor; tensors and arrays must be of a floating-point type.

    Raises:
        DtypeError: it is none, or of another type.
    """
    if isinstance(value, Tensor):
        if not value.dtype.is_floating_point or value.layout != torch.strided:
            kind = value.dtype if value.layout == torch.strided else value.layout
            raise DtypeError(f"{what} is a tensor of type {kind}; give a dense floating-point tensor (float64)")
        # Views made without gradients still carry those of their base: outputs would see half of the graph.
        value = value if torch.is_grad_enabled() or has_tangent(value) else value.detach()
        return value.to(device="cpu", dtype=torch.float64)
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind != "f":
            raise DtypeError(f"{what} is an array of type {array.dtype}; give a floating-point array (float64)")
        # What is masked has no value, whatever lies below the mask.
        array = np.ma.filled(value, np.nan) if isinstance(value, np.ma.MaskedArray) else array
        return torch.from_numpy(np.array(array, np.float64))
    _check_plain(value, what)
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        shown = f"{type(value).__name__} ({error})" if isinstance(value, (int, list, tuple)) else type(value).__name__
        raise DtypeError(f"{what} must be a number, array or tensor, got {shown}") from error


def _check_plain(value: object, what: str) -> None:
    """Raises `DtypeError` where text, truth values or tensors, which would lose their gradients, stand for numbers."""
    if isinstance(value, (bool, str, bytes, bytearray)):
        raise DtypeError(f"{what} must be a number, array or tensor, got {type(value).__name__}")
    if isinstance(value, (list, tuple)):
        for entry in value:
            if isinstance(entry, Tensor):
                raise DtypeError(
                    f"{what} is a {type(value).__name__} of tensors; join them with torch.stack or torch.cat"
                )
            _check_plain(entry, what)


def check_entries(value: Tensor, inside: Tensor, what: str, allowed: str, grid: Graph | None = None) -> None:
    """Raises `BoundsError` with the first entry of `value` that is not `inside`.

    Values of cells that were given as a field on the `grid` are named by their place there.
    """

    def see(value: Tensor, inside: Tensor) -> None:
        if not inside.all():
            at = tuple(int(i) for i in (~inside).nonzero()[0])
            where = at if grid is None else (*at[:-1], *grid.place(at[-1]))
            entry = f"entry {where}" if where else "it"
            raise BoundsError(f"{what} must {allowed}; {entry} is {value[at].item():g}")

    look(see, value, inside)


def check_range(
    value: Tensor,
    variable: State | ForcingVariable,
    what: str,
    grid: Graph | None = None,
    tolerance: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Raises `BoundsError` unless `value` is finite and within the closed bounds of a state or forcing.

    `tolerance`, relative and absolute, is that of a solve whose end may be where this one starts.
    """
    value = value.detach()
    check_entries(value, torch.isfinite(value), what, "be finite", grid)
    low, high = (float(bound) for bound in (variable.low, variable.high))
    slack = [
        SLACK * (tolerance[0] * abs(bound) + tolerance[1]) if math.isfinite(bound) else 0.0 for bound in (low, high)
    ]
    inside = (value >= low - slack[0]) & (value <= high + slack[1])
    check_entries(value, inside, what, f"lie in [{variable.low:g}, {variable.high:g}]{unit_after(variable.unit)}", grid)


def unit_after(unit: str) -> str:
    """A unit as it follows a value in a message."""
    return "" if unit == "1" else f" {unit}"


def check_shape(value: Tensor, cells: int, what: str, over: str = "cells", grid: tuple[int, ...] | None = None) -> None:
    """Raises `ShapeError` unless `value` is one number, one per cell, or either for each member of a batch.

    `grid` is the shape that fields may have as well, for the message.
    """
    if value.ndim == 0 or (value.ndim <= 2 and value.shape[-1] in (1, cells) and value.shape[0] > 0):
        return
    hint = " (for one value per batch member use shape (batch, 1))" if value.ndim == 1 else ""
    fields = "" if grid is None else f", and on the grid {listed(*grid)} and {listed('batch', *grid)},"
    raise ShapeError(
        f"{what} has shape {tuple(value.shape)}; allowed are (), ({cells},), (batch, 1) and (batch, {cells}){fields} "
        f"with {over}={cells}{hint}"
    )


def listed(*sizes: int | str) -> str:
    """A shape as text, of which some sizes are words."""
    return f"({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)})"


def flat_field(graph: Graph, value: Tensor, what: str) -> Tensor:
    """A field on the grid, `(*shape)` or `(batch, *shape)`, as `(cells,)` or `(batch, cells)`; all else as it is.

    Raises:
        ShapeError: it may as well be one value, or one of each cell, for each member of a batch.
    """
    shape = graph.shape
    if shape is None or not value.ndim or tuple(value.shape[value.ndim - len(shape) :]) != shape:
        return value
    if value.ndim > len(shape) + 1:
        return value
    if value.ndim <= 2 and value.shape[-1] in (1, graph.cells):
        if value.shape[0] > 1:
            raise _ambiguous(value, what, listed(graph.cells), listed("batch", *shape))
        return value  # one row, and so the same numbers either way
    return graph.on_cells(value)


def flat_forcing(graph: Graph, value: Tensor, steps: int, what: str) -> Tensor:
    """A forcing on the grid, `(steps, *shape)` or `(batch, steps, *shape)`, as `(..., steps, cells)`; else as it is.

    Raises:
        ShapeError: it may as well be `(batch, steps, cells)` or `(batch, steps, 1)`.
    """
    shape = graph.shape
    lead = value.ndim - len(shape or ())
    if shape is None or lead not in (1, 2) or tuple(value.shape[lead:]) != shape or value.shape[lead - 1] != steps:
        return value
    if value.ndim == 3 and value.shape[1] == steps and value.shape[2] in (1, graph.cells):
        if value.shape[0] > 1:
            raise _ambiguous(value, what, listed(steps, graph.cells), listed("batch", steps, *shape))
        return value
    return graph.on_cells(value)


def _ambiguous(value: Tensor, what: str, field: str, batch: str) -> ShapeError:
    shape = tuple(value.shape)
    return ShapeError(
        f"{what} has shape {shape}, which may be a field on the grid, or a batch of {shape[0]} members; give the field "
        f"as {field}, or the batch as {batch}"
    )
