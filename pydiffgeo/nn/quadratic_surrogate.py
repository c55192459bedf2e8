"""The loss of each site near the values that a network gives, as a quadratic function of those values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..jacobian import jacobian
from ..solve import Solution
from .network import ParameterNetwork
from .sites import SiteData
from .training import Training

# The logarithm of an error below this part of the variance counts as that of it: such a site is learnt.
SMALLEST = 0.02


def scaled_error(simulated: Tensor, observed: Tensor, spread: Tensor) -> Tensor:
    """Mean squared error of each site over the variance of its observations, `(sites,)`; NaN where none is known.

    With the spread of the whole record this is one minus the Nash-Sutcliffe efficiency, and comparable over
    windows (Kratzert et al. 2019, Hydrol. Earth Syst. Sci. 23, their eq 1 without the small constant).

    Args:
        simulated, observed: `(sites, days)`, gaps are NaN. spread: standard deviation of each site, `(sites,)`.
    """
    valid = ~torch.isnan(observed)
    error = torch.where(valid, simulated - torch.nan_to_num(observed), 0.0)
    return (error**2).sum(1) / valid.sum(1) / spread**2


def measured(error: Tensor, measure: str) -> Tensor:
    """What `Training.measure` makes of the `scaled_error` of each site, elementwise."""
    return error if measure == "scaled" else torch.log(error + SMALLEST)


@dataclass(frozen=True, eq=False)
class QuadraticSurrogate:
    """What a round of solves says of the loss of each site.

    Attributes:
        at: variables of the network where the sites were solved, `(sites, n)`; see `ParameterNetwork.variables`.
        loss: there, `(sites,)`. slope: `(sites, n)`. curvature: half the second derivatives, `(sites, n, n)`.
        usable: which sites were solved and have observations, `(sites,)`.
        solution: of which only the status is of use.
    """

    at: Tensor
    loss: Tensor
    slope: Tensor
    curvature: Tensor
    usable: Tensor
    solution: Solution

    def __call__(self, variables: Tensor) -> Tensor:
        """The mean over the usable sites at other variables, `(sites, n)`; differentiable."""
        d = variables - self.at
        each = self.loss + (self.slope * d).sum(1) + torch.einsum("si,sij,sj->s", d, self.curvature, d)
        return each[self.usable].mean()


def quadratic_surrogate(
    network: ParameterNetwork,
    batch: SiteData,
    spread: Tensor,
    training: Training,
    *,
    climate: Tensor | None = None,
    noise: Tensor | None = None,
) -> QuadraticSurrogate:
    """Solves the sites once, with the Jacobian of the residuals to the variables (Gauss-Newton).

    Args:
        batch: the days that are solved, of which those of the warm-up are not compared.
        spread: standard deviation of the observations of each site, `(sites,)`.
        training: its warm-up, measure, damping and settings. climate, noise: see `ParameterNetwork.forward`.

    Raises:
        InputError: the network has parameters that vary in time.
    """
    if network.varying:
        raise InputError(
            f"quadratic surrogates are of values that do not vary with the weather; {list(network.varying)} do"
        )
    x = network.variables(batch.attributes, climate=climate, noise=noise).detach()
    times, seen = np.arange(batch.observed.shape[1] + 1.0), list[Solution]()
    observed = batch.observed[:, training.warmup :]
    valid = ~torch.isnan(observed)
    # Squares of the residuals add up to the scaled error.
    scale = (spread * valid.sum(1).clamp(min=1).sqrt()).unsqueeze(1)

    def residuals(variables: Tensor) -> Tensor:
        seen.append(network.solve(network.values(variables), batch.forcing, times, throw=False, **training.settings))
        error = seen[-1].fluxes[batch.flux][:, training.warmup :] - torch.nan_to_num(observed)
        return torch.where(valid, error, 0.0) / scale

    r, j = jacobian(residuals, x, mode="forward")
    usable = seen[-1].ok & valid.any(1)
    r, j = torch.where(usable.reshape(-1, 1), r, 0.0), torch.where(usable.reshape(-1, 1, 1), j, 0.0)
    loss, slope = (r**2).sum(1), 2 * torch.einsum("srn,sr->sn", j, r)
    curvature = torch.einsum("srn,srm->snm", j, j)
    if training.measure == "log":
        weight = 1 / (loss + SMALLEST)
        slope, curvature = weight.unsqueeze(1) * slope, weight.reshape(-1, 1, 1) * curvature
    curvature = curvature + training.damping * torch.eye(x.shape[1], dtype=x.dtype)
    return QuadraticSurrogate(x, measured(loss, training.measure), slope, curvature, usable, seen[-1])
