"""Time axes of forcings that carry rounding errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from one_state import one_state

import pydiffgeo as dg
from pydiffgeo.errors import TimeError
from pydiffgeo.model import align

STORE = one_state(
    lambda cell, forcing: {"y": forcing.u + forcing.w - cell.y},
    start=1.0,
    forcings=(dg.ForcingVariable("u", "1", "u"), dg.ForcingVariable("w", "1", "w", default=0.0)),
)
SUMS = np.concatenate([[0.0], np.cumsum([0.1] * 10)])


def end(engine: str, times: object = (0.0, 1.0), **forcing: object) -> dg.Solution:
    return dg.solve(STORE, forcing=forcing, times=times, engine=engine, rtol=1e-9, atol=1e-11)


def test_an_axis_of_summed_steps_covers_the_time_it_means(engine: str) -> None:
    assert SUMS[-1] < 1.0
    rain = torch.linspace(0, 1, 10, dtype=torch.float64, requires_grad=True)
    solution = end(engine, u=dg.TimeSeries(SUMS, rain))
    solution.states["y"][-1].sum().backward()
    # The exact solution carries the value of each interval on with exp(-t); its weight is what is left at the end.
    decay = math.exp(-0.1)
    weights = torch.tensor([(1 - decay) * decay ** (9 - k) for k in range(10)], dtype=torch.float64)
    expected = math.exp(-1) + float(weights @ rain.detach())
    assert solution.states["y"][-1].item() == pytest.approx(expected, rel=1e-7)
    torch.testing.assert_close(rain.grad, weights, rtol=1e-6, atol=1e-9)


def test_breaks_that_differ_by_rounding_are_one() -> None:
    # 0.1 * 3 is not 0.3, and two series may err to either side.
    times = np.arange(11) / 10
    series = {
        "u": dg.TimeSeries(SUMS, np.ones(10)),
        "w": dg.TimeSeries(np.arange(21) * 0.05 + 1e-12, np.ones(20)),
        "v": dg.TimeSeries([0.0, 0.35 - 1e-13, 1.0], [1.0, 2.0]),
    }
    aligned = align(series, times)
    assert np.array_equal(aligned["u"].times, times)
    assert np.array_equal(np.asarray(aligned["w"].times)[::2], times)
    assert np.asarray(aligned["v"].times)[1] == np.asarray(aligned["w"].times)[7]


def test_an_axis_that_really_ends_early_is_refused() -> None:
    with pytest.raises(TimeError, match=r"covers 0 to 0\.99999, but the times run from 0 to 1;"):
        end("sundials", u=dg.TimeSeries([0.0, 0.5, 0.99999], [1.0, 1.0]))
    # What differs by less than an interval but more than rounding is a break of its own.
    aligned = align({"u": dg.TimeSeries([0.0, 0.50001, 1.0], [1.0, 1.0])}, np.array([0.0, 0.5, 1.0]))
    assert np.asarray(aligned["u"].times)[1] == 0.50001
