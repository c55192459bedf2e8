"""The one place where a solve becomes a node of PyTorch's graph; it serves every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import AdjointError
from .base import Engine, Forward, Options, Problem, Status
from .kernels import System


def _array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.ascontiguousarray(tensor.detach().numpy())


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y0: Tensor, p: Tensor, f: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
        problem = Problem(call.system, call.options, call.breaks, _array(y0), _array(p), _array(f))
        result = call.engine.forward(problem, any(ctx.needs_input_grad[:3]))
        call.result = result
        ctx.problem, ctx.result, ctx.engine, ctx.throw = problem, result, call.engine, call.throw
        return torch.from_numpy(result.y), torch.from_numpy(result.q)

    @staticmethod
    def backward(ctx: Any, y_bar: Tensor, q_bar: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise AdjointError(
                "a solve can be differentiated once: create_graph=True would drop its second derivatives"
            )
        result: Forward = ctx.result
        # A failed member has no solution to differentiate: what arrives for it is set aside.
        good = torch.tensor([s.ok for s in result.status]).reshape(-1, 1, 1)
        seeds = [_array(torch.where(good, bar, torch.zeros_like(bar))) for bar in (y_bar, q_bar)]
        if not all(np.isfinite(s).all() for s in seeds):
            raise AdjointError("the gradient that reaches the solution is not finite; look at the loss")
        gradients = ctx.engine.backward(ctx.problem, result, *seeds)
        bad = [i for i, s in enumerate(gradients.status) if not s.ok and result.status[i].ok]
        for i in bad:
            result.status[i], result.reasons[i] = Status.ADJOINT, gradients.reasons.get(i, "")
        if bad and ctx.throw:
            raise AdjointError(
                f"the adjoint solve failed for {len(bad)} of {len(result.status)} members; "
                f"member {bad[0]}: {gradients.status[bad[0]].value} {gradients.reasons.get(bad[0], '')}".rstrip()
            )
        result.stats.update(gradients.stats)
        return torch.from_numpy(gradients.y0), torch.from_numpy(gradients.p), torch.from_numpy(gradients.f), None


class _Call:
    """Carries what is not a tensor into the node, and the engine's report out of it."""

    def __init__(self, engine: Engine, system: System, options: Options, breaks: Any, throw: bool) -> None:
        self.engine, self.system, self.options, self.breaks, self.throw = engine, system, options, breaks, throw
        self.result: Forward | None = None


def differentiable_solve(
    engine: Engine, system: System, options: Options, breaks: Any, y0: Tensor, p: Tensor, f: Tensor, throw: bool
) -> tuple[Tensor, Tensor, Forward]:
    """States at the breaks and integrals between them as differentiable tensors, with the report.

    Tensors are float64 on the CPU, shaped as in `Problem`. A failed member holds NaN and gets a
    gradient of zero.

    Raises:
        AdjointError: in the backward pass, where an adjoint solve fails and `throw` is set.
    """
    call = _Call(engine, system, options, breaks, throw)
    y, q = _Solve.apply(y0, p, f, call)
    assert call.result is not None
    return y, q, call.result
