"""Rates written as text, such as "K * soil / S_max": arithmetic of names, numbers and a few functions, and nothing else.

A formula is read, never run as code: what is no arithmetic is refused when it is read.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import Tensor

from ..errors import ModelError
from ..model import Place
from ..processes.smoothing import smooth_maximum, smooth_minimum, smooth_ramp, smooth_step, withdrawal

FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
    "abs": torch.abs,
    "min": torch.minimum,
    "max": torch.maximum,
    "smooth_step": smooth_step,
    "smooth_minimum": smooth_minimum,
    "smooth_maximum": smooth_maximum,
    "smooth_ramp": smooth_ramp,
    "withdrawal": withdrawal,
}
# The last argument of these is a width, a plain number.
WIDTHS = {"smooth_minimum": 3, "smooth_maximum": 3, "smooth_ramp": 2, "withdrawal": 3}
TAKES = {"min": 2, "max": 2, **WIDTHS}
OPERATORS: Mapping[type[ast.operator], Callable[..., Tensor]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
# A formula that is longer is no formula of a rate.
LONGEST = 1000


@dataclass(frozen=True)
class Formula:
    """A rate `(cell, forcing)` from text; `forced` are the names that are forcings, all others are seen on the cell."""

    text: str
    forced: tuple[str, ...]

    def __call__(self, cell: Place, forcing: Place) -> Tensor:
        return self._value(_read(self.text), cell, forcing)

    def _value(self, node: ast.expr, cell: Place, forcing: Place) -> Tensor:
        if isinstance(node, ast.Constant):
            return node.value  # type: ignore[return-value]
        if isinstance(node, ast.Name):
            value: Tensor = attrgetter(node.id)(forcing if node.id in self.forced else cell)
            return value
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, cell, forcing)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            left, right = (self._value(side, cell, forcing) for side in (node.left, node.right))
            return OPERATORS[type(node.op)](left, right)
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        values = [self._value(argument, cell, forcing) for argument in node.args]
        counted = len(values) - (node.func.id in WIDTHS)
        # Of numbers alone there would be nothing to take a function of.
        tensors = [
            torch.as_tensor(v, dtype=torch.float64) if isinstance(v, (int, float)) else v for v in values[:counted]
        ]
        return FUNCTIONS[node.func.id](*tensors, *values[counted:])


def formula(text: object, names: Collection[str], forced: Collection[str], what: str) -> Formula:
    """The formula of a text.

    Args:
        names: that it may read from the cell: stores, parameters and earlier fluxes. forced: forcings.

    Raises:
        ModelError: the text is no arithmetic of these; begins with `what`.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        raise ModelError(f"{what} must be a formula, such as 'K * soil', got {text!r:.200}")
    try:
        tree = _read(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"{what}: {text!r} is no formula ({error})") from error
    _check(tree, {*names, *forced}, f"{what}: {text!r}")
    return Formula(text, tuple(forced))


def _read(text: str) -> ast.expr:
    return ast.parse(text.strip(), mode="eval").body


def _check(node: ast.AST, known: Collection[str], what: str) -> None:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise ModelError(f"{what}: {node.value!r} is no number")
    elif isinstance(node, ast.Name):
        if node.id not in known:
            raise ModelError(f"{what}: {node.id!r} is none of {sorted(known)}")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        _check(node.operand, known, what)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        _check(node.left, known, what)
        _check(node.right, known, what)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in FUNCTIONS:
            raise ModelError(f"{what}: {node.func.id!r} is none of the functions {', '.join(FUNCTIONS)}")
        if len(node.args) != (wanted := TAKES.get(node.func.id, 1)):
            raise ModelError(f"{what}: {node.func.id} takes {wanted} arguments, got {len(node.args)}")
        if node.func.id in WIDTHS and not isinstance(node.args[-1], ast.Constant):
            raise ModelError(f"{what}: the last argument of {node.func.id}, a width, must be a number")
        for argument in node.args:
            _check(argument, known, what)
    else:
        raise ModelError(
            f"{what}: {type(node).__name__.lower()} is no part of a formula; use + - * / **, {', '.join(FUNCTIONS)}"
        )
