"""Local functions as programs: every operation against torch, simplification, errors, and the Julia text."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pydiffgeo.engines.ir.autodiff import LOWERED
from pydiffgeo.engines.ir.operations import REFUSED
from pydiffgeo.engines.ir.program import OPERATIONS, Program
from pydiffgeo.engines.ir.reductions import REDUCTIONS
from pydiffgeo.engines.ir.tracing import RULES, trace
from pydiffgeo.engines.julia.codegen import RULES as JULIA_RULES

NAMES = ("x", "y", "z")
# Pairs of equal numbers, opposite signs and zeros besides random ones: where comparisons and limits turn.
ANY = [*np.random.default_rng(0).normal(size=(20, 3)), (0.0, 0.0, 0.0), (1.5, 1.5, -1.5), (-0.0, 2.0, 0.5)]
POSITIVE = [np.abs(v) + 0.01 for v in ANY]


def program(function: Callable[[SimpleNamespace], Any], name: str = "local") -> Program:
    return trace(name, lambda c: {"out": function(c)}, [("c", NAMES)])


def evaluate(traced: Program, values: Any) -> float:
    return traced.run({f"c.{n}": float(v) for n, v in zip(NAMES, values, strict=True)}, OPERATIONS)["out"]


def of_x(function: Callable[..., Any], inner: Callable[[Any], Any] = torch.positive) -> Callable[[Any], Any]:
    return lambda c: function(inner(c.x))


def of_two(function: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda c: function(c.x, c.y)


# Name of a rule -> local functions that use it.
USES: dict[str, list[Callable[[Any], Any]]] = {
    "add": [lambda c: c.x + c.y, lambda c: 2 + c.x, lambda c: torch.add(c.x, c.y)],
    "sub": [lambda c: c.x - c.y, lambda c: torch.sub(c.x, c.y), lambda c: 3.0 - c.x],
    "mul": [lambda c: c.x * c.y, lambda c: 0.5 * c.x, lambda c: c.x.mul(c.y)],
    "div": [lambda c: torch.div(c.x, c.y + 10), lambda c: c.x.div(3.0)],
    "truediv": [lambda c: c.x / (c.y + 10), lambda c: 1 / (c.x + 10)],
    "true_divide": [lambda c: torch.true_divide(c.x, c.y + 10)],
    "divide": [lambda c: torch.divide(c.x, c.y + 10)],
    "multiply": [lambda c: torch.multiply(c.x, c.y)],
    "subtract": [lambda c: torch.subtract(c.x, c.y)],
    "rsub": [lambda c: torch.rsub(c.x, c.y)],
    "pow": [
        lambda c: torch.abs(c.x) ** c.y,
        lambda c: c.x**3,
        lambda c: c.x**2,
        lambda c: c.x**1.0,
        lambda c: torch.pow(abs(c.x), 0.5),
        lambda c: 2.0**c.x,
    ],
    "rpow": [lambda c: 2.0**c.x, lambda c: torch.tensor(3.0, dtype=torch.float64) ** c.x],
    "rtruediv": [lambda c: 1.0 / (c.x + 10)],
    "radd": [lambda c: 3 + c.x, lambda c: np.float64(0.3) + c.x],
    "rmul": [lambda c: True * c.x, lambda c: np.float32(0.5) * c.x],
    "pos": [lambda c: +c.x],
    "positive": [lambda c: torch.positive(c.x)],
    "clone": [lambda c: c.x.clone() + torch.clone(c.y)],
    "softplus": [
        lambda c: torch.nn.functional.softplus(c.x),
        lambda c: torch.nn.functional.softplus(4 * c.x, beta=0.5),
        lambda c: torch.nn.functional.softplus(c.x, 0.7, 0.5),
        lambda c: torch.nn.functional.softplus(30.0 * c.x, beta=2.0, threshold=1000.0),
    ],
    "neg": [lambda c: -c.x, lambda c: torch.neg(c.x)],
    "negative": [lambda c: torch.negative(c.x)],
    "abs": [lambda c: torch.abs(c.x), lambda c: abs(c.x)],
    "absolute": [lambda c: torch.absolute(c.x)],
    "exp": [lambda c: torch.exp(c.x), lambda c: c.x.exp()],
    "log": [lambda c: torch.log(c.x)],
    "log10": [lambda c: torch.log10(c.x)],
    "sqrt": [lambda c: torch.sqrt(c.x)],
    "rsqrt": [lambda c: torch.rsqrt(c.x)],
    "tanh": [lambda c: torch.tanh(c.x)],
    "sin": [lambda c: torch.sin(c.x)],
    "cos": [lambda c: torch.cos(c.x)],
    "sigmoid": [lambda c: torch.sigmoid(c.x)],
    "relu": [lambda c: torch.relu(c.x), lambda c: torch.nn.functional.relu(c.x)],
    "square": [lambda c: torch.square(c.x)],
    "reciprocal": [lambda c: torch.reciprocal(c.x)],
    "minimum": [lambda c: torch.minimum(c.x, c.y)],
    "maximum": [lambda c: torch.maximum(c.x, c.y)],
    "min": [lambda c: torch.min(c.x, c.y)],
    "max": [lambda c: torch.max(c.x, c.y)],
    "clamp": [
        lambda c: torch.clamp(c.x, -0.5, 0.5),
        lambda c: torch.clamp(c.x, min=0.1),
        lambda c: torch.clamp(c.x, max=0.1),
        lambda c: c.x.clamp(c.y, c.y + 1),
    ],
    "clip": [lambda c: torch.clip(c.x, -0.5, 0.5)],
    "clamp_min": [lambda c: torch.clamp_min(c.x, 0.1)],
    "clamp_max": [lambda c: torch.clamp_max(c.x, 0.1)],
    "where": [lambda c: torch.where(c.x > 0.0, c.y, c.z)],
    "lt": [lambda c: torch.where(c.x < c.y, c.x, c.z), lambda c: torch.where(torch.lt(c.x, c.y), c.x, c.z)],
    "le": [lambda c: torch.where(c.x <= c.y, c.x, c.z)],
    "gt": [lambda c: torch.where(c.x > c.y, c.x, c.z)],
    "ge": [lambda c: torch.where(c.x >= c.y, c.x, c.z)],
    "less": [lambda c: torch.where(torch.less(c.x, c.y), c.x, c.z)],
    "less_equal": [lambda c: torch.where(torch.less_equal(c.x, c.y), c.x, c.z)],
    "greater": [lambda c: torch.where(torch.greater(c.x, c.y), c.x, c.z)],
    "greater_equal": [lambda c: torch.where(torch.greater_equal(c.x, c.y), c.x, c.z)],
    "and": [lambda c: torch.where(torch.logical_and(c.x > 0, c.y > 0) & (c.z > 0), c.x, c.z)],
    "or": [lambda c: torch.where((c.x > 0) | (c.y > 0) | (c.z > 1), c.x, c.z)],
    "and_": [lambda c: torch.where((c.x > 0) & (c.y > 0), c.x, c.z)],
    "logical_and": [lambda c: torch.where(torch.logical_and(c.x > 0, c.y > 0), c.x, c.z)],
    "or_": [lambda c: torch.where((c.x > 0) | (c.y > 0), c.x, c.z)],
    "logical_or": [lambda c: torch.where(torch.logical_or(c.x > 0, c.y > 0), c.x, c.z)],
    **{name: [of_x(getattr(torch, name))] for name in ("expm1", "erf", "atan", "arctan", "sinh", "cosh")},
    **{name: [of_x(getattr(torch, name))] for name in ("sign", "sgn", "tan", "exp2")},
    **{f"special_{name}": [of_x(getattr(torch.special, name), abs)] for name in ("expm1", "erf", "log1p")},
    **{name: [of_two(getattr(torch, name))] for name in ("atan2", "arctan2", "hypot")},
    "log1p": [lambda c: torch.log1p(abs(c.x)), lambda c: abs(c.x).log1p()],
    "log2": [lambda c: torch.log2(c.x)],
    "heaviside": [lambda c: torch.heaviside(c.x, c.y)],
    "double": [lambda c: c.x.double()],
    "eq": [lambda c: torch.where(c.x == c.y, c.z, 2.0), lambda c: torch.where(torch.eq(c.x, 0), c.y, c.z)],
    "ne": [lambda c: torch.where(c.x != c.y, c.z, 2.0), lambda c: torch.where(torch.ne(c.x, 0), c.y, c.z)],
    "not_equal": [lambda c: torch.where(torch.not_equal(c.x, c.y), c.z, 2.0)],
    "invert": [lambda c: torch.where(~(c.x > 0), c.x, c.z)],
    "logical_not": [lambda c: torch.where(torch.logical_not(c.x > 0), c.x, c.z)],
}
NEED_POSITIVE = {"log", "log2", "log10", "sqrt", "rsqrt", "reciprocal"}


def test_every_rule_and_operation_is_covered() -> None:
    assert {*USES} == {*RULES}
    assert RULES.keys().isdisjoint(REFUSED)
    assert {*JULIA_RULES} == {*OPERATIONS, *LOWERED}
    used = {n.op for functions in USES.values() for f in functions for n in program(f).nodes}
    assert used == {*OPERATIONS, "input", "constant"}


@pytest.mark.parametrize("rule", USES)
def test_a_rule_does_what_torch_does(rule: str) -> None:
    for function in USES[rule]:
        traced = program(function)
        for values in POSITIVE if rule in NEED_POSITIVE else ANY:
            tensors = (torch.tensor(float(v), dtype=torch.float64) for v in values)
            expected = function(SimpleNamespace(**dict(zip(NAMES, tensors, strict=True)))).item()
            assert evaluate(traced, values) == pytest.approx(expected, rel=1e-14, abs=1e-15)


STACKED: dict[str, Callable[[Any], Any]] = {
    "sum": lambda c: torch.stack([c.x, c.y, c.z]).sum() + torch.sum(torch.stack((c.x, c.y)), 0),
    "mean": lambda c: torch.stack([c.x, c.y, c.z]).mean(dim=0),
    "prod": lambda c: torch.prod(torch.stack([c.x, c.y, c.z])),
    "min": lambda c: torch.stack([c.x, c.y, c.z]).min(),
    "max": lambda c: torch.max(torch.stack([c.x, c.y, c.z])),
    "amin": lambda c: torch.amin(torch.stack([c.x, c.y, c.z])),
    "amax": lambda c: torch.stack([c.x, c.y, c.z]).amax(dim=-1),
    "logsumexp": lambda c: torch.logsumexp(1000 * torch.stack([c.x, c.y, c.z]), 0),
    "norm": lambda c: torch.norm(torch.stack([c.x, c.y, c.z])) + torch.stack([c.x, c.y]).norm(p=2),
    "linalg_norm": lambda c: torch.linalg.norm(torch.stack([c.x, c.y, c.z])),
    "linalg_vector_norm": lambda c: torch.linalg.vector_norm(torch.stack([c.x, c.y]), 2),
}


@pytest.mark.parametrize("name", STACKED)
def test_several_values_together_are_what_torch_makes_of_them(name: str) -> None:
    function = STACKED[name]
    traced = program(lambda c: function(c) if name != "logsumexp" else torch.logsumexp(_thousand(c), 0))
    for values in ANY:
        tensors = (torch.tensor(float(v), dtype=torch.float64) for v in values)
        expected = function(SimpleNamespace(**dict(zip(NAMES, tensors, strict=True)))).item()
        assert evaluate(traced, values) == pytest.approx(expected, rel=1e-14, abs=1e-15)


def _thousand(c: Any) -> Any:
    return torch.stack([1000 * c.x, 1000 * c.y, 1000 * c.z])


def test_every_reduction_is_covered_and_stacks_have_parts() -> None:
    assert {*STACKED} == {*REDUCTIONS}
    traced = program(lambda c: sum(torch.stack([c.x, torch.tensor(2.0), c.y > 0])) + torch.stack([c.x, c.y])[-1])
    assert evaluate(traced, (3.0, 5.0, 0.0)) == 3.0 + 2.0 + 1.0 + 5.0


def operations(traced: Program) -> list[str]:
    return [n.op for n in traced.nodes if n.op not in ("input", "constant")]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # Common subexpressions are evaluated once, wherever they were written.
        (lambda c: torch.exp(c.x * c.y) + torch.exp(c.x * c.y), ["mul", "exp", "add"]),
        (lambda c: (c.x + 1.0) * (c.x + 1), ["add", "mul"]),
        # Constants fold, and what does nothing goes away.
        (lambda c: c.x * (2.0 * math.pi / 3), ["mul"]),
        (lambda c: torch.exp(0 * c.x) * 3.0 - c.y, ["sub"]),
        (lambda c: ((c.x + 0.0) * 1 - 0.0) / 1.0, []),
        (lambda c: c.x**2, ["mul"]),
        (lambda c: c.x**0.5, ["sqrt"]),
        (lambda c: c.x**1, []),
        (lambda c: c.x - c.y, ["sub"]),
        # Not the same: these do not commute, and must stay apart.
        (lambda c: (c.x - c.y) * (c.y - c.x), ["sub", "sub", "mul"]),
        # A choice that is known takes its branch.
        (lambda c: torch.where(torch.tensor(1.0) > 2, c.x, -c.y), ["neg"]),
        (lambda c: 0.0 - c.x, ["sub"]),
    ],
)
def test_programs_are_simplified(function: Callable[[Any], Any], expected: list[str]) -> None:
    assert operations(program(function)) == expected


def test_unused_work_and_inputs_are_dropped() -> None:
    def function(c: Any) -> dict[str, Any]:
        torch.exp(c.z)
        return {"a": c.y * c.x, "b": c.x, "one": 1.0}

    traced = trace("local", function, [("c", NAMES)])
    assert traced.inputs == ("c.x", "c.y")
    assert operations(traced) == ["mul"]
    assert traced.run({"c.x": 2.0, "c.y": 3.0}, OPERATIONS) == {"a": 6.0, "b": 2.0, "one": 1.0}


def test_names_of_several_spaces_stay_apart() -> None:
    traced = trace("flux", lambda a, b: {"out": a.k - b.k}, [("left", ["k"]), ("right", ["k"])])
    assert traced.run({"left.k": 5.0, "right.k": 3.0}, OPERATIONS) == {"out": 2.0}


def test_a_truth_value_counts_as_one_or_zero() -> None:
    traced = program(lambda c: c.y * (c.x > 0) + (c.z > 0))
    assert evaluate(traced, (1.0, 5.0, -1.0)) == 5.0
    assert evaluate(traced, (-1.0, 5.0, 1.0)) == 1.0
