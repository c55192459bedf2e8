"""Derivatives of straight-line programs, as straight-line programs.

An engine that solves stiff systems and their discrete adjoint needs more of a local function than its
values: slopes for Newton's matrix, products with the transposed Jacobian, and the gradient of a
Jacobian contracted with given weights. All of them follow from one reverse sweep over the nodes,
applied once or twice; equal subexpressions, the logarithms of powers above all, are shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from .program import OPERATIONS, Builder, Node, Program, Ref

# Powers are taken apart, so that a power, its slopes and other powers of the same base share a
# logarithm: `raise(x, y, l)` is `x**y` where `l = lnabs(x)`, the logarithm of |x|.
LOWERED = ("lnabs", "raise")


class _Sheet(Builder):
    """A builder that simplifies derivatives further, and leaves undefined constants alone."""

    def apply(self, op: str, *args: Ref) -> Ref:
        constants = [self.value(a) for a in args]
        if op in LOWERED:
            return self._append(Node(op, args))
        if all(c is not None for c in constants):
            try:
                return self.constant(OPERATIONS[op](*constants))
            except (ArithmeticError, ValueError):
                return self._append(Node(op, args))
        if op == "sub" and constants[0] == 0.0:
            return self.apply("neg", args[1])
        if op == "div" and constants[0] == 0.0:
            return self.constant(0.0)
        if op == "mul" and -1.0 in constants:
            return self.apply("neg", args[1 - constants.index(-1.0)])
        if op == "neg" and self.nodes[args[0]].op == "neg":
            return self.nodes[args[0]].args[0]
        if op == "where" and (constants[0] is not None or args[1] == args[2]):
            return args[2] if constants[0] == 0.0 else args[1]
        if op == "add" and self.nodes[args[1]].op == "neg":
            return self.apply("sub", args[0], self.nodes[args[1]].args[0])
        return super().apply(op, *args)

    def power(self, x: Ref, y: Ref) -> Ref:
        exponent = self.value(y)
        if exponent is not None and exponent in (0.0, 1.0, 2.0, -1.0):
            one = self.constant(1.0)
            return {0.0: one, 1.0: x, 2.0: self.apply("mul", x, x), -1.0: self.apply("div", one, x)}[exponent]
        return self.apply("raise", x, y, self.apply("lnabs", x))


def _copy(program: Program) -> tuple[_Sheet, dict[str, Ref], dict[str, Ref]]:
    """The program on a sheet: its inputs and outputs by name."""
    sheet = _Sheet(program.name)
    refs = sheet.copy(program, lambda _, node, arguments: sheet.power(*arguments) if node.op == "pow" else None)
    inputs = {node.name: ref for node, ref in zip(program.nodes, refs, strict=True) if node.op == "input"}
    return sheet, inputs, {name: refs[r] for name, r in program.outputs.items()}


Slopes = Callable[..., Sequence[Ref | None]]


def _branch(sheet: _Sheet, condition: Ref, w: Ref) -> tuple[Ref, Ref]:
    """`w` where the condition holds, and `w` where it does not."""
    zero = sheet.constant(0.0)
    return sheet.apply("where", condition, w, zero), sheet.apply("where", condition, zero, w)


def _quotient(s: _Sheet, w: Ref, r: Ref, a: Ref, b: Ref) -> Sequence[Ref]:
    share = s.apply("div", w, b)
    return share, s.apply("neg", s.apply("mul", share, r))


def _raise(s: _Sheet, w: Ref, r: Ref, x: Ref, y: Ref, logarithm: Ref) -> Sequence[Ref | None]:
    """Slopes of x**y; to y only where x > 0, since 0**y does not change with y > 0."""
    one, zero = s.constant(1.0), s.constant(0.0)
    exponent = s.value(y)
    lower = s.constant(exponent - 1.0) if exponent is not None else s.apply("sub", y, one)
    by_x = s.apply("mul", w, s.apply("mul", y, s.power(x, lower)))
    if exponent is not None:
        return by_x, None, None
    by_y = s.apply("where", s.apply("lt", zero, x), s.apply("mul", w, s.apply("mul", r, logarithm)), zero)
    return by_x, by_y, None


def _erf(s: _Sheet, w: Ref, r: Ref, a: Ref) -> Sequence[Ref]:
    bell = s.apply("exp", s.apply("neg", s.apply("mul", a, a)))
    return (s.apply("mul", w, s.apply("mul", s.constant(2.0 / math.sqrt(math.pi)), bell)),)


# What the weight `w` of a result `r` gives to each argument.
RULES: dict[str, Slopes] = {
    "add": lambda s, w, r, a, b: (w, w),
    "sub": lambda s, w, r, a, b: (w, s.apply("neg", w)),
    "mul": lambda s, w, r, a, b: (s.apply("mul", w, b), s.apply("mul", w, a)),
    "div": _quotient,
    "neg": lambda s, w, r, a: (s.apply("neg", w),),
    "abs": lambda s, w, r, a: (s.apply("where", s.apply("lt", a, s.constant(0.0)), s.apply("neg", w), w),),
    "exp": lambda s, w, r, a: (s.apply("mul", w, r),),
    "log": lambda s, w, r, a: (s.apply("div", w, a),),
    "lnabs": lambda s, w, r, a: (s.apply("div", w, a),),
    "raise": _raise,
    "sqrt": lambda s, w, r, a: (s.apply("div", s.apply("mul", s.constant(0.5), w), r),),
    "tanh": lambda s, w, r, a: (s.apply("mul", w, s.apply("sub", s.constant(1.0), s.apply("mul", r, r))),),
    "sin": lambda s, w, r, a: (s.apply("mul", w, s.apply("cos", a)),),
    "cos": lambda s, w, r, a: (s.apply("neg", s.apply("mul", w, s.apply("sin", a))),),
    "expm1": lambda s, w, r, a: (s.apply("mul", w, s.apply("exp", a)),),
    "log1p": lambda s, w, r, a: (s.apply("div", w, s.apply("add", s.constant(1.0), a)),),
    "erf": _erf,
    "atan": lambda s, w, r, a: (s.apply("div", w, s.apply("add", s.constant(1.0), s.apply("mul", a, a))),),
    "sinh": lambda s, w, r, a: (s.apply("mul", w, s.apply("cosh", a)),),
    "cosh": lambda s, w, r, a: (s.apply("mul", w, s.apply("sinh", a)),),
    "frozen": lambda s, w, r, a: (None,),
    "minimum": lambda s, w, r, a, b: _branch(s, s.apply("le", a, b), w),
    "maximum": lambda s, w, r, a, b: _branch(s, s.apply("le", b, a), w),
    "where": lambda s, w, r, c, a, b: (None, *_branch(s, c, w)),
}


def _reverse(sheet: _Sheet, seeds: Mapping[Ref, Ref], wanted: Sequence[Ref]) -> list[Ref]:
    """Gradient of the sum of `seed * node` to each node of `wanted`."""
    bars: dict[Ref, Ref] = {}

    def give(ref: Ref, amount: Ref) -> None:
        if sheet.value(amount) != 0.0:
            bars[ref] = sheet.apply("add", bars[ref], amount) if ref in bars else amount

    for ref, seed in seeds.items():
        give(ref, seed)
    # Only nodes on a way from a wanted one matter.
    touched = set(wanted)
    top = max(seeds, default=-1) + 1
    for ref in range(top):
        if any(a in touched for a in sheet.nodes[ref].args):
            touched.add(ref)
    for ref in range(top - 1, -1, -1):
        node = sheet.nodes[ref]
        if ref not in bars or ref not in touched or not node.args:
            continue
        for argument, amount in zip(node.args, RULES[node.op](sheet, bars[ref], ref, *node.args), strict=True):
            if amount is not None and argument in touched:
                give(argument, amount)
    return [bars.get(ref, sheet.constant(0.0)) for ref in wanted]


def values(program: Program) -> Program:
    """The program itself, its powers taken apart."""
    sheet, _, outputs = _copy(program)
    return sheet.finish(outputs)


def jacobian(program: Program, outputs: Sequence[str], inputs: Sequence[str]) -> Program:
    """Values, called as in `program`, and `slope.<output>.<input>`."""
    sheet, by_name, by_output = _copy(program)
    slopes = _slopes(sheet, by_name, by_output, outputs, inputs)
    return sheet.finish({o: by_output[o] for o in outputs} | {f"slope.{o}.{i}": r for (o, i), r in slopes.items()})


def _slopes(
    sheet: _Sheet,
    by_name: Mapping[str, Ref],
    by_output: Mapping[str, Ref],
    outputs: Sequence[str],
    inputs: Sequence[str],
) -> dict[tuple[str, str], Ref]:
    one = sheet.constant(1.0)
    slopes: dict[tuple[str, str], Ref] = {}
    for output in outputs:
        bars = _reverse(sheet, {by_output[output]: one}, [by_name[i] for i in inputs])
        slopes |= {(output, i): bar for i, bar in zip(inputs, bars, strict=True)}
    return slopes


def vjp(program: Program, outputs: Sequence[str], inputs: Sequence[str]) -> Program:
    """`bar.<input>`: the gradient of `sum of w.<output> * output`; `w.<output>` are further inputs."""
    sheet, by_name, by_output = _copy(program)
    seeds: dict[Ref, Ref] = {}
    for output in outputs:
        weight = sheet.input(f"w.{output}")
        ref = by_output[output]
        seeds[ref] = sheet.apply("add", seeds[ref], weight) if ref in seeds else weight
    bars = _reverse(sheet, seeds, [by_name[i] for i in inputs])
    return sheet.finish({f"bar.{i}": bar for i, bar in zip(inputs, bars, strict=True)})


def vjp_of_jacobian(program: Program, outputs: Sequence[str], along: Sequence[str], inputs: Sequence[str]) -> Program:
    """`bar.<input>`: the gradient of `sum of w.<output>.<input> * slope.<output>.<input>` over `along`."""
    sheet, by_name, by_output = _copy(program)
    total = sheet.constant(0.0)
    for (o, i), slope in _slopes(sheet, by_name, by_output, outputs, along).items():
        if sheet.value(slope) is None:
            total = sheet.apply("add", total, sheet.apply("mul", sheet.input(f"w.{o}.{i}"), slope))
    bars = _reverse(sheet, {total: sheet.constant(1.0)}, [by_name[i] for i in inputs])
    return sheet.finish({f"bar.{i}": bar for i, bar in zip(inputs, bars, strict=True)})


def felt_by(builder: Builder, outputs: Iterable[Ref]) -> set[Ref]:
    """The nodes that outputs depend on, other than through what is frozen: there a switch turns nothing."""
    felt, stack = set[Ref](), [*outputs]
    while stack:
        ref = stack.pop()
        if ref not in felt:
            felt.add(ref)
            stack.extend(builder.nodes[ref].args if builder.nodes[ref].op != "frozen" else ())
    return felt


def switching_functions(program: Program, inputs: Sequence[str]) -> Program:
    """`branch.<k>`: 1 or 0, which side each switch is on that `inputs` can turn.

    Switches are the choices of `where`, the lesser and the greater of two, and the sign in an absolute
    value: where they turn, slopes may jump.
    """
    sheet, by_name, outputs = _copy(program)
    moving, felt = {by_name[i] for i in inputs}, felt_by(sheet, outputs.values())
    zero, one = sheet.constant(0.0), sheet.constant(1.0)
    conditions: dict[Ref, None] = {}
    for ref in range(len(sheet.nodes)):
        node = sheet.nodes[ref]
        if not moving.isdisjoint(node.args):
            moving.add(ref)
        if ref not in felt:
            continue
        if node.op == "where":
            conditions[node.args[0]] = None
        elif node.op in ("minimum", "maximum"):
            conditions[sheet.apply("le", *node.args)] = None
        elif node.op == "abs":
            conditions[sheet.apply("lt", node.args[0], zero)] = None
    turning = [c for c in conditions if c in moving or not moving.isdisjoint(sheet.nodes[c].args)]
    return sheet.finish({f"branch.{k}": sheet.apply("where", c, one, zero) for k, c in enumerate(turning)})
