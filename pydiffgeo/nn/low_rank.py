"""Updates of a weight by few numbers: the products that low-rank adaptation adds to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError

Rank = int | Sequence[int]


class TuckerUpdate(torch.nn.Module):
    """A weight of any number of dimensions plus `scale G x1 U1 x2 U2 ... xN UN`, FLoRA (Si et al. 2024, equation 5).

    The core G starts at zero, so that nothing changes at first; the factors as weights of layers do.
    A kernel keeps its dimensions: its ranks are apart from those of the channels.
    """

    def __init__(self, weight: Tensor, ranks: Sequence[int], scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.core = torch.nn.Parameter(weight.new_zeros(tuple(ranks)))
        # Kaiming's normal numbers with a slope of sqrt(3), as in the authors' code.
        factors = (
            torch.nn.init.kaiming_normal_(weight.new_empty(size, rank), a=math.sqrt(3))
            for size, rank in zip(weight.shape, ranks, strict=True)
        )
        self.factors = torch.nn.ParameterList(factors)

    @property
    def update(self) -> Tensor:
        change: Tensor = self.core
        for dimension, factor in enumerate(self.factors):
            change = torch.tensordot(factor, change, dims=([1], [dimension])).movedim(0, dimension)
        return self.scale * change

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.update


class MatrixUpdate(torch.nn.Module):
    """A weight plus `scale B A`, LoRA (Hu et al. 2021, equation 3); B starts at zero.

    A kernel is laid out as a matrix: the first of its dimensions beside the output channels, the others beside those
    of the input; a kernel of one dimension beside the input.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.shape = tuple(weight.shape)
        rows, columns = matrix_shape(self.shape)
        self.right = torch.nn.Parameter(torch.nn.init.kaiming_uniform_(weight.new_empty(rank, columns), a=math.sqrt(5)))
        self.left = torch.nn.Parameter(weight.new_zeros(rows, rank))

    @property
    def update(self) -> Tensor:
        return self.scale * from_matrix(self.left @ self.right, self.shape)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.update


Update = TuckerUpdate | MatrixUpdate


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a weight `(out, in, *kernel)` laid out as a matrix."""
    out, into, *kernel = shape
    beside = kernel[0] if len(kernel) > 1 else 1
    return out * beside, into * math.prod(kernel) // beside


def from_matrix(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """The weight of a matrix of `matrix_shape`."""
    out, into, *kernel = shape
    if len(kernel) < 2:
        return matrix.reshape(tuple(shape))
    return matrix.reshape(out, kernel[0], into, *kernel[1:]).movedim(1, 2)


def update_of(name: str, weight: Tensor, kind: str, rank: Rank, scale: float) -> Update:
    """The update of a weight, which starts at zero; see `adapt`."""
    shape = tuple(weight.shape)
    if kind == "matrix":
        if not isinstance(rank, int):
            raise InputError(f"{name}: the update of a matrix has one rank, got {rank!r}")
        check_rank(name, (rank,), (min(matrix_shape(shape)),))
        return MatrixUpdate(weight, rank, scale)
    ranks = (rank, rank, *shape[2:]) if isinstance(rank, int) else tuple(rank)
    check_rank(name, ranks, shape)
    return TuckerUpdate(weight, ranks, scale)


def check_rank(name: str, ranks: Sequence[int], most: Sequence[int]) -> None:
    """Raises `InputError` that names the weight: each rank must lie between one and what its dimension allows."""
    if len(ranks) != len(most):
        raise InputError(f"{name} has {len(most)} dimensions, and {len(ranks)} ranks are given: {tuple(ranks)}")
    for r, size in zip(ranks, most, strict=True):
        if isinstance(r, bool) or not isinstance(r, int) or not 1 <= r <= size:
            raise InputError(f"{name}: ranks must be whole numbers from 1 to {tuple(most)}, got {tuple(ranks)}")
