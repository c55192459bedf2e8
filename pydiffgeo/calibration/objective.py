"""What a calibration makes small: a loss over observations, its residuals, and priors.

A prior multiplies a likelihood, so a loss has to be one. "gaussian" and "heteroscedastic" are the negative logarithm
of one, with errors as stated, to which priors add half the squares of their deviations `z` (in units of their spread).
The losses of `POWERS` leave the size of errors open: they are means of `|residual|^p` with fixed weights, and if errors
have that distribution (normal for p = 2, Laplace's for p = 1) but an unknown size, the negative logarithm of the
likelihood of `n` observations is `(n / p) log(loss)` and a constant, at the size of errors that suits each simulation
best; integrated over all sizes, with a prior of `1 / size` for it, it is the same (Box and Tiao 1973, Bayesian
Inference in Statistical Analysis, section 2.4). With priors this takes the place of the loss, `z'z / 2` is added, and
the posterior mode is the minimum. Neither units nor the size of stated errors move it. All other losses say nothing of
errors, and priors with them are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..checks import check_switch, is_pair, shown
from ..errors import BoundsError, InputError, UnknownNameError
from ..losses.masked import efficiency, mean, paired
from ..losses.measures import LOSSES, gaussian_log_likelihood, heteroscedastic_log_likelihood
from ..model import Parameter
from ..observe import Observation, misfit
from ..solve import Solution
from ..transforms import Bounded
from .loss_terms import Loss, Term, terms_of, told

LIKELIHOODS = ("gaussian", "heteroscedastic")
MISFITS = (*LIKELIHOODS, "mean_square")
# Losses that are sums of squares, for which Gauss-Newton steps are defined.
SQUARES = ("nse", "mse", "gaussian", "mean_square")
# The power of a residual that a loss grows with, where it says how errors are distributed but for their size.
POWERS = {"nse": 2, "log_nse": 2, "mse": 2, "mean_square": 2, "mae": 1, "rmse": 1}
# Losses in the unit of the observations, or its square; those of other units cannot be added to them.
DIMENSIONAL = ("mse", "rmse", "mae")
# A sum of squares of zero, as of data without errors, has no logarithm; this is smaller than any that is computed.
NOTHING = 1e-200


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


def check_loss(loss: Loss, observations: Sequence[Observation] = ()) -> None:
    """Raises `UnknownNameError` unless a loss is one, and `InputError` where a term of it is of none of the observations."""
    if isinstance(loss, tuple) and not (loss and all(isinstance(term, Term) for term in loss)):
        raise InputError(f"a loss of several terms is a tuple of `Term`, got {shown(loss)}")
    for term in loss if isinstance(loss, tuple) else (loss,):
        name = term.loss if isinstance(term, Term) else term
        known = isinstance(name, str) and (name in LOSSES or name in MISFITS)
        if not known and not callable(name):
            raise UnknownNameError(f"the loss {name!r} is unknown; there are {[*LOSSES, *MISFITS]}")
        if isinstance(term, Term) and observations and not term.chosen(observations):
            seen = sorted({one.name for one in observations})
            raise InputError(f"the loss {term} is of nothing that is observed; observed are {seen}")


def squares(loss: Loss) -> bool:
    """Whether a loss is a sum of squares, for which Gauss-Newton steps are defined."""
    return all(term.loss in SQUARES for term in loss) if isinstance(loss, tuple) else loss in SQUARES


def likelihood(loss: Loss) -> bool:
    """Whether a loss is minus the logarithm of a likelihood with errors as stated."""
    if isinstance(loss, tuple):
        return all(term.loss in LIKELIHOODS and term.weight == 1 for term in loss)
    return loss in LIKELIHOODS


def power(loss: Loss) -> int | None:
    """The entry of `POWERS` of a loss, where it has one."""
    return POWERS.get(loss) if isinstance(loss, str) else None


def loss(solution: Solution, observations: Sequence[Observation], name: Loss) -> Tensor:
    """The loss of each member, `(members,)`, which must all have been solved.

    A misfit weighs each observation by its error (see `observe.misfit`). Any other measure is that of each
    series, of which the mean is taken; the efficiency "nse" is that of the series in units of its error, which
    changes nothing unless errors differ within it (see `observe.even_years`). Terms are added up by their weights.
    """
    if isinstance(name, tuple):
        parts = [term.weight * loss(solution, seen, term.loss) for term, seen in terms_of(name, observations)]
        return torch.stack(parts).sum(0)
    if not isinstance(name, str) or name in MISFITS:
        return misfit(solution, observations, likelihood=name).reshape(-1)  # type: ignore[arg-type]
    measure = LOSSES[name]
    scales = [one.error if name == "nse" else 1.0 for one in observations]
    each = [measure(one.simulated(solution) / e, one.values / e) for one, e in zip(observations, scales, strict=True)]
    return torch.stack(each).mean(0).reshape(-1)


def defined(observations: Sequence[Observation], name: Loss) -> bool:
    """Whether there is a loss over these observations: most need several in each series, that differ."""
    if isinstance(name, tuple):
        return all(defined(term.chosen(observations), term.loss) for term in name)
    try:
        for one in observations:
            seen = torch.nan_to_num(one.values)
            if isinstance(name, str) and name in LOSSES:
                LOSSES[name](seen, one.values)
            else:
                paired(seen, one.values, fewest=1)
    except InputError:
        return False
    return bool(observations)


def residuals(solution: Solution, observations: Sequence[Observation], name: Loss) -> Tensor:
    """Residuals `(members, n)` whose squares add up to the loss, but for a constant of the Gaussian misfit.

    Gaps have residuals of zero. The loss must be one of `squares`.
    """
    if isinstance(name, tuple):
        chosen = terms_of(name, observations)
        return torch.cat([term.weight**0.5 * residuals(solution, seen, term.loss) for term, seen in chosen], dim=1)
    parts = []
    for one in observations:
        scale = one.error if name == "nse" else 1.0
        s, seen, valid = paired(one.simulated(solution) / scale, one.values / scale, fewest=1)
        count, series = valid.sum(-1, keepdim=True), len(observations)
        if name == "nse":
            # One minus the efficiency of a simulation that differs by one: the sum of squares it is relative to.
            efficiency(s, seen, valid)
            spread = torch.where(valid, seen - mean(seen, valid).unsqueeze(-1), 0.0).pow(2).sum(-1, keepdim=True)
            weight = (series * spread).rsqrt()
        elif name == "mse":
            weight = (series * count).rsqrt()
        elif name == "gaussian":
            weight = 0.5**0.5 / one.error
        else:
            weight = (series * count).rsqrt() / one.error
        parts.append(torch.where(valid, (s - seen) * weight, 0.0))
    return torch.cat([p.reshape(-1, p.shape[-1]) for p in parts], dim=1)


def least(observations: Sequence[Observation], name: Loss) -> float:
    """The loss of a simulation that equals the observations; what exceeds it does not depend on their unit."""
    if isinstance(name, tuple):
        return sum(term.weight * least(seen, term.loss) for term, seen in terms_of(name, observations))
    if name not in LIKELIHOODS:
        return 0.0
    total = 0.0
    for one in observations:
        same = torch.nan_to_num(one.values)
        if name == "gaussian":
            total -= float(gaussian_log_likelihood(same, one.values, one.error).sum())
        else:
            total -= float(heteroscedastic_log_likelihood(same, one.values, one.error, one.relative_error).sum())
    return total


def check_priors(name: Loss, series: int) -> None:
    """Raises `InputError` unless the loss, over so many series, says what a prior weighs against it."""
    if isinstance(name, tuple) and not likelihood(name):
        raise InputError(
            f"the loss {told(name)} is no likelihood, so priors have no weight against it: of several terms each must be one of "
            f"{[*LIKELIHOODS]}, of weight 1"
        )
    if name == "rmse" and series > 1:
        raise InputError(
            "a mean of several rmse is no likelihood, so priors have no weight against it; take mse or mean_square"
        )
    if not likelihood(name) and power(name) is None:
        raise InputError(
            f"the loss {told(name)!r} says nothing of how errors are distributed, so priors have no weight against it; take one "
            f"of {[*POWERS, *LIKELIHOODS]}, or leave the priors out"
        )


def check_mean(prior: Prior, item: Bounded, parameter: Parameter | None = None) -> None:
    """Raises `BoundsError` unless the mean of a prior is a value that may be found, and one the parameter may have."""
    mean = torch.tensor(float(prior.mean), dtype=torch.float64)
    outside = ""
    if parameter is not None and not parameter.inside(mean):
        outside = f"; the parameter must lie in {parameter.interval}"
    if outside or not item.low <= prior.mean <= item.high:
        raise BoundsError(
            f"the mean {prior.mean:g} of the prior of {item.name!r} lies outside its bounds, {item.low:g} to {item.high:g}"
            f"{outside}; correct the mean, or widen the bounds"
        )


def count(observations: Sequence[Observation]) -> int:
    """How many observations there are, gaps left out."""
    return sum(int((~torch.isnan(one.values)).sum()) for one in observations)


def with_priors(total: Tensor, z: Tensor, name: Loss, observed: int) -> Tensor:
    """Minus the log posterior `(members,)`, but for a constant, of a loss over so many observations and of deviations from
    priors `(members, priors)`; see the top of this file.
    """
    if (p := power(name)) is not None:
        total = observed / p * torch.log(total.clamp(min=NOTHING))
    return total + 0.5 * (z**2).sum(-1)


def squares_with_priors(
    r: Tensor, jacobian: Tensor, z: Tensor, slopes: Tensor, name: Loss, observed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """As `with_priors`, of a loss in `SQUARES` less its `least`, with gradient and normal matrix for Gauss-Newton steps.

    Args:
        r: residuals `(members, m)`. jacobian: their derivatives `(members, m, n)`.
        z: deviations from priors `(members, k)`; where there are none, the loss is that of the residuals alone.
        slopes: their derivatives `(members, k, n)`.

    Returns:
        Loss `(members,)`, gradient `(members, n)`, and half of the second derivatives `(members, n, n)`, without those
        of the model, and without the square of the slope of a logarithm: since it is concave, the loss lies below the
        parabola that remains, and a step to the minimum of that betters the loss of a linear model all the same.
    """
    total = (r**2).sum(-1)
    along, data = torch.einsum("mrn,mr->mn", jacobian, r), torch.einsum("mrn,mrk->mnk", jacobian, jacobian)
    if not z.shape[-1]:
        return total, 2 * along, data
    towards, prior = torch.einsum("mrn,mr->mn", slopes, z), torch.einsum("mrn,mrk->mnk", slopes, slopes)
    weight = 0.5 * observed / total.clamp(min=NOTHING) if power(name) is not None else torch.ones_like(total)
    gradient = 2 * weight[:, None] * along + towards
    return with_priors(total, z, name, observed), gradient, weight[:, None, None] * data + 0.5 * prior


def gains(loss: Array, observations: Sequence[Observation], name: Loss, priors: bool) -> Array:
    """What the gains of a search are parts of, `(members,)`: the loss, or what of it does not depend on units.

    Of a likelihood that is what exceeds `least`; of the logarithm of a loss a change by that part of the loss itself.
    """
    if priors and (p := power(name)) is not None:
        return np.full(len(loss), count(observations) / p)
    return np.asarray(np.abs(loss - least(observations, name)))


def deviations(values: Mapping[str, Tensor], priors: Mapping[str, Prior]) -> Tensor:
    """Deviations of calibrated values from their priors, `(members, priors)`."""
    return torch.cat([prior.deviation(values[name]) for name, prior in priors.items()], dim=1)


def check_units(name: object, units: Mapping[str, str]) -> None:
    """Raises `InputError` where a loss would add up numbers of different units, given by what was observed."""
    if name in DIMENSIONAL and len({*units.values()}) > 1:
        listed = ", ".join(f"{what} ({unit})" for what, unit in units.items())
        raise InputError(
            f"the loss {name!r} has the unit of the observations, and these have several: {listed}; take mean_square, which "
            "weighs each by its error, or nse"
        )
