"""The text of a local function in Julia."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
import torch

from pydiffgeo.engines.ir.tracing import trace
from pydiffgeo.engines.julia.codegen import julia_loop, julia_number


def test_the_julia_text_of_a_function() -> None:
    def function(c: Any) -> dict[str, Any]:
        power = c.x**3 + c.x**c.y
        return {"a": torch.where(c.x < 0.0, -power, torch.sqrt(power)), "b": c.y, "c": -2.5}

    traced = trace("local", function, [("c", ("x", "y", "z"))])
    assert (
        julia_loop(traced, {"x": ["c.x", "c.y"]}, {"out": ["b", "a", "c"]}, items=9)
        == """\
function (out, x)
    @inbounds @simd ivdep for i in axes(out, 1)
        t0 = x[i, 1]
        t1 = x[i, 2]
        t3 = whole(t0, Val(3))
        t4 = power(t0, t1)
        t5 = (t3 + t4)
        t7 = (t0 < 0.0)
        t8 = (-t5)
        t9 = root(t5)
        t10 = pick(t7, t8, t9)
        out[i, 1] = t1
        out[i, 2] = t10
        out[i, 3] = (-2.5)
    end
    return nothing
end"""
    )


def test_sums_with_products_are_fused_in_julia() -> None:
    traced = trace("local", lambda c: {"a": c.x * c.y - c.x, "b": 2.0 - c.x * c.x}, [("c", ("x", "y", "z"))])
    text = julia_loop(traced, {"x": ["c.x", "c.y"]}, {"bars": ["a", "b"]}, items=1)
    assert "fused(t0, t1, -t0)" in text
    assert "fused(-t0, t0, 2.0)" in text
    assert "bars[i, 2] += t" in text
    assert "@simd" not in text


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 1e-300, 5e-324, 1.7976931348623157e308, -2.2250738585072014e-308, 1e22]
)
def test_numbers_round_trip(value: float) -> None:
    read = float(julia_number(value).strip("()"))
    assert struct.pack("d", read) == struct.pack("d", value)


def test_numbers_that_have_names_in_julia() -> None:
    assert [julia_number(v) for v in (math.nan, math.inf, -math.inf)] == ["NaN", "Inf", "(-Inf)"]
