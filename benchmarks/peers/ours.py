"""pydiffgeo itself, on either engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from cases import Case, Values

import pydiffgeo as dg


def prepare(case: Case, rtol: float, **settings: Any) -> Callable[[], tuple[float, Values]]:
    """A call that returns loss and gradient, through PyTorch as a user would."""
    leaves = {
        group: {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in values.items()}
        for group, values in (("p", case.parameters), ("y", case.initial), ("f", case.forcing))
    }
    constant = {k: torch.from_numpy(v) for k, v in case.constant.items()}
    weather = {k: torch.from_numpy(v) for k, v in case.weather.items()}
    system = case.system
    # States come by name; the system has its own order.
    order = torch.from_numpy(np.argsort(np.concatenate([*system.states.values()])))
    names = [*leaves["p"]] + [f"initial {k}" for k in leaves["y"]] + [*leaves["f"]]
    wanted = [v for group in leaves.values() for v in group.values()]

    def ordered(solution: dg.Solution) -> torch.Tensor:
        return torch.cat([solution.states[k] for k in system.states], dim=1)[:, order]

    def gradient() -> tuple[float, Values]:
        solution = solve(case.intervals)
        y = ordered(solution)
        q = None if case.flux is None else solution.fluxes[case.flux][..., None]
        loss = case.loss(y[1:], q, torch.from_numpy, torch.sum)
        bars = (g.numpy() for g in torch.autograd.grad(loss, wanted))
        return loss.item(), dict(zip(names, bars, strict=True))

    def solve(intervals: int) -> dg.Solution:
        return dg.solve(
            case.model,
            leaves["p"] | constant,
            forcing={k: v[:intervals] for k, v in (leaves["f"] | weather).items()},
            times=case.times[: intervals + 1],
            initial=leaves["y"],
            rtol=rtol,
            atol=rtol * case.absolute,
            **settings,
        )

    def forward() -> np.ndarray:
        with torch.no_grad():
            return ordered(solve(case.intervals))[1:].numpy()

    # Julia compiles in the first solve of a process: that of one interval is counted as cold.
    with suppress(dg.errors.PydiffgeoError):
        solution = solve(1)
        torch.autograd.grad(sum(v.sum() for v in solution.states.values()), wanted, allow_unused=True)
    gradient.forward = forward  # type: ignore[attr-defined]
    return gradient
