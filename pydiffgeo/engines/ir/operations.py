"""What functions of PyTorch are as nodes of a program."""

from __future__ import annotations

import math
from collections.abc import Callable

from .program import Builder, Ref

Rule = Callable[..., Ref]


def _unary(op: str) -> Rule:
    def rule(b: Builder, input: Ref) -> Ref:
        return b.apply(op, input)

    return rule


def _binary(op: str, swapped: bool = False) -> Rule:
    def rule(b: Builder, input: Ref, other: Ref) -> Ref:
        return b.apply(op, other, input) if swapped else b.apply(op, input, other)

    return rule


def _power(b: Builder, input: Ref, exponent: Ref) -> Ref:
    return b.apply("pow", input, exponent)


def _where(b: Builder, condition: Ref, input: Ref, other: Ref) -> Ref:
    return b.apply("where", condition, input, other)


def _clamp(b: Builder, input: Ref, min: Ref | None = None, max: Ref | None = None) -> Ref:
    if min is None and max is None:
        raise ValueError("it needs min, max, or both")
    x = input if min is None else b.apply("maximum", input, min)
    return x if max is None else b.apply("minimum", x, max)


def _sigmoid(b: Builder, input: Ref) -> Ref:
    half = b.constant(0.5)
    return b.apply("add", half, b.apply("mul", half, b.apply("tanh", b.apply("mul", half, input))))


def _softplus(b: Builder, input: Ref, beta: Ref | None = None, threshold: Ref | None = None) -> Ref:
    """log(1 + exp(beta x)) / beta, written so that it neither overflows nor loses digits for large |x|.

    PyTorch takes x itself beyond a threshold, which changes nothing that a double resolves at 20 and above by more than 2e-9.
    """
    x = input if beta is None else b.apply("mul", beta, input)
    one, size = b.constant(1.0), b.apply("abs", x)
    tail = b.apply("log", b.apply("add", one, b.apply("exp", b.apply("neg", size))))
    result = b.apply("add", b.apply("maximum", x, b.constant(0.0)), tail)
    return result if beta is None else b.apply("div", result, beta)


def _same(b: Builder, input: Ref) -> Ref:
    return input


def _detach(b: Builder, input: Ref) -> Ref:
    raise ValueError("it would take a gradient away; gradients of a local function are those of what it computes")


# Name of a torch or operator function -> how to build it from the operations.
RULES: dict[str, Rule] = {
    **{op: _unary(op) for op in ("neg", "abs", "exp", "log", "sqrt", "tanh", "sin", "cos")},
    **{op: _binary(op) for op in ("add", "sub", "mul", "div", "minimum", "maximum", "lt", "le")},
    **{name: _binary("mul") for name in ("multiply", "rmul")},
    **{name: _binary("div") for name in ("truediv", "true_divide", "divide")},
    **{"subtract": _binary("sub"), "rsub": _binary("sub", True), "rtruediv": _binary("div", True)},
    **{"radd": _binary("add"), "min": _binary("minimum"), "max": _binary("maximum")},
    **{"less": _binary("lt"), "less_equal": _binary("le")},
    **{name: _binary("lt", True) for name in ("gt", "greater")},
    **{name: _binary("le", True) for name in ("ge", "greater_equal")},
    **{name: _binary("and") for name in ("and", "and_", "logical_and")},
    **{name: _binary("or") for name in ("or", "or_", "logical_or")},
    **{name: _unary("not") for name in ("invert", "logical_not")},
    **{"negative": _unary("neg"), "absolute": _unary("abs"), "pow": _power, "rpow": _binary("pow", True)},
    **{"pos": _same, "positive": _same, "clone": _same, "detach": _detach, "where": _where},
    **{"clamp": _clamp, "clip": _clamp, "sigmoid": _sigmoid, "softplus": _softplus},
    "clamp_min": lambda b, input, min: _clamp(b, input, min),
    "clamp_max": lambda b, input, max: _clamp(b, input, None, max),
    "relu": lambda b, input, inplace=None: b.apply("maximum", input, b.constant(0.0)),
    "square": lambda b, input: b.apply("mul", input, input),
    "reciprocal": lambda b, input: b.apply("div", b.constant(1.0), input),
    "rsqrt": lambda b, input: b.apply("div", b.constant(1.0), b.apply("sqrt", input)),
    "log10": lambda b, input: b.apply("mul", b.constant(1 / math.log(10.0)), b.apply("log", input)),
}
# Rules that take conditions, and how many of their arguments are.
CONDITIONS = {
    **{"where": 1, "invert": 1, "logical_not": 1},
    **{"and": 2, "and_": 2, "logical_and": 2, "or": 2, "or_": 2, "logical_or": 2},
}
