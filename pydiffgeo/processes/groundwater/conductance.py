"""How two cells of an aquifer conduct together: flow per area of the face and difference of head.

Of each cell one needs the conductivity along the face's direction, the saturated thickness (one for vertical faces) and
the distance from its centre to the face. The means are those of MODFLOW 6 (Hughes, Langevin and Banta 2017, USGS
Techniques and Methods 6-A57, alternative interblock transmissivity; Goode and Appel 1992, USGS WRIR 92-4124).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ...model import Place

# Of conductivity, thickness and distance to the face of the left cell, then those of the right one.
Mean = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
# Below this relative difference the logarithmic mean is that of its series; both agree to 1e-14 there.
ALIKE = 1e-2


def logarithmic_mean(a: Tensor, b: Tensor) -> Tensor:
    """(b - a) / ln(b / a) of two positive values, also where they are alike."""
    mean, u = 0.5 * (a + b), (b - a) / (a + b)
    apart = torch.abs(u) > ALIKE
    far = torch.where(apart, u, 0.5)
    series = 1 - u**2 / 3 - 4 * u**4 / 45 - 44 * u**6 / 945
    return mean * torch.where(apart, 2 * far / torch.log((1 + far) / (1 - far)), series)


def harmonic(k1: Tensor, m1: Tensor, l1: Tensor, k2: Tensor, m2: Tensor, l2: Tensor) -> Tensor:
    """Two half cells in series, each with its transmissivity: Darcy's law where it changes at the face."""
    return 1 / (l1 / (k1 * m1) + l2 / (k2 * m2))


def logarithmic(k1: Tensor, m1: Tensor, l1: Tensor, k2: Tensor, m2: Tensor, l2: Tensor) -> Tensor:
    """The logarithmic mean of both transmissivities: Darcy's law where it changes linearly between centres."""
    return logarithmic_mean(k1 * m1, k2 * m2) / (l1 + l2)


def amt_lmk(k1: Tensor, m1: Tensor, l1: Tensor, k2: Tensor, m2: Tensor, l2: Tensor) -> Tensor:
    """Arithmetic mean of thickness, logarithmic mean of conductivity (AMT-LMK)."""
    return logarithmic_mean(k1, k2) * 0.5 * (m1 + m2) / (l1 + l2)


def amt_hmk(k1: Tensor, m1: Tensor, l1: Tensor, k2: Tensor, m2: Tensor, l2: Tensor) -> Tensor:
    """Arithmetic mean of thickness, harmonic mean of conductivity (AMT-HMK)."""
    return 0.5 * (m1 + m2) / (l1 / k1 + l2 / k2)


MEANS: Mapping[str, Mean] = {
    "harmonic": harmonic,
    "logarithmic": logarithmic,
    "amt-lmk": amt_lmk,
    "amt-hmk": amt_hmk,
}


def across(mean: Mean, left: Place, right: Place, face: Place, thickness: tuple[Tensor, Tensor]) -> Tensor:
    """Conductance of a horizontal face per width: along rows by `K`, along columns by `K horizontal_anisotropy`."""
    k1, k2 = (torch.where(face.direction > 0, s.K * s.horizontal_anisotropy, s.K) for s in (left, right))
    return mean(k1, thickness[0], face.left_distance, k2, thickness[1], face.right_distance)


def down(left: Place, right: Place, face: Place, wet: Tensor | float = 1.0, wet_below: Tensor | float = 1.0) -> Tensor:
    """Conductance of a vertical face per area: two half cells in series, of the upper one the share that is `wet`.

    `wet_below` is that of the lower one (option DEWATERED of MODFLOW 6).
    """
    upper = wet * face.left_distance / (left.K * left.vertical_anisotropy)
    return 1 / (upper + wet_below * face.right_distance / (right.K * right.vertical_anisotropy))
