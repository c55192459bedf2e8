"""What tangents of small systems in lockstep are made of: derivatives of local functions to all inputs, and of their slopes.

They are written when a tangent first asks for them: most solves never do.
"""

from __future__ import annotations

import numpy as np

from ...arrays import Indices
from ..ir.autodiff import jacobian
from ..ir.kernels import Assigning, Kernel, NetworkStage, System
from ..ir.program import Node, Program
from .codegen import julia_loop

# Sources of the first and second derivatives, each followed by the columns of a full table that may not be zero.
Moves = tuple[str, Indices, str, Indices]


def has_items(stage: Assigning) -> bool:
    """Values on faces, where there are none, are assigned by nobody."""
    return (stage.features if isinstance(stage, NetworkStage) else stage.gather).shape[1] > 0


def ordered(kernel: Kernel, system: System) -> tuple[Indices, list[str], tuple[int, int, int]]:
    """Inputs of a kernel as Julia has them: what depends on the states, then forcings, parameters and constants.

    Their places in the program, their names, and how many are of the first kind, of the first two, and of the first three.
    """
    first = kernel.gather[:, 0] if kernel.gather.size else np.empty(0, np.int64)
    ends = np.cumsum([system.n_states, system.n_parameters, system.n_forcings, len(system.constants)])
    kind = np.array([0, 2, 1, 3, 0])[np.searchsorted(ends, first, side="right")]
    order = np.argsort(kind, kind="stable")
    active, along, variable = (int((kind < k).sum()) for k in (1, 2, 3))
    return order, [kernel.program.inputs[i] for i in order], (active, along, variable)


def moves_of(system: System) -> list[Moves]:
    """Of each stage and then each kernel, none of which is a network, in the order of the built model."""
    kernels = [*(stage for stage in system.stages if has_items(stage)), *system.kernels]
    return [_moves(kernel, system) for kernel in kernels if not isinstance(kernel, NetworkStage)]


def _moves(kernel: Kernel, system: System) -> Moves:
    _, names, (active, along, variable) = ordered(kernel, system)
    outputs, free = list(dict.fromkeys(s.output for s in kernel.scatter)), names[:variable]
    moving = names[: active if system.still else along]
    slopes = [f"slope.{o}.{i}" for o in outputs for i in moving]
    items = kernel.gather.shape[1] if kernel.gather.size else len(kernel.scatter[0].target)
    first, columns = _derivatives(kernel.program, outputs, "out", "partials", names, free, items)
    with_slopes = jacobian(kernel.program, outputs, moving)
    second, bent = _derivatives(with_slopes, slopes, "slopes", "bends", names, free, items)
    return first, columns, second, bent


def _derivatives(
    program: Program, outputs: list[str], results: str, slopes: str, names: list[str], free: list[str], items: int
) -> tuple[str, Indices]:
    """Source that assigns outputs and those of their derivatives that may not be zero, and which these are."""
    differentiated = jacobian(program, outputs, free)
    pairs = [f"slope.{o}.{i}" for o in outputs for i in free]
    there = [differentiated.nodes[differentiated.outputs[pair]] != Node("constant") for pair in pairs]
    kept = [pair for pair, some in zip(pairs, there, strict=True) if some]
    return julia_loop(differentiated, {"x": names}, {results: outputs, slopes: kept}, items), np.flatnonzero(there) + 1
