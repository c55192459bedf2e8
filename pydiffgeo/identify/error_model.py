"""Errors of observations: how large they are, whether they grow with what is observed, and how long they last.

With `e` the stated error of an observation and `s` what is simulated, its standard deviation is
`size (e + growth max(s, 0))`, and residuals in units of it follow an autoregressive process of first order: neighbours
at a distance of `k` steps have the correlation `autocorrelation^k`, whatever gaps lie between them.

Sources: Schoups and Vrugt 2010, Water Resour. Res. 46, eqs 5 and 6; Sorooshian and Dracup 1980, Water Resour. Res. 16(2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..checks import check_within
from ..errors import InputError

# Errors that last longer than this are a bias, of which one series says nothing.
LONGEST = 0.995
# Steps of the search for unknown numbers.
STEPS = 60


@dataclass(frozen=True)
class ErrorModel:
    """How errors are distributed; None stands for a number that is estimated from the residuals.

    Attributes:
        size: factor of the stated errors. growth: with the simulated value (1).
        autocorrelation: of neighbours that are one step apart, the usual distance of a series.

    Raises:
        InputError: numbers that make no sense.
    """

    size: float | None = 1.0
    growth: float | None = 0.0
    autocorrelation: float | None = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("size", 1e-300, math.inf),
            ("growth", 0.0, math.inf),
            ("autocorrelation", 0.0, LONGEST),
        ):
            value = getattr(self, name)
            if value is not None:
                what = f"a number from {low:g} to {high:g}, or None to estimate it"
                check_within(low, high, what, **{name: value})

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of what is to be estimated."""
        return tuple(n for n in ("size", "growth", "autocorrelation") if getattr(self, n) is None)


@dataclass(frozen=True, eq=False)
class Record:
    """What was observed, gaps left out.

    Attributes:
        observed: `(m,)`. error: as stated, `(m,)`, or that of each member, `(members, m)`.
        distance: from the one before in the same series, in steps of the series, `(m,)`; infinite for the first.
    """

    observed: Tensor
    error: Tensor
    distance: Tensor

    def __len__(self) -> int:
        return len(self.observed)


@dataclass(frozen=True, eq=False)
class Errors:
    """An error model with all its numbers, as tensors `()` or `(members, 1)`, over a record."""

    record: Record
    size: Tensor
    growth: Tensor
    autocorrelation: Tensor

    @classmethod
    def of(cls, model: ErrorModel, record: Record) -> Errors:
        """Raises `InputError` where a number is still unknown."""
        if model.unknown:
            raise InputError(f"{', '.join(model.unknown)} of the errors must be estimated first")
        numbers = (torch.tensor(float(v)) for v in (model.size, model.growth, model.autocorrelation) if v is not None)
        return cls(record, *(v.double() for v in numbers))

    def spread(self, simulated: Tensor) -> Tensor:
        """Standard deviations without `size`, `(members, m)`."""
        return self.record.error + self.growth * simulated.clamp(min=0.0)

    def held(self, simulated: Tensor) -> Errors:
        """The same with standard deviations that stay as they are for what is simulated, `(m,)` or `(members, m)`."""
        return replace(
            self, record=replace(self.record, error=self.spread(simulated)), growth=torch.zeros_like(self.growth)
        )

    @property
    def correlation(self) -> Tensor:
        """With the observation before, `(m,)` or `(members, m)`; zero for the first of a series."""
        first = torch.isinf(self.record.distance)
        # Neither side of `where` may have a slope that is no number.
        return torch.where(first, 0.0, self.autocorrelation ** torch.where(first, 1.0, self.record.distance))

    def innovations(self, simulated: Tensor, observed: Tensor | None = None) -> Tensor:
        """Residuals freed of units and correlation, in units of `size`, `(members, m)`."""
        seen = self.record.observed if observed is None else observed
        return self._freed((seen - simulated) / self.spread(simulated))

    def _freed(self, z: Tensor) -> Tensor:
        rho = self.correlation
        if z.ndim > rho.ndim > 1:  # sensitivities of members that have errors of their own
            rho = rho.unsqueeze(1)
        before = torch.cat([torch.zeros_like(z[..., :1]), z[..., :-1]], dim=-1)
        return (z - rho * before) / torch.sqrt(1 - rho**2)

    def potential(self, simulated: Tensor, observed: Tensor | None = None) -> Tensor:
        """Minus the logarithm of the likelihood, but for `log(2 pi) / 2` an observation, `(members,)`."""
        w = self.innovations(simulated, observed) / self.size
        scale = torch.log(self.size) + torch.log(self.spread(simulated)) + 0.5 * torch.log1p(-(self.correlation**2))
        return (0.5 * w**2 + scale).sum(-1)

    def rows(self, simulated: Tensor, jacobian: Tensor) -> Tensor:
        """Sensitivities `(members, rows, n)` in units of the errors: `rows' rows` is the expected information.

        Where errors grow with what is simulated, their size tells of it as well: there are twice as many rows then.
        """
        spread = self.spread(simulated).unsqueeze(-1)
        size = self.size.reshape(-1, 1, 1) if self.size.ndim else self.size
        mean = self._freed((jacobian / spread).transpose(-1, -2)).transpose(-1, -2) / size
        if not bool((self.growth > 0).any()):
            return mean
        growing = torch.where(simulated > 0, self.growth, 0.0).unsqueeze(-1)
        return torch.cat([mean, math.sqrt(2) * growing * jacobian / spread], dim=-2)

    def noise(self, simulated: Tensor, random: torch.Generator) -> Tensor:
        """Errors drawn for what is simulated, `(members, m)`."""
        z = torch.randn(simulated.shape, generator=random, dtype=torch.float64)
        rho = self.correlation.expand_as(z)
        fresh, course = torch.sqrt(1 - rho**2) * z, list[Tensor]()
        for i in range(z.shape[-1]):
            course.append(fresh[..., i] + (rho[..., i] * course[-1] if course else 0.0))
        return torch.stack(course, -1) * self.spread(simulated) * self.size


def estimated(model: ErrorModel, record: Record, simulated: Tensor, slope: Tensor, prior: Tensor) -> ErrorModel:
    """The error model whose unknown numbers suit the residuals best, by restricted maximum likelihood.

    Residuals are smaller and last less long than errors, since values were fitted to them: the likelihood is therefore taken
    over all values that the data leave open, in a linear approximation, not at the best ones alone. An unknown size by
    itself then has the variance of least squares, with the degrees of freedom that fitted values leave.

    Args:
        simulated: at the best point, `(m,)`. slope: its derivatives to what was fitted, `(m, n)`. prior: rows whose squares
            are what was known of it, `(n, n)`.

    Raises:
        InputError: there are too few observations, or they are met exactly.

    Source: Harville 1977, J. Am. Stat. Assoc. 72.
    """
    if not model.unknown:
        return model
    count, simulated, slope = len(record), simulated.detach().reshape(1, -1), slope.detach().unsqueeze(0)
    prior = prior.detach()
    if not bool((record.observed != simulated).any()):
        raise InputError("the observations are met exactly, so that their errors cannot be estimated")
    known = prior.T @ prior
    first = _errors(model, record, {})
    size = torch.sqrt((first.innovations(simulated) ** 2).mean())
    if model.size is None:
        first = replace(first, size=size)
    values = degrees_of_freedom(first.rows(simulated, slope)[0].numpy(), prior.numpy())
    if count <= values + len(model.unknown):
        raise InputError(f"{count} observations cannot tell {values:.3g} values and the size of their own errors apart")
    at = torch.zeros(len(model.unknown), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([at], max_iter=STEPS, line_search_fn="strong_wolfe")

    def numbers(x: Tensor) -> Errors:
        found = dict(zip(model.unknown, x, strict=True))
        if "size" in found:
            found["size"] = size * torch.exp(found["size"])
        return _errors(model, record, found)

    def closure() -> Tensor:
        search.zero_grad()
        errors = numbers(at)
        rows = errors.rows(simulated, slope)[0]
        shared = sum((x**2 for n, x in zip(model.unknown, at, strict=True) if n != "size"), torch.zeros(()))
        total = errors.potential(simulated).sum() + 0.5 * _log_size(rows.T @ rows + known) + 1e-3 * shared
        total.backward()
        return total

    search.step(closure)
    errors = numbers(at.detach())
    return ErrorModel(float(errors.size), float(errors.growth), float(errors.autocorrelation))


def _errors(model: ErrorModel, record: Record, free: Mapping[str, Tensor]) -> Errors:
    """With unknown numbers from where a search has them: the growth as a logarithm above -2, how long errors last as a logit."""
    given = (model.size or 1.0, model.growth or 0.0, model.autocorrelation or 0.0)
    size, growth, lasting = (torch.tensor(float(v), dtype=torch.float64) for v in given)
    return Errors(
        record,
        free.get("size", size),
        torch.exp(free["growth"] - 2) if "growth" in free else growth,
        LONGEST * torch.sigmoid(free["autocorrelation"]) if "autocorrelation" in free else lasting,
    )


def _log_size(information: Tensor) -> Tensor:
    """Logarithm of the determinant, of what is seen at all: directions that are not do not change with the errors."""
    sizes = torch.linalg.eigvalsh(information)
    return torch.log(sizes[sizes > 1e-12 * sizes[-1].detach()]).sum()


def degrees_of_freedom(rows: Array, prior_rows: Array) -> float:
    """The trace of the averaging kernel of data and priors, by their rows in units of errors."""
    data = rows.T @ rows
    return float(np.trace(np.linalg.lstsq(data + prior_rows.T @ prior_rows, data, rcond=None)[0]))
