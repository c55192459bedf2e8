"""A value that a local function knows only by an equation: Newton's iterations, and slopes of the root.

The iterations are written out, so that engines and PyTorch evaluate them as they do everything else. They end in a
frozen value x0, which has no slopes, and two corrections x - F(x) / F'(x0), where the slope is frozen too. At a root the
first correction has the first derivatives of the implicit function theorem, -F_p / F_x; the second one has the second
derivatives, -(F_xx x_p x_p + 2 F_xp x_p + F_pp) / F_x. Derivatives of the iterations themselves are never taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias, cast

import torch
from torch import Tensor

from ...errors import ModelError
from . import autodiff
from .program import LOGICAL, Node, Program, Ref
from .tracing import Symbol, Tracer

Residual = Callable[[Tensor], Tensor]
# The residual and its slope at a value; the residual alone; a value without slopes.
Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
Number: TypeAlias = "float | Tensor"
# Below this a number loses digits, and corrections are rounding.
TINY = 1e-280


def implicit(
    residual: Residual,
    guess: Number,
    *,
    between: tuple[Number, Number] | None = None,
    iterations: int = 20,
    tolerance: float = 1e-8,
    scale: float = 0.0,
) -> Tensor:
    """The root of an equation in one unknown, in a local function or on plain tensors.

    Newton's method for a fixed number of iterations. A step that does not make the residual smaller is halved; with
    `between`, a step that leaves the interval which is known to hold the root goes 99 % of the way to its end.
    First and second derivatives are those of the implicit function theorem.

    Args:
        residual: takes the unknown, returns what is zero at the root, in torch operations. It may close over values
            of the local function.
        guess: where the iterations begin, in the unit of the unknown.
        between: two values between which the residual changes sign once. Without it, the root found is one that lies
            downhill from the guess.
        iterations: how many; each one costs an evaluation of the residual and its slope wherever rates are evaluated.
        tolerance: the last correction, relative to the root, that is accepted.
        scale: a size of the unknown that counts as large beside it, in its unit, for roots that may pass zero: the
            tolerance is then relative to the root and this.

    Returns:
        The root; NaN where the iterations have not reached it, so that a step or a solve fails. A root at which the
        slope of the residual is zero has no derivatives, and is NaN too.

    Raises:
        ModelError: the residual does not depend on the unknown, is no number, or `iterations` is not positive.
    """
    if iterations < 1 or not tolerance > 0 or not scale >= 0:
        raise ModelError(
            f"implicit: iterations={iterations!r} and tolerance={tolerance!r} must be positive, scale={scale!r} not negative"
        )
    given = [_value(v) for v in (guess, *(between or ()))]
    tracers = [cast(Symbol, v).tracer for v in (*given, residual(given[0])) if isinstance(v, Symbol)]
    if tracers:
        evaluate, alone, frozen = _traced(tracers[0], residual)
        given = [cast(Tensor, tracers[0].symbol(v)) for v in given]
    else:
        evaluate, alone, frozen = _on_tensors(residual)
        shape = torch.broadcast_shapes(*(v.shape for v in (*given, residual(given[0]))))
        given = [v.expand(shape) for v in given]
    first, *ends = given
    start = frozen(
        _bracketed(evaluate, first, ends[0], ends[1], iterations) if ends else _newton(evaluate, first, iterations)
    )
    f, slope = evaluate(start)
    inverse = frozen(1.0 / slope)
    once = start - inverse * alone(start)
    # Where the slope is infinite, as that of a power below one is at zero, the root has no slopes; what is added then is
    # nothing times the residual, which is taken at one instead, where its own slopes are finite.
    steep = frozen(torch.where(abs(slope) < math.inf, 0.0, 1.0))
    twice = once - inverse * alone(once + steep * (1.0 - once))
    # There any step is small: the residual itself must be zero.
    small = (abs(f * inverse) <= tolerance * (abs(start) + scale) + TINY) & (abs(slope) < math.inf)
    return twice + frozen(torch.where(small | (f == 0.0), 0.0, math.nan))


def _newton(evaluate: Evaluate, start: Tensor, iterations: int) -> Tensor:
    """Newton's steps from the best point so far, each halved until the residual has become smaller."""
    best, step, least = start, 0.0 * start, cast(Tensor, math.inf)
    for _ in range(iterations):
        x = best + step
        f, slope = evaluate(x)
        ahead = -f / slope
        better = (abs(f) < least) & (abs(slope) < math.inf) & (abs(ahead) < math.inf)
        best, least = torch.where(better, x, best), torch.where(better, abs(f), least)
        step = torch.where(better, ahead, 0.5 * step)
    return best + step


def _bracketed(evaluate: Evaluate, start: Tensor, low: Tensor, high: Tensor, iterations: int) -> Tensor:
    """Newton's steps within an interval that shrinks around the root."""
    above = evaluate(high)[0]
    x = torch.where(start < low, low, torch.where(start > high, high, start))
    for _ in range(iterations):
        f, slope = evaluate(x)
        left = torch.where(above < 0.0, -f, f) > 0.0  # the root lies left of x
        low, high = torch.where(left, low, x), torch.where(left, x, high)
        ahead = x - f / slope
        within = (low <= ahead) & (ahead <= high) & (abs(slope) < math.inf)
        x = torch.where(within, ahead, torch.where(left, low + 0.01 * (x - low), high - 0.01 * (high - x)))
    return x


def _value(value: Number) -> Tensor:
    return cast(Tensor, value) if isinstance(value, Symbol) else torch.as_tensor(value, dtype=torch.float64)


def _traced(tracer: Tracer, residual: Residual) -> tuple[Evaluate, Residual, Residual]:
    """A residual in a local function: traced once, as a function of its own unknown."""
    builder = tracer.builder
    name = f"implicit.{len(builder.nodes)}"
    unknown = Symbol(tracer, builder.input(name))
    result = residual(cast(Tensor, unknown))
    if not isinstance(result, Symbol) or builder.nodes[result.ref].op in LOGICAL:
        tracer.refuse("gives dg.implicit a residual that is not a number that depends on the unknown")
    program = builder.finish({"f": result.ref})
    if name not in program.inputs:
        tracer.refuse("gives dg.implicit a residual that does not depend on the unknown")
    derived = autodiff.jacobian(program, ["f"], [name])
    slope_of = f"slope.f.{name}"

    def plain(ref: Ref, node: Node, arguments: list[Ref]) -> Ref:
        # Derivatives have powers taken apart; and what is undefined at a constant guess is not an error.
        try:
            if node.op == "raise":
                return builder.apply("pow", *arguments[:2])
            if node.op == "lnabs":
                return builder.apply("log", builder.apply("abs", *arguments))
            return builder.apply(node.op, *arguments)
        except (ArithmeticError, ValueError, TypeError):
            return builder.constant(math.nan)

    def at(program: Program, x: Tensor) -> list[Tensor]:
        refs = builder.copy(program, plain, {name: cast(Symbol, x).ref})
        return [cast(Tensor, Symbol(tracer, refs[r])) for r in program.outputs.values()]

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        f, slope = at(derived, x)
        return f, slope

    assert [*derived.outputs] == ["f", slope_of]
    freeze = lambda x: cast(Tensor, Symbol(tracer, builder.apply("frozen", x.ref)))  # noqa: E731
    return evaluate, lambda x: at(program, x)[0], freeze


def _on_tensors(residual: Residual) -> tuple[Evaluate, Residual, Residual]:
    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            f = residual(at)
            if not isinstance(f, Tensor) or not f.requires_grad:
                raise ModelError("dg.implicit: the residual does not depend on the unknown by torch operations")
            (slope,) = torch.autograd.grad(f.sum(), at)
        return f.detach(), slope

    return evaluate, residual, Tensor.detach
