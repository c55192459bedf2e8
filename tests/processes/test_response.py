"""The two groundwater zones of HBV against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from pydiffgeo.processes.response import base_flow, interflow, percolation, quick_flow


def of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_percolation_is_constant_until_the_store_limits_it() -> None:
    assert percolation(of(15.0), of(1.5), 1.0).item() == 1.5
    assert percolation(of(0.6), of(1.5), 1.0).item() == pytest.approx(0.6)
    assert percolation(of(0.6), of(1.5), 0.1).item() == 1.5


def test_outflows_are_shares_of_the_stores() -> None:
    assert quick_flow(of(35.0), of(0.2), of(20.0)).item() == pytest.approx(3.0)
    assert quick_flow(of(15.0), of(0.2), of(20.0)).item() == 0.0
    assert interflow(of(15.0), of(0.1)).item() == pytest.approx(1.5)
    assert base_flow(of(40.0), of(0.02)).item() == pytest.approx(0.8)
