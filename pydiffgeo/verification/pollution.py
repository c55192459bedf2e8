"""POLLU of the IVP test set: 25 reactions of 20 species in the air (Verwer 1994, SIAM J. Sci. Comput. 15)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from ..model import Place
from .stiff import System

START = {2: 0.2, 4: 0.04, 7: 0.1, 8: 0.3, 9: 0.01, 17: 0.007}

# Reactions: their rates, the species used up and those made; species count from one.
REACTIONS: tuple[tuple[float, tuple[int, ...], tuple[int, ...]], ...] = (
    (0.35, (1,), (2, 3)),
    (26.6, (2, 4), (1,)),
    (1.23e4, (5, 2), (1, 6)),
    (8.6e-4, (7,), (5, 5, 8)),
    (8.2e-4, (7,), (8,)),
    (1.5e4, (7, 6), (5, 8)),
    (1.3e-4, (9,), (5, 8, 10)),
    (2.4e4, (9, 6), (11,)),
    (1.65e4, (11, 2), (1, 10, 12)),
    (9e3, (11, 1), (13,)),
    (0.022, (13,), (1, 11)),
    (1.2e4, (10, 2), (1, 14)),
    (1.88, (14,), (5, 7)),
    (1.63e4, (1, 6), (15,)),
    (4.8e6, (3,), (4,)),
    (3.5e-4, (4,), (16,)),
    (0.0175, (4,), (3,)),
    (1e8, (16,), (6, 6)),
    (4.44e11, (16,), (3,)),
    (1.24e3, (17, 6), (5, 18)),
    (2.1, (19,), (2,)),
    (5.78, (19,), (1, 3)),
    (0.0474, (1, 4), (19,)),
    (1.78e3, (19, 1), (20,)),
    (3.12, (20,), (1, 19)),
)


def _rates(y: Sequence[Tensor], k: Place) -> Sequence[Tensor | float]:
    change: list[Tensor | float] = [0.0] * 20
    for number, (_, used, made) in enumerate(REACTIONS, 1):
        speed = getattr(k, f"k{number}") * math.prod(y[i - 1] for i in used)
        for i in used:
            change[i - 1] = change[i - 1] - speed
        for i in made:
            change[i - 1] = change[i - 1] + speed
    return change


POLLU = System(
    key="pollu",
    end=60.0,
    y0=tuple(START.get(i, 0.0) for i in range(1, 21)),
    coefficients={f"k{i}": rate for i, (rate, _, _) in enumerate(REACTIONS, 1)},
    rates=_rates,
    atol=1e-20,
    conserved=(16, 17),
    shown=(0, 1, 3, 6, 14),
    time_unit="min",
)
