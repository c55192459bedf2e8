"""Operations with their first and second slopes, against PyTorch's own, at usual points and at edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
import pytest
import torch

from pydiffgeo.engines.ir import autodiff
from pydiffgeo.engines.ir.events import decisions
from pydiffgeo.engines.ir.numpy_rules import RULES as NUMPY
from pydiffgeo.engines.ir.program import Program
from pydiffgeo.engines.ir.torch_rules import RULES as TORCH
from pydiffgeo.engines.ir.tracing import trace
from pydiffgeo.engines.sundials.symbols import LOWERED
from pydiffgeo.engines.sundials.symbols import RULES as CASADI

softplus = torch.nn.functional.softplus
USUAL = [-3.0, -0.7, -1e-3, 1e-9, 0.4, 1.7, 25.0]
# Function -> points besides the usual ones.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "log1p": (torch.log1p, [-0.999, 0.0, 1e-300, 1e300, -1.5, math.nan]),
    "expm1": (torch.expm1, [0.0, 1e-300, -800.0, 700.0, math.nan]),
    "erf": (torch.erf, [0.0, 1e-300, 6.5, -30.0, 1e300, math.nan]),
    "atan": (torch.atan, [0.0, 1e-300, 1e8, -1e300, math.nan]),
    "sinh": (torch.sinh, [0.0, 1e-300, -700.0, math.nan]),
    "cosh": (torch.cosh, [0.0, 1e-300, -700.0, math.nan]),
    "tan": (torch.tan, [0.0, 1.5, math.nan]),
    "softplus": (softplus, [0.1, 30.0, -700.0, math.nan]),
    "softplus with beta": (lambda x: softplus(x, beta=3.0, threshold=1e3), [0.1, -200.0]),
    "softplus with a threshold": (lambda x: softplus(x, beta=2.0, threshold=1.0), [0.49, 0.51]),
    "sign": (lambda x: torch.sign(x) * x**2, [0.0, -1e300]),
    "atan2": (lambda x: torch.atan2(x, 0.5 - x), [0.0, 0.5, 100.0, -100.0, math.nan]),
    "equal": (lambda x: torch.where(x == 0.4, x**2, torch.where(x != 1.7, x**3, x)), [0.0, math.nan]),
    "hypot": (lambda x: torch.hypot(x, x - 1), [0.0, 1.0, math.nan]),
}


def slopes(traced: Program) -> tuple[Program, Program]:
    """Value and slope; and the second slope."""
    first = autodiff.jacobian(traced, ["out"], ["c.x"])
    return first, autodiff.vjp_of_jacobian(traced, ["out"], ["c.x"], ["c.x"])


def in_numpy(traced: Program, x: list[float]) -> list[np.ndarray]:
    first, second = slopes(traced)
    at = {"c.x": np.array(x), "w.out.c.x": np.ones(len(x))}
    with np.errstate(all="ignore"):
        found = first.run(at, NUMPY) | second.run(at, NUMPY)
    return [np.broadcast_to(found[k], len(x)) for k in ("out", "slope.out.c.x", "bar.c.x")]


def in_torch(traced: Program, x: list[float]) -> list[np.ndarray]:
    at = torch.tensor(x).requires_grad_()
    return derivatives(lambda v: traced.run({"c.x": v}, TORCH)["out"], at)


def derivatives(function: Callable[[Any], Any], at: torch.Tensor) -> list[np.ndarray]:
    out = function(at) + 0.0 * at
    (slope,) = torch.autograd.grad(out.sum(), at, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum() + 0.0 * at.sum(), at)
    return [v.detach().numpy() for v in (out, slope, second)]


def in_casadi(traced: Program, x: list[float]) -> list[np.ndarray]:
    """Slopes as CasADi finds them."""
    v = ca.SX.sym("v")
    out = traced.run({"c.x": v}, CASADI)["out"]
    slope = ca.gradient(out, v)
    function = ca.Function("f", [v], [out, slope, ca.gradient(slope, v)])
    return list(np.array([[float(r) for r in function(a)] for a in x]).T)


def written_in_casadi(traced: Program, x: list[float]) -> list[np.ndarray]:
    """Slopes as written out for engines, evaluated by CasADi."""
    v, one = ca.SX.sym("v"), ca.SX(1.0)
    first, second = slopes(traced)
    found = first.run({"c.x": v}, CASADI | LOWERED) | second.run({"c.x": v, "w.out.c.x": one}, CASADI | LOWERED)
    function = ca.Function("f", [v], [found[k] for k in ("out", "slope.out.c.x", "bar.c.x")])
    return list(np.array([[float(r) for r in function(a)] for a in x]).T)


@pytest.mark.parametrize("way", [in_numpy, in_torch, in_casadi, written_in_casadi])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes_are_those_of_torch(name: str, way: Callable[..., list[np.ndarray]]) -> None:
    function, edges = FUNCTIONS[name]
    points = [x for x in (*USUAL, *edges) if name != "log1p" or x >= -1 or way is not in_casadi]
    traced = trace("f", lambda c: {"out": function(c.x)}, [("c", ["x"])])
    expected = derivatives(function, torch.tensor(points).requires_grad_())
    for found, right, order in zip(way(traced, points), expected, range(3), strict=True):
        for x, a, b in zip(points, found, right, strict=True):
            if name.startswith("softplus") and x >= 25.0:
                # PyTorch leaves out what is below the threshold.
                assert a == pytest.approx([x, 1.0, 0.0][order], abs=1e-10), (x, order)
            elif math.isnan(x):
                assert order > 0 or name == "equal" or math.isnan(a)
            elif name == "log1p" and x < -1:
                assert order > 0 or math.isnan(a)
            else:
                assert a == pytest.approx(b, rel=1e-12, abs=1e-300 if name != "hypot" else 1e-15), (x, order)


def test_the_angle_has_no_slopes_at_the_origin_and_jumps_behind_it() -> None:
    traced = trace("f", lambda c: {"out": torch.atan2(c.y, c.x)}, [("c", ["x", "y"])])
    jacobian = autodiff.jacobian(traced, ["out"], ["c.x", "c.y"])
    found = jacobian.run({"c.x": np.zeros(1), "c.y": np.zeros(1)}, NUMPY)
    assert [float(np.squeeze(v)) for v in found.values()] == [0.0, 0.0, 0.0]
    x, y = np.random.default_rng(1).normal(size=(2, 50))
    found = jacobian.run({"c.x": x, "c.y": y}, NUMPY)
    assert found["out"] == pytest.approx(np.arctan2(y, x), rel=1e-15)
    assert found["slope.out.c.x"] == pytest.approx(-y / (x * x + y * y), rel=1e-12)
    assert found["slope.out.c.y"] == pytest.approx(x / (x * x + y * y), rel=1e-12)


def test_what_is_frozen_turns_no_switch() -> None:
    traced = trace("f", lambda c: {"out": torch.logsumexp(torch.stack([c.x, c.y]), 0)}, [("c", ["x", "y"])])
    assert decisions(traced, ["c.x", "c.y"]) == 0
    assert not autodiff.switching_functions(traced, ["c.x", "c.y"]).outputs
    traced = trace("f", lambda c: {"out": torch.stack([c.x, c.y]).max()}, [("c", ["x", "y"])])
    assert len(autodiff.switching_functions(traced, ["c.x", "c.y"]).outputs) == 1


@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 3.0000000000000004, -2.2e-308, 1e-12, 7e299, -1.1e-17, 1 - 2**-53])
def test_a_frozen_value_in_casadi_is_the_value(x: float) -> None:
    v = ca.SX.sym("v")
    frozen = CASADI["frozen"](v)
    value, slope = ca.Function("f", [v], [frozen, ca.gradient(frozen * v, v)])(x)
    assert float(value) == (x if abs(x) > 1e-290 else pytest.approx(0.0, abs=1e-290))
    assert float(slope) == pytest.approx(x, abs=1e-290)
