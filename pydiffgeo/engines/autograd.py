"""The one place where a solve becomes a node of PyTorch's graph; it serves every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..errors import AdjointError, InputError, TangentError
from .base import Engine, Forward, Gradients, Options, Problem, Status, Tangents
from .kernels import System

NO_VMAP = "torch.vmap over the inputs of a solve is not supported; give `solve` inputs with a batch dimension"


def _array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.ascontiguousarray(tensor.detach().numpy())


class _Call:
    """Carries what is not a tensor into a node, and the engine's report out of it."""

    def __init__(
        self, engine: Engine, system: System, options: Options, breaks: Any, throw: bool, differentiate: bool
    ) -> None:
        self.engine, self.system, self.options, self.breaks = engine, system, options, breaks
        self.throw, self.differentiate = throw, differentiate
        self.problem: Problem
        self.result: Forward

    def check(self, found: Gradients | Tangents, status: Status, error: type[Exception], what: str) -> None:
        """Notes which members have no derivatives; raises where there are any and the call says so."""
        result = self.result
        bad = [i for i, s in enumerate(found.status) if not s.ok and result.status[i].ok]
        for i in bad:
            result.status[i], result.reasons[i] = status, found.reasons.get(i, "")
        if bad and self.throw:
            raise error(
                f"the {what} failed for {len(bad)} of {len(result.status)} members; "
                f"member {bad[0]}: {found.status[bad[0]].value} {found.reasons.get(bad[0], '')}".rstrip()
            )
        result.stats.update(found.stats)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(y0: Tensor, p: Tensor, f: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
        call.problem = Problem(call.system, call.options, call.breaks, _array(y0), _array(p), _array(f))
        call.result = call.engine.forward(call.problem, call.differentiate)
        return torch.from_numpy(call.result.y), torch.from_numpy(call.result.q)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        *tensors, ctx.call = inputs
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, y_bar: Tensor, q_bar: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise AdjointError(
                "a solve can be differentiated once: create_graph=True would drop its second derivatives"
            )
        call: _Call = ctx.call
        # A failed member has no solution to differentiate: what arrives for it is set aside.
        good = torch.tensor([s.ok for s in call.result.status]).reshape(-1, 1, 1)
        seeds = [_array(torch.where(good, bar, torch.zeros_like(bar))) for bar in (y_bar, q_bar)]
        if not all(np.isfinite(s).all() for s in seeds):
            raise AdjointError("the gradient that reaches the solution is not finite; look at the loss")
        gradients = call.engine.backward(call.problem, call.result, *seeds)
        call.check(gradients, Status.ADJOINT, AdjointError, "adjoint solve")
        return torch.from_numpy(gradients.y0), torch.from_numpy(gradients.p), torch.from_numpy(gradients.f), None

    @staticmethod
    def jvp(ctx: Any, *dots: Any) -> tuple[Tensor, Tensor]:
        inputs = ctx.saved_tensors
        given = [torch.zeros_like(x) if dot is None else dot for x, dot in zip(inputs, dots[:3], strict=True)]
        return _Push.apply(*given, *inputs, ctx.call)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> Any:
        # Never called where only directions are mapped over, and not the inputs themselves.
        raise InputError(NO_VMAP)


class _Push(torch.autograd.Function):
    """Directions of the inputs of a solve, with any leading axes, to those of its results.

    The inputs themselves are arguments because the derivatives depend on them, too.
    """

    @staticmethod
    def forward(
        y0_dot: Tensor, p_dot: Tensor, f_dot: Tensor, y0: Tensor, p: Tensor, f: Tensor, call: _Call
    ) -> tuple[Tensor, Tensor]:
        leading = y0_dot.shape[:-2]
        dots = [_array(dot.reshape(leading.numel(), *x.shape)) for dot, x in ((y0_dot, y0), (p_dot, p), (f_dot, f))]
        # As backwards, what arrives for a failed member is set aside.
        bad = [i for i, s in enumerate(call.result.status) if not s.ok]
        if not all(np.isfinite(np.delete(dot, bad, axis=1)).all() for dot in dots):
            raise TangentError("the direction that reaches the solve is not finite; look at what its inputs come from")
        found = call.engine.tangent(call.problem, call.result, *dots)
        call.check(found, Status.TANGENT, TangentError, "tangent")
        y_dot, q_dot = (torch.from_numpy(part) for part in (found.y, found.q))
        return y_dot.reshape(*leading, *y_dot.shape[1:]), q_dot.reshape(*leading, *q_dot.shape[1:])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> Any:
        raise AdjointError("a solve can be differentiated once: its tangents have no derivatives")

    @staticmethod
    def jvp(ctx: Any, *dots: Any) -> Any:
        raise TangentError("a solve can be differentiated once: its tangents have no derivatives")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, tuple[int, int]]:
        """All directions of a `vmap` in one call of the engine."""
        *tensors, call = inputs
        dims = in_dims[:6]
        if any(dim is not None for dim in dims[3:]):
            raise InputError(NO_VMAP)
        moved = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip(tensors[:3], dims[:3], strict=True)
        ]
        return _Push.apply(*moved, *tensors[3:], call), (0, 0)


def _moves(x: Tensor) -> bool:
    """May derivatives be asked for, backward or forward?"""
    return (x.requires_grad and torch.is_grad_enabled()) or forward_ad.unpack_dual(x).tangent is not None


def differentiable_solve(
    engine: Engine, system: System, options: Options, breaks: Any, y0: Tensor, p: Tensor, f: Tensor, throw: bool
) -> tuple[Tensor, Tensor, Forward]:
    """States at the breaks and integrals between them as differentiable tensors, with the report.

    Tensors are float64 on the CPU, shaped as in `Problem`. A failed member holds NaN; its gradient and
    its tangent are zero.

    Raises:
        AdjointError: in the backward pass, where an adjoint solve fails and `throw` is set.
        TangentError: where derivatives along the directions of dual tensors fail and `throw` is set.
    """
    call = _Call(engine, system, options, breaks, throw, any(_moves(x) for x in (y0, p, f)))
    y, q = _Solve.apply(y0, p, f, call)
    return y, q, call.result
