"""Tables of equal reaches."""

from __future__ import annotations

from typing import Any

import numpy as np


def chain(count: int, length: float, slope: float) -> dict[str, Any]:
    return {
        "id": range(count),
        "downstream": [*range(1, count), None],
        "length": np.full(count, length),
        "slope": np.full(count, slope),
    }
