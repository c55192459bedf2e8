"""Jacobians of results to a few inputs, by forward mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .errors import DtypeError, ShapeError


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Value `(members, results)` of `function` at `x` and its Jacobian `(members, results, inputs)`.

    What `function` solves is solved once, whatever the number of inputs, and then all directions are
    pushed through it together. Where there are more inputs than results, adjoints cost less.

    Args:
        function: takes a tensor `(members, inputs)` and returns one `(members, results)`. It may solve
            models with a batch of members; row by row, results may depend on their own inputs only.
        x: where to differentiate, `(members, inputs)`.

    Returns:
        Both without gradients of their own. With `throw=False`, a member that fails holds the NaN of its
        solution, and zeros in the Jacobian of it.

    Raises:
        DtypeError: `x` or the result of `function` is no tensor of a floating-point type.
        ShapeError: `x` or the result of `function` is not of these shapes.
        TangentError: the derivatives of a member fail.
    """
    if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
        raise DtypeError(
            f"x must be a floating-point tensor, got {x.dtype if isinstance(x, Tensor) else type(x).__name__}"
        )
    if x.ndim != 2 or x.shape[1] == 0:
        raise ShapeError(f"x must be of shape (members, inputs), got {tuple(x.shape)}")
    at = x.detach()

    def checked(x: Tensor) -> Tensor:
        value = function(x)
        if not isinstance(value, Tensor):
            raise DtypeError(f"function must return a tensor ({len(at)}, results), got {type(value).__name__}")
        return value

    def along(direction: Tensor) -> tuple[Tensor, Tensor]:
        value, change, *_ = torch.func.jvp(checked, (at,), (direction.expand_as(at),))
        if value.ndim != 2 or len(value) != len(at):
            raise ShapeError(
                f"function must return ({len(at)}, results) for x {tuple(at.shape)}, got {tuple(value.shape)}"
            )
        return value, change

    directions = torch.eye(at.shape[1], dtype=at.dtype, device=at.device)
    # The value is the same along all directions.
    with torch.no_grad():
        values, columns = torch.func.vmap(along)(directions)
    return values[0], columns.movedim(0, -1)
