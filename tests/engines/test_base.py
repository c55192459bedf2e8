"""What every engine reports of a solve."""

from __future__ import annotations

import pytest
import torch
from decays import RESERVOIR, TIGHT

import pydiffgeo as dg
from pydiffgeo.engines.base import Stats


@pytest.mark.parametrize("differentiated", [False, True])
def test_statistics_have_the_same_keys_in_all_engines(differentiated: bool, engine: str) -> None:
    k = torch.tensor([[0.2], [0.7]], requires_grad=differentiated)
    solution = dg.solve(RESERVOIR, {"k": k}, times=[0.0, 0.5, 2.0], engine=engine, **TIGHT)
    if differentiated:
        left_over = solution.states["water"].sum()
        left_over.backward(retain_graph=True)
        once = solution.stats["backward_seconds"]
        left_over.backward()
        assert solution.stats["backward_seconds"] > once > 0
    stats = solution.stats
    assert {*stats} == {*Stats.__annotations__}
    assert {*solution.select([0]).stats} == {*Stats.__annotations__}
    assert (stats["engine"], stats["why"], stats["rtol"], stats["atol"]) == (engine, "asked for", 1e-9, 1e-11)
    assert stats["fallbacks"] == stats["adjoint_fallbacks"] == stats["tangent_fallbacks"] == {}
    for name in ("steps", "rejections"):
        assert stats[name] is None or len(stats[name]) == 2
    assert (stats["backward_seconds"] > 0) is differentiated
    assert stats["forward_seconds"] > 0
