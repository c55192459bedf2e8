"""Darcy's law between cells, by hand, and that what is dry gives nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pydiffgeo.processes.groundwater.conductance import harmonic
from pydiffgeo.processes.groundwater.flow import FLOOR, TRACE, Darcy


def side(head: float, saturation: float = 1.0, bottom: float = 0.0) -> SimpleNamespace:
    values = {"head": head, "saturation": saturation, "bottom": bottom, "thickness": 10.0, "K": 2.0}
    values |= {"horizontal_anisotropy": 1.0, "vertical_anisotropy": 0.1}
    return SimpleNamespace(**{k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})


def face(direction: float) -> SimpleNamespace:
    values = {"direction": direction, "left_distance": 5.0, "right_distance": 5.0}
    return SimpleNamespace(**{k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})


def test_confined() -> None:
    # Conductance 2 * 10 / 10 of the width along rows, 0.2 / 10 of the area down.
    darcy = Darcy(harmonic, layers=True)
    assert darcy(side(7.0), side(4.0), face(0.0)).item() == pytest.approx(2 * 3)
    assert darcy(side(7.0), side(4.0), face(2.0)).item() == pytest.approx(0.02 * 3)


@pytest.mark.parametrize(("left", "right", "flow"), [(7.0, 4.0, 2 * 3 * 0.7), (4.0, 7.0, -2 * 3 * 0.7)])
def test_the_higher_cell_says_how_much_conducts(left: float, right: float, flow: float) -> None:
    darcy = Darcy(harmonic, water_table=True)
    assert darcy(side(left, left / 10), side(right, right / 10), face(0.0)).item() == pytest.approx(flow)


def test_without_that_the_mean_is_of_saturated_thicknesses() -> None:
    darcy = Darcy(harmonic, water_table=True, upstream=False)
    assert darcy(side(7.0, 0.7), side(4.0, 0.4), face(0.0)).item() == pytest.approx(3 / (5 / 14 + 5 / 8))
    # Next to a dry cell, a millionth of its thickness.
    assert darcy(side(7.0, 0.7), side(-1.0, -0.1), face(0.0)).item() == pytest.approx(8 / (5 / 14 + 5 / (20 * FLOOR)))


def test_a_dry_cell_gives_next_to_nothing_and_one_that_lost_too_much_gets_it_back() -> None:
    darcy = Darcy(harmonic, water_table=True, layers=True)
    lower = side(4.0, 0.4)
    assert darcy(side(17.0, 0.0, bottom=17.0), lower, face(0.0)).item() == pytest.approx(2 * 13 * TRACE)
    assert darcy(side(17.0, 0.0, bottom=17.0), lower, face(2.0)).item() == pytest.approx(0, abs=1e-9)
    # By the step of the bed, whatever the heads.
    assert darcy(side(17.0, -1e-3, bottom=17.0), lower, face(0.0)).item() == pytest.approx(-2 * 17 * 1e-3)
    assert darcy(lower, side(17.0, -1e-3, bottom=17.0), face(0.0)).item() == pytest.approx(2 * 17 * 1e-3)
    # 0.02 of the area, a tenth of what is scarce, doubled at the dry end.
    assert darcy(side(17.0, -1e-3, bottom=17.0), lower, face(2.0)).item() == pytest.approx(-0.02 * 17 * 0.2)


def test_between_layers() -> None:
    upper, lower = side(13.0, 0.3, bottom=10.0), side(6.0, 0.6)
    down = face(2.0)
    assert Darcy(harmonic, True, layers=True)(upper, lower, down).item() == pytest.approx(0.02 * 7)
    # A third of the upper half cell resists, all of the lower one; driven by the top of the lower cell.
    resistance = 0.3 * 5 / 0.2 + 5 / 0.2
    saturated = Darcy(harmonic, True, layers=True, saturated=True)
    assert saturated(upper, lower, down).item() == pytest.approx(7 / resistance)
    perched = Darcy(harmonic, True, layers=True, perched=True)
    assert perched(upper, lower, down).item() == pytest.approx(0.02 * 3)
