"""Steady flow in aquifers, found by heads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypedDict

import torch
from torch import Tensor

from ..arrays import Numbers
from ..errors import InputError
from ..model import Model
from ..models.solute_aquifer import CarryingModel
from ..steady import SteadySolution
from ..steady import steady as at_rest

# A little less than all of the pores, so that rounding keeps elastic storage within them.
WITHIN = 1 - 1e-12


class _Options(TypedDict):
    engine: str
    rtol: float
    atol: float
    max_iterations: int
    max_seconds: float | None
    throw: bool


Given = Mapping[str, Numbers] | None


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

    Of a `SoluteAquifer` the heads are found so, and then, from there on, heads and concentrations as one system with the
    storage that is given, which says how much water holds what decays. Where nothing flushes solutes they have no steady
    state of their own (`Status.SINGULAR`): `steady(model.water, ...)` then gives the heads for a transient run.

    Raises:
        InputError: the model is no aquifer; and what `pydiffgeo.steady` raises.
    """
    water = model.water if isinstance(model, CarryingModel) else model
    if not isinstance(water, Model) or water.name != "Aquifer" or "thickness" not in water.graph.cell:
        raise InputError(f"model must be an Aquifer or a SoluteAquifer, got {model!r}")
    options = _Options(
        engine=engine, rtol=rtol, atol=atol, max_iterations=max_iterations, max_seconds=max_seconds, throw=throw
    )
    if water is model:
        return _by_heads(water, parameters, forcing, initial, options)
    known = {p.name for p in water.parameters}, {f.name for f in water.forcings}, {"head", "water"}
    own, weather, start = (_part(v, k) for v, k in zip((parameters, forcing, initial), known, strict=True))
    with torch.no_grad():
        head = _by_heads(water, own, weather, start, options).outputs["head"]
    # A member without steady heads is searched for from its bottom, and ends without them again.
    bottom = torch.from_numpy(water.graph.cell["bottom"].copy())
    begin = {k: v for k, v in (initial or {}).items() if k not in start}
    begin["head"] = torch.where(torch.isfinite(head), head, bottom).detach()
    return at_rest(model, parameters, forcing=forcing, initial=begin, **options)


def _by_heads(water: Model, parameters: Given, forcing: Given, initial: Given, options: _Options) -> SteadySolution:
    """Of an `Aquifer`, whose state is made to be the height of the head."""
    names = {p.name for p in water.parameters}
    storage: dict[str, Tensor | float] = {
        "S_y": 1.0,
        "S_s": WITHIN / torch.from_numpy(water.graph.cell["thickness"].copy()),
    }
    given = {k: v for k, v in (parameters or {}).items() if k not in storage or k not in names}
    given |= {k: v for k, v in storage.items() if k in names}
    return at_rest(water, given, forcing=forcing, initial=initial, **options)


def _part(values: Given, names: Collection[str]) -> dict[str, Numbers]:
    return {k: v for k, v in (values or {}).items() if k in names}
