"""Tables of reaches: what is no river, and reaches that are cut into parts."""

from __future__ import annotations

from typing import Any

import pytest
from rivers import chain

import pydiffgeo as dg
from pydiffgeo.errors import ModelError
from pydiffgeo.models.reach_table import depth_of_network, divided

ROUTINGS = ("kinematic", "diffusive", "muskingum", "muskingum_cunge")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": [1.0, -1.0, 1.0]}, "length of reach 1 is -1"),
        ({"slope": [0.0, 1e-3, 1e-3]}, "slope of reach 0 is 0"),
        ({"slope": None}, "need a 'slope'"),
    ],
)
def test_tables_that_are_no_river(change: dict[str, Any], message: str) -> None:
    table = {k: v for k, v in {**chain(3, 1.0, 1e-3), **change}.items() if v is not None}
    with pytest.raises(ModelError, match=message):
        dg.models.River(table)


def test_wrong_choices_are_named() -> None:
    table = chain(2, 1.0, 1e-3)
    with pytest.raises(ModelError, match=r"routing='muskingham' is not one of \['kinematic'"):
        dg.models.River(table, routing="muskingham")
    with pytest.raises(ModelError, match="temperature='hot'"):
        dg.models.River(table, temperature="hot")
    with pytest.raises(ModelError, match="needs a channel"):
        dg.models.River(table, routing="muskingum", temperature="weather")
    parting = dg.network(3, [(0, 1), (0, 2)])
    graph = dg.Graph(3, parting.faces, {**parting.cell, "length": 1.0, "slope": 1e-3}, parting.face)
    with pytest.raises(ModelError, match="reach 0 flows into more than one"):
        dg.models.River(graph)


def test_columns_stand_for_parameters() -> None:
    model = dg.models.River({**chain(2, 1.0, 1e-3), "width": [3.0, 4.0]})
    assert "width" not in {p.name for p in model.parameters}
    assert "width" in {p.name for p in dg.models.River(chain(2, 1.0, 1e-3)).parameters}


def test_reaches_are_cut_into_parts() -> None:
    table = {
        "id": ["a", "b"],
        "downstream": ["b", None],
        "length": [900.0, 400.0],
        "slope": [0.01, 0.02],
        "area": [9.0, 4.0],
    }
    cut = divided(table, 400.0, shared=("area",))
    assert cut["id"] == ["a/1", "a/2", "a/3", "b/1"]
    assert cut["downstream"] == ["a/2", "a/3", "b/1", None]
    assert cut["length"].tolist() == [300.0] * 3 + [400.0]
    assert cut["area"].tolist() == [3.0] * 3 + [4.0]
    assert cut["slope"].tolist() == [0.01] * 3 + [0.02]
    model = dg.models.River({k: v for k, v in cut.items() if k != "area"})
    assert model.graph.index("b/1") == 3
    assert depth_of_network(model.graph) == 4
    with pytest.raises(ModelError, match="no column 'areas'"):
        divided(table, 400.0, shared=("areas",))
    with pytest.raises(ModelError, match="longest must be positive"):
        divided(table, 0.0)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_every_river_describes_itself(routing: str) -> None:
    text = dg.models.River(chain(3, 100.0, 1e-3), routing=routing).describe()
    assert "m3 s-1" in text
    assert "discharge" in text


def test_a_river_is_made_once_for_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    table = chain(3, 100.0, 1e-3)
    assert dg.models.River(table) is dg.models.River(dict(table))
    assert dg.models.River(table) is not dg.models.River({**table, "length": [100.0, 100.0, 90.0]})
    other = dg.models.River(pandas.DataFrame({**table, "id": range(3)}))
    assert other.graph.outlets == (2,)
    assert other.graph.cell["length"].tolist() == [100.0] * 3
