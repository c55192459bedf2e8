"""Looking at the numbers of tensors, which `torch.vmap` and its kin hide, before anything is solved with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, Protocol

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


class Mapped(Protocol):
    """What PyTorch tells a function of autograd of the `vmap` around it."""

    @property
    def batch_size(self) -> int: ...


class _Look(torch.autograd.Function):
    """Calls `see` with plain tensors: a transform hands a function of its own what lies below, level by level."""

    @staticmethod
    def forward(see: Callable[..., None], *tensors: Tensor) -> Tensor:
        see(*tensors)
        return torch.zeros(())

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[object, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: FunctionCtx, *bars: Tensor) -> NoReturn:
        raise NotImplementedError  # never called: the result is marked as without a derivative

    @staticmethod
    def jvp(ctx: FunctionCtx, *dots: Tensor | None) -> None:
        return None

    @staticmethod
    def vmap(
        info: Mapped, in_dims: tuple[int | None, ...], see: Callable[..., None], *tensors: Tensor
    ) -> tuple[Tensor, None]:
        depth = max(x.ndim - (dim is not None) for x, dim in zip(tensors, in_dims[1:], strict=True))
        moved = []
        for x, dim in zip(tensors, in_dims[1:], strict=True):
            x = x if dim is None else x.movedim(dim, 0)
            # What is mapped over comes first, so that tensors of different depth go on being broadcast.
            moved.append(x if dim is None else x.reshape(x.shape[:1] + (1,) * (depth - x.ndim + 1) + x.shape[1:]))
        return _Look.apply(see, *moved), None


def look(see: Callable[..., None], *tensors: Tensor) -> None:
    """Calls `see(*tensors)`, which may raise, with tensors whose numbers can be read.

    Within `torch.vmap` they have what is mapped over as further leading axes, so `see` must be elementwise, and
    broadcast.
    """
    plain = [x.detach() for x in tensors]
    # Outside of transforms there is nothing to see through, and calling a function of autograd takes a while.
    if torch._C._are_functorch_transforms_active():
        _Look.apply(see, *plain)
    else:
        see(*plain)
