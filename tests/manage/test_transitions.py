"""Probabilities of cells against counts of draws, and what they keep."""

from __future__ import annotations

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError

GRID = torch.tensor([0.0, 1.0, 3.0, 4.0], dtype=torch.float64)


def test_cells_hold_the_share_of_draws_that_fall_into_them() -> None:
    torch.manual_seed(1)
    mean = torch.tensor([0.5, 2.4, 9.0], dtype=torch.float64)
    after = torch.distributions.Normal(mean, torch.tensor(1.2, dtype=torch.float64))
    rows = dg.manage.cell_probabilities(after, GRID)
    drawn = after.sample((200_000,))
    nearest = (drawn[..., None] - GRID).abs().argmin(-1)
    counted = torch.stack([(nearest == i).double().mean(0) for i in range(4)], -1)
    torch.testing.assert_close(rows, counted, atol=5e-3, rtol=0)
    torch.testing.assert_close(rows.sum(-1), torch.ones(3, dtype=torch.float64), atol=1e-15, rtol=0)


def test_noise_narrower_than_a_cell_stays_in_it() -> None:
    after = torch.distributions.LogNormal(torch.tensor([3.0]).double().log(), torch.tensor(1e-4).double())
    assert dg.manage.cell_probabilities(after, GRID).tolist() == [[0.0, 0.0, 1.0, 0.0]]


def test_a_mixture_is_the_mean_of_its_parts() -> None:
    mean = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 4.0]], dtype=torch.float64)
    after, weights = torch.distributions.Normal(mean, 0.5), torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    parts = dg.manage.cell_probabilities(after, GRID)
    mixed = dg.manage.cell_probabilities(after, GRID, weights=weights)
    torch.testing.assert_close(mixed, (parts[0] + 2 * parts[1] + parts[2]) / 4)
    with pytest.raises(ShapeError, match="a mixture of 3"):
        dg.manage.cell_probabilities(after, GRID, weights=weights[:2])


def test_draws_are_shared_between_neighbours_and_keep_their_mean() -> None:
    drawn = torch.tensor([[0.25, 2.0, 3.5], [1.0, 4.0, 0.0]], dtype=torch.float64)
    rows = dg.manage.from_draws(drawn, GRID)
    torch.testing.assert_close(rows @ GRID, drawn.mean(1))
    torch.testing.assert_close(rows[0] * 3, torch.tensor([0.75, 0.25 + 0.5, 0.5 + 0.5, 0.5], dtype=torch.float64))
    torch.testing.assert_close(rows[1] * 3, torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64))
    beyond = dg.manage.from_draws(torch.tensor([[-1.0, 9.0]]).double(), GRID, torch.tensor([1.0, 3.0]).double())
    assert beyond.tolist() == [[0.25, 0.0, 0.0, 0.75]]
    with pytest.raises(InputError, match="a solve has failed"):
        dg.manage.from_draws(torch.tensor([[torch.nan]]).double(), GRID)


def test_fixed_points_of_a_map_with_a_threshold() -> None:
    found = dg.manage.fixed_points(lambda s: s * torch.exp(2 * (1 - s / 8) * (s - 5) / 8), 0.0, 12.0)
    assert [p.state for p in found] == pytest.approx([0.0, 5.0, 8.0], abs=1e-9)
    # Slopes by hand: exp(-10/8), 1 + 5 (2/8) (3/8), 1 - 8 (2/8) (3/8).
    assert [p.slope for p in found] == pytest.approx([0.28650480, 1.46875, 0.25], abs=1e-8)
    assert [p.stable for p in found] == [True, False, True]
    with pytest.raises(InputError, match="not finite at 0"):
        dg.manage.fixed_points(lambda s: 1 / s, 0.0, 1.0)
