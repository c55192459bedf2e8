"""What makes gradients as accurate as asked: switches, sizes, heads; and what must not change them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg


def leaf(value: Any) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def snow_pack(**state: Any) -> dg.Model:
    """Melts at a given rate until little is left, then in proportion to what is left."""
    return dg.Model(
        name="SnowPack",
        graph=dg.single_cell(),
        states=(dg.State("snow", "mm", "snow water equivalent", **state),),
        parameters=(dg.Parameter("melt", "mm d-1", "potential melt", 3.0),),
        source=lambda cell, forcing: {"snow": -torch.minimum(cell.snow, cell.melt)},
    )


def remaining(start: float, melt: float, t: float) -> tuple[float, float, float]:
    """What is left at `t`, and its derivatives to start and melt: exact."""
    turn = start / melt - 1
    left = melt * math.exp(turn - t)
    return left, math.exp(turn - t), math.exp(turn - t) * (1 - start / melt)


@pytest.mark.parametrize("rtol", [1e-3, 1e-4, 1e-6])
def test_gradients_across_a_kink_follow_the_tolerance(engine: str, rtol: float) -> None:
    snow, melt = leaf([10.0]), leaf(3.0)
    sol = dg.solve(
        snow_pack(), {"melt": melt}, times=[0.0, 5.0], initial={"snow": snow}, engine=engine, rtol=rtol, atol=rtol / 100
    )
    left, by_start, by_melt = remaining(10.0, 3.0, 5.0)
    sol.states["snow"][-1].sum().backward()
    assert sol.states["snow"][-1].item() == pytest.approx(left, rel=3 * rtol)
    assert snow.grad.item() == pytest.approx(by_start, rel=3 * rtol)
    assert melt.grad.item() == pytest.approx(by_melt, rel=3 * rtol)


def test_a_kink_costs_a_few_steps_only(julia_engine: str) -> None:
    sol = dg.solve(snow_pack(), times=[0.0, 5.0], initial={"snow": 10.0}, engine=julia_engine, rtol=1e-4)
    assert 10 < sol.stats["steps"][0] < 100
    assert sol.stats["rejections"][0] < 40


def test_a_state_with_a_nominal_value_is_known_to_a_part_of_it(julia_engine: str) -> None:
    # A store of 1000 mm whose outflow sets in within 0.2 mm.
    def reservoir(nominal: float) -> dg.Model:
        return dg.Model(
            name="Reservoir",
            graph=dg.single_cell(),
            states=(dg.State("storage", "mm", "water", nominal=nominal),),
            parameters=(dg.Parameter("crest", "mm", "storage at which it spills", 1000.0),),
            source=lambda cell, forcing: {
                "storage": 5.0 - 400.0 * (0.5 * (1 + torch.tanh(5 * (cell.storage - cell.crest))))
            },
        )

    def last(nominal: float, rtol: float) -> tuple[float, int]:
        sol = dg.solve(reservoir(nominal), times=[0.0, 2.0], initial={"storage": 990.0}, engine=julia_engine, rtol=rtol)
        return sol.states["storage"][-1].item(), sol.stats["steps"][0]

    exact, _ = last(0.2, 1e-10)
    known, steps = last(0.2, 1e-4)
    roughly, fewer = last(math.inf, 1e-4)
    assert abs(known - exact) < 1e-4 * 0.2
    assert abs(roughly - exact) > abs(known - exact)
    assert fewer < steps


@pytest.mark.parametrize("nominal", [0.0, -1.0, math.nan])
def test_nominal_values_are_positive(nominal: float) -> None:
    with pytest.raises(dg.errors.ModelError, match="nominal value of state 'snow' must be positive"):
        dg.solve(snow_pack(nominal=nominal), times=[0, 1], initial={"snow": 1.0}, engine="sundials")


def test_a_state_is_controlled_through_a_closure_value() -> None:
    with pytest.raises(dg.errors.ModelError, match="controlled through 'head', no closure value"):
        dg.solve(snow_pack(error_control=("head", 1.0)), times=[0, 1], initial={"snow": 1.0}, engine="sundials")


def test_gradients_under_ponding_converge(julia_engine: str) -> None:
    # Loam that ponds and saturates from above: without control of the head, gradients were off by more than
    # their size here, in silence, unless the tolerance was very tight.
    model = dg.models.RichardsColumn(0.5, 100, top="atmosphere", max_ponding=0.02)

    def gradient(rtol: float) -> torch.Tensor:
        k_s = torch.full((100,), 0.06, dtype=torch.float64, requires_grad=True)
        sol = dg.solve(
            model,
            {"K_s": k_s, "n": 1.31, "alpha": 1.9},
            times=np.arange(4.0),
            initial={"head": -2.0},
            forcing={"precipitation": [0.0, 0.1, 0.15], "potential_evaporation": 0.002},
            engine=julia_engine,
            rtol=rtol,
            atol=rtol / 100,
        )
        assert sol.balance < 1e-10
        (sol.states["theta"][1:] - 0.25).square().mean(-1).sum().backward()
        return k_s.grad

    exact = gradient(1e-6)
    errors = [((gradient(rtol) - exact).abs().max() / exact.abs().max()).item() for rtol in (1e-3, 1e-4)]
    assert errors[0] < 5e-3
    assert errors[1] < 1e-3


def test_gradients_do_not_depend_on_what_is_kept(julia_engine: str) -> None:
    model = dg.models.RichardsColumn(0.3, 12)

    def gradients(memory: float) -> list[torch.Tensor]:
        inputs = [leaf([0.2] * 12), leaf([1.5] * 12), leaf([0.02, 0.001, 0.0, 0.01])]
        sol = dg.solve(
            model,
            {"n": inputs[1]},
            times=range(5),
            initial={"theta": inputs[0]},
            memory=memory,
            forcing={"flux": inputs[2]},
            engine=julia_engine,
        )
        (sol.states["theta"].square().sum() + sol.fluxes["drainage"].sum()).backward()
        return [x.grad for x in inputs]

    # All, without the stages of the steps, and nothing but where intervals begin.
    kept = gradients(1e9)
    for memory in (2e4, 1e3):
        for found, expected in zip(gradients(memory), kept, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


def test_members_do_not_disturb_each_other(engine: str) -> None:
    # The fourth member cannot be solved in the steps allowed; the others are as if it were not there.
    model = dg.models.RichardsColumn(0.3, 12)
    k_s = torch.tensor([[0.1], [0.2], [0.3], [1e9], [0.4]], dtype=torch.float64)

    def run(which: list[int]) -> tuple[torch.Tensor, torch.Tensor, list[bool]]:
        given = k_s[which].clone().requires_grad_()
        sol = dg.solve(
            model,
            {"K_s": given},
            times=range(4),
            initial={"theta": 0.25},
            forcing={"flux": [0.02, 0.0, 0.01]},
            engine=engine,
            max_steps=200,
            throw=False,
        )
        good = sol.ok
        sol.states["theta"][good].square().sum().backward()
        return sol.states["theta"].detach(), given.grad, good.tolist()

    theta, gradient, good = run([0, 1, 2, 3, 4])
    assert good == [True, True, True, False, True]
    assert gradient[3] == 0
    others = [0, 1, 2, 4]
    theta_alone, gradient_alone, _ = run(others)
    assert torch.equal(theta[others], theta_alone)
    assert torch.equal(gradient[others], gradient_alone)
