"""Where a state leads, as probabilities of the cells of a grid."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError, ShapeError


def cell_probabilities(
    after: torch.distributions.Distribution, grid: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """Probability of each cell of a grid, integrated over the cell: right for noise narrower than the cells, too.

    The cells end in the middle between points of the grid; the first and last take all that lies beyond. A process that
    cannot leave a state (an empty stock) is set apart by `torch.where`.

    Args:
        after: of the state after a step, with any batch shape; it has a `cdf`, such as `LogNormal` and `Normal`.
        grid: `(states,)`, rising.
        weights: where the first dimension of the batch is a mixture (draws of a posterior), the weight of each.

    Returns:
        `(*batch, states)`, without the first dimension of the batch where `weights` are given.
    """
    if grid.dim() != 1 or len(grid) < 2 or not (grid.diff() > 0).all():
        raise InputError("the grid must be two points or more, and rise")
    below = after.cdf(_positive(after, (grid[1:] + grid[:-1]) / 2, len(after.batch_shape)))
    below = below.movedim(0, -1)
    ends = torch.cat([torch.zeros_like(below[..., :1]), below, torch.ones_like(below[..., :1])], dim=-1)
    rows = ends.diff(dim=-1).clamp(min=0)
    if weights is None:
        return rows
    if weights.shape != rows.shape[:1]:
        raise ShapeError(f"a mixture of {len(rows)} needs as many weights, got {tuple(weights.shape)}")
    return torch.tensordot(weights / weights.sum(), rows, dims=1)


def _positive(after: torch.distributions.Distribution, edges: Tensor, batch: int) -> Tensor:
    """Edges of the cells, `(edges, 1, ...)`, within the support."""
    if isinstance(after, torch.distributions.LogNormal):
        edges = edges.clamp(min=torch.finfo(edges.dtype).tiny)
    return edges.reshape(-1, *(1 for _ in range(batch)))


def from_draws(after: Tensor, grid: Tensor, weights: Tensor | None = None) -> Tensor:
    """Probability of each point of a grid from states after a step, such as a model's under several forcings.

    Each is shared between the two points beside it, so that the mean is kept; what lies beyond the grid counts as its end.

    Args:
        after: `(*batch, draws)`. grid: `(states,)`, rising. weights: `(draws,)`, equal if None.

    Returns:
        `(*batch, states)`.
    """
    if not torch.isfinite(after).all():
        raise InputError("a state after the step is not finite: a solve has failed")
    share = torch.ones(after.shape[-1], dtype=after.dtype) if weights is None else weights
    if share.shape != after.shape[-1:] or not share.sum() > 0:
        raise ShapeError(f"{after.shape[-1]} draws need as many weights, got {tuple(share.shape)}")
    inside = after.clamp(grid[0], grid[-1])
    upper = torch.bucketize(inside.contiguous(), grid[1:-1], right=True) + 1
    part = (inside - grid[upper - 1]) / (grid[upper] - grid[upper - 1])
    share = (share / share.sum()).expand_as(inside)
    rows = torch.zeros(*after.shape[:-1], len(grid), dtype=after.dtype)
    rows.scatter_add_(-1, upper - 1, (1 - part) * share)
    return rows.scatter_add_(-1, upper, part * share)
