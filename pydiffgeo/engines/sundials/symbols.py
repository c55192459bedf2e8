"""A system on CasADi symbols: closure values, rates, and which side of its decisions it is on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import casadi as ca
import numpy as np

from ..discontinuities import Jumping
from ..ir.events import events
from ..ir.kernels import System

# Operations of programs in CasADi.
RULES: dict[str, Any] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b, "neg": lambda a: -a, "abs": ca.fabs, "exp": ca.exp, "log": ca.log, "sqrt": ca.sqrt,
    "tanh": ca.tanh, "sin": ca.sin, "cos": ca.cos, "minimum": ca.fmin, "maximum": ca.fmax,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "and": ca.logic_and, "or": ca.logic_or,
    "not": ca.logic_not, "where": lambda c, a, b: ca.if_else(c, a, b),
}  # fmt: skip

# What derivatives take powers apart into.
LOWERED: dict[str, Any] = {"lnabs": lambda x: ca.log(ca.fabs(x)), "raise": lambda x, y, logarithm: x**y}


def closed_values(system: System, y: Any, p: Any, f: Any) -> Any:
    """All values of a system on CasADi symbols: states first, values of closures last."""
    v = ca.vertcat(y, p, f, ca.DM(system.constants))
    for kernel in system.closures:
        results = kernel.program.run(inputs_of(kernel, v), RULES)
        v = ca.vertcat(v, *(as_column(results[s.output], len(s.target)) for s in kernel.scatter))
    return v


def rates(system: System, v: Any) -> Any:
    """The rates `[d(states)/dt | fluxes]` of a system from its `closed_values`."""
    total = type(v).zeros(system.n_states + system.n_fluxes)
    for kernel in system.kernels:
        results = kernel.program.run(inputs_of(kernel, v), RULES)
        for s in kernel.scatter:
            spread = ca.DM.triplet(
                s.target.tolist(), list(range(len(s.target))), ca.DM(s.weight), total.numel(), len(s.target)
            )
            total += ca.mtimes(spread, as_column(results[s.output], len(s.target)))
    return total


def sides_of(functions: Sequence[Jumping], v: Any) -> Any:
    """A sum over items, for each function and decision, of which side it is on; weights let no two turns cancel."""
    found = []
    for function in functions:
        kernel, items = function.kernel, function.kernel.gather.shape[1]
        sides = events(kernel.program, function.moving).run(inputs_of(kernel, v), RULES | LOWERED)
        weights = 1 + np.sqrt(np.arange(items)) % 1
        found += [ca.dot(ca.DM(weights), as_column(sides[f"side.{k}"], items)) for k in function.which]
    return ca.vertcat(*found)


def inputs_of(kernel: Any, v: Any) -> dict[str, Any]:
    return {name: v[row.tolist()] for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)}


def as_column(value: Any, items: int) -> Any:
    """A result as a column of `items` entries; constant results are scalars until here."""
    if isinstance(value, (int, float)):
        value = ca.DM(value)
    return ca.repmat(value, items, 1) if value.numel() == 1 and items != 1 else value
