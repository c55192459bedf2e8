"""Steady flow in aquifers, found by heads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..arrays import Numbers
from ..errors import InputError
from ..model import Model
from ..steady import SteadySolution
from ..steady import steady as at_rest

# A little less than all of the pores, so that rounding keeps elastic storage within them.
WITHIN = 1 - 1e-12


def steady(
    model: Model,
    parameters: Mapping[str, Numbers] | None = None,
    *,
    forcing: Mapping[str, Numbers] | None = None,
    initial: Mapping[str, Numbers] | None = None,
    engine: str = "auto",
    rtol: float = 1e-8,
    atol: float = 1e-10,
    max_iterations: int = 1000,
    max_seconds: float | None = None,
    throw: bool = True,
) -> SteadySolution:
    """`pydiffgeo.steady` of an `Aquifer`, by Newton's method for heads instead of stored water.

    Storage does not matter where nothing changes. With that of the parameters the head bends by a factor of a thousand
    where a convertible cell is full, and Newton's method may get stuck there; so the state is made to be the height of
    the head above the bottom of its cell: `S_y` is 1, `S_s` one over the thickness, and what is given for them is not used.

    Raises:
        InputError: the model is no aquifer; and what `pydiffgeo.steady` raises.
    """
    if not isinstance(model, Model) or model.name != "Aquifer" or "thickness" not in model.graph.cell:
        raise InputError(f"model must be an Aquifer, got {model!r}")
    names = {p.name for p in model.parameters}
    storage: dict[str, Tensor | float] = {
        "S_y": 1.0,
        "S_s": WITHIN / torch.from_numpy(model.graph.cell["thickness"].copy()),
    }
    given = {k: v for k, v in (parameters or {}).items() if k not in storage or k not in names}
    given |= {k: v for k, v in storage.items() if k in names}
    return at_rest(
        model,
        given,
        forcing=forcing,
        initial=initial,
        engine=engine,
        rtol=rtol,
        atol=atol,
        max_iterations=max_iterations,
        max_seconds=max_seconds,
        throw=throw,
    )
