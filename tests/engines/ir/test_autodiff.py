"""Derivatives of traced programs against PyTorch's own, and terms that are prepared before a solve."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES

import pydiffgeo as dg
from pydiffgeo.engines.ir import autodiff
from pydiffgeo.engines.ir.assembly import Layout, build_system
from pydiffgeo.engines.ir.hoisted import prepare, pull_prepared, push_prepared
from pydiffgeo.engines.ir.hoisting import _frontier
from pydiffgeo.engines.ir.program import OPERATIONS, Program
from pydiffgeo.engines.ir.torch_rules import RULES as TORCH_RULES
from pydiffgeo.engines.ir.traced_model import trace_model
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


@pytest.mark.parametrize("name", CASES)
def test_preparing_moves_costly_terms_out_of_the_kernels(name: str) -> None:
    model = CASES[name].model()
    system = build_system(model, trace_model(model), Layout({p.name: 1 for p in model.parameters}))
    given = len(model.parameters)
    assert system.n_parameters == given + sum(len(s.target) for k in system.prepared for s in k.scatter)
    p = np.array([[p.default if p.default is not None else 1.5 for p in model.parameters]])
    full = prepare(system, p)
    assert full.shape == (1, system.n_parameters)
    assert np.array_equal(full[:, :given], p)
    assert np.isfinite(full).all()
    # No division, power or function of parameters and geometry alone is left.
    first_f = system.n_states + system.n_parameters
    first_c = first_f + system.n_forcings
    for kernel in (*system.closures, *system.kernels):
        fixed = {
            n
            for n, row in zip(kernel.program.inputs, kernel.gather, strict=True)
            if system.n_states <= row[0] < first_f or first_c <= row[0] < first_c + len(system.constants)
        }
        assert _frontier(kernel.program, fixed) == []


def test_what_depends_on_parameters_alone_is_computed_once_per_distinct_value() -> None:
    model = dg.Model(
        name="Decay",
        graph=dg.column(1.0, 5),
        states=(dg.State("c", "1", "concentration", default=1.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", 1.0), dg.Parameter("n", "1", "exponent", 2.0)),
        source=lambda cell, forcing: {"c": -(cell.k**1.5) * cell.c / (1 + torch.exp(cell.n))},
    )
    scalar = build_system(model, trace_model(model), Layout({"k": 1, "n": 1}))
    assert scalar.n_parameters == 2 + 2
    both = build_system(model, trace_model(model), Layout({"k": 5, "n": 1}))
    (kernel,) = both.prepared
    assert kernel.gather.shape[1] == 5
    p = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 0.5]])
    full = prepare(both, p)
    powers, reciprocals = full[0, 6:11], full[0, 11:]
    assert np.allclose(np.abs(powers), p[0, :5] ** 1.5)
    assert np.allclose(reciprocals, 1 / (1 + math.exp(0.5)))
    bar = np.zeros_like(full)
    bar[0, 6:11] = 1.0
    assert np.allclose(np.abs(pull_prepared(both, p, bar)[0, :5]), 1.5 * np.sqrt(np.arange(1.0, 6.0)))


def test_prepared_values_have_the_derivatives_of_differences() -> None:
    column = dg.models.RichardsColumn(1.0, 4, face_conductivity="arithmetic")
    # Some parameters vary over cells and some do not, so that several results go back to one of them.
    system = build_system(
        column, trace_model(column), Layout({p.name: 4 if i % 2 else 1 for i, p in enumerate(column.parameters)})
    )
    rng = np.random.default_rng(0)
    typical = np.concatenate([np.full(4 if i % 2 else 1, p.default) for i, p in enumerate(column.parameters)])
    p = typical * rng.uniform(0.9, 1.1, (3, len(typical)))
    bar = rng.normal(size=(3, system.n_parameters))
    dots = rng.normal(size=(2, *p.shape)) * typical
    pushed = push_prepared(system, p, dots)
    for dot, found in zip(dots, pushed, strict=True):
        h = 1e-6
        difference = (prepare(system, p + h * dot) - prepare(system, p - h * dot)) / (2 * h)
        assert np.allclose(found, difference, rtol=1e-6, atol=1e-7 * np.abs(prepare(system, p)).max(axis=0))
        pulled = pull_prepared(system, p, bar)
        assert np.allclose((pulled * dot).sum(axis=1), (bar * found).sum(axis=1), rtol=1e-10)
