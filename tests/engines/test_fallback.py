"""What solves a member where the usual method fails; failures are injected into solves that work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, loss

import pydiffgeo as dg
from pydiffgeo.engines import fallback
from pydiffgeo.engines.base import Forward, Problem, Status
from pydiffgeo.engines.batch import Failure
from pydiffgeo.engines.julia.engine import FALLBACKS, JuliaEngine
from pydiffgeo.engines.sundials import cvodes

TOLERANCES = {"rtol": 1e-7, "atol": 1e-9}


def solve(name: str, engine: str = "sundials", **settings: Any) -> tuple[dg.Solution, dict[str, torch.Tensor]]:
    """A case of the table and the gradient of its loss."""
    case = CASES[name]
    leaves = {k: v.requires_grad_() for k, v in case.tensors().items()}
    if engine == "sundials":
        # By CVODES, small cases too.
        settings = {"sensitivity": "adjoint", **settings}
    solution = case.solve(leaves, case.model(), engine=engine, **TOLERANCES, **settings)
    gradient = torch.autograd.grad(loss(solution), list(leaves.values())) if solution.ok else ()
    return solution, dict(zip(leaves, gradient, strict=False))


def same(one: tuple[dg.Solution, Any], other: tuple[dg.Solution, Any]) -> None:
    (a, a_bar), (b, b_bar) = one, other
    for part, twin in ((a.states, b.states), (a.fluxes, b.fluxes)):
        for k in part:
            torch.testing.assert_close(part[k], twin[k], rtol=1e-5, atol=1e-7)
    assert a_bar
    for k in a_bar:
        torch.testing.assert_close(a_bar[k], b_bar[k], rtol=1e-4, atol=1e-5 * float(b_bar[k].abs().max()))


@pytest.fixture
def no_cvodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVODES gives up in every call."""

    def give_up(self: Any, *inputs: Any) -> None:
        raise Failure(Status.ERROR_TEST, "(CVODES: CV_ERR_FAILURE)")

    monkeypatch.setattr(cvodes.Call, "__call__", give_up)


FALLING = ["richards-weather", "richards-linear-forcing", "exphydro", "aquifer"]


@pytest.mark.parametrize("name", FALLING)
def test_what_cvodes_gives_up_is_solved_and_differentiated(name: str, request: pytest.FixtureRequest) -> None:
    usual = solve(name)
    assert usual[0].stats["fallbacks"] == {}
    request.getfixturevalue("no_cvodes")
    found = solve(name)
    count = len(CASES[name].times) - 1
    assert found[0].stats["fallbacks"] == {0: f"Rodas5P in {count} intervals, after (CVODES: CV_ERR_FAILURE)"}
    assert "CV_ERR_FAILURE" in dg.io.provenance(found[0])["fallbacks"]
    assert "fallbacks" not in dg.io.provenance(usual[0])
    assert float(found[0].balance) < 1e-9
    same(found, usual)


@pytest.mark.parametrize("name", FALLING)
def test_an_adjoint_that_cvodes_gives_up_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = solve(name)

    def give_up(self: Any, *inputs: Any) -> None:
        raise Failure(Status.MAX_STEPS, "(CVODES: CV_TOO_MUCH_WORK)")

    monkeypatch.setattr(cvodes.Interval, "_back", give_up)
    found = solve(name)
    assert found[0].stats["fallbacks"] == {}
    assert "after (CVODES: CV_TOO_MUCH_WORK)" in found[0].stats["adjoint_fallbacks"][0]
    same(found, usual)


def test_tangents_that_cvodes_gives_up_are_found(request: pytest.FixtureRequest) -> None:
    case = CASES["richards-weather"]
    values, model = case.tensors(), case.model()

    def moved(K_s: torch.Tensor) -> torch.Tensor:
        found = case.solve(
            values | {"parameters.K_s": K_s}, model, engine="sundials", sensitivity="adjoint", **TOLERANCES
        )
        return found.states["theta"][-1]

    direction = torch.ones_like(values["parameters.K_s"])
    usual = torch.func.jvp(moved, (values["parameters.K_s"],), (direction,))[1]
    request.getfixturevalue("no_cvodes")
    found = torch.func.jvp(moved, (values["parameters.K_s"],), (direction,))[1]
    torch.testing.assert_close(found, usual, rtol=1e-4, atol=1e-6)


def test_a_solver_that_was_asked_for_is_the_only_one(no_cvodes: None) -> None:
    solution, _ = solve("exphydro", solver="cvodes-bdf", throw=False)
    assert not solution.ok
    assert solution.reasons == {0: "(CVODES: CV_ERR_FAILURE)"}


def test_all_methods_that_failed_are_named(no_cvodes: None) -> None:
    solution, _ = solve("exphydro", max_steps=3, throw=False)
    assert solution.status == [Status.ERROR_TEST]
    assert solution.reasons == {0: "(CVODES: CV_ERR_FAILURE; Rodas5P: MAX_STEPS)"}


def test_the_fallback_has_the_time_that_is_left(no_cvodes: None) -> None:
    case = CASES["richards-weather"]
    solution = case.solve(
        case.tensors(),
        case.model(),
        engine="sundials",
        sensitivity="adjoint",
        max_seconds=0.05,
        rtol=1e-12,
        atol=1e-14,
        throw=False,
    )
    assert solution.status == [Status.TIME_LIMIT]


def fails(monkeypatch: pytest.MonkeyPatch, which: dict[float, list[int]], tolerance: float) -> None:
    """Lets members fail in the Julia engine, by the share of the tolerance that they are tried with."""
    solved = JuliaEngine.forward

    def forward(self: JuliaEngine, problem: Problem, differentiate: bool) -> Forward:
        found = solved(self, problem, differentiate)
        share = 0.0 if problem.options.solver == "FBDF" else problem.options.rtol / tolerance
        for m in next((v for k, v in which.items() if k == pytest.approx(share)), []):
            found.y[m, 1:], found.q[m] = np.nan, np.nan
            found.status[m], found.reasons[m] = Status.MAX_STEPS, "(SciML: MaxIters)"
        return found

    monkeypatch.setattr(JuliaEngine, "forward", forward)


def batch(engine: str, **settings: Any) -> tuple[dg.Solution, torch.Tensor]:
    model, times = dg.models.ExpHydro(), np.arange(4.0)
    f = torch.tensor([[0.01], [0.02], [0.03], [0.04]], dtype=torch.float64, requires_grad=True)
    weather = {"precipitation": [5.0, 12.0, 1.0], "temperature": [-2.0, 4.0, 6.0], "daylength": [9.0, 9.1, 9.2]}
    solution = dg.solve(
        model,
        {"f": f},
        forcing={k: torch.tensor(v) for k, v in weather.items()},
        times=times,
        initial={"snow_storage": 10.0, "water_storage": 200.0},
        engine=engine,
        **TOLERANCES,
        **settings,
    )
    runoff = torch.where(solution.ok.unsqueeze(-1), solution.fluxes["runoff"], 0.0)
    return solution, torch.autograd.grad(runoff.sum(), f)[0]


def test_julia_tries_one_method_after_the_other(julia_engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, usual_bar = batch(julia_engine)
    assert usual.stats["fallbacks"] == {}
    # Members 0 and 2 fail; the first of the two, tried again, once more.
    fails(monkeypatch, {1.0: [0, 2], 0.01: [0]}, TOLERANCES["rtol"])
    found, bar = batch(julia_engine)
    tight, other = (method.name for method in FALLBACKS)
    assert found.stats["fallbacks"] == {
        0: f"{other}, after (SciML: MaxIters; {tight}: MAX_STEPS)",
        2: f"{tight}, after (SciML: MaxIters)",
    }
    same((found, {"f": bar}), (usual, {"f": usual_bar}))
    assert torch.equal(found.states["water_storage"][[1, 3]], usual.states["water_storage"][[1, 3]])
    assert torch.equal(bar[[1, 3]], usual_bar[[1, 3]])


def test_julia_names_all_methods_that_failed(julia_engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, {1.0: [1], 0.01: [0], 0.0: [0]}, TOLERANCES["rtol"])
    found, bar = batch(julia_engine, throw=False)
    tight, other = (method.name for method in FALLBACKS)
    assert found.reasons == {1: f"(SciML: MaxIters; {tight}: MAX_STEPS; {other}: MAX_STEPS)"}
    assert found.ok.tolist() == [True, False, True, True]
    assert torch.isnan(found.states["water_storage"][1, 1:]).all()
    assert bar[1].item() == 0
    assert (bar[[0, 2, 3]] != 0).all()


def test_julia_takes_a_solver_by_name_alone(julia_engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, {1.0: [1]}, TOLERANCES["rtol"])
    found, _ = batch(julia_engine, throw=False, solver="Rodas5P")
    assert found.ok.tolist() == [True, False, True, True]
    assert found.stats["fallbacks"] == {}


def test_no_method_is_begun_when_time_is_over() -> None:
    tried: list[Problem] = []

    class Slow:
        name = "slow"

        def forward(self, problem: Problem, differentiate: bool) -> Forward:
            tried.append(problem)
            shape = (problem.members, problem.intervals + 1, 1)
            return Forward(np.zeros(shape), np.zeros(shape), [Status.MAX_STEPS], {0: "(slow)"}, {"solver": "slow"})

    options = cvodes.Options(max_seconds=1e-9)
    problem = Problem(None, options, np.arange(2.0), *(np.zeros((1, 1)),) * 2, np.zeros((1, 1, 1, 1)))  # type: ignore[arg-type]
    result = fallback.Fallback(Slow(), FALLBACKS).forward(problem, False)  # type: ignore[arg-type]
    assert len(tried) == 1
    assert result.reasons == {0: "(slow)"}
