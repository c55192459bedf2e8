"""Values that local functions are not defined for fail the member that meets them, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from one_state import one_state

import pydiffgeo as dg

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin of infinity": lambda x: torch.sin(torch.exp(1e3 * x)),
    "cos of infinity": lambda x: torch.cos(torch.exp(1e3 * x)),
    "log of a negative number": lambda x: torch.log(0.5 - x),
    "root of a negative number": lambda x: torch.sqrt(0.5 - x),
    "power of a negative number": lambda x: (0.5 - x) ** 1.3,
    "division by zero": lambda x: 1.0 / (x - 1.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_undefined_is_a_failed_member(name: str, engine: str) -> None:
    function = FUNCTIONS[name]
    assert not torch.isfinite(function(torch.tensor(1.0, dtype=torch.float64)))
    model = one_state(lambda cell, forcing: {"y": 0.0 * cell.y + 1e-3 * function(cell.y)})
    start = torch.tensor([[0.1], [1.0], [0.2]], dtype=torch.float64, requires_grad=True)
    solution = dg.solve(model, initial={"y": start}, times=[0.0, 0.1], engine=engine, throw=False)
    assert solution.ok.tolist() == [True, False, True]
    assert torch.isnan(solution.states["y"][1, -1]).all()
    solution.states["y"][solution.ok].sum().backward()
    assert torch.isfinite(start.grad).all()
    assert start.grad.reshape(-1)[1] == 0


def test_a_parameter_that_nothing_is_defined_for_has_no_gradient(engine: str) -> None:
    # What follows from parameters alone is computed before a solve, and has a slope there that is none either.
    model = one_state(lambda cell, forcing: {"y": torch.sqrt(cell.a) + 0.0 * cell.y}, "a", start=0.0)
    a = torch.tensor([[4.0], [-1.0], [9.0]], dtype=torch.float64, requires_grad=True)
    solution = dg.solve(model, {"a": a}, times=[0.0, 1.0], engine=engine, throw=False)
    assert solution.ok.tolist() == [True, False, True]
    solution.states["y"][solution.ok, -1].sum().backward()
    torch.testing.assert_close(a.grad, torch.tensor([[1 / 4], [0.0], [1 / 6]], dtype=torch.float64))
