"""Solves that begin at a steady state, for each member of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..arrays import Array, Numbers
from ..model import Model, TimeSeries
from ..solve import Method, Solution, solve
from ..steady import steady


def solve_from_rest(
    model: Model,
    parameters: Mapping[str, Numbers],
    rest: Mapping[str, Numbers] | None,
    *,
    initial: Mapping[str, Numbers],
    forcing: Mapping[str, Numbers | TimeSeries],
    times: Array,
    throw: bool,
    **settings: Unpack[Method],
) -> Solution:
    """Solves from the steady state of a forcing on; where there is none, from `initial`. Gradients go through the steady state.

    Args:
        rest: a forcing that does not change. `initial` is where its steady state is searched from, see `steady`.
        throw: raise where a member has none; otherwise it is marked as failed.

    Raises:
        SolverError: as `steady` and `solve`.
    """
    found = None
    if rest is not None:
        engine = settings.get("engine", "auto")
        found = steady(model, parameters, forcing=rest, initial=initial, engine=engine, throw=throw)
        good = torch.tensor([status.ok for status in found.status])
        if good.all():
            initial = found.states
        elif good.any():
            # A member without one begins where another does, and does not count.
            initial = {name: _filled(values, good) for name, values in found.states.items()}
    solution = solve(model, parameters, forcing=forcing, times=times, initial=initial, throw=throw, **settings)
    for member, status in enumerate(() if found is None else found.status):
        if not status.ok:
            # In place, as an adjoint that fails later leaves its mark there too.
            solution.report.status[member] = status
    return solution


def _filled(values: Tensor, good: Tensor) -> Tensor:
    return torch.where(good.unsqueeze(1), values, values.detach()[good][:1])
