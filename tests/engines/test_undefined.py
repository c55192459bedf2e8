"""Values that local functions are not defined for fail the member that meets them, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

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
    model = dg.Model(
        name="Edge",
        graph=dg.single_cell(),
        states=(dg.State("y", "1", "y"),),
        source=lambda cell, forcing: {"y": 0.0 * cell.y + 1e-3 * function(cell.y)},
    )
    start = torch.tensor([[0.1], [1.0], [0.2]], dtype=torch.float64, requires_grad=True)
    solution = dg.solve(model, initial={"y": start}, times=[0.0, 0.1], engine=engine, throw=False)
    assert solution.ok.tolist() == [True, False, True]
    assert torch.isnan(solution.states["y"][1, -1]).all()
    solution.states["y"][solution.ok].sum().backward()
    assert torch.isfinite(start.grad).all()
    assert start.grad.reshape(-1)[1] == 0
