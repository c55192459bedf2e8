"""Implicit Euler with steps of a stated size, the daily scheme of hydrology (Clark and Kavetski 2010, Water Resour. Res. 46).

What both engines say of it, and by which limits they solve its equations: they agree to rounding.
"""

from __future__ import annotations

import math

from .base import Options

EULER = "implicit_euler"
# As in `julia/src/implicit_euler.jl`, where they are explained.
CORRECTION, ROUNDING, OF_FLUXES = 1e-10, 1e-13, 4e-15
ATTEMPT_ITERATIONS, STEP_ITERATIONS = 15, 600
SHORTER, SHORTEST_SHARE, LONGER = 4.0, 1e-6, 3.0
SENSITIVITY_WHY = "exact for the steps taken, by one transposed solve for each; not an estimate of the exact solution's"


def solver_why(options: Options) -> str:
    return f"asked for: of first order, in steps of {options.step:g} or a little less, whose error is not controlled"


def steps_within(length: float, options: Options) -> int:
    """How many steps an interval is divided into: as few as are no longer than asked, all of one size."""
    assert options.step is not None
    return max(1, math.ceil(length / options.step - 1e-9))
