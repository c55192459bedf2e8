"""Differentiable measures of how well simulated series agree with observed ones, as losses and as scores.

Every function takes `simulated` `(..., time)` and `observed`, a tensor or array that broadcasts to it,
and returns a tensor `(...)`: one value per leading index. Observations that are NaN are left out, and
carry no gradient. All raise `ShapeError` where the shapes do not fit and `InputError` where fewer than
two observations are left (one for a likelihood) or the measure is not defined for them.

`MEASURES` says of each which direction is better and what a perfect simulation scores; `LOSSES` holds what an
optimiser can make small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from ..arrays import Array, Numbers
from ..checks import check_positive
from .flow_duration import fhv, flv, fms
from .masked import constant, efficiency, flows, mean, paired, positive, ratio, require, root, total

Loss = Callable[[Tensor, Numbers], Tensor]
Score = TypeVar("Score", float, Tensor, Array)


@dataclass(frozen=True)
class Measure:
    """A measure with what is needed to read it.

    Attributes:
        function: `function(simulated, observed, **needs)`.
        better: "higher", "lower", or "target": the nearer to `perfect`, the better.
        perfect: what a perfect simulation scores; None where that depends on the data.
        unit: with `{unit}` for that of the series.
        needs: names of further arguments.
    """

    name: str
    function: Callable[..., Tensor]
    better: Literal["higher", "lower", "target"]
    perfect: float | None
    unit: str
    text: str
    source: str = ""
    needs: tuple[str, ...] = ()

    def badness(self, value: Score) -> Score:
        """What an optimiser makes small, of a score: zero is perfect, unless `perfect` is None."""
        best = self.perfect or 0.0
        if self.better == "target":
            return abs(value - best)
        return best - value if self.better == "higher" else value - best

    def loss(self, simulated: Tensor, observed: Numbers, **needs: Numbers) -> Tensor:
        """`badness` of a simulation, `(...)`, differentiable."""
        return self.badness(self.function(simulated, observed, **needs))


def mse(simulated: Tensor, observed: Numbers) -> Tensor:
    """Mean squared error, `mean((s - o)^2)`, in the squared unit of the series."""
    s, o, valid = paired(simulated, observed)
    return mean((s - o) ** 2, valid)


def rmse(simulated: Tensor, observed: Numbers) -> Tensor:
    """Root mean squared error, `sqrt(mean((s - o)^2))`, in the unit of the series."""
    return root(mse(simulated, observed))


def mae(simulated: Tensor, observed: Numbers) -> Tensor:
    """Mean absolute error, `mean(|s - o|)`, in the unit of the series; its slope where `s = o` is zero."""
    s, o, valid = paired(simulated, observed)
    return mean((s - o).abs(), valid)


def bias(simulated: Tensor, observed: Numbers) -> Tensor:
    """Relative bias, `sum(s - o) / sum(o)`: 0.1 is a simulated volume that is 10 % too large."""
    s, o, valid = paired(simulated, observed)
    volume = mean(o, valid)
    require((volume != 0).all(), "the relative bias is not defined where the observations add up to zero")
    return mean(s - o, valid) / volume


def percent_bias(simulated: Tensor, observed: Numbers) -> Tensor:
    """Relative bias in percent, `100 sum(s - o) / sum(o)`; positive where too much is simulated.

    Source: Yilmaz et al. 2008, Water Resour. Res. 44, eq A1 (%BiasRR). Others define it with the opposite sign.
    """
    return 100 * bias(simulated, observed)


def nse(simulated: Tensor, observed: Numbers) -> Tensor:
    """Nash-Sutcliffe efficiency, `1 - sum((s - o)^2) / sum((o - mean(o))^2)`; 1 is perfect.

    Source: Nash and Sutcliffe 1970, J. Hydrol. 10, eq 3.
    """
    s, o, valid = paired(simulated, observed)
    return efficiency(s, o, valid)


def log_nse(simulated: Tensor, observed: Numbers, *, fraction: float = 0.01) -> Tensor:
    """Nash-Sutcliffe efficiency of `log(flow + epsilon)`, which weighs low flows; 1 is perfect.

    `epsilon` is `fraction` of the mean observed flow: it gives days without flow a logarithm, and the measure
    does not depend on the unit. Negative simulated flows count as zero; negative observed ones are an `InputError`.

    Source: Pushpalatha et al. 2012, J. Hydrol. 420-421, who recommend a hundredth of the mean.
    """
    check_positive(fraction=fraction)
    s, o, valid = flows(simulated, observed)
    epsilon = fraction * mean(o, valid).unsqueeze(-1)
    return efficiency(torch.log(s + epsilon), torch.log(o + epsilon), valid)


class KGEComponents(NamedTuple):
    """Correlation, ratio of variability and ratio of means, simulated over observed, `(...)`; each is 1 if perfect."""

    correlation: Tensor
    variability: Tensor
    bias: Tensor


def kge_components(simulated: Tensor, observed: Numbers, *, version: int = 2009) -> KGEComponents:
    """The three components of the Kling-Gupta efficiency.

    Args:
        version: 2009 compares standard deviations (`alpha`), 2012 coefficients of variation (`gamma`), which a
            bias does not change.

    A simulation that is constant has no correlation, and one of mean zero no coefficient of variation; it
    counts as 0.

    Source: Gupta et al. 2009, J. Hydrol. 377, eqs 9 and 10; Kling et al. 2012, J. Hydrol. 424-425, eqs 1 to 3.
    """
    require(version in (2009, 2012), f"the Kling-Gupta efficiency has the versions 2009 and 2012, not {version}")
    simulated, seen, valid = paired(simulated, observed)
    mean_s, mean_o = mean(simulated, valid), mean(seen, valid)
    # The round-off in the mean of a constant simulation is no variation.
    same = constant(simulated, valid).unsqueeze(-1)
    from_s = torch.where(same, torch.zeros_like(simulated), simulated - mean_s.unsqueeze(-1))
    from_o = seen - mean_o.unsqueeze(-1)
    sigma_s, sigma_o = root(mean(from_s**2, valid)), root(mean(from_o**2, valid))
    undefined = "the Kling-Gupta efficiency is not defined for observations"
    require(not constant(seen, valid).any(), f"{undefined} that are all equal")
    require((mean_o != 0).all(), f"{undefined} of mean zero")
    r = ratio(mean(from_s * from_o, valid), sigma_s * sigma_o)
    alpha, beta = sigma_s / sigma_o, mean_s / mean_o
    return KGEComponents(r, alpha if version == 2009 else ratio(alpha, beta), beta)


def kge(simulated: Tensor, observed: Numbers) -> Tensor:
    """Kling-Gupta efficiency, `1 - sqrt((r - 1)^2 + (alpha - 1)^2 + (beta - 1)^2)`; 1 is perfect.

    `r` is the linear correlation, `alpha` the ratio of the standard deviations and `beta` the ratio of
    the means, simulated over observed. A simulation that is constant has no correlation; it counts as 0.

    Source: Gupta et al. 2009, J. Hydrol. 377, eqs 9 and 10.
    """
    return _from_components(kge_components(simulated, observed))


def kge_2012(simulated: Tensor, observed: Numbers) -> Tensor:
    """Kling-Gupta efficiency with the ratio of coefficients of variation in place of `alpha`; 1 is perfect.

    Source: Kling et al. 2012, J. Hydrol. 424-425, eqs 1 to 3.
    """
    return _from_components(kge_components(simulated, observed, version=2012))


def _from_components(parts: KGEComponents) -> Tensor:
    return 1 - root((parts.correlation - 1) ** 2 + (parts.variability - 1) ** 2 + (parts.bias - 1) ** 2)


def gaussian_log_likelihood(simulated: Tensor, observed: Numbers, sigma: Numbers) -> Tensor:
    """Logarithm of the likelihood of independent Gaussian errors, summed over the observations.

    Args:
        sigma: standard deviation of the errors, in the unit of the series; a positive number or a tensor that
            broadcasts to `simulated`. Gradients reach it.

    Source: Schoups and Vrugt 2010, Water Resour. Res. 46, without skew, kurtosis and correlation.
    """
    s, o, valid = paired(simulated, observed, fewest=1)
    spread = positive("sigma", sigma, s, valid)
    each = math.log(2 * math.pi) + 2 * torch.log(spread) + ((s - o) / spread) ** 2
    return -0.5 * total(each, valid)


def heteroscedastic_log_likelihood(simulated: Tensor, observed: Numbers, sigma_0: Numbers, sigma_1: Numbers) -> Tensor:
    """As `gaussian_log_likelihood`, with errors that grow with the flow: `sigma = sigma_0 + sigma_1 s`.

    Negative simulated flows count as zero in `sigma`.

    Args:
        sigma_0: standard deviation (unit of the series) at no flow, positive.
        sigma_1: its growth with simulated flow (1), zero or positive. Both broadcast to `simulated`.

    Source: Schoups and Vrugt 2010, Water Resour. Res. 46, eq 5, without skew, kurtosis and correlation.
    """
    s, _, valid = paired(simulated, observed, fewest=1)
    base = positive("sigma_0", sigma_0, s, valid)
    growth = positive("sigma_1", sigma_1, s, valid, zero=True)
    return gaussian_log_likelihood(simulated, observed, base + growth * torch.clamp(s, min=0.0))


# Units of measures of a series, and sources that several share.
SQUARED, SAME = "{unit}^2", "{unit}"
YILMAZ, SCHOUPS = "Yilmaz et al. 2008", "Schoups and Vrugt 2010"
GROWING = "log-likelihood of errors that grow with the flow"


def _measure(
    function: Callable[..., Tensor],
    better: Literal["higher", "lower", "target"],
    perfect: float | None,
    unit: str,
    text: str,
    source: str = "",
    *needs: str,
) -> Measure:
    """A measure by the name of its function."""
    return Measure(function.__name__, function, better, perfect, unit, text, source, needs)


MEASURES: dict[str, Measure] = {
    m.name: m
    for m in (
        _measure(nse, "higher", 1.0, "1", "Nash-Sutcliffe efficiency", "Nash and Sutcliffe 1970"),
        _measure(kge, "higher", 1.0, "1", "Kling-Gupta efficiency (2009)", "Gupta et al. 2009"),
        _measure(mse, "lower", 0.0, SQUARED, "mean squared error"),
        _measure(rmse, "lower", 0.0, SAME, "root mean squared error"),
        _measure(mae, "lower", 0.0, SAME, "mean absolute error"),
        _measure(log_nse, "higher", 1.0, "1", "Nash-Sutcliffe efficiency of logarithms", "Pushpalatha et al. 2012"),
        _measure(kge_2012, "higher", 1.0, "1", "Kling-Gupta efficiency (2012)", "Kling et al. 2012"),
        _measure(bias, "target", 0.0, "1", "relative bias"),
        _measure(percent_bias, "target", 0.0, "%", "percent bias", YILMAZ),
        _measure(fhv, "target", 0.0, "%", "bias of the highest 2 % of flows", YILMAZ),
        _measure(fms, "target", 0.0, "%", "bias of the slope of the flow duration curve", YILMAZ),
        _measure(flv, "target", 0.0, "%", "bias of the lowest 30 % of flows", YILMAZ),
        _measure(gaussian_log_likelihood, "higher", None, "1", "log-likelihood of Gaussian errors", SCHOUPS, "sigma"),
        _measure(heteroscedastic_log_likelihood, "higher", None, "1", GROWING, SCHOUPS, "sigma_0", "sigma_1"),
    )
}
"""Every measure by name, with its direction, perfect value and unit; reports and optimisers read them here."""

LOSSES: dict[str, Loss] = {k: m.loss for k, m in MEASURES.items() if m.better != "target" and not m.needs}
"""What an optimiser can be told to make small, by name. A bias alone says too little to be among them."""
