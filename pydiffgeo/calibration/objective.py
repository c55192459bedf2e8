"""What a calibration makes small: a loss over observations, its residuals, and priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import check_switch, is_pair
from ..errors import InputError, UnknownNameError
from ..losses import LOSSES, gaussian_log_likelihood
from ..observe import Observation, misfit
from ..pairs import efficiency, mean, paired
from ..solve import Solution

LIKELIHOODS = ("gaussian", "heteroscedastic")
MISFITS = (*LIKELIHOODS, "mean_square")
# Losses that are sums of squares, for which Gauss-Newton steps are defined.
SQUARES = ("nse", "mse", "gaussian", "mean_square")


@dataclass(frozen=True)
class Prior:
    """What is known of a value ahead of the data: a normal distribution of it, or of its logarithm.

    Attributes:
        mean: in the unit of the value. spread: standard deviation, in the same unit, or of the natural
            logarithm where `log` is set.

    Raises:
        InputError: numbers that are not finite, a spread that is not positive, or a logarithm of a mean that is not.
    """

    mean: float
    spread: float
    log: bool = False

    def __post_init__(self) -> None:
        check_switch(log=self.log)
        if not is_pair((self.mean, self.spread)) or not self.spread > 0 or (self.log and not self.mean > 0):
            raise InputError(
                f"a prior needs a finite mean and a positive spread, and a positive mean where it is logarithmic, got {self}"
            )

    def deviation(self, value: Tensor) -> Tensor:
        """Distance from the mean in units of the spread, elementwise."""
        if self.log:
            return (torch.log(value) - torch.log(torch.tensor(self.mean, dtype=torch.float64))) / self.spread
        return (value - self.mean) / self.spread


def check_loss(name: str) -> None:
    """Raises `UnknownNameError` unless `name` is a loss."""
    if not isinstance(name, str) or (name not in LOSSES and name not in MISFITS):
        raise UnknownNameError(f"the loss {name!r} is unknown; there are {[*LOSSES, *MISFITS]}")


def loss(solution: Solution, observations: Sequence[Observation], name: str) -> Tensor:
    """The loss of each member, `(members,)`, which must all have been solved.

    A misfit weighs each observation by its error (see `observe.misfit`). Any other measure is that of each
    series, of which the mean is taken; the efficiency "nse" is that of the series in units of its error, which
    changes nothing unless errors differ within it (see `observe.even_years`).
    """
    if name in MISFITS:
        return misfit(solution, observations, likelihood=name).reshape(-1)  # type: ignore[arg-type]
    measure = LOSSES[name]
    scales = [o.error if name == "nse" else 1.0 for o in observations]
    each = [measure(o.simulated(solution) / e, o.values / e) for o, e in zip(observations, scales, strict=True)]
    return torch.stack(each).mean(0).reshape(-1)


def residuals(solution: Solution, observations: Sequence[Observation], name: str) -> Tensor:
    """Residuals `(members, n)` whose squares add up to the loss, but for a constant of the Gaussian misfit.

    Gaps have residuals of zero. The name must be in `SQUARES`.
    """
    parts = []
    for o in observations:
        scale = o.error if name == "nse" else 1.0
        s, seen, valid = paired(o.simulated(solution) / scale, o.values / scale, fewest=1)
        count, series = valid.sum(-1, keepdim=True), len(observations)
        if name == "nse":
            # One minus the efficiency of a simulation that differs by one: the sum of squares it is relative to.
            efficiency(s, seen, valid)
            spread = torch.where(valid, seen - mean(seen, valid).unsqueeze(-1), 0.0).pow(2).sum(-1, keepdim=True)
            weight = (series * spread).rsqrt()
        elif name == "mse":
            weight = (series * count).rsqrt()
        elif name == "gaussian":
            weight = 0.5**0.5 / o.error
        else:
            weight = (series * count).rsqrt() / o.error
        parts.append(torch.where(valid, (s - seen) * weight, 0.0))
    return torch.cat([p.reshape(-1, p.shape[-1]) for p in parts], dim=1)


def least(observations: Sequence[Observation], name: str) -> float:
    """The loss where all residuals are zero; the name must be in `SQUARES`."""
    if name != "gaussian":
        return 0.0
    return -sum(float(gaussian_log_likelihood(torch.nan_to_num(o.values), o.values, o.error)) for o in observations)


def prior_weight(observations: Sequence[Observation], name: str) -> float:
    """What half a squared deviation from a prior weighs in a loss.

    One in a likelihood, whose smallest negative logarithm is then the posterior mode. A measure that is an
    average, or relative to one, is about `2 / n` of that for `n` observations, and half of it near an
    efficiency of one half, where residuals have half the variance of the observations.
    """
    if name in LIKELIHOODS:
        return 1.0
    count = sum(int((~torch.isnan(o.values)).sum()) for o in observations)
    return (2.0 if name == "mean_square" else 1.0) / max(count, 1)


def deviations(values: Mapping[str, Tensor], priors: Mapping[str, Prior]) -> Tensor:
    """Deviations of calibrated values from their priors, `(members, priors)`."""
    return torch.cat([prior.deviation(values[name]) for name, prior in priors.items()], dim=1)
