"""Pairs of simulated and observed series with gaps: what the measures of agreement are made of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..arrays import Numbers
from ..errors import DtypeError, InputError, ShapeError


def paired(simulated: Tensor, observed: Numbers, fewest: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Both series `(..., time)` and the mask of valid observations; zeros stand where an observation is missing.

    Raises:
        DtypeError: no numbers. ShapeError: lengths differ. InputError: fewer than `fewest` observations are valid.
    """
    if not isinstance(simulated, Tensor) or not simulated.dtype.is_floating_point:
        got = simulated.dtype if isinstance(simulated, Tensor) else type(simulated).__name__
        raise DtypeError(f"simulated must be a floating-point tensor, got {got}")
    seen = as_like(observed, simulated, "observed")
    if simulated.ndim == 0 or seen.ndim == 0 or simulated.shape[-1] != seen.shape[-1]:
        shapes = f"simulated {tuple(simulated.shape)} and observed {tuple(seen.shape)}"
        raise ShapeError(f"{shapes} must have the same number of times, last")
    seen = expanded("observed", seen, simulated)
    require(not torch.isinf(seen).any(), "observations must be finite or NaN; at least one is infinite")
    valid = ~torch.isnan(seen)
    count = int(valid.sum(-1).min()) if valid.numel() else 0
    needed = f"at least {fewest} valid observation{'s are' if fewest > 1 else ' is'} needed"
    require(count >= fewest, f"{needed}; there are {count} among {seen.shape[-1]}")
    zero = torch.zeros_like(seen)
    return torch.where(valid, simulated, zero), torch.where(valid, seen, zero), valid


def flows(simulated: Tensor, observed: Numbers) -> tuple[Tensor, Tensor, Tensor]:
    """As `paired`, of flows that are not negative and not all zero."""
    s, o, valid = paired(simulated, observed)
    require((o >= 0).all(), "logarithms need observed flows of zero or more; at least one is negative")
    require((total(o, valid) > 0).all(), "logarithms need observed flows that are not all zero")
    return torch.clamp(s, min=0.0), o, valid


def total(values: Tensor, valid: Tensor) -> Tensor:
    """Sum over the last axis of what is valid, `(...)`."""
    return torch.where(valid, values, torch.zeros_like(values)).sum(-1)


def mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over the last axis of what is valid, `(...)`."""
    return total(values, valid) / valid.sum(-1)


def constant(values: Tensor, valid: Tensor) -> Tensor:
    """Which series have equal valid values, `(...)`; by round-off their variance may be positive all the same."""
    low, high = (torch.where(valid, values.detach(), end) for end in (torch.inf, -torch.inf))
    return low.amin(-1) == high.amax(-1)


def efficiency(s: Tensor, o: Tensor, valid: Tensor) -> Tensor:
    """One minus the squared error over that of the mean observation (Nash and Sutcliffe 1970, eq 3)."""
    require(
        not constant(o, valid).any(), "the Nash-Sutcliffe efficiency is not defined for observations that are all equal"
    )
    spread = mean((o - mean(o, valid).unsqueeze(-1)) ** 2, valid)
    return 1 - mean((s - o) ** 2, valid) / spread


def root(x: Tensor) -> Tensor:
    """Square root whose slope at zero is zero instead of infinite: a perfect fit has no direction."""
    positive = x > 0
    root = torch.sqrt(torch.where(positive, x, torch.ones_like(x)))
    # NaN is not positive either and must stay NaN.
    return torch.where(positive, root, torch.where(torch.isnan(x), x, torch.zeros_like(x)))


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """`a / b`, and zero without slope where `b` is zero."""
    some = b != 0
    return torch.where(some, a / torch.where(some, b, torch.ones_like(b)), torch.zeros_like(a))


def positive(name: str, value: Numbers, like: Tensor, valid: Tensor, *, zero: bool = False) -> Tensor:
    """`value` spread over the series; raises unless positive (or zero, where allowed) wherever it is needed."""
    v = expanded(name, as_like(value, like, name), like)
    v = torch.where(valid, v, torch.ones_like(v))
    good = torch.isfinite(v) & ((v >= 0) if zero else (v > 0))
    require(good.all(), f"{name} must be {'zero or more' if zero else 'positive'} and finite")
    return v


def as_like(values: object, like: Tensor, name: str = "values") -> Tensor:
    """Numbers as a tensor of the type of another. Without it plain floats are rounded to single precision."""
    try:
        # What is masked is missing, whatever lies below the mask.
        numbers = np.ma.filled(values.astype(np.float64), np.nan) if isinstance(values, np.ma.MaskedArray) else values
        if isinstance(numbers, (str, bytes, bytearray)):  # bytes would be read as their codes
            raise TypeError(type(numbers).__name__)
        if isinstance(numbers, Tensor) and numbers.is_complex():
            raise TypeError(numbers.dtype)
        return torch.as_tensor(numbers, dtype=like.dtype, device=like.device)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DtypeError(f"{name} must be numbers, got {type(values).__name__} ({error})") from error


def expanded(name: str, values: Tensor, like: Tensor) -> Tensor:
    """Values in the shape of another tensor; raises `ShapeError` where they do not broadcast to it."""
    try:
        return values.expand(like.shape)
    except RuntimeError as error:
        raise ShapeError(f"{name} {tuple(values.shape)} does not broadcast to simulated {tuple(like.shape)}") from error


def require(condition: object, message: str) -> None:
    """Raises `InputError` with the message unless the condition holds."""
    if not condition:
        raise InputError(message)
