"""Products of second derivatives of a loss with a vector, which solvers of Newton's kind and Lanczos methods ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .arrays import Array
from .check.differences import extrapolated, within_bounds
from .checks import check_positive
from .errors import BoundsError, DtypeError, MissingNameError, ShapeError, UnknownNameError

# One tensor, or several by name, such as parameters or the weights of a network.
Variables = TypeVar("Variables", Tensor, Mapping[str, Tensor])

# The largest step changes no tensor by more than this share of its norm; it is halved until there are so many steps.
LARGEST, LEVELS = 0.04, 4


@dataclass(frozen=True, eq=False)
class HessianVectorProduct(Generic[Variables]):
    """What `hessian_vector_product` returns.

    Attributes:
        value: shaped as the variables. error: likewise, how far off each number may be, by the account of the
            extrapolation.
        step: the largest step that was taken, in units of the vector.
    """

    value: Variables
    error: Variables
    step: float


def gauss_newton_vector_product(
    function: Callable[[Variables], Tensor],
    loss: Callable[[Tensor], Tensor],
    x: Variables,
    vector: Variables,
) -> Variables:
    """`J^T H J v`, where J is the Jacobian of `function` at `x`, and H the Hessian of `loss` at what it returns.

    It is the Hessian of `loss(function(x))` but for what the curvature of `function` adds, and positive semidefinite
    where H is (Schraudolph 2002, Neural Computation 14, 1723). Exact: one solve, one direction pushed
    forward through it, and one adjoint; the derivatives of `loss` are PyTorch's.

    Args:
        function: takes what is shaped as `x` and returns a tensor of any shape; it may solve models.
        loss: takes that tensor and returns a scalar; it may be differentiated twice, so it solves nothing.
        x: a tensor, or tensors by name.
        vector: shaped as `x`.

    Returns:
        Shaped as `x`, without gradients of its own.

    Raises:
        DtypeError, ShapeError, MissingNameError, UnknownNameError, BoundsError: `x`, `vector`, or what is returned does not fit.
        TangentError, AdjointError: the derivatives of a member fail.
    """
    at, along = _pair(x, vector)
    leaves = {k: v.clone().requires_grad_() for k, v in at.items()}
    with torch.enable_grad(), forward_ad.dual_level():
        duals = {k: forward_ad.make_dual(v, along[k]) for k, v in leaves.items()}
        results = function(_like(duals, x))
        if not isinstance(results, Tensor) or not results.dtype.is_floating_point:
            raise DtypeError(f"function must return a floating-point tensor, got {_kind(results)}")
        results, change = forward_ad.unpack_dual(results)
    change = torch.zeros_like(results) if change is None else change.detach()
    with torch.enable_grad():
        here = results.detach().requires_grad_()
        (slope,) = _gradient(_scalar(loss(here)), (here,), create_graph=True)
        (bent,) = _gradient((slope * change).sum(), (here,))
        product = _gradient((results * bent.detach()).sum(), tuple(leaves.values()))
    return _like(dict(zip(leaves, product, strict=True)), x)


def hessian_vector_product(
    loss: Callable[[Variables], Tensor], x: Variables, vector: Variables, *, step: float | None = None
) -> HessianVectorProduct[Variables]:
    """The Hessian of `loss` at `x` times `vector`, with its error.

    A solve is differentiated once, so this is the derivative along the vector of gradients by adjoints: central
    differences over four halved steps, extrapolated for each number to a step of zero (Ridders 1982, Adv. Eng.
    Softw. 4(2)). It takes eight gradients. Kinks of `loss` and noise of the solves show in the error; what is off in
    gradients at all steps alike does not, which is about `rtol`. `gauss_newton_vector_product` is exact, and cheaper.

    Args:
        loss: takes what is shaped as `x` and returns a scalar; it may solve models.
        x: a tensor, or tensors by name. Those of different sizes are best given by name: the largest step changes
            none by more than 4 % of its norm.
        vector: shaped as `x`.
        step: the largest step, in units of `vector`, where not chosen in this way. Halved while `loss` is out of bounds.

    Raises:
        DtypeError, ShapeError, MissingNameError, UnknownNameError, BoundsError: `x`, `vector`, or the loss does not fit.
        SolverError, AdjointError: as of `loss` and its gradient.
    """
    at, along = _pair(x, vector)
    if step is not None:
        check_positive(step=step)
    largest = _largest(at, along) if step is None else float(step)
    gradients = dict[float, Array]()

    def gradient(length: float) -> Array:
        if length not in gradients:
            with torch.enable_grad():
                leaves = {k: (v + length * along[k]).requires_grad_() for k, v in at.items()}
                found = _gradient(_scalar(loss(_like(leaves, x))), tuple(leaves.values()))
            gradients[length] = np.concatenate([g.detach().reshape(-1).double().cpu().numpy() for g in found])
        return gradients[length]

    first = within_bounds(gradient, largest)
    steps = [first / 2**k for k in range(LEVELS)]
    value, error, _ = extrapolated(np.stack([(gradient(h) - gradient(-h)) / (2 * h) for h in steps]), 4)

    def apart(values: Array) -> Variables:
        parts = torch.from_numpy(values).split([v.numel() for v in at.values()])
        return _like({k: part.reshape(v.shape).to(v) for (k, v), part in zip(at.items(), parts, strict=True)}, x)

    return HessianVectorProduct(apart(value), apart(error), first)


def _largest(at: Mapping[str, Tensor], along: Mapping[str, Tensor]) -> float:
    """The step that changes none by more than `LARGEST` of its norm, or by `LARGEST` where that is zero."""
    ratios = [(x.norm().item() or 1.0) / moved for k, x in at.items() if (moved := along[k].norm().item()) > 0]
    return LARGEST * min(ratios, default=1.0)


def _pair(
    x: Tensor | Mapping[str, Tensor], vector: Tensor | Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Both by name, without gradients; raises where they do not fit."""
    at, along = _by_name(x, "x"), _by_name(vector, "vector")
    for name in along:
        if name not in at:
            raise UnknownNameError(f"vector has {name!r}, which x has not; that has {[*at]}")
    for name, value in at.items():
        if name not in along:
            raise MissingNameError(f"vector has no {name!r}, which x has")
        if along[name].shape != value.shape:
            raise ShapeError(f"{_named('vector', name)} is {tuple(along[name].shape)}, and x is {tuple(value.shape)}")
        if not torch.isfinite(along[name]).all():
            raise BoundsError(f"{_named('vector', name)} is not finite")
        along[name] = along[name].to(value)
    return at, along


def _by_name(variables: Tensor | Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    tensors = dict(variables) if isinstance(variables, Mapping) else {"": variables}
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or not value.dtype.is_floating_point:
            raise DtypeError(f"{_named(what, name)} must be a floating-point tensor, got {_kind(value)}")
    return {name: value.detach() for name, value in tensors.items()}


def _like(tensors: dict[str, Tensor], like: Variables) -> Variables:
    if isinstance(like, Mapping):
        return tensors
    return tensors[""]


def _named(what: str, name: str) -> str:
    return f"{what} {name!r}" if name else what


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__


def _scalar(value: Tensor) -> Tensor:
    if not isinstance(value, Tensor) or not value.dtype.is_floating_point:
        raise DtypeError(f"loss must return a floating-point tensor, got {_kind(value)}")
    if value.ndim != 0:
        raise ShapeError(f"loss must return a scalar, got a tensor {tuple(value.shape)}")
    return value


def _gradient(value: Tensor, to: tuple[Tensor, ...], create_graph: bool = False) -> tuple[Tensor, ...]:
    """Zero where nothing leads from `to` to `value`."""
    if not value.requires_grad:
        return tuple(torch.zeros_like(x) for x in to)
    return torch.autograd.grad(value, to, create_graph=create_graph, materialize_grads=True)
