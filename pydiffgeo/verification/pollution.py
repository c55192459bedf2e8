"""POLLU of the IVP test set: 25 reactions of 20 species in the air (Verwer 1994, SIAM J. Sci. Comput. 15)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from .stiff import System

RATES = (0.35, 26.6, 1.23e4, 8.6e-4, 8.2e-4, 1.5e4, 1.3e-4, 2.4e4, 1.65e4, 9e3, 0.022, 1.2e4, 1.88, 1.63e4, 4.8e6,
         3.5e-4, 0.0175, 1e8, 4.44e11, 1.24e3, 2.1, 5.78, 0.0474, 1.78e3, 3.12)  # fmt: skip
START = {2: 0.2, 4: 0.04, 7: 0.1, 8: 0.3, 9: 0.01, 17: 0.007}

# Reactions in the order of the rates: species used up, species made; species count from one.
REACTIONS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((1,), (2, 3)),
    ((2, 4), (1,)),
    ((5, 2), (1, 6)),
    ((7,), (5, 5, 8)),
    ((7,), (8,)),
    ((7, 6), (5, 8)),
    ((9,), (5, 8, 10)),
    ((9, 6), (11,)),
    ((11, 2), (1, 10, 12)),
    ((11, 1), (13,)),
    ((13,), (1, 11)),
    ((10, 2), (1, 14)),
    ((14,), (5, 7)),
    ((1, 6), (15,)),
    ((3,), (4,)),
    ((4,), (16,)),
    ((4,), (3,)),
    ((16,), (6, 6)),
    ((16,), (3,)),
    ((17, 6), (5, 18)),
    ((19,), (2,)),
    ((19,), (1, 3)),
    ((1, 4), (19,)),
    ((19, 1), (20,)),
    ((20,), (1, 19)),
)


def _rates(y: Sequence[Any], k: SimpleNamespace) -> Sequence[Any]:
    change: list[Any] = [0.0] * 20
    for number, (used, made) in enumerate(REACTIONS, 1):
        speed = getattr(k, f"k{number}") * math.prod(y[i - 1] for i in used)
        for i in used:
            change[i - 1] = change[i - 1] - speed
        for i in made:
            change[i - 1] = change[i - 1] + speed
    return change


POLLU = System(
    "pollu", 60.0, tuple(START.get(i, 0.0) for i in range(1, 21)), {f"k{i}": v for i, v in enumerate(RATES, 1)}, _rates,
    1e-9, 1e-20, 1e-5, conserved=(16, 17), shown=(0, 1, 3, 6, 14), time_unit="min", rtols=(1e-5, 1e-6, 1e-7, 1e-8),
)  # fmt: skip
