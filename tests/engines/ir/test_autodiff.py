"""Derivatives of traced programs against PyTorch's own, and terms that are prepared before a solve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pydiffgeo.engines.ir import autodiff
from pydiffgeo.engines.ir.program import OPERATIONS, Program
from pydiffgeo.engines.ir.torch_rules import RULES as TORCH_RULES
from pydiffgeo.engines.ir.tracing import trace

RULES = {
    **TORCH_RULES,
    "lnabs": lambda x: torch.log(torch.abs(torch.as_tensor(x))),
    "raise": lambda x, y, l: torch.pow(*map(torch.as_tensor, (x, y))),  # noqa: E741
}
NAMES = ["x", "y", "z"]


def local_functions() -> dict[str, Callable[[Any], dict[str, Any]]]:
    return {
        "arithmetic": lambda c: {"a": (c.x + 2 * c.y) / (c.z - c.x * c.y), "b": -c.x - 3.0 + c.y},
        "powers": lambda c: {"a": c.x**c.y * c.x**1.5, "b": (c.x * c.z) ** 3 + c.y**-1, "c": 2.0**c.z},
        "elementary": lambda c: {
            "a": torch.exp(c.x) * torch.log(c.y) + torch.sqrt(c.z),
            "b": torch.tanh(c.x * c.z) + torch.sin(c.y) * torch.cos(c.x),
        },
        "branches": lambda c: {
            "a": torch.where(c.x < c.y, c.x * c.z**2, c.y**c.x),
            "b": torch.clamp(c.x, min=0.5) * torch.minimum(c.y, c.z) + abs(c.x - c.y),
        },
        "one result twice": lambda c: {"a": c.x * c.y, "b": c.x * c.y, "c": 1.0},
    }


def run(program: Program, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: torch.as_tensor(v, dtype=torch.float64) for k, v in program.run(inputs, RULES).items()}


def close(found: torch.Tensor, expected: torch.Tensor | None) -> bool:
    expected = torch.zeros_like(found) if expected is None else expected
    return torch.allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", local_functions())
def test_derivatives_are_those_of_torch(name: str) -> None:
    program = trace(name, local_functions()[name], [("c", NAMES)])
    outputs, inputs = [*program.outputs], [*program.inputs]
    generator = torch.Generator().manual_seed(3)
    x = {i: (0.3 + torch.rand(7, dtype=torch.float64, generator=generator)).requires_grad_() for i in inputs}

    def weights(keys: list[str]) -> dict[str, torch.Tensor]:
        return {f"w.{k}": torch.randn(7, dtype=torch.float64, generator=generator) for k in keys}

    exact = program.run(x, RULES)
    exact = {k: torch.as_tensor(v, dtype=torch.float64) + 0 * x[inputs[0]] for k, v in exact.items()}
    slopes = {
        f"{o}.{i}": g
        for o in outputs
        for i, g in zip(
            inputs,
            torch.autograd.grad(exact[o].sum(), list(x.values()), create_graph=True, allow_unused=True),
            strict=True,
        )
    }
    found = run(autodiff.jacobian(program, outputs, inputs), x)
    for o in outputs:
        assert close(found[o], exact[o])
        for i in inputs:
            assert close(found[f"slope.{o}.{i}"], slopes[f"{o}.{i}"]), (o, i)

    w = weights(outputs)
    total = sum((w[f"w.{o}"] * exact[o]).sum() for o in outputs)
    expected = torch.autograd.grad(total, list(x.values()), retain_graph=True, allow_unused=True)
    found = run(autodiff.vjp(program, outputs, inputs), x | w)
    for i, e in zip(inputs, expected, strict=True):
        assert close(found[f"bar.{i}"], e), i

    w = weights([*slopes])
    total = sum((w[f"w.{k}"] * s).sum() for k, s in slopes.items() if s is not None)
    expected = torch.autograd.grad(total, list(x.values()), allow_unused=True)
    found = run(autodiff.vjp_of_jacobian(program, outputs, inputs, inputs), x | w)
    for i, e in zip(inputs, expected, strict=True):
        assert close(found[f"bar.{i}"], e), i


def test_every_operation_with_a_slope_has_a_rule() -> None:
    assert set(autodiff.RULES) == (set(OPERATIONS) - {"lt", "le", "and", "or", "not", "pow"}) | set(autodiff.LOWERED)


def test_powers_of_one_base_share_a_logarithm() -> None:
    program = trace("p", lambda c: {"a": c.x**c.y + c.x ** (2 * c.y) + c.x**0.3}, [("c", NAMES)])
    operations = [n.op for n in autodiff.jacobian(program, ["a"], ["c.x"]).nodes]
    assert operations.count("lnabs") == 1
    assert operations.count("raise") == 6  # three powers, and each lowered by one
