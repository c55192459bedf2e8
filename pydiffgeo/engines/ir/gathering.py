"""Positions in the vector of values: who gets which, and kernels that gather from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from ...arrays import Array, Indices
from ...model.networks import Architecture
from .kernels import Assigning, Kernel, NetworkStage, Scatter
from .program import Program


class Values:
    """Hands out positions in the vector of values; the parts are laid out one after the other."""

    def __init__(self) -> None:
        self.size = 0
        self.constants: list[Array] = []

    def take(self, count: int) -> Indices:
        start, self.size = self.size, self.size + count
        return np.arange(start, self.size)

    def constants_of(self, geometry: Mapping[str, Array], read: Collection[str]) -> dict[str, Indices]:
        """Positions of geometry, of which only what is read has any."""
        given = {name: np.asarray(values, np.float64) for name, values in geometry.items() if name in read}
        self.constants += given.values()
        return {name: self.take(len(values)) for name, values in given.items()}


def spread(positions: Indices, count: int) -> Indices:
    return np.broadcast_to(positions, (count,)) if len(positions) == 1 else positions


def places_at(space: Mapping[str, Indices], where: Indices) -> dict[str, Indices]:
    return {k: v[where] for k, v in space.items()}


def gathered(
    program: Program, spaces: Mapping[str, Mapping[str, Indices]], scatter: Iterable[Scatter], items: int
) -> Kernel:
    rows = []
    for name in program.inputs:
        prefix, _, key = name.partition(".")
        rows.append(spaces[prefix][key])
    gather = np.array(rows, np.int64).reshape(len(rows), items)
    return Kernel(program, gather, tuple(scatter))


def called(
    values: Values,
    stages: list[Assigning],
    networks: Mapping[str, Architecture],
    weights: Mapping[str, Indices],
    program: Program,
    spaces: Mapping[str, Mapping[str, Indices]],
    items: int,
) -> Mapping[str, Mapping[str, Indices]]:
    """Adds stages for the networks that a program calls; the spaces with their outputs beside."""
    net: dict[str, Indices] = {}
    spaces = {**spaces, "net": net}
    for k, call in enumerate(program.calls):
        architecture, block = networks[call.network], weights[call.network]
        features = np.array([values.take(items) for _ in range(architecture.features)])
        scatter = tuple(Scatter(str(i), at, np.ones(items)) for i, at in enumerate(features))
        stages.append(gathered(call.features, spaces, scatter, items))
        outputs = np.array([values.take(items) for _ in range(architecture.outputs)])
        place = slice(int(block[0]), int(block[-1]) + 1)
        stages.append(NetworkStage(call.features.name, architecture, place, features, outputs))
        net |= {f"{k}.{j}": at for j, at in enumerate(outputs)}
    return spaces
