"""Derivatives in forward mode: against adjoints, finite differences, and each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, Case, loss
from decays import RESERVOIR
from decays import TIGHT as DECAY_TIGHT
from derivatives import RESOLVED, TIGHT, TIGHTER, directional
from engine_calls import engine_calls
from torch.autograd import forward_ad

import pydiffgeo as dg
from pydiffgeo.errors import AdjointError, InputError, ShapeError, TangentError

DAYS = 60
BASIN = ("f", "S_max", "Q_max", "D_f", "T_max", "T_min")
EXP_HYDRO = dg.models.ExpHydro()
CATCHMENT = torch.tensor([0.03, 300.0, 20.0, 2.5, 0.5, -0.7, 200.0])


def everything(solution: dg.Solution) -> torch.Tensor:
    """All states and integrated fluxes, `(..., values)`."""
    leading = solution.ok.shape
    return torch.cat([v.reshape(*leading, -1) for v in (*solution.states.values(), *solution.fluxes.values())], -1)


def directions(tensors: dict[str, torch.Tensor], seed: int = 0) -> dict[str, torch.Tensor]:
    """A random direction for each tensor, each entry in proportion to its size."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {k: v.abs().clamp(min=1e-3 * v.abs().max().item()) for k, v in tensors.items()}
    return {k: (torch.rand(v.shape, generator=generator) - 0.3) * v for k, v in sizes.items()}


def tangent(case: Case, model: dg.Model, tensors: Any, along: Any, **settings: Any) -> torch.Tensor:
    with forward_ad.dual_level():
        duals = {k: forward_ad.make_dual(v, along[k]) if k in along else v for k, v in tensors.items()}
        return forward_ad.unpack_dual(everything(case.solve(duals, model, **settings))).tangent


def basin(x: torch.Tensor, **settings: Any) -> dg.Solution:
    """EXP-HYDRO for rows of `CATCHMENT`, over a winter and a spring with snow."""
    day = torch.arange(DAYS)
    forcing = {
        "precipitation": 6 + 6 * torch.sin(1.3 * day),
        "temperature": -4 + 14 * day / DAYS + 3 * torch.sin(0.9 * day),
        "daylength": 9 + 0.05 * day,
    }
    parameters = {name: x[:, i : i + 1] for i, name in enumerate(BASIN)}
    initial = {"water_storage": x[:, 6:7], "snow_storage": 20.0}
    return dg.solve(EXP_HYDRO, parameters, forcing=forcing, times=range(DAYS + 1), initial=initial, **settings)


def runoff(x: torch.Tensor, **settings: Any) -> torch.Tensor:
    return basin(x, **settings).fluxes["runoff"]


# The Julia engine differentiates the steps taken, which is exact at any tolerance.
@pytest.mark.parametrize("name", ["richards-weather", "richards-linear-forcing", "exphydro", "aquifer", "heat"])
def test_tangent_is_the_transpose_of_the_adjoint(name: str, engine: str) -> None:
    case, rtol = CASES[name], {"julia": 1e-4, "sundials": 1e-7}[engine]
    settings = {"engine": engine, "rtol": rtol, "atol": rtol / 100}
    model, tensors = case.model(), {k: v.requires_grad_() for k, v in case.tensors().items()}
    values = everything(case.solve(tensors, model, **settings))
    weights = torch.cos(2.3 * torch.arange(len(values)))
    (weights * values).sum().backward()
    along = directions(case.tensors())
    pushed = (weights * tangent(case, model, case.tensors(), along, **settings)).sum()
    products = torch.cat([(tensors[k].grad * d).reshape(-1) for k, d in along.items()])
    tolerance = {"julia": 1e-10, "sundials": 1e-7}[engine]
    assert abs(pushed - products.sum()) <= tolerance * products.abs().sum()
    assert products.abs().sum() > 0


@pytest.mark.parametrize("name", ["richards-linear-forcing", "exphydro", "river"])
def test_tangent_equals_finite_differences(name: str, engine: str) -> None:
    case = CASES[name]
    model, tensors = case.model(), case.tensors()
    for group, direction in directions(tensors).items():
        expected = directional(case, model, tensors, group, direction, engine=engine, **TIGHTER)
        with forward_ad.dual_level():
            duals = tensors | {group: forward_ad.make_dual(tensors[group], direction)}
            found = forward_ad.unpack_dual(loss(case.solve(duals, model, engine=engine, **TIGHT))).tangent.item()
        assert abs(found - expected) <= 1e-5 * max(abs(expected), RESOLVED), (group, found, expected)


def test_tangent_error_falls_with_the_tolerance(engine: str) -> None:
    case = CASES["richards-flux-free"]
    model, tensors = case.model(), case.tensors()
    along = directions(tensors)
    reference = tangent(case, model, tensors, along, engine=engine, **TIGHT)
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        found = tangent(case, model, tensors, along, engine=engine, rtol=rtol, atol=rtol / 100)
        errors.append(((found - reference).abs().max() / reference.abs().max()).item())
    assert all(b < a / 3 for a, b in pairwise(errors)), errors
    assert all(e < 30 * rtol for e, rtol in zip(errors, (1e-4, 1e-6, 1e-8), strict=True)), errors


def test_a_failed_member_has_a_zero_tangent_and_leaves_the_others(engine: str) -> None:
    column = dg.models.RichardsColumn(0.6, 8)
    flux = torch.tensor([[0.001, 0.001], [0.001, 0.2], [0.002, 0.001]])
    n = torch.tensor([[1.5], [1.55], [1.6]])

    def solve(n: torch.Tensor, flux: torch.Tensor, **settings: Any) -> dg.Solution:
        few = 40 if engine == "julia" else 120
        return dg.solve(
            column,
            {"n": n},
            forcing={"flux": flux},
            times=range(3),
            initial={"theta": 0.2},
            engine=engine,
            max_steps=few,
            **settings,
        )

    with forward_ad.dual_level():
        together = solve(forward_ad.make_dual(n, 0.1 * n), flux, throw=False)
        found = forward_ad.unpack_dual(everything(together))
        alone = forward_ad.unpack_dual(everything(solve(forward_ad.make_dual(n[::2], 0.1 * n[::2]), flux[::2])))
    assert together.ok.tolist() == [True, False, True]
    assert found.primal[1].isnan().any()
    assert (found.tangent[1] == 0).all()
    torch.testing.assert_close(found.tangent[::2], alone.tangent, rtol=1e-8, atol=1e-12)
    assert alone.tangent.abs().max() > 0


def test_directions_at_once_equal_directions_one_by_one(engine: str) -> None:
    # More than either engine takes together; sparse matrices in the Julia engine.
    case = CASES["richards-linear-forcing"]
    cells, count = 20, 21
    model, forcing = dg.models.RichardsColumn(0.6, cells), {"forcing.flux": case.tensors()["forcing.flux"]}

    def solve(x: torch.Tensor) -> torch.Tensor:
        tensors = forcing | {"parameters.K_s": x[:, :cells], "parameters.n": x[:, cells:]}
        return everything(case.solve(tensors | {"initial.theta": torch.tensor(0.22)}, model, engine=engine))

    x = torch.cat([torch.linspace(0.3, 0.1, cells), torch.tensor([1.6])])[None]
    value, found = dg.jacobian(solve, x)
    # Steps differ with what is asked for: the Julia engine takes shorter ones where derivatives are, and SUNDIALS
    # chooses them by all directions that it solves for together.
    torch.testing.assert_close(value, solve(x), rtol=1e-6, atol=1e-7)
    rtol = {"julia": 1e-12, "sundials": 1e-6}[engine]
    for i in (0, 7, 8, 19, 20):
        alone = torch.func.jvp(solve, (x,), (torch.eye(count)[i : i + 1],))[1]
        torch.testing.assert_close(found[..., i], alone, rtol=0, atol=rtol * alone.abs().max().item())
        assert alone.abs().max() > 0


def test_steps_taken_again_give_the_same_tangent(julia_engine: str) -> None:
    case = CASES["richards-flux-free"]
    model, tensors = case.model(), case.tensors()
    kept, again = (
        tangent(case, model, tensors, directions(tensors), engine=julia_engine, memory=memory)
        for memory in (1e9, 20_000.0)
    )
    torch.testing.assert_close(again, kept, rtol=0, atol=0)


def test_transition_matrices_serve_other_solvers(julia_engine: str) -> None:
    case = CASES["exphydro"]
    model, tensors = case.model(), case.tensors()
    reference = tangent(case, model, tensors, directions(tensors), engine=julia_engine, **TIGHT)
    other = {"engine": julia_engine, "rtol": 1e-8, "atol": 1e-10, "solver": "FBDF"}
    found = tangent(case, model, tensors, directions(tensors), **other, sensitivity="forward")
    assert (found - reference).abs().max() < 1e-4 * reference.abs().max()
    with pytest.raises(InputError, match=r"Gauss adjoint of FBDF has no counterpart.*Rodas5P"):
        tangent(case, model, tensors, directions(tensors), **other)


def test_jacobian_of_runoff_equals_finite_differences(engine: str) -> None:
    x = CATCHMENT * torch.tensor([[1.0], [1.1]])
    value, found = dg.jacobian(lambda x: runoff(x, engine=engine, **TIGHT), x)
    assert value.shape == (2, DAYS)
    assert found.shape == (2, DAYS, len(CATCHMENT))
    for i, size in enumerate(CATCHMENT.abs()):
        central = []
        for h in (2e-4 * size, 1e-4 * size):
            move = torch.eye(len(CATCHMENT))[i] * h
            ends = [runoff(x + sign * move, engine=engine, **TIGHTER) for sign in (1, -1)]
            central.append((ends[0] - ends[1]) / (2 * h))
        expected = (4 * central[1] - central[0]) / 3
        assert expected.abs().max() > 0
        assert (found[..., i] - expected).abs().max() <= 1e-4 * expected.abs().max(), BASIN[i : i + 1]


def test_jacobian_solves_once(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = engine_calls(engine, monkeypatch)

    def whole(x: torch.Tensor) -> torch.Tensor:
        return runoff(x, engine=engine)

    def sums(x: torch.Tensor) -> torch.Tensor:
        return runoff(x, engine=engine).unflatten(1, (3, -1)).sum(2)

    for function, mode, expected in (
        (whole, "auto", ["forward", "tangent"]),
        (whole, "forward", ["forward", "tangent"]),
        (sums, "auto", ["forward", "backward", "backward", "backward"]),
        (sums, "forward", ["forward", "tangent"]),
    ):
        calls.clear()
        dg.jacobian(function, CATCHMENT[None], mode=mode)
        assert calls == expected, mode


def test_jacobian_is_that_of_each_solve_within(engine: str) -> None:
    # Two solves of the same model, the second with inputs that follow from the first; the last is not asked for again.
    asked = list[int]()

    def results(x: torch.Tensor) -> torch.Tensor:
        asked.append(1)
        first = runoff(x, engine=engine)[:, -5:]
        later = torch.cat([x[:, :6], 100 + 10 * first[:, -1:]], dim=1)
        if len(asked) > 1:
            runoff(CATCHMENT[None] * 1.01, engine=engine)
        return torch.cat([first, runoff(later, engine=engine)[:, -5:]], dim=1)

    x = CATCHMENT[None]
    value, found = dg.jacobian(results, x)
    assert len(asked) == 2
    expected_value, expected = dg.jacobian(results, x, mode="reverse")
    torch.testing.assert_close(value, expected_value, rtol=1e-12, atol=0)
    tolerance = 1e-6 * expected.abs().amax((0, 1))
    assert ((found - expected).abs() <= tolerance).all()


@pytest.mark.parametrize("name", ["basin", "column"])
def test_both_modes_of_jacobian_give_the_same_numbers(name: str, engine: str) -> None:
    case, cells = CASES["richards-linear-forcing"], 10
    model, forcing = dg.models.RichardsColumn(0.6, cells), {"forcing.flux": case.tensors()["forcing.flux"]}

    def of_basin(x: torch.Tensor) -> torch.Tensor:
        return runoff(x, engine=engine).unflatten(1, (4, -1)).sum(2)

    def of_column(x: torch.Tensor) -> torch.Tensor:
        tensors = forcing | {"parameters.K_s": x[:, :cells], "parameters.n": x[:, cells:]}
        return everything(case.solve(tensors | {"initial.theta": torch.tensor(0.22)}, model, engine=engine))[:, -4:]

    x = {
        "basin": CATCHMENT * torch.tensor([[1.0], [1.1]]),
        "column": torch.cat([torch.linspace(0.3, 0.1, cells), torch.tensor([1.6])])[None],
    }[name]
    function = {"basin": of_basin, "column": of_column}[name]
    (value, forward), (again, reverse) = (dg.jacobian(function, x, mode=mode) for mode in ("forward", "reverse"))
    torch.testing.assert_close(again, value, rtol=1e-5, atol=1e-8)
    size = forward.abs().amax((0, 1))
    assert (size > 0).all()
    assert not reverse.requires_grad
    # Julia's engine transposes the steps taken; CVODES solves for either at a thousandth of the tolerance.
    tolerance = {"julia": 1e-10, "sundials": 1e-5}[engine]
    assert ((forward - reverse).abs() <= tolerance * (size + 0.01 * size.max())).all()


def test_jacobian_of_what_does_not_depend_on_its_inputs_is_zero() -> None:
    x, constant = torch.ones(2, 3), torch.ones(2, 1)
    assert (dg.jacobian(lambda x: constant, x, mode="reverse")[1] == 0).all()
    assert dg.jacobian(lambda x: x.detach(), x, mode="auto")[1].shape == (2, 3, 3)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_of_a_failed_member_is_zero(mode: Any, engine: str) -> None:
    def outflow(x: torch.Tensor) -> torch.Tensor:
        solution = dg.solve(
            RESERVOIR, {"k": x}, times=[0.0, 0.5, 2.0], engine=engine, max_steps=25, throw=False, **DECAY_TIGHT
        )
        return solution.states["water"][:, -1]

    value, found = dg.jacobian(outflow, torch.tensor([[1e-9], [4.9]]), mode=mode)
    assert value.isnan()[:, 0].tolist() == [False, True]
    torch.testing.assert_close(found[:, 0, 0], torch.tensor([-20.0, 0.0]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("mode", ["backward", None, 1])
def test_unknown_modes_are_refused(mode: Any) -> None:
    with pytest.raises(InputError, match=r"mode must be one of \['auto', 'forward', 'reverse'\], got "):
        dg.jacobian(lambda x: x, torch.ones(1, 1), mode=mode)


def test_jacobian_goes_through_what_surrounds_the_solve(engine: str) -> None:
    # A log-transform before, a nonlinear residual after, and a network's weights that take no part.
    weight = torch.ones(DAYS, requires_grad=True)

    def residuals(z: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(runoff(CATCHMENT * torch.exp(z), engine=engine) + 1.0) * weight

    value, found = dg.jacobian(residuals, torch.zeros(1, len(CATCHMENT)))
    plain, inner = dg.jacobian(lambda x: runoff(x, engine=engine), CATCHMENT[None])
    assert not value.requires_grad
    assert not found.requires_grad
    torch.testing.assert_close(
        found, inner * CATCHMENT / (2 * torch.sqrt(plain + 1.0))[..., None], rtol=1e-4, atol=1e-8
    )


def test_wrong_shapes_and_second_derivatives_are_errors(engine: str) -> None:
    x = CATCHMENT[None]
    with pytest.raises(ShapeError, match=r"x must be of shape \(members, inputs\), got \(7,\)"):
        dg.jacobian(lambda x: x, CATCHMENT)
    with pytest.raises(ShapeError, match=r"function must return \(1, results\)"):
        dg.jacobian(lambda x: runoff(x, engine=engine).sum(), x)
    with pytest.raises(TangentError, match="direction that reaches the solve is not finite"):
        torch.func.jvp(lambda x: runoff(x, engine=engine), (x,), (torch.full_like(x, torch.nan),))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.clone().requires_grad_(), torch.ones_like(x))
        moved = forward_ad.unpack_dual(runoff(dual, engine=engine)).tangent
        with pytest.raises(AdjointError, match="differentiated once"):
            moved.sum().backward()


def test_tangents_without_gradients(engine: str) -> None:
    x = CATCHMENT[None]
    with forward_ad.dual_level(), torch.no_grad():
        found = forward_ad.unpack_dual(runoff(forward_ad.make_dual(x, x), engine=engine)).tangent
    expected = torch.func.jvp(lambda x: runoff(x, engine=engine), (x,), (x,))[1]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_jacobian_of_residuals_gives_the_gradient_of_their_squares(engine: str) -> None:
    # Through instruments with gaps: what Gauss-Newton needs.
    flow = torch.linspace(1.0, 5.0, DAYS)
    flow[3] = torch.nan
    windows = [(float(i), float(i + 1)) for i in range(DAYS)]
    gauge = dg.observe.Observation("runoff", "flux_sum", times=windows, values=flow, error=0.3)

    def residuals(x: torch.Tensor) -> torch.Tensor:
        found = gauge.simulated(basin(x, engine=engine, rtol=1e-8, atol=1e-10))
        return torch.where(flow.isnan(), 0.0, found - flow.nan_to_num())

    x = (CATCHMENT * torch.tensor([[1.0], [1.1]])).requires_grad_()
    value, found = dg.jacobian(residuals, x)
    (residuals(x) ** 2).sum().backward()
    gradient = 2 * torch.einsum("mrn,mr->mn", found, value)
    assert (x.grad != 0).all()
    torch.testing.assert_close(gradient, x.grad, rtol=1e-6, atol=0)
