"""Jacobians of results to inputs, by forward or reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from .engines.reuse import Solved, noting
from .errors import DtypeError, InputError, ShapeError

Mode = Literal["auto", "forward", "reverse"]
MODES: tuple[Mode, ...] = ("auto", "forward", "reverse")
# An adjoint costs as much as about two directions do among others, with either engine.
ADJOINT_COST = 2


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor, *, mode: Mode = "auto") -> tuple[Tensor, Tensor]:
    """Value `(members, results)` of `function` at `x` and its Jacobian `(members, results, inputs)`.

    What `function` solves is solved once, whatever the mode. Forward mode pushes a direction for each input through
    it, all together; reverse mode pulls a gradient of each result back, one adjoint after the other. Both give
    the same numbers within the tolerances of the solves, and with Julia's discrete adjoint to round-off.

    Args:
        function: takes a tensor `(members, inputs)` and returns one `(members, results)`. It may solve
            models with a batch of members; row by row, results may depend on their own inputs only.
        x: where to differentiate, `(members, inputs)`.
        mode: "forward", "reverse", or "auto": reverse where there are at most half as many results as inputs. To count
            them, "auto" calls `function` once more where it goes forward; a solve of the same numbers is not repeated.

    Returns:
        Both without gradients of their own. With `throw=False`, a member that fails holds the NaN of its
        solution, and zeros in the Jacobian of it.

    Raises:
        InputError: `mode` is none of the three.
        DtypeError: `x` or the result of `function` is no tensor of a floating-point type.
        ShapeError: `x` or the result of `function` is not of these shapes.
        TangentError: in forward mode, the derivatives of a member fail.
        AdjointError: in reverse mode, likewise.
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise InputError(f"mode must be one of {list(MODES)}, got {mode!r}")
    if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
        raise DtypeError(
            f"x must be a floating-point tensor, got {x.dtype if isinstance(x, Tensor) else type(x).__name__}"
        )
    if x.ndim != 2 or x.shape[1] == 0:
        raise ShapeError(f"x must be of shape (members, inputs), got {tuple(x.shape)}")
    at = x.detach()
    if mode == "forward":
        return _forward(function, at)
    solved = Solved()
    with noting(solved), torch.enable_grad():
        leaf = at.clone().requires_grad_()
        value = _checked(function(leaf), at)
    if mode == "auto" and ADJOINT_COST * value.shape[1] > at.shape[1]:
        return _forward(function, at, solved)
    return value.detach(), _pulled(value, leaf)


def _checked(value: Tensor, at: Tensor) -> Tensor:
    if not isinstance(value, Tensor) or not value.dtype.is_floating_point:
        raise DtypeError(
            f"function must return a floating-point tensor ({len(at)}, results), "
            f"got {value.dtype if isinstance(value, Tensor) else type(value).__name__}"
        )
    if value.ndim != 2 or len(value) != len(at):
        raise ShapeError(f"function must return ({len(at)}, results) for x {tuple(at.shape)}, got {tuple(value.shape)}")
    return value


def _forward(function: Callable[[Tensor], Tensor], at: Tensor, solved: Solved | None = None) -> tuple[Tensor, Tensor]:
    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        value, change, *_ = torch.func.jvp(lambda x: _checked(function(x), at), (at,), (direction.expand_as(at),))
        return value, change

    directions = torch.eye(at.shape[1], dtype=at.dtype, device=at.device)
    # The value is the same along all directions.
    with torch.no_grad(), noting(solved or Solved()):
        values, columns = torch.func.vmap(along)(directions)
    return values[0], columns.movedim(0, -1)


def _pulled(value: Tensor, leaf: Tensor) -> Tensor:
    """Rows of the Jacobian, that of each result for all members together."""
    rows = torch.zeros(*value.shape, leaf.shape[1], dtype=leaf.dtype, device=leaf.device)
    if value.requires_grad:
        for i, column in enumerate(value.unbind(1)):
            (row,) = torch.autograd.grad(column.sum(), leaf, retain_graph=True, materialize_grads=True)
            rows[:, i] = row
    return rows
