"""Differentiable measures of how well simulated series agree with observed ones.

Every function takes `simulated` `(..., time)` and `observed`, a tensor or array that broadcasts to it,
and returns a tensor `(...)`: one value per leading index. Observations that are NaN are left out, and
carry no gradient. All raise `ShapeError` where the shapes do not fit and `InputError` where fewer than
two observations are left or the measure is not defined for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .errors import InputError, ShapeError

Loss = Callable[[Tensor, Any], Tensor]


def mse(simulated: Tensor, observed: Any) -> Tensor:
    """Mean squared error, `mean((s - o)^2)`, in the squared unit of the series."""
    s, o, valid = _paired(simulated, observed)
    return _mean((s - o) ** 2, valid)


def rmse(simulated: Tensor, observed: Any) -> Tensor:
    """Root mean squared error, `sqrt(mean((s - o)^2))`, in the unit of the series."""
    return _root(mse(simulated, observed))


def bias(simulated: Tensor, observed: Any) -> Tensor:
    """Relative bias, `sum(s - o) / sum(o)`: 0.1 is a simulated volume that is 10 % too large."""
    s, o, valid = _paired(simulated, observed)
    total = _mean(o, valid)
    _require((total != 0).all(), "the relative bias is not defined where the observations add up to zero")
    return _mean(s - o, valid) / total


def nse(simulated: Tensor, observed: Any) -> Tensor:
    """Nash-Sutcliffe efficiency, `1 - sum((s - o)^2) / sum((o - mean(o))^2)`; 1 is perfect.

    Source: Nash and Sutcliffe 1970, J. Hydrol. 10, eq 3.
    """
    s, o, valid = _paired(simulated, observed)
    spread = _mean((o - _mean(o, valid).unsqueeze(-1)) ** 2, valid)
    _require((spread > 0).all(), "the Nash-Sutcliffe efficiency is not defined for observations that are all equal")
    return 1 - _mean((s - o) ** 2, valid) / spread


def kge(simulated: Tensor, observed: Any) -> Tensor:
    """Kling-Gupta efficiency, `1 - sqrt((r - 1)^2 + (alpha - 1)^2 + (beta - 1)^2)`; 1 is perfect.

    `r` is the linear correlation, `alpha` the ratio of the standard deviations and `beta` the ratio of
    the means, simulated over observed. A simulation that is constant has no correlation; it counts as 0.

    Source: Gupta et al. 2009, J. Hydrol. 377, eqs 9 and 10.
    """
    s, o, valid = _paired(simulated, observed)
    mean_s, mean_o = _mean(s, valid), _mean(o, valid)
    from_s, from_o = s - mean_s.unsqueeze(-1), o - mean_o.unsqueeze(-1)
    sigma_s, sigma_o = _root(_mean(from_s**2, valid)), _root(_mean(from_o**2, valid))
    _require((sigma_o > 0).all(), "the Kling-Gupta efficiency is not defined for observations that are all equal")
    _require((mean_o != 0).all(), "the Kling-Gupta efficiency is not defined for observations of mean zero")
    varies = sigma_s > 0
    product = torch.where(varies, sigma_s, torch.ones_like(sigma_s)) * sigma_o
    r = torch.where(varies, _mean(from_s * from_o, valid) / product, torch.zeros_like(sigma_s))
    return 1 - _root((r - 1) ** 2 + (sigma_s / sigma_o - 1) ** 2 + (mean_s / mean_o - 1) ** 2)


# What an optimiser can be told to make small, by name.
LOSSES: dict[str, Loss] = {
    "nse": lambda simulated, observed: 1 - nse(simulated, observed),
    "kge": lambda simulated, observed: 1 - kge(simulated, observed),
    "mse": mse,
    "rmse": rmse,
}


def _paired(simulated: Tensor, observed: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Both series and the mask of valid observations; zeros stand where an observation is missing."""
    o = torch.as_tensor(observed).to(dtype=simulated.dtype, device=simulated.device)
    if simulated.ndim == 0 or o.ndim == 0 or simulated.shape[-1] != o.shape[-1]:
        raise ShapeError(
            f"simulated {tuple(simulated.shape)} and observed {tuple(o.shape)} must have the same number of times, last"
        )
    try:
        o = o.expand(simulated.shape)
    except RuntimeError as error:
        raise ShapeError(
            f"observed {tuple(o.shape)} does not broadcast to simulated {tuple(simulated.shape)}"
        ) from error
    _require(not torch.isinf(o).any(), "observations must be finite or NaN; at least one is infinite")
    valid = ~torch.isnan(o)
    fewest = int(valid.sum(-1).min()) if valid.numel() else 0
    _require(fewest >= 2, f"at least 2 valid observations are needed; there are {fewest} among {o.shape[-1]}")
    zero = torch.zeros_like(o)
    return torch.where(valid, simulated, zero), torch.where(valid, o, zero), valid


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return torch.where(valid, values, torch.zeros_like(values)).sum(-1) / valid.sum(-1)


def _root(x: Tensor) -> Tensor:
    """Square root whose slope at zero is zero instead of infinite: a perfect fit has no direction."""
    positive = x > 0
    root = torch.sqrt(torch.where(positive, x, torch.ones_like(x)))
    # NaN is not positive either and must stay NaN.
    return torch.where(positive, root, torch.where(torch.isnan(x), x, torch.zeros_like(x)))


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise InputError(message)
