"""Stability of steady states: against eigenvalues that are known."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError, MissingPackageError


def test_of_two_stable_states_and_one_between(engine: str) -> None:
    # dx/dt = k (x - x^3): the slope at 0 is k, at -1 and 1 it is -2 k.
    model = dg.Model(
        name="Two wells",
        graph=dg.single_cell(),
        states=(dg.State("x", "1", "x", default=0.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", default=0.5),),
        source=lambda cell, forcing: {"x": cell.k * (cell.x - cell.x**3)},
    )
    found = dg.steady(model, initial={"x": torch.tensor([[0.01], [0.9], [-1.1]])}, engine=engine)
    torch.testing.assert_close(found.states["x"][:, 0], torch.tensor([0.0, 1.0, -1.0]))
    torch.testing.assert_close(found.growth, torch.tensor([0.5, -1.0, -1.0]))
    assert found.stable.tolist() == [False, True, True]
    alone = dg.steady(model, {"k": 2.0}, initial={"x": 0.01}, engine=engine)
    assert alone.growth.shape == ()
    assert abs(alone.growth - 2.0) < 1e-9
    assert not alone.stable
    column = dg.models.RichardsColumn(depth=1.0, cells=4, top="flux", bottom="free_drainage")
    again = dg.steady(column, forcing={"flux": 1e-3}, initial={"theta": 0.2}, engine=engine)
    assert again.stable
    again = pickle.loads(pickle.dumps(again))
    assert again.states["theta"].shape == (4,)
    with pytest.raises(InputError, match="pickled"):
        assert again.stable


def brusselator(cells: int) -> dg.Model:
    """Prigogine and Lefever 1968: steady at (a, b / a); the uniform oscillation there grows at (b - 1 - a^2) / 2."""
    return dg.Model(
        name="Brusselator",
        graph=dg.raster((1, cells), (1.0, 1.0)),
        states=(dg.State("u", "1", "one", default=1.0), dg.State("v", "1", "other", default=1.0)),
        parameters=(dg.Parameter("a", "1", "feed", 1.0), dg.Parameter("b", "1", "other feed", 2.0)),
        source=lambda cell, forcing: {
            "u": cell.a - (cell.b + 1) * cell.u + cell.u**2 * cell.v,
            "v": cell.b * cell.u - cell.u**2 * cell.v,
        },
        flux=lambda left, right, face: {"u": 0.5 * (left.u - right.u), "v": 0.5 * (left.v - right.v)},
    )


@pytest.mark.parametrize("cells", [1, 40])
def test_oscillations_that_grow_are_seen(cells: int) -> None:
    a = 1.2
    for b, stable in ((1.9, True), (2.9, False)):
        start = {"u": a + 0.01, "v": b / a + 0.01}
        found = dg.steady(brusselator(cells), {"a": a, "b": b}, initial=start, engine="sundials")
        torch.testing.assert_close(found.growth.item(), (b - 1 - a**2) / 2, rtol=1e-5, atol=0)
        assert found.stable.item() is stable


def test_one_fast_growth_among_many_slow_changes() -> None:
    # x' = r x - x^3 in each cell by itself: at 0 the slopes are the rates, of which most are close to nothing.
    rates = torch.linspace(-0.01, 0.01, 1200, dtype=torch.float64)
    rates[700] = 3.0
    model = dg.Model(
        name="Alone",
        graph=dg.raster((1, 1200), (1.0, 1.0)),
        states=(dg.State("store", "1", "what grows", default=0.0),),
        parameters=(dg.Parameter("r", "d-1", "rate", on="cell"),),
        source=lambda cell, forcing: {"store": cell.r * cell.store - cell.store**3},
    )
    found = dg.steady(model, {"r": rates}, initial={"store": 0.0}, engine="sundials")
    torch.testing.assert_close(found.growth.item(), 3.0, rtol=1e-8, atol=0)
    assert not found.stable


@pytest.mark.parametrize("cells", [60, 1200])
def test_the_slowest_decay_of_diffusion(cells: int, engine: str) -> None:
    # Between two walls half a cell away the modes of the discrete Laplacian are sines, the slowest with half a wave.
    def wall(cell: Any, forcing: Any, face: Any) -> dict[str, Any]:
        return {"heat": -2 * cell.heat}

    model = dg.Model(
        name="Rod",
        graph=dg.raster((1, cells), (1.0, 1.0)),
        states=(dg.State("heat", "J", "heat", default=1.0),),
        flux=lambda left, right, face: {"heat": left.heat - right.heat},
        boundaries=(dg.Boundary("west", (0,), wall), dg.Boundary("east", (cells - 1,), wall)),
    )
    found = dg.steady(model, engine=engine)
    torch.testing.assert_close(found.growth.item(), -4 * np.sin(np.pi / (2 * cells)) ** 2, rtol=1e-6, atol=0)
    assert found.stable


def test_one_of_many_that_oscillates_is_seen() -> None:
    # Each cell is a pair whose eigenvalues are k - 2i and k + 2i.
    cells = 600
    model = dg.Model(
        name="Pairs",
        graph=dg.raster((1, cells), (1.0, 1.0)),
        states=(dg.State("u", "1", "one", default=1.0), dg.State("v", "1", "other", default=1.0)),
        parameters=(dg.Parameter("k", "d-1", "growth"),),
        source=lambda cell, forcing: {"u": cell.k * cell.u - 2 * cell.v, "v": 2 * cell.u + cell.k * cell.v},
    )
    k = -1 - torch.rand(cells, generator=torch.Generator().manual_seed(0))
    assert dg.steady(model, {"k": k}, engine="sundials").growth < -1
    k[77] = 0.5
    found = dg.steady(model, {"k": k}, engine="sundials")
    torch.testing.assert_close(found.growth.item(), 0.5, rtol=1e-6, atol=0)
    assert not found.stable


def test_failed_members_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    model = dg.Model(
        name="Rising",
        graph=dg.single_cell(),
        states=(dg.State("x", "1", "x", default=1.0),),
        parameters=(dg.Parameter("c", "1", "constant"),),
        source=lambda cell, forcing: {"x": cell.c - cell.x**2},
    )
    found = dg.steady(model, {"c": torch.tensor([[4.0], [-1.0]])}, engine="sundials", throw=False)
    assert found.growth[1].isnan()
    torch.testing.assert_close(found.growth[0].item(), -4.0)
    assert found.stable.tolist() == [True, False]
    many = dg.steady(brusselator(600), {"a": 1.0, "b": 1.5}, initial={"v": 1.5}, engine="sundials")
    monkeypatch.setitem(__import__("sys").modules, "scipy.sparse", None)
    with pytest.raises(MissingPackageError, match="1200 states needs SciPy"):
        assert many.stable
