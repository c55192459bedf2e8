"""A user's own `ODEProblem` as a differentiable function."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from pydiffgeo.bridge import solve_ode_problem
from pydiffgeo.errors import InputError, ShapeError, SolverError

ROBERTSON = """
begin
    using PydiffgeoSolvers.SciMLBase: ODEProblem
    function robertson!(du, u, p, t)
        du[1] = -p[1] * u[1] + p[3] * u[2] * u[3]
        du[2] = p[1] * u[1] - p[2] * u[2]^2 - p[3] * u[2] * u[3]
        du[3] = p[2] * u[2]^2
    end
    ODEProblem(robertson!, [1.0, 0.0, 0.0], (0.0, 100.0), [0.04, 3e7, 1e4])
end
"""


@pytest.fixture(scope="module")
def robertson(julia_engine):
    from pydiffgeo.engines.julia.session import in_julia

    in_julia(lambda package: None)
    from juliacall import Main

    return Main.seval(ROBERTSON)


@pytest.mark.parametrize("sensitivity", ["forward", "gauss"])
def test_gradients_of_a_handed_over_problem(robertson, sensitivity: str) -> None:
    p = torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64, requires_grad=True)
    u0 = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    u = solve_ode_problem(
        robertson, u0=u0, p=p, times=[0.0, 1.0, 10.0, 100.0], rtol=1e-9, atol=1e-13, sensitivity=sensitivity
    )
    (1e4 * u[1:, 1] + u[1:, 2]).sum().backward()
    # Forward mode at 1e-10, computed independently.
    for found, expected in zip(p.grad.tolist(), (13.2022927, -2.97030761e-9, -3.53144421e-5), strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(u0.grad).all()
    assert u.shape == (4, 3)
    # Mass is conserved: moving all of it changes the sum of the states by as much.
    assert u[-1].sum().item() == pytest.approx(1.0, abs=1e-9)


def test_tangents_of_a_handed_over_problem(robertson) -> None:
    u0, p = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64)

    def end(u0: torch.Tensor, p: torch.Tensor, **settings) -> torch.Tensor:
        return solve_ode_problem(robertson, u0=u0, p=p, times=[0.0, 10.0], rtol=1e-9, atol=1e-13, **settings)[-1]

    along = (torch.tensor([0.1, 0.0, 0.02], dtype=torch.float64), 0.1 * p)
    _, pushed = torch.func.jvp(end, (u0, p), along)
    starts = [x.clone().requires_grad_() for x in (u0, p)]
    weights = torch.tensor([1.0, 1e4, -2.0], dtype=torch.float64)
    gradients = torch.autograd.grad((weights * end(*starts)).sum(), starts)
    expected = sum((g * d).sum().item() for g, d in zip(gradients, along, strict=True))
    assert (weights * pushed).sum().item() == pytest.approx(expected, rel=1e-10)
    with pytest.raises(InputError, match="sensitivity='forward'"):
        torch.func.jvp(lambda u0, p: end(u0, p, sensitivity="gauss"), (u0, p), along)


def test_a_failed_solve_and_bad_input_are_typed_errors(robertson) -> None:
    good = {"u0": torch.ones(3), "p": torch.ones(3), "times": [0.0, 1.0]}
    with pytest.raises(SolverError, match="MaxIters"):
        solve_ode_problem(robertson, **{**good, "times": [0.0, 1e9]}, max_steps=3)
    with pytest.raises(InputError, match="no-such"):
        solve_ode_problem(robertson, **good, solver="no-such")
    with pytest.raises(ShapeError, match="u0"):
        solve_ode_problem(robertson, **{**good, "u0": torch.ones(2, 2)})


def test_diffeqpy_problem(robertson) -> None:
    diffeqpy = pytest.importorskip("diffeqpy", reason="diffeqpy is not installed")
    from juliacall import Main

    # A part of SciML that the engine brings along: found there, it need not be added to the project, nor need the
    # umbrella package OrdinaryDiffEq.
    Main.seval("import PydiffgeoSolvers; push!(LOAD_PATH, pkgdir(PydiffgeoSolvers))")
    solvers = diffeqpy.load_julia_packages("OrdinaryDiffEqRosenbrock")

    ode = Main.seval("PydiffgeoSolvers.SciMLBase")
    assert hasattr(solvers, "Rodas5P")
    decay = Main.seval("(du, u, p, t) -> (du .= -p[1] .* u)")
    problem = ode.ODEProblem(decay, [1.0], (0.0, 1.0), [2.0])
    p = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    u = solve_ode_problem(problem, u0=torch.ones(1, dtype=torch.float64), p=p, times=[0.0, 1.0], rtol=1e-9, atol=1e-11)
    u[-1, 0].backward()
    assert p.grad.item() == pytest.approx(-(torch.exp(torch.tensor(-2.0)).item()), rel=1e-6)


def test_the_example_with_diffeqpy_finds_its_parameters(robertson) -> None:
    diffeqpy = pytest.importorskip("diffeqpy", reason="diffeqpy is not installed")
    from juliacall import Main

    # As above: what `from diffeqpy import ode` would bring, without the umbrella package.
    Main.seval("import PydiffgeoSolvers; push!(LOAD_PATH, pkgdir(PydiffgeoSolvers))")
    assert hasattr(diffeqpy.load_julia_packages("OrdinaryDiffEqRosenbrock"), "Rodas5P")
    path = Path(__file__).resolve().parents[1] / "examples" / "diffeqpy_problem.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(Main.seval("PydiffgeoSolvers.SciMLBase"))
    # Rate and exponent of the soil make up for each other; what drains of a storage that occurs does not.
    assert found["exponent"] == pytest.approx(example.TRUE["exponent"], rel=0.05)
    assert found["rate of groundwater"] == pytest.approx(example.TRUE["rate of groundwater"], rel=0.01)
    drained, true = (v["rate of the soil"] * 15.0 ** v["exponent"] for v in (found, example.TRUE))
    assert drained == pytest.approx(true, rel=0.03)
