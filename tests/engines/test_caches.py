"""What engines keep of the models they have built: as much as is said, and not longer than the model lives."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.ir import structure
from pydiffgeo.engines.registry import choose_engine
from pydiffgeo.engines.sundials import cvodes
from pydiffgeo.engines.sundials import engine as sundials


def decay(power: float) -> dg.Model:
    return dg.Model(
        name="Decay",
        graph=dg.single_cell(),
        states=(dg.State("y", "1", "y", default=1.0),),
        parameters=(dg.Parameter("k", "1", "k", 0.5),),
        source=lambda cell, forcing: {"y": -cell.k * cell.y**power},
    )


def end(model: dg.Model, k: Any = 0.5, **settings: Any) -> torch.Tensor:
    return dg.solve(model, {"k": k}, times=[0.0, 1.0], **settings).states["y"][..., -1, 0]


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Any]:
    """All that the embedded engine has built since, as far as it still exists."""
    known: weakref.WeakSet[Any] = weakref.WeakSet()
    usual = cvodes.Interval.__init__

    def noted(self: Any, *inputs: Any) -> None:
        known.add(self)
        usual(self, *inputs)

    monkeypatch.setattr(cvodes.Interval, "__init__", noted)
    return known


def test_few_tolerances_are_kept(alive: weakref.WeakSet[Any]) -> None:
    model = decay(1.1)
    values = [end(model, engine="sundials", rtol=10.0 ** (-4 - k / 8)) for k in range(3 * sundials.KEPT)]
    gc.collect()
    assert len(alive) == sundials.KEPT
    # The last ones are there still, the first is built anew, and is as good.
    before = {*alive}
    end(model, engine="sundials", rtol=10.0 ** (-4 - (3 * sundials.KEPT - 1) / 8))
    assert {*alive} == before
    assert end(model, engine="sundials", rtol=1e-4) == values[0]
    assert {*alive} != before


def test_threads_share_what_is_built(alive: weakref.WeakSet[Any]) -> None:
    model = decay(1.2)
    k = torch.linspace(0.1, 0.9, 12, dtype=torch.float64).reshape(-1, 1).requires_grad_()
    alone = k.detach().clone().requires_grad_()
    ends = end(model, k, engine="sundials", threads=6)
    ends.sum().backward()
    assert len(alive) == 1
    one_by_one = end(model, alone, engine="sundials", threads=1)
    one_by_one.sum().backward()
    assert torch.equal(ends, one_by_one)
    assert torch.equal(k.grad, alone.grad)


def test_solves_of_several_threads_at_a_time_are_right() -> None:
    model, found = decay(1.0), dict[int, float]()

    def work(i: int) -> None:
        k = torch.tensor(0.1 * (i + 1), dtype=torch.float64, requires_grad=True)
        end(model, k, engine="sundials", rtol=1e-8, atol=1e-10).backward()
        found[i] = k.grad.item()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(6):
        expected = -torch.exp(torch.tensor(-0.1 * (i + 1), dtype=torch.float64)).item()
        assert found[i] == pytest.approx(expected, rel=1e-6)


def test_what_is_built_goes_when_systems_are_no_longer_kept(engine: str) -> None:
    model = decay(1.3)
    end(model, engine=engine)
    system = weakref.ref(structure.system_of(model, _layout(model))[0])
    kept = choose_engine(engine)[0]
    kept = getattr(kept, "engine", kept)  # within what tries other methods
    cache = kept._models if engine == "julia" else kept._built
    assert system() in cache
    del model
    # Others take its place among the last few of all.
    for k in range(structure.KEPT):
        structure.system_of(other := decay(2.0 + k), _layout(other))
    gc.collect()
    assert system() is None


def _layout(model: dg.Model) -> Any:
    return structure.Layout({p.name: 1 for p in model.parameters}, still=True)
