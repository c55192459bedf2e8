"""A solve goes on from where another ended."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pydiffgeo as dg

DAYS = np.arange(21.0)
RAIN = torch.from_numpy(np.random.default_rng(1).gamma(0.4, 9.0, 20))
WEATHER = {"precipitation": RAIN, "temperature": 4.0, "daylength": 12.0}


def run(days: slice, initial: dict[str, object], engine: str, f: torch.Tensor | float = 0.05) -> dg.Solution:
    times = DAYS[days.start : days.stop + 1]
    forcing = {**WEATHER, "precipitation": RAIN[days]}
    return dg.solve(
        dg.models.ExpHydro(), {"f": f}, forcing=forcing, times=times, initial=initial, engine=engine, rtol=1e-8
    )  # type: ignore[arg-type]


def test_two_halves_are_the_whole(engine: str) -> None:
    start = {"snow_storage": 0.0, "water_storage": 200.0}
    whole, first = run(slice(0, 20), start, engine), run(slice(0, 10), start, engine)
    second = run(slice(10, 20), dict(first.end), engine)
    for name, values in whole.states.items():
        torch.testing.assert_close(second.states[name], values[10:], rtol=1e-7, atol=1e-6)


def test_gradients_go_through_a_restart(engine: str) -> None:
    start = {"snow_storage": 0.0, "water_storage": 200.0}
    gradients = []
    for halves in (False, True):
        f = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
        if halves:
            last = run(slice(10, 20), dict(run(slice(0, 10), start, engine, f).end), engine, f)
        else:
            last = run(slice(0, 20), start, engine, f)
        last.states["water_storage"][-1].sum().backward()
        gradients.append(f.grad.item())
    assert gradients[1] == pytest.approx(gradients[0], rel=1e-5)


@pytest.mark.parametrize("left", [-1e-23, -5e-8])
def test_a_store_that_ran_dry_within_the_tolerance_may_begin(left: float, engine: str) -> None:
    sol = run(slice(0, 3), {"snow_storage": left, "water_storage": 200.0}, engine)
    assert sol.ok


def test_a_store_that_is_below_its_range_may_not() -> None:
    with pytest.raises(dg.errors.BoundsError, match="snow_storage"):
        run(slice(0, 3), {"snow_storage": -1e-3, "water_storage": 200.0}, "sundials")
