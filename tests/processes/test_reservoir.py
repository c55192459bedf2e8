"""Flow out of stores against formulas in plain numbers."""

from __future__ import annotations

import math

import pytest
import torch

from pydiffgeo.processes.reservoir import cascade, exponential_base_flow, linear, overflow, power


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_a_linear_reservoir_empties_in_its_residence_time() -> None:
    assert linear(of(12.0), of(3.0)).item() == 4.0


def test_a_power_reservoir_and_an_empty_one() -> None:
    assert power(of(4.0), of(0.01), of(2.5)).item() == pytest.approx(0.32)
    assert power(of(-1e-12), of(0.01), of(2.5)).item() == 0.0


def test_a_cascade_hands_on_what_it_gets() -> None:
    rates, out = cascade(of(5.0), [of(6.0), of(3.0), of(0.0)], of(2.0))
    assert [r.item() for r in rates] == [2.0, 1.5, 1.5]
    assert out.item() == 0.0
    assert cascade(of(5.0), [], of(2.0)) == ([], of(5.0))


@pytest.mark.parametrize("water", [100.0, 600.0, 899.0])
def test_base_flow_declines_exponentially_below_the_full_store(water: float) -> None:
    found = exponential_base_flow(of(water), of(0.02), of(900.0), of(18.0)).item()
    assert found == pytest.approx(18 * math.exp(-0.02 * (900 - water)), rel=1e-4 if water > 890 else 1e-12)


def test_base_flow_of_the_full_and_the_empty_store() -> None:
    assert exponential_base_flow(of(950.0), of(0.02), of(900.0), of(18.0)).item() == pytest.approx(18.0, rel=1e-12)
    # Half of the step of an empty store is open.
    assert exponential_base_flow(of(0.0), of(0.0), of(900.0), of(18.0)).item() == pytest.approx(9.0, rel=1e-12)


def test_what_is_above_the_full_store_leaves_in_a_day() -> None:
    assert overflow(of(907.0), of(900.0)).item() == pytest.approx(7.0, rel=1e-12)
    assert overflow(of(900.0), of(900.0)).item() == 0.0
    assert abs(overflow(of(880.0), of(900.0)).item()) < 1e-20
