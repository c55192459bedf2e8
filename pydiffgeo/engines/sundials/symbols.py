"""A system on CasADi symbols: closure values, rates, and which side of its decisions it is on."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import casadi as ca
import numpy as np

from ...arrays import Array, Indices
from ..discontinuities import Jumping
from ..ir.events import events
from ..ir.kernels import Kernel, System


def _frozen(x: ca.SX) -> ca.SX:
    """The value of `x`, without slopes.

    CasADi has no operation for it, but `floor` has no slope and keeps whole numbers. `x` is a whole multiple of the place
    value of its last bit, and of less: the place is that of the first bit, by 2^53 or more.
    """
    place = 2 ** (ca.floor(ca.log(ca.fabs(x) + 1e-290) / np.log(2.0)) - 54)
    return place * ca.floor(x / place)


# Operations of programs in CasADi.
RULES: dict[str, Callable[..., ca.SX]] = {
    **{op: getattr(operator, op) for op in ("add", "sub", "mul", "pow", "neg", "lt", "le")},
    **{op: getattr(ca, op) for op in ("exp", "log", "sqrt", "tanh", "sin", "cos")},
    **{op: getattr(ca, op) for op in ("expm1", "log1p", "erf", "atan", "sinh", "cosh")},
    **{"div": operator.truediv, "abs": ca.fabs, "minimum": ca.fmin, "maximum": ca.fmax},
    **{"and": ca.logic_and, "or": ca.logic_or, "not": ca.logic_not, "where": ca.if_else},
    "frozen": _frozen,
}


def _lnabs(x: ca.SX) -> ca.SX:
    return ca.log(ca.fabs(x))


# What derivatives take powers apart into.
LOWERED: dict[str, Callable[..., ca.SX]] = {"lnabs": _lnabs, "raise": lambda x, y, logarithm: x**y}


def closed_values(system: System, y: ca.SX, p: ca.SX, f: ca.SX) -> ca.SX:
    """All values of a system on CasADi symbols: states first, values that stages assign last."""
    v = ca.vertcat(y, p, f, ca.DM(system.constants))
    for kernel in system.stages:
        results = kernel.program.run(inputs_of(kernel, v), RULES)
        if kernel.sums is None:
            v = ca.vertcat(v, *(as_column(results[s.output], len(s.target)) for s in kernel.scatter))
        elif kernel.sums.size:
            sums = type(v).zeros(len(kernel.sums))
            for s in kernel.scatter:
                sums += _spread(s.target - kernel.sums[0], s.weight, len(kernel.sums), results[s.output])
            v = ca.vertcat(v, sums)
    return v


def rates(system: System, v: ca.SX) -> ca.SX:
    """The rates `[d(states)/dt | fluxes]` of a system from its `closed_values`."""
    total = type(v).zeros(system.n_states + system.n_fluxes)
    for kernel in system.kernels:
        results = kernel.program.run(inputs_of(kernel, v), RULES)
        for s in kernel.scatter:
            total += _spread(s.target, s.weight, total.numel(), results[s.output])
    return total


def _spread(target: Indices, weight: Array, size: int, result: ca.SX | float) -> ca.SX:
    """Results times their weights, added up where they belong, in a column of some size."""
    items = len(target)
    spread = ca.DM.triplet(target.tolist(), list(range(items)), ca.DM(weight), size, items)
    return ca.mtimes(spread, as_column(result, items))


def sides_of(functions: Sequence[Jumping], v: ca.SX) -> ca.SX:
    """A sum over items, for each function and decision, of which side it is on; weights let no two turns cancel."""
    sums = []
    for function in functions:
        kernel, items = function.kernel, function.kernel.gather.shape[1]
        sides = events(kernel.program, function.moving).run(inputs_of(kernel, v), RULES | LOWERED)
        weights = 1 + np.sqrt(np.arange(items)) % 1
        sums += [ca.dot(ca.DM(weights), as_column(sides[f"side.{k}"], items)) for k in function.which]
    return ca.vertcat(*sums)


def inputs_of(kernel: Kernel, v: ca.SX) -> dict[str, ca.SX]:
    """What a kernel gathers of all values, each input a column."""
    return {name: v[row.tolist()] for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)}


def as_column(value: ca.SX | float, items: int) -> ca.SX | ca.DM:
    """A result as a column of `items` entries; constant results are scalars until here."""
    column = ca.DM(value) if isinstance(value, (int, float)) else value
    return ca.repmat(column, items, 1) if column.numel() == 1 and items != 1 else column
