"""Storage of the three kinds of cells: straight lines of a head, rounded over a known width where they meet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from pydiffgeo.processes.groundwater.storage import KINDS, STORAGES, reduction, rounded_share, storage_of, supply


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


CELL = SimpleNamespace(S_s=number(1e-4), S_y=number(0.2), thickness=number(10.0), bottom=number(5.0), kind=number(2.0))


@pytest.mark.parametrize(
    ("kind", "head", "water"),
    [
        ("confined", 25.0, 1e-4 * 10 * 20),
        ("unconfined", 25.0, 0.2 * 20),
        ("convertible", 9.0, 0.2 * 4),
        # Full pores, and elastic water of 10 m above the top.
        ("convertible", 25.0, 0.2 * 10 + 1e-4 * 10 * 10),
    ],
)
def test_water_by_hand(kind: str, head: float, water: float) -> None:
    assert STORAGES[kind].water(number(head), CELL).item() == pytest.approx(water, rel=1e-12)
    assert STORAGES[kind].head(number(water), CELL).item() == pytest.approx(head, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_head_and_water_are_inverse(kind: str) -> None:
    heads = torch.cat([torch.linspace(4.9, 40, 400), torch.linspace(14.98, 15.6, 400)]).double()
    back = STORAGES[kind].head(STORAGES[kind].water(heads, CELL), CELL)
    torch.testing.assert_close(back, heads, rtol=0, atol=1e-10)


def test_the_head_of_a_convertible_cell_turns_without_a_jump_of_its_slope() -> None:
    water = torch.linspace(1.995, 2.005, 4001, dtype=torch.float64, requires_grad=True)
    head = STORAGES["convertible"].head(water, CELL)
    (slope,) = torch.autograd.grad(head.sum(), water)
    assert (slope.diff() >= -1e-9).all()
    assert slope[0].item() == pytest.approx(1 / 0.2)
    assert slope[-1].item() == pytest.approx(1 / (1e-4 * 10))
    # From one slope to the other over a thousandth of the water that fills it, in equal steps.
    assert slope.diff().max().item() < 1000 * 4001 / 1e-3 * 1e-6


def test_saturation() -> None:
    share = torch.tensor([-0.1, 0.0, 0.4, 0.9989, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    rounded = rounded_share(share)
    torch.testing.assert_close(rounded, torch.tensor([-0.1, 0.0, 0.4, 0.9989, 1.0, 1.0], dtype=torch.float64))
    (slope,) = torch.autograd.grad(rounded.sum(), share)
    assert slope.tolist() == pytest.approx([1, 1, 1, 1, 0, 0])


def test_kinds_of_cells_side_by_side() -> None:
    cells = SimpleNamespace(**{**vars(CELL), "kind": torch.arange(3.0).double()})
    water = torch.full((3,), 2.01, dtype=torch.float64)
    mixed = storage_of(["confined", "unconfined", "convertible"])
    own = [STORAGES[kind].head(water[:1], CELL).item() for kind in KINDS]
    assert mixed.head(water, cells).tolist() == pytest.approx(own)
    heads = mixed.head(water, cells)
    torch.testing.assert_close(mixed.water(heads, cells), water)
    assert mixed.saturation(heads, cells).tolist() == pytest.approx([1.0, 1.005, 1.0])


def test_what_leaves_a_cell_ends_with_its_water() -> None:
    share = torch.tensor([-0.01, 0.0, 0.005, 0.01, 0.5], dtype=torch.float64)
    assert supply(share).tolist() == pytest.approx([-2.0, 0.0, 0.75, 1.0, 1.0])
    # 3 s^2 - 2 s^3 of the share of a tenth of the thickness.
    assert reduction(share, 0.1).tolist() == pytest.approx([0.0, 0.0, 3 * 0.0025 - 2 * 0.000125, 0.028, 1.0])
