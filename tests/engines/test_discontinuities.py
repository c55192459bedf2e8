"""Rates that jump where a state passes a value: exact gradients, or none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.engines.discontinuities import jumping
from pydiffgeo.engines.ir.assembly import Layout
from pydiffgeo.engines.ir.hoisted import prepare
from pydiffgeo.engines.ir.structure import system_of
from pydiffgeo.errors import AdjointError, TangentError


def model(source: Any, **more: Any) -> dg.Model:
    """x and y, from 1 and 0, with two parameters, a forcing and the integral of z."""
    parts: dict[str, Any] = {
        "name": "Pair",
        "graph": dg.single_cell(),
        "states": (dg.State("x", "1", "x", default=1.0), dg.State("y", "1", "y", default=0.0)),
        "parameters": (
            dg.Parameter("a", "1", "a", 2.0),
            dg.Parameter("b", "1", "b", 1.0),
            dg.Parameter("c", "1", "c", 0.25),
        ),
        "forcings": (dg.ForcingVariable("u", "1", "u", default=0.0),),
        "fluxes": (dg.IntegratedFlux("z", "1", "z"),),
        "source": source,
    }
    return dg.Model(**(parts | more))


def stop(cell: Any, forcing: Any) -> dict[str, Any]:
    """x' = -a; y' = b until x falls to c, then 3 b."""
    rate = torch.where(cell.x > cell.c, cell.b, 3.0 * cell.b)
    return {"x": -cell.a, "y": rate, "z": rate * cell.x}


def stop_exactly(a: Tensor, b: Tensor, c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """y and z at time 1."""
    turn = (x - c) / a
    y = b * turn + 3 * b * (1 - turn)
    # z integrates y' x with x = x(0) - a t.
    before = x * turn - a * turn**2 / 2
    return y, b * before + 3 * b * (x - a / 2 - before)


def decay(cell: Any, forcing: Any) -> dict[str, Any]:
    """x decays, twice as fast below c; what is compared is a product of states."""
    fast = torch.where(cell.x * (1.0 + 0.0 * cell.y) < cell.c, 2.0 * cell.a, cell.a)
    return {"x": -fast * cell.x, "y": torch.where(cell.x * cell.x < cell.c**2, cell.b, 0.0), "z": cell.x}


def decay_exactly(a: Tensor, b: Tensor, c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    turn = torch.log(x / c) / a
    left = 1 - turn
    return b * left, (x - c) / a + c * (1 - torch.exp(-2 * a * left)) / (2 * a)


CASES = {"stop": (stop, stop_exactly), "decay": (decay, decay_exactly)}


def leaves() -> tuple[Tensor, ...]:
    return tuple(torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (2.0, 1.0, 0.25, 1.0))


def results(source: Any, values: Any, engine: str, rtol: float, times: Any = (0.0, 0.1, 1.0), **more: Any) -> Tensor:
    a, b, c, x = values
    sol = dg.solve(
        model(source),
        {"a": a, "b": b, "c": c},
        initial={"x": x},
        times=times,
        engine=engine,
        rtol=rtol,
        atol=rtol,
        **more,
    )
    return torch.stack([sol.states["y"][-1, 0], sol.fluxes["z"].sum()])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6])
def test_gradients_know_of_the_jump(case: str, rtol: float, julia_engine: str) -> None:
    source, exact = CASES[case]
    values, truth = leaves(), leaves()
    found, expected = results(source, values, julia_engine, rtol), torch.stack(exact(*truth))
    torch.testing.assert_close(found, expected, rtol=5 * rtol, atol=0)
    for k in range(2):
        slopes = torch.autograd.grad(found[k], values, retain_graph=True)
        right = torch.autograd.grad(expected[k], truth, retain_graph=True, allow_unused=True)
        for slope, value in zip(slopes, right, strict=True):
            wanted = 0.0 if value is None else value.item()
            assert slope.item() == pytest.approx(wanted, rel=5 * rtol, abs=5 * rtol)


@pytest.mark.parametrize("case", CASES)
def test_directions_know_of_the_jump(case: str, julia_engine: str) -> None:
    source, exact = CASES[case]
    values = tuple(v.detach() for v in leaves())
    directions = tuple(torch.tensor(d, dtype=torch.float64) for d in (0.3, -0.2, 0.1, 0.5))
    _, found = torch.func.jvp(lambda *v: results(source, v, julia_engine, 1e-6), values, directions)
    _, right = torch.func.jvp(lambda *v: torch.stack(exact(*v)), values, directions)
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)


def test_what_moves_with_a_forcing_turns_with_it(julia_engine: str) -> None:
    """u rises from 0 to s: y' = b from u > c on, so y(1) = b (1 - c/s)."""
    source = lambda cell, f: {"x": -cell.a, "y": torch.where(f.u > cell.c, cell.b, 0.0), "z": f.u}  # noqa: E731
    top, c = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.8, 0.25))
    u = dg.TimeSeries([0.0, 1.0], torch.stack([torch.zeros_like(top), top]), "linear")
    sol = dg.solve(model(source), {"c": c}, forcing={"u": u}, times=[0.0, 1.0], engine=julia_engine, rtol=1e-6)
    y = sol.states["y"][-1, 0]
    assert y.item() == pytest.approx(1 - 0.25 / 0.8, rel=1e-5)
    y.backward()
    assert top.grad.item() == pytest.approx(0.25 / 0.8**2, rel=1e-5)
    assert c.grad.item() == pytest.approx(-1 / 0.8, rel=1e-5)


def test_several_cells_turn_at_their_own_times(julia_engine: str) -> None:
    """Reservoirs of which each gives off at twice the rate above c; a closure holds the jump."""
    graph = dg.network(3, [(0, 1), (1, 2)])
    cascade = dg.Model(
        name="Weirs",
        graph=graph,
        states=(dg.State("s", "1", "s", default=1.0),),
        parameters=(dg.Parameter("k", "1", "k", 0.5), dg.Parameter("c", "1", "c", 0.6)),
        closure=lambda cell: {"q": torch.where(cell.s > cell.c, 2.0 * cell.k, cell.k)},
        source=lambda cell, f: {"s": -cell.q},
        flux=lambda left, right, face: {"s": 0.0 * left.q},
    )
    k, c, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.5, 0.6, [0.9, 1.0, 1.0]))
    end = dg.solve(
        cascade, {"k": k, "c": c}, initial={"s": s}, times=[0.0, 1.0], engine=julia_engine, rtol=1e-6, atol=1e-8
    )
    # Above c it falls by 2 k, below by k: s(1) = c - k (1 - (s0 - c) / (2 k)).
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    total = (weights * end.states["s"][-1]).sum()
    truth = [v.detach().clone().requires_grad_() for v in (k, c, s)]
    right = (weights * (truth[1] - truth[0] * (1 - (truth[2] - truth[1]) / (2 * truth[0])))).sum()
    assert total.item() == pytest.approx(right.item(), rel=1e-6)
    total.backward()
    for found, exact in zip((k, c, s), torch.autograd.grad(right, truth), strict=True):
        torch.testing.assert_close(found.grad, exact, rtol=1e-5, atol=1e-6)


def test_a_solution_that_stays_at_the_jump_has_its_derivative(julia_engine: str) -> None:
    """A store that runs dry: x' = -a while x > 0. Its end does not depend on its start; what ran out does."""
    source = lambda cell, f: (lambda out: {"x": -out, "z": out})(torch.where(cell.x > 0.0, cell.a, 0.0))  # noqa: E731
    x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    sol = dg.solve(model(source), initial={"x": x}, times=[0.0, 1.0], engine=julia_engine, rtol=1e-6, atol=1e-8)
    (slope,) = torch.autograd.grad(sol.states["x"][-1, 0], x, retain_graph=True)
    (out,) = torch.autograd.grad(sol.fluxes["z"].sum(), x)
    assert slope.item() == pytest.approx(0.0, abs=1e-5)
    assert out.item() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"solver": "FBDF"}, {"sensitivity": "forward"}], ids=str)
def test_what_does_not_see_a_jump_gives_no_gradient(settings: dict[str, Any], request: Any) -> None:
    engine = request.getfixturevalue("julia_engine") if settings else "sundials"
    settings = {**settings, "engine": engine}
    values = leaves()
    found = results(stop, values, rtol=1e-6, **settings)
    # The states are right all the same.
    torch.testing.assert_close(found, torch.stack(stop_exactly(*values)), rtol=1e-3, atol=0)
    with pytest.raises(AdjointError, match=r"Pair\.source jumps where a comparison turns"):
        found[0].backward()
    sol = dg.solve(model(stop), {"a": values[0]}, times=[0.0, 1.0], throw=False, **settings)
    values[0].grad = None
    sol.states["y"][-1, 0].backward()
    assert sol.status == [dg.Status.ADJOINT]
    assert values[0].grad.item() == 0.0
    if settings.get("solver") is None:
        with pytest.raises(TangentError, match=r"Pair\.source jumps"):
            torch.func.jvp(
                lambda a: results(stop, (a, *values[1:]), rtol=1e-6, **settings),
                (values[0].detach(),),
                (torch.ones((), dtype=torch.float64),),
            )


@pytest.mark.parametrize(
    ("source", "times"),
    [
        # Not reached within the time; branches that meet; decided by a forcing that is constant in between.
        (stop, [0.0, 0.2]),
        (
            lambda cell, f: {"x": -cell.a, "y": torch.where(cell.x > cell.c, cell.x - cell.c, 0.0), "z": cell.x},
            [0.0, 1.0],
        ),
        (lambda cell, f: {"x": -cell.a, "y": torch.where(f.u > 0.5, cell.x, -cell.x), "z": cell.x}, [0.0, 1.0]),
    ],
)
def test_gradients_are_there_where_nothing_jumps(source: Any, times: list[float], engine: str) -> None:
    a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def y(a: Tensor) -> Tensor:
        return dg.solve(
            model(source), {"a": a}, times=times, engine=engine, rtol=1e-8, atol=1e-10, forcing={"u": torch.ones(1)}
        ).states["y"][-1, 0]

    y(a).backward()
    h = 1e-4
    difference = (y(a.detach() + h) - y(a.detach() - h)) / (2 * h)
    assert a.grad.item() == pytest.approx(difference.item(), rel=1e-4, abs=1e-6)


def test_starting_on_the_switch_is_no_turn() -> None:
    a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    source = lambda cell, f: {"x": -cell.a, "y": torch.where(cell.x < 1.0, cell.b * cell.a, 0.0), "z": cell.x}  # noqa: E731
    y = dg.solve(model(source), {"a": a}, times=[0.0, 1.0], engine="sundials", rtol=1e-6).states["y"][-1, 0]
    y.backward()
    assert (y.item(), a.grad.item()) == (pytest.approx(2.0, rel=1e-5), pytest.approx(1.0, rel=1e-5))


@pytest.mark.parametrize(
    ("value", "jumps"),
    [
        (lambda c: torch.where(c.x > c.c, c.b, 0.0), True),
        (lambda c: torch.where((c.x > c.c) & (c.y < 2.0), c.b, 0.0), True),
        (lambda c: torch.where(c.x > c.c, c.x + 1e-3, c.x), True),
        (lambda c: c.b * (c.x > c.c), True),
        (lambda c: torch.where(c.x**2 > c.c * c.x, c.b, 0.0), True),
        (lambda c: torch.where(c.x > c.c, c.x - c.c, 0.0), False),
        (lambda c: torch.where(c.x > c.c, (c.x - c.c) ** 0.5, 0.0), False),
        (lambda c: torch.where(c.x > c.c, 1e6 * (c.x - c.c), 0.0), False),
        (lambda c: torch.where(c.x > 0, c.x * torch.log(c.x), 0.0), False),
        (lambda c: torch.where(c.x > c.c, c.x, 2 * c.x - c.c), False),
        (lambda c: torch.where(c.a > c.c, c.x, 2 * c.x), False),
        (lambda c: torch.where(c.x**2 + 1 < 0, c.x, 2 * c.x), False),
        (lambda c: torch.maximum(c.x, c.c) + torch.abs(c.x - c.c), False),
    ],
)
def test_jumps_are_told_from_kinks(value: Any, jumps: bool) -> None:
    system, _ = system_of(model(lambda c, f: {"x": -c.a, "y": value(c), "z": c.x}), Layout({"a": 1, "b": 1, "c": 1}))
    p = prepare(system, np.array([[2.0, 1.0, 0.25]]))
    y = np.array([[x, 0.1] for x in np.linspace(0.05, 1.0, 7)])
    found = jumping(system, y, np.repeat(p, 7, axis=0), np.zeros((7, 1)), linear=False)
    assert bool(found) is jumps
    assert all(f.name == "Pair.source" for f in found)


@pytest.mark.parametrize("mean", [*dg.models.richards.MEANS])
@pytest.mark.parametrize("top", ["flux", "head", "atmosphere"])
def test_soil_columns_have_kinks_only(top: str, mean: str) -> None:
    column = dg.models.RichardsColumn(1.0, 6, top=top, face_conductivity=mean)
    system, _ = system_of(column, Layout({p.name: 1 for p in column.parameters}))
    values = np.array([[p.default for p in column.parameters]])
    wet = np.linspace(0.1, 0.43, 20)[:, None]
    y = np.broadcast_to(wet, (20, system.n_states))
    p, f = prepare(system, values), np.full((20, system.n_forcings), 0.01)
    assert jumping(system, y, np.repeat(p, 20, axis=0), f, linear=False) == []
    assert math.isfinite(y.sum())
