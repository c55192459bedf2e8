"""Reservoirs whose outflow is a root or a power of what is left, until nothing is."""

from __future__ import annotations

import pytest
import torch

import pydiffgeo as dg


@pytest.mark.parametrize("exponent", [0.5, 0.7])
def test_a_store_runs_dry_and_stays_so(exponent: float, engine: str) -> None:
    """`S' = -k S^b` empties at `S_0^(1-b) / (k (1-b))`; before, `S^(1-b) = S_0^(1-b) - k (1-b) t`."""
    model = dg.Model(
        name="Orifice",
        graph=dg.single_cell(),
        states=(dg.State("s", "m", "store"),),
        parameters=(dg.Parameter("k", "1", "k"),),
        source=lambda cell, forcing: {"s": -cell.k * torch.clamp(cell.s, min=0.0) ** exponent},
    )
    k = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    start, left = 0.01, 1 - exponent
    empty = start**left / left
    times = [0.0, 0.5 * empty, 2 * empty, 3 * empty]
    solution = dg.solve(model, {"k": k}, initial={"s": start}, times=times, engine=engine, rtol=1e-8, atol=1e-10)
    s = solution.states["s"][:, 0]
    half = (start**left - left * times[1]) ** (1 / left)
    assert s[1].item() == pytest.approx(half, rel=1e-5)
    assert s[2:].abs().max() < 1e-8
    (slope,) = torch.autograd.grad(s[1], k)
    # d/dk of the solution: -t S^b, since S^(1-b) falls with k (1-b) t.
    assert slope.item() == pytest.approx(-times[1] * half**exponent, rel=1e-4)
