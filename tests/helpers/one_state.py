"""Models of one cell with one state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydiffgeo as dg


def one_state(
    source: Callable[..., Any], *parameters: str, start: float | None = None, low: float = -float("inf"), **more: Any
) -> dg.Model:
    """The state `y`, which changes as `source` says, and parameters of these names; `more` are fields of the model."""
    return dg.Model(
        name="OneState",
        graph=dg.single_cell(),
        states=(dg.State("y", "1", "y", start, low),),
        parameters=tuple(dg.Parameter(name, "1", name) for name in parameters),
        source=source,
        **more,
    )
