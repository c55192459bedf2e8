"""What a local function cannot do is an error that names the function, the line and the way out."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pydiffgeo.engines.ir.tracing import trace
from pydiffgeo.errors import ModelError, UnsupportedOperationError

NAMES = ("x", "y", "z")
OTHERS = np.frompyfunc(math.erf, 1, 1)


def line(function: Callable[..., Any], text: str) -> str:
    """`file:line` of the line of `function` that holds `text`."""
    lines, first = inspect.getsourcelines(function)
    return f"{__file__}:{first + next(i for i, t in enumerate(lines) if text in t)}"


def sorts(c: Any) -> dict[str, Any]:
    total = c.x + c.y
    return {"out": torch.sort(total)}


def shifts(c: Any) -> dict[str, Any]:
    return {"out": c.x.lerp(c.y, 0.5)}


def clamps_badly(c: Any) -> dict[str, Any]:
    return {"out": c.x.clamp(lowest=0.0)}


def branches(c: Any) -> dict[str, Any]:
    if c.x > 0.0:
        return {"out": c.x}
    return {"out": c.y}


def misreads(c: Any) -> dict[str, Any]:
    return {"out": c.conductivity * c.x}


def returns_a_number(c: Any) -> Any:
    return c.x


def uses_math(c: Any) -> dict[str, Any]:
    return {"out": math.exp(c.x)}


def uses_numpy(c: Any) -> dict[str, Any]:
    return {"out": np.exp(c.x)}


def takes_the_least_of_one(c: Any) -> dict[str, Any]:
    return {"out": torch.min(c.x)}


def takes_the_largest_along_an_axis(c: Any) -> dict[str, Any]:
    return {"out": torch.max(c.x, 0)}


def clamps_to_nothing(c: Any) -> dict[str, Any]:
    return {"out": torch.clamp(c.x)}


def chooses_by_a_number(c: Any) -> dict[str, Any]:
    return {"out": torch.where(c.x, c.y, 0.0)}


def detaches(c: Any) -> dict[str, Any]:
    return {"out": c.x.detach()}


def stacks(c: Any) -> dict[str, Any]:
    return {"out": torch.stack([c.x, c.y]).median()}


def stacks_along(c: Any) -> dict[str, Any]:
    return {"out": torch.max(torch.stack([c.x, c.y]), 0)}


def sorts_a_stack(c: Any) -> dict[str, Any]:
    return {"out": torch.where(torch.stack([c.x, c.y]) > 0, c.x, c.y)}


def takes_the_third(c: Any) -> dict[str, Any]:
    return {"out": torch.stack([c.x, c.y])[2]}


def uses_a_ufunc_of_another(c: Any) -> dict[str, Any]:
    return {"out": OTHERS(c.x)}


def chooses_by_numpy(c: Any) -> dict[str, Any]:
    return {"out": np.where(c.x > 0, c.x, c.y)}


def makes_a_float(c: Any) -> dict[str, Any]:
    return {"out": float(c.x)}


def makes_an_int(c: Any) -> dict[str, Any]:
    return {"out": int(c.x)}


def makes_an_array(c: Any) -> dict[str, Any]:
    return {"out": np.asarray(c.x)}


def asks_for_the_item(c: Any) -> dict[str, Any]:
    return {"out": c.x.item()}


def asks_for_numpy(c: Any) -> dict[str, Any]:
    return {"out": c.x.numpy()}


def takes_the_floor(c: Any) -> dict[str, Any]:
    return {"out": torch.floor(c.x)}


def rounds(c: Any) -> dict[str, Any]:
    return {"out": round(c.x)}


def takes_the_larger(c: Any) -> dict[str, Any]:
    return {"out": max(c.x, 0.0)}


def in_a_process(x: Any) -> Any:
    return math.log(x)


def calls_another(c: Any) -> dict[str, Any]:
    return {"out": in_a_process(c.x)}


def adds_several(c: Any) -> dict[str, Any]:
    return {"out": c.x + torch.tensor([1.0, 2.0])}


def adds_text(c: Any) -> dict[str, Any]:
    return {"out": c.x + "1"}


def divides_down(c: Any) -> dict[str, Any]:
    return {"out": c.x // 2}


def asks_for_a_shape(c: Any) -> dict[str, Any]:
    return {"out": c.x * c.x.shape[0]}


def overflows(c: Any) -> dict[str, Any]:
    return {"out": c.x + 1 / (torch.tensor(1.0, dtype=torch.float64) * 0).item()}


@pytest.mark.parametrize(
    ("function", "text", "error", "parts"),
    [
        (sorts, "torch.sort", UnsupportedOperationError, ["'sort'", "no translation rule", "known are abs, absolute"]),
        (shifts, "lerp", UnsupportedOperationError, ["'lerp'", "no translation rule"]),
        (clamps_badly, ".clamp(", UnsupportedOperationError, ["'clamp'", "called in a way", "'lowest'"]),
        (branches, "if c.x", ModelError, ["branches on a value", "torch.where"]),
        (misreads, "conductivity", ModelError, ["does not declare", "'conductivity'"]),
        (uses_math, "math.exp", ModelError, ["torch operations only", "not math.exp"]),
        (uses_numpy, "np.exp", ModelError, ["the function exp of NumPy", "use torch.exp", "np.exp(c.x)"]),
        (uses_a_ufunc_of_another, "OTHERS", ModelError, ["of NumPy or SciPy, which torch cannot", "OTHERS(c.x)"]),
        (chooses_by_numpy, "np.where", ModelError, ["the function where of NumPy", "use torch.where", "np.where(c.x"]),
        (makes_a_float, "float(c.x", ModelError, ["makes a plain number", "float(c.x)"]),
        (makes_an_int, "int(c.x", ModelError, ["makes a plain number", "int(c.x)"]),
        (makes_an_array, "asarray", ModelError, ["makes a plain number", "np.asarray(c.x)"]),
        (asks_for_the_item, ".item", UnsupportedOperationError, ["'item' makes a plain number", "c.x.item"]),
        (asks_for_numpy, ".numpy", UnsupportedOperationError, ["'numpy' makes a plain number", "c.x.numpy"]),
        (
            takes_the_floor,
            "torch.floor",
            UnsupportedOperationError,
            ["'floor' jumps at every whole number", "torch.where"],
        ),
        (rounds, "round(c", UnsupportedOperationError, ["jumps at every whole number", "round(c.x)"]),
        (takes_the_larger, "max(", ModelError, ["branches on a value", "max(c.x, 0.0)"]),
        (takes_the_least_of_one, "torch.min", UnsupportedOperationError, ["torch.min takes two values"]),
        (takes_the_largest_along_an_axis, "torch.max", UnsupportedOperationError, ["torch.max takes two values"]),
        (clamps_to_nothing, "torch.clamp", UnsupportedOperationError, ["needs min, max, or both"]),
        (chooses_by_a_number, "torch.where", UnsupportedOperationError, ["wants a comparison", "got a number"]),
        (detaches, "detach()", UnsupportedOperationError, ["would take a gradient away"]),
        (stacks, "torch.stack", UnsupportedOperationError, ["'median'", "no translation rule", "known are amax, amin"]),
        (stacks_along, "torch.stack", UnsupportedOperationError, ["gives places too; take torch.amax"]),
        (sorts_a_stack, "torch.stack", ModelError, ["'>' not supported between instances of 'Stack'"]),
        (takes_the_third, "[2]", UnsupportedOperationError, ["takes [2] of a stack of 2 values"]),
        (adds_several, "torch.tensor", UnsupportedOperationError, ["shape (2,)", "one cell at a time", "Parameter"]),
        (adds_text, '"1"', UnsupportedOperationError, ["'1'", "neither a number nor a torch operation"]),
        (divides_down, "//", UnsupportedOperationError, ["jumps at every whole number", "c.x // 2"]),
        (asks_for_a_shape, "shape[0]", UnsupportedOperationError, ["'shape'"]),
        (overflows, "torch.tensor", ModelError, ["division by zero"]),
    ],
)
def test_errors_name_the_function_and_the_line(
    function: Callable[..., Any], text: str, error: type[Exception], parts: list[str]
) -> None:
    with pytest.raises(error) as caught:
        trace("Soil.source", function, [("c", NAMES)])
    for part in ["Soil.source", line(function, text), *parts]:
        assert part in str(caught.value)


def test_errors_below_a_local_function_name_the_line_there() -> None:
    with pytest.raises(ModelError) as caught:
        trace("Soil.source", calls_another, [("c", NAMES)])
    assert line(in_a_process, "math.log") in str(caught.value)


def test_what_is_not_a_dictionary_is_refused() -> None:
    with pytest.raises(ModelError, match=r"Soil\.source must return a dictionary, got Symbol"):
        trace("Soil.source", returns_a_number, [("c", NAMES)])


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (lambda c: None, "nothing as 'out'"),
        (lambda c: c.x > 0, "a truth value as 'out'"),
        (lambda c: "1", "returns as 'out'"),
        (lambda c: torch.ones(3), "returns as 'out'"),
    ],
)
def test_results_are_numbers(value: Callable[[Any], Any], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        trace("Soil.source", lambda c: {"out": value(c)}, [("c", NAMES)])
