"""Straight-line programs of scalar operations, and what builds them.

A local function becomes a `Program`: a list of scalar operations, each on earlier results. Engines run a
program on symbols of their own or write it out as source. Equal operations are merged and constants folded.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeVar

Ref = int  # position of a node in its program
V = TypeVar("V")


class Node(NamedTuple):
    """One scalar operation. `op` "input" and "constant" carry a name or a value instead of arguments."""

    op: str
    args: tuple[Ref, ...] = ()
    name: str = ""
    value: float = 0.0


@dataclass(frozen=True)
class Call:
    """A network that a function calls: `features` computes what it is given, as results "0", "1", ..."""

    network: str
    features: Program


@dataclass(frozen=True)
class Program:
    """A straight-line function: nodes in order of evaluation, and which of them are results.

    Attributes:
        calls: networks that are evaluated before, in order. Result j of call k is the input `net.k.j`, of the function
            and of the features of later calls.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: Mapping[str, Ref]
    calls: tuple[Call, ...] = ()

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Equal for equal programs, whatever they are called."""
        return (self.nodes, tuple(self.outputs.items()), *((c.network, c.features.key) for c in self.calls))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the function really uses."""
        return tuple(n.name for n in self.nodes if n.op == "input")

    def run(self, inputs: Mapping[str, V], rules: Mapping[str, Callable[..., V]]) -> dict[str, V | float]:
        """Evaluates the program with `rules` (operation -> function) on any kind of values; constants stay numbers."""
        values: list[V | float] = []
        for node in self.nodes:
            if node.op == "input":
                values.append(inputs[node.name])
            elif node.op == "constant":
                values.append(node.value)
            else:
                values.append(rules[node.op](*(values[a] for a in node.args)))
        return {k: values[r] for k, r in self.outputs.items()}


# Every operation an engine must know: how to evaluate it on plain numbers.
OPERATIONS: dict[str, Callable[..., float]] = {
    **{op: getattr(operator, op) for op in ("add", "sub", "mul", "pow", "neg", "abs", "lt", "le")},
    **{op: getattr(math, op) for op in ("exp", "log", "sqrt", "tanh", "sin", "cos")},
    **{op: getattr(math, op) for op in ("expm1", "log1p", "erf", "atan", "sinh", "cosh")},
    **{"div": operator.truediv, "minimum": min, "maximum": max, "not": operator.not_},
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "where": lambda c, a, b: a if c else b,
    "frozen": float,  # the value itself, without slopes
}
# Those whose result is true or false, not a number.
LOGICAL = frozenset({"lt", "le", "and", "or", "not"})


class Builder:
    """Appends nodes, merging equal ones and folding constants."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []
        self._known: dict[Node, Ref] = {}

    def _append(self, node: Node) -> Ref:
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def input(self, name: str) -> Ref:
        """Where the input of this name is."""
        return self._append(Node("input", name=name))

    def constant(self, value: float) -> Ref:
        """Where this number is."""
        return self._append(Node("constant", value=float(value)))

    def value(self, ref: Ref) -> float | None:
        """The value of a constant node, else None."""
        node = self.nodes[ref]
        return node.value if node.op == "constant" else None

    def apply(self, op: str, *args: Ref) -> Ref:
        """Where the result of an operation is, which may be found by a simpler one."""
        constants = [self.value(a) for a in args]
        if op == "where" and constants[0] is not None:
            return args[1] if constants[0] else args[2]
        if all(c is not None for c in constants):
            return self.constant(OPERATIONS[op](*constants))
        if op == "pow" and constants[1] == 1.0:
            return args[0]
        if op == "pow" and constants[1] == 2.0:
            return self.apply("mul", args[0], args[0])
        if op == "pow" and constants[1] == 0.5:
            return self.apply("sqrt", args[0])
        if (dry := self._clamped(op, args)) is not None:
            below, safe = self.apply("lt", dry, self.constant(0.0)), self.constant(1.0)
            result = self.apply(op, self.apply("where", below, safe, dry), *args[1:])
            return self.apply("where", below, self.constant(0.0), result)
        if (op in ("add", "sub") and constants[1] == 0.0) or (op in ("mul", "div") and constants[1] == 1.0):
            return args[0]
        if (op == "add" and constants[0] == 0.0) or (op == "mul" and constants[0] == 1.0):
            return args[1]
        if op == "mul" and 0.0 in constants:
            return self.constant(0.0)
        return self._append(Node(op, args))

    def _clamped(self, op: str, args: tuple[Ref, ...]) -> Ref | None:
        """x where the operation is a root, or a power below one, of x clamped at zero; None where it is not.

        Its slope is infinite at zero, and times that of the clamp not a number below: a store that runs dry would end
        the solve, if the two were not chosen together.
        """
        if op != "sqrt" and not (op == "pow" and 0.0 < (self.value(args[1]) or 0.0) < 1.0):
            return None
        inner = self.nodes[args[0]]
        if inner.op != "maximum" or 0.0 not in (values := [self.value(a) for a in inner.args]):
            return None
        return inner.args[1 - values.index(0.0)]

    def copy(
        self,
        program: Program,
        rule: Callable[[Ref, Node, list[Ref]], Ref | None],
        inputs: Mapping[str, Ref] = MappingProxyType({}),
    ) -> list[Ref]:
        """Appends the nodes of `program` and returns where each is now.

        `rule(ref, node, arguments)` may build an operation in its own way; None leaves it as it is. Inputs may be given.
        """
        refs: list[Ref] = []
        for i, node in enumerate(program.nodes):
            if node.op == "input":
                refs.append(inputs[node.name] if node.name in inputs else self.input(node.name))
            elif node.op == "constant":
                refs.append(self.constant(node.value))
            else:
                arguments = [refs[a] for a in node.args]
                own = rule(i, node, arguments)
                refs.append(self.apply(node.op, *arguments) if own is None else own)
        return refs

    def finish(self, outputs: Mapping[str, Ref]) -> Program:
        """The program, without nodes that no output needs. Inputs keep the order of first use."""
        needed, stack = set(), list(outputs.values())
        while stack:
            ref = stack.pop()
            if ref not in needed:
                needed.add(ref)
                stack.extend(self.nodes[ref].args)
        place = {old: new for new, old in enumerate(sorted(needed))}
        nodes = tuple(
            Node(n.op, tuple(place[a] for a in n.args), n.name, n.value)
            for n in (self.nodes[old] for old in sorted(needed))
        )
        return Program(self.name, nodes, {k: place[r] for k, r in outputs.items()})
