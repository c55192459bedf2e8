"""The one place where a solve becomes a node of PyTorch's graph; it serves every engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NoReturn, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import FunctionCtx
from typing_extensions import Unpack

from ..arrays import Array
from ..errors import AdjointError, TangentError
from ..looking import Mapped
from .base import Forward, Gradients, Options, Problem, Solver, Status, Tangents, add_stats
from .ir.held import held, pull_held, push_held
from .ir.hoisted import prepare, pull_prepared, push_prepared
from .ir.kernels import System
from .older_vmap import over_leading_axes
from .reuse import solved_once

ONCE = (
    "a solve can be differentiated once, and second derivatives were asked for: by a derivative of a derivative, such as "
    "torch.func.hessian or what follows create_graph=True. Use pydiffgeo.gauss_newton_vector_product or "
    "pydiffgeo.hessian_vector_product, which differences gradients; or torch.func.jvp, which needs first derivatives only, "
    "for torch.autograd.functional.jvp"
)


F = TypeVar("F", bound=Callable[..., tuple[Tensor, ...]])
# For each argument of a function that is mapped over: along which axis, or None for the same in all.
Axes = tuple[int | None, ...]

# What is seen of a tensor by the older of PyTorch's two kinds of `vmap`, where `over_leading_axes` does not know it.
OLD_VMAP = (
    "is_grads_batched=True, and vectorize=True of torch.autograd.functional, cannot pass through a solve with this "
    "version of PyTorch; use torch.func.jacrev or torch.func.jacfwd, or leave them out"
)


def _array(tensor: Tensor) -> Array:
    try:
        return np.ascontiguousarray(tensor.detach().numpy())
    except RuntimeError as error:
        raise AdjointError(OLD_VMAP) from error


def _signed(forward: F) -> F:
    """The same function, its signature at hand: PyTorch asks for it at every call, and finding it takes a tenth of one."""
    forward.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    return forward


class _Call:
    """Carries what is not a tensor into a node, and the engine's report out of it."""

    def __init__(
        self, engine: Solver, system: System, options: Options, breaks: Array, throw: bool, differentiate: bool
    ) -> None:
        self.engine, self.system, self.options, self.breaks = engine, system, options, breaks
        self.throw, self.differentiate = throw, differentiate
        self.problem: Problem
        self.result: Forward

    def check(self, derivatives: Gradients | Tangents, status: Status, error: type[Exception], what: str) -> None:
        """Notes which members have no derivatives; raises where there are any and the call says so."""
        result = self.result
        bad = [i for i, s in enumerate(derivatives.status) if not s.ok and result.status[i].ok]
        for i in bad:
            result.status[i], result.reasons[i] = status, derivatives.reasons.get(i, "")
        if bad and self.throw:
            raise error(
                f"the {what} failed for {len(bad)} of {len(result.status)} members; "
                f"member {bad[0]}: {derivatives.status[bad[0]].value} {derivatives.reasons.get(bad[0], '')}".rstrip()
            )
        add_stats(result.stats, derivatives.stats)


def _moved(x: Tensor, dim: int | None, size: int, at: int) -> Tensor:
    """`x` of a `vmap`, with what is mapped over as axis `at`; repeated along it where `x` is the same for all."""
    return x.unsqueeze(at).expand(*x.shape[:at], size, *x.shape[at:]) if dim is None else x.movedim(dim, at)


def _as_members(x: Tensor, dim: int | None, size: int, lead: int = 0) -> Tensor:
    """What is mapped over joins the members, the axis after `lead` leading ones."""
    return _moved(x, dim, size, lead).flatten(lead, lead + 1)


def _apart(x: Tensor, size: int, lead: int = 0) -> Tensor:
    """The inverse of `_as_members`."""
    return x.unflatten(lead, (size, -1))


# Arguments of the node of a solve, `y0`, `p`, `f` and the call; and what a rule for `vmap` returns.
Arguments = tuple[Tensor, Tensor, Tensor, _Call]
Results = tuple[tuple[Tensor, ...], tuple[int, ...]]


class _Context(FunctionCtx):
    """What PyTorch keeps of a node for its derivatives."""

    call: _Call
    saved_tensors: tuple[Tensor, Tensor, Tensor]


class _Solve(torch.autograd.Function):
    @staticmethod
    @_signed
    def forward(y0: Tensor, p: Tensor, f: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
        full = prepare(call.system, _array(p))
        forcing = held(call.system, full, _array(f))
        call.problem = Problem(call.system, call.options, call.breaks, _array(y0), full, forcing)
        call.result = solved_once(
            call.engine, call.problem, lambda: call.engine.forward(call.problem, call.differentiate)
        )
        return torch.from_numpy(call.result.y), torch.from_numpy(call.result.q)

    @staticmethod
    def setup_context(ctx: _Context, inputs: Arguments, output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.call = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: _Context, y_bar: Tensor, q_bar: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        return (*over_leading_axes(lambda *bars: _Pull.apply(*bars, *inputs, ctx.call), y_bar, q_bar), None)

    @staticmethod
    def jvp(ctx: _Context, *dots: Tensor | None) -> tuple[Tensor, Tensor]:
        inputs = ctx.saved_tensors
        directions = [torch.zeros_like(x) if dot is None else dot for x, dot in zip(inputs, dots[:3], strict=True)]
        y_dot, q_dot = over_leading_axes(lambda *dots: _Push.apply(*dots, *inputs, ctx.call), *directions)
        return y_dot, q_dot

    @staticmethod
    def vmap(info: Mapped, in_dims: Axes, *arguments: Unpack[Arguments]) -> Results:
        """What is mapped over are members of one batch. (Never called where only directions are mapped over.)"""
        *inputs, call = arguments
        members = [_as_members(x, dim, info.batch_size) for x, dim in zip(inputs, in_dims[:3], strict=True)]
        # Only here, outside of the map, do tensors say what is asked of them.
        call.differentiate |= any(map(moves, members))
        return tuple(_apart(x, info.batch_size) for x in _Solve.apply(*members, call)), (0, 0)


class _Linear(torch.autograd.Function):
    """What is linear in its first arguments and depends on the inputs of the solve, the three before the call, as well.

    The linear arguments may have leading axes, the same for all. Under `vmap` what is mapped over becomes members
    where the inputs of the solve are mapped over, as in `_Solve`, and one more leading axis where they are not.
    """

    axes: int  # of the first argument, without leading ones

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor | _Call, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: FunctionCtx, *bars: Tensor) -> NoReturn:
        raise AdjointError(ONCE)

    @classmethod
    def map_over(cls, info: Mapped, in_dims: Axes, linear: tuple[Tensor, ...], arguments: Arguments) -> Results:
        *inputs, call = arguments
        dims, size = in_dims[: len(linear)], info.batch_size
        if all(dim is None for dim in in_dims[len(linear) : -1]):
            moved = (_moved(x, dim, size, 0) for x, dim in zip(linear, dims, strict=True))
            results = cls.apply(*moved, *inputs, call)
            return results, (0,) * len(results)
        solved = [_as_members(x, dim, size) for x, dim in zip(inputs, in_dims[len(linear) : -1], strict=True)]
        lead = linear[0].ndim - (dims[0] is not None) - cls.axes
        joined = [_as_members(x, dim, size, lead) for x, dim in zip(linear, dims, strict=True)]
        results = cls.apply(*joined, *solved, call)
        return tuple(_apart(x, size, lead) for x in results), (lead,) * len(results)


class _Pull(_Linear):
    """Gradients to the results of a solve, with any leading axes, to those to its inputs."""

    axes = 3

    @staticmethod
    @_signed
    def forward(
        y_bar: Tensor, q_bar: Tensor, y0: Tensor, p: Tensor, f: Tensor, call: _Call
    ) -> tuple[Tensor, Tensor, Tensor]:
        leading = y_bar.shape[:-3]
        # A failed member has no solution to differentiate: what arrives for it is set aside.
        bad = [i for i, s in enumerate(call.result.status) if not s.ok]
        seeds = [_array(bar.reshape(leading.numel(), *bar.shape[-3:])) for bar in (y_bar, q_bar)]
        if bad:
            seeds = [np.where(np.isin(np.arange(s.shape[1]), bad)[:, None, None], 0.0, s) for s in seeds]
        if not all(np.isfinite(s).all() for s in seeds):
            raise AdjointError("the gradient that reaches the solution is not finite; look at the loss")
        inputs_bar = []
        for seed in zip(*seeds, strict=True):
            gradients = call.engine.backward(call.problem, call.result, *seed)
            call.check(gradients, Status.ADJOINT, AdjointError, "adjoint solve")
            full_bar, f_bar = pull_held(call.system, call.problem.p, _array(f), gradients.p, gradients.f)
            given_bar = pull_prepared(call.system, _array(p), full_bar)
            # What is prepared may have failed it: zero times a slope that is none.
            given_bar[bad] = f_bar[bad] = 0.0
            inputs_bar.append((gradients.y0, given_bar, f_bar))
        y0_bar, p_bar, forcing_bar = (
            torch.from_numpy(np.stack([one[k] for one in inputs_bar])).reshape(*leading, *x.shape)
            for k, x in enumerate((y0, p, f))
        )
        return y0_bar, p_bar, forcing_bar

    @staticmethod
    def jvp(ctx: FunctionCtx, *dots: Tensor | None) -> NoReturn:
        raise AdjointError(ONCE)

    @staticmethod
    def vmap(info: Mapped, in_dims: Axes, y_bar: Tensor, q_bar: Tensor, *arguments: Unpack[Arguments]) -> Results:
        return _Pull.map_over(info, in_dims, (y_bar, q_bar), arguments)


class _Push(_Linear):
    """Directions of the inputs of a solve, with any leading axes, to those of its results."""

    axes = 2

    @staticmethod
    @_signed
    def forward(
        y0_dot: Tensor, p_dot: Tensor, f_dot: Tensor, y0: Tensor, p: Tensor, f: Tensor, call: _Call
    ) -> tuple[Tensor, Tensor]:
        leading = y0_dot.shape[:-2]
        dots = [_array(dot.reshape(leading.numel(), *x.shape)) for dot, x in ((y0_dot, y0), (p_dot, p), (f_dot, f))]
        # As backwards, what arrives for a failed member is set aside.
        bad = [i for i, s in enumerate(call.result.status) if not s.ok]
        if not all(np.isfinite(np.delete(dot, bad, axis=1)).all() for dot in dots):
            raise TangentError("the direction that reaches the solve is not finite; look at what its inputs come from")
        dots[1] = push_prepared(call.system, _array(p), dots[1])
        dots[2] = push_held(call.system, call.problem.p, _array(f), dots[1], dots[2])
        tangents = call.engine.tangent(call.problem, call.result, *dots)
        call.check(tangents, Status.TANGENT, TangentError, "tangent")
        y_dot, q_dot = torch.from_numpy(tangents.y), torch.from_numpy(tangents.q)
        return y_dot.reshape(*leading, *y_dot.shape[1:]), q_dot.reshape(*leading, *q_dot.shape[1:])

    @staticmethod
    def jvp(ctx: FunctionCtx, *dots: Tensor | None) -> NoReturn:
        raise TangentError(ONCE)

    @staticmethod
    def vmap(
        info: Mapped, in_dims: Axes, y0_dot: Tensor, p_dot: Tensor, f_dot: Tensor, *arguments: Unpack[Arguments]
    ) -> Results:
        return _Push.map_over(info, in_dims, (y0_dot, p_dot, f_dot), arguments)


def has_tangent(x: Tensor) -> bool:
    """Is `x` a dual tensor of forward mode, or may it be one?"""
    try:
        return forward_ad.unpack_dual(x).tangent is not None
    except RuntimeError:  # what `torch.vmap` maps over does not say, within a level of forward mode
        return True


def moves(x: Tensor) -> bool:
    """May derivatives be asked for, backward or forward?"""
    return (x.requires_grad and torch.is_grad_enabled()) or has_tangent(x)


def differentiable_solve(
    engine: Solver, system: System, options: Options, breaks: Array, y0: Tensor, p: Tensor, f: Tensor, throw: bool
) -> tuple[Tensor, Tensor, Forward]:
    """States at the breaks and integrals between them as differentiable tensors, with the report.

    Tensors are float64 on the CPU, shaped as in `Problem`, parameters without the prepared ones. A failed member holds NaN; its gradient and
    its tangent are zero.

    Raises:
        AdjointError: in the backward pass, where an adjoint solve fails and `throw` is set.
        TangentError: where derivatives along the directions of dual tensors fail and `throw` is set.
    """
    call = _Call(engine, system, options, breaks, throw, any(map(moves, (y0, p, f))))
    y, q = _Solve.apply(y0, p, f, call)
    return y, q, call.result
