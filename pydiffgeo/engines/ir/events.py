"""Decisions: comparisons on which the choices of a local function depend, and what turns when they do.

At a `torch.where` whose branches differ, the rates jump. Where a solution meets such a place moves with all that
it depends on, and the jump with it: a gradient that knows the rates alone, on either side, lacks that part. Engines
need, of each comparison `a < b` that states can turn, the difference `b - a` that changes sign, its gradient, and
the function with its decisions given from outside, to evaluate both sides of the jump at one point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .autodiff import _copy, _reverse, _Sheet, felt_by
from .program import Program, Ref


def decisions(program: Program, inputs: Sequence[str]) -> int:
    """How many comparisons that `inputs` can turn choose between values."""
    sheet, by_name, outputs = _copy(program)
    return len(_deciding(sheet, {by_name[i] for i in inputs if i in by_name}, outputs))


def sided(program: Program, inputs: Sequence[str]) -> Program:
    """The program with its decisions as further inputs, `side.<k>`: one where the comparison holds, else zero."""
    sheet, by_name, outputs = _copy(program)
    chosen = {ref: k for k, ref in enumerate(_deciding(sheet, {by_name[i] for i in inputs if i in by_name}, outputs))}
    other, refs, half = _Sheet(program.name), list[Ref](), 0
    half = other.constant(0.5)
    for ref, node in enumerate(sheet.nodes):
        if ref in chosen:
            refs.append(other.apply("lt", half, other.input(f"side.{chosen[ref]}")))
        elif node.op in ("input", "constant"):
            refs.append(other.input(node.name) if node.op == "input" else other.constant(node.value))
        else:
            refs.append(other.apply(node.op, *(refs[a] for a in node.args)))
    return other.finish({name: refs[r] for name, r in outputs.items()})


def events(program: Program, inputs: Sequence[str]) -> Program:
    """`event.<k>`, positive on the side on which comparison `k` holds, and `side.<k>`, one where it does, else zero."""
    sheet, by_name, outputs = _copy(program)
    zero, one = sheet.constant(0.0), sheet.constant(1.0)
    results: dict[str, Ref] = {}
    for k, ref in enumerate(_deciding(sheet, {by_name[i] for i in inputs if i in by_name}, outputs)):
        a, b = sheet.nodes[ref].args
        results |= {f"event.{k}": sheet.apply("sub", b, a), f"side.{k}": sheet.apply("where", ref, one, zero)}
    return sheet.finish(results)


def pull_events(program: Program, inputs: Sequence[str], free: Sequence[str]) -> Program:
    """`bar.<input>` for the inputs `free`: the gradient of the sum of `w.<k>` times `event.<k>`."""
    sheet, by_name, outputs = _copy(program)
    seeds: dict[Ref, Ref] = {}
    for k, ref in enumerate(_deciding(sheet, {by_name[i] for i in inputs if i in by_name}, outputs)):
        a, b = sheet.nodes[ref].args
        difference, weight = sheet.apply("sub", b, a), sheet.input(f"w.{k}")
        seeds[difference] = sheet.apply("add", seeds[difference], weight) if difference in seeds else weight
    bars = _reverse(sheet, seeds, [by_name[i] for i in free])
    return sheet.finish({f"bar.{i}": bar for i, bar in zip(free, bars, strict=True)})


def _deciding(sheet: _Sheet, moving: set[Ref], outputs: Mapping[str, Ref]) -> list[Ref]:
    """Comparisons that depend on what moves and on which a `where` depends, alone or with others."""
    moving, stack, deciding = set(moving), list[Ref](), set[Ref]()
    felt = felt_by(sheet, outputs.values())
    for ref, node in enumerate(sheet.nodes):
        if not moving.isdisjoint(node.args):
            moving.add(ref)
        if node.op == "where" and ref in felt:
            stack.append(node.args[0])
    while stack:
        ref = stack.pop()
        node = sheet.nodes[ref]
        if node.op in ("and", "or", "not"):
            stack.extend(node.args)
        elif node.op in ("lt", "le") and ref in moving:
            deciding.add(ref)
    return sorted(deciding)
