"""How many weights of a network are used: directions in weights that change what it is trained for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from ..arrays import Array
from ..checks import check_within
from ..errors import SolverError
from ..nn import ParameterNetwork, SiteData, Training
from ..nn.quadratic_surrogate import quadratic_surrogate
from ..nn.training import Keywords
from ..solve import Method


@dataclass(frozen=True, eq=False)
class EffectiveWeights:
    """Sensitivities of what is seen to weights.

    Attributes:
        weights: how many there are. sizes: singular values, falling; the square of one is by how much a step of one along its
            direction raises the mean square of what is seen.
    """

    weights: int
    sizes: Array

    def count(self, tolerance: float = 1e-4) -> int:
        """Directions whose effect, squared, is above this part of the largest."""
        check_within(0.0, 1.0, "a number from 0 to 1", tolerance=tolerance)
        return int((self.sizes**2 > tolerance * self.sizes[0] ** 2).sum())

    @property
    def rank(self) -> int:
        """Directions that have an effect, as far as double precision can tell."""
        return self.count(1e-24)


def effective_weights(module: torch.nn.Module, *inputs: Tensor, metric: Tensor | None = None) -> EffectiveWeights:
    """Of a module over inputs `(data, ...)`; its outputs are `(data, outputs)`.

    Args:
        metric: how much outputs matter, `(data, outputs, outputs)`; all alike where not given.
    """

    def outputs(weights: Mapping[str, Tensor]) -> Tensor:
        return torch.func.functional_call(module, dict(weights), inputs)

    return _of(outputs, {k: p.detach() for k, p in module.named_parameters() if p.requires_grad}, metric)


def _of(
    outputs: Callable[[Mapping[str, Tensor]], Tensor], weights: dict[str, Tensor], metric: Tensor | None
) -> EffectiveWeights:
    slopes = torch.func.jacrev(outputs)(weights)
    rows = torch.cat([slopes[k].flatten(2) for k in weights], dim=2).detach().double()
    if metric is not None:
        sizes, axes = torch.linalg.eigh(metric.double())
        root = sizes.clamp(min=0.0).sqrt().unsqueeze(-1) * axes.transpose(-1, -2)
        rows = root @ rows
    rows = rows / np.sqrt(len(rows))
    return EffectiveWeights(rows.shape[2], torch.linalg.svdvals(rows.flatten(0, 1)).numpy())


def site_metric(
    network: ParameterNetwork,
    data: SiteData,
    *,
    warmup: int = 365,
    climate: Tensor | None = None,
    **settings: Unpack[Method],
) -> Tensor:
    """How much the observations tell of the values of a network at each site, `(sites, values, values)`: `S'S` of the
    sensitivities to the variables of the values, in units of the spread of what was observed, a mean over the days.

    Args:
        warmup: days at the start that are not compared. settings: keywords of `solve`.

    Raises:
        SolverError: a site cannot be solved, or has no observations. InputError: parameters vary in time.
    """
    observed = data.observed[:, warmup:]
    spread = ((observed - observed.nanmean(1, keepdim=True)) ** 2).nanmean(1).sqrt()
    given: Keywords = {**settings}  # type: ignore[typeddict-item]
    how = Training(warmup=warmup, measure="scaled", damping=0.0, settings=given)
    near = quadratic_surrogate(network, data, spread, how, climate=climate)
    if not bool(near.usable.all()):
        bad = [name for name, good in zip(data.names, near.usable, strict=True) if not good]
        raise SolverError(f"sites {bad[:3]} cannot be solved with the values of the network, or have no observations")
    return near.curvature.detach()


def effective_weights_of_sites(
    network: ParameterNetwork, data: SiteData, metric: Tensor, *, climate: Tensor | None = None
) -> EffectiveWeights:
    """Weights of a parameter network that what was observed at the sites sees, through the model.

    Args:
        metric: from `site_metric`.
    """
    weights = {k: p.detach() for k, p in network.named_parameters() if p.requires_grad}

    def outputs(given: Mapping[str, Tensor]) -> Tensor:
        return torch.func.functional_call(
            _Variables(network), {f"network.{k}": v for k, v in given.items()}, (data.attributes, climate)
        )

    return _of(outputs, weights, metric)


class _Variables(torch.nn.Module):
    """A network whose output are the variables of its values."""

    def __init__(self, network: ParameterNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, attributes: Tensor, climate: Tensor | None) -> Tensor:
        return self.network.variables(attributes, climate=climate)
