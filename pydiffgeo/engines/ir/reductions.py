"""What sums, products and the like of several values are as nodes of a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from .program import Builder, Ref

Reduction = Callable[[Builder, Sequence[Ref]], Ref]


def _chain(op: str) -> Reduction:
    return lambda b, refs: reduce(lambda a, other: b.apply(op, a, other), refs)


def _mean(b: Builder, refs: Sequence[Ref]) -> Ref:
    return b.apply("div", REDUCTIONS["sum"](b, refs), b.constant(len(refs)))


def _logsumexp(b: Builder, refs: Sequence[Ref]) -> Ref:
    """The largest value is taken out first, so that nothing overflows; whichever it is changes no slope."""
    largest = b.apply("frozen", REDUCTIONS["max"](b, refs))
    total = REDUCTIONS["sum"](b, [b.apply("exp", b.apply("sub", r, largest)) for r in refs])
    return b.apply("add", largest, b.apply("log", total))


def norm(b: Builder, refs: Sequence[Ref]) -> Ref:
    """The Euclidean norm. As in PyTorch, its slope where all values are zero is zero."""
    squares, zero = REDUCTIONS["sum"](b, [b.apply("mul", r, r) for r in refs]), b.constant(0.0)
    nothing = flag(b, b.apply("le", squares, zero))
    root = b.apply("sqrt", b.apply("add", squares, nothing))
    return b.apply("mul", root, b.apply("sub", b.constant(1.0), nothing))


def flag(b: Builder, condition: Ref) -> Ref:
    """One where the condition holds, else zero: a number that engines need not watch, for places of no extent."""
    return b.apply("frozen", b.apply("where", condition, b.constant(1.0), b.constant(0.0)))


# Name of a torch function of a stack -> how to build it.
REDUCTIONS: dict[str, Reduction] = {
    **{"sum": _chain("add"), "prod": _chain("mul"), "mean": _mean, "logsumexp": _logsumexp},
    **{name: _chain("minimum") for name in ("min", "amin")},
    **{name: _chain("maximum") for name in ("max", "amax")},
    **{name: norm for name in ("norm", "linalg_norm", "linalg_vector_norm")},
}
