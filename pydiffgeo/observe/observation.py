"""Observed values with what they are of, and how far a solution is from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..checks import check_switch, is_number, is_pair, is_whole, shown
from ..errors import BoundsError, DtypeError, InputError, ShapeError, TimeError
from ..losses.masked import mean, paired, positive
from ..losses.measures import gaussian_log_likelihood, heteroscedastic_log_likelihood
from ..solve import Solution
from .operators import Depth, check_windows, finite_times, flux_means, flux_sums, values_at

Likelihood = Literal["gaussian", "heteroscedastic", "mean_square"]


@dataclass(frozen=True, eq=False)
class Observation:
    """A series of observations of one quantity by one instrument.

    Attributes:
        name: a state or output (kind "value"), or an integrated flux.
        kind: "value", "flux_sum" or "flux_mean".
        times: `(n,)` for values; windows `(n, 2)` for fluxes.
        values: `(n,)`, or `(batch, n)` where members have their own; NaN where missing.
        error: standard deviation of the error, in the unit of the values; positive, `()`, `(n,)`, `(batch, 1)` or
            `(batch, n)`.
        relative_error: its growth with the simulated value (1), for the likelihood "heteroscedastic".
        depth, cell: where values are seen, as in `values_at`; a single cell needs neither. Of fluxes that have a value for
            each cell, face or place of a boundary, `cell` is which of them.
        interpolate: as in `flux_sums`. label: what the instrument, or its place, is called.

    Raises:
        InputError: (or a subclass) when made with values that make no sense; names the observation.
    """

    name: str
    kind: Literal["value", "flux_sum", "flux_mean"]
    # Numbers as they are given, then an array of times and tensors.
    times: Any
    values: Any
    error: Any
    relative_error: float = 0.0
    depth: Depth = None
    cell: int | None = None
    interpolate: bool = False
    label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InputError(f"an observation needs the name of what is observed, got {self.name!r}")
        if not isinstance(self.kind, str) or self.kind not in ("value", "flux_sum", "flux_mean"):
            raise InputError(f"{self.what}: kind must be 'value', 'flux_sum' or 'flux_mean', got {self.kind!r}")
        if self.kind != "value" and self.depth is not None:
            raise InputError(f"{self.what}: a flux has no depth")
        if not (self.depth is None or is_number(self.depth) or is_pair(self.depth)):
            raise InputError(f"{self.what}: depth must be a number, or (upper, lower), got {self.depth!r}")
        if not (self.cell is None or is_whole(self.cell)):
            raise InputError(f"{self.what}: cell must be the number of a cell, got {self.cell!r}")
        check_switch(**{f"{self.what}: interpolate": self.interpolate})
        try:
            times = check_windows(self.times) if self.kind != "value" else finite_times(self.times)
        except TimeError as wrong:
            raise TimeError(f"{self.what}: {wrong}") from wrong
        values, error = _tensor(self.values, f"{self.what}: values"), _tensor(self.error, f"{self.what}: error")
        n = len(times)
        fits = error.ndim == 0 or error.shape[-1] in (1, n)
        if error.ndim > 1 and values.ndim:
            members = values.shape[0] if values.ndim > 1 else error.shape[0]
            fits &= error.ndim == 2 and error.shape[0] == members
        if values.ndim not in (1, 2) or values.shape[-1] != n or not values.numel() or not fits:
            shapes = f"values {tuple(values.shape)} and error {tuple(error.shape)}"
            raise ShapeError(f"{self.what}: {shapes} must have one entry for each of {n} times, last")
        if torch.isinf(values).any():
            raise BoundsError(f"{self.what}: values must be finite, or NaN where missing")
        relative = is_number(self.relative_error) and self.relative_error >= 0
        if not ((error > 0) & torch.isfinite(error)).all() or not relative:
            raise InputError(f"{self.what}: error must be positive and finite, relative_error zero or more")
        for key, value in (("times", times), ("values", values), ("error", error)):
            object.__setattr__(self, key, value)

    @property
    def what(self) -> str:
        """The name and where it is seen, for messages and labels."""
        if self.label:
            return f"{self.name} at {self.label}"
        where = f" at depth {self.depth}" if self.depth is not None else f" in cell {self.cell}"
        return self.name + (where if self.depth is not None or self.cell is not None else "")

    def simulated(self, solution: Solution) -> Tensor:
        """What a solution gives for each observation, `(..., n)`; raises as the functions of this module do."""
        if self.kind == "value":
            seen = values_at(solution, self.name, self.times, depth=self.depth, cell=self.cell)
            if seen.ndim != 1 + solution.batched:
                raise InputError(f"give the depth or the cell; there are {seen.shape[-1]} of {self.name}")
            return seen
        operator = flux_sums if self.kind == "flux_sum" else flux_means
        return operator(solution, self.name, self.times, interpolate=self.interpolate, cell=self.cell)


def misfit(
    solution: Solution,
    observations: Sequence[Observation],
    *,
    likelihood: Likelihood | Callable[[Tensor, Tensor, Observation], Tensor] = "gaussian",
) -> Tensor:
    """How badly a solution explains all observations, for an optimiser to make small.

    Args:
        observations: of any kinds and units; each is weighed by its own error, and misses its own gaps.
        likelihood: "gaussian" and "heteroscedastic" give the negative log-likelihood of all observations, so that
            longer series count more. "mean_square" gives the mean over the series of the mean square of residuals
            in units of their error, which is near 1 where the model fits to the noise. Or a function of
            simulated `(..., n)`, observed values and the `Observation` that returns `(...)`; they are added up.

    Returns:
        `(batch,)`, or `()` where nothing was batched. A failed member has NaN, and passes on no gradient.

    Raises:
        InputError: (or a subclass) no observation, or one that does not fit the solution; names it.
    """
    if isinstance(observations, Observation) or not observations:
        raise InputError("misfit needs at least one observation, in a list")
    for observation in observations:
        if not isinstance(observation, Observation):
            raise InputError(f"misfit takes several `Observation`, got {type(observation).__name__} among them")
    if not callable(likelihood) and not (isinstance(likelihood, str) and likelihood in _LIKELIHOODS):
        raise InputError(f"likelihood must be one of {sorted(_LIKELIHOODS)} or a function, got {likelihood!r}")
    measure = _LIKELIHOODS[likelihood] if isinstance(likelihood, str) else likelihood
    ok, parts = solution.ok, list[Tensor]()
    for observation in observations:
        try:
            # Failed members hold NaN, which would reach the others' parameters through 0 * NaN.
            seen = observation.simulated(solution)
            simulated = torch.where(ok.unsqueeze(-1), seen, torch.ones_like(seen))
            parts.append(measure(simulated, observation.values, observation))
        except InputError as error:
            raise type(error)(f"observation of {observation.what}: {error}") from error
    total = torch.stack(parts).sum(0) / (len(parts) if likelihood == "mean_square" else 1)
    return torch.where(ok, total, torch.full_like(total, torch.nan))


def _mean_square(simulated: Tensor, observed: Tensor, o: Observation) -> Tensor:
    s, seen, valid = paired(simulated, observed, fewest=1)
    return mean(((s - seen) / positive("error", o.error, s, valid)) ** 2, valid)


_LIKELIHOODS: dict[str, Callable[[Tensor, Tensor, Observation], Tensor]] = {
    "gaussian": lambda s, values, o: -gaussian_log_likelihood(s, values, o.error),
    "heteroscedastic": lambda s, values, o: -heteroscedastic_log_likelihood(s, values, o.error, o.relative_error),
    "mean_square": _mean_square,
}


def _tensor(values: object, what: str) -> Tensor:
    """Values as a float64 tensor, NaN where they are masked; raises `DtypeError`."""
    try:
        numbers = np.ma.filled(values.astype(np.float64), np.nan) if isinstance(values, np.ma.MaskedArray) else values
        if isinstance(numbers, (str, bytes, bytearray)):  # bytes would be read as their codes
            raise TypeError(type(numbers).__name__)
        if isinstance(numbers, (list, tuple)) and any(isinstance(v, Tensor) and v.requires_grad for v in numbers):
            raise TypeError("tensors that would lose their gradients")
        if isinstance(numbers, Tensor) and numbers.is_complex():
            raise TypeError("complex")
        return torch.as_tensor(numbers, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DtypeError(f"{what} must be numbers, got {shown(values)}") from error
