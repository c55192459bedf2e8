"""Graphs and models: what their constructors make, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CASES, aquifer

import pydiffgeo as dg
from pydiffgeo.errors import ModelError


def test_column_of_uneven_cells() -> None:
    graph = dg.column(1.0, 4, [0.1, 0.2, 0.3, 0.4])
    assert graph.cells == 4
    assert graph.faces.tolist() == [[0, 1], [1, 2], [2, 3]]
    np.testing.assert_allclose(graph.cell["volume"], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(graph.cell["thickness"], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(graph.coordinates["depth"], [0.05, 0.2, 0.45, 0.8])
    np.testing.assert_allclose(graph.face["distance"], [0.15, 0.25, 0.35])
    np.testing.assert_allclose(graph.face["area"], [1.0, 1.0, 1.0])


def test_column_of_even_cells() -> None:
    graph = dg.column(2.0, 4)
    np.testing.assert_allclose(graph.cell["thickness"], [0.5] * 4)
    np.testing.assert_allclose(graph.cell["depth"], [0.25, 0.75, 1.25, 1.75])


def test_raster_counts_row_by_row() -> None:
    graph = dg.raster((2, 3), (10.0, 4.0))
    assert graph.cells == 6
    # Cells 0 1 2 above cells 3 4 5: first the faces down the columns, then those along the rows.
    assert graph.faces.tolist() == [[0, 3], [1, 4], [2, 5], [0, 1], [1, 2], [3, 4], [4, 5]]
    np.testing.assert_allclose(graph.face["area"], [4.0] * 3 + [10.0] * 4)
    np.testing.assert_allclose(graph.face["distance"], [10.0] * 3 + [4.0] * 4)
    np.testing.assert_allclose(graph.cell["volume"], [40.0] * 6)
    np.testing.assert_allclose(graph.coordinates["y"], [5.0] * 3 + [15.0] * 3)
    np.testing.assert_allclose(graph.coordinates["x"], [2.0, 6.0, 10.0] * 2)
    # Neighbours along a face are one cell apart, and only they are.
    for (a, b), distance in zip(graph.faces, graph.face["distance"], strict=True):
        steps = [abs(graph.coordinates[k][a] - graph.coordinates[k][b]) for k in "yx"]
        assert sorted(steps) == [0.0, distance]


def test_network_and_single_cell() -> None:
    graph = dg.network(3, [(0, 2), (1, 2)], volume=[1.0, 2.0, 3.0], length=[5.0, 6.0])
    assert graph.faces.tolist() == [[0, 2], [1, 2]]
    assert graph.cell["volume"].tolist() == [1.0, 2.0, 3.0]
    assert graph.face["length"].tolist() == [5.0, 6.0]
    assert graph.face["area"].tolist() == [1.0, 1.0]
    bucket = dg.single_cell(7.0)
    assert (bucket.cells, len(bucket.faces), bucket.cell["volume"].tolist()) == (1, 0, [7.0])


def test_geometry_cannot_be_changed() -> None:
    graph = dg.column(1.0, 2)
    for values in (graph.cell["volume"], graph.face["distance"], graph.faces):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 3


def graph(cells: int, faces: Any = (), volume: Any = 1.0, area: Any = 1.0, **cell: Any) -> dg.Graph:
    return dg.Graph(cells, np.array(faces, np.int64).reshape(-1, 2), {"volume": volume, **cell}, {"area": area})


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: dg.column(0.0, 3), ["depth must be positive", "0.0"]),
        (lambda: dg.column(float("nan"), 3), ["depth must be positive", "nan"]),
        (lambda: dg.column(1.0, 0), ["cells must be at least 1", "0"]),
        (lambda: dg.column(1.0, 2, [0.5, 0.6]), ["add up to depth=1.0", "0.6"]),
        (lambda: dg.column(1.0, 2, [1.5, -0.5]), ["thickness must be positive", "-0.5"]),
        (lambda: dg.column(1.0, 2, [0.5, float("nan")]), ["thickness must be finite", "nan"]),
        (lambda: dg.raster((0, 3)), ["shape must be", "(0, 3)"]),
        (lambda: dg.raster((2, 2), (1.0, -1.0)), ["spacing must be"]),
        (lambda: dg.network(2, [(0, 2)]), ["outside 0..1"]),
        (lambda: dg.network(2, [(-1, 0)]), ["outside 0..1"]),
        (lambda: dg.network(2, [(1, 1)]), ["join two different cells"]),
        (lambda: dg.network(2, [(0, 1)], volume=[1.0, 0.0]), ["cell.volume must be given and positive"]),
        (lambda: dg.network(2, [(0, 1)], length=float("inf")), ["face.length must be finite", "inf"]),
        (lambda: graph(2, [(0, 1)], area=-1.0), ["face.area must be given and positive"]),
        (lambda: dg.Graph(1, np.empty((0, 2), np.int64), {}, {"area": 1.0}), ["cell.volume must be given"]),
        (lambda: dg.Graph(2, np.array([[0, 1]]), {"volume": 1.0}, {}), ["face.area must be given"]),
    ],
)
def test_graphs_that_make_no_sense(make: Callable[[], dg.Graph], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def still(*_: Any) -> dict[str, Any]:
    return {}


def model(**changes: Any) -> dg.Model:
    """A small model in which every name is free to clash."""
    parts: dict[str, Any] = {
        "name": "Toy",
        "graph": dg.column(1.0, 3),
        "states": (dg.State("water", "m", "stored"),),
        "parameters": (dg.Parameter("k", "d-1", "rate"), dg.Parameter("c", "1", "of faces", on="face")),
        "forcings": (dg.ForcingVariable("rain", "m d-1", "rain"),),
        "fluxes": (dg.IntegratedFlux("inflow", "m", "rain on the ground", +1),),
        "outputs": (dg.Output("level", "m", "level"),),
    }
    return dg.Model(**parts | changes)


def boundary(name: str = "base", cells: tuple[int, ...] = (2,), *states: dg.State) -> tuple[dg.Boundary, ...]:
    return (dg.Boundary(name, cells, still, states=states),)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"states": (dg.State("k", "1", ""),)}, ["'k' is both a state and a parameter"]),
        ({"states": (dg.State("water", "m", ""),) * 2}, ["'water' is both a state and a state"]),
        ({"states": (dg.State("volume", "m", ""),)}, ["'volume' is both a state and a geometry"]),
        ({"states": (dg.State("inflow", "m", ""),)}, ["'inflow' is both a state and a flux"]),
        ({"boundaries": boundary("base", (2,), dg.State("water", "m", ""))}, ["'water' is both a state and a state"]),
        ({"parameters": (dg.Parameter("depth", "m", ""),)}, ["'depth' is both a parameter and a geometry"]),
        ({"parameters": (dg.Parameter("distance", "m", "", on="face"),)}, ["'distance' is both a parameter and a geo"]),
        ({"parameters": (dg.Parameter("k", "1", ""), dg.Parameter("k", "1", "", on="face"))}, ["'k' is both"]),
        ({"forcings": (dg.ForcingVariable("rain", "m", ""),) * 2}, ["'rain' is both a forcing and a forcing"]),
        ({"outputs": (dg.Output("level", "m", ""),) * 2}, ["'level' is both"]),
        ({"states": (dg.State("two words", "m", ""),)}, ["state name 'two words' is not an identifier"]),
        ({"states": ()}, ["at least one state"]),
        ({"boundaries": boundary("river", (1, 3))}, ["boundary 'river' touches unknown cells"]),
        ({"boundaries": boundary("river", (-1,))}, ["boundary 'river' touches unknown cells"]),
        ({"boundaries": boundary("river", ())}, ["boundary 'river' touches unknown cells"]),
    ],
)
def test_models_that_contradict_themselves(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        model(**changes)
    assert str(caught.value).startswith("Toy: ")
    for part in parts:
        assert part in str(caught.value)


def test_a_name_may_return_where_it_cannot_be_confused() -> None:
    # Forcing and flux, output and state share names in the ready models; local functions keep them apart.
    toy = model(forcings=(dg.ForcingVariable("inflow", "m d-1", "rain"),), outputs=(dg.Output("water", "m", "water"),))
    assert toy.state_cells("water") == 3


def test_boundaries_and_stores() -> None:
    edge = dg.Boundary("pond", (0, 2), still, {"area": [2.0, 3.0], "slope": 0.1}, (dg.State("pond", "m", "on top"),))
    toy = model(boundaries=(edge,))
    assert edge.geometry["slope"].tolist() == [0.1, 0.1]
    assert dg.Boundary("plain", (1, 2), still).geometry["area"].tolist() == [1.0, 1.0]
    assert [s.name for s in toy.all_states] == ["water", "pond"]
    assert (toy.state_cells("water"), toy.state_cells("pond")) == (3, 2)
    weights = toy.storage_weights()
    np.testing.assert_allclose(weights["water"], [1 / 3] * 3)
    np.testing.assert_allclose(weights["pond"], [2.0, 3.0])
    unstored = model(states=(dg.State("water", "m", ""), dg.State("heat", "J", "", stored=False)))
    assert [*unstored.storage_weights()] == ["water"]


@pytest.mark.parametrize("make", [case.model for case in CASES.values()], ids=[*CASES])
def test_describe_lists_every_name(make: Callable[[], dg.Model]) -> None:
    toy = make()
    lines = toy.describe().splitlines()
    assert lines[0].startswith(toy.name)
    kinds: dict[str, tuple[Any, ...]] = {
        "state": toy.all_states, "parameter": toy.parameters, "forcing": toy.forcings, "flux": toy.fluxes,
        "output": toy.outputs,
    }  # fmt: skip
    names = [(kind, d) for kind, declared in kinds.items() for d in declared]
    more = [f"initial {n} may be given instead of a state" for n in toy.initial_names]
    more += [f"constraint {c.text}" for c in toy.constraints]
    assert [" ".join(line.split()) for line in lines[1 + len(names) :]] == more
    for (kind, declared), line in zip(names, lines[1:], strict=False):
        assert " ".join(line.split()).startswith(f"{kind} {declared.name} {declared.unit} {declared.description}")
    for p, line in zip(toy.parameters, lines[1 + len(toy.all_states) :], strict=False):
        assert p.interval in line
        assert ("required" if p.default is None else f"default {p.default:g}") in line


def test_describe_shows_bounds() -> None:
    text = aquifer().describe()
    assert "(0, 1], default 0.2" in text
    assert "(0, inf), default 10" in text
    assert "[0, inf), default 5" in model(parameters=(dg.Parameter("k", "1", "", 5.0, 0.0),)).describe()
    assert "(-inf, 2), required" in model(parameters=(dg.Parameter("k", "1", "", high=2.0, open_high=True),)).describe()


@pytest.mark.parametrize(
    ("choices", "parts"),
    [
        ({"top": "rain"}, ["top='rain'", "'atmosphere'"]),
        ({"bottom": "drain"}, ["bottom='drain'", "'free_drainage'"]),
        ({"closure": "van genuchten"}, ["closure='van genuchten'", "'van_genuchten'"]),
        ({"face_conductivity": "logarithmic"}, ["face_conductivity='logarithmic'", "'geometric'"]),
        ({"root_depth": 0.0}, ["root_depth must be positive", "0.0"]),
        ({"depth": -1.0}, ["depth must be positive", "-1.0"]),
    ],
)
def test_choices_of_the_column(choices: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        dg.models.RichardsColumn(**choices)
    for part in parts:
        assert part in str(caught.value)


def test_root_density_sums_to_one() -> None:
    column = dg.models.RichardsColumn(1.0, 4, thickness=[0.1, 0.2, 0.3, 0.4], root_depth=0.3)
    density = column.graph.cell["root_density"]
    assert (density * column.graph.cell["thickness"]).sum() == pytest.approx(1.0, rel=1e-14)
    assert density[0] / density[1] == pytest.approx(np.exp((0.2 - 0.05) / 0.3))


def test_declarations_of_the_wrong_kind_are_named() -> None:
    state = dg.State("w", "m", "water", default=1.0)
    graph = dg.single_cell()
    with pytest.raises(ModelError, match="states must be a tuple of State"):
        dg.Model(name="A", graph=graph, states=state)
    assert dg.Model(name="A", graph=graph, states=[state]).states == (state,)
    with pytest.raises(ModelError, match="on='cells'"):
        dg.Model(name="A", graph=graph, states=(state,), forcings=(dg.ForcingVariable("f", "m", "f", on="cells"),))


def test_a_flux_that_nothing_returns_is_an_error() -> None:
    model = dg.Model(
        name="A",
        graph=dg.single_cell(),
        states=(dg.State("w", "m", "water", default=1.0),),
        fluxes=(dg.IntegratedFlux("never", "m", "nothing"),),
        source=lambda cell, forcing: {"w": -cell.w},
    )
    with pytest.raises(ModelError, match="never"):
        dg.solve(model, times=[0.0, 1.0], engine="sundials")


def test_a_ready_model_is_made_once() -> None:
    column = dg.models.RichardsColumn
    assert dg.models.ExpHydro() is dg.models.ExpHydro()
    assert column(1.0, 10, top="head") is column(1.0, 10, top="head")
    assert column(1.0, 10) is not column(1.0, 11)
    # Arrays are compared by their values, and wrong arguments are refused every time.
    thickness, other = np.full(10, 0.1), np.repeat([0.05, 0.15], 5)
    assert column(1.0, 10, thickness=thickness) is column(1.0, 10, thickness=thickness.copy())
    assert column(1.0, 10, thickness=thickness) is not column(1.0, 10, thickness=other)
    for _ in range(2):
        with pytest.raises(ModelError, match="cells"):
            column(1.0, True)
