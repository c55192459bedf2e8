"""What functions of PyTorch are as nodes of a program."""

from __future__ import annotations

import math
from collections.abc import Callable

from .program import Builder, Ref
from .reductions import flag, norm

# Above this threshold `softplus` needs no branch: exp(-20) is 2e-9.
SMOOTH_THRESHOLD = 20.0

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

    PyTorch takes x itself where beta x is beyond a threshold, 20 if none is given. At 20 that is a jump of 2e-9 / beta:
    here the function stays smooth. A lower threshold, whose jump counts, is kept.
    """
    x = input if beta is None else b.apply("mul", beta, input)
    tail = b.apply("log1p", b.apply("exp", b.apply("neg", b.apply("abs", x))))
    smooth = b.apply("add", b.apply("maximum", x, b.constant(0.0)), tail)
    result = smooth if beta is None else b.apply("div", smooth, beta)
    if threshold is None or (b.value(threshold) or 0.0) >= SMOOTH_THRESHOLD:
        return result
    return b.apply("where", b.apply("lt", threshold, x), input, result)


def _sign(b: Builder, input: Ref) -> Ref:
    """One comparison for each side, so that engines locate the jump. As in PyTorch, zero for what is not a number."""
    zero, one, less = b.constant(0.0), b.constant(1.0), b.constant(-1.0)
    above = b.apply("where", b.apply("lt", zero, input), one, zero)
    return b.apply("where", b.apply("lt", input, zero), less, above)


def _equal(b: Builder, input: Ref, other: Ref) -> Ref:
    return b.apply("and", b.apply("le", input, other), b.apply("le", other, input))


def _atan2(b: Builder, input: Ref, other: Ref) -> Ref:
    """The angle of the point (other, input), by that to the nearer axis; zero at the origin, which has no angle.

    Comparisons on both coordinates let engines locate the jump where `other` is negative and `input` changes sign.
    """
    y, x, zero = input, other, b.constant(0.0)
    below, behind = b.apply("lt", y, zero), b.apply("lt", x, zero)
    steep = b.apply("lt", b.apply("abs", x), b.apply("abs", y))
    origin = b.apply("and", _equal(b, x, zero), _equal(b, y, zero))

    def turned(angle: float) -> Ref:
        return b.apply("where", below, b.constant(-angle), b.constant(angle))

    nowhere = flag(b, origin)
    ratio = b.apply("div", b.apply("where", steep, x, y), b.apply("add", b.apply("where", steep, y, x), nowhere))
    angle = b.apply("mul", b.apply("atan", ratio), b.apply("sub", b.constant(1.0), nowhere))
    near_y = b.apply("sub", turned(math.pi / 2), angle)
    return b.apply("where", steep, near_y, b.apply("add", b.apply("where", behind, turned(math.pi), zero), angle))


def _heaviside(b: Builder, input: Ref, values: Ref) -> Ref:
    zero, one = b.constant(0.0), b.constant(1.0)
    above = b.apply("where", b.apply("lt", zero, input), one, values)
    return b.apply("where", b.apply("lt", input, zero), zero, above)


def _same(b: Builder, input: Ref) -> Ref:
    return input


# Name of a torch or operator function -> how to build it from the operations.
RULES: dict[str, Rule] = {
    **{op: _unary(op) for op in ("neg", "abs", "exp", "log", "sqrt", "tanh", "sin", "cos")},
    **{op: _unary(op) for op in ("expm1", "log1p", "erf", "atan", "sinh", "cosh")},
    **{"special_expm1": _unary("expm1"), "special_log1p": _unary("log1p"), "special_erf": _unary("erf")},
    **{
        "arctan": _unary("atan"),
        "atan2": _atan2,
        "arctan2": _atan2,
        "hypot": lambda b, input, other: norm(b, [input, other]),
    },
    **{"sign": _sign, "sgn": _sign, "heaviside": _heaviside, "eq": _equal},
    **{name: lambda b, input, other: b.apply("not", _equal(b, input, other)) for name in ("ne", "not_equal")},
    "tan": lambda b, input: b.apply("div", b.apply("sin", input), b.apply("cos", input)),
    "log2": lambda b, input: b.apply("mul", b.constant(1 / math.log(2.0)), b.apply("log", input)),
    "exp2": lambda b, input: b.apply("exp", b.apply("mul", b.constant(math.log(2.0)), input)),
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
    **{"pos": _same, "positive": _same, "clone": _same, "where": _where},
    **{"clamp": _clamp, "clip": _clamp, "sigmoid": _sigmoid, "softplus": _softplus},
    "double": _same,
    "clamp_min": lambda b, input, min: _clamp(b, input, min),
    "clamp_max": lambda b, input, max: _clamp(b, input, None, max),
    "relu": lambda b, input, inplace=None: b.apply("maximum", input, b.constant(0.0)),
    "square": lambda b, input: b.apply("mul", input, input),
    "reciprocal": lambda b, input: b.apply("div", b.constant(1.0), input),
    "rsqrt": lambda b, input: b.apply("div", b.constant(1.0), b.apply("sqrt", input)),
    "log10": lambda b, input: b.apply("mul", b.constant(1 / math.log(10.0)), b.apply("log", input)),
}
_STEPS = (
    "jumps at every whole number, and a jump of the rates must be located for a gradient to be right; write the steps "
    "that matter as torch.where(x < limit, before, after)"
)
_PLAIN = "makes a plain number of a value that is only known while solving; go on with the value itself"
# What cannot be translated, and why.
REFUSED: dict[str, str] = {
    **{name: _STEPS for name in ("floor", "ceil", "round", "trunc", "fix", "frac", "floor_divide", "floordiv")},
    **{name: _STEPS for name in ("fmod", "remainder", "mod", "rfloordiv", "rmod")},
    **{name: _PLAIN for name in ("item", "numpy", "tolist", "float", "int", "long", "bool")},
    "detach": "would take a gradient away; gradients of a local function are those of what it computes",
}
# Rules that take conditions, and how many of their arguments are.
CONDITIONS = {
    **{"where": 1, "invert": 1, "logical_not": 1},
    **{"and": 2, "and_": 2, "logical_and": 2, "or": 2, "or_": 2, "logical_or": 2},
}
