"""Errors of observations: how large they are, whether they grow with what is observed, and how long they last.

With `e` the stated error of an observation and `s` what is simulated, its standard deviation is
`size (e + growth max(s, 0))`, and residuals in units of it follow an autoregressive process of first order: neighbours
at a distance of `k` steps have the correlation `autocorrelation^k`, whatever gaps lie between them.

Sources: Schoups and Vrugt 2010, Water Resour. Res. 46, eqs 5 and 6; Sorooshian and Dracup 1980, Water Resour. Res. 16(2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

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
        observed: `(m,)`. error: as stated, `(m,)`.
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


def estimated(model: ErrorModel, record: Record, simulated: Tensor, values: float) -> ErrorModel:
    """The error model whose unknown numbers suit the residuals best, by maximum likelihood.

    The variance is that of as many degrees of freedom as there are observations less `values`, the number of values that
    were fitted to them.

    Args:
        simulated: at the best point, `(m,)`.

    Raises:
        InputError: there are too few observations, or they are met exactly.
    """
    if not model.unknown:
        return model
    count = len(record)
    if count <= values + len(model.unknown):
        raise InputError(f"{count} observations cannot tell {values:.3g} values and the size of their own errors apart")
    simulated = simulated.detach().reshape(1, -1)
    if not bool((record.observed != simulated).any()):
        raise InputError("the observations are met exactly, so that their errors cannot be estimated")
    shared = [n for n in model.unknown if n != "size"]
    at = torch.zeros(len(shared), dtype=torch.float64, requires_grad=True)

    def errors(x: Tensor) -> Errors:
        free = dict(zip(shared, x, strict=True))
        growth = (
            torch.exp(free["growth"] - 2) if "growth" in free else torch.tensor(float(model.growth or 0.0)).double()
        )
        lasting = torch.tensor(float(model.autocorrelation or 0.0)).double()
        lasting = LONGEST * torch.sigmoid(free["autocorrelation"]) if "autocorrelation" in free else lasting
        fixed = Errors(record, torch.ones((), dtype=torch.float64), growth, lasting)
        if model.size is not None:
            return replace(fixed, size=torch.tensor(float(model.size), dtype=torch.float64))
        squares = (fixed.innovations(simulated) ** 2).sum()
        return replace(fixed, size=torch.sqrt(squares / count))

    if shared:
        search = torch.optim.LBFGS([at], max_iter=STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            search.zero_grad()
            total = errors(at).potential(simulated).sum() + 1e-3 * (at**2).sum()
            total.backward()
            return total

        search.step(closure)
    found = errors(at.detach())
    size = model.size if model.size is not None else float(found.size) * math.sqrt(count / (count - values))
    return ErrorModel(size, float(found.growth), float(found.autocorrelation))
