"""A system on CasADi symbols: closure values, rates, and which side of its decisions it is on.

Symbols are scalars (SX), or matrices (MX) where a system has networks, whose products would otherwise be taken apart.
Programs are run on scalars all the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import cast

import casadi as ca
import numpy as np

from ...arrays import Array, Indices
from ..discontinuities import Jumping, movable
from ..ir.autodiff import switching_functions
from ..ir.events import events
from ..ir.kernels import Kernel, NetworkStage, System
from ..ir.program import Program
from .networks import outputs_of


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


# SX or MX, which have the same operations and no type in common: what is written for the one holds for the other.
Symbols = ca.SX
Scalars, Matrices = ca.SX, cast(type[ca.SX], ca.MX)


def results_of(kernel: Kernel, v: Symbols, program: Program | None = None) -> dict[str, Symbols | ca.DM]:
    """Results of a kernel, or of another program with its inputs, each as a column with an entry for each item."""
    program, items = program or kernel.program, kernel.gather.shape[1]
    given, rules = inputs_of(kernel, v), RULES | LOWERED
    if not isinstance(v, Matrices):
        return {name: as_column(value, items) for name, value in program.run(given, rules).items()}
    scalars = {name: ca.SX.sym("x", items) for name in given}
    results = {name: as_column(value, items) for name, value in program.run(scalars, rules).items()}
    function = ca.Function("local", [*scalars.values()], [ca.densify(ca.SX(x)) for x in results.values()])
    return dict(zip(results, function.call([*given.values()]), strict=True))


def closed_values(system: System, y: Symbols, p: Symbols, f: Symbols) -> Symbols:
    """All values of a system on CasADi symbols: states first, values that stages assign last."""
    v = ca.vertcat(y, p, f, ca.DM(system.constants))
    for stage in system.stages:
        if isinstance(stage, NetworkStage):
            v = ca.vertcat(v, outputs_of(stage, v, system.n_states))
            continue
        results = results_of(stage, v)
        if stage.sums is None:
            v = ca.vertcat(v, *(results[s.output] for s in stage.scatter))
        elif stage.sums.size:
            sums = type(v).zeros(len(stage.sums))
            for s in stage.scatter:
                sums += _spread(s.target - stage.sums[0], s.weight, len(stage.sums), results[s.output])
            v = ca.vertcat(v, sums)
    return v


def rates(system: System, v: Symbols) -> Symbols:
    """The rates `[d(states)/dt | fluxes]` of a system from its `closed_values`."""
    total = type(v).zeros(system.n_states + system.n_fluxes)
    for kernel in system.kernels:
        results = results_of(kernel, v)
        for s in kernel.scatter:
            total += _spread(s.target, s.weight, total.numel(), results[s.output])
    return total


def _spread(target: Indices, weight: Array, size: int, column: Symbols | ca.DM) -> Symbols:
    """Results times their weights, added up where they belong, in a column of some size."""
    items = len(target)
    return ca.mtimes(ca.DM.triplet(target.tolist(), list(range(items)), ca.DM(weight), size, items), column)


def sides_of(functions: Sequence[Jumping], v: Symbols) -> Symbols:
    """A sum over items, for each function and decision, of which side it is on; weights let no two turns cancel."""
    sums = []
    for function in functions:
        kernel, items = function.kernel, function.kernel.gather.shape[1]
        program = events(kernel.program, function.moving)
        sides = results_of(kernel, v, program)
        weights = 1 + np.sqrt(np.arange(items)) % 1
        sums += [ca.dot(ca.DM(weights), sides[f"side.{k}"]) for k in function.which]
    return ca.vertcat(*sums)


def switches_of(system: System, linear: bool, v: Symbols) -> Symbols:
    """A number that tells on which side all switches are that states, or forcings that change in time, can turn.

    Args:
        linear: whether forcings change within intervals.
    """
    total = type(v)(0.0)
    for kernel, moving in movable(system, linear):
        sides = results_of(kernel, v, switching_functions(kernel.program, moving))
        # Weights, so that no two turns cancel.
        for k, side in enumerate(sides.values()):
            total += ca.dot(ca.DM(1 + np.sqrt(2 + k + len(sides) * np.arange(side.numel())) % 1), side)
    return total


def with_fluxes(symbols: Sequence[Symbols], n_fluxes: int, **values: Symbols) -> dict[str, Symbols]:
    """Values of symbols of the states, `par` and the time, as those of states and integrated fluxes together, "x"."""
    y, par, s = symbols
    if not isinstance(y, Matrices):
        return {"x": ca.vertcat(y, ca.SX.sym("q", n_fluxes)), "p": par, "t": s, **values}
    x = Matrices.sym("x", y.numel() + n_fluxes)
    found = ca.Function("values", [y, par, s], [*values.values()]).call([x[: y.numel()], par, s])
    return {"x": x, "p": par, "t": s, **dict(zip(values, found, strict=True))}


def inputs_of(kernel: Kernel, v: Symbols) -> dict[str, Symbols]:
    """What a kernel gathers of all values, each input a column."""
    return {name: v[row.tolist()] for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)}


def as_column(value: ca.SX | float, items: int) -> ca.SX | ca.DM:
    """A result as a column of `items` entries; constant results are scalars until here."""
    column = ca.DM(value) if isinstance(value, (int, float)) else value
    return ca.repmat(column, items, 1) if column.numel() == 1 and items != 1 else column
