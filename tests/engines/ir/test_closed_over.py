"""What local functions close over: never a constant in silence."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from one_state import one_state
from torch.autograd import forward_ad

import pydiffgeo as dg
from pydiffgeo.errors import ModelError

RATE = 1.0


def decay(source: Callable[..., Any], **more: Any) -> dg.Model:
    """y' = source."""
    return one_state(source, start=1.0, **more)


def end(model: dg.Model, engine: str) -> float:
    return float(dg.solve(model, times=[0.0, 1.0], engine=engine, rtol=1e-8, atol=1e-10).states["y"][-1, 0])


class Reaction:
    def __init__(self) -> None:
        self.rate = 1.0

    def source(self, cell: Any, forcing: Any) -> dict[str, Any]:
        return {"y": -self.rate * cell.y}


def from_a_global(cell: Any, forcing: Any) -> dict[str, Any]:
    return {"y": -RATE * cell.y}


def set_global(value: float) -> None:
    global RATE
    RATE = value


def holders() -> dict[str, tuple[Callable[..., Any], Callable[[float], None]]]:
    """What holds a rate -> a local function that reads it from there, and what sets it."""
    box, space, table = [1.0], SimpleNamespace(rate=1.0), {"rate": 1.0}
    tensor, array, own = torch.tensor(1.0), np.ones(1), Reaction()
    net = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64).requires_grad_(False)
    return {
        "list": (lambda c, f: {"y": -box[0] * c.y}, lambda v: box.__setitem__(0, v)),
        "attribute": (lambda c, f: {"y": -space.rate * c.y}, lambda v: setattr(space, "rate", v)),
        "mapping": (lambda c, f: {"y": -table["rate"] * c.y}, lambda v: table.update(rate=v)),
        "tensor": (lambda c, f: {"y": -tensor * c.y}, lambda v: tensor.fill_(v)),
        "item of a tensor": (lambda c, f: {"y": -tensor.item() * c.y}, lambda v: tensor.fill_(v)),
        "array": (lambda c, f: {"y": -array * c.y}, lambda v: array.fill(v)),
        "frozen weight": (lambda c, f: {"y": -net.weight * c.y}, lambda v: net.weight.fill_(v)),
        "method": (own.source, lambda v: setattr(own, "rate", v)),
        "global": (from_a_global, set_global),
    }


@pytest.mark.parametrize("kind", holders())
def test_a_number_that_changes_is_seen_by_the_next_solve(kind: str, engine: str) -> None:
    source, assign = holders()[kind]
    model = decay(source)
    for value in (1.0, 2.5, 1.0):
        assign(value)
        assert end(model, engine) == pytest.approx(math.exp(-value), rel=1e-6)


def test_outputs_are_those_of_the_solve(engine: str) -> None:
    box = [1.0]
    model = decay(
        lambda c, f: {"y": -c.rate},
        closure=lambda c: {"rate": box[0] * c.y},
        output=lambda c: {"rate": c.rate, "share": c.rate / box[0]},
        outputs=(dg.Output("rate", "1", "rate"), dg.Output("share", "1", "of the rate")),
    )
    solution = dg.solve(model, times=[0.0, 1.0], engine=engine, rtol=1e-8)
    box[0] = 7.0
    assert solution.outputs["rate"][-1, 0].item() == pytest.approx(math.exp(-1.0), rel=1e-6)
    assert solution.outputs["share"][-1, 0].item() == pytest.approx(math.exp(-1.0), rel=1e-6)


def test_an_output_that_is_not_traced_notices_a_change() -> None:
    box = [1.0]
    model = decay(
        lambda c, f: {"y": -c.y},
        output=lambda c: {"gate": torch.special.expit(box[0] * c.y)},
        outputs=(dg.Output("gate", "1", "gate"),),
    )
    solve = lambda: dg.solve(model, times=[0.0, 1.0], engine="sundials", rtol=1e-8)  # noqa: E731
    expected = 1 / (1 + math.exp(-math.exp(-1.0)))
    assert solve().outputs["gate"][-1, 0].item() == pytest.approx(expected, rel=1e-6)
    late = solve()
    box[0] = 2.0
    with pytest.raises(ModelError, match=r"OneState\.output closes over something that has changed"):
        _ = late.outputs


WEIGHT = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
NET = torch.nn.Linear(1, 1)
TWICE = 2 * WEIGHT


class Learned:
    def __init__(self) -> None:
        self.weight = WEIGHT

    def source(self, cell: Any, forcing: Any) -> dict[str, Any]:
        return {"y": -self.weight * cell.y}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        (lambda c, f: {"y": -c.y * WEIGHT}, "'WEIGHT'"),
        (lambda c, f: {"y": -(3.0 * WEIGHT) * c.y}, "a tensor made of 'WEIGHT'"),
        (lambda c, f: {"y": -c.y * TWICE}, "'TWICE'"),
        (lambda c, f: {"y": -WEIGHT}, "'y'"),
        (lambda c, f: {"y": torch.where(c.y > WEIGHT, c.y, 0.0)}, "'WEIGHT'"),
        (lambda c, f: {"y": c.y.clamp(max=WEIGHT)}, "'WEIGHT'"),
        (lambda c, f: {"y": NET.weight * c.y}, "'NET.weight'"),
        (lambda c, f: {"y": NET(c.y)}, "'NET.weight'"),
        (Learned().source, "'self.weight'"),
    ],
)
@pytest.mark.parametrize("grad", [True, False])
def test_a_tensor_that_asks_for_a_gradient_must_be_declared(source: Any, named: str, grad: bool) -> None:
    with torch.set_grad_enabled(grad), pytest.raises(ModelError, match="asks for a gradient") as caught:
        dg.solve(decay(source), times=[0.0, 1.0], engine="sundials")
    assert named in str(caught.value)
    assert "Parameter" in str(caught.value)
    assert __file__ in str(caught.value)


def test_directions_and_transforms_of_what_is_closed_over_are_refused() -> None:
    def of(value: torch.Tensor) -> torch.Tensor:
        return dg.solve(decay(lambda c, f: {"y": -c.y * value}), times=[0.0, 1.0], engine="sundials").states["y"][-1, 0]

    value = torch.tensor(0.5, dtype=torch.float64)
    with pytest.raises(ModelError, match="'value', which asks for a gradient"):
        torch.func.grad(of)(value)
    with forward_ad.dual_level(), pytest.raises(ModelError, match="'value', which asks for a gradient"):
        of(forward_ad.make_dual(value, torch.ones_like(value)))


def test_what_is_closed_over_in_an_output_must_be_declared_too() -> None:
    model = decay(
        lambda c, f: {"y": -c.y}, output=lambda c: {"z": c.y * WEIGHT}, outputs=(dg.Output("z", "1", "scaled"),)
    )
    with pytest.raises(ModelError, match=r"OneState\.output.*'WEIGHT', which asks for a gradient"):
        dg.solve(model, times=[0.0, 1.0], engine="sundials")
