"""Flows across the outside of an aquifer against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pydiffgeo.processes.groundwater.exchange import drain, evapotranspiration, general_head, river


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_general_head() -> None:
    assert general_head(number(3.0), number(5.0), number(7.0)).item() == 14.0


@pytest.mark.parametrize(("head", "flow"), [(9.0, 10 * 2.0), (12.0, -10 * 1.0), (5.0, 10 * 3.0)])
def test_a_river_loses_no_more_once_the_head_is_below_its_bed(head: float, flow: float) -> None:
    assert river(number(head), number(11.0), number(10.0), number(8.0)).item() == pytest.approx(flow)


@pytest.mark.parametrize(("head", "flow"), [(3.0, -4 * 1.0), (1.9, 0.0), (2.0, -4 * 1e-3 / 8)])
def test_a_drain_takes_only_what_is_above_it(head: float, flow: float) -> None:
    assert drain(number(head), number(4.0), number(2.0)).item() == pytest.approx(flow)


@pytest.mark.parametrize(
    ("head", "share"),
    # Surface 50, depth 10; through (0.2, 0.3) and (0.5, 0.1) of depth and rate: half way along each piece, and beyond.
    [(51.0, 1.0), (49.0, 0.65), (46.5, 0.2), (42.5, 0.05), (39.0, 0.0)],
)
def test_evapotranspiration_falls_in_straight_pieces(head: float, share: float) -> None:
    lost = evapotranspiration(number(head), number(4e-3), number(50.0), number(10.0), ((0.2, 0.3), (0.5, 0.1)))
    assert lost.item() == pytest.approx(4e-3 * share, abs=1e-12)


def test_evapotranspiration_without_pieces_is_a_ramp() -> None:
    heads = torch.linspace(38, 52, 141, dtype=torch.float64)
    lost = evapotranspiration(heads, number(1.0), number(50.0), number(10.0))
    ramp = ((heads - 40) / 10).clamp(0, 1)
    assert (lost - ramp).abs().max() < 1e-3 / 8 + 1e-12
