"""How two cells of a soil column conduct together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ...model import Place

# Of both sides and the gradient of the head from the left to the right, positive downwards.
Mean = Callable[[Place, Place, Tensor], Tensor]


def _shares(left: Place, right: Place) -> tuple[Tensor, Tensor]:
    """What turns the conductivities of both sides into relative ones, times the saturated conductivity of the face.

    That is the harmonic mean of both sides, weighted by thickness: Darcy's law through layers in series is exact.
    """
    series = (left.thickness + right.thickness) / (left.thickness * right.K_s + right.thickness * left.K_s)
    return series * right.K_s, series * left.K_s


def _arithmetic(left: Place, right: Place, gradient: Tensor) -> Tensor:
    a, b = _shares(left, right)
    return 0.5 * a * left.K + 0.5 * b * right.K


def _geometric(left: Place, right: Place, gradient: Tensor) -> Tensor:
    a, b = _shares(left, right)
    return torch.sqrt(a * b) * torch.sqrt(left.K * right.K)


def _upstream(left: Place, right: Place, gradient: Tensor) -> Tensor:
    a, b = _shares(left, right)
    return torch.where(gradient > 0.0, a * left.K, b * right.K)


def _harmonic(left: Place, right: Place, gradient: Tensor) -> Tensor:
    resistance = left.thickness * right.K + right.thickness * left.K
    # Where neither side conducts, neither does the face.
    return (left.thickness + right.thickness) * left.K * right.K / (resistance + 1e-100)


MEANS: Mapping[str, Mean] = {
    "arithmetic": _arithmetic,
    "geometric": _geometric,
    "upstream": _upstream,
    "harmonic": _harmonic,
    "cell_arithmetic": lambda left, right, gradient: 0.5 * (left.K + right.K),
}
