"""Random maps from a few numbers to all weights of a network, with directions of length one over all its tensors jointly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

PROJECTIONS = ("dense", "sparse", "fastfood")
# Hadamard transforms are made of products with matrices of this size at most.
BLOCK = 64
# Directions of a sparse projection that are drawn together.
AT_ONCE = 64


class Projection(Protocol):
    """A linear map, fixed once it is made."""

    def apply(self, v: Tensor) -> Tensor:
        """`(d,)` to `(D,)`, differentiable."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """Directions with normally distributed entries; keeps `D d` numbers. columns: `(D, d)`."""

    columns: Tensor

    def apply(self, v: Tensor) -> Tensor:
        return self.columns.to(v) @ v


@dataclass(frozen=True, eq=False)
class Sparse:
    """Few entries of either sign in each direction (Achlioptas 2003; Li, Hastie and Church 2006).

    Attributes:
        row, column: of each entry, `(entries,)`. values: likewise. count: rows.
    """

    row: Tensor
    column: Tensor
    values: Tensor
    count: int

    def apply(self, v: Tensor) -> Tensor:
        row, column = self.row.to(v.device), self.column.to(v.device)
        return v.new_zeros(self.count).index_add(0, row, self.values.to(v) * v[column])


@dataclass(frozen=True, eq=False)
class Fastfood:
    """Signs, Hadamard transform, permutation, normal numbers and another transform (Le, Sarlos and Smola 2013, ICML).

    Keeps `3 L` numbers, where L is the power of two at or above the number of weights, whatever d is. Directions have
    length one in the mean only, within a few parts in a thousand.
    """

    signs: Tensor
    order: Tensor
    normal: Tensor
    count: int

    def apply(self, v: Tensor) -> Tensor:
        length, normal = len(self.signs), self.normal.to(v)
        padded = torch.cat([v, v.new_zeros(length - len(v))]) * self.signs.to(v)
        mixed = hadamard(padded)[self.order.to(v.device)] * normal
        scale = torch.sqrt(length * (normal**2).sum() * self.count / length)
        return hadamard(mixed)[: self.count] / scale


def random_projection(kind: str, sizes: Sequence[int], dimension: int, seed: int) -> Projection:
    """A random projection onto tensors of these sizes; the seed alone decides it.

    Source: Li, Farkhoor, Liu and Yosinski 2018, Measuring the Intrinsic Dimension of Objective Landscapes, ICLR, section
    2 and supplement S7: directions are normalised over all tensors jointly.
    """
    random, count = torch.Generator().manual_seed(seed), sum(sizes)
    if kind == "dense":
        columns = torch.randn(count, dimension, generator=random)
        return Dense(columns / columns.norm(dim=0))
    if kind == "sparse":
        return _sparse(sizes, dimension, random)
    length = 2 ** max(math.ceil(math.log2(max(count, dimension))), 0)
    signs = torch.randint(2, (length,), generator=random) * 2.0 - 1.0
    return Fastfood(
        signs,
        torch.randperm(length, generator=random),
        torch.randn(length, generator=random, dtype=torch.float64),
        count,
    )


def _sparse(sizes: Sequence[int], dimension: int, random: torch.Generator) -> Sparse:
    rows, columns, values, first = list[Tensor](), list[Tensor](), list[Tensor](), 0
    for size in sizes:
        # An entry differs from zero with probability 1 / sqrt(size); its square is 1 in the mean.
        density = 1 / math.sqrt(size)
        for start in range(0, dimension, AT_ONCE):
            some = min(AT_ONCE, dimension - start)
            chosen = torch.nonzero(torch.rand(size, some, generator=random) < density)
            rows.append(first + chosen[:, 0])
            columns.append(start + chosen[:, 1])
            sign = torch.randint(2, (len(chosen),), generator=random) * 2.0 - 1.0
            values.append(sign.double() / math.sqrt(density))
        first += size
    row, column, value = torch.cat(rows), torch.cat(columns), torch.cat(values)
    norm = torch.zeros(dimension, dtype=torch.float64).index_add(0, column, value**2).sqrt()
    return Sparse(row, column, value / norm.clamp(min=1e-300)[column], first)


def hadamard(x: Tensor) -> Tensor:
    """The Walsh-Hadamard transform of `(2^k,)`, not normalised: it is its own inverse but for a factor of `2^k`."""
    bits, sizes = len(x).bit_length() - 1, list[int]()
    while bits:
        step = min(bits, BLOCK.bit_length() - 1)
        sizes.append(2**step)
        bits -= step
    shaped = x.reshape(*sizes, 1)
    for axis, size in enumerate(sizes):
        shaped = torch.tensordot(_matrix(size).to(x), shaped, dims=([1], [axis])).movedim(0, axis)
    return shaped.reshape(-1)


def _matrix(size: int) -> Tensor:
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), matrix)
    return matrix
