"""Directed networks: from edges, from a graph of networkx, or from a table of reaches."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..checks import is_number, is_whole, shown
from ..errors import ModelError
from .graph import Graph, face_pairs

# Columns of a table of reaches that are no geometry, and those that are coordinates as well.
ID, DOWNSTREAM = "id", "downstream"
PLACES = ("x", "y", "z")


class Table(Protocol):
    """A table of pandas, or a mapping of columns."""

    def __getitem__(self, name: str, /) -> ArrayLike: ...

    def keys(self) -> Iterable[str]: ...


class DiGraph(Protocol):
    """A directed graph of networkx, which is not imported for this."""

    def is_directed(self) -> bool: ...

    def nodes(self, data: bool) -> Iterable[tuple[Hashable, Mapping[str, float]]]: ...

    def edges(self, data: bool) -> Iterable[tuple[Hashable, Hashable, Mapping[str, float]]]: ...


def network(
    cells: int | Table | DiGraph,
    edges: Sequence[tuple[int, int]] | None = None,
    volume: ArrayLike | None = None,
    **geometry: ArrayLike,
) -> Graph:
    """A directed network: each edge is a face that carries flux downstream.

    Args:
        cells: one of
            the number of cells, with `edges`;
            a directed graph of networkx: its nodes are the cells, attributes of nodes and edges become their geometry;
            a table of reaches (a pandas DataFrame, or a mapping of arrays) with the columns `id` and `downstream`, the
            id of the reach that each flows into: missing, None or 0 at outlets (0 only where no reach is called so).
            Its other columns become geometry of the cells: `length`, `slope`, ...; `x`, `y` and `z` are coordinates too.
        edges: pairs `(from, to)` of numbers of cells.
        volume: of the cells: one number or `(cells,)`; where not given, the attribute or column `volume`, or 1.
        geometry: further values of the edges, name -> one number or `(edges,)`. Edges of a table are in the order of
            its rows, outlets left out. `area` is 1 where it is not given.

    Cells of graphs and tables keep their order and their names, `Graph.labels`: `graph.index("B")` is the number of the
    cell "B", and `graph.outlets` are the numbers of those that flow nowhere.

    Raises:
        ModelError: an argument does not fit, a graph or a table has a cycle, names a reach twice, flows into one that is
            not there, or lacks a value; names it.
    """
    if edges is None and _is_digraph(cells):
        labels, pairs, of_cells, of_edges = _of_digraph(cells)
    elif edges is None and _is_table(cells):
        labels, pairs, of_cells, of_edges = _of_table(cells)
    elif is_whole(cells, 1) and edges is not None:
        return Graph(cells, face_pairs(edges), {"volume": 1.0 if volume is None else volume}, {"area": 1.0, **geometry})
    elif is_whole(cells, 1):
        raise ModelError("edges, the pairs (from, to) of cells that a face joins, must be given with a number of cells")
    else:
        other = "with edges" if edges is not None else "a table of reaches or a networkx.DiGraph"
        raise ModelError(f"cells must be a whole number of at least 1, {other}, got {shown(cells)}")
    number = {label: i for i, label in enumerate(labels)}
    _check_cycles(pairs)
    if volume is not None:
        of_cells["volume"] = volume
    return Graph(
        len(labels),
        [(number[a], number[b]) for a, b in pairs],
        {"volume": 1.0, **of_cells},
        {"area": 1.0, **of_edges, **geometry},
        {name: np.asarray(of_cells[name], np.float64) for name in PLACES if name in of_cells},
        labels=labels,
    )


# Names of cells, pairs of names, and geometry of cells and of edges.
_Parts = tuple[list[Hashable], list[tuple[Hashable, Hashable]], dict[str, ArrayLike], dict[str, ArrayLike]]


def _is_digraph(value: object) -> TypeGuard[DiGraph]:
    return any(kind.__module__.split(".")[0] == "networkx" for kind in type(value).__mro__)


def _is_table(value: object) -> TypeGuard[Table]:
    return isinstance(value, Mapping) or type(value).__name__ == "DataFrame"


def _of_digraph(graph: DiGraph) -> _Parts:
    if not graph.is_directed():
        raise ModelError(f"cells must be a directed graph, networkx.DiGraph, got {graph!r}, which has no directions")
    nodes, edges = [*graph.nodes(data=True)], [*graph.edges(data=True)]
    of_cells = _attributes("node", [(repr(n), held) for n, held in nodes])
    of_edges = _attributes("edge", [(f"{a!r} -> {b!r}", held) for a, b, held in edges])
    return [n for n, _ in nodes], [(a, b) for a, b, _ in edges], of_cells, of_edges


def _attributes(what: str, items: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, ArrayLike]:
    """Each attribute as an array; raises unless all have it."""
    found: dict[str, ArrayLike] = {}
    for key in dict.fromkeys(key for _, held in items for key in held):
        lacking = [name for name, held in items if key not in held]
        if lacking:
            raise ModelError(f"{what} {lacking[0]} has no attribute {key!r}, which others have")
        values = [held[key] for _, held in items]
        found[key] = _geometry(f"attribute {key!r}", key, values, [f"{what} {name}" for name, _ in items])
    return found


def _of_table(table: Table) -> _Parts:
    columns = {name: _column(name, table[name]) for name in table.keys()}  # noqa: SIM118, a DataFrame has columns
    if lacking := [name for name in (ID, DOWNSTREAM) if name not in columns]:
        raise ModelError(f"a table of cells needs the column {lacking[0]!r}; it has {[*columns]}")
    labels, downstream = columns.pop(ID), columns.pop(DOWNSTREAM)
    for name, column in {DOWNSTREAM: downstream, **columns}.items():
        if len(column) != len(labels):
            raise ModelError(f"a table of cells has {len(labels)} ids, but {len(column)} values of {name!r}")
    known: set[Hashable] = set()
    for row, label in enumerate(labels):
        if _missing(label):
            raise ModelError(f"row {row} of the table of cells has no id")
        if label in known:
            raise ModelError(f"the table of cells names {label!r} more than once")
        known.add(label)
    pairs: list[tuple[Hashable, Hashable]] = []
    for label, into in zip(labels, downstream, strict=True):
        if into in known:
            # An identifier that was read as a float, beside missing ones, is the whole number that it equals.
            pairs.append((label, into))
        elif not (_missing(into) or into == 0):
            raise ModelError(f"{label!r} flows into {into!r}, which is no id of the table of cells")
    names = [repr(label) for label in labels]
    return labels, pairs, {k: _geometry(f"column {k!r}", k, v, names) for k, v in columns.items()}, {}


def _column(name: str, values: ArrayLike) -> list[Hashable]:
    """Entries of a column as they are: an array would make text of numbers that stand beside text."""
    try:
        entries = np.asarray(values, dtype=object)
        hash(tuple(entries.tolist()))
    except (TypeError, ValueError):
        entries = np.empty((0, 0), dtype=object)
    if entries.ndim != 1:
        raise ModelError(
            f"column {name!r} of a table of cells must be a series of numbers or names, got {shown(values)}"
        )
    return [*entries.tolist()]


def _missing(value: object) -> bool:
    """Whether it is what tables hold for nothing: None, NaN, `pandas.NA`, `NaT` or empty text."""
    return value is None or type(value).__name__ == "NAType" or value == "" or value != value


def _geometry(what: str, name: str, values: Sequence[object], items: Sequence[str]) -> Array:
    """Values of one name as numbers; raises, with the item that has none."""
    if not str(name).isidentifier():
        raise ModelError(f"{what} of a network is no name that local functions can read as cell.name: rename it")
    for item, value in zip(items, values, strict=True):
        if not is_number(value):
            raise ModelError(
                f"{what} of {item} must be a finite number, got {shown(value)}; leave out what is no geometry"
            )
    return np.asarray(values, np.float64)


def _check_cycles(pairs: Sequence[tuple[Hashable, Hashable]]) -> None:
    """Raises `ModelError` where water would flow in a circle."""
    above: dict[Hashable, list[Hashable]] = {}
    for upstream, downstream in pairs:
        above.setdefault(downstream, []).append(upstream)
    try:
        TopologicalSorter(above).prepare()
    except CycleError as error:
        circle = " -> ".join(map(repr, error.args[1]))
        raise ModelError(f"cells of a network flow in a cycle: {circle}") from None
