"""Roots of equations in local functions: values and slopes against higher precision and the implicit function theorem."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import casadi as ca
import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.ir import autodiff
from pydiffgeo.engines.ir.events import decisions
from pydiffgeo.engines.ir.numpy_rules import RULES as NUMPY
from pydiffgeo.engines.ir.program import Program
from pydiffgeo.engines.ir.tracing import trace
from pydiffgeo.engines.sundials.symbols import RULES as CASADI
from pydiffgeo.errors import ModelError


@dataclass(frozen=True)
class Equation:
    """`residual(unknown, inputs)`, whose root `root(inputs)` finds, and ranges of the inputs."""

    residual: Callable[[Any, Any], Any]
    root: Callable[[Any], Any]
    ranges: dict[str, tuple[float, float]]


def freundlich(x: Any, c: Any) -> Any:
    """Water content times concentration, and what is sorbed, make up the total."""
    return c.theta * x + c.K * x**c.n - c.total


def manning(h: Any, c: Any) -> Any:
    """Discharge at normal depth in a trapezoidal channel."""
    area, perimeter = (c.width + c.side * h) * h, c.width + 2 * h * torch.sqrt(1 + c.side**2)
    return area ** (5 / 3) / perimeter ** (2 / 3) * torch.sqrt(c.slope) / c.roughness - c.discharge


def colebrook(f: Any, c: Any) -> Any:
    root = torch.sqrt(f)
    return 1 / root + 2 * torch.log10(c.rough / 3.7 + 2.51 / (c.reynolds * root))


EQUATIONS = {
    "freundlich": Equation(
        freundlich,
        lambda c: dg.implicit(lambda x: freundlich(x, c), c.total, between=(0.0, c.total / c.theta)),
        {"theta": (0.05, 0.6), "K": (1e-2, 1e2), "n": (0.4, 1.3), "total": (1e-4, 10.0)},
    ),
    "manning": Equation(
        manning,
        lambda c: dg.implicit(lambda h: manning(h, c), 1.0),
        {
            "width": (0.5, 20.0),
            "side": (0.1, 3.0),
            "slope": (1e-4, 1e-1),
            "roughness": (0.01, 0.1),
            "discharge": (1e-2, 1e3),
        },
    ),
    "colebrook": Equation(
        colebrook,
        lambda c: dg.implicit(lambda f: colebrook(f, c), 0.02),
        {"rough": (1e-6, 5e-2), "reynolds": (5e3, 1e8)},
    ),
}
MEMBERS = 40


def traced(equation: Equation) -> Program:
    return trace("f", lambda c: {"x": equation.root(c)}, [("c", [*equation.ranges])])


def inputs(equation: Equation) -> dict[str, np.ndarray]:
    """Spread evenly over the logarithms of the ranges."""
    rng = np.random.default_rng(5)
    return {k: np.exp(rng.uniform(math.log(a), math.log(b), MEMBERS)) for k, (a, b) in equation.ranges.items()}


def by_bisection(equation: Equation, at: dict[str, np.ndarray]) -> torch.Tensor:
    """The root, between values where all of these equations have it, to the last bits."""
    c = SimpleNamespace(**{k: torch.tensor(v) for k, v in at.items()})
    low, high = torch.full((MEMBERS,), 1e-12), torch.full((MEMBERS,), 1e4)
    sign = torch.sign(equation.residual(high, c))
    for _ in range(400):
        middle = torch.sqrt(low * high)
        left = torch.sign(equation.residual(middle, c)) == sign
        low, high = torch.where(left, low, middle), torch.where(left, middle, high)
    return low


def by_the_theorem(equation: Equation, at: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Gradients and Hessians of the roots, from derivatives of the residual by PyTorch."""
    roots, first, second = by_bisection(equation, at), [], []
    for i in range(MEMBERS):
        point = torch.stack([roots[i], *(torch.tensor(v[i]) for v in at.values())])

        def residual(z: torch.Tensor) -> torch.Tensor:
            return equation.residual(z[0], SimpleNamespace(**dict(zip(at, z[1:], strict=True))))

        g = torch.autograd.functional.jacobian(residual, point)
        h = torch.autograd.functional.hessian(residual, point)
        slope = -g[1:] / g[0]
        ways = torch.cat([slope[:, None], torch.eye(len(at))], dim=1)
        first.append(slope.numpy())
        second.append((-(ways @ h @ ways.T) / g[0]).numpy())
    return np.array(first), np.array(second)


def scaled(a: np.ndarray, at: dict[str, np.ndarray], order: int) -> np.ndarray:
    """Derivatives to the logarithms of the inputs, without the terms of lower order: comparable sizes."""
    x = np.array([*at.values()]).T
    return a * x if order == 1 else a * x[:, :, None] * x[:, None, :]


def check(found: np.ndarray, expected: np.ndarray, roots: np.ndarray, tolerance: float) -> None:
    size = np.abs(roots).reshape(-1, *[1] * (found.ndim - 1)) + np.abs(expected)
    assert (np.abs(found - expected) / size).max() < tolerance


@pytest.mark.parametrize("name", EQUATIONS)
def test_roots_and_their_derivatives_are_exact(name: str) -> None:
    equation = EQUATIONS[name]
    at, program = inputs(equation), traced(equation)
    names = [f"c.{k}" for k in at]
    given = dict(zip(names, at.values(), strict=True))
    roots = by_bisection(equation, at).numpy()
    gradients, hessians = by_the_theorem(equation, at)
    with np.errstate(all="ignore"):
        value = autodiff.jacobian(program, ["x"], names).run(given, NUMPY)
        seconds = [
            autodiff.vjp_of_jacobian(program, ["x"], [n], names).run(given | {f"w.x.{n}": np.ones(MEMBERS)}, NUMPY)
            for n in names
        ]
    assert value["x"] == pytest.approx(roots, rel=1e-12)
    first = np.array([value[f"slope.x.{n}"] for n in names]).T
    second = np.array([[s[f"bar.{n}"] for n in names] for s in seconds]).transpose(2, 0, 1)
    check(scaled(first, at, 1), scaled(gradients, at, 1), roots, 1e-10)
    check(scaled(second, at, 2), scaled(hessians, at, 2), roots, 1e-8)


@pytest.mark.parametrize("name", EQUATIONS)
def test_casadi_finds_the_same_derivatives(name: str) -> None:
    equation = EQUATIONS[name]
    at, program = inputs(equation), traced(equation)
    v = ca.SX.sym("v", len(at))
    x = program.run({f"c.{k}": v[i] for i, k in enumerate(at)}, CASADI)["x"]
    hessian, gradient = ca.hessian(x, v)
    function = ca.Function("f", [v], [x, gradient, hessian])
    results = [[np.array(r) for r in function([a[i] for a in at.values()])] for i in range(MEMBERS)]
    value, first, second = (np.array([r[k] for r in results]) for k in range(3))
    roots = by_bisection(equation, at).numpy()
    gradients, hessians = by_the_theorem(equation, at)
    assert value.ravel() == pytest.approx(roots, rel=1e-12)
    check(scaled(first[:, :, 0], at, 1), scaled(gradients, at, 1), roots, 1e-10)
    check(scaled(second, at, 2), scaled(hessians, at, 2), roots, 1e-8)


@pytest.mark.parametrize("name", EQUATIONS)
def test_plain_tensors_give_the_same(name: str) -> None:
    equation = EQUATIONS[name]
    at = inputs(equation)
    tensors = {k: torch.tensor(v).requires_grad_() for k, v in at.items()}
    x = equation.root(SimpleNamespace(**tensors))
    with np.errstate(all="ignore"):
        alone = traced(equation).run({f"c.{k}": v for k, v in at.items()}, NUMPY)["x"]
    assert x.detach().numpy() == pytest.approx(alone, rel=1e-14)
    gradients, hessians = by_the_theorem(equation, at)
    first = torch.autograd.grad(x.sum(), [*tensors.values()], create_graph=True)
    second = [torch.autograd.grad(g.sum(), [*tensors.values()], retain_graph=True) for g in first]
    roots = by_bisection(equation, at).numpy()
    check(scaled(torch.stack(first, 1).detach().numpy(), at, 1), scaled(gradients, at, 1), roots, 1e-10)
    check(
        scaled(torch.stack([torch.stack(s, 1) for s in second], 1).numpy(), at, 2), scaled(hessians, at, 2), roots, 1e-8
    )
    assert equation.root(SimpleNamespace(**{k: v[:1].detach() for k, v in tensors.items()})).shape == (1,)


def test_iterations_turn_no_switch_and_those_of_the_residual_do() -> None:
    assert decisions(traced(EQUATIONS["freundlich"]), ["c.theta", "c.total"]) == 0
    bent = trace(
        "f",
        lambda c: {"x": dg.implicit(lambda x: x + torch.where(x > c.a, 2 * (x - c.a), 0.0) - c.b, c.b)},
        [("c", ["a", "b"])],
    )
    assert decisions(bent, ["c.b"]) > 0
    assert bent.run({"c.a": np.array([1.0]), "c.b": np.array([4.0])}, NUMPY)["x"] == pytest.approx(2.0)


def test_an_equation_within_an_equation() -> None:
    def outer(c: Any) -> Any:
        """x = a + y, where y is half of x by an equation of its own."""
        return dg.implicit(lambda x: x - c.a - dg.implicit(lambda y: torch.expm1(2 * y - x), x), c.a)

    program = trace("f", lambda c: {"x": outer(c)}, [("c", ["a"])])
    found = autodiff.jacobian(program, ["x"], ["c.a"]).run({"c.a": np.array([0.3, 2.0])}, NUMPY)
    assert found["x"] == pytest.approx([0.6, 4.0])
    assert found["slope.x.c.a"] == pytest.approx(2.0)
    a = torch.tensor([0.3, 2.0]).requires_grad_()
    x = outer(SimpleNamespace(a=a))
    assert x.tolist() == pytest.approx([0.6, 4.0])
    assert torch.autograd.grad(x.sum(), a)[0].tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize(
    ("residual", "guess", "more"),
    [
        (lambda x: x * x + 1.0, 0.5, {}),  # no root
        (lambda x: torch.exp(x), 0.0, {}),  # none but at infinity
        (lambda x: 1.0 / x, 1.0, {}),  # a pole
        (lambda x: x**0.3 - 1.0, 0.0, {}),  # an infinite slope where it is not zero
        (lambda x: x**0.3 - 1.0, 0.0, {"between": (0.0, 0.5)}),  # the root is elsewhere
        (lambda x: (x - 1.0) ** 2, 3.0, {}),  # a double root has no derivatives
        (lambda x: torch.sqrt(x) - 2.0, -1.0, {}),  # undefined at the guess
        (lambda x: x**5 - 1.0, 40.0, {"iterations": 3}),  # too few iterations
        (lambda x: x * math.nan, 1.0, {}),
    ],
)
def test_what_is_not_reached_is_not_a_number(residual: Any, guess: float, more: dict[str, Any]) -> None:
    program = trace(
        "f", lambda c: {"x": dg.implicit(lambda x: residual(x) + 0.0 * c.a, guess + c.a, **more)}, [("c", ["a"])]
    )
    with np.errstate(all="ignore"):
        assert np.isnan(program.run({"c.a": np.zeros(1)}, NUMPY)["x"]).all()
    assert dg.implicit(residual, guess, **more).isnan().all()


def test_roots_at_zero_count() -> None:
    total = torch.zeros(2).requires_grad_()
    x = dg.implicit(lambda x: x + 3.0 * x**0.5 - total, total, between=(0.0, total))
    assert x.tolist() == [0.0, 0.0]
    program = traced(EQUATIONS["freundlich"])
    at = {"c.theta": 0.4, "c.K": 2.0, "c.n": 0.6, "c.total": 0.0}
    with np.errstate(all="ignore"):
        found = autodiff.jacobian(program, ["x"], [*at]).run({k: np.array([v]) for k, v in at.items()}, NUMPY)
        more = autodiff.vjp_of_jacobian(program, ["x"], ["c.total"], [*at]).run(
            {k: np.array([v]) for k, v in (at | {"w.x.c.total": 1.0}).items()}, NUMPY
        )
    # The root goes as total^(1 / 0.6) there: neither it nor its slopes to these differ from zero.
    assert [float(np.squeeze(v)) for v in found.values()] == [0.0] * 5
    assert np.isfinite([float(np.squeeze(v)) for v in more.values()]).all()
    # A sum whose rounding is larger than the root.
    assert dg.implicit(lambda x: (x + 1e9) - (1e9 + 1e-9), 1.0, scale=1.0).abs() < 1e-6


def branching(c: Any) -> dict[str, Any]:
    return {"x": dg.implicit(lambda x: x if x > 0 else -x, c.a)}


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda c: {"x": dg.implicit(lambda x: c.a, c.a)}, "does not depend on the unknown"),
        (lambda c: {"x": dg.implicit(lambda x: x > c.a, c.a)}, "not a number"),
        (lambda c: {"x": dg.implicit(lambda x: x - c.a, c.a, iterations=0)}, "iterations=0"),
        (lambda c: {"x": dg.implicit(lambda x: x - math.exp(c.a), c.a)}, r"test_implicit.py:\d+.*math.exp"),
        (branching, "branches on a value"),
    ],
)
def test_errors_say_what_is_wrong(function: Any, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        trace("Soil.closure", function, [("c", ["a"])])


def test_a_residual_without_the_unknown_is_refused_on_tensors() -> None:
    with pytest.raises(ModelError, match="does not depend on the unknown"):
        dg.implicit(lambda x: torch.ones(()), 1.0)
