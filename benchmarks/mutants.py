"""Small mistakes to be made in the formulas of pydiffgeo: a few chosen at random in each function, and a table of named ones.

Nodes of the syntax tree are replaced, so that what comes out is always a program. Messages, checks of arguments,
annotations and defaults are left alone: they are no formulas.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

# Numbers outside this range only keep a logarithm or a quotient finite.
TINY, HUGE = 1e-8, 1e20
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
}
EXCHANGED = {
    a: b
    for pair in (("minimum", "maximum"), ("min", "max"), ("amin", "amax"), ("floor", "ceil"))
    for a, b in (pair, pair[::-1])
}
# Calls whose first two arguments may be exchanged without a change, or are of different types.
NO_PAIRS = {
    *("minimum", "maximum", "min", "max", "zip", "map", "isinstance", "getattr", "range", "replace", "divmod"),
    *("slice", "positive", "between", "total", "mean", "cls", "areas_of"),
}
# Calls that declare or check and compute nothing.
DECLARATIONS = (
    *("require", "check_", "Limit", "IntegratedFlux", "Parameter", "ForcingVariable", "State"),
    *("Boundary", "isinstance"),
)


@dataclass(frozen=True)
class Mutant:
    """A changed file.

    Attributes:
        name: for reports and `--only`. file: below the package. text: of the whole file, changed.
        change: the first line that differs, before and after.
    """

    name: str
    file: str
    text: str
    change: tuple[str, str]


def named(name: str, file: str, source: str, old: str, new: str) -> Mutant:
    """A mutant that puts `new` where `old` stands, once, in a file; raises `ValueError` where that is not so."""
    if source.count(old) != 1:
        raise ValueError(f"{name}: {old!r} stands {source.count(old)} times in {file}, not once; mend the table")
    return _mutant(name, file, source, source.replace(old, new))


def chosen(file: str, source: str, scope: str, count: int, seed: int | str) -> list[Mutant]:
    """So many mutants of a function, or of a constant of the module, of as many kinds as there are.

    Args:
        scope: its name, after those of the classes and functions it lies in, joined by points.

    Raises:
        ValueError: there is no such function.
    """
    root = _find(_parsed(source), scope.split("."))
    if root is None:
        raise ValueError(f"{file} has no {scope!r}; mend the table of targets")
    found = [*_changes(root)]
    random.Random(f"{seed} {scope}").shuffle(found)
    # A stable sort: the first of each kind, then the second of each.
    order: dict[str, int] = {}
    ranked = []
    for kind, node, new in found:
        order[kind] = order.get(kind, 0) + 1
        ranked.append((order[kind], node, new))
    ranked.sort(key=lambda item: item[0])
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    mutants: dict[str, Mutant] = {}
    for _, node, new in ranked:
        before, after = ast.unparse(node), ast.unparse(new)
        begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        put = after if isinstance(node, (ast.Call, ast.Constant)) and not after.startswith("-") else f"({after})"
        text = (source.encode()[:begin] + put.encode() + source.encode()[end:]).decode()
        name = f"{file} {scope}: {before} -> {after}"
        if name not in mutants and before != after:
            mutants[name] = _mutant(name, file, source, text)
        if len(mutants) == count:
            break
    return [*mutants.values()]


def _mutant(name: str, file: str, source: str, text: str) -> Mutant:
    ast.parse(text)
    pairs = zip(source.splitlines(), text.splitlines(), strict=False)
    old, new = next((a.strip(), b.strip()) for a, b in pairs if a != b)
    return Mutant(name, file, text, (old, new))


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _find(tree: ast.AST, names: list[str]) -> ast.AST | None:
    for node in ast.walk(tree):
        if getattr(node, "name", None) == names[0]:
            return node if len(names) == 1 else _find(node, names[1:])
        if isinstance(node, ast.Assign) and [getattr(t, "id", None) for t in node.targets] == names:
            return node
    # A constant with a type.
    typed = (n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and [getattr(n.target, "id", None)] == names)
    return next(typed, None)


def _formulas(node: ast.AST, parent: ast.AST | None = None) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """What computes something below a node, each with its parent."""
    if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)) or (isinstance(node, ast.If) and _is_check(node)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Call) and _callee(node).startswith(DECLARATIONS):
        return
    yield node, parent
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "args", "decorator_list") and not isinstance(node, ast.Call):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _formulas(child, node)


def _is_check(node: ast.If) -> bool:
    return all(isinstance(part, ast.Raise) for part in node.body) and not node.orelse


def _callee(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _changes(root: ast.AST) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Kind of the change, a node, and what to put in its place."""
    for node, parent in _formulas(root):
        if isinstance(node, ast.BinOp):
            yield from _of_operations(node)
        elif (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and not isinstance(node.operand, ast.Constant)
        ):
            yield "sign", node, node.operand
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            yield "comparison", node, ast.Compare(node.left, [COMPARISONS[type(node.ops[0])]()], node.comparators)
        elif isinstance(node, ast.Constant) and _is_number(node):
            yield from _of_numbers(node, parent)
        elif isinstance(node, ast.Call):
            yield from _of_calls(node)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool)


def _of_operations(node: ast.BinOp) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    sides = (node.left, node.right)
    if any(
        isinstance(s, (ast.Tuple, ast.List, ast.Set, ast.JoinedStr))
        or (isinstance(s, ast.Constant) and not _is_number(s))
        for s in sides
    ):
        return  # joins them
    if any(isinstance(s, ast.Constant) and abs(s.value) < TINY for s in sides):
        return
    if type(node.op) in OPERATORS:
        yield "operator", node, ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
        for kept, dropped in (sides, sides[::-1]):
            whole = isinstance(node.op, (ast.Add, ast.Mult)) or kept is node.left
            if whole and not (
                isinstance(dropped, ast.Constant) and dropped.value == 1 and isinstance(node.op, (ast.Mult, ast.Div))
            ):
                yield "dropped", node, kept
    elif isinstance(node.op, ast.Pow) and not _is_number(node.right):
        yield "exponent", node.right, ast.BinOp(node.right, ast.Add(), ast.Constant(1))


def _of_numbers(node: ast.Constant, parent: ast.AST | None) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    if isinstance(node.value, float) and TINY < abs(node.value) < HUGE:
        yield "number", node, ast.Constant(float(f"{1.1 * node.value:.12g}"))
    elif isinstance(node.value, int) and isinstance(parent, (ast.BinOp, ast.Compare)):
        yield "number", node, ast.Constant(node.value + 1)


def _of_calls(node: ast.Call) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    name, args = _callee(node), node.args
    if name in EXCHANGED:
        func = (
            ast.Attribute(node.func.value, EXCHANGED[name], ast.Load())
            if isinstance(node.func, ast.Attribute)
            else ast.Name(EXCHANGED[name], ast.Load())
        )
        yield "extremes", node, ast.Call(func, args, node.keywords)
    if name == "clamp" and len(node.keywords) == 1:
        other = {"min": "max", "max": "min"}[str(node.keywords[0].arg)]
        yield "extremes", node, ast.Call(node.func, args, [ast.keyword(other, node.keywords[0].value)])
    if name == "where" and len(args) == 3:
        yield "arguments", node, ast.Call(node.func, [args[0], args[2], args[1]], node.keywords)
    elif isinstance(node.func, ast.Name) and len(args) > 1 and name not in NO_PAIRS and name[:1].islower():
        yield "arguments", node, ast.Call(node.func, [args[1], args[0], *args[2:]], node.keywords)
