"""Writes local functions as plain straight-line Julia."""

from __future__ import annotations

from ..trace import Node, Program

# Functions called here live in the Julia package: powers, logarithms and roots that give NaN where
# they are undefined instead of an exception, and a branch that accepts two types.
RULES: dict[str, str] = {
    "add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "div": "({0} / {1})",
    "pow": "power({0}, {1})", "neg": "(-{0})", "abs": "abs({0})", "exp": "exp({0})", "log": "logarithm({0})",
    "sqrt": "root({0})", "tanh": "tanh({0})", "sin": "sin({0})", "cos": "cos({0})", "minimum": "min({0}, {1})",
    "maximum": "max({0}, {1})", "lt": "({0} < {1})", "le": "({0} <= {1})", "and": "({0} & {1})",
    "or": "({0} | {1})", "not": "(!{0})", "where": "pick({0}, {1}, {2})",
}  # fmt: skip


def julia_number(value: float) -> str:
    """A float as a Julia literal that reads back to the same bits."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "(-Inf)"
    return repr(value) if value >= 0 else f"({value!r})"


def julia_function(program: Program, inputs: list[str], outputs: list[str]) -> str:
    """Source of `program` as an anonymous function of `inputs` that returns a tuple of `outputs`."""
    names: list[str] = []
    lines: list[str] = []
    arguments = {name: f"x{i}" for i, name in enumerate(inputs)}
    for i, node in enumerate(program.nodes):
        if node.op == "input":
            names.append(arguments[node.name])
        elif node.op == "constant":
            names.append(julia_number(node.value))
        else:
            names.append(f"t{i}")
            lines.append(f"    t{i} = {_expression(node, names)}")
    results = ", ".join(names[program.outputs[name]] for name in outputs)
    # The name appears in Julia's stack traces only.
    header = f"function ({', '.join(arguments.values())})"
    return "\n".join([header, *lines, f"    return ({results},)", "end"])


def _expression(node: Node, names: list[str]) -> str:
    arguments = [names[a] for a in node.args]
    if node.op == "pow":
        exponent = arguments[1].strip("()")
        # A whole constant power is a few products.
        if exponent.lstrip("-").endswith(".0") and abs(float(exponent)) <= 8:
            return f"({arguments[0]} ^ {int(float(exponent))})"
    return RULES[node.op].format(*arguments)
