"""What CVODES and its fallback are asked for: methods, shares of the tolerances, steps allowed."""

from __future__ import annotations

from dataclasses import dataclass

from ...arrays import Json
from ...errors import InputError
from ..base import Options
from ..stated_steps import EULER
from .rosenbrock import SHORTEST

# The methods of CVODES, and all that this engine knows.
CVODES_METHODS = {"cvodes-bdf": "bdf", "cvodes-adams": "adams"}
SOLVERS = (*CVODES_METHODS, EULER)
# CVODES controls the error of a step; over many steps errors come out about ten times the tolerance,
# where a Rosenbrock method's stay below it. States further off than that would also bend the gradient,
# which is taken at them: with this share, a requested 1e-4 holds for it on all reference problems.
TOLERANCE_FACTOR, TIGHTEST = 0.005, 1e-13
# Derivatives of the requested accuracy need more than the states; both passes for them solve each
# interval again anyway, and may do so more tightly.
SENSITIVITY_FACTOR = 1e-3
# Steps kept in memory between two checkpoints of the adjoint.
STEPS_PER_CHECKPOINT = 500
# CasADi leaves CVODES at its default for the steps of one call backwards; longer intervals are halved.
BACKWARD_STEPS = 500
# CVODES has a part of the steps allowed, of one call forward and of all backwards, before it gives up.
FORWARD_SHARE, BACKWARD_SHARE = 0.2, 0.1
# Places in an interval at which CVODES leaves word of how far it came.
PLACES = 64
# The fallback's own tolerances, as a share of those asked for.
FALLBACK_FACTOR = 0.005
# And those of the method for large grids, whose discrete gradients follow them closely.
LARGE_FACTOR = 0.5


@dataclass(frozen=True)
class Method:
    """What solves intervals, and with what, as statistics call it: empty where it is what was asked for.

    `share` of the tolerances is for the Rosenbrock method of whole intervals.
    """

    linear_solver: str
    solver: str = ""
    why: str = ""
    sensitivity_why: str = ""
    share: float = FALLBACK_FACTOR


CVODES = Method("sparse direct (QR)")
FEW = Method(
    "dense (unrolled)", "Rodas5P", "its steps are cheapest for few states", "the exact derivatives of steps of Rodas5P"
)
LARGE = Method(
    "sparse direct (SuperLU)",
    "Rodas5P",
    "least time on a large grid, whose factors fill up",
    "exact for the steps taken, at a cost that does not grow with the number of inputs",
    LARGE_FACTOR,
)


def solver_of(options: Options) -> str:
    """Name of the method that is asked for, or of the usual one."""
    return "cvodes-bdf" if options.solver in (None, "auto") else str(options.solver)


def tolerances(options: Options, factor: float) -> dict[str, float]:
    """Those asked for, times a factor, as CasADi calls them."""
    return {"reltol": max(factor * options.rtol, TIGHTEST), "abstol": factor * options.atol}


def cvodes_settings(options: Options, guards: bool, falls_back: bool) -> dict[str, Json]:
    """Settings of CasADi's integrator; `guards` says whether the model has limits, `falls_back` whether others are tried.

    Raises:
        InputError: there is no such method.
    """
    solver = solver_of(options)
    if solver not in CVODES_METHODS:
        raise InputError(f"solver {solver!r} is unknown to the engine 'sundials'; it has {sorted(SOLVERS)}")
    return {
        **tolerances(options, TOLERANCE_FACTOR),
        "max_num_steps": max(1, int(FORWARD_SHARE * options.max_steps)) if falls_back else options.max_steps,
        "steps_per_checkpoint": STEPS_PER_CHECKPOINT,
        "linear_multistep_method": CVODES_METHODS[solver],
        "disable_internal_warnings": True,
        # A value that is not finite is met with a smaller step, or told by the status.
        "show_eval_warnings": False,
        # Without it, CVODES goes on with steps that change nothing where a guard turns rates to NaN.
        "min_step_size": SHORTEST if guards else 0.0,
    }
