"""Absolute tolerances of the states and integrated fluxes of a system."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from .base import Options
from .ir.kernels import Guard, System


def absolute(system: System, options: Options) -> Array:
    """That of each state and integrated flux, `(states + fluxes,)`."""
    values, n = np.full(system.n_states + system.n_fluxes, options.atol), system.n_states
    for name, atol in options.atols:
        if name in system.states:
            values[system.states[name]] = atol
        if name in system.fluxes:
            values[n + system.fluxes[name]] = atol
    return values


def absolute_of_guard(guard: Guard, atols: Array, least: float) -> Array:
    """That of each item of a guard: the largest of the states that it reads, or `least` where it reads none itself."""
    of = np.append(atols, least)
    gather = np.where(guard.kernel.gather < len(atols), guard.kernel.gather, len(atols))
    largest: Array = of[gather].max(axis=0, initial=least)
    return largest


def in_units(controls: Sequence[tuple[int, int, float]], units: Array | None) -> Sequence[tuple[int, int, float]]:
    """Controls of a system whose states are in such units: sizes of states follow, those of assigned values stay."""
    if units is None:
        return controls
    return [(state, value, size if value >= 0 else size / float(units[state])) for state, value, size in controls]
