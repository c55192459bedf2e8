"""The one verb: shapes, batches, failures, forcings, precision, the layer, and what a solve reports."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from case_models import aquifer
from cases import CASES
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.engines import registry
from pydiffgeo.errors import SolverError

CELLS, TIMES = 5, [0.0, 1.0, 2.0, 3.0]
FLUX = torch.tensor([0.02, 0.001, 0.01])
# Without its limits, so that water can be forced in until the steps run out.
COLUMN = replace(dg.models.RichardsColumn(0.5, CELLS), limits=())
# Enough steps for a column at rest, too few for one that water is forced into.
FEW_STEPS = 60
REST, FLOOD = [0.001, 0.001, 0.001], [0.001, 1.0, 0.001]


def solve(parameters: dict[str, Any] | None = None, **settings: Any) -> dg.Solution:
    given: dict[str, Any] = {"forcing": {"flux": FLUX}, "times": TIMES, "initial": {"theta": 0.2}}
    return dg.solve(COLUMN, parameters, **given | settings)


def leaf(values: Any, **kind: Any) -> Tensor:
    return torch.as_tensor(values, **kind).clone().requires_grad_()


def loss(solution: dg.Solution) -> Tensor:
    """Depends on states, outputs and fluxes of every member alike."""
    theta, head, drainage = solution.states["theta"], solution.outputs["head"], solution.fluxes["drainage"]
    return (theta**2).sum((-1, -2)) + 0.01 * head.sum((-1, -2)) + 100 * drainage.sum(-1)


def varied(shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return torch.linspace(low, high, torch.Size(shape).numel()).reshape(shape)


@pytest.mark.parametrize(
    ("batch", "parameters", "settings"),
    [
        ((), {}, {}),
        ((), {"n": varied((), 1.5, 1.5), "K_s": varied((CELLS,), 0.1, 0.4)}, {}),
        ((1,), {"n": varied((1, 1), 1.5, 1.5)}, {}),
        ((2,), {"n": varied((2, 1), 1.4, 1.6)}, {}),
        ((2,), {"n": varied((2, CELLS), 1.4, 1.6), "K_s": varied((CELLS,), 0.1, 0.4), "alpha": varied((), 3, 3)}, {}),
        ((2,), {}, {"forcing": {"flux": varied((2, 3), 0.0, 0.01)}}),
        ((2,), {"n": varied((1, 1), 1.5, 1.5)}, {"initial": {"head": varied((2, CELLS), -2.0, -1.0)}}),
        ((2,), {}, {"initial": {"theta": varied((2, 1), 0.2, 0.25)}}),
    ],
)
def test_shapes(batch: tuple[int, ...], parameters: dict[str, Tensor], settings: dict[str, Any], engine: str) -> None:
    sol = solve(parameters, **settings, engine=engine)
    for value in (*sol.states.values(), *sol.outputs.values()):
        assert value.shape == (*batch, len(TIMES), CELLS)
        assert value.dtype == torch.float64
    assert {k: v.shape for k, v in sol.fluxes.items()} == dict.fromkeys(sol.fluxes, (*batch, len(TIMES) - 1))
    assert {*sol.states} == {"theta"}
    assert {*sol.outputs} == {"head", "hydraulic_conductivity"}
    assert {*sol.fluxes} == {"infiltration", "drainage"}
    assert sol.storage.shape == (*batch, len(TIMES))
    assert sol.balance.shape == sol.ok.shape == batch
    assert sol.status == [dg.Status.SUCCESS] * (batch or (1,))[0]
    assert sol.times.tolist() == TIMES


def test_shapes_over_faces_and_cells_of_a_raster(engine: str) -> None:
    model = aquifer()
    given = {"K_face": varied((2, 17), 9.0, 12.0)}
    sol = dg.solve(
        model,
        given,
        forcing={"recharge": varied((2, 12), 0.0, 1e-3), "stage": varied((2, 2), 9.0, 9.5)},
        times=TIMES[:3],
        engine=engine,
    )
    assert sol.states["water"].shape == (2, 3, 12)
    assert sol.outputs == {}
    assert sol.fluxes["base_flow"].shape == (2, 2)


MEMBERS: dict[str, Callable[[int], Tensor]] = {
    "n": lambda m: leaf([1.45 + 0.1 * m]),
    "K_s": lambda m: leaf(varied((CELLS,), 0.1, 0.3) + 0.05 * m),
    "flux": lambda m: leaf(FLUX * (1 + m)),
    "theta": lambda m: leaf(varied((CELLS,), 0.2, 0.22) + 0.02 * m),
}


def solve_members(tensors: dict[str, Tensor], shared: Tensor, **settings: Any) -> dg.Solution:
    return solve(
        {"n": tensors["n"], "K_s": tensors["K_s"], "alpha": shared},
        forcing={"flux": tensors["flux"]},
        initial={"theta": tensors["theta"]},
        **settings,
    )


def test_a_batch_equals_its_members_and_sums_shared_gradients(engine: str) -> None:
    alone = [{k: make(m) for k, make in MEMBERS.items()} for m in range(3)]
    alphas = [leaf(3.0) for _ in alone]
    solutions = [solve_members(t, a, engine=engine) for t, a in zip(alone, alphas, strict=True)]
    for sol in solutions:
        loss(sol).backward()
    together = {k: leaf(torch.stack([t[k].detach() for t in alone])) for k in MEMBERS}
    alpha = leaf(3.0)
    batch = solve_members(together, alpha, engine=engine)
    loss(batch).sum().backward()
    for m, (sol, tensors) in enumerate(zip(solutions, alone, strict=True)):
        torch.testing.assert_close(batch.states["theta"][m], sol.states["theta"], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(batch.fluxes["drainage"][m], sol.fluxes["drainage"], rtol=1e-10, atol=1e-14)
        for k, tensor in tensors.items():
            assert tensor.grad.abs().max() > 0, k
            torch.testing.assert_close(together[k].grad[m], tensor.grad, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(alpha.grad, sum(a.grad for a in alphas), rtol=1e-8, atol=1e-10)


def test_a_failed_member_leaves_the_others_as_they_were(engine: str) -> None:
    few: dict[str, Any] = {"engine": engine, "max_steps": FEW_STEPS}
    n, alpha, flux = leaf([[1.5], [1.55], [1.6]]), leaf(3.0), leaf([REST, FLOOD, REST])
    sol = solve({"n": n, "alpha": alpha}, forcing={"flux": flux}, throw=False, **few)
    assert sol.status == [dg.Status.SUCCESS, dg.Status.MAX_STEPS, dg.Status.SUCCESS]
    assert sol.ok.tolist() == [True, False, True]
    assert [*sol.reasons] == [1]
    assert [*sol.failures()] == [f"member 1: {dg.Status.MAX_STEPS.value} {sol.reasons[1]}"]
    assert dg.Status.MAX_STEPS.value.endswith(".")
    theta, head, drainage = sol.states["theta"], sol.outputs["head"], sol.fluxes["drainage"]
    # What came before the failure is kept, the rest is NaN.
    assert torch.isfinite(theta[1, :2]).all()
    assert torch.isfinite(head[1, :2]).all()
    assert theta[1, 2:].isnan().all()
    assert head[1, 2:].isnan().all()
    assert drainage[1].isnan().tolist() == [False, True, True]
    loss(sol)[sol.ok].sum().backward()
    assert n.grad[1].item() == 0.0
    assert (flux.grad[1] == 0.0).all()

    good = [0, 2]
    n_good, alpha_good, flux_good = leaf(n[good].detach()), leaf(3.0), leaf(flux[good].detach())
    alone = solve({"n": n_good, "alpha": alpha_good}, forcing={"flux": flux_good}, **few)
    loss(alone).sum().backward()
    torch.testing.assert_close(theta[good], alone.states["theta"], rtol=1e-10, atol=1e-12)
    pairs = ((n.grad[good], n_good.grad), (flux.grad[good], flux_good.grad), (alpha.grad, alpha_good.grad))
    for found, expected in pairs:
        assert expected.abs().max() > 0
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_a_failed_member_raises_with_what_was_computed(engine: str) -> None:
    flux = torch.tensor([REST, FLOOD])
    with pytest.raises(SolverError, match=f"1 of 2 members failed; member 1: .*engine '{engine}'") as caught:
        solve(forcing={"flux": flux}, engine=engine, max_steps=FEW_STEPS)
    sol = caught.value.solution
    assert sol.ok.tolist() == [True, False]
    assert torch.isfinite(sol.states["theta"][0]).all()
    assert sol.states["theta"][1, 2:].isnan().all()


def test_one_failed_solve_without_batch(engine: str) -> None:
    sol = solve(forcing={"flux": FLOOD}, engine=engine, max_steps=FEW_STEPS, throw=False)
    assert sol.ok.shape == ()
    assert not sol.ok
    assert sol.outputs["head"][-1].isnan().all()


def test_layer_is_solve_with_settings_kept(engine: str) -> None:
    layer = dg.Layer(COLUMN, engine=engine, rtol=1e-5)
    inputs: dict[str, Any] = {"forcing": {"flux": FLUX}, "times": TIMES, "initial": {"theta": 0.2}}
    expected = solve({"n": 1.5}, engine=engine, rtol=1e-5)
    assert torch.equal(layer({"n": 1.5}, **inputs).states["theta"], expected.states["theta"])
    assert not torch.equal(layer({"n": 1.5}, rtol=1e-9, **inputs).states["theta"], expected.states["theta"])
    assert repr(layer) == f"Layer(RichardsColumn, engine={engine!r}, rtol=1e-05)"


def test_layer_trains_a_network(engine: str) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    layer = dg.Layer(COLUMN, engine=engine)
    depth = torch.from_numpy(COLUMN.graph.coordinates["depth"].copy()).unsqueeze(-1)
    target = solve({"K_s": varied((CELLS,), 0.05, 0.5)}, engine=engine).states["theta"]
    optimiser = torch.optim.SGD(network.parameters(), lr=5.0)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        conductivity = torch.exp(network(depth).squeeze(-1) - 1)
        theta = layer({"K_s": conductivity}, forcing={"flux": FLUX}, times=TIMES, initial={"theta": 0.2}).states[
            "theta"
        ]
        misfit = ((theta - target) ** 2).mean()
        misfit.backward()
        assert all(w.grad.abs().max() > 0 for w in network.parameters())
        optimiser.step()
        losses.append(misfit.item())
    assert losses[0] > losses[1] > losses[2], losses


def test_a_time_series_on_the_same_axis_is_the_same_forcing(engine: str) -> None:
    plain = solve(engine=engine)
    series = solve(forcing={"flux": dg.TimeSeries(TIMES, FLUX)}, engine=engine)
    assert torch.equal(series.states["theta"], plain.states["theta"])
    assert torch.equal(series.fluxes["drainage"], plain.fluxes["drainage"])


def test_a_longer_time_series_is_cut_to_the_times(engine: str) -> None:
    values = leaf([9.0, *FLUX.tolist(), 9.0])
    sol = solve(forcing={"flux": dg.TimeSeries([-2.0, *TIMES, 7.0], values)}, engine=engine)
    # An engine may take other steps where it differentiates, so both solves do.
    expected = solve(forcing={"flux": leaf(FLUX)}, engine=engine)
    assert torch.equal(sol.states["theta"], expected.states["theta"])
    loss(sol).backward()
    assert (values.grad == 0).tolist() == [True, False, False, False, True]


def test_a_scalar_forcing_and_a_flat_line_are_the_same(engine: str) -> None:
    held = solve(forcing={"flux": 0.01}, engine=engine, rtol=1e-9, atol=1e-11)
    line = dg.TimeSeries([0.0, 3.0], [0.01, 0.01], "linear")
    linear = solve(forcing={"flux": line}, engine=engine, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(linear.states["theta"], held.states["theta"], rtol=0, atol=1e-8)


def test_fluxes_over_several_breaks_add_up(engine: str) -> None:
    fine = solve(engine=engine)
    coarse = solve(forcing={"flux": dg.TimeSeries(TIMES, FLUX)}, times=[0.0, 2.0, 3.0], engine=engine)
    assert torch.equal(coarse.states["theta"], fine.states["theta"][[0, 2, 3]])
    for name, flux in fine.fluxes.items():
        expected = torch.stack([flux[0] + flux[1], flux[2]])
        torch.testing.assert_close(coarse.fluxes[name], expected, rtol=1e-13, atol=1e-16)
    torch.testing.assert_close(fine.fluxes["infiltration"], FLUX, rtol=1e-12, atol=0)


def test_single_precision_comes_in_and_goes_back(engine: str) -> None:
    single, double = leaf([1.5], dtype=torch.float32), leaf([1.5])
    flux = leaf(FLUX, dtype=torch.float32)
    sol = solve({"n": single}, forcing={"flux": flux}, engine=engine)
    assert sol.states["theta"].dtype == torch.float64
    loss(sol).backward()
    loss(solve({"n": double}, forcing={"flux": flux.detach()}, engine=engine)).backward()
    assert single.grad.dtype == flux.grad.dtype == torch.float32
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-6, atol=0)


def test_no_gradient_is_kept_where_none_is_asked(engine: str) -> None:
    n = leaf([1.5])
    with torch.no_grad():
        quiet = solve({"n": n}, engine=engine)
    assert not quiet.states["theta"].requires_grad
    assert not quiet.outputs["head"].requires_grad
    kept = solve({"n": n}, engine=engine)
    assert kept.states["theta"].requires_grad
    torch.testing.assert_close(quiet.states["theta"], kept.states["theta"].detach(), rtol=1e-5, atol=1e-7)


def test_solving_twice_gives_the_same_bits(engine: str) -> None:
    results = []
    for _ in range(2):
        n, flux = leaf([[1.5], [1.6]]), leaf(FLUX)
        sol = solve({"n": n}, forcing={"flux": flux}, engine=engine)
        loss(sol).sum().backward()
        results.append([sol.states["theta"].detach(), *sol.fluxes.values(), n.grad, flux.grad])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_stats_say_what_was_used(engine: str) -> None:
    n = leaf([1.5])
    sol = solve({"n": n}, engine=engine)
    assert sol.stats["engine"] == engine
    assert sol.stats["solver"] == {"sundials": "cvodes-bdf", "julia": "Rodas5P"}[engine]
    assert sol.stats["sensitivity"] in {"sundials": ("adjoint",), "julia": ("discrete",)}[engine]
    assert sol.stats["why"] == "asked for"
    assert "asked for" not in (sol.stats["solver_why"], sol.stats["sensitivity_why"])
    assert sol.stats["forward_seconds"] > 0
    loss(sol).backward()
    assert sol.stats["backward_seconds"] > 0


def test_auto_says_why_without_julia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "julia_missing", lambda: "no julia was found on PATH")
    sol = solve(engine="auto")
    assert (sol.stats["engine"], sol.stats["why"]) == ("sundials", "no Julia: no julia was found on PATH")


def test_auto_takes_julia_where_it_is_ready(julia_engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "julia_missing", lambda: None)
    sol = solve(engine="auto")
    assert (sol.stats["engine"], sol.stats["why"]) == (julia_engine, "Julia was found")


@pytest.mark.parametrize("compiler", ["cc", "none", "broken"])
def test_compiled_solves_equal_interpreted_ones_and_fall_back(compiler: str, monkeypatch, tmp_path) -> None:
    from pydiffgeo.engines.sundials import cvodes

    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if compiler == "cc" and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    if compiler == "none":
        monkeypatch.setattr(cvodes.shutil, "which", lambda name: None)
    if compiler == "broken":
        (tmp_path / "cc").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "cc").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    case = CASES["exphydro"]
    model = replace(dg.models.ExpHydro(), time_unit=f"d, {compiler}")  # a structure that was not compiled before
    expected = case.solve(case.tensors(), model, engine="sundials")
    found = case.solve(case.tensors(), model, engine="sundials", compiled=True)
    assert found.stats["compiled"] is (compiler == "cc")
    for name, value in expected.states.items():
        assert torch.allclose(found.states[name], value, rtol=1e-6)
    # The adjoint and tangents are compiled as well. None of it leaves anything behind.
    leaves = {k: v.requires_grad_() for k, v in case.tensors().items()}
    case.solve(leaves, model, engine="sundials", compiled=True).fluxes["runoff"].sum().backward()
    assert [*work.iterdir()] == [*temporary.iterdir()] == []


def test_a_solution_shows_itself_in_a_line() -> None:
    sol = dg.solve(
        dg.models.RichardsColumn(0.5, 4),
        forcing={"flux": 0.01},
        times=[0.0, 1.0],
        initial={"theta": 0.2},
        engine="sundials",
    )
    assert "theta (2, 4)" in repr(sol)
    assert "drainage" in repr(sol)
    assert len(repr(sol)) < 300
