"""Local functions as straight-line programs.

A local function in plain torch is traced with `torch.fx` on scalar stand-ins and becomes a
`Program`: a list of scalar operations, each on earlier results. Engines run a program on symbols
of their own or write it out as source. Equal operations are merged and constants folded.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import fx

from ..errors import ModelError, UnsupportedOperationError

Ref = int  # position of a node in its program


@dataclass(frozen=True)
class Node:
    """One scalar operation. `op` "input" and "constant" carry a name or a value instead of arguments."""

    op: str
    args: tuple[Ref, ...] = ()
    name: str = ""
    value: float = 0.0


@dataclass(frozen=True)
class Program:
    """A straight-line function: nodes in order of evaluation, and which of them are results."""

    name: str
    nodes: tuple[Node, ...]
    outputs: Mapping[str, Ref]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the function really uses."""
        return tuple(n.name for n in self.nodes if n.op == "input")

    def run(self, inputs: Mapping[str, Any], rules: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
        """Evaluates the program with `rules` (operation -> function) on any kind of values."""
        values: list[Any] = []
        for node in self.nodes:
            if node.op == "input":
                values.append(inputs[node.name])
            elif node.op == "constant":
                values.append(node.value)
            else:
                values.append(rules[node.op](*(values[a] for a in node.args)))
        return {k: values[r] for k, r in self.outputs.items()}


# Every operation an engine must know: how to evaluate it on plain numbers.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "pow": operator.pow, "neg": operator.neg, "abs": abs, "exp": math.exp, "log": math.log,
    "sqrt": math.sqrt, "tanh": math.tanh, "sin": math.sin, "cos": math.cos, "minimum": min, "maximum": max,
    "lt": operator.lt, "le": operator.le, "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b), "not": operator.not_, "where": lambda c, a, b: a if c else b,
}  # fmt: skip


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
        return self._append(Node("input", name=name))

    def constant(self, value: float) -> Ref:
        return self._append(Node("constant", value=float(value)))

    def value(self, ref: Ref) -> float | None:
        """The value of a constant node, else None."""
        node = self.nodes[ref]
        return node.value if node.op == "constant" else None

    def apply(self, op: str, *args: Ref) -> Ref:
        known = [self.value(a) for a in args]
        if all(k is not None for k in known):
            return self.constant(OPERATIONS[op](*known))
        if op == "pow" and known[1] in (1.0, 2.0, 0.5):
            return {1.0: lambda: args[0], 2.0: lambda: self.apply("mul", args[0], args[0]),
                    0.5: lambda: self.apply("sqrt", args[0])}[known[1]]()  # fmt: skip
        if (op in ("add", "sub") and known[1] == 0.0) or (op in ("mul", "div") and known[1] == 1.0):
            return args[0]
        if (op == "add" and known[0] == 0.0) or (op == "mul" and known[0] == 1.0):
            return args[1]
        if op == "mul" and 0.0 in known:
            return self.constant(0.0)
        return self._append(Node(op, args))

    def copy(self, program: Program, rule: Callable[[Ref, Node, list[Ref]], Ref | None]) -> list[Ref]:
        """Appends the nodes of `program` and returns where each is now.

        `rule(ref, node, arguments)` may build an operation in its own way; None leaves it as it is.
        """
        refs: list[Ref] = []
        for i, node in enumerate(program.nodes):
            if node.op == "input":
                refs.append(self.input(node.name))
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


def _clamp(b: Builder, x: Ref, min: Ref | None = None, max: Ref | None = None) -> Ref:
    if min is not None:
        x = b.apply("maximum", x, min)
    return x if max is None else b.apply("minimum", x, max)


def _sigmoid(b: Builder, x: Ref) -> Ref:
    half = b.constant(0.5)
    return b.apply("add", half, b.apply("mul", half, b.apply("tanh", b.apply("mul", half, x))))


def _same(op: str) -> Callable[..., Ref]:
    return lambda b, *args: b.apply(op, *args)


def _swapped(op: str) -> Callable[..., Ref]:
    return lambda b, x, y: b.apply(op, y, x)


# Name of a torch or operator function -> how to build it from the operations.
RULES: dict[str, Callable[..., Ref]] = {
    **{op: _same(op) for op in ("add", "sub", "mul", "div", "pow", "neg", "abs", "exp", "log", "sqrt", "tanh",
                                "sin", "cos", "minimum", "maximum", "lt", "le", "where")},
    "truediv": _same("div"), "true_divide": _same("div"), "divide": _same("div"), "multiply": _same("mul"),
    "subtract": _same("sub"), "negative": _same("neg"), "less": _same("lt"), "less_equal": _same("le"),
    "gt": _swapped("lt"), "ge": _swapped("le"), "greater": _swapped("lt"), "greater_equal": _swapped("le"),
    "and_": _same("and"), "logical_and": _same("and"), "or_": _same("or"), "logical_or": _same("or"),
    "invert": _same("not"), "logical_not": _same("not"), "absolute": _same("abs"), "min": _same("minimum"),
    "max": _same("maximum"), "clamp": _clamp, "clip": _clamp, "sigmoid": _sigmoid,
    "clamp_min": lambda b, x, min: _clamp(b, x, min), "clamp_max": lambda b, x, max: _clamp(b, x, None, max),
    "relu": lambda b, x: b.apply("maximum", x, b.constant(0.0)),
    "square": lambda b, x: b.apply("mul", x, x),
    "reciprocal": lambda b, x: b.apply("div", b.constant(1.0), x),
    "rsqrt": lambda b, x: b.apply("div", b.constant(1.0), b.apply("sqrt", x)),
    "rsub": lambda b, x, y: b.apply("sub", y, x),
    "log10": lambda b, x: b.apply("mul", b.constant(1 / math.log(10.0)), b.apply("log", x)),
}  # fmt: skip


class _Tracer(fx.proxy.GraphAppendingTracer):
    """Notes for each node the line of the local function that made it."""

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        frame: Any = sys._getframe(1)
        while frame and ("/torch/" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
            frame = frame.f_back
        node.meta["where"] = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "unknown place"
        return node


def trace(
    name: str, function: Callable[..., Mapping[str, Any]], spaces: Sequence[tuple[str, Sequence[str]]]
) -> Program:
    """Traces a local function.

    Args:
        name: what to call it in errors and generated source.
        function: takes one namespace per entry of `spaces` and returns a dictionary.
        spaces: (prefix, names) per namespace; the program's inputs are called `prefix.name`.

    Raises:
        UnsupportedOperationError: an operation without a rule; the message names it and its line.
        ModelError: the function branches on a value, reads an undeclared name, or returns no dict.
    """
    graph = fx.Graph()
    tracer = _Tracer(graph)
    arguments = [
        SimpleNamespace(**{n: fx.Proxy(graph.placeholder(f"{prefix}.{n}"), tracer) for n in names})
        for prefix, names in spaces
    ]
    try:
        result = function(*arguments)
    except fx.proxy.TraceError as error:
        where = _last_line(error)
        raise ModelError(
            f"{name}: {where} branches on a value that is only known while solving; use torch.where"
        ) from error
    except AttributeError as error:
        raise ModelError(f"{name}: {_last_line(error)} reads a name the model does not declare: {error}") from error
    except (TypeError, RuntimeError) as error:
        raise ModelError(
            f"{name}: {_last_line(error)}: {error} (local functions take torch operations only)"
        ) from error
    if not isinstance(result, Mapping):
        raise ModelError(f"{name} must return a dictionary, got {type(result).__name__}")
    builder = Builder(name)
    refs: dict[fx.Node, Ref] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            refs[node] = builder.input(node.target)
        else:
            refs[node] = _translate(builder, node, refs)
    outputs = {k: refs[v.node] if isinstance(v, fx.Proxy) else builder.constant(v) for k, v in result.items()}
    return builder.finish(outputs)


def _last_line(error: BaseException) -> str:
    """Where in the user's code the error arose."""
    place, step = "unknown place", error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if "/torch/" not in file and file != __file__:
            place = f"{file}:{step.tb_lineno}"
        step = step.tb_next
    return place


def _translate(builder: Builder, node: fx.Node, refs: Mapping[fx.Node, Ref]) -> Ref:
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    rule = RULES.get(target.strip("_") if target.startswith("__") else target)
    if rule is None:
        raise UnsupportedOperationError(
            f"{builder.name}: operation {target!r} at {node.meta['where']} has no translation rule; "
            f"known are {', '.join(sorted(RULES))}"
        )

    def ref(value: Any) -> Ref | None:
        if value is None:
            return None
        if isinstance(value, fx.Node):
            return refs[value]
        if isinstance(value, torch.Tensor):
            value = value.item()
        return builder.constant(value)

    try:
        return rule(builder, *(ref(a) for a in node.args), **{k: ref(v) for k, v in node.kwargs.items()})
    except (TypeError, ValueError, IndexError, ArithmeticError) as error:
        raise UnsupportedOperationError(
            f"{builder.name}: operation {target!r} at {node.meta['where']} is called in a way that has "
            f"no translation rule: {error}"
        ) from error
