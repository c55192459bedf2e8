"""Sorption: how much of a solute is dissolved, of all that there is in a volume of soil.

All take `total` (amount per volume of soil), the volumetric water content, and the amount that a volume of soil sorbs at
a concentration `c`: `bulk_density` times an isotherm. They return `c`, of the water.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..engines.ir.implicit import implicit

# Amounts per volume below which Freundlich's isotherm, whose slope at zero is infinite, is not followed.
TRACE = 1e-12


def sorbed_linear(c: Tensor, K_d: Tensor) -> Tensor:
    """Sorbed per mass of soil at a concentration of the water."""
    return K_d * c


def sorbed_langmuir(c: Tensor, K_L: Tensor, S_max: Tensor) -> Tensor:
    """The same by Langmuir's isotherm."""
    return S_max * K_L * c / (1.0 + K_L * c)


def sorbed_freundlich(c: Tensor, K_F: Tensor, exponent: Tensor) -> Tensor:
    """The same by Freundlich's isotherm."""
    return K_F * c**exponent


def linear(total: Tensor, water_content: Tensor, bulk_density: Tensor, K_d: Tensor) -> Tensor:
    """Sorbed amount `K_d c` per mass of soil: retardation 1 + bulk_density K_d / water_content."""
    return total / (water_content + bulk_density * K_d)


def langmuir(total: Tensor, water_content: Tensor, bulk_density: Tensor, K_L: Tensor, S_max: Tensor) -> Tensor:
    """Sorbed amount `S_max K_L c / (1 + K_L c)` per mass (Langmuir 1918, J. Am. Chem. Soc. 40, eq 16): a quadratic."""
    linear_part = water_content + bulk_density * S_max * K_L - K_L * total
    root = torch.sqrt(linear_part**2 + 4.0 * water_content * K_L * total)
    return 2.0 * total / (linear_part + root)


def freundlich(total: Tensor, water_content: Tensor, bulk_density: Tensor, K_F: Tensor, exponent: Tensor) -> Tensor:
    """Sorbed amount `K_F c^exponent` per mass, exponent at most 1 (Freundlich 1907, Z. Phys. Chem. 57U), by Newton's method.

    The unknown is what is sorbed, in whose terms the balance bends upwards: steps from above come down to the root.
    """
    held = torch.clamp(total, min=TRACE)
    alone = K_F * (held / water_content) ** exponent  # if all were dissolved
    everything = held / bulk_density
    guess = torch.minimum(alone, everything)
    sorbed = implicit(
        lambda s: water_content * (s / K_F) ** (1.0 / exponent) + bulk_density * s - held, guess=guess, iterations=12
    )
    # Below the trace, in proportion: what is not there does not spread either.
    return (sorbed / K_F) ** (1.0 / exponent) * (total / held)
