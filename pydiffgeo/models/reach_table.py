"""Reaches of a river from a table: what a river needs to know of them, and reaches that are cut into shorter ones."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import AnyArray
from ..checks import is_number, shown
from ..errors import ModelError
from ..model import Graph, network
from ..model.reaches import DOWNSTREAM, ID, DiGraph, Table

NEEDED = ("length", "slope")


def columns_of(reaches: Table | DiGraph | Graph) -> Table | DiGraph | Graph:
    """Columns of a table as lists, which are known again by their entries; all else as it is."""
    if isinstance(reaches, Graph) or hasattr(reaches, "is_directed") or not hasattr(reaches, "keys"):
        return reaches
    columns: dict[str, ArrayLike] = {}
    for name in reaches.keys():  # noqa: SIM118, a DataFrame has columns
        columns[name] = np.asarray(reaches[name]).tolist()
    return columns


def river_graph(reaches: Table | DiGraph | Graph) -> Graph:
    """A network whose cells have `length` (m), `slope` (1) and `outlet` (1 at outlets), and its faces slope and distance.

    Raises:
        ModelError: a column is not there, a length is not positive, or a slope is negative; names it.
    """
    graph = reaches if isinstance(reaches, Graph) else network(reaches)
    for name in NEEDED:
        if name not in graph.cell:
            raise ModelError(f"River: reaches need a {name!r}; they have {sorted(graph.cell)}")
    length, slope = (graph.cell[name] for name in NEEDED)
    for name, wrong, wanted in (("length", length <= 0, "positive"), ("slope", slope <= 0, "positive")):
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            label = at if graph.labels is None else graph.labels[at]
            raise ModelError(f"River: {name} of reach {label!r} is {graph.cell[name][at]:g}, and must be {wanted}")
    left, right = graph.faces[:, 0], graph.faces[:, 1]
    if len(np.unique(left)) != len(left):
        twice = int(left[np.flatnonzero(np.bincount(left, minlength=graph.cells)[left] > 1)[0]])
        label = twice if graph.labels is None else graph.labels[twice]
        raise ModelError(f"River: reach {label!r} flows into more than one; a river joins, and does not part")
    outlet = np.zeros(graph.cells)
    outlet[list(graph.outlets)] = 1.0
    # Of the way between the middles of two reaches.
    distance = 0.5 * (length[left] + length[right])
    fall = 0.5 * (length * slope)[left] + 0.5 * (length * slope)[right]
    return Graph(
        graph.cells,
        graph.faces,
        {**graph.cell, "volume": 1.0, "outlet": outlet},
        {**graph.face, "area": 1.0, "distance": distance, "fall": fall / distance},
        graph.coordinates,
        labels=graph.labels,
    )


def depth_of_network(graph: Graph) -> int:
    """How many reaches the longest way to an outlet has."""
    below = dict(map(tuple, graph.faces.tolist()))
    most: dict[int, int] = {}

    for start in range(graph.cells):
        way = [start]
        while way[-1] in below and way[-1] not in most:
            way.append(below[way[-1]])
        for cell in reversed(way):
            most.setdefault(cell, 1 + most[below[cell]] if cell in below else 1)
    return max(most.values())


def divided(
    reaches: Mapping[str, ArrayLike], longest: float, *, shared: tuple[str, ...] = ()
) -> dict[str, AnyArray | list[Hashable]]:
    """The table of reaches with each cut into equal parts of at most `longest` metres.

    A part is called `id/number`, from upstream on from 1: where reach `"B"` has two, its gauge is at `"B/2"`.
    Length is divided, and so are the columns `shared`, such as areas; the others are copied. A reach of a length of
    Q / (B S c) diffuses as it should by itself (Kalinin and Milyukov 1957): shorter ones are sharper than that, where
    the routing has no diffusion of its own.

    Raises:
        ModelError: `longest` is not positive, or a column is not there.
    """
    if not (is_number(longest) and longest > 0):
        raise ModelError(f"divided: longest must be positive, got {shown(longest)}")
    for name in (ID, DOWNSTREAM, "length", *shared):
        if name not in reaches:
            raise ModelError(f"divided: the table of reaches has no column {name!r}; it has {[*reaches]}")
    columns = {name: np.asarray(values) for name, values in reaches.items()}
    parts = np.maximum(np.ceil(columns["length"] / longest).astype(int), 1)
    ids, into = columns[ID].tolist(), columns[DOWNSTREAM].tolist()
    known = set(ids)
    labels, downstream = list[Hashable](), list[Hashable]()
    for label, below, count in zip(ids, into, parts, strict=True):
        labels += [f"{label}/{k}" for k in range(1, count + 1)]
        downstream += [f"{label}/{k}" for k in range(2, count + 1)] + [f"{below}/1" if below in known else None]
    table: dict[str, AnyArray | list[Hashable]] = {ID: labels, DOWNSTREAM: downstream}
    for name, values in columns.items():
        if name not in (ID, DOWNSTREAM):
            share = parts if name == "length" or name in shared else 1
            table[name] = np.repeat(values / share if name == "length" or name in shared else values, parts)
    return table
