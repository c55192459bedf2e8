"""Absolute tolerances of single states: against exact solutions, in other units, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from cases import CASES
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, InputError, UnknownNameError
from pydiffgeo.tolerances import tolerances

TIMES = torch.linspace(0.0, 0.12, 4)
SIZE, START = 1e6, 1e-3


def two(size: float = 1.0) -> dg.Model:
    """Water that decays at the rate k, and heat that grows by the logistic law, faster: 40 k, to `size` in its units."""
    return dg.Model(
        name="Two stores",
        graph=dg.single_cell(),
        states=(dg.State("water", "mm", "water", default=1.0), dg.State("heat", "J", "heat", default=START * size)),
        parameters=(dg.Parameter("k", "d-1", "rate", default=2.0, low=0.0),),
        fluxes=(dg.IntegratedFlux("outflow", "mm", "outflow", -1), dg.IntegratedFlux("gained", "J", "gained", 1)),
        source=lambda cell, forcing: {
            "water": -cell.k * cell.water,
            "heat": 40 * cell.k * cell.heat * (1 - cell.heat / size),
            "outflow": cell.k * cell.water,
            "gained": 40 * cell.k * cell.heat * (1 - cell.heat / size),
        },
    )


def solved(model: dg.Model, k: Any, **settings: Any) -> dict[str, Tensor]:
    found = dg.solve(model, {"k": k}, times=TIMES, **settings)
    return {**{n: v[..., 1:, 0] for n, v in found.states.items()}, **found.fluxes}


def exact(k: Tensor) -> dict[str, Tensor]:
    water, heat = torch.exp(-k * TIMES), 1 / (1 + (1 / START - 1) * torch.exp(-40 * k * TIMES))
    return {"water": water[1:], "heat": heat[1:], "outflow": -water.diff(), "gained": heat.diff()}


@pytest.mark.parametrize("solver", [None, "FBDF"])
def test_each_state_is_as_accurate_as_its_own_tolerance(solver: str | None, engine: str) -> None:
    if solver and engine == "sundials":
        pytest.skip("a solver of Julia's")
    truth = exact(torch.tensor(2.0))

    def errors(atol: Mapping[str, float]) -> dict[str, float]:
        found = solved(two(), 2.0, engine=engine, rtol=1e-10, atol=atol, solver=solver)
        return {name: (found[name] - truth[name]).abs().max().item() for name in truth}

    # A multistep method's errors add up to some times the tolerance of a step.
    loose = errors({"water": 1e-11, "heat": 0.1})
    assert max(loose["water"], loose["outflow"]) < 1e-8
    assert 1e-7 < loose["heat"] < 0.3
    tight = errors({"water": 0.1, "heat": 1e-11})
    assert max(tight["heat"], tight["gained"]) < 1e-8
    alike = solved(two(), 2.0, engine=engine, rtol=1e-10, atol={"water": 1e-11, "heat": 1e-11}, solver=solver)
    plain = solved(two(), 2.0, engine=engine, rtol=1e-10, atol=1e-11, solver=solver)
    for name in truth:
        torch.testing.assert_close(alike[name], plain[name], rtol=1e-12, atol=1e-14)


def test_loose_tolerances_save_steps(julia_engine: str) -> None:
    def steps(atol: float | Mapping[str, float]) -> int:
        stats = dg.solve(two(SIZE), times=TIMES, engine=julia_engine, rtol=1e-10, atol=atol).stats
        assert stats["steps"] is not None
        return stats["steps"][0]

    assert steps({"water": 1e-3, "heat": 1e3}) < steps(1e-3) / 2


def test_tolerances_in_other_units_change_nothing(engine: str) -> None:
    settings: dict[str, Any] = {"engine": engine, "rtol": 1e-6}
    rate = torch.tensor(2.0)

    def everything(size: float) -> tuple[dict[str, Tensor], Tensor]:
        k = rate.clone().requires_grad_()
        found = solved(two(size), k, atol={"water": 1e-8, "heat": 1e-8 * size}, **settings)
        scaled = {n: v / size if n in ("heat", "gained") else v for n, v in found.items()}
        sum(i * v.sum() for i, v in enumerate(scaled.values(), 1)).backward()  # type: ignore[union-attr]
        return {n: v.detach() for n, v in scaled.items()}, k.grad  # type: ignore[return-value]

    (one, slope), (other, again) = everything(1.0), everything(SIZE)
    # With SUNDIALS it is the same problem; Julia's norm of errors is within both tolerances.
    rtol = {"sundials": 1e-11, "julia": 1e-5}[engine]
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=rtol, atol=1e-7 if engine == "julia" else 1e-13)
    torch.testing.assert_close(again, slope, rtol=max(rtol, 1e-7), atol=0)
    k = rate.clone().requires_grad_()
    sum(i * v.sum() for i, v in enumerate(exact(k).values(), 1)).backward()  # type: ignore[union-attr]
    torch.testing.assert_close(slope, k.grad, rtol=1e-4, atol=0)


def test_tangents_and_adjoints_agree(engine: str) -> None:
    k = torch.tensor([[2.0], [1.0]])
    settings: dict[str, Any] = {"engine": engine, "rtol": 1e-7, "atol": {"water": 1e-9, "heat": 1e-2}}

    def ends(k: Tensor) -> Tensor:
        return torch.cat(list(solved(two(SIZE), k, **settings).values()), dim=-1)

    forward, reverse = (dg.jacobian(ends, k, mode=mode)[1] for mode in ("forward", "reverse"))
    truth = torch.func.vmap(torch.func.jacfwd(lambda k: torch.cat(list(exact(k).values()))))(k[:, 0])
    truth = truth * torch.tensor([1.0, SIZE, 1.0, SIZE]).repeat_interleave(3)
    size = truth.abs().unflatten(1, (4, 3)).amax(2).repeat_interleave(3, 1)
    assert ((forward[..., 0] - truth).abs() <= 1e-5 * size).all()
    assert ((reverse[..., 0] - truth).abs() <= 1e-5 * size).all()


def test_other_tolerances_are_other_functions(engine: str) -> None:
    # Of the same model, one after the other.
    truth, off = exact(torch.tensor(2.0))["heat"], list[float]()
    for heat in (1e-1, 1e-11, 1e-1):
        found = solved(two(), 2.0, engine=engine, rtol=1e-10, atol={"water": 1e-11, "heat": heat})
        off.append((found["heat"] - truth).abs().max().item())
    assert off[1] < 1e-8 < off[0] == off[2]
    stats = dg.solve(two(), times=TIMES, engine=engine, atol={"heat": 1e-3}).stats
    assert stats["atol"] == {"water": 1e-8, "heat": 1e-3, "outflow": 1e-8, "gained": 1e-3}


def test_controlled_states_with_limits_keep_their_accuracy(engine: str) -> None:
    # A column whose steps are chosen by the head, and whose water content has limits.
    case = CASES["richards-flux-free"]
    model, tensors = case.model(), case.tensors()
    plain, own = (
        case.solve(tensors, model, engine=engine, rtol=1e-8, atol=atol).states["theta"]
        for atol in (1e-10, {"theta": 1e-10, model.fluxes[0].name: 1e-6})
    )
    torch.testing.assert_close(own, plain, rtol=1e-6, atol=0)


def test_names_of_coupled_models_are_theirs(engine: str) -> None:
    pair = dg.couple(
        "Pair",
        {"upper": dg.models.LinearReservoir(), "lower": dg.models.LinearReservoir()},
        [
            dg.Link(
                "drains", "upper", "lower", [(0, 0)], lambda left, right, face: {"storage->storage": 0.1 * left.storage}
            )
        ],
    )

    def end(atol: Any) -> dict[str, Tensor]:
        initial = {"upper_storage": 10.0, "lower_storage": 0.0}
        how: dict[str, Any] = {"initial": initial, "times": [0.0, 0.1], "engine": engine, "rtol": 1e-11, "atol": atol}
        return dict(dg.solve(pair, {"lower_k": 0.05}, forcing={"rain": 0.0}, **how).states)

    found = end({"upper_storage": 1e-12, "lower_storage": 1e-1})
    # dS/dt = -(1/2 + 1/10) S above, and what leaves above less 20 S below.
    upper = 10 * torch.exp(torch.tensor(-0.06))
    lower = (torch.exp(torch.tensor(-0.06)) - torch.exp(torch.tensor(-2.0))) / (20 - 0.6)
    assert abs(found["upper_storage"][-1, 0] - upper) < 1e-9
    assert 1e-10 < abs(found["lower_storage"][-1, 0] - lower) < 1e-1
    with pytest.raises(UnknownNameError, match=r"atol names 'storage', which is no state of Pair; .*'upper_storage'"):
        end({"storage": 1e-3})


def test_a_steady_state_is_measured_by_the_tolerances_of_its_states(engine: str) -> None:
    model = dg.Model(
        name="Ponds",
        graph=dg.single_cell(),
        states=(dg.State("water", "mm", "water", default=5.0), dg.State("heat", "J", "heat", default=3e6)),
        source=lambda cell, forcing: {"water": 1 - cell.water**2, "heat": 1e3 * (4.0 - (cell.heat / 1e6) ** 2)},
    )
    found = dg.steady(model, engine=engine, atol={"water": 1e-9, "heat": 1e-2})
    torch.testing.assert_close(found.states["water"], torch.tensor([1.0]))
    torch.testing.assert_close(found.states["heat"], torch.tensor([2e6]))
    assert found.stats["atol"] == {"water": 1e-9, "heat": 1e-2}
    # Where any heat is steady enough, and water too, one step is all.
    quick = dg.steady(model, engine=engine, rtol=1e-12, atol={"water": 1e2, "heat": 1e9})
    assert quick.stats["iterations"][0] < found.stats["iterations"][0]


def test_undershoots_within_the_tolerance_of_a_state_are_accepted(engine: str) -> None:
    model = dg.Model(
        name="Pond",
        graph=dg.single_cell(),
        states=(dg.State("water", "mm", "water", low=0.0), dg.State("heat", "J", "heat", default=1.0, low=0.0)),
        source=lambda cell, forcing: {"water": -cell.water, "heat": -cell.heat},
        limits=(dg.Limit("water", "mm", lambda cell: {"low": 0.0, "value": cell.water, "high": 10.0}),),
    )

    def solve(atol: Any) -> Tensor:
        return dg.solve(model, times=[0.0, 1.0], initial={"water": -5e-4}, engine=engine, atol=atol).states["water"]

    torch.testing.assert_close(solve({"water": 1e-3})[-1, 0], -5e-4 * torch.exp(torch.tensor(-1.0)), rtol=0.3, atol=0)
    for atol in (1e-6, {"heat": 1e-3}):
        with pytest.raises(BoundsError, match="'water'"):
            solve(atol)


@pytest.mark.parametrize(
    ("atol", "error", "words"),
    [
        (
            {"ice": 1e-3},
            UnknownNameError,
            r"atol names 'ice', which is no state of Two stores; the states are \['water'",
        ),
        ({3: 1e-3}, UnknownNameError, "atol names 3"),
        ({"heat": 0.0}, InputError, "atol of 'heat' must be a positive number, got 0.0"),
        ({"heat": -1.0}, InputError, "atol of 'heat' must be a positive number"),
        ({"heat": float("nan")}, InputError, "atol of 'heat' must be"),
        ({"heat": "1e-3"}, InputError, "atol of 'heat' must be"),
        ([1e-3, 1e-3], InputError, "atol must be a positive number"),
    ],
)
def test_what_is_no_tolerance_is_named(atol: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        dg.solve(two(), times=TIMES, engine="sundials", atol=atol)
    with pytest.raises(error, match=words):
        dg.steady(two(), engine="sundials", atol=atol)


def test_fluxes_have_the_tolerance_of_what_they_balance() -> None:
    found = tolerances(two(), 1e-6, {"heat": 1e-2, "outflow": 1e-5}, 1e-8)
    assert dict(found.by_name) == {"water": 1e-8, "heat": 1e-2, "outflow": 1e-5, "gained": 1e-2}
    assert (found.atol, found.largest, found.of("heat"), found.of("water")) == (1e-8, 1e-2, 1e-2, 1e-8)
    assert tolerances(two(), 1e-6, 1e-3, 1e-8).of("heat") == 1e-3
