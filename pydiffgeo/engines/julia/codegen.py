"""Writes local functions as plain straight-line Julia, in loops over their items."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from ..ir.program import Node, Program

# Functions called here live in the Julia package: they give NaN where they are undefined instead of an
# exception, and have no branches, so that loops over them run on vectors.
RULES: dict[str, str] = {
    **{"add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "div": "({0} / {1})", "neg": "(-{0})"},
    **{"pow": "power({0}, {1})", "exp": "exponential({0})", "log": "logarithm({0})", "sqrt": "root({0})"},
    **{"tanh": "hyperbolic({0})", "sin": "sine({0})", "cos": "cosine({0})", "abs": "abs({0})"},
    **{"minimum": "lesser({0}, {1})", "maximum": "greater({0}, {1})", "lt": "({0} < {1})", "le": "({0} <= {1})"},
    **{"and": "({0} & {1})", "or": "({0} | {1})", "not": "(!{0})", "where": "pick({0}, {1}, {2})"},
    **{"expm1": "exponential_less_one({0})", "log1p": "logarithm_of_one_and({0})", "erf": "error_function({0})"},
    **{"atan": "arctangent({0})", "sinh": "hyperbolic_sine({0})", "cosh": "hyperbolic_cosine({0})"},
    "frozen": "frozen({0})",
    **{"lnabs": "logarithm(abs({0}))", "raise": "power({0}, {1}, {2})"},
}


def julia_number(value: float) -> str:
    """A float as a Julia literal that reads back to the same bits."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "(-Inf)"
    return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"


def julia_loop(
    program: Program, reads: Mapping[str, Sequence[str]], writes: Mapping[str, Sequence[str]], items: int
) -> str:
    """Source of a function over matrices, one row per item.

    Args:
        reads: matrix -> names of the inputs in its columns.
        writes: matrix -> names of the outputs in its columns. A matrix called `bars` is added to,
            the others are assigned.
    """
    inputs = {name: f"{matrix}[i, {j}]" for matrix, names in reads.items() for j, name in enumerate(names, 1)}
    uses = Counter(a for node in program.nodes for a in node.args)
    uses.update(program.outputs.values())
    names: list[str] = []
    lines: list[str] = []
    for i, node in enumerate(program.nodes):
        if node.op == "constant":
            names.append(julia_number(node.value))
            continue
        names.append(f"t{i}")
        text = inputs[node.name] if node.op == "input" else _expression(node, names, program, uses)
        lines.append(f"        t{i} = {text}")
    for matrix, outputs in writes.items():
        sign = "+=" if matrix == "bars" else "="
        for j, name in enumerate(outputs, 1):
            value = names[program.outputs[name]]
            if not (sign == "+=" and value == "0.0"):
                lines.append(f"        {matrix}[i, {j}] {sign} {value}")
    # A loop that is worth it runs on vectors; each item is independent of the others.
    loop = "@inbounds @simd ivdep for" if items >= 8 else "@inbounds for"
    first = next(iter(writes))
    arguments = ", ".join([*writes, *reads])
    return "\n".join(
        [f"function ({arguments})", f"    {loop} i in axes({first}, 1)", *lines, "    end", "    return nothing", "end"]
    )


def _expression(node: Node, names: Sequence[str], program: Program, uses: Mapping[int, int]) -> str:
    arguments = [names[a] for a in node.args]
    if node.op in ("add", "sub"):
        # One rounding and one instruction instead of two, where the product is not needed elsewhere.
        for k in (0, 1):
            inner = program.nodes[node.args[k]]
            if inner.op == "mul" and uses[node.args[k]] == 1:
                a, b = (names[r] for r in inner.args)
                other = arguments[1 - k]
                if node.op == "add":
                    return f"fused({a}, {b}, {other})"
                return f"fused({a}, {b}, -{other})" if k == 0 else f"fused(-{a}, {b}, {other})"
    if node.op in ("pow", "raise"):
        exponent = arguments[1].strip("()")
        # A whole constant power is a few products.
        if exponent.lstrip("-").endswith(".0") and abs(float(exponent)) <= 8:
            return f"whole({arguments[0]}, Val({int(float(exponent))}))"
    return RULES[node.op].format(*arguments)
