"""Graphs and models: what their constructors make, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from case_models import aquifer
from cases import CASES

import pydiffgeo as dg
from pydiffgeo.errors import ModelError


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
        "state": toy.all_states,
        "parameter": toy.parameters,
        "forcing": toy.forcings,
        "flux": toy.fluxes,
        "output": toy.outputs,
    }
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
