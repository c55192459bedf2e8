"""Exchange at the base of the soil and at the bed of a river, by numbers worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace as Space

import pytest
import torch

from pydiffgeo.processes import hillslope


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


def recharge(head: float, table: float, saturation: float = 1.0) -> float:
    """From a cell of half a metre, whose base is at 10 m, with K = 0.02 m/d."""
    soil = Space(head=number(head), K=number(0.02), thickness=number(0.5))
    water = Space(head=number(table), saturation=number(saturation))
    return hillslope.recharge(soil, water, Space(base=number(10.0)))["theta->water"].item()


def test_soil_drains_to_a_table_far_below_and_rests_above_one_it_hangs_from() -> None:
    assert recharge(-1.0, -990.0) == pytest.approx(0.02, rel=2e-3)
    # 2.25 m above the table, less half the distance over which it passes the base.
    assert recharge(-2.245, 8.0) == pytest.approx(0.0, abs=1e-12)
    assert recharge(-1.0, 8.0) == pytest.approx(0.02 * (1 - 1 / 2.245))
    assert recharge(-3.0, 8.0) == pytest.approx(0.02 * (1 - 3 / 2.245))
    # A table 0.3 m above the base presses, and fills the cell to its middle and above.
    assert recharge(-0.5, 10.3) == pytest.approx(0.02 * ((-0.5 - 0.295) / 0.25 + 1))
    assert recharge(0.045, 10.3) == pytest.approx(0.0, abs=1e-12)
    assert recharge(-3.0, 8.0, saturation=0.0) == 0.0


def seepage(head: float, depth: float, saturation: float = 1.0) -> float:
    """Into 100 m of a river of 4 m, whose bed lies at -1 m: 400 m2/d through the bed and 200 beside it, in series."""
    water = Space(head=number(head), K=number(5.0), thickness=number(10.0), saturation=number(saturation))
    river = Space(depth=number(depth), bed_leakance=number(1.0), width=number(4.0), length=number(100.0))
    face = Space(bed=number(-1.0), banks=number(200.0), half=number(50.0))
    return hillslope.seepage(water, river, face)["water->storage"].item()


def test_a_river_gains_from_what_stands_above_it_and_loses_as_deep_as_it_is() -> None:
    conductance = 1 / (1 / 400 + 1 / 200)
    assert seepage(0.5, 0.2) == pytest.approx(conductance * 1.3)
    assert seepage(0.5, 0.2, saturation=0.6) == pytest.approx(conductance * 1.3 * 0.6)
    assert seepage(-0.9, 0.2) == pytest.approx(-conductance * 0.1)
    assert seepage(-3.0, 0.2) == pytest.approx(-conductance * 0.2)
    assert seepage(-3.0, 0.0) == pytest.approx(0.0, abs=1e-10)
