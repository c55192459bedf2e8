"""Updates of an ensemble by observations: the stochastic and the transform filter, with localisation and inflation."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError


def gaspari_cohn(distance: Tensor, radius: float) -> Tensor:
    """Correlation that vanishes beyond twice a radius (Gaspari and Cohn 1999, equation 4.10), elementwise."""
    r = (distance.abs() / radius).to(torch.float64)
    near = 1 - 5 / 3 * r**2 + 5 / 8 * r**3 + 1 / 2 * r**4 - 1 / 4 * r**5
    safe = r.clamp(min=1.0)
    far = 4 - 5 * safe + 5 / 3 * safe**2 + 5 / 8 * safe**3 - 1 / 2 * safe**4 + 1 / 12 * safe**5 - 2 / (3 * safe)
    return torch.where(r <= 1, near, torch.where(r < 2, far, 0.0))


def stochastic_update(
    ensemble: Tensor,
    simulated: Tensor,
    observed: Tensor,
    error: Tensor,
    *,
    weights: Tensor | None = None,
    random: torch.Generator | None = None,
) -> Tensor:
    """Members moved by the Kalman gain of their own covariances, each to perturbed observations (Burgers et al. 1998).

    The perturbations are made to have a mean of zero, and to be uncorrelated with nothing else in particular.

    Args:
        ensemble: `(members, numbers)`. simulated: `(members, observations)`. observed, error: `(observations,)`.
        weights: of localisation, `(numbers, observations)`.
    """
    _check(ensemble, simulated, observed, error)
    m = len(ensemble)
    drawn = torch.randn(simulated.shape, generator=random, dtype=torch.float64) * error
    drawn = drawn - drawn.mean(0)
    x, y = ensemble - ensemble.mean(0), simulated - simulated.mean(0)
    cross, own = x.T @ y / (m - 1), y.T @ y / (m - 1)
    if weights is not None:
        cross = cross * weights
    gain = torch.linalg.solve(own + torch.diag(error**2), cross.T).T
    return ensemble + (observed + drawn - simulated) @ gain.T


def transform_update(
    ensemble: Tensor, simulated: Tensor, observed: Tensor, error: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """The deterministic ensemble transform filter with a symmetric root (Hunt et al. 2007, equations 20 to 25).

    With localisation each number is updated by itself, with the errors of far observations made larger by 1 over the weight.

    Args:
        ensemble: `(members, numbers)`. simulated: `(members, observations)`. observed, error: `(observations,)`.
        weights: of localisation, `(numbers, observations)`.
    """
    _check(ensemble, simulated, observed, error)
    m = len(ensemble)
    mean, middle = ensemble.mean(0), simulated.mean(0)
    x, y = ensemble - mean, simulated - middle
    precision = (1 / error**2).expand(1 if weights is None else ensemble.shape[1], -1)
    if weights is not None:
        precision = precision * weights
    # (groups, members, observations): one group for all numbers, or one for each.
    c = y[None] * precision[:, None, :]
    values, vectors = torch.linalg.eigh((m - 1) * torch.eye(m, dtype=torch.float64) + c @ y.T)
    inverse = vectors @ ((1 / values)[..., None] * vectors.mT)
    root = vectors @ (((m - 1) / values).sqrt()[..., None] * vectors.mT)
    shift = (inverse @ (c @ (observed - middle)[:, None]))[..., 0]
    transform = root + shift[:, :, None]
    if weights is None:
        return mean + transform[0].T @ x
    return mean + torch.einsum("gkm,kg->mg", transform, x)


def relaxed(analysis: Tensor, forecast: Tensor, share: float) -> Tensor:
    """Spread of the analysis taken back towards that of the forecast by a share (Whitaker and Hamill 2012, equation 2)."""
    mean, after, before = analysis.mean(0), analysis.std(0), forecast.std(0)
    factor = 1 + share * (before - after) / after.clamp(min=1e-300)
    return mean + (analysis - mean) * factor


def _check(ensemble: Tensor, simulated: Tensor, observed: Tensor, error: Tensor) -> None:
    if len(ensemble) < 2 or ensemble.dim() != 2 or simulated.shape != (len(ensemble), len(observed)):
        raise ShapeError(
            "an update needs an ensemble (members, numbers), two or more, and simulated (members, observations), "
            f"got {tuple(ensemble.shape)} and {tuple(simulated.shape)} for {len(observed)} observations"
        )
    if error.shape != observed.shape:
        raise ShapeError(f"each observation has an error, got {tuple(error.shape)} for {tuple(observed.shape)}")
