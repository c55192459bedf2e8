"""Measures of the flow duration curve: high flows, low flows, and the slope between them.

Shapes, gaps and errors are those of `losses`, where these measures can be had as well. Flows count as at
least a millionth of the mean observed flow, since a dry river has no logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..arrays import Numbers
from ..errors import InputError
from .masked import flows, mean, paired, require, root, total

DRY = 1e-6


def fhv(simulated: Tensor, observed: Numbers) -> Tensor:
    """Bias of the highest flows (%), those with an exceedance probability below 0.02; 0 is perfect.

    The flow of rank `h` among `n`, from the highest, is exceeded with the probability `h / (n + 1)`. Both
    curves are sorted: when a flow occurs does not matter. Needs 50 observations.

    Source: Yilmaz et al. 2008, Water Resour. Res. 44, eq A3.
    """
    s, o, n = _duration_curves(simulated, observed)
    require((n >= 50).all(), f"flows exceeded in less than 2 % of the time need 50 valid observations, not {n.min()}")
    high = torch.arange(1, s.shape[-1] + 1, device=s.device) < 0.02 * (n.double() + 1)
    volume = total(o, high)
    return 100 * total(s - o, high) / volume


def fms(simulated: Tensor, observed: Numbers) -> Tensor:
    """Bias of the slope of the flow duration curve (%) between the exceedance probabilities 0.2 and 0.7.

    The slope is that of the logarithm of the flow; positive is a basin that is too flashy, 0 is perfect. The
    curve is linear between ranks.

    Source: Yilmaz et al. 2008, Water Resour. Res. 44, eq A2.
    """
    s, o, n = _duration_curves(simulated, observed)
    slopes = [torch.log(_exceeded(q, n, 0.2)) - torch.log(_exceeded(q, n, 0.7)) for q in (s, o)]
    require((slopes[1] > 0).all(), "the slope of the flow duration curve is zero for these observations")
    return 100 * (slopes[0] - slopes[1]) / slopes[1]


def flv(simulated: Tensor, observed: Numbers) -> Tensor:
    """Bias of the lowest flows (%), those with an exceedance probability of 0.7 or more; 0 is perfect.

    Compares how far the logarithms of low flows rise above that of the lowest one; positive where simulated
    low flows fall off less than observed ones.

    Source: Yilmaz et al. 2008, Water Resour. Res. 44, eq A4.
    """
    s, o, n = _duration_curves(simulated, observed)
    rank = torch.arange(1, s.shape[-1] + 1, device=s.device)
    low = (rank >= 0.7 * (n.double() + 1)) & (rank <= n)
    rise_s, rise_o = (total(torch.log(q) - torch.log(q.gather(-1, n - 1)), low) for q in (s, o))
    require((rise_o > 0).all(), "the bias of low flows is not defined where observed low flows are all equal")
    return -100 * (rise_s - rise_o) / rise_o


def flow_duration_curve(flow: Tensor, exceedance: Sequence[float]) -> Tensor:
    """Flows that are exceeded with these probabilities, `(..., len(exceedance))`, of a series `(..., time)`.

    The flow of rank `h` among `n`, from the highest, is exceeded with the probability `h / (n + 1)`; the curve is linear
    between ranks, and ends with them. Differentiable. NaN are gaps and left out: leave out the same days of a simulation.

    Raises:
        InputError: a probability is not between 0 and 1, or a series has no values.
    """
    if not exceedance or not all(0 < p < 1 for p in exceedance):
        raise InputError(f"probabilities of exceedance lie between 0 and 1, got {list(exceedance)}")
    valid = ~torch.isnan(flow)
    n = valid.sum(-1, keepdim=True)
    require((n > 0).all(), "a flow duration curve needs flows; a series has none")
    curve = torch.where(valid, flow, -torch.inf).sort(-1, descending=True).values
    return torch.stack([_exceeded(curve, n, p) for p in exceedance], -1)


def rms_log_ratio(found: Tensor, wanted: Numbers) -> Tensor:
    """Root of the mean squared ln(found / wanted) along the last axis, `(...)`: of spectra or flow duration curves.

    0.1 is an error of about a tenth. Both are positive; NaN among the wanted are left out.

    Raises:
        InputError: wanted values are not positive, or fewer than two. ShapeError: the shapes do not fit.
    """
    s, o, valid = paired(found, wanted)
    require(((o > 0) | ~valid).all(), "logarithms need positive values; at least one that is wanted is not")
    one = torch.ones_like(s)
    return root(mean((torch.where(valid, s, one).log() - torch.where(valid, o, one).log()) ** 2, valid))


def _duration_curves(simulated: Tensor, observed: Numbers) -> tuple[Tensor, Tensor, Tensor]:
    """Both flows from the highest to the lowest, and how many are valid `(..., 1)`; these come first."""
    s, o, valid = flows(simulated, observed)
    floor = DRY * mean(o, valid).unsqueeze(-1)
    # NaN would be sorted to one end, and leave measures of the other end as if nothing had happened.
    s = s + torch.where(torch.isnan(s).any(-1, keepdim=True), math.nan, 0.0)
    # Missing ones lie below all others, and so behind them.
    curves = [torch.where(valid, torch.maximum(q, floor), floor / 2).sort(-1, descending=True).values for q in (s, o)]
    return curves[0], curves[1], valid.sum(-1, keepdim=True)


def _exceeded(curve: Tensor, n: Tensor, probability: float) -> Tensor:
    """The flow that is exceeded with a probability, `(...)`, linear between ranks."""
    count = n.double()
    rank = (probability * (count + 1)).clamp(min=1.0).minimum(count) - 1
    below = rank.floor().long()
    weight = (rank - below).to(curve.dtype)
    left, right = curve.gather(-1, below), curve.gather(-1, torch.minimum(below + 1, n - 1))
    return (left + (right - left) * weight).squeeze(-1)
