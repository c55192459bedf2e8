"""The older of PyTorch's two kinds of `vmap`, which `is_grads_batched=True` and `vectorize=True` still use.

It passes by what a function of autograd says of mapping over it: derivatives of a solve reach the function as tensors
that hide an axis. Here that axis becomes a leading one, and is hidden again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Not there in every version: `None` leaves such tensors to be refused where their numbers are read.
_is_mapped: Callable[[Tensor], bool] | None = getattr(torch._C._functorch, "is_legacy_batchedtensor", None)


def over_leading_axes(function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
    """`function(*tensors)`, which takes leading axes, the same for all, and returns them with each of its results."""
    if _is_mapped is None or not any(map(_is_mapped, tensors)):
        return function(*tensors)
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    return _plain(function, tensors, level)


def _plain(function: Callable[..., tuple[Tensor, ...]], tensors: tuple[Tensor, ...], level: int) -> tuple[Tensor, ...]:
    if level == 0:
        return function(*tensors)
    # Of those that are not mapped over at this level the new axis is of length one.
    shown = [torch._remove_batch_dim(x, level, 1, 0) for x in tensors]
    size = max(len(x) for x in shown)
    results = _plain(function, tuple(x.expand(size, *x.shape[1:]) for x in shown), level - 1)
    return tuple(torch._add_batch_dim(x, 0, level) for x in results)
