"""Networks from edges, tables and networkx: names, geometry, and what is refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydiffgeo as dg
from pydiffgeo.errors import ModelError, UnknownNameError

NAN = float("nan")
REACHES = {
    "id": ["outlet", "left", "right", "spring"],
    "downstream": [None, "outlet", "outlet", "left"],
    "length": [400.0, 300.0, 200.0, 100.0],
    "slope": [0.01, 0.02, 0.03, 0.04],
    "x": [0, 1, 2, 3],
}


def same(graph: dg.Graph) -> None:
    assert graph.labels == ("outlet", "left", "right", "spring")
    assert graph.faces.tolist() == [[1, 0], [2, 0], [3, 1]]
    assert graph.cell["length"].tolist() == [400, 300, 200, 100]
    assert graph.cell["slope"].tolist() == [0.01, 0.02, 0.03, 0.04]
    assert graph.cell["volume"].tolist() == [1, 1, 1, 1]
    assert graph.coordinates["x"].tolist() == [0, 1, 2, 3]
    assert graph.face["area"].tolist() == [1, 1, 1]
    assert graph.outlets == (0,)
    assert [graph.index(label) for label in graph.labels] == [0, 1, 2, 3]


def test_a_table_of_reaches() -> None:
    graph = dg.network(REACHES)
    same(graph)
    same(pickle.loads(pickle.dumps(graph)))
    wide = dg.network(REACHES, volume=[4.0, 3.0, 2.0, 1.0], lag=[1.0, 2.0, 3.0])
    assert wide.cell["volume"].tolist() == [4, 3, 2, 1]
    assert wide.face["lag"].tolist() == [1, 2, 3]


def test_a_table_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    same(dg.network(pandas.DataFrame(REACHES)))
    text = pandas.DataFrame(REACHES).astype({"id": "string", "downstream": "string"})
    same(dg.network(text))


@pytest.mark.parametrize("nothing", [0, None, NAN])
def test_numbers_as_names(nothing: Any) -> None:
    # With something missing among them pandas and NumPy read whole numbers as floats.
    graph = dg.network({"id": np.array([7, 12, 30]), "downstream": [12, nothing, 12], "volume": [1.0, 2.0, 3.0]})
    assert graph.labels == (7, 12, 30)
    assert graph.faces.tolist() == [[0, 1], [2, 1]]
    assert graph.cell["volume"].tolist() == [1, 2, 3]
    assert dg.network({"id": [7, 12], "downstream": np.array([12.0, np.nan])}).faces.tolist() == [[0, 1]]
    # A reach that is called 0 is one.
    assert dg.network({"id": [0, 1], "downstream": [None, 0]}).faces.tolist() == [[1, 0]]


def test_a_graph_of_networkx() -> None:
    networkx = pytest.importorskip("networkx")
    given = networkx.DiGraph()
    for i, name in enumerate(REACHES["id"]):
        given.add_node(name, **{k: REACHES[k][i] for k in ("length", "slope", "x")})
    given.add_edge("left", "outlet", lag=1.0)
    given.add_edge("right", "outlet", lag=2.0)
    given.add_edge("spring", "left", lag=3.0)
    graph = dg.network(given)
    same(graph)
    assert graph.face["lag"].tolist() == [1, 2, 3]
    with pytest.raises(ModelError, match="directed"):
        dg.network(given.to_undirected())
    del given.nodes["right"]["slope"]
    with pytest.raises(ModelError, match="node 'right' has no attribute 'slope'"):
        dg.network(given)
    given.nodes["right"]["slope"] = "steep"
    with pytest.raises(ModelError, match="'slope' of node 'right' must be a finite number, got 'steep'"):
        dg.network(given)
    given.nodes["right"]["slope"] = 0.03
    given.add_edge("outlet", "spring", lag=1.0)
    with pytest.raises(ModelError, match=r"in a cycle: .*'outlet'.*'spring'"):
        dg.network(given)


def test_networkx_is_not_imported_for_others() -> None:
    code = f"import sys, pydiffgeo as dg; dg.network({REACHES!r}); dg.network(2, [(0, 1)]); print('networkx' in sys.modules)"
    # PyTorch may import it by itself; what matters is that it is none of ours.
    code = f"import sys; sys.modules['networkx'] = None; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"downstream": [None, "outlet", "outlet", "lefd"]}, ["'spring'", "'lefd'", "no id"]),
        ({"downstream": ["spring", "outlet", "outlet", "left"]}, ["cycle", "'spring' -> 'left' -> 'outlet'"]),
        ({"downstream": [None, "left", "outlet", "left"]}, ["cycle", "'left' -> 'left'"]),
        ({"id": ["outlet", "left", "left", "spring"]}, ["'left' more than once"]),
        ({"id": ["outlet", None, "right", "spring"]}, ["row 1", "no id"]),
        ({"length": [400.0, NAN, 200.0, 100.0]}, ["'length'", "'left'", "nan"]),
        ({"name": ["a", "b", "c", "d"]}, ["'name'", "'outlet'", "'a'", "leave out"]),
        ({"bed slope": [1.0] * 4}, ["'bed slope'", "rename"]),
        ({"length": [1.0, 2.0]}, ["4 ids", "2 values of 'length'"]),
        ({"length": 3.0}, ["'length'", "series"]),
        ({"id": [[1], [2], [3], [4]]}, ["'id'", "series"]),
        ({"volume": [1.0, 0.0, 1.0, 1.0]}, ["cell.volume", "positive"]),
    ],
)
def test_tables_that_make_no_sense(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        dg.network(REACHES | changes)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: dg.network({"id": [1, 2]}), ["'downstream'", "['id']"]),
        (lambda: dg.network(3), ["edges"]),
        (lambda: dg.network(REACHES, [(0, 1)]), ["cells must be a whole number"]),
        (lambda: dg.network("x"), ["cells", "'x'"]),
        (lambda: dg.network({"id": [], "downstream": []}), ["at least one cell"]),
    ],
)
def test_networks_that_make_no_sense(make: Callable[[], dg.Graph], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_names_that_are_not_there() -> None:
    with pytest.raises(UnknownNameError, match="'lefft'; did you mean left"):
        dg.network(REACHES).index("lefft")
    with pytest.raises(UnknownNameError, match="have no names"):
        dg.column(1.0, 2).index("a")
